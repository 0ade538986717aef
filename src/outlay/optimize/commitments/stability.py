"""Stability: is the baseline steady enough to promise it for a year?

The FinOps rule of thumb for AI is a baseline that moves by less than 20 % week over week for 60 to 90 days before a
first commitment. "Moves" has several meanings that give different verdicts on the same pool, so each is named:

    change of week n = |mean of week n - mean of week n-1| / mean of week n-1
    max_wow, mean_wow = the largest and the mean change
    cv = sample standard deviation of the weekly means / their mean

The rule is on ``max_wow``. Only full weeks count, and a change only between two that follow each other: a gap is
neither demand nor a change. A week after one without any demand has changed by 100 %.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, localcontext

from outlay.optimize.commitments.demand import HOURS_A_DAY, Demand, Week

__all__ = ["Stability", "stability"]

_WIDE = Context(prec=34)


@dataclass(frozen=True, slots=True)
class Stability:
    """How much weekly demand moved. None where too few full weeks follow each other to tell."""

    weeks: int
    days: int
    max_wow: Decimal | None
    mean_wow: Decimal | None
    cv: Decimal | None
    stable: bool | None
    largest_in: datetime | int | None
    means: tuple[tuple[datetime | int, Decimal], ...]


def stability(demand: Demand, limit: Decimal, *, last_days: int | None = None) -> Stability:
    """Of the whole of ``demand``, or of the changes into full weeks that lie in its last ``last_days`` days."""
    weeks = demand.weeks()
    if last_days is not None:
        earliest = len(demand) - last_days * HOURS_A_DAY
        inside = [week for week in weeks if demand.position(week.start) >= earliest]
        before = [week for week in weeks if inside and week.number == inside[0].number - 1]
        return _of(demand.last(last_days * HOURS_A_DAY), before + inside, limit, shown=inside)
    return _of(demand, weeks, limit, shown=weeks)


def _of(demand: Demand, weeks: Sequence[Week], limit: Decimal, *, shown: Sequence[Week]) -> Stability:
    with localcontext(_WIDE):
        changes = [
            (_change(earlier.nanos, later.nanos), later.start)
            for earlier, later in itertools.pairwise(weeks)
            if later.number == earlier.number + 1
        ]
        largest = max(changes, key=lambda one: one[0], default=(None, None))
        means = tuple((week.start, week.mean) for week in shown)
        return Stability(
            weeks=len(shown),
            days=demand.hours // HOURS_A_DAY,
            max_wow=largest[0],
            mean_wow=sum((change for change, _ in changes), Decimal(0)) / len(changes) if changes else None,
            cv=_cv([week.nanos for week in shown]),
            stable=None if largest[0] is None else largest[0] < limit,
            largest_in=largest[1],
            means=means,
        )


def _change(earlier: int, later: int) -> Decimal:
    if earlier == 0:
        return Decimal(0) if later == 0 else Decimal(1)
    return Decimal(abs(later - earlier)) / Decimal(earlier)


def _cv(sums: Sequence[int]) -> Decimal | None:
    """Sample standard deviation over the mean; the 168 of each week cancels."""
    if len(sums) < 2 or not any(sums):
        return None
    mean = Decimal(sum(sums)) / len(sums)
    variance = sum(((one - mean) ** 2 for one in sums), Decimal(0)) / (len(sums) - 1)
    return variance.sqrt() / mean
