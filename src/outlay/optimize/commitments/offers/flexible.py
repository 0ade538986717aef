"""Flexible commitments: insured or cash-back, modelled as what they are, a put on demand with a price and strings.

A standard commitment's unused part is lost. A flexible one pays back a share of it, for a premium: from whom, above
which unused share, how much at most and how late are its terms (:class:`~.offer.Flex`), and they decide what it is
worth. For each settlement period,

    owed = min(cashback x unused GPU-hours x price, cap x the period's cost), if unused / committed > trigger

Where the quantity may be adjusted, the holder lowers it to what was used on average once utilisation fell below the
price's share of on-demand, whatever is paid back, and never raises it. The vendor's fee comes off a saving, not off a
loss. The counterparty is taken to pay: that it may not is a risk that no figure here has, and the plan says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from outlay.optimize.commitments.demand import HOURS_A_WEEK, Demand, gpus
from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH, Flex, Offer
from outlay.optimize.commitments.outlook.futures import Futures

__all__ = ["CashFlow", "flexible_savings", "owed", "owed_back", "paid_back", "payouts", "settled"]

_Floats = NDArray[np.float64]


def owed(flex: Flex, price: float, used: _Floats, committed: _Floats) -> _Floats:
    """What is paid back for a settlement period, in money; ``used`` and ``committed`` are its GPU-hours."""
    unused = committed - used
    paid = np.minimum(float(flex.cashback) * unused * price, float(flex.cap) * committed * price)
    return np.where(unused > float(flex.trigger) * committed, paid * float(flex.worth_of_payout), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class CashFlow:
    """Money by the end of each week (at ``hours``): ``avoided`` on demand and ``paid``, both since the start.

    ``payouts`` are ``(hours from the start, amount)``, each when it arrives: after its lag, so some after the term.
    """

    hours: _Floats
    avoided: _Floats
    paid: _Floats
    payouts: tuple[tuple[int, float], ...]

    def earned_by(self, hours: int) -> bool:
        """Whether what was avoided and what was paid back by then reach what was paid."""
        back = sum(amount for arrived, amount in self.payouts if arrived <= hours)
        at = np.concatenate([[0.0], self.hours])
        avoided = np.interp(hours, at, np.concatenate([[0.0], self.avoided]))
        paid = np.interp(hours, self.hours, self.paid)
        return bool(avoided + back >= paid * (1 - 1e-12))


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """A settlement period of the paths: the weeks ``[first, last)``, ``used`` and ``committed`` GPU-hours of each path.

    ``avoided`` is what the used hours would have cost, ``payout`` what is owed for the unused ones: money, a path each.
    ``used`` is by week, paths x weeks.
    """

    first: int
    last: int
    used: _Floats
    committed: _Floats
    avoided: _Floats
    payout: _Floats


def settled(
    futures: Futures, offer: Offer, gpus: float, value: _Floats, part: _Floats, *, needed: _Floats | None = None
) -> Iterator[Settled]:
    """The periods of a flexible commitment's term in these futures.

    ``value`` is of a GPU-hour in each week, ``part`` how much of it lies in the term, ``needed`` in how much of that
    there is any demand: all of it unless given.
    """
    flex = offer.flex
    assert flex is not None
    assert offer.unit_price is not None
    price, break_even = float(offer.unit_price), float(offer.price_ratio or 0)
    adjust = _edges(offer, flex.adjust_months) if flex.adjust_months else set()
    edges = sorted(_edges(offer, flex.settle_months) | adjust)
    quantity = np.full((futures.paths, 1), gpus)
    used_since, committed_since = (np.zeros(futures.paths) for _ in range(2))
    inside = part if needed is None else part * needed
    for first, last in itertools.pairwise(edges):
        weekly = futures.used(quantity, first, last) * inside[first:last]
        used = weekly.sum(axis=1)
        committed = quantity[:, 0] * part[first:last].sum() * HOURS_A_WEEK
        yield Settled(first, last, weekly, committed, weekly @ value[first:last], owed(flex, price, used, committed))
        used_since += used
        committed_since += committed
        if last in adjust:
            utilization = used_since / np.maximum(committed_since, 1e-9)
            lower = utilization < break_even
            quantity[lower, 0] *= utilization[lower]
            used_since[:] = committed_since[:] = 0.0


def flexible_savings(
    futures: Futures, offer: Offer, gpus: float, value: _Floats, part: _Floats, *, needed: _Floats | None = None
) -> _Floats:
    """The saving of each path, less the fee; the arguments are those of :func:`settled`."""
    assert offer.flex is not None
    assert offer.price is not None
    saving = np.zeros(futures.paths)
    for one in settled(futures, offer, gpus, value, part, needed=needed):
        saving += one.avoided - float(offer.price) * one.committed + one.payout
    return np.where(saving > 0, saving * (1 - float(offer.flex.fee_share)), saving)


def payouts(futures: Futures, offer: Offer, gpus: float, value: _Floats, part: _Floats) -> CashFlow:
    """The money of a flexible commitment as it moves, on average over the paths: without the fee and interest."""
    flex = offer.flex
    assert flex is not None
    assert offer.bound_price is not None
    avoided, committed, arriving = np.zeros(len(part)), np.zeros(len(part)), []
    worth = float(flex.worth_of_payout)
    for one in settled(futures, offer, gpus, value, part):
        weeks = slice(one.first, one.last)
        avoided[weeks] = one.used.mean(axis=0) * value[weeks]
        committed[weeks] = one.committed.mean() * part[weeks] / part[weeks].sum()
        month = round(one.last * HOURS_A_WEEK / HOURS_A_MONTH)
        arriving.append((month * HOURS_A_MONTH + flex.payout_lag_days * 24, float(one.payout.mean()) / worth))
    upfront, bound = float(offer.upfront), float(offer.bound_price)
    return CashFlow(
        hours=np.cumsum(part) * HOURS_A_WEEK,
        avoided=np.cumsum(avoided),
        paid=bound * (upfront * gpus * offer.term_hours + (1 - upfront) * np.cumsum(committed)),
        payouts=tuple(arriving),
    )


def owed_back(demand: Demand, offer: Offer, nanos: int) -> Decimal:
    """What ``nanos`` committed under ``offer`` would have been paid back over a history, before the fee; exact.

    Settlement periods are of 730 hours a month from the first hour on; gaps take part in nothing. The quantity is not
    adjusted: what a holder would have done in the past is nobody's to say. 0 for a standard commitment.
    """
    flex = offer.flex
    if flex is None or offer.unit_price is None:
        return Decimal(0)
    returned = Decimal(0)
    length = flex.settle_months * HOURS_A_MONTH
    for start in range(0, len(demand), length):
        hours = demand.nanos[start : start + length][demand.known[start : start + length]]
        committed = gpus(nanos * len(hours))
        unused = committed - gpus(int(np.minimum(hours, nanos).sum()))
        if unused > flex.trigger * committed:
            returned += min(flex.cashback * unused, flex.cap * committed) * offer.unit_price * flex.worth_of_payout
    return returned


def paid_back(demand: Demand, offer: Offer, nanos: int) -> Decimal:
    """:func:`owed_back` less the fee, which is a share of a saving; exact."""
    flex = offer.flex
    if flex is None or offer.price is None or offer.on_demand_price is None:
        return Decimal(0)
    returned = owed_back(demand, offer, nanos)
    used = gpus(int(np.minimum(demand.nanos, nanos).sum()))
    saving = used * offer.on_demand_price - gpus(nanos * demand.hours) * offer.price + returned
    return returned - max(Decimal(0), saving) * flex.fee_share


def _edges(offer: Offer, months: int) -> set[int]:
    """The weeks at which periods of ``months`` months begin, and the end of the term."""
    weeks = -(-offer.term_hours // HOURS_A_WEEK)
    inner = {round(month * HOURS_A_MONTH / HOURS_A_WEEK) for month in range(0, offer.term_months, months)}
    return {week for week in inner if week < weeks} | {weeks}
