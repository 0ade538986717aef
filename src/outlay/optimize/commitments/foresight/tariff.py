"""Tariff: what a commitment and an hour on demand cost in each hour of a history, as far as the prices have dates.

A purchase of March is to be judged at the prices of March. An offer says from when to when it holds (``valid_from``,
``valid_until``); several entries of one offer are its prices one after another. Where an offer leaves the on-demand
price to the bill, each month has what the bill paid in it.

- A month's own price stands for the price on its first day, on which the plan is made again: what a bill knows of a
  price is the mean of a month.
- A day in the entries of several is the last one's to begin.
- A day that no entry holds on is one on which nobody can buy. On demand costs what it did last.
- Days before the first known price are not tested: there is nothing to buy at, and nothing to hold it against.
- An entry without ``valid_from`` holds since ever: its price is of today, and :attr:`Tariff.words` say so. So it is
  where hours are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from outlay.money import plain
from outlay.optimize.commitments.demand import Demand
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.outlook.price_decline import DatedPrice

__all__ = ["Period", "Tariff", "flat", "tariff_of"]

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Prices from an hour's position on. ``price`` is None where the offer is not for sale; ``offer`` is its entry."""

    start: int
    price: Decimal | None
    on_demand: Decimal
    offer: Offer | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of ``length`` hours; the first period begins with the first of them.

    ``commitment_dated`` and ``on_demand_dated`` tell whether the prices are those of their days; ``skipped`` is how
    many hours there are before the first known price.
    """

    length: int
    periods: tuple[Period, ...]
    commitment_dated: bool = False
    on_demand_dated: bool = False
    billed: bool = False
    skipped: int = 0

    @property
    def constant(self) -> bool:
        """Whether one price holds all the time, of either kind: what the bound of the break-even rule is proven for."""
        return len({(one.price, one.on_demand) for one in self.periods}) == 1

    def at(self, position: int) -> Period:
        """The prices of an hour."""
        return [one for one in self.periods if one.start <= position][-1]

    def stretches(self) -> Iterator[tuple[int, int, Period]]:
        """Each period with its first position and the one after its last."""
        ends = [*(one.start for one in self.periods[1:]), self.length]
        for one, end in zip(self.periods, ends, strict=True):
            yield one.start, end, one

    @property
    def words(self) -> str:
        """Which prices were taken, in a sentence or two."""
        if self.commitment_dated and self.on_demand_dated:
            found = "Prices are those of their days, by valid_from and valid_until of the offers"
            found += ", and of on-demand by the months of the bill." if self.billed else "."
        elif self.on_demand_dated:
            found = (
                "On-demand prices are those that the bill paid month by month; the commitment's is today's, taken for "
                "the whole history, as the offer says no valid_from."
            )
        elif self.commitment_dated:
            found = (
                "The commitment's prices are those of their days; on-demand is what the bill paid of late, taken for "
                "the whole history, as the bill tells no price of one machine by the month."
            )
        else:
            found = (
                "Prices are today's, taken for the whole history: they have no dates. With valid_from in the offers, "
                "one entry for each time, those of their days would be taken."
            )
        if self.skipped:
            found += f" The first {self.skipped:,} hours are not counted: no price of them is known."
        if any(one.price is None for one in self.periods):
            found += " On some days the offer was not for sale: nobody buys then, and on demand costs what it did last."
        return found

    def to_json(self, demand: Demand) -> dict[str, Any]:
        """As the backtest's JSON has it; ``demand`` is of these hours."""
        return {
            "commitment_dated": self.commitment_dated,
            "on_demand_dated": self.on_demand_dated,
            "words": self.words,
            "skipped_hours": self.skipped,
            "periods": [
                {
                    "from": at.isoformat() + "Z" if isinstance(at := demand.at(one.start), datetime) else at,
                    "price": None if one.price is None else plain(one.price),
                    "on_demand_price": plain(one.on_demand),
                }
                for one in self.periods
            ],
        }


def flat(length: int, price: Decimal, on_demand: Decimal) -> Tariff:
    """One price all the time."""
    return Tariff(length, (Period(0, price, on_demand),))


def tariff_of(demand: Demand, entries: Sequence[Offer], billed: Sequence[DatedPrice] = ()) -> Tariff | None:
    """The prices of one offer over a history, from its ``entries``; None where none holds in it.

    ``billed`` are the bill's prices on demand by the month, for entries that leave them to it.
    """
    left_to_bill = bool(billed) and all(one.paid_by_bill for one in entries)
    paid = sorted(billed, key=lambda one: one.on) if left_to_bill else []
    counted = not isinstance(demand.first, datetime)
    days = [date.min] if counted else _edges(demand, entries, [one.on for one in paid])
    periods: list[Period] = []
    last: Decimal | None = None
    held = []
    for day in days:
        offer = _in_force(entries, day) if day > date.min else entries[-1]
        known = [one.price for one in paid if one.on <= day]
        told = known[-1] if known else None if paid or offer is None else offer.on_demand_price
        last = told if told is not None else last
        price = None if offer is None else offer.price
        if last is None or (price is None and not periods):
            continue
        start = 0 if day == date.min else max(0, demand.position(datetime.combine(day, time())))
        found = Period(start, price, last, None if price is None else offer)
        if not periods or (price, last) != (periods[-1].price, periods[-1].on_demand):
            periods.append(found)
        held.append(offer)
    if not periods or periods[0].start >= len(demand):
        return None
    skipped = periods[0].start
    dated = days != [date.min] and all(one is None or one.valid_from is not None for one in held)
    return Tariff(
        length=len(demand) - skipped,
        periods=tuple(Period(one.start - skipped, one.price, one.on_demand, one.offer) for one in periods),
        commitment_dated=dated,
        on_demand_dated=bool(paid) or (dated and not any(one is not None and one.paid_by_bill for one in held)),
        billed=bool(paid),
        skipped=skipped,
    )


def _edges(demand: Demand, entries: Sequence[Offer], months: Sequence[date]) -> list[date]:
    """The days within the history on which a price may change, its first day among them."""
    first, end = demand.first, demand.end
    assert isinstance(first, datetime)
    assert isinstance(end, datetime)
    begins = [date.fromisoformat(one.valid_from) for one in entries if one.valid_from is not None]
    ends = [date.fromisoformat(one.valid_until) + _DAY for one in entries if one.valid_until is not None]
    inside = {day for day in (*begins, *ends, *months) if first.date() < day and datetime.combine(day, time()) < end}
    return sorted({first.date(), *inside})


def _in_force(entries: Sequence[Offer], day: date) -> Offer | None:
    holding = [one for one in entries if one.not_for_sale(day) is None]
    return max(holding, key=lambda one: one.valid_from or "", default=None)
