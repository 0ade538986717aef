"""Serving demand with commitments, hour by hour, where the bill does not say what they served.

    used in an hour = min(what the commitment's machines needed, what it holds)

The narrowest commitment serves first (one machine, then a family, then any machine of a GPU; a region before none), so
that a wide one is left for what only it can serve. Where scopes lie within each other, no other order uses more.

A commitment of money is spent on the usage with the highest discount first, at its own rate a GPU-hour, until the
promise of the hour is spent; how much that is depends on rates, so without them it is not computable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from outlay.money import MONEY_SCALE, share
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.holdings.billed import Billed
from outlay.optimize.commitments.holdings.held import Held
from outlay.optimize.commitments.ledger_pools.axis import Axis
from outlay.optimize.commitments.ledger_pools.hours import hour_of

__all__ = ["Computed", "Need", "PlanRate", "Served", "compute", "serve"]


@dataclass(frozen=True, slots=True)
class PlanRate:
    """What a GPU-hour costs by a commitment of money, and without it."""

    committed: Decimal
    on_demand: Decimal

    @property
    def discount(self) -> Decimal:
        """``1 - committed / on demand``; nothing where it is no cheaper."""
        return 1 - self.committed / self.on_demand if self.on_demand > 0 else Decimal(0)


@dataclass(slots=True)
class Need:
    """What one part of a pool still needs by the hour, in billionths of a GPU; serving takes it away."""

    pool: str
    gpu: str
    region: str | None
    provider: str | None
    instance_type: str | None
    left: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """What a commitment did by the hour: GPUs that it holds (none for money), and what each need got of it.

    ``used_money`` is in the smallest unit of an amount times a billionth, for commitments of money.
    """

    held: NDArray[np.int64]
    parts: Mapping[int, NDArray[np.int64]]
    used_money: NDArray[np.object_] | None = None

    @property
    def used(self) -> NDArray[np.int64]:
        """Over all needs."""
        total = np.zeros_like(self.held)
        for part in self.parts.values():
            total += part
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """What was computed: by commitment what it served, the hours of it, those of unknown demand, and why not.

    ``covered`` is by pool: what commitments served by the hour, on the bill or computed.
    """

    served: Mapping[str, Served]
    hours: Mapping[str, NDArray[np.bool_]]
    unknown: Mapping[str, NDArray[np.bool_]]
    why: Mapping[str, str]
    covered: Mapping[str, NDArray[np.int64]]


def compute(
    held: Sequence[Held],
    matched: Mapping[str, Sequence[Billed]],
    billed: Sequence[Billed],
    axis: Axis,
    rates: Mapping[str, Mapping[str, PlanRate]],
) -> Computed:
    """Serve with each commitment in the hours of its term that the bill says nothing of it."""
    needs = [
        Need(pool.name, pool.gpu, pool.region, part.provider, part.instance_type, part.nanos - part.named)
        for pool in axis.pools
        for part in pool.parts
    ]
    of_list = {id(b) for told in matched.values() for b in told}
    strangers = [b for b in billed if id(b) not in of_list]
    hours, unknown, why = {}, {}, {}
    for one in held:
        silent = _in_force(one, axis) & ~_on_bill(matched[one.id], axis)
        mine = [pool for pool in axis.pools if one.serves(pool.gpu, pool.region, None, None)]
        known = np.logical_and.reduce([np.ones(axis.length, dtype=np.bool_), *(pool.known for pool in mine)])
        reason = _not_computable(one, matched[one.id], strangers, served_any=bool(mine))
        if reason is None and one.by_money:
            rates = {**rates, one.id: {**_rates(matched[one.id], axis), **rates.get(one.id, {})}}
            if any(pool.name not in rates[one.id] for pool in mine):
                reason = "a commitment of money, and its rates for the GPUs that it serves are not known"
        if reason is not None:
            why[one.id], unknown[one.id] = reason, silent
            continue
        hours[one.id], unknown[one.id] = silent & known, silent & ~known
    served = serve(hours, held, needs, rates)
    covered, place = {}, 0
    for pool in axis.pools:
        line = np.zeros(axis.length, dtype=np.int64)
        for part in pool.parts:
            own = sum((one.parts[place] for one in served.values() if place in one.parts), np.zeros_like(line))
            line += np.maximum(part.committed, part.named + own)
            place += 1
        covered[pool.name] = line
    return Computed(served, hours, unknown, why, covered)


def _in_force(one: Held, axis: Axis) -> NDArray[np.bool_]:
    found = np.zeros(axis.length, dtype=np.bool_)
    start, end = one.hours
    found[max(0, start - axis.first) : max(0, end - axis.first)] = True
    return found


def _on_bill(billed: Sequence[Billed], axis: Axis) -> NDArray[np.bool_]:
    """Hours of the days on which the bill has the commitment."""
    found = np.zeros(axis.length, dtype=np.bool_)
    for day in {day for one in billed for days in one.days.values() for day in days}:
        start = hour_of(datetime(day.year, day.month, day.day)) - axis.first
        found[max(0, start) : max(0, start + 24)] = True
    return found


def _not_computable(
    one: Held, billed: Sequence[Billed], strangers: Sequence[Billed], *, served_any: bool
) -> str | None:
    if one.gpu is None:
        return "a commitment of money to any compute: what other machines take of it is only on the bill"
    if not one.by_money and one.gpus is None:
        return "the list does not say how many GPUs it holds"
    if not served_any:
        return f"the ledger has no demand of {one.gpu} that it could serve: not used, or its bill is not loaded"
    names = [
        b.id
        for b in strangers
        for gpu, region in b.places
        if gpu == one.gpu and (one.region is None or region.casefold() == one.region.casefold())
    ]
    if not billed and names:
        return f"it is on no bill, but {names[0]} is, which the list does not have: they may be one"
    return None


def _rates(billed: Sequence[Billed], axis: Axis) -> dict[str, PlanRate]:
    """What the bill paid by this commitment for GPU-hours of each pool's place, beside the pool's on-demand price."""
    found: dict[str, PlanRate] = {}
    for pool in axis.pools:
        for one in billed:
            days = list(one.days.get(pool.place, {}).values())
            hours = sum((day.used_hours for day in days), Decimal(0))
            price = pool.on_demand
            if hours and price.unit_price is not None and price.currency == one.currency:
                cost = sum((day.used_cost for day in days), Decimal(0))
                found[pool.name] = PlanRate(share(cost, hours), price.unit_price)
    return found


def serve(
    commitments: Mapping[str, NDArray[np.bool_]],
    held: Sequence[Held],
    needs: Sequence[Need],
    rates: Mapping[str, Mapping[str, PlanRate]],
) -> dict[str, Served]:
    """By the id of the commitment; those of money without rates are not in it.

    ``commitments`` has the hours of those to serve with, as many as the needs have. ``rates`` are by commitment and
    pool.
    """
    found: dict[str, Served] = {}
    for one in sorted((one for one in held if one.id in commitments), key=_width):
        force = commitments[one.id]
        mine = [
            (place, need)
            for place, need in enumerate(needs)
            if one.serves(need.gpu, need.region, need.provider, need.instance_type)
        ]
        if not one.by_money and one.gpus is not None and one.gpu is not None:
            found[one.id] = _gpus(np.where(force, one.nanos, 0), mine)
        elif one.by_money and one.hourly_money is not None and mine:
            own = rates.get(one.id, {})
            if all(need.pool in own for _, need in mine):
                found[one.id] = _money(one.hourly_money, force, mine, own)
    return found


def _width(one: Held) -> tuple[bool, int, bool, str]:
    scope = 0 if one.instance_type else 1 if one.family else 2 if one.gpu else 3
    return one.by_money, scope, one.region is None, one.id


def _gpus(held: NDArray[np.int64], mine: Sequence[tuple[int, Need]]) -> Served:
    free, parts = held.copy(), {}
    for place, need in mine:
        taken = np.minimum(free, need.left)
        need.left = need.left - taken
        free -= taken
        parts[place] = taken
    return Served(held, parts)


def _money(
    hourly: Decimal, force: NDArray[np.bool_], mine: Sequence[tuple[int, Need]], rates: Mapping[str, PlanRate]
) -> Served:
    """Whole numbers throughout: money in units of 10^-27, so that a rate times a billionth of a GPU is exact."""
    unit = 10**MONEY_SCALE
    free = force.astype(object) * (int(hourly * unit) * NANOS)
    promised, parts = free.copy(), {}
    for place, need in sorted(mine, key=lambda one: (-rates[one[1].pool].discount, one[0])):
        rate = int(rates[need.pool].committed * unit)
        taken = need.left if not rate else np.minimum(need.left.astype(object), free // rate).astype(np.int64)
        taken = np.where(force, taken, 0)
        free = free - taken.astype(object) * rate
        need.left = need.left - taken
        parts[place] = taken
    return Served(np.zeros(len(force), dtype=np.int64), parts, promised - free)
