"""Coverage of a union: what is owned of its pools and what is bought for all of them, hour by hour.

    covered = sum over hours of (sum over pools of worth_p x min(demand_p, owned_p) + spent) / worth of all demand

``worth_p`` is what a GPU-hour of the pool costs on demand where money is committed, and 1 where GPUs are, so that GPUs
that are owned and money that is promised add up. What is owned serves its own pool alone and comes first. The trap is
to add the two as levels: GPUs owned of a pool that idles would seem to serve the other one. What is bought then serves
what is left, a plan of money at its own rates with the highest discount first, at most what was committed in each hour.

Over the ladder, what is owned ends and more is bought; the most that is covered on any of its days counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import numpy as np

from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.mixture import common
from outlay.optimize.commitments.plan import PoolPlan
from outlay.optimize.commitments.sealed.purchase import Purchase

__all__ = ["union_coverage"]

_NINE = 9


def union_coverage(one: PoolPlan, own: Sequence[Purchase], by_pool: Mapping[str, PoolPlan], hours: int) -> Decimal:
    """The largest share of the last ``hours`` hours' demand that is covered once ``own`` is bought, day by day.

    ``one`` is the plan of a union with demand in them; ``own`` are its purchases by day.
    """
    assert one.union is not None
    pools = [by_pool[name] for name in one.members]
    parts = [part.last(hours) for part in common([pool.demand for pool in pools])]
    needed = np.array([part.nanos / NANOS for part in parts])
    worth = np.ones(len(pools))
    rates = np.ones(len(pools))
    if one.union.by_money:
        told = one.union.rates[one.union.offers.index(own[0].offer)]
        worth = np.array([float(one.union.on_demand[name]) for name in one.members])
        rates = np.array([float(told[name]) for name in one.members])
    by_discount = np.argsort(rates / worth, kind="stable")
    total = float((worth[:, None] * needed).sum())
    most = 0.0
    for step in own:
        held = np.array([_standing(pool, step.on) for pool in pools]) / NANOS
        used = np.minimum(needed, held[:, None])
        left = needed - used
        spare = np.full(needed.shape[1], _committed(own, step))
        for place in by_discount:
            served = np.minimum(left[place], spare / rates[place])
            used[place] += served
            spare -= served * rates[place]
        most = max(most, float((worth[:, None] * used).sum()) / total)
    return Decimal(str(round(most, _NINE)))


def _standing(pool: PoolPlan, on: date | None) -> int:
    """What is owned on a day; all of it where days are not known."""
    return sum(held.nanos for held in pool.owned if held.until is None or on is None or held.until > on)


def _committed(own: Sequence[Purchase], until: Purchase) -> float:
    """What is bought up to a step: GPUs, or the money that the seller bills an hour."""
    bought = [one for one in own if one.step <= until.step]
    return float(sum((one.committed if one.by_money else one.quantity for one in bought), Decimal(0)))
