"""Buying month by month: what the break-even rule would have cost, and what perfect foresight would have.

A plan that was followed month by month is to be judged between two others. Whoever knew nothing of the future could
have followed the deterministic rule of Wang, Li and Liang (arXiv 1305.5608): rent, and buy when the rent of the last
term reaches the price of buying. Whoever knew all of it could not have done better than the clairvoyant.

Both treat demand level by level. Level l has demand in the hours in which at least l GPUs are needed, and a reservation
is bought for one level and serves that level. It costs a fee, here counted in hours of on-demand:

    fee = price * term / on-demand price                       (price per GPU-hour, term in hours)

- online: count the level's on-demand hours within the trailing term. In the hour in which they reach the fee, reserve
  for a term that starts with that hour, which is then not rented, and start to count anew after it.
- clairvoyant: the cheapest of all choices, by V[t] = min(V[t + 1] + demand in t, V[min(T, t + term)] + fee).

**The bound.** Within a term that the clairvoyant reserved, the rule rents fewer than ``fee`` hours, whole ones:
ceil(fee) - 1; and each of its purchases answers to one of the clairvoyant's, or to ceil(fee) hours that the
clairvoyant rented. So

    online / clairvoyant <= 1 + (ceil(fee) - 1) / fee < 2

and demand that stops after each purchase attains it. No rule without a forecast has a better bound than 2.

**Traps.** Reservations are tied to their levels: one of an upper level serves no lower one whose own has run out. So
purchases of a pool may cost less than the clairvoyant here, and the rule here more than twice the optimum of the pool;
:mod:`pooled` has both rules for a pool. A reservation is paid for its whole term, also where that passes the last hour:
over a history that is short beside the term both rules look dear. An hour of which nothing is known needs no GPU and
costs nothing here, but time passes in it: the trailing term moves on, and so do reservations.

**Exactness.** Hours are counted as integers, GPUs are whole billionths, and prices are multiplied with the sums, once.
What must be compared on the way is hours against a few fees; :func:`_simplest` finds a fee of small integers that
answers all of these comparisons alike. Levels between two neighbouring distinct demands have the same hours, so each of
these steps is computed once and weighs what lies between: fractions of a GPU need no rounding. ``unit`` rounds demand
up to whole units first, for both rules and for what on-demand would have cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from outlay.errors import UsageError
from outlay.optimize.commitments.demand import Demand, gpus

__all__ = ["BOUND", "Bought", "break_even", "clairvoyant", "fee_hours", "in_units", "settled"]

BOUND = 2
"""What the rule may cost at most, as a multiple of the clairvoyant: 2 - a, where reserved hours cost a more; here 0."""
MOST_BYTES = 64 * 2**20
"""Memory of the clairvoyant's tables. Levels are computed in blocks that fit."""
_WIDE = Context(prec=100)


@dataclass(frozen=True, slots=True, eq=False)
class Bought:
    """What a rule bought over a history. ``rented`` and ``committed`` are GPU-hours; ``reservations`` GPUs.

    ``cost`` and ``committed`` have the whole terms, also what passes the last hour; ``owed_after`` is what of the cost
    is for the hours past it. ``reserved`` has the GPUs that are reserved in each hour, in billionths: int64, as long as
    the demand.
    """

    cost: Decimal
    on_demand_cost: Decimal
    reservations: Decimal
    rented: Decimal
    committed: Decimal
    reserved: NDArray[np.int64]
    owed_after: Decimal

    @property
    def within(self) -> Decimal:
        """What of the cost is for the hours of the history: each term counts by its hours in it, as bills amortise."""
        return self.cost - self.owed_after

    @property
    def share(self) -> Decimal | None:
        """Of the cost on demand; None where that is nothing."""
        return self.cost / self.on_demand_cost if self.on_demand_cost else None

    def ratio(self, optimum: Bought) -> Decimal | None:
        """Times the cost of ``optimum`` over the same demand at the same prices; None where that is nothing."""
        assert self.on_demand_cost == optimum.on_demand_cost
        return self.cost / optimum.cost if optimum.cost else None


def break_even(demand: Demand, price: Decimal, on_demand: Decimal, term: int, *, unit: int = 0) -> Bought:
    """The online rule. Prices are per GPU-hour, ``term`` is in hours, ``unit`` in billionths of a GPU (0: none).

    Nothing is ever reserved at a price that is not below on-demand. Raises :class:`UsageError` for a term below an
    hour, for negative prices, and where demand in units is too large to add up.
    """
    fee = fee_hours(price, on_demand, term)
    demand = in_units(demand, unit)
    book = _followed(_Steps.of(demand), term, max(1, ceil(fee)) if fee < term else term + 1)
    return _bought(demand, price, on_demand, term, [book])


def clairvoyant(demand: Demand, price: Decimal, on_demand: Decimal, term: int, *, unit: int = 0) -> Bought:
    """The offline optimum of the same purchases; arguments and errors as in :func:`break_even`.

    Of equally cheap choices it takes the one that reserves later, or not at all.
    """
    fee = _simplest(fee_hours(price, on_demand, term), -(-len(demand) // term))
    demand = in_units(demand, unit)
    return _bought(demand, price, on_demand, term, (_best(some, term, fee) for some in _Steps.of(demand).blocks(term)))


def fee_hours(price: Decimal, on_demand: Decimal, term: int) -> Fraction:
    """In hours of on-demand. A whole term of them is as much as it can matter: then no reservation pays."""
    if term < 1 or price < 0 or on_demand < 0:
        raise UsageError(
            f"a commitment of {term} hours at {price} beside on-demand at {on_demand} can't be computed.",
            hint="Give a term of one hour or more, and prices per GPU-hour that are not negative.",
        )
    return Fraction(price) * term / Fraction(on_demand) if price < on_demand else Fraction(term)


def in_units(demand: Demand, unit: int) -> Demand:
    """Demand rounded up to multiples of ``unit``."""
    return replace(demand, nanos=-(-demand.nanos // unit) * unit) if unit else demand


def _simplest(fee: Fraction, most: int) -> Fraction:
    """A fee with a denominator of at most ``2 * most`` that compares alike: counts of hours with up to ``most`` fees.

    Such a comparison asks on which side of a fraction with a denominator up to ``most`` the fee lies. Where it is none
    of these, the mediant of its two neighbours among them, found down the Stern-Brocot tree, lies between them too.
    """
    if fee.denominator <= most:
        return fee
    low, high = (floor(fee), 1), (floor(fee) + 1, 1)
    while True:
        middle = (low[0] + high[0], low[1] + high[1])
        if middle[1] > most:
            return Fraction(*middle)
        if Fraction(*middle) < fee:
            low = middle
        else:
            high = middle


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """Levels of alike hours from the bottom: ``weights`` in billionths; in hour t the lowest ``needed[t]`` are used."""

    weights: NDArray[np.int64]
    needed: NDArray[np.int64]

    @classmethod
    def of(cls, demand: Demand) -> _Steps:
        tops = np.unique(demand.nanos[demand.nanos > 0])
        return cls(np.diff(tops, prepend=0), np.searchsorted(tops, demand.nanos, side="right"))

    def blocks(self, term: int) -> Iterator[_Steps]:
        """Runs of levels whose tables in :func:`_best` stay within :data:`MOST_BYTES`, or single levels."""
        hours = len(self.needed)
        size = max(1, MOST_BYTES // max(1, 8 * _kept(hours, term) + hours))
        for low in range(0, len(self.weights), size):
            weights = self.weights[low : low + size]
            yield _Steps(weights, np.clip(self.needed - low, 0, len(weights)))


class _Book:
    """Levels' rented hours and reservations, entered hour by hour."""

    __slots__ = ("change", "rented", "steps", "term", "terms", "until")

    def __init__(self, steps: _Steps, term: int) -> None:
        self.steps, self.term = steps, term
        self.until = np.zeros(len(steps.weights), dtype=np.int64)
        self.rented = np.zeros(len(steps.weights), dtype=np.int64)
        self.terms = np.zeros(len(steps.weights), dtype=np.int64)
        self.change = np.zeros(len(steps.needed) + 1, dtype=np.int64)

    def enter(self, hour: int, free: NDArray[np.bool_], due: NDArray[np.intp]) -> None:
        """The hour of the levels in use: those ``free`` of a reservation rent it, but for ``due``, which buy."""
        self.rented[: len(free)] += free
        if len(due):
            assert free[due].all()
            self.rented[due] -= 1
            self.terms[due] += 1
            self.until[due] = hour + self.term
            weight = self.steps.weights[due].sum()
            self.change[hour] += weight
            self.change[min(hour + self.term, len(self.change) - 1)] -= weight


def _followed(steps: _Steps, term: int, enough: int) -> _Book:
    """The online rule: buys in the hour in which a level's rented hours within the trailing term reach ``enough``."""
    book = _Book(steps, term)
    counted = np.zeros(len(steps.weights), dtype=np.int64)
    needed: list[int] = steps.needed.tolist()
    for hour, used in enumerate(needed):
        left = hour - term
        if left >= 0:
            # An hour that leaves the window was counted unless a reservation came after it: one of now or of then.
            leaving = needed[left]
            counted[:leaving] -= book.until[:leaving] <= left
        if used:
            free = book.until[:used] <= hour
            counted[:used] += free
            due = np.flatnonzero(counted[:used] >= enough)
            counted[due] = 0
            book.enter(hour, free, due)
    return book


def _kept(hours: int, term: int) -> int:
    """Of how many hours the values are yet to be read at any time: those a term on, as far as there are any."""
    return max(1, min(term, hours - term))


def _best(steps: _Steps, term: int, fee: Fraction) -> _Book:
    """The dynamic programme from the last hour back, in units of a ``fee.denominator``-th hour; then its choices."""
    hours, levels, kept = len(steps.needed), len(steps.weights), _kept(len(steps.needed), term)
    hour_cost, fee_cost = fee.denominator, fee.numerator
    kind = np.int32 if (hours + term) * hour_cost < 2**31 else np.int64
    value: NDArray[np.integer] = np.zeros(levels, dtype=kind)
    buying = np.empty(levels, dtype=kind)
    ahead = np.empty((kept, levels), dtype=kind)
    buy = np.zeros((hours, levels), dtype=np.bool_)
    needed: list[int] = steps.needed.tolist()
    for hour in range(hours - 1, -1, -1):
        used = needed[hour]
        if used:
            after = hour + term
            np.add(ahead[after % kept, :used] if after < hours else 0, fee_cost, out=buying[:used])
            np.add(value[:used], hour_cost, out=value[:used])
            np.less(buying[:used], value[:used], out=buy[hour, :used])
            np.minimum(buying[:used], value[:used], out=value[:used])
        if hour >= term:
            ahead[hour % kept] = value
    book = _Book(steps, term)
    for hour, used in enumerate(needed):
        if used:
            free = book.until[:used] <= hour
            book.enter(hour, free, np.flatnonzero(free & buy[hour, :used]))
    assert (book.rented * hour_cost + book.terms * fee_cost == value).all()
    return book


def _bought(demand: Demand, price: Decimal, on_demand: Decimal, term: int, books: Iterable[_Book]) -> Bought:
    """Books of all levels as one result."""
    rented = started = 0
    change = np.zeros(len(demand) + 1, dtype=np.int64)
    for book in books:
        rented += int((book.steps.weights * book.rented).sum())
        started += int((book.steps.weights * book.terms).sum())
        change += book.change
    reserved = np.cumsum(change[:-1])
    return settled(demand, price, on_demand, term, rented=rented, started=started, reserved=reserved)


def settled(
    demand: Demand,
    price: Decimal,
    on_demand: Decimal,
    term: int,
    *,
    rented: int,
    started: int,
    reserved: NDArray[np.int64],
) -> Bought:
    """Sums in billionths (GPU-hours rented, GPUs reserved for a term) as money: the one place where prices enter."""
    with localcontext(_WIDE):
        return Bought(
            cost=gpus(rented) * on_demand + gpus(started * term) * price,
            on_demand_cost=gpus(demand.total) * on_demand,
            reservations=gpus(started),
            rented=gpus(rented),
            committed=gpus(started * term),
            reserved=reserved,
            owed_after=(gpus(started * term) - gpus(int(reserved.sum()))) * price,
        )
