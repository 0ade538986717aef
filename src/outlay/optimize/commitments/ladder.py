"""The ladder: a recommendation split into purchases over months, and what expires refilled.

One large purchase bets on one day's view of the demand, and ends on one day as well. Monthly steps, each an equal share
of the wanted level, average both; each is bought only if the plan made again by then still says so, and as a step is a
share of the level and not of what is missing, plans made again month by month arrive where the first one did. What is
owned and ends within the next twelve months is bought again at its end, as far as the wanted level still needs it: a
step is planned for that day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

__all__ = ["Owned", "Step", "ladder"]

_DAYS_A_MONTH = 365.25 / 12
_AHEAD_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Owned:
    """What is owned of a pool: billionths of a GPU that end on a day (None: the day is not known)."""

    nanos: int
    until: date | None
    what: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A purchase ``month`` months from now, on ``on`` where today is known; ``why`` in words."""

    month: int
    on: date | None
    nanos: int
    owned_then: int
    why: str


def ladder(
    wanted: int, owned: Sequence[Owned], *, months: int, unit: int, today: date | None, least: int = 0
) -> tuple[Step, ...]:
    """Steps to the level ``wanted`` (billionths of a GPU in all, owned ones among them).

    ``unit`` is the smallest step, ``least`` the smallest purchase: fewer and larger steps are made where the split
    would fall below it.
    """
    standing = sum(one.nanos for one in owned if _stands(one, today))
    size = unit or 1
    units, smallest = max(0, wanted - standing) // size, max(1, -(-least // size))
    each = max(smallest, -(-(wanted // size) // months))
    steps = []
    if units >= smallest:
        sizes = [each] * (units // each)
        rest = units % each
        if rest >= smallest or not sizes:
            sizes.append(rest)
        else:
            sizes[-1] += rest
        for number, amount in enumerate(sizes):
            why = "all at once" if len(sizes) == 1 else f"step {number + 1} of {len(sizes)}"
            steps.append((number, _in_months(today, number), amount * size, why, 0))
    for one in sorted(owned, key=lambda one: one.until or date.max):
        if today is None or one.until is None or not today < one.until <= _in(today, _AHEAD_MONTHS):
            continue
        month = round((one.until - today).days / _DAYS_A_MONTH)
        refill = min(one.nanos, wanted) // size * size
        again = refill if refill >= smallest * size else 0
        steps.append(
            (month, one.until, again, f"in place of {one.what or 'what is owned'}, which ends then", one.nanos)
        )
    steps.sort(key=lambda step: (step[0], step[1] or date.min))
    found, level = [], standing
    for month, on, nanos, why, ended in steps:
        level += nanos - ended
        if nanos:
            found.append(Step(month, on, nanos, level, why))
    return tuple(found)


def _stands(one: Owned, today: date | None) -> bool:
    return one.until is None or today is None or one.until > today


def _in(today: date, months: int) -> date:
    return today + timedelta(days=round(months * _DAYS_A_MONTH))


def _in_months(today: date | None, months: int) -> date | None:
    return None if today is None else _in(today, months)
