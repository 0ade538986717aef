"""Days of a place and sums of a commitment, from the bill and from what was computed beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outlay.money import MONEY_SCALE, add_exactly
from outlay.optimize.commitments.demand import NANOS, gpus
from outlay.optimize.commitments.holdings.billed import Billed, BilledDay, Place
from outlay.optimize.commitments.holdings.held import Held
from outlay.optimize.commitments.holdings.ownership import CommitmentUse, Holding, Use
from outlay.optimize.commitments.holdings.serving import Computed
from outlay.optimize.commitments.ledger_pools.axis import Axis
from outlay.optimize.commitments.ledger_pools.hours import moment_of
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN

__all__ = ["commitment_uses", "holdings"]

_ZERO = Decimal(0)
_STEP = Decimal(1).scaleb(-MONEY_SCALE)
_MONEY_UNIT = 10**MONEY_SCALE * NANOS
_NO_DEMAND = "no demand is known of its hours"


@dataclass(slots=True)
class _Sums:
    """A day of a place while it is added up. What is None stays None."""

    owned: Decimal | None = _ZERO
    used: Decimal | None = _ZERO
    unused: Decimal | None = _ZERO
    costs: dict[str, Decimal] = field(default_factory=dict)
    unpriced: bool = False
    bases: set[str] = field(default_factory=set)
    whys: list[str] = field(default_factory=list)

    def add(self, used: Decimal | None, unused: Decimal | None) -> None:
        """GPU-hours of a commitment."""
        both = None if used is None or unused is None else add_exactly((used, unused))
        self.owned, self.used, self.unused = (
            None if one is None or more is None else add_exactly((one, more))
            for one, more in ((self.owned, both), (self.used, used), (self.unused, unused))
        )

    def pay(self, currency: str, amount: Decimal) -> None:
        """Unused money of a commitment."""
        self.costs[currency] = add_exactly((self.costs.get(currency, _ZERO), amount))

    def miss(self, why: str) -> None:
        """Something is not known."""
        self.unpriced = True
        if why not in self.whys:
            self.whys.append(why)


@dataclass(frozen=True, slots=True)
class _Day:
    """What a commitment was computed to do in a day."""

    used: Decimal
    unused: Decimal
    used_cost: Decimal | None
    unused_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class _Told:
    """All that is told of commitments: by the bill, and computed by day; ``bound`` has those of the list by place."""

    billed: Sequence[Billed]
    bound: Mapping[Place, Sequence[Held]]
    days: Mapping[str, Mapping[date, _Day]]

    def at(self, place: Place, computed: Computed, axis: Axis) -> tuple[dict[date, _Sums], tuple[str, ...]]:
        """The days of a place, and the commitments that took part in them."""
        sums: dict[date, _Sums] = {}
        names: dict[str, None] = {}
        for bill in self.billed:
            for day, one in bill.days.get(place, {}).items():
                names[bill.id] = None
                _add_billed(sums.setdefault(day, _Sums()), bill, one)
        for own in self.bound.get(place, ()):
            unknown, days = _by_day(computed.unknown[own.id], axis), self.days.get(own.id, {})
            if days or unknown:
                names[own.id] = None
            for day, done in days.items():
                _add_computed(sums.setdefault(day, _Sums()), own, done)
            for day in unknown.keys() - days.keys():
                short = sums.setdefault(day, _Sums())
                short.miss(f"{own.id}: {computed.why.get(own.id, _NO_DEMAND)}")
                short.add(None, None)
        return sums, tuple(names)


def holdings(axis: Axis, held: Sequence[Held], billed: Sequence[Billed], computed: Computed) -> tuple[Holding, ...]:
    """Places with demand or commitments, in the order of their names."""
    bound: dict[Place, list[Held]] = {}
    for one in held:
        if one.gpu is not None and (one.id in computed.hours or computed.unknown[one.id].any()):
            bound.setdefault(axis.place_of(one.gpu, one.region), []).append(one)
    days = {one.id: _computed_days(one, computed, axis) for one in held}
    places = {pool.place for pool in axis.pools} | set(bound) | {place for one in billed for place in one.places}
    told = _Told(billed, bound, days)
    return tuple(_holding(place, axis, told, computed) for place in sorted(places))


def _holding(place: Place, axis: Axis, told: _Told, computed: Computed) -> Holding:
    pools = [pool for pool in axis.pools if pool.place == place]
    sums, names = told.at(place, computed, axis)
    demand, covered, known = (
        _by_day(line, axis)
        for line in (
            np.add.reduce([_none(axis), *(pool.nanos for pool in pools)]),
            np.add.reduce([_none(axis), *(computed.covered[pool.name] for pool in pools)]),
            np.logical_and.reduce([np.full(axis.length, bool(pools)), *(pool.known for pool in pools)]),
        )
    )
    found = {}
    for day in sorted(sums.keys() | known.keys()):
        one, hours = sums.get(day) or _Sums(), known.get(day, 0)
        whys = list(one.whys)
        if not hours and pools:
            whys.append("no demand is known of this day")
        if len(one.costs) > 1:
            whys.append(f"unused in several currencies, never added: {', '.join(sorted(one.costs))}")
        currency = next(iter(one.costs)) if len(one.costs) == 1 else None
        found[day] = Use(
            hours=hours,
            demand=gpus(demand.get(day, 0)),
            covered=gpus(covered.get(day, 0)),
            owned=one.owned,
            used=one.used,
            unused=one.unused,
            unused_cost=None if one.unpriced or len(one.costs) > 1 else add_exactly(one.costs.values()),
            currency=currency,
            basis="both" if len(one.bases) > 1 else next(iter(one.bases), None),
            why="; ".join(whys) or None,
        )
    return Holding(place[0], place[1], tuple(pool.name for pool in pools), names, found)


def _none(axis: Axis) -> NDArray[np.int64]:
    return np.zeros(axis.length, dtype=np.int64)


def _add_billed(into: _Sums, bill: Billed, one: BilledDay) -> None:
    into.bases.add("bill")
    into.pay(bill.currency, one.unused_cost)
    if bill.category == "Spend":
        return  # money holds no GPUs
    into.add(one.used_hours, one.unused_hours)
    if one.unused_hours is None:
        into.whys.append(f"{bill.id}: the bill does not say how many GPUs were unused")


def _add_computed(into: _Sums, own: Held, done: _Day) -> None:
    into.bases.add("computed")
    if not own.by_money:
        into.add(done.used, done.unused)
    if done.unused_cost is None or own.currency is None:
        into.miss(f"{own.id}: {own.cost_why}")
    else:
        into.pay(own.currency, done.unused_cost)


def _computed_days(own: Held, computed: Computed, axis: Axis) -> dict[date, _Day]:
    """The days in which it was computed; none where it was not."""
    if (served := computed.served.get(own.id)) is None:
        return {}
    used, held = _by_day(served.used, axis), _by_day(served.held, axis)
    money = {} if served.used_money is None else _by_day(served.used_money, axis)
    found = {}
    for day, number in _by_day(computed.hours[own.id], axis).items():
        taken, whole = used.get(day, 0), held.get(day, 0)
        if own.by_money:
            assert own.hourly_money is not None
            spent = Decimal(money.get(day, 0)) / _MONEY_UNIT
            found[day] = _Day(gpus(taken), _ZERO, spent, own.hourly_money * number - spent)
        else:
            costs = (_cost(own, taken), _cost(own, whole - taken))
            found[day] = _Day(gpus(taken), gpus(whole - taken), *costs)
    return found


def _cost(own: Held, nanos: int) -> Decimal | None:
    """What so many billionths of a GPU-hour of a commitment cost, at 18 decimals."""
    if own.hourly_cost is None or not own.gpus:
        return None
    with localcontext(prec=60):
        return (own.hourly_cost * gpus(nanos) / own.gpus).quantize(_STEP)


def _by_day(line: NDArray[Any], axis: Axis) -> dict[date, int]:
    """Sums of hours by day, days without any left out."""
    if not axis.length:
        return {}
    padded = np.pad(line if line.dtype != np.bool_ else line.astype(np.int64), (0, -axis.length % 24))
    sums = padded.reshape(-1, 24).sum(axis=1)
    first = moment_of(axis.first).date()
    return {first + timedelta(days=int(number)): int(sums[number]) for number in np.flatnonzero(sums)}


def commitment_uses(
    held: Sequence[Held],
    matched: Mapping[str, Sequence[Billed]],
    billed: Sequence[Billed],
    computed: Computed,
    axis: Axis,
    *,
    spread: Collection[str],
) -> tuple[CommitmentUse, ...]:
    """Commitments of the list that were in force or are on the bill, and those that only the bill has.

    ``spread`` names the pools whose demand is not told by the hour.
    """
    of_list = {id(one) for told in matched.values() for one in told}
    found = []
    for own in held:
        told, days = matched[own.id], _computed_days(own, computed, axis)
        missing = bool(computed.unknown[own.id].any())
        if told or days or missing:
            one = _use(own, told, days, missing=missing, why=computed.why.get(own.id))
            serves = (pool.name for pool in axis.pools if own.serves(pool.gpu, pool.region, None, None))
            found.append(replace(one, unused_at_least=bool(days) and not set(spread).isdisjoint(serves)))
    found += [_use(None, (one,), {}, missing=False, why=None) for one in billed if id(one) not in of_list]
    return tuple(sorted(found, key=lambda one: (one.gpu or "~", one.region or "", one.id)))


def _use(
    own: Held | None, told: Sequence[Billed], days: Mapping[date, _Day], *, missing: bool, why: str | None
) -> CommitmentUse:
    sums = [one.total(of_gpus=True) for one in told]
    others = [one.total(of_gpus=False) for one in told]
    whys = [f"not known in some hours: {why or _NO_DEMAND}"] if missing and (told or days) else []
    whys += [why or _NO_DEMAND] if missing and not whys else []
    currencies = {one.currency for one in told} | ({own.currency} if own and own.currency and days else set())
    if len(currencies) > 1:
        whys.append(f"paid in several currencies, never added: {', '.join(sorted(currencies))}")
    if days and own is not None and own.cost_why and not own.by_money:
        whys.append(own.cost_why)
    if any(one.unused_hours is None for one in sums):
        whys.append("the bill does not say how many GPUs were unused")
    nothing = not told and not days
    places = {place for one in told for place in one.places}
    gpu, region = places.copy().pop() if len(places) == 1 else (None, None)
    bill = told[0] if told else None
    of_days = list(days.values())
    return CommitmentUse(
        id=own.id if own else bill.id if bill else "",
        name=bill.name if bill else None,
        kind=(own.kind if own else None) or (bill.kind if bill else None),
        category=own.category if own else bill.category if bill else None,
        provider=(own.provider if own else None) or (bill.provider if bill else None),
        gpu=own.gpu if own and own.gpu else gpu,
        region=own.region if own and own.region else None if region == UNKNOWN else region,
        instance_type=own.instance_type if own else None,
        gpus=own.gpus if own else None,
        since=own.since if own else None,
        until=own.until if own else None,
        status=own.status if own else None,
        hourly_cost=own.hourly_cost if own else None,
        currency=currencies.pop() if len(currencies) == 1 else own.currency if own and not currencies else None,
        told_by="both" if own and told else "list" if own else "bill",
        sources=own.sources if own else (),
        basis="both" if told and days else "bill" if told else "computed" if days else None,
        used=None if nothing else _added([*(one.used_hours for one in sums), *(one.used for one in of_days)]),
        unused=None if nothing else _added([*(one.unused_hours for one in sums), *(one.unused for one in of_days)]),
        used_cost=None
        if nothing or len(currencies) > 1
        else _added([*(one.used_cost for one in sums), *(one.used_cost for one in of_days)]),
        unused_cost=None
        if nothing or len(currencies) > 1
        else _added([*(one.unused_cost for one in (*sums, *others)), *(one.unused_cost for one in of_days)]),
        other_cost=add_exactly(one.used_cost for one in others),
        rows=sum(one.rows for one in (*sums, *others)),
        why="; ".join(whys) or None,
    )


def _added(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return add_exactly(known) if len(known) == len(values) else None
