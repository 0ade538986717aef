"""The ladder: a recommendation split into purchases over months, and what expires refilled.

One large purchase bets on one day's view of the demand, and ends on one day as well. Monthly steps, each an equal share
of the wanted level, average both; each is bought only if the plan made again by then still says so, and as a step is a
share of the level and not of what is missing, plans made again month by month arrive where the first one did.

What is owned and ends within the next twelve months is bought again at its end, as far as the wanted level still needs
it: a *refill* is planned for that day, whether anything is bought before it or not. A pool that what is owned covers
has nothing to buy today, and would fall back to on-demand unnoticed on the day on which it ends. A refill is an
outlook: it depends on the plan that is made again by its day.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

__all__ = ["Owned", "Step", "ladder", "soon_ended", "stands"]

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
    """A purchase ``month`` months from now, on ``on`` where today is known; ``why`` in words.

    ``refill``: it is made in place of what ends on that day.
    """

    month: int
    on: date | None
    nanos: int
    owned_then: int
    why: str
    refill: bool = False

    @property
    def depends_on(self) -> str | None:
        """What a refill depends on; None for a step of what is bought now."""
        if not self.refill:
            return None
        return f"a plan made again by {self.on} that says commit and wants at least the level that it leads to"


def ladder(
    wanted: int, owned: Sequence[Owned], *, months: int, unit: int, today: date | None, least: int = 0
) -> tuple[Step, ...]:
    """Steps to the level ``wanted`` (billionths of a GPU in all, owned ones among them).

    ``unit`` is the smallest step, ``least`` the smallest purchase: fewer and larger steps are made where the split
    would fall below it.
    """
    standing = sum(one.nanos for one in owned if stands(one, today))
    size = unit or 1
    units, smallest = max(0, wanted - standing) // size, max(1, -(-least // size))
    each = max(smallest, -(-(wanted // size) // months))
    bought = []
    if units >= smallest:
        sizes = [each] * (units // each)
        rest = units % each
        if rest >= smallest or not sizes:
            sizes.append(rest)
        else:
            sizes[-1] += rest
        for number, amount in enumerate(sizes):
            why = "all at once" if len(sizes) == 1 else f"step {number + 1} of {len(sizes)}"
            bought.append((number, _in_months(today, number), amount * size, why, 0))
    arrived = standing + sum(step[2] for step in bought)
    refills = _refills(wanted, arrived, owned, size=size, smallest=smallest, today=today)
    found, level = [], standing
    for month, on, nanos, why, ended in sorted([*bought, *refills], key=lambda step: (step[1] or date.min, step[0])):
        level += nanos - ended
        if nanos:
            found.append(Step(month, on, nanos, level, why, refill=ended > 0))
    return tuple(found)


def _refills(
    wanted: int, arrived: int, owned: Sequence[Owned], *, size: int, smallest: int, today: date | None
) -> list[tuple[int, date | None, int, str, int]]:
    """For each day on which something ends: what of the wanted level is missing then, in whole units.

    ``arrived`` is the level that the steps lead to: what they bring is not bought twice.
    """
    found: list[tuple[int, date | None, int, str, int]] = []
    if today is None:
        return found
    for day, ending in itertools.groupby(soon_ended(owned, today), key=lambda one: one.until):
        assert day is not None
        listed = list(ending)
        ended = sum(one.nanos for one in listed)
        units = max(0, wanted - arrived + ended) // size
        again = units * size if units >= smallest else 0
        arrived += again - ended
        what = " and ".join(one.what or "what is owned" for one in listed)
        ends = "which ends then" if len(listed) == 1 else "which end then"
        found.append((round((day - today).days / _DAYS_A_MONTH), day, again, f"in place of {what}, {ends}", ended))
    return found


def soon_ended(owned: Sequence[Owned], today: date) -> list[Owned]:
    """What of it ends within the next twelve months, by its day."""
    last = _in(today, _AHEAD_MONTHS)
    ending = [one for one in owned if one.until is not None and today < one.until <= last]
    return sorted(ending, key=lambda one: one.until or last)


def stands(one: Owned, today: date | None) -> bool:
    """Whether it has not ended by ``today``."""
    return one.until is None or today is None or one.until > today


def _in(today: date, months: int) -> date:
    return today + timedelta(days=round(months * _DAYS_A_MONTH))


def _in_months(today: date | None, months: int) -> date | None:
    return None if today is None else _in(today, months)
