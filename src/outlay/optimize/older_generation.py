"""Older GPU generations where a newer card costs less.

A newer card with at least as much memory and, within a tenth, the memory bandwidth (what most inference waits for),
that this bill or the price file prices lower per GPU-hour, should do the same work for less. Whether the workload runs
on it (drivers, kernels, region, capacity) is not on the bill, so this is always listed to confirm. No speed-up is
assumed: the saving is the difference of the two hourly rates only.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.optimize.bill_rates import UnitRate, claim, evidence_of, gpu_rate
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.gpus import Gpu
from outlay.prices.gpus import gpu as gpu_card
from outlay.prices.rates import RateBook

__all__ = ["OlderGeneration"]

_MIN_BANDWIDTH = Decimal("0.9")


class OlderGeneration:
    """One candidate an instance type and region."""

    id = "older-generation"
    order = 40
    rule = (
        "On-demand GPU-hours of a card with a newer, at least as large and (within a tenth) as fast-fed successor "
        "that costs less per GPU-hour."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Pools of older cards, each against the cheapest successor with a known rate."""
        groups: dict[tuple[str, str, str | None], list[Line]] = {}
        for line in spend.lines(
            "gpu_hours > 0 AND pricing_category = 'Standard' AND commitment_status IS NULL AND instance_type IS NOT "
            "NULL AND cost > 0"
        ):
            groups.setdefault((line.gpu_type or "", line.instance_type or "", line.region), []).append(line)
        on_bill = {
            (row[0], row[1])
            for row in spend.connection.execute(
                "SELECT DISTINCT gpu_type, instance_type FROM lines WHERE gpu_hours > 0 AND instance_type IS NOT NULL"
            ).fetchall()
        }
        for (gpu, item, region), lines in sorted(groups.items(), key=lambda group: str(group[0])):
            own = gpu_rate(spend, rates, "on_demand", item, region)
            best = _cheapest_successor(spend, rates, gpu, region, on_bill)
            if own is None or best is None or best[1].unit_price >= own.unit_price:
                continue
            successor, rate = best
            yield Candidate(
                id=f"{self.id}:{item}:{region or 'any'}",
                title=f"{gpu} on {item}: {successor} costs less per GPU-hour",
                basis=f"GPU-hours at their cost less {rate.unit_price:.4f} a GPU-hour for {successor} "
                f"({rate.origin}); no speed-up assumed",
                why=f"{gpu} is paid at {own.unit_price:.4f} a GPU-hour; a newer card with as much memory is cheaper "
                "on this bill.",
                confidence="medium",
                claims=tuple(
                    claim(line, line.cost - (line.gpu_hours or Decimal(0)) * rate.unit_price) for line in lines
                ),
                rows=sum(line.rows for line in lines),
                cost=sum((line.cost for line in lines), Decimal(0)),
                evidence=evidence_of(spend, lines),
                needs=f"that the workload runs on {successor} and that its region has capacity",
            )


def _feeds_as_fast(name: str, old: Gpu) -> bool:
    new = gpu_card(name)
    if new is None or new.memory_bandwidth_gb_s is None or old.memory_bandwidth_gb_s is None:
        return False
    return new.memory_bandwidth_gb_s >= old.memory_bandwidth_gb_s * _MIN_BANDWIDTH


def _cheapest_successor(
    spend: Spend, rates: RateBook, gpu: str, region: str | None, on_bill: set[tuple[str, str]]
) -> tuple[str, UnitRate] | None:
    card = gpu_card(gpu)
    if card is None:
        return None
    found = []
    for other_gpu, other_item in on_bill:
        if other_gpu in card.successors and _feeds_as_fast(other_gpu, card):
            rate = gpu_rate(spend, rates, "on_demand", other_item, region)
            if rate is not None:
                found.append((f"{other_item} ({other_gpu})", rate))
    return min(found, key=lambda one: (one[1].unit_price, one[0]), default=None)
