"""The price list beside LiteLLM's map: where both have a price, do they say the same?

Nobody's list is right everywhere, and an error in one is seldom in the other: what agrees can be relied on, and what
does not is for a person to look up. Compared is what a call would pay: the ordinary price; above each size at which
either list has another price; and batch, priority and flex where both have a price of their own.

A tier that only one list has is a disagreement above its size, as the other would charge less there without a word. A
batch price that only one has is not: without it a batch call is an estimate, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from outlay.prices import genai
from outlay.prices.call import Call
from outlay.prices.genai import Resolved
from outlay.prices.litellm_map import LitellmMap, LitellmModel, PriceKey
from outlay.prices.price_row import PriceRow
from outlay.prices.tokens import TokenPrices

__all__ = ["CrossCheck", "Disagreement", "cross_check"]

_METERS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
_CONTEXTS = ("", "processing=batch", "service_tier=priority", "service_tier=flex")
_PER_MILLION = Decimal("0.000001")
"""Prices per million tokens are compared to six decimals: both lists have what floats left behind."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two prices of one thing, per token. ``above`` is the size of input above which they hold, None for any."""

    provider: str
    key: str
    model: str
    meter: str
    context: str
    above: int | None
    ours: Decimal
    theirs: Decimal
    our_source: str
    their_source: str

    @property
    def ratio(self) -> Decimal:
        """The larger over the smaller."""
        return max(self.ours, self.theirs) / min(self.ours, self.theirs) if min(self.ours, self.theirs) else Decimal(0)


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """The outcome. ``only_*_prices`` count prices, of models that both have, that one list lacks."""

    models: int
    agreements: int
    disagreements: tuple[Disagreement, ...]
    only_our_prices: int
    only_their_prices: int
    only_our_models: tuple[str, ...]
    only_their_models: tuple[str, ...]
    our_version: str
    their_version: str


def cross_check(
    litellm: LitellmMap, at: datetime, *, provider: str | None = None, model: str | None = None
) -> CrossCheck:
    """Compare the list as of ``at``, naive UTC, with the map; models with the largest disagreements come first.

    ``provider`` keeps one provider, ``model`` names that contain it. Models that LiteLLM calls deprecated by then are
    left out.
    """
    prices = TokenPrices()
    seen: set[tuple[str, str]] = set()
    theirs_only: list[str] = []
    compared: list[_Compared] = []
    for entry in litellm.models:
        if not _kept(entry.provider, (entry.key,), provider, model):
            continue
        if entry.deprecated is not None and entry.deprecated <= at.date():
            continue
        found = genai.resolve(entry.provider, entry.model)
        if found is None:
            theirs_only.append(entry.key)
            continue
        seen.add((found.owner, found.model))
        compared.append(_compare(prices, entry, found, at, litellm.version))
    different = sorted((done.disagreements for done in compared if done.disagreements), key=_worst_first)
    return CrossCheck(
        models=len(compared),
        agreements=sum(done.agreements for done in compared),
        disagreements=tuple(one for of_key in different for one in of_key),
        only_our_prices=sum(done.only_ours for done in compared),
        only_their_prices=sum(done.only_theirs for done in compared),
        only_our_models=tuple(_only_ours(seen, provider, model)),
        only_their_models=tuple(theirs_only),
        our_version=genai.version(),
        their_version=litellm.version,
    )


def _worst_first(of_key: list[Disagreement]) -> tuple[Decimal, str, str]:
    return -max(one.ratio for one in of_key), of_key[0].provider, of_key[0].key


def _kept(owner: str, names: Iterable[str], provider: str | None, model: str | None) -> bool:
    if provider is not None and owner != provider.strip().lower():
        return False
    return model is None or any(model.strip().lower() in name.lower() for name in names)


def _only_ours(seen: set[tuple[str, str]], provider: str | None, model: str | None) -> Iterator[str]:
    for owner, name in genai.models():
        if (owner, name) not in seen and _kept(owner, (name,), provider, model):
            yield f"{owner} {name}"


@dataclass(slots=True)
class _Compared:
    disagreements: list[Disagreement]
    agreements: int = 0
    only_ours: int = 0
    only_theirs: int = 0


def _compare(prices: TokenPrices, entry: LitellmModel, found: Resolved, at: datetime, their_version: str) -> _Compared:
    done = _Compared([])
    for meter in _METERS:
        for context in _CONTEXTS:
            wanted = dict(pair.split("=") for pair in context.split(";") if pair)
            call = Call(entry.provider, entry.model, found, at, 0, wanted)
            for above in _sizes(prices, entry, call, meter, context):
                size = 0 if above is None else above + 1
                row = _own(prices.row(Call(entry.provider, entry.model, found, at, size, wanted), meter), context)
                key = _effective(entry, (meter, context, above))
                if row is None or key is None:
                    if above is None:
                        done.only_ours += row is not None
                        done.only_theirs += key is not None
                elif _same(row.unit_price, entry.prices[key]):
                    done.agreements += 1
                else:
                    said = f" ({entry.source})" if entry.source else ""
                    done.disagreements.append(
                        Disagreement(
                            provider=entry.provider,
                            key=entry.key,
                            model=found.model,
                            meter=meter,
                            context=context,
                            above=above,
                            ours=row.unit_price,
                            theirs=entry.prices[key],
                            our_source=row.source,
                            their_source=f"{their_version}{said}",
                        )
                    )
    return done


def _sizes(prices: TokenPrices, entry: LitellmModel, call: Call, meter: str, context: str) -> list[int | None]:
    """Any size, and each above which either list has another price of the meter in the context."""
    ours = {
        row.input_tokens_above
        for row in prices.candidates(call, meter)
        if row.input_tokens_above is not None and row.when == tuple(call.context.items())
    }
    theirs = {size for name, where, size in entry.prices if (name, where) == (meter, context) and size is not None}
    return [None, *sorted(ours | theirs)]


def _own(row: PriceRow | None, context: str) -> PriceRow | None:
    """A price of the meter's and the context's own, and not one that stands in for it."""
    if row is None or row.taken_from is not None or bool(row.when) != bool(context):
        return None
    return row


def _effective(entry: LitellmModel, key: PriceKey) -> PriceKey | None:
    """The price of the map that holds above a size: its highest tier that is not above it."""
    meter, context, above = key
    sizes = [size for name, where, size in entry.prices if (name, where) == (meter, context)]
    fitting = [size for size in sizes if size is None or (above is not None and size <= above)]
    if not fitting:
        return None
    return meter, context, max(fitting, key=lambda size: -1 if size is None else size)


def _same(ours: Decimal, theirs: Decimal) -> bool:
    return abs(ours - theirs) <= _PER_MILLION * _PER_MILLION / 2
