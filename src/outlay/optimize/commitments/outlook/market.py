"""The market that a pool's commitment is held against: what the settings say of it, else what dated prices tell.

``price_decline`` of the settings wins over the price history (:mod:`~.price_decline`). Where neither tells, no decline
is assumed, and that is said: it is an assumption, not a finding.

A successor counts where the settings say how much work it does: ``successor_price`` for the work of one GPU-hour of
this pool, or ``successor_speed``, the work of its hour against one of this GPU's, which divides its own dated price:

    price of the same work = price of its GPU-hour / speed

and that price falls by its own history. Without either, what is for sale is listed with its price, and no more: how
fast hardware does *this* work is nothing that a price table or a datasheet knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from outlay.config import PoolSettings
from outlay.money import plain
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.outlook.futures import Market
from outlay.optimize.commitments.outlook.price_decline import DatedPrice, Decline, decline_of
from outlay.optimize.commitments.outlook.price_history import Candidate, PriceHistory

__all__ = ["PoolMarket", "falling_most", "pool_market"]

_DAYS_A_MONTH = 30.4375
_HORIZON_WEEKS = 157
"""Weeks of three years: over which markets of several pools are compared."""


@dataclass(frozen=True, slots=True)
class PoolMarket:
    """``market`` is what the figures use; the rest is what it rests on.

    ``known`` is False where nothing tells how prices go on. ``successor`` is how the successor got its price, and
    ``successor_why`` what keeps one from counting.
    """

    market: Market
    decline: Decline
    successor: str | None = None
    successor_why: str | None = None
    candidates: tuple[tuple[Candidate, Decline], ...] = ()
    of_pool: str | None = None

    @property
    def known(self) -> bool:
        """Whether anything is known of prices to come."""
        return self.decline.monthly is not None or self.market.successor_month is not None

    def to_json(self) -> dict[str, Any]:
        """As the plan's JSON has it."""
        decline = self.decline
        found: dict[str, Any] = {
            "price_decline": _text(decline.monthly),
            "basis": decline.basis,
            "why": None if decline.why is None else f"{decline.why}: no decline is assumed",
            "rose": decline.rose,
            "first_to_last": _text(decline.first_to_last),
            "several_sources": decline.mixed,
            "prices": [_price(one) for one in decline.prices],
            "successor": self.successor,
            "successor_why": self.successor_why,
            "candidates": [_candidate(one, its) for one, its in self.candidates],
        }
        if self.of_pool is not None:
            found["of_pool"] = self.of_pool
        return found


def pool_market(
    said: PoolSettings, history: PriceHistory | None, offers: Sequence[Offer], today: date | None
) -> PoolMarket:
    """Of a pool with these settings and offers. Without a history, only the settings speak."""
    priced = next((one for one in offers if one.on_demand_price), None)
    currency = next((one.currency for one in (priced, *offers) if one is not None), None)
    decline = _decline(said, history, currency)
    found = PoolMarket(Market(float(decline.monthly or 0)), decline)
    if history is not None:
        told = (one for one in history.candidates if currency in (None, one.price.currency))
        found = replace(found, candidates=tuple((one, decline_of(one.prices, one.price.currency)) for one in told))
    if priced is None or priced.on_demand_price is None:
        return found
    return _with_successor(found, said, priced.on_demand_price, priced.currency, today)


def falling_most(markets: Sequence[tuple[str, PoolMarket]]) -> PoolMarket:
    """Of several pools that one commitment serves, the market that falls most: the dearest to be tied to."""
    name, lowest = min(markets, key=lambda one: float(one[1].market.value(_HORIZON_WEEKS).sum()))
    return replace(lowest, of_pool=name)


def _decline(said: PoolSettings, history: PriceHistory | None, currency: str | None) -> Decline:
    if said.price_decline is not None:
        return Decline(said.price_decline, "settings")
    if history is None:
        return Decline(None, why="no price history was read")
    if history.why is not None:
        return Decline(None, why=history.why)
    return decline_of(history.prices, currency)


def _with_successor(
    found: PoolMarket, said: PoolSettings, on_demand: Decimal, currency: str, today: date | None
) -> PoolMarket:
    month = 0
    if said.successor_from is not None and today is not None:
        month = max(0, round((said.successor_from - today).days / _DAYS_A_MONTH))
    name = said.successor or "the successor"
    if said.successor_price is not None:
        market = replace(found.market, successor_month=month, successor_price=float(said.successor_price / on_demand))
        words = f"{name} at {plain(said.successor_price)} {currency} for the work of a GPU-hour (settings)"
        return replace(found, market=market, successor=words)
    if said.successor_speed is None:
        return found
    fitting = [one for one in found.candidates if one[0].gpu == said.successor]
    if not fitting:
        why = f"no price of {name} in the pool's region in {currency}: give successor_price, or a table that has it"
        return replace(found, successor_why=why)
    candidate, its = fitting[0]
    price = candidate.price.price / said.successor_speed
    market = replace(
        found.market,
        successor_month=month,
        successor_price=float(price / on_demand),
        successor_decline=float(its.monthly or 0),
    )
    words = (
        f"{name} at {plain(candidate.price.price)} {currency} a GPU-hour ({candidate.price.source}, "
        f"{candidate.price.on}) / {plain(said.successor_speed)} times the work (settings) = {plain(round(price, 6))}"
    )
    return replace(found, market=market, successor=words)


def _price(one: DatedPrice) -> dict[str, Any]:
    return {
        "on": one.on.isoformat(),
        "per_gpu_hour": plain(one.price),
        "currency": one.currency,
        "machine": one.machine,
        "source": one.source,
    }


def _candidate(one: Candidate, its: Decline) -> dict[str, Any]:
    return {
        "gpu": one.gpu,
        **_price(one.price),
        "stale": one.price.stale,
        "price_decline": _text(its.monthly),
        "price_decline_basis": its.basis,
        "memory_bandwidth_ratio": _text(one.bandwidth_ratio),
        "work_ratio": None,
        "work_ratio_why": "how much more of this pool's work it does in an hour is not known: measure it, and set "
        f'successor = "{one.gpu}" with successor_speed, or successor_price; the ratio of memory bandwidths is a prior '
        "and used for nothing",
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
