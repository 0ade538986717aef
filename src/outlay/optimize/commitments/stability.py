"""Stability: is the baseline steady enough to promise it for a year?

The FinOps rule of thumb for AI is a baseline that moves by less than 20 % week over week for 60 to 90 days before a
first commitment. "Moves" has several meanings that give different verdicts on the same pool, so each is named:

    change of week n = |mean of week n - mean of week n-1| / mean of week n-1
    max_wow, mean_wow = the largest and the mean change
    cv = sample standard deviation of the weekly means / their mean

The rule is on ``max_wow``. Only full weeks count, and a change only between two that follow each other: a gap is
neither demand nor a change. A week after one without any demand has changed by 100 %.

An hour that the exporter dropped keeps its week out, and one such hour a week keeps every week out. So what is missing
is told (:class:`Missing`), and ``missing`` hours a week may be let pass: the mean of such a week is over its known
hours. That is a choice of the user's, since hours drop out most often when something else is wrong too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, localcontext

from outlay.optimize.commitments.demand import HOURS_A_DAY, HOURS_A_WEEK, Demand, Week

__all__ = ["Missing", "Stability", "stability"]

_WIDE = Context(prec=34)


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not known of the ``weeks`` weeks that lie in the history whole: at least one hour.

    ``out`` weeks lack more hours than are let pass (``allowed``) and do not count, ``largest`` is the most that one of
    them lacks; ``used`` weeks lack no more, and count by their known hours. ``first`` is the first missing hour of the
    weeks that do not count, else of those that do.
    """

    weeks: int
    out: int
    out_hours: int
    used: int
    used_hours: int
    largest: int
    first: datetime | int
    allowed: int

    def sentences(self) -> list[str]:
        """Both in words."""
        first = f"hour {self.first}" if isinstance(self.first, int) else f"{self.first:%Y-%m-%d %H:%M}"
        found = []
        if self.out:
            rule = (
                f"without at most {_hours(self.allowed)}" if self.allowed else f"only with all its {HOURS_A_WEEK} hours"
            )
            found.append(
                f"{self.out} of {_weeks(self.weeks)} {_are(self.out)} not full: {_hours(self.out_hours)} "
                f"{_are(self.out_hours)} missing, the first {first}; a week counts {rule}."
            )
        if self.used:
            since = "" if self.out else f" (the first {first})"
            found.append(
                f"{self.used} of {_weeks(self.weeks)} {'counts' if self.used == 1 else 'count'} though "
                f"{_hours(self.used_hours)} {_are(self.used_hours)} missing{since}: the mean is over the known "
                f"hours, as week_missing_hours = {self.allowed} says."
            )
        return found


@dataclass(frozen=True, slots=True)
class Stability:
    """How much weekly demand moved. None where too few full weeks follow each other to tell.

    ``missing`` is None where every hour of its weeks is known.
    """

    weeks: int
    days: int
    max_wow: Decimal | None
    mean_wow: Decimal | None
    cv: Decimal | None
    stable: bool | None
    largest_in: datetime | int | None
    means: tuple[tuple[datetime | int, Decimal], ...]
    missing: Missing | None = None


def stability(demand: Demand, limit: Decimal, *, last_days: int | None = None, missing: int = 0) -> Stability:
    """Of the whole of ``demand``, or of the changes into full weeks that lie in its last ``last_days`` days.

    A week counts that lacks at most ``missing`` of its hours.
    """
    every = demand.calendar_weeks()
    weeks = [week for week in every if week.missing <= missing]
    if last_days is not None:
        earliest = len(demand) - last_days * HOURS_A_DAY
        every = tuple(week for week in every if demand.position(week.start) >= earliest)
        inside = [week for week in weeks if demand.position(week.start) >= earliest]
        before = [week for week in weeks if inside and week.number == inside[0].number - 1]
        part = demand.last(last_days * HOURS_A_DAY)
        return _of(part, before + inside, limit, shown=inside, missing=_missing(part, every, missing))
    return _of(demand, weeks, limit, shown=weeks, missing=_missing(demand, every, missing))


def _missing(demand: Demand, weeks: Sequence[Week], allowed: int) -> Missing | None:
    lacking = [week for week in weeks if week.missing]
    if not lacking:
        return None
    out = [week.missing for week in lacking if week.missing > allowed]
    used = [week.missing for week in lacking if week.missing <= allowed]
    return Missing(
        weeks=len(weeks),
        out=len(out),
        out_hours=sum(out),
        used=len(used),
        used_hours=sum(used),
        largest=max(out, default=0),
        first=demand.first_gap(next((week for week in lacking if week.missing > allowed), lacking[0]).start),
        allowed=allowed,
    )


def _weeks(number: int) -> str:
    return f"{number:,} week{'' if number == 1 else 's'}"


def _hours(number: int) -> str:
    return f"{number:,} hour{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _of(
    demand: Demand, weeks: Sequence[Week], limit: Decimal, *, shown: Sequence[Week], missing: Missing | None
) -> Stability:
    with localcontext(_WIDE):
        changes = [
            (_change(earlier, later), later.start)
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
            cv=_cv(shown),
            stable=None if largest[0] is None else largest[0] < limit,
            largest_in=largest[1],
            means=means,
            missing=missing,
        )


def _change(earlier: Week, later: Week) -> Decimal:
    """Of the means: ``earlier.nanos / earlier.hours`` and so on, over one denominator."""
    before, after = earlier.nanos * later.hours, later.nanos * earlier.hours
    if before == 0:
        return Decimal(0) if after == 0 else Decimal(1)
    return Decimal(abs(after - before)) / Decimal(before)


def _cv(weeks: Sequence[Week]) -> Decimal | None:
    """Sample standard deviation over the mean; what a full week holds cancels."""
    sums = [Decimal(week.nanos * HOURS_A_WEEK) / week.hours for week in weeks]
    if len(sums) < 2 or not any(sums):
        return None
    mean = sum(sums, Decimal(0)) / len(sums)
    variance = sum(((one - mean) ** 2 for one in sums), Decimal(0)) / (len(sums) - 1)
    return variance.sqrt() / mean
