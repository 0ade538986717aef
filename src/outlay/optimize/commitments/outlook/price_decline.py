"""By how much a month a GPU gets cheaper, from dated prices of its hour.

A commitment's price is fixed for its term, the market's is not: AWS' p5.48xlarge went from 98.32 to 55.04 an hour. The
decline is estimated from prices of one kind, the first that can tell: the bill, the user's price file, tables. Of
tables one source alone, if one alone can tell; else several together, which is said.

    decline = 1 - exp(slope * min(1, months of history / 12))
    slope   = median over pairs of (ln later price - ln earlier price) / months between

is the Theil-Sen slope; a month has 730 hours. A pair is two prices of *one machine at one seller in one place and
currency*, sixty days apart or more: the mean price of a pool also falls when its work moves to a cheaper machine, or a
list for all regions is followed by one for this, and neither is a price cut; and what moved within days is no rate by
the month. A rise counts as no change, as growth does in :mod:`~.futures`.

The traps. Prices fall in steps, years apart. A history of a few months that saw one would tell it as a fall by as much
every few months; so what less than a year of it tells is taken as the year's. And the single recent cut is in today's
price already: the median over a year passes over it. So the rate from the first to the last price, as it was, stands
beside the estimate.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH

__all__ = ["LEAST_DAYS", "DatedPrice", "Decline", "Kind", "decline_of"]

LEAST_DAYS = 60
"""Days between two prices of a machine, below which they tell no decline."""
_YEAR_MONTHS = 12
_SIX = Decimal("0.000001")

Kind = Literal["bill", "price file", "catalogue"]
_KINDS: tuple[Kind, ...] = ("bill", "price file", "catalogue")


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A GPU-hour on demand cost ``price`` on a day, in a machine of a seller (``aws p5.48xlarge``).

    ``everywhere``: the price is for all regions, not for the one that was asked for.
    """

    on: date
    price: Decimal
    currency: str
    kind: Kind
    source: str
    machine: str
    stale: bool = False
    everywhere: bool = False

    @property
    def sold(self) -> tuple[str, bool]:
        """What a later price must be of to be this one's."""
        return self.machine, self.everywhere


@dataclass(frozen=True, slots=True)
class Decline:
    """``monthly`` is the share by which the price falls a month, 0 where it rose; None with a ``why``.

    ``basis`` names the source and the days; ``first_to_last`` is the rate between the first and the last price of the
    machine with the longest history, below 0 for a rise.
    """

    monthly: Decimal | None
    basis: str | None = None
    why: str | None = None
    prices: tuple[DatedPrice, ...] = ()
    first_to_last: Decimal | None = None
    rose: bool = False
    mixed: bool = False


def decline_of(prices: Iterable[DatedPrice], currency: str | None) -> Decline:
    """The monthly decline of prices in ``currency``; of those in the only one there is, where None is asked for."""
    told = list(prices)
    currencies = sorted({one.currency for one in told})
    if currency is None and len(currencies) > 1:
        return Decline(None, why=f"the dated prices are in several currencies ({', '.join(currencies)})")
    told = [one for one in told if currency in (None, one.currency)]
    for kind in _KINDS:
        of_kind = [one for one in told if one.kind == kind]
        for group, mixed in _groups(of_kind):
            if found := _estimate(group, mixed):
                return found
    if len({(one.sold, one.on) for one in told}) < 2:
        return Decline(None, why="fewer than two dated prices", prices=tuple(told))
    return Decline(None, why=f"no machine has two dated prices {LEAST_DAYS} days apart", prices=tuple(told))


def _groups(prices: Sequence[DatedPrice]) -> Iterable[tuple[list[DatedPrice], bool]]:
    """The prices of each source, the longest history first; then all of them, where there are several sources."""
    by_source: dict[str, list[DatedPrice]] = {}
    for one in prices:
        by_source.setdefault(one.source, []).append(one)
    yield from ((group, False) for group in sorted(by_source.values(), key=_days, reverse=True))
    if len(by_source) > 1:
        yield list(prices), True


def _estimate(prices: Sequence[DatedPrice], mixed: bool) -> Decline | None:
    by_machine: dict[tuple[str, bool], list[DatedPrice]] = {}
    for one in sorted(prices, key=lambda one: one.on):
        by_machine.setdefault(one.sold, []).append(one)
    used = [group for group in by_machine.values() if _days(group) >= LEAST_DAYS]
    if not used:
        return None
    slopes = [
        math.log(later.price / earlier.price) / _months(earlier, later)
        for group in used
        for earlier, later in itertools.combinations(group, 2)
        if (later.on - earlier.on).days >= LEAST_DAYS
    ]
    longest = max(used, key=_days)
    first, last = longest[0], longest[-1]
    slope = statistics.median(slopes) * min(1.0, _months(first, last) / _YEAR_MONTHS)
    receipt = tuple(one for group in used for one in group)
    return Decline(
        monthly=max(Decimal(0), _fall(slope)),
        basis=_basis(receipt, mixed),
        prices=receipt,
        first_to_last=_fall(math.log(last.price / first.price) / _months(first, last)),
        rose=slope > 0,
        mixed=mixed,
    )


def _days(prices: Sequence[DatedPrice]) -> int:
    """The longest history of one machine among them."""
    days: dict[tuple[str, bool], list[date]] = {}
    for one in prices:
        days.setdefault(one.sold, []).append(one.on)
    return max((max(found) - min(found)).days for found in days.values())


def _months(earlier: DatedPrice, later: DatedPrice) -> float:
    return (later.on - earlier.on).days * 24 / HOURS_A_MONTH


def _fall(slope: float) -> Decimal:
    return Decimal(repr(1 - math.exp(slope))).quantize(_SIX) + 0


def _basis(prices: Sequence[DatedPrice], mixed: bool) -> str:
    first, last, kind = min(one.on for one in prices), max(one.on for one in prices), prices[0].kind
    if kind == "bill":
        return f"bill {first:%Y-%m} to {last:%Y-%m}"
    names = " and ".join(sorted({one.source for one in prices}))
    return f"{'several sources together, ' if mixed else ''}{kind} {names}, {first} to {last}"
