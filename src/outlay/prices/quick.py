"""What one call cost as a whole number of 10 to the -18 of its currency, fast enough to settle each call of a gateway.

The answer is always that of :meth:`TokenPrices.price`, which is asked once for each kind of call: names, circumstances,
bracket of size and the meters that the call counts. Its unit prices, doubts and reasons hold for every call of that
kind until a price changes, so the rest is a sum of integer products. What isn't of a kind is left to it each time:
inner calls, usage that adds up calls, and seconds, of which some models bill a least number.

The trap: the reason why a call is unpriced names its time, and the doubt about a count that was not understood names
the count. Both are put in anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_CEILING, Context
from operator import mul
from typing import Literal

from outlay.ledger.meters import METERS
from outlay.money import MONEY_SCALE
from outlay.prices import genai
from outlay.prices.call import Call
from outlay.prices.cuts import EVER, Cuts, Recent, cuts
from outlay.prices.price_row import whole_price
from outlay.prices.tokens import UNREAD, TokenPrices
from outlay.prices.usage import Usage

__all__ = ["Cost", "QuickPrices"]

_UP = Context(prec=200, rounding=ROUND_CEILING)
_MOST_KINDS = 256
_SECONDS = frozenset(meter for meter, unit in METERS.items() if unit == "second")
_Kind = tuple[int, tuple[str, ...], tuple[tuple[str, str], ...]]
"""Bracket of size, meters and circumstances."""


@dataclass(frozen=True, slots=True)
class Cost:
    """As :class:`outlay.prices.tokens.Priced`; ``amount`` is in 10 to the -18 of ``currency``, None if unpriced.

    Seconds times an hourly price may have more decimals: such an amount is rounded up.
    """

    amount: int | None
    currency: str | None
    price_version: str
    estimated: bool
    why: str | None

    @property
    def status(self) -> Literal["priced", "unpriced"]:
        """Whether there is an amount."""
        return "unpriced" if self.amount is None else "priced"


@dataclass(frozen=True, slots=True)
class _Terms:
    """What calls of one kind have in common: a unit price a meter, or None where they are unpriced at ``stamp``."""

    prices: tuple[int, ...] | None
    currency: str | None
    price_version: str
    why: str | None
    stamp: str


@dataclass(slots=True)
class _Names:
    """What is known of calls of two names, from ``since`` to before ``until``."""

    cuts: Cuts
    since: datetime = EVER
    until: datetime = EVER
    kinds: dict[_Kind, _Terms] = field(default_factory=dict)


class QuickPrices:
    """Costs by :class:`TokenPrices`, remembered by kind of call for the last ``most`` pairs of provider and model."""

    def __init__(self, prices: TokenPrices, most: int = 1024) -> None:
        self._prices = prices
        self._names: Recent[tuple[str, str], _Names] = Recent(most)

    def cost(
        self, usage: Usage, provider: str, model: str, at: datetime, context: Mapping[str, str] | None = None
    ) -> Cost:
        """What :meth:`TokenPrices.price` says that the call cost."""
        if usage.inner or usage.bucket or at.tzinfo is not None:
            return self._alone(usage, provider, model, at, context)
        names = self._names.recall((provider, model))
        if names is None:
            names = self._names.keep((provider, model), _Names(self._cuts(provider, model, at)))
        if not names.since <= at < names.until:
            names.since, names.until = names.cuts.around(at)
            names.kinds.clear()
        meters = usage.meters
        told = tuple({**usage.context, **(context or {})}.items()) if usage.context or context else ()
        kind = (names.cuts.bracket(usage.input_tokens), tuple(meters), told)
        terms = names.kinds.get(kind)
        if terms is None:
            if not _SECONDS.isdisjoint(meters):
                return self._alone(usage, provider, model, at, context)
            if len(names.kinds) >= _MOST_KINDS:
                names.kinds.clear()
            terms = names.kinds[kind] = self._terms(usage, provider, model, at, context)
        if terms.prices is None:
            unpriced = str(terms.why).replace(terms.stamp, _stamp(at))
            return Cost(None, None, terms.price_version, False, unpriced)
        amount = sum(map(mul, meters.values(), terms.prices))
        if type(amount) is not int:  # a quantity was a Decimal, which the product has rounded
            return self._alone(usage, provider, model, at, context)
        why = terms.why if not usage.remarks else _with_unread(terms.why, usage)
        return Cost(amount, terms.currency, terms.price_version, why is not None, why)

    def _alone(self, usage: Usage, provider: str, model: str, at: datetime, context: Mapping[str, str] | None) -> Cost:
        priced = self._prices.price(usage, provider, model, at, context)
        amount = None if priced.cost is None else int(_UP.to_integral_value(_UP.scaleb(priced.cost, MONEY_SCALE)))
        return Cost(amount, priced.currency, priced.price_version, priced.estimated, priced.why)

    def _cuts(self, provider: str, model: str, at: datetime) -> Cuts:
        call = Call(provider, model, genai.resolve(provider, model), at, 0, {})
        return cuts(call, (row for meter in METERS for row in self._prices.candidates(call, meter)))

    def _terms(
        self, usage: Usage, provider: str, model: str, at: datetime, context: Mapping[str, str] | None
    ) -> _Terms:
        priced = self._prices.price(replace(usage, remarks=()), provider, model, at, context)
        known = {line.meter: whole_price(line.unit_price) for line in priced.lines if line.unit_price is not None}
        prices = None if priced.cost is None else tuple(known.get(meter, 0) for meter in usage.meters)
        return _Terms(prices, priced.currency, priced.price_version, priced.why, _stamp(at))


def _stamp(at: datetime) -> str:
    return f" at {at.isoformat()}Z."


def _with_unread(why: str | None, usage: Usage) -> str | None:
    unread = [remark.message.rstrip(".") for remark in usage.remarks if remark.code == UNREAD]
    return "; ".join(dict.fromkeys([why, *unread] if why is not None else unread)) or None
