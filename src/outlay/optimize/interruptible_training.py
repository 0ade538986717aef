"""Interruptible training on on-demand GPUs.

Training that writes checkpoints can run on spot capacity, which is cheaper because it can be taken away. The spot rate
is the one this bill pays for the same instance type (or the price file's). It counts when the rows are tagged as
interruptible; other training on on-demand GPUs is listed to confirm, since only its owner knows whether it checkpoints.
Spot prices and spot capacity are a region's own: a rate from another region is a lead, and never counts.
The work lost at an interruption is not subtracted: it needs the interruption rate, which is not on a bill, so the
saving is an upper bound and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.optimize.bill_rates import claim, evidence_of, gpu_rate
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["InterruptibleTraining"]


class InterruptibleTraining:
    """One candidate an instance type, region and answer to "is it interruptible?"."""

    id = "interruptible-training"
    order = 50
    rule = (
        "Training on on-demand GPUs, priced at the spot rate of the same instance type; counted when tagged "
        "interruptible."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """On-demand training by pool."""
        groups: dict[tuple[str, str | None, bool], list[Line]] = {}
        for line in spend.lines(
            "workload = 'training' AND gpu_hours > 0 AND pricing_category = 'Standard' AND commitment_status IS NULL "
            "AND cost > 0"
        ):
            groups.setdefault(
                (line.instance_type or line.gpu_type or "GPU", line.region, line.interruptible), []
            ).append(line)
        for (item, region, tagged), lines in sorted(groups.items(), key=lambda group: str(group[0])):
            hours = sum((line.gpu_hours or Decimal(0) for line in lines), Decimal(0))
            cost = sum((line.cost for line in lines), Decimal(0))
            rate = gpu_rate(spend, rates, "spot", item, region)
            claims = (
                ()
                if rate is None
                else tuple(claim(line, line.cost - (line.gpu_hours or Decimal(0)) * rate.unit_price) for line in lines)
            )
            if rate is not None and not any(one.amount for one in claims):
                continue
            missing = [] if rate else [f"a spot rate for {item} (give it with --prices)"]
            if not tagged:
                missing = ["that these runs write checkpoints and may be interrupted (tag them interruptible=true)"]
            if rate is not None and rate.elsewhere:
                missing.append(
                    f"what spot capacity costs in {region or 'its region'}; this bill pays for {item} on spot in "
                    f"{_spot_regions(spend, item)} only (give the rate with --prices)"
                )
            yield Candidate(
                id=f"{self.id}:{item}:{region or 'any'}:{'tagged' if tagged else 'untagged'}",
                title=f"Training on on-demand {item}" + (f" in {region}" if region else ""),
                basis=(
                    f"{hours:.0f} GPU-hours at their cost less the spot rate {rate.unit_price:.4f} a GPU-hour "
                    f"({rate.origin}); work lost to "
                    "interruptions not subtracted"
                    if rate
                    else "rate unknown: no spot rows of this type on the bill"
                ),
                why="Training that can be interrupted need not pay the on-demand price."
                if tagged
                else "Training usually can be interrupted; nothing on the bill says whether this can.",
                confidence="medium" if tagged and not (rate and rate.elsewhere) else "low",
                claims=claims,
                rows=sum(line.rows for line in lines),
                cost=cost,
                evidence=evidence_of(spend, lines),
                needs="; and ".join(missing),
                amount_known=rate is not None,
            )


def _spot_regions(spend: Spend, item: str) -> str:
    rows = spend.connection.execute(
        "SELECT DISTINCT coalesce(region, 'a region without a name') FROM lines WHERE instance_type = ? AND "
        "gpu_hours > 0 AND cost > 0 AND pricing_category = 'Dynamic' ORDER BY 1",
        [item],
    ).fetchall()
    return ", ".join(row[0] for row in rows)
