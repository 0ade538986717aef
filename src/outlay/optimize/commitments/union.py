"""Unions: pools that one commitment serves together.

Demand that swings between pools is steadier in their sum, so a commitment that may move between them can be larger than
those that can't. Two kinds:

- an offer that names several pools at one price (``A10|A100``): their demand is added up, GPU by GPU;
- a savings plan, entries of one name with a rate a pool: it promises money, so demand is counted in what it would cost
  per hour on demand. The plan's discount is then the one of the pools' mix over the history, as spent on the highest
  discount first; where discounts differ that is a mean, and the plan says so.

What all offers on those pools together would best be, specific and shared ones, is the linear programme's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext

import numpy as np

from outlay.errors import UsageError
from outlay.optimize.commitments.demand import Demand, gpus, together
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.programme import Mix, Shared, solve

__all__ = ["Union", "unions"]

_WIDE = Context(prec=50)


@dataclass(frozen=True, slots=True)
class Union:
    """Several pools as one. ``by_money``: its demand is in on-demand money per hour, and so are quantities.

    ``blended``: the plan's discount differs between the pools, and the one shown is that of their mix. ``mix`` is the
    optimum of all offers on these pools together; None where a price is missing or the programme too large (``why``).
    """

    members: tuple[str, ...]
    demand: Demand
    offers: tuple[Offer, ...]
    by_money: bool
    blended: bool
    mix: Mix | None = None
    why: str | None = None


def unions(demands: Sequence[Demand], offers: Sequence[Offer]) -> list[Union]:
    """The unions that ``offers`` make of ``demands``, each set of pools once."""
    by_pool = {one.pool: one for one in demands}
    units: dict[tuple[str, ...], list[Offer]] = {}
    plans: dict[tuple[str, str], list[Offer]] = {}
    for offer in offers:
        if len(offer.pools) > 1 and not offer.by_money:
            units.setdefault(offer.pools, []).append(offer)
        elif offer.by_money and "*" not in offer.pools:
            plans.setdefault((offer.name, offer.currency), []).append(offer)
    found = [
        Union(members, together("|".join(members), [by_pool[one] for one in members]), tuple(listed), False, False)
        for members, listed in units.items()
    ]
    shared: dict[tuple[str, ...], list[list[Offer]]] = {}
    for entries in plans.values():
        spread = [replace(entry, pools=(pool,)) for entry in entries for pool in entry.pools]
        members = tuple(dict.fromkeys(pool for entry in spread for pool in entry.pools))
        if len(members) > 1:
            shared.setdefault(members, []).append(spread)
    found.extend(_of_money(members, plans_of, by_pool, offers) for members, plans_of in shared.items())
    return found


def _of_money(
    members: tuple[str, ...],
    plans: Sequence[Sequence[Offer]],
    demands: Mapping[str, Demand],
    offers: Sequence[Offer],
) -> Union:
    name = "|".join(members)
    on_demand: dict[str, Decimal] = {}
    for entry in (entry for plan in plans for entry in plan):
        price = entry.on_demand_price
        if price is not None and on_demand.setdefault(entry.pool, price) != price:
            raise UsageError(
                f"'{entry.name}' gives another on-demand price of {entry.pool} than an offer before it.",
                where=entry.where,
                hint="One pool has one on-demand price.",
            )
    if len(on_demand) < len(members):
        missing = sorted(set(members) - set(on_demand))
        plain = together(name, [demands[one] for one in members])
        unknown = tuple(replace(plan[0], pools=members, unit_price=None, on_demand_price=None) for plan in plans)
        return Union(members, plain, unknown, True, False, why=f"no on-demand price of {', '.join(missing)}")
    spend = _spend(name, [demands[one] for one in members], on_demand)
    blended = [_blended(plan, demands, members, on_demand) for plan in plans]
    mix, why = _mix(members, plans, demands, offers, on_demand)
    return Union(
        members, spend, tuple(offer for offer, _ in blended), True, any(differs for _, differs in blended), mix, why
    )


def _spend(name: str, demands: Sequence[Demand], on_demand: Mapping[str, Decimal]) -> Demand:
    """Hourly demand as on-demand money: a GPU at 4.00 an hour counts as four units."""
    worth = [replace(one, nanos=_times(one.nanos, on_demand[one.pool])) for one in demands]
    return together(name, worth)


def _times(
    nanos: np.ndarray[tuple[int], np.dtype[np.int64]], price: Decimal
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.rint(nanos.astype(np.float64) * float(price)).astype(np.int64)


def _blended(
    plan: Sequence[Offer], demands: Mapping[str, Demand], members: Sequence[str], on_demand: Mapping[str, Decimal]
) -> tuple[Offer, bool]:
    """The plan as one offer of money: its price is the share of on-demand that it charges, over the pools' mix."""
    rates = {entry.pool: entry.price for entry in plan}
    first = replace(plan[0], pools=tuple(members), on_demand_price=Decimal(1), flex=plan[0].flex)
    if any(rate is None for rate in rates.values()):
        return replace(first, unit_price=None), False
    with localcontext(_WIDE):
        spent = {pool: gpus(demands[pool].total) * on_demand[pool] for pool in members}
        charged = sum((gpus(demands[pool].total) * (rates[pool] or 0) for pool in members), Decimal(0))
        total = sum(spent.values(), Decimal(0))
        share = charged / total if total else Decimal(1)
        discounts = {(rates[pool] or Decimal(0)) / on_demand[pool] for pool in members if on_demand[pool]}
    return replace(first, unit_price=round(share, 12)), len(discounts) > 1


def _mix(
    members: Sequence[str],
    plans: Sequence[Sequence[Offer]],
    demands: Mapping[str, Demand],
    offers: Sequence[Offer],
    on_demand: Mapping[str, Decimal],
) -> tuple[Mix | None, str | None]:
    found = []
    for plan in plans:
        rates = {entry.pool: entry.price for entry in plan if entry.price is not None}
        if len(rates) == len(plan):
            found.append(Shared(plan[0].name, rates, True))
    for offer in offers:
        if len(offer.pools) == 1 and offer.pool in members and not offer.by_money and offer.price is not None:
            most = offer.max_gpus
            found.append(Shared(f"{offer.name} ({offer.pool})", {offer.pool: offer.price}, False, most))
    if not found:
        return None, "no offer on these pools has a known price"
    try:
        whole = together("|".join(members), [demands[one] for one in members])
        parts = [
            demands[one].part(demands[one].position(whole.first), demands[one].position(whole.end)) for one in members
        ]
        return solve(parts, on_demand, found), None
    except UsageError as error:
        return None, str(error)
