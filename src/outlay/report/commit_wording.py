"""What the terminal and the HTML file say of a commitment plan in the same words.

The trap is in the totals: a pool and the union that it belongs to are planned for the same demand, so their purchases
are alternatives. A union is added up only where none of its pools is committed to by itself.
"""

from __future__ import annotations

from decimal import Decimal

from outlay.money import add_exactly, percent
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.report.wording import about, amount

__all__ = ["advised", "alternatives", "bound", "market_lines", "not_counted", "recommended", "unit"]


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


def not_counted(plan: Plan) -> str:
    """Which purchases are alternatives, and so in no total; empty where none is."""
    others = alternatives(plan)
    if not others:
        return ""
    return (
        f"Not counted here: {', '.join(others)}. What is advised there would be bought in place of what is advised for "
        "the same pools elsewhere, not beside it."
    )


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


def market_lines(one: PoolPlan) -> list[str]:
    """What prices do, what being tied to today's costs, and what newer hardware is for sale."""
    market, decline, best = one.market, one.market.decline, recommended(one)
    if decline.monthly is None:
        found = [f"Market: no decline of prices is assumed ({decline.why})."]
    elif not decline.monthly:
        rose = "; they rose, which is not counted" if decline.rose else ""
        found = [f"Market: on-demand prices do not fall ({decline.basis}{rose})."]
    else:
        rose = "; they rose, which is not counted" if decline.rose else ""
        overall = decline.first_to_last
        differs = overall is not None and overall > decline.monthly
        cut = f"; {percent(overall, to_tenths=True)} a month from the first to the last" if differs else ""
        found = [f"Market: prices fall {percent(decline.monthly)} a month ({decline.basis}{cut}{rose})."]
    if market.successor is not None:
        found.append(f"Successor: {market.successor}.")
    if market.successor_why is not None:
        found.append(f"Successor: not counted, {market.successor_why}.")
    if market.candidates and market.successor is None:
        told = ", ".join(
            f"{card.gpu} at {amount(card.price.price, card.price.currency)} a GPU-hour ({card.price.on}"
            f"{', stale' if card.price.stale else ''})"
            for card, _ in market.candidates
        )
        found.append(
            f"Newer, not counted: {told}. How much more work it does is not known: set successor with "
            "successor_speed, or successor_price."
        )
    if best is not None and best.lock_in is not None and best.nanos:
        above = about(Decimal(round(best.lock_in)), best.offer.currency)
        found.append(f"Lock-in: {above} above the market's price over the term (estimate).")
    return found
