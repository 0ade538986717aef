"""Alternatives: the same demand committed to by its pools alone, or by a union; which is worth more, and what counts.

A pool and the unions that it belongs to are planned for the same demand, so their purchases are alternatives: bought
together they would commit to it twice, and added up they would count a dollar twice. Each is compared as it is advised,
under the same rules of risk, by the saving that is expected over its term (the mean of its futures), a month of the
term where terms differ. Amounts of two currencies are not compared.

Of all purchases that can stand beside each other those are chosen whose expected saving a month is largest. Where an
amount is missing or in another currency, pools come before unions, in the order of the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.plan import Plan, PoolPlan

__all__ = ["Comparison", "Side", "bought", "chosen", "comparisons"]

_MOST_UNIONS = 10
"""Unions that overlap, of which every selection is tried; beyond, the plan's order decides."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of two alternatives: the ``pools`` that buy, and what that is expected to save; None where nobody can say.

    ``monthly`` is a month of each term; ``saving`` over the term, where all have one term.
    """

    pools: tuple[str, ...]
    monthly: float | None
    saving: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``union`` against its members ``alone``. ``months`` is the term that all have; ``better`` None says ``why``."""

    union: str
    currency: str
    together: Side
    alone: Side
    months: int | None
    better: Literal["union", "alone"] | None
    why: str | None = None


def bought(one: PoolPlan) -> Option | None:
    """The option that the verdict advises to buy; None where it is to wait, or never."""
    return one.verdict.best if one.verdict.word == "commit" else None


def comparisons(plan: Plan) -> dict[str, Comparison]:
    """Of each union that is to be committed to and of which a pool is too, by the union's name."""
    by_pool = {one.pool: one for one in plan.pools}
    found = {}
    for union in plan.pools:
        alone = [by_pool[name] for name in union.members if bought(by_pool[name]) is not None]
        if bought(union) is not None and alone:
            found[union.pool] = _compared(union, alone)
    return found


def chosen(plan: Plan) -> list[PoolPlan]:
    """The purchases that can all be made and that are expected to save most, in the order of the plan."""
    buying = [one for one in plan.pools if bought(one) is not None]
    shared = {name for one in buying for name in one.members}
    rivals = [one for one in buying if one.members or one.pool in shared]
    kept = {one.pool for group in _groups(rivals) for one in _best(group)}
    return [one for one in buying if one.pool in kept or not (one.members or one.pool in shared)]


def _compared(union: PoolPlan, alone: Sequence[PoolPlan]) -> Comparison:
    sides = ([union], alone)
    offers = [best.offer for one in (union, *alone) if (best := bought(one)) is not None]
    months = {one.term_months for one in offers}
    currencies = sorted({one.currency for one in offers})
    same = months.pop() if len(months) == 1 else None
    one_currency = len(currencies) == 1
    together, apart = (
        Side(
            tuple(one.pool for one in side),
            monthly := _monthly(side) if one_currency else None,
            None if monthly is None or same is None else monthly * same,
        )
        for side in sides
    )
    better: Literal["union", "alone"] | None = None
    why = None
    if not one_currency:
        why = f"the purchases are in {' and '.join(currencies)}"
    elif together.monthly is None or apart.monthly is None:
        why = "no futures can be drawn from so short a history"
    else:
        better = "union" if together.monthly > apart.monthly else "alone"
    return Comparison(union.pool, offers[0].currency, together, apart, same, better, why)


def _monthly(side: Sequence[PoolPlan]) -> float | None:
    total = 0.0
    for one in side:
        best = bought(one)
        if best is None or best.risk is None:
            return None
        total += best.risk.mean / best.offer.term_months
    return total


def _members(one: PoolPlan) -> tuple[str, ...]:
    return one.members or (one.pool,)


def _groups(buying: Sequence[PoolPlan]) -> list[list[PoolPlan]]:
    """Purchases that share a pool, directly or by others: what is chosen in one group touches no other."""
    groups: list[list[PoolPlan]] = []
    for one in buying:
        mine = [group for group in groups if any(set(_members(one)) & set(_members(other)) for other in group)]
        groups = [group for group in groups if group not in mine]
        groups.append([*(other for group in mine for other in group), one])
    return groups


def _best(group: Sequence[PoolPlan]) -> list[PoolPlan]:
    """Of every selection of unions that share no pool, with the pools left over alone, the one worth most."""
    unions, alone = [one for one in group if one.members], [one for one in group if not one.members]
    currencies = {best.offer.currency for one in group if (best := bought(one)) is not None}
    if len(group) == 1 or len(unions) > _MOST_UNIONS or len(currencies) > 1 or _monthly(group) is None:
        return _in_order([*alone, *unions])
    tried = [
        [*picked, *(one for one in alone if not any(one.pool in union.members for union in picked))]
        for size in range(len(unions) + 1)
        for picked in combinations(unions, size)
        if len({name for one in picked for name in one.members}) == sum(len(one.members) for one in picked)
    ]
    return max(tried, key=lambda one: _monthly(one) or 0.0)


def _in_order(group: Sequence[PoolPlan]) -> list[PoolPlan]:
    found: list[PoolPlan] = []
    taken: set[str] = set()
    for one in group:
        if not taken.intersection(_members(one)):
            taken.update(_members(one))
            found.append(one)
    return found
