"""What the terminal and the HTML file say of a commitment plan in the same words.

The trap is in the totals: a pool and the union that it belongs to are planned for the same demand, so their purchases
are alternatives (:mod:`outlay.optimize.commitments.alternatives`). What is worth more is added up, the rest is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from outlay.money import add_exactly, percent, plain
from outlay.optimize.commitments.alternatives import bought, chosen
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.ladder import soon_ended
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.outlook.price_history import Candidate
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.problems import ProblemSummary
from outlay.report.commit_unions import unit_text
from outlay.report.wording import about, amount, count

__all__ = [
    "REFILLS",
    "advised",
    "alternatives",
    "bound",
    "by_verdict",
    "ending",
    "market_lines",
    "newer_line",
    "not_counted",
    "problem_lines",
    "recommended",
    "unit",
    "volatility_lines",
]

REFILLS = "A refill is bought only if a plan made again by its day says commit and still wants the level."
_VERDICTS = ("commit", "wait", "never")
_MOST_PROBLEMS = 5
_HOW_TO_COUNT = "How much more work it does is not known: set successor with successor_speed, or successor_price."
_HUNDREDTH = Decimal("0.01")


def by_verdict(plan: Plan) -> list[PoolPlan]:
    """What is to be bought first, then what waits; pools of one verdict stay in the plan's order."""
    return sorted(plan.pools, key=lambda one: _VERDICTS.index(one.verdict.word))


def recommended(one: PoolPlan) -> Option | None:
    """The option that the verdict advises to buy; None where it is to wait, or never."""
    return bought(one)


def advised(plan: Plan) -> list[tuple[PoolPlan, Option]]:
    """The purchases that can all be made: each pool's demand is bought for once, where it is worth most."""
    return [(one, best) for one in chosen(plan) if (best := recommended(one)) is not None]


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


def market_lines(one: PoolPlan, *, newer: bool = True) -> list[str]:
    """What prices do, what being tied to today's costs, and, if ``newer``, what newer hardware is for sale."""
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
    if newer and market.candidates and market.successor is None:
        told = ", ".join(_for_sale(card) for card, _ in market.candidates)
        found.append(f"Newer, not counted: {told}. {_HOW_TO_COUNT}")
    if best is not None and best.lock_in is not None and best.nanos:
        above = about(Decimal(round(best.lock_in)), best.offer.currency)
        found.append(f"Lock-in: {above} above the market's price over the term (estimate).")
    return found


def newer_line(plan: Plan) -> str:
    """The newer hardware for all pools, each price told once; empty where none is for sale or all is counted."""
    types: dict[str, dict[str, None]] = {}
    prices: dict[str, dict[str, None]] = {}
    for one in plan.pools:
        if one.market.successor is not None or one.members:
            continue
        for card, _ in one.market.candidates:
            gpu, region, _ = one.pool.split("/")
            types.setdefault(gpu, {})[card.gpu] = None
            prices.setdefault(region, {})[_for_sale(card)] = None
    if not types:
        return ""
    newer = "; ".join(f"than {gpu}: {', '.join(sorted(cards))}" for gpu, cards in types.items())
    told = "; ".join(f"in {region}: {', '.join(sorted(sold))}" for region, sold in prices.items())
    return f"Newer {newer}. Not counted. For sale {told}. {_HOW_TO_COUNT}"


def _for_sale(card: Candidate) -> str:
    price = card.price
    old = ", stale" if price.stale else ""
    return f"{card.gpu} at {amount(price.price, price.currency)} a GPU-hour ({price.on}{old})"


def problem_lines(problems: Sequence[ProblemSummary]) -> list[str]:
    """Cells of the demand that are in no figure, a line a kind, and how many kinds more there are."""
    found = []
    for one in problems[:_MOST_PROBLEMS]:
        place = f", line {one.first_line:,} first" if one.first_line is not None else ""
        found.append(f"{one.source} ({count(one.count, 'cell')}{place}): {one.message}. {one.hint}")
    if rest := problems[_MOST_PROBLEMS:]:
        kinds = f"{count(len(rest), 'more kind')} of problem in {count(sum(one.count for one in rest), 'cell')}"
        found.append(f"{kinds}; --json has them all.")
    return found


def volatility_lines(one: PoolPlan) -> list[str]:
    """At which volatility of weekly demand which offer saves most, and what is not compared and why."""
    found = one.volatility
    if found is None:
        return []
    said = []
    if found.points and found.now:
        now = f"now {found.now:.1%}"
        told = [f"up to {at:.1%} a week {below} saves most, above it {above}" for at, below, above in found.turns]
        said.append(
            f"By volatility of weekly demand ({now}): {'; '.join(told)} (estimates)."
            if told
            else f"{found.points[0].best} saves most at any volatility up to {found.points[-1].weekly:.0%} a week "
            f"({now})."
        )
    if found.why is not None:
        said.append(f"By volatility of weekly demand: {found.why}.")
    return said


def ending(one: PoolPlan) -> list[str]:
    """What of the owned ends within twelve months and is not planned again; what is, the ladder has."""
    end = one.demand.end
    if not isinstance(end, datetime):
        return []
    planned = {step.on for step in one.ladder if step.refill}
    ends: dict[date, int] = {}
    for held in soon_ended(one.owned, end.date()):
        if held.until is not None and held.until not in planned:
            ends[held.until] = ends.get(held.until, 0) + held.nanos
    worth = f" {unit_text(one)}" if unit_text(one) else ""
    told = ", ".join(
        f"{plain(gpus(nanos).quantize(_HUNDREDTH))}{worth} on {day}" for day, nanos in sorted(ends.items())
    )
    return [f"Ends, with nothing planned in its place: {told}."] if told else []
