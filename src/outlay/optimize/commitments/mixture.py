"""The mixture: what all offers on the pools of a union would best have been together, over the history.

A union's own verdict is about the offer that serves it. Beside it stand two optima of the same hours, so that they can
be held against each other:

- *together*: every offer that serves only these pools, specific and shared ones, as one linear programme
  (:mod:`~.programme`), with fractions of units and without what a flexible offer would pay back;
- *apart*: each pool with the best of the offers that serve it alone, exactly, by the quantile (:mod:`~.sizing`).

Both are beside what is owned: it serves its own pool first, stands through the hours, and is in neither's cost. They
are of the same demand and so are alternatives; their savings are never added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from outlay.errors import UsageError
from outlay.optimize.commitments.demand import NANOS, Demand, gpus, together
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.offers.offer_file import EVERY_POOL
from outlay.optimize.commitments.programme import Mix, Shared, solve
from outlay.optimize.commitments.sizing import Levels

__all__ = ["Apart", "Mixture", "alike", "common", "mixture", "plans_of"]


@dataclass(frozen=True, slots=True)
class Apart:
    """One pool by itself: ``quantity`` GPUs of the ``offer`` that would have saved most there, and what it saves."""

    pool: str
    offer: str
    quantity: Decimal
    saving: Decimal


@dataclass(frozen=True, slots=True)
class Mixture:
    """All offers ``together``, and each pool ``apart``; ``why`` says why there is no optimum. Money in ``currency``.

    ``beside_owned``: something is owned of these pools, and both are of the demand that it leaves.
    """

    currency: str
    together: Mix | None
    apart: tuple[Apart, ...] = ()
    why: str | None = None
    beside_owned: bool = False

    @property
    def saving_apart(self) -> Decimal:
        """What the pools by themselves would have saved in all."""
        return sum((one.saving for one in self.apart), Decimal(0))


def mixture(
    members: Sequence[str],
    demands: Mapping[str, Demand],
    offers: Sequence[Offer],
    on_demand: Mapping[str, Decimal],
    *,
    currency: str,
    owned: Mapping[str, int],
) -> Mixture:
    """The mixture of ``offers`` in ``currency`` on ``members``; ``owned`` has billionths of a GPU by pool."""
    ours = [one for one in offers if one.currency == currency]
    found = [*_plans(members, ours, demands), *_units(members, ours)]
    held = {pool: owned[pool] for pool in members if owned.get(pool)}
    if not found:
        return Mixture(currency, None, why="no offer on these pools has a known price", beside_owned=bool(held))
    other = next((one for one, _ in found if _differs(one, on_demand)), None)
    if other is not None:
        why = f"'{other.name}' gives another on-demand price of {other.pool} than the union's offers"
        return Mixture(currency, None, why=why, beside_owned=bool(held))
    hours = common([demands[pool] for pool in members])
    apart = tuple(
        best for one in hours if (best := _apart(one, ours, on_demand[one.pool], held.get(one.pool, 0))) is not None
    )
    try:
        mix = solve(hours, on_demand, _told_apart(found), held)
    except UsageError as error:
        return Mixture(currency, None, apart, str(error), bool(held))
    return Mixture(currency, mix, apart, beside_owned=bool(held))


def common(demands: Sequence[Demand]) -> list[Demand]:
    """The demands over the hours that all of them know; the others are gaps in each."""
    whole = together("", demands)
    parts = [one.part(one.position(whole.first), one.position(whole.end)) for one in demands]
    return [replace(one, nanos=np.where(whole.known, one.nanos, 0), known=whole.known) for one in parts]


def alike(offer: Offer) -> tuple[object, ...]:
    """What entries must have in common to be one plan: a name alone may stand for one year and for three."""
    return offer.name, offer.currency, offer.form, offer.kind, offer.term_months, offer.payment, offer.upfront


def plans_of(offers: Sequence[Offer]) -> list[list[Offer]]:
    """The plans of money among ``offers``, each as its entries, one a pool."""
    found: dict[tuple[object, ...], list[Offer]] = {}
    for one in offers:
        if one.by_money and EVERY_POOL not in one.pools:
            found.setdefault(alike(one), []).extend(replace(one, pools=(pool,)) for pool in one.pools)
    return list(found.values())


def _plans(
    members: Sequence[str], offers: Sequence[Offer], demands: Mapping[str, Demand]
) -> list[tuple[Offer, Shared]]:
    """Plans of money that serve these pools and no other, each with its rates; all of them must be known."""
    every = [one for one in offers if one.by_money and one.pool == EVERY_POOL]
    plans = [[replace(one, pools=(pool,))] for one in every for pool in members]
    for entries in plans_of(offers):
        alone = len({entry.pool for entry in entries}) == 1
        plans += [[entry] for entry in entries] if alone else [entries]
    found = []
    for plan in plans:
        rates = {entry.pool: entry.unit_price for entry in plan if entry.unit_price is not None}
        if len(rates) == len(plan) and set(rates) <= set(members):
            name = plan[0].name if len(plan) > 1 else f"{plan[0].name} ({plan[0].pool})"
            found.append((plan[0], Shared(name, rates, True, surcharge=_surcharge(plan, demands))))
    return found


def _surcharge(plan: Sequence[Offer], demands: Mapping[str, Demand]) -> Decimal:
    """What a committed 1.00 of a plan costs beyond, over the mix of the pools' hours: capital, and a premium."""
    hours = {one.pool: gpus(one.total) for one in common([demands[entry.pool] for entry in plan])}
    billed = sum((hours[entry.pool] * (entry.unit_price or 0) for entry in plan), Decimal(0))
    priced = sum((hours[entry.pool] * (entry.price or 0) for entry in plan), Decimal(0))
    return priced / billed - 1 if billed else Decimal(0)


def _units(members: Sequence[str], offers: Sequence[Offer]) -> list[tuple[Offer, Shared]]:
    found = []
    for one in offers:
        if one.by_money or one.price is None:
            continue
        served = [(pool,) for pool in members] if one.pool == EVERY_POOL else [one.pools]
        found += [
            (one, Shared(f"{one.name} ({'|'.join(pools)})", dict.fromkeys(pools, one.price), False, one.max_gpus))
            for pools in served
            if set(pools) <= set(members)
        ]
    return found


def _differs(offer: Offer, on_demand: Mapping[str, Decimal]) -> bool:
    price = offer.on_demand_price
    return price is not None and any(on_demand.get(pool, price) != price for pool in offer.pools)


def _apart(demand: Demand, offers: Sequence[Offer], on_demand: Decimal, owned: int) -> Apart | None:
    left = replace(demand, nanos=np.maximum(demand.nanos - owned, 0) * demand.known)
    levels = Levels(left)
    found = []
    for one in offers:
        if one.pools not in ((demand.pool,), (EVERY_POOL,)) or one.price is None:
            continue
        nanos = levels.optimum(one.price, on_demand, unit=one.unit)
        if one.max_gpus is not None:
            most = int(one.max_gpus * NANOS)
            nanos = min(nanos, most // one.unit * one.unit if one.unit else most)
        found.append(Apart(demand.pool, one.name, gpus(nanos), levels.outcome(nanos, one.price, on_demand).saving))
    best = max(found, key=lambda one: one.saving, default=None)
    return best if best is not None and best.saving > 0 else None


def _told_apart(offers: Sequence[tuple[Offer, Shared]]) -> list[Shared]:
    """Each under a name of its own: offers of one name get their terms, and a number where these are the same too."""
    names: list[str] = []
    for offer, one in offers:
        same = [other for other, shared in offers if shared.name == one.name]
        name = one.name if len(same) == 1 else f"{one.name}, {offer.term_months} months {offer.payment}"
        names.append(name)
    return [
        replace(one, name=name if names.count(name) == 1 else f"{name} #{names[: number + 1].count(name)}")
        for number, ((_, one), name) in enumerate(zip(offers, names, strict=True))
    ]
