"""Input tokens that go uncached where the provider sells a cache.

A bill shows how many input tokens were read from the cache and how many were not, but not whether the uncached ones
*repeat*: prompts are not on a bill. So this is always to confirm. The yardstick is the company itself: the best cached
share that another use case reaches on the same model. The saving is what a use case below half of that share would have
saved at that share, at the cache-read price on this bill; cache writes, where they cost extra, are priced at the bill's
write premium for the share that had to be written.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.money import percent
from outlay.optimize.bill_rates import claim, evidence_of, share, token_rate
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["PromptCaching"]

_MIN_BEST_SHARE = Decimal("0.2")
_PER_TOKENS = Decimal(1_000_000)


class PromptCaching:
    """One candidate a team, use case and model."""

    id = "prompt-caching"
    order = 80
    rule = (
        "Uncached input tokens of a use case that caches less than half of what the best use case caches on the "
        "same model."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Use cases against the best on the same model."""
        models: dict[tuple[str | None, str], dict[tuple[str, str], list[Line]]] = {}
        for line in spend.lines("direction = 'Input' AND tokens > 0 AND model IS NOT NULL AND cost > 0"):
            owner = (line.team or "no team", line.use_case or "no use case")
            models.setdefault((line.provider, line.model or ""), {}).setdefault(owner, []).append(line)
        for (provider, model), owners in sorted(models.items(), key=str):
            read = token_rate(
                spend, rates, model, provider=provider, direction="Input", cache_action="Read", kind="cache_read"
            )
            full = token_rate(
                spend, rates, model, provider=provider, direction="Input", cache_action="Uncached", tier="standard"
            )
            if read is None or full is None or read.unit_price >= full.unit_price:
                continue
            shares = {owner: _cached_share(lines) for owner, lines in owners.items()}
            best_owner, best = max(shares.items(), key=lambda one: one[1])
            if best < _MIN_BEST_SHARE:
                continue
            for (team, use_case), lines in sorted(owners.items()):
                if shares[team, use_case] * 2 >= best:
                    continue
                uncached = [
                    line
                    for line in lines
                    if line.cache_action == "Uncached" and (line.tier or "standard") == "standard"
                ]
                if not uncached:
                    continue
                gain = best - shares[team, use_case]
                step = (full.unit_price - read.unit_price) / _PER_TOKENS
                yield Candidate(
                    id=f"{self.id}:{team}:{use_case}:{model}",
                    title=f"{team} / {use_case} sends {model} input uncached",
                    basis=(
                        f"{percent(gain)} more of its input read from the cache at {read.unit_price:.4f} instead of "
                        f"{full.unit_price:.4f} per 1M tokens "
                        f"({read.origin}); extra cost of cache writes not subtracted"
                    ),
                    why=f"It reads {percent(shares[team, use_case])} of its input from the cache; {best_owner[0]} / "
                    f"{best_owner[1]} reads {percent(best)} on the same model.",
                    confidence="low",
                    claims=tuple(claim(line, (line.tokens or Decimal(0)) * gain * step) for line in uncached),
                    rows=sum(line.rows for line in uncached),
                    cost=sum((line.cost for line in uncached), Decimal(0)),
                    evidence=evidence_of(spend, uncached),
                    needs="that its prompts share a repeated beginning (prompts are not on a bill)",
                )


def _cached_share(lines: list[Line]) -> Decimal:
    total = sum((line.tokens or Decimal(0) for line in lines), Decimal(0))
    cached = sum((line.tokens or Decimal(0) for line in lines if line.cache_action == "Read"), Decimal(0))
    return share(cached, total) if total else Decimal(0)
