"""Flexible commitments: insured or cash-back, modelled as what they are, a put on demand with a price and strings.

A standard commitment's unused part is lost. A flexible one pays back a share of it, for a premium: from whom, above
which unused share, how much at most and how late are its terms (:class:`~.offer.Flex`), and they decide what it is
worth. For each settlement period,

    owed = min(cashback x unused GPU-hours x price, cap x the period's cost), if unused / committed > trigger

Where the quantity may be adjusted, the holder lowers it to what was used on average once utilisation fell below
break-even, and never raises it. The vendor's fee comes off a saving, not off a loss. The counterparty is taken to pay:
that it may not is a risk that no figure here has, and the plan says so.
"""

from __future__ import annotations

import itertools
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from outlay.optimize.commitments.demand import HOURS_A_WEEK, Demand, gpus
from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH, Flex, Offer
from outlay.optimize.commitments.outlook.futures import Futures

__all__ = ["flexible_savings", "owed", "paid_back"]

_Floats = NDArray[np.float64]


def owed(flex: Flex, price: float, used: _Floats, committed: _Floats) -> _Floats:
    """What is paid back for a settlement period, in money; ``used`` and ``committed`` are its GPU-hours."""
    unused = committed - used
    paid = np.minimum(float(flex.cashback) * unused * price, float(flex.cap) * committed * price)
    return np.where(unused > float(flex.trigger) * committed, paid * float(flex.worth_of_payout), 0.0)


def flexible_savings(futures: Futures, offer: Offer, gpus: float, value: _Floats, part: _Floats) -> _Floats:
    """The saving of each path. ``value`` is of a GPU-hour in each week, ``part`` how much of it lies in the term."""
    flex = offer.flex
    assert flex is not None
    assert offer.unit_price is not None
    assert offer.price is not None
    price, break_even = float(offer.unit_price), float(offer.break_even_utilization or 0)
    adjust = _edges(offer, flex.adjust_months) if flex.adjust_months else set()
    edges = sorted(_edges(offer, flex.settle_months) | adjust)
    quantity = np.full((futures.paths, 1), gpus)
    saving, used_since, committed_since = (np.zeros(futures.paths) for _ in range(3))
    for first, last in itertools.pairwise(edges):
        weekly = futures.used(quantity, first, last)
        used = weekly @ part[first:last]
        committed = quantity[:, 0] * part[first:last].sum() * HOURS_A_WEEK
        saving += weekly @ (value[first:last] * part[first:last]) - float(offer.price) * committed
        saving += owed(flex, price, used, committed)
        used_since += used
        committed_since += committed
        if last in adjust:
            utilization = used_since / np.maximum(committed_since, 1e-9)
            lower = utilization < break_even
            quantity[lower, 0] *= utilization[lower]
            used_since[:] = committed_since[:] = 0.0
    return np.where(saving > 0, saving * (1 - float(flex.fee_share)), saving)


def paid_back(demand: Demand, offer: Offer, nanos: int) -> Decimal:
    """What ``nanos`` committed under ``offer`` would have been paid back over a history, less the fee; exact.

    Settlement periods are of 730 hours a month from the first hour on; gaps take part in nothing. The quantity is not
    adjusted: what a holder would have done in the past is nobody's to say. 0 for a standard commitment.
    """
    flex = offer.flex
    if flex is None or offer.unit_price is None or offer.price is None or offer.on_demand_price is None:
        return Decimal(0)
    returned = Decimal(0)
    length = flex.settle_months * HOURS_A_MONTH
    for start in range(0, len(demand), length):
        hours = demand.nanos[start : start + length][demand.known[start : start + length]]
        committed = gpus(nanos * len(hours))
        unused = committed - gpus(int(np.minimum(hours, nanos).sum()))
        if unused > flex.trigger * committed:
            returned += min(flex.cashback * unused, flex.cap * committed) * offer.unit_price * flex.worth_of_payout
    used = gpus(int(np.minimum(demand.nanos, nanos).sum()))
    saving = used * offer.on_demand_price - gpus(nanos * demand.hours) * offer.price + returned
    return returned - max(Decimal(0), saving) * flex.fee_share


def _edges(offer: Offer, months: int) -> set[int]:
    """The weeks at which periods of ``months`` months begin, and the end of the term."""
    weeks = -(-offer.term_hours // HOURS_A_WEEK)
    inner = {round(month * HOURS_A_MONTH / HOURS_A_WEEK) for month in range(0, offer.term_months, months)}
    return {week for week in inner if week < weeks} | {weeks}
