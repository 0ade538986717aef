"""Demand: the GPUs that a pool had in use, hour by hour, and the hours of which nobody knows.

A commitment is sized on what was needed in each hour, so this is the one input that everything here rests on. Hours are
contiguous from the first known to the last; an hour without a figure is a *gap* and takes part in no sum: missing data
is not zero use. GPUs are kept as whole billionths, so that sums over years are exact and fast at once:

    GPU-hours = sum of gpus over the known hours

Weeks are the unit of stability. Where hours have dates, a week runs from Monday 00:00 UTC; where they are counted from
0, week n has the hours 168n to 168n + 167. A week is full when all of its 168 hours are known; the user may let one
count that lacks a few (``week_missing_hours``). Its mean is then over the hours that are known, so that a gap is never
counted as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from outlay.errors import UsageError

__all__ = ["HOURS_A_DAY", "HOURS_A_WEEK", "NANOS", "Demand", "Week", "gpus", "together"]

NANOS = 10**9
"""Billionths of a GPU: what :class:`Demand` counts in."""
HOURS_A_DAY = 24
HOURS_A_WEEK = 168
_MOST = 2**63
_MONDAY = datetime(1970, 1, 5)
_HOUR = timedelta(hours=1)


def gpus(nanos: int) -> Decimal:
    """``1_500_000_000`` billionths as ``Decimal('1.5')``: GPUs, or GPU-hours of a sum."""
    return Decimal(int(nanos)).scaleb(-9)


@dataclass(frozen=True, slots=True)
class Week:
    """A week: ``start`` as a date or an hour index, its number, its known ``hours`` and their sum in billionths."""

    start: datetime | int
    number: int
    nanos: int
    hours: int = HOURS_A_WEEK

    @property
    def mean(self) -> Decimal:
        """GPUs on average over the known hours."""
        return gpus(self.nanos) / self.hours if self.hours else Decimal(0)

    @property
    def missing(self) -> int:
        """Hours of which nothing is known."""
        return HOURS_A_WEEK - self.hours

    @property
    def whole(self) -> float:
        """Billionths of a GPU-hour that 168 hours at the mean of the known ones hold: the sum of a full week."""
        return self.nanos * (HOURS_A_WEEK / self.hours)


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """Hourly demand of ``pool`` from the hour ``first`` on.

    ``nanos`` (int64) holds billionths of a GPU, one an hour, 0 in a gap; ``known`` (bool) tells gaps from zeros.
    ``first`` is naive UTC on the full hour, or a count of hours. ``source`` says where it was read.
    """

    pool: str
    first: datetime | int
    nanos: NDArray[np.int64]
    known: NDArray[np.bool_]
    source: str = ""

    def __post_init__(self) -> None:
        assert self.nanos.shape == self.known.shape
        assert not self.nanos[~self.known].any()
        if len(self.nanos) and float(self.nanos.max()) * len(self.nanos) >= _MOST:
            raise UsageError(
                f"the demand of {self.pool} is too large to add up exactly: {gpus(int(self.nanos.max()))} GPUs over "
                f"{len(self.nanos)} hours.",
                hint="Check the column's unit: it must be GPUs in use, at most 9 billion GPU-hours in all.",
            )

    def __len__(self) -> int:
        return len(self.nanos)

    @property
    def hours(self) -> int:
        """Known hours."""
        return int(self.known.sum())

    @property
    def gaps(self) -> int:
        """Hours between the first and the last of which nothing is known."""
        return len(self) - self.hours

    @property
    def total(self) -> int:
        """Billionths of a GPU-hour over the known hours."""
        return int(self.nanos.sum())

    @property
    def mean(self) -> Decimal:
        """GPUs on average over the known hours."""
        return gpus(self.total) / self.hours if self.hours else Decimal(0)

    def at(self, position: int) -> datetime | int:
        """The hour at a position: a date, or a count of hours."""
        return self.first + position * _HOUR if isinstance(self.first, datetime) else self.first + position

    @property
    def end(self) -> datetime | int:
        """The hour after the last."""
        return self.at(len(self))

    def part(self, start: int, stop: int) -> Demand:
        """The hours at positions ``[start, stop)``."""
        start, stop = max(0, start), max(0, min(stop, len(self)))
        return Demand(self.pool, self.at(start), self.nanos[start:stop], self.known[start:stop], self.source)

    def before(self, moment: datetime | int) -> Demand:
        """What was known at ``moment``: the hours that ended by then."""
        return self.part(0, max(0, self.position(moment)))

    def last(self, hours: int) -> Demand:
        """The last ``hours`` hours, gaps counted."""
        return self.part(len(self) - hours, len(self))

    def position(self, moment: datetime | int) -> int:
        """Hours from the first to ``moment``; raises :class:`UsageError` for a date where hours are only counted."""
        if isinstance(self.first, datetime) and isinstance(moment, datetime):
            return (moment - self.first) // _HOUR
        if isinstance(self.first, int) and isinstance(moment, int):
            return moment - self.first
        kind = "dates" if isinstance(self.first, datetime) else "numbers of hours"
        raise UsageError(
            f"'{moment}' can't be found in the demand of {self.pool}, whose hours are {kind}.",
            where="--as-of",
            hint="Give it in the same way as the column 'hour'.",
        )

    def weeks(self, missing: int = 0) -> tuple[Week, ...]:
        """The weeks that lack at most ``missing`` of their hours, in order: the full ones unless given."""
        return tuple(week for week in self.calendar_weeks() if week.missing <= missing)

    def calendar_weeks(self) -> tuple[Week, ...]:
        """All weeks from the first hour to the last, known or not, in order; two that follow each other differ by 1."""
        offset = self.position(_MONDAY) if isinstance(self.first, datetime) else -self.first
        skip = offset % HOURS_A_WEEK
        whole = (len(self) - skip) // HOURS_A_WEEK
        if whole <= 0:
            return ()
        cut = slice(skip, skip + whole * HOURS_A_WEEK)
        sums = self.nanos[cut].reshape(whole, HOURS_A_WEEK).sum(axis=1)
        known = self.known[cut].reshape(whole, HOURS_A_WEEK).sum(axis=1)
        first = (skip - offset) // HOURS_A_WEEK
        return tuple(
            Week(self.at(skip + n * HOURS_A_WEEK), first + n, int(sums[n]), int(known[n])) for n in range(whole)
        )

    def first_gap(self, since: datetime | int) -> datetime | int:
        """The first hour from ``since`` on of which nothing is known; there must be one."""
        start = self.position(since)
        return self.at(start + int(np.flatnonzero(~self.known[start:])[0]))

    def since_first_use(self) -> Demand:
        """From the first hour with any demand on: history of production starts there."""
        used = np.flatnonzero(self.nanos > 0)
        return self.part(int(used[0]) if len(used) else len(self), len(self))


def together(pool: str, demands: Sequence[Demand]) -> Demand:
    """The union of pools: hours that all of them know, summed. One of dates and one of numbers is a UsageError."""
    first = demands[0]
    start = max(0, *(first.position(one.first) for one in demands)) if len(demands) > 1 else 0
    stop = min(first.position(one.end) for one in demands)
    if stop <= start:
        raise UsageError(f"the pools of '{pool}' have no hour in common.", hint="Give demand of the same time.")
    nanos = np.zeros(stop - start, dtype=np.int64)
    known = np.ones(stop - start, dtype=np.bool_)
    for one in demands:
        shift = first.position(one.first)
        nanos += one.nanos[start - shift : stop - shift]
        known &= one.known[start - shift : stop - shift]
    nanos[~known] = 0
    return Demand(pool, first.at(start), nanos, known, first.source)
