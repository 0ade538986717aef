"""What the terminal and the HTML file say of a commitment plan in the same words.

The trap is in the totals: a pool and the union that it belongs to are planned for the same demand, so their purchases
are alternatives. A union is added up only where none of its pools is committed to by itself.
"""

from __future__ import annotations

from decimal import Decimal

from outlay.money import add_exactly
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.plan import Plan, PoolPlan

__all__ = ["advised", "alternatives", "bound", "recommended", "unit"]


def recommended(one: PoolPlan) -> Option | None:
    """The option that the verdict advises to buy; None where it is to wait, or never."""
    return one.verdict.best if one.verdict.word == "commit" else None


def advised(plan: Plan) -> list[tuple[PoolPlan, Option]]:
    """The purchases that can all be made: each pool's demand is bought for once."""
    found: list[tuple[PoolPlan, Option]] = []
    taken: set[str] = set()
    for one in plan.pools:
        best = recommended(one)
        members = one.members or (one.pool,)
        if best is not None and not taken.intersection(members):
            taken.update(members)
            found.append((one, best))
    return found


def alternatives(plan: Plan) -> list[str]:
    """Pools whose purchase is advised in place of another's, not beside it."""
    counted = {one.pool for one, _ in advised(plan)}
    return [one.pool for one in plan.pools if recommended(one) is not None and one.pool not in counted]


def bound(plan: Plan) -> dict[str, Decimal]:
    """The money that the plan binds over its terms, by currency."""
    found: dict[str, list[Decimal]] = {}
    for _, best in advised(plan):
        if best.exposure is not None:
            found.setdefault(best.offer.currency, []).append(best.exposure)
    return {currency: add_exactly(found[currency]) for currency in sorted(found)}


def unit(one: PoolPlan) -> str:
    """What the quantities of a pool count."""
    return "on-demand money an hour" if one.union is not None and one.union.by_money else "GPUs"
