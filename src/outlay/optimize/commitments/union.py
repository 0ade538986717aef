"""Unions: pools that one commitment serves together.

Demand that swings between pools is steadier in their sum, so a commitment that may move between them can be larger than
those that can't. Two kinds:

- an offer that names several pools at one price (``A10|A100``): their demand is added up, GPU by GPU;
- a savings plan, entries of one name with a rate a pool: it promises money, so demand is counted in what it would cost
  per hour on demand. The plan's discount is then the one of the pools' mix over the history, as spent on the highest
  discount first; where discounts differ that is a mean, and the plan says so.

The trap is the word price: an offer of money is made into one with the on-demand price 1, so what stands where others
have a price is the *share* of on-demand that the plan charges, and its premium and cost of capital are shares as well.

What all offers on those pools together would best be, specific and shared ones, is the :mod:`~.mixture`'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal, localcontext

import numpy as np

from outlay.errors import UsageError
from outlay.optimize.commitments.demand import Demand, gpus, together
from outlay.optimize.commitments.mixture import Mixture, common, mixture, plans_of
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.offers.offer_file import EVERY_POOL
from outlay.optimize.commitments.programme import Mix

__all__ = ["Union", "unions"]

_WIDE = Context(prec=50)


@dataclass(frozen=True, slots=True)
class Union:
    """Several pools as one. ``by_money``: its demand is in on-demand money per hour, and so are quantities.

    ``blended``: the plan's discount differs between the pools, and the one shown is that of their mix. ``mixture`` has
    the optimum of all offers on these pools together; None where no other offer serves any of them. ``why`` says why
    there is no optimum where one was looked for. ``on_demand`` is what a GPU-hour of each member costs on demand;
    ``rates`` what each of ``offers`` charges for it, where money is promised.
    """

    members: tuple[str, ...]
    demand: Demand
    offers: tuple[Offer, ...]
    by_money: bool
    blended: bool
    mixture: Mixture | None = None
    why: str | None = None
    on_demand: Mapping[str, Decimal] = field(default_factory=dict)
    rates: tuple[Mapping[str, Decimal], ...] = ()

    @property
    def mix(self) -> Mix | None:
        """The optimum of all offers on these pools together, where there is one."""
        return None if self.mixture is None else self.mixture.together


def unions(demands: Sequence[Demand], offers: Sequence[Offer], owned: Mapping[str, int] | None = None) -> list[Union]:
    """The unions that ``offers`` make of ``demands``, each set of pools once; ``owned`` in billionths of a GPU."""
    by_pool, held = {one.pool: one for one in demands}, owned or {}
    units: dict[tuple[str, ...], list[Offer]] = {}
    for offer in offers:
        if len(offer.pools) > 1 and not offer.by_money:
            units.setdefault(offer.pools, []).append(offer)
    found = [_of_units(members, listed, by_pool, offers, held) for members, listed in units.items()]
    shared: dict[tuple[tuple[str, ...], str], list[list[Offer]]] = {}
    for spread in plans_of(offers):
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
    found.extend(_of_money(members, plans, by_pool, offers, held) for (members, _), plans in shared.items())
    return found


def _of_units(
    members: tuple[str, ...],
    listed: Sequence[Offer],
    demands: Mapping[str, Demand],
    offers: Sequence[Offer],
    owned: Mapping[str, int],
) -> Union:
    """With the mixture only where another offer serves some of the pools: else the optimum is the union's own."""
    union = Union(members, together("|".join(members), [demands[one] for one in members]), tuple(listed), False, False)
    others = [one for one in offers if one.pools != members and set(one.pools) <= {*members, EVERY_POOL}]
    priced = [one for one in listed if one.on_demand_price is not None]
    if not others or not priced or len({(one.on_demand_price, one.currency) for one in priced}) > 1:
        return union
    on_demand = dict.fromkeys(members, priced[0].on_demand_price or Decimal(0))
    found = mixture(members, demands, offers, on_demand, currency=priced[0].currency, owned=owned)
    return replace(union, mixture=found, why=found.why, on_demand=on_demand)


def _of_money(
    members: tuple[str, ...],
    plans: Sequence[Sequence[Offer]],
    demands: Mapping[str, Demand],
    offers: Sequence[Offer],
    owned: Mapping[str, int],
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
        lacking = f"the on-demand price of {', '.join(missing)} is unknown: give on_demand_price (per GPU-hour)"
        unknown = tuple(
            replace(plan[0], pools=members, unit_price=None, on_demand_price=None, shares=True, lacking=lacking)
            for plan in plans
        )
        return Union(members, plain, unknown, True, False, why=f"no on-demand price of {', '.join(missing)}")
    spend = _spend(name, [demands[one] for one in members], on_demand)
    blended = [_blended(plan, demands, members, on_demand) for plan in plans]
    found = mixture(members, demands, offers, on_demand, currency=plans[0][0].currency, owned=owned)
    return Union(
        members=members,
        demand=spend,
        offers=tuple(offer for offer, _ in blended),
        by_money=True,
        blended=any(differs for _, differs in blended),
        mixture=found,
        why=found.why,
        on_demand=on_demand,
        rates=tuple({entry.pool: entry.unit_price or Decimal(0) for entry in plan} for plan in plans),
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
    first = replace(plan[0], pools=tuple(members), on_demand_price=Decimal(1), shares=True)
    unknown = [entry.pool for entry in plan if entry.unit_price is None]
    if unknown:
        lacking = f"its price for {', '.join(unknown)} is unknown: give unit_price (per GPU-hour over the term)"
        return replace(first, unit_price=None, carrying=Decimal(0), lacking=lacking), False
    hours = {one.pool: gpus(one.total) for one in common([demands[pool] for pool in members])}
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
