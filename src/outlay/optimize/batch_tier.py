"""On-demand tokens that a batch tier would serve.

Providers sell the same tokens for less when the answer may wait hours. A use case tagged ``latency=batch`` (or
``batch=true``) can wait by its owner's own word, so it counts where the bill or the price file knows the batch price of
the same model. A use case whose *name* says batch, nightly, offline, backfill or eval is listed to confirm.

The trap is the cache: batch tokens read from it cost a fraction of the others, so a batch price is taken from batch
rows of the very meter claimed on (direction and cache action), never from the mean of all batch rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.optimize.bill_rates import claim, evidence_of, token_rate
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["BatchTier"]

_TAGGED = ("batch", "offline", "async", "deferred", "true", "yes", "1")
_NAMED = re.compile(r"(^|[^a-z])(batch|nightly|offline|backfill|evals?|evaluation)([^a-z]|$)", re.IGNORECASE)
_PER_TOKENS = Decimal(1_000_000)


class BatchTier:
    """One candidate a team, use case and model."""

    id = "batch-tier"
    order = 70
    rule = (
        "Standard-tier tokens of a use case that can wait, at the batch price of the same model; counted when tagged."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Deferrable tokens by team, use case and model."""
        groups: dict[tuple[str, str, str, str | None, bool], list[Line]] = {}
        for line in spend.lines(
            "category = 'tokens' AND tokens > 0 AND coalesce(tier, 'standard') = 'standard' AND model IS NOT NULL AND "
            "cost > 0 "
            "AND direction IS NOT NULL AND cache_action IS DISTINCT FROM 'Read' AND cache_action IS DISTINCT FROM "
            "'Write'"
        ):
            tagged = line.latency in _TAGGED
            if tagged or _NAMED.search(line.use_case or ""):
                key = (line.team or "no team", line.use_case or "no use case", line.model or "", line.provider, tagged)
                groups.setdefault(key, []).append(line)
        for (team, use_case, model, provider, tagged), lines in sorted(groups.items(), key=str):
            prices = {
                (direction, action): token_rate(
                    spend,
                    rates,
                    model,
                    provider=provider,
                    direction=direction,
                    cache_action=action,
                    tier="batch",
                    kind=f"batch_{direction.lower()}",
                )
                for direction, action in sorted({_meter(line) for line in lines}, key=str)
            }
            claims = tuple(
                claim(line, line.cost - (line.tokens or Decimal(0)) * rate.unit_price / _PER_TOKENS)
                for line in lines
                if (rate := prices[_meter(line)]) is not None
            )
            known = [
                f"{direction.lower()} {rate.unit_price:.4f} per 1M ({rate.origin})"
                for (direction, _), rate in prices.items()
                if rate is not None
            ]
            needs = "" if tagged else "that this use case can wait for its answers (tag it latency=batch)"
            if not known:
                needs = f"the batch price of {model} (give it with --prices)"
            yield Candidate(
                id=f"{self.id}:{team}:{use_case}:{model}",
                title=f"{team} / {use_case} pays on-demand prices for {model}",
                basis=f"its tokens at the batch price: {', '.join(known)}"
                if known
                else "rate unknown: no batch rows of this model on the bill",
                why="Tagged as able to wait." if tagged else f"Its name ('{use_case}') suggests that it can wait.",
                confidence="high" if tagged else "low",
                claims=claims,
                rows=sum(line.rows for line in lines),
                cost=sum((line.cost for line in lines), Decimal(0)),
                evidence=evidence_of(spend, lines),
                needs=needs,
                amount_known=bool(known),
            )


def _meter(line: Line) -> tuple[str, str | None]:
    return line.direction or "", line.cache_action
