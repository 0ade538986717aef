"""What an evaluation says, in sentences and in the cells of its tables."""

from __future__ import annotations

from decimal import Context, Decimal

from outlay.money import plain
from outlay.optimize.routing.evaluation import Evaluation
from outlay.optimize.routing.pair import CLASSIFIER, LENGTH, Pair, Target
from outlay.optimize.routing.resampling import Interval

__all__ = [
    "amount",
    "dominance_line",
    "pair_line",
    "percent",
    "ranged",
    "saved_cell",
    "score",
    "sentences",
    "share_cell",
]

_FOUR_DIGITS = Context(prec=4)


def dominance_line(found: Evaluation) -> str:
    """Whether there is anything to route at all: said first."""
    dominant = found.dominance
    if dominant.model is None:
        return dominant.why or "No model dominates: none is both as good as every other and no dearer."
    line = f"'{dominant.model}' dominates: on average as good as every other or better, and no dearer"
    if dominant.confidence is None:
        return f"{line}. Not sure: {dominant.why}"
    line += f", in {percent(dominant.confidence)} of {found.resamples:,} resamples."
    if dominant.shown:
        return f"{line} Switch to it: there is nothing to route."
    return f"{line} That is not sure enough to switch without a trial."


def pair_line(pair: Pair) -> str:
    """The two models and their gap."""
    gap = f"gap {pair.gap:.3f}{ranged(pair.gap_interval, 3)}"
    return (
        f"Weak '{pair.weak}' {score(pair.weak_quality)}, strong '{pair.strong}' {score(pair.strong_quality)} "
        f"over {pair.rows:,} prompts: {gap}."
    )


def sentences(pair: Pair) -> list[str]:
    """What to make of the table, the classifier against the prompt's length first."""
    found = []
    ways = {one.name: one for one in pair.ways}
    if CLASSIFIER in ways:
        mine = ways[CLASSIFIER]
        above = mine.above_length
        if mine.why is not None:
            found.append(f"No classifier: {mine.why}")
        elif above is None:
            found.append("Whether the classifier is better than prompt length alone can't be said without an interval.")
        else:
            apart = f"APGR apart by {above[0]:+.3f} to {above[1]:+.3f}"
            if above[0] > 0:
                found.append(f"The classifier is better than prompt length alone ({apart}).")
            elif above[1] < 0:
                found.append(f"The classifier is worse than prompt length alone ({apart}): route by length, if at all.")
            else:
                found.append(f"The classifier is not shown to be better than prompt length alone ({apart}).")
    length = ways.get(LENGTH)
    if length is not None and length.apgr_interval is not None and length.apgr_interval[0] <= 0.5:
        found.append("Prompt length is not shown to be better than sending calls at random (0.5).")
    found += pair.why
    return found


def score(value: float) -> str:
    """An average score."""
    return f"{value:.3f}"


def ranged(found: Interval | None, places: int) -> str:
    """An interval beside its figure; nothing where there is none."""
    return "" if found is None else f" ({_between(found[0], found[1], places)})"


def percents(found: Interval | None) -> str:
    """An interval of shares beside its figure, in whole percents."""
    return "" if found is None else f" ({_between(100 * found[0], 100 * found[1], 0)})"


def _between(low: float, high: float, places: int) -> str:
    between = "\N{EN DASH}" if low >= 0 else " to "
    return f"{low:.{places}f}{between}{high:.{places}f}"


def percent(value: float) -> str:
    """A share, to tenths; whole where it is."""
    return f"{value:.1%}".replace(".0%", "%")


def share_cell(one: Target) -> str:
    """The share of strong calls, with its interval."""
    return percent(one.share) + percents(one.share_interval)


def saved_cell(one: Target) -> str:
    """The part of the strong model's cost that is saved, with its interval; - where costs are unknown."""
    return "-" if one.saved_share is None else percent(float(one.saved_share)) + percents(one.saved_interval)


def amount(value: Decimal | None) -> str:
    """An average cost a call, to four digits."""
    if value is None:
        return "-"
    return plain(_FOUR_DIGITS.plus(value))
