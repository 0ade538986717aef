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
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal, localcontext

import numpy as np

from outlay.errors import UsageError
from outlay.optimize.commitments.demand import Demand, gpus, together
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.offers.offer_file import EVERY_POOL
from outlay.optimize.commitments.programme import Mix, Shared, solve

__all__ = ["Union", "unions"]

_WIDE = Context(prec=50)


@dataclass(frozen=True, slots=True)
class Union:
    """Several pools as one. ``by_money``: its demand is in on-demand money per hour, and so are quantities.

    ``blended``: the plan's discount differs between the pools, and the one shown is that of their mix. ``mix`` is the
    optimum of all offers on these pools together; None where a price is missing or the programme too large (``why``).
    ``on_demand`` is what a GPU-hour of each member costs on demand, where money is promised.
    """

    members: tuple[str, ...]
    demand: Demand
    offers: tuple[Offer, ...]
    by_money: bool
    blended: bool
    mix: Mix | None = None
    why: str | None = None
    on_demand: Mapping[str, Decimal] = field(default_factory=dict)


def unions(demands: Sequence[Demand], offers: Sequence[Offer]) -> list[Union]:
    """The unions that ``offers`` make of ``demands``, each set of pools once."""
    by_pool = {one.pool: one for one in demands}
    units: dict[tuple[str, ...], list[Offer]] = {}
    plans: dict[tuple[object, ...], list[Offer]] = {}
    for offer in offers:
        if len(offer.pools) > 1 and not offer.by_money:
            units.setdefault(offer.pools, []).append(offer)
        elif offer.by_money and "*" not in offer.pools:
            plans.setdefault(_terms(offer), []).append(offer)
    found = [
        Union(members, together("|".join(members), [by_pool[one] for one in members]), tuple(listed), False, False)
        for members, listed in units.items()
    ]
    shared: dict[tuple[tuple[str, ...], str], list[list[Offer]]] = {}
    for entries in plans.values():
        spread = [replace(entry, pools=(pool,)) for entry in entries for pool in entry.pools]
        members = tuple(dict.fromkeys(pool for entry in spread for pool in entry.pools))
        if 1 < len(members) < len(spread):
            twice = next(
                one for number, one in enumerate(spread) if one.pool in {other.pool for other in spread[:number]}
            )
            raise UsageError(
                f"'{twice.name}' has two rates on the same terms in {twice.pool}.",
                where=twice.where,
                hint="Keep one rate a pool, or give the plans different names.",
            )
        if len(members) > 1:
            shared.setdefault((members, spread[0].currency), []).append(spread)
    found.extend(_of_money(members, plans_of, by_pool, offers) for (members, _), plans_of in shared.items())
    return found


def _terms(offer: Offer) -> tuple[object, ...]:
    """What entries must have in common to be one plan: a name alone may stand for one year and for three."""
    return offer.name, offer.currency, offer.form, offer.kind, offer.term_months, offer.payment, offer.upfront


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
        members=members,
        demand=spend,
        offers=tuple(offer for offer, _ in blended),
        by_money=True,
        blended=any(differs for _, differs in blended),
        mix=mix,
        why=why,
        on_demand=on_demand,
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
    """The plan as one offer of money: its price is the share of on-demand that it charges, over the pools' mix.

    The mix is that of the hours that every pool knows, as the union's demand is. What is paid upfront and a premium
    are per GPU-hour too, and become shares in the same way.
    """
    first = replace(plan[0], pools=tuple(members), on_demand_price=Decimal(1))
    if any(entry.unit_price is None for entry in plan):
        return replace(first, unit_price=None, carrying=Decimal(0)), False
    hours = {one.pool: gpus(one.total) for one in _together([demands[pool] for pool in members])}
    with localcontext(_WIDE):
        total = sum((hours[pool] * on_demand[pool] for pool in members), Decimal(0))

        def share(parts: Mapping[str, Decimal], otherwise: int) -> Decimal:
            charged = sum((hours[pool] * parts[pool] for pool in members), Decimal(0))
            return round(charged / total, 12) if total else Decimal(otherwise)

        prices = {entry.pool: entry.price or Decimal(0) for entry in plan}
        discounts = {prices[pool] / on_demand[pool] for pool in members if on_demand[pool]}
        found = replace(
            first,
            unit_price=share({entry.pool: entry.unit_price or Decimal(0) for entry in plan}, 1),
            carrying=share({entry.pool: entry.carrying for entry in plan}, 0),
        )
        if found.flex is not None:
            premium = share({entry.pool: entry.flex.premium if entry.flex else Decimal(0) for entry in plan}, 0)
            found = replace(found, flex=replace(found.flex, premium=premium))
    return found, len(discounts) > 1


def _together(demands: Sequence[Demand]) -> list[Demand]:
    """The demands over the hours that all of them know; the others are gaps in each."""
    whole = together("", demands)
    parts = [one.part(one.position(whole.first), one.position(whole.end)) for one in demands]
    return [replace(one, nanos=np.where(whole.known, one.nanos, 0), known=whole.known) for one in parts]


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
            found.append((plan[0], Shared(plan[0].name, rates, True)))
    for offer in offers:
        if len(offer.pools) > 1 or offer.by_money or offer.price is None or offer.currency != plans[0][0].currency:
            continue
        for pool in members if offer.pool == EVERY_POOL else {offer.pool} & set(members):
            found.append((offer, Shared(f"{offer.name} ({pool})", {pool: offer.price}, False, offer.max_gpus)))
    if not found:
        return None, "no offer on these pools has a known price"
    try:
        return solve(_together([demands[one] for one in members]), on_demand, _told_apart(found)), None
    except UsageError as error:
        return None, str(error)


def _told_apart(offers: Sequence[tuple[Offer, Shared]]) -> list[Shared]:
    """Each under a name of its own: offers of one name get their terms, and a number where these are the same too."""
    names: list[str] = []
    for offer, one in offers:
        alike = [other for other, shared in offers if shared.name == one.name]
        name = one.name if len(alike) == 1 else f"{one.name}, {offer.term_months} months {offer.payment}"
        names.append(name)
    return [
        replace(one, name=name if names.count(name) == 1 else f"{name} #{names[: number + 1].count(name)}")
        for number, ((_, one), name) in enumerate(zip(offers, names, strict=True))
    ]
