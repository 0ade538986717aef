"""Input tokens that go uncached where the provider sells a cache.

A bill shows how many input tokens were read from the cache and how many were not, but not whether the uncached ones
*repeat*: prompts are not on a bill. So this is always to confirm. The yardstick is the company itself: the best cached
share that another use case of at least a tenth of its size reaches on the same model; what a toy does with a thousand
tokens says nothing about a product. The saving is what a use case below half of that share would have saved at that
share, at the standard tier's cache-read price on this bill. The extra cost of cache writes is not subtracted, so it is
an upper bound and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.money import percent, share
from outlay.optimize.bill_rates import claim, evidence_of, token_rate
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["PromptCaching"]

_MIN_BEST_SHARE = Decimal("0.2")
_YARDSTICK_SIZE = 10
"""A use case is held against those with at least one in so many of its input tokens."""
_PER_TOKENS = Decimal(1_000_000)


class PromptCaching:
    """One candidate a team, use case and model."""

    id = "prompt-caching"
    order = 80
    rule = (
        "Uncached input tokens of a use case that caches less than half of what the best use case of at least a tenth "
        "of its size caches on the same model."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Use cases against the best on the same model."""
        models: dict[tuple[str | None, str], dict[tuple[str, str], list[Line]]] = {}
        for line in spend.lines("direction = 'Input' AND tokens > 0 AND model IS NOT NULL AND cost > 0"):
            owner = (line.team or "no team", line.use_case or "no use case")
            models.setdefault((line.provider, line.model or ""), {}).setdefault(owner, []).append(line)
        for (provider, model), owners in sorted(models.items(), key=str):
            read = token_rate(
                spend,
                rates,
                model,
                provider=provider,
                direction="Input",
                cache_action="Read",
                tier="standard",
                kind="cache_read",
            )
            full = token_rate(
                spend, rates, model, provider=provider, direction="Input", cache_action="Uncached", tier="standard"
            )
            if read is None or full is None or read.unit_price >= full.unit_price:
                continue
            shares = {owner: _cached_share(lines) for owner, lines in owners.items()}
            sizes = {owner: _tokens(lines) for owner, lines in owners.items()}
            for (team, use_case), lines in sorted(owners.items()):
                alike = [owner for owner in owners if sizes[owner] * _YARDSTICK_SIZE >= sizes[team, use_case]]
                best_owner = max(alike, key=lambda owner: shares[owner])
                best = shares[best_owner]
                if best < _MIN_BEST_SHARE or shares[team, use_case] * 2 >= best:
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
    total = _tokens(lines)
    cached = _tokens(line for line in lines if line.cache_action == "Read")
    return share(cached, total) if total else Decimal(0)


def _tokens(lines: Iterable[Line]) -> Decimal:
    return sum((line.tokens or Decimal(0) for line in lines), Decimal(0))
