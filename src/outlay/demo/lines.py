"""One line of a bill, and how many rows it becomes.

A bill repeats itself: the same resource, account and tags, hour after hour, with only the time and the quantity
changing. So the company is a few thousand *lines*, each with all that stays the same, and the rows are lines
times hours, days or months. That is what makes a hundred million rows cheap to make, and what makes the truth
exact: prices are constant on a line, so a sum of costs is a sum of whole counts times a price.

A line counts in one of three ways. ``hours``: a thing that runs by a schedule, ``units`` of it at once.
``volume``: a whole number of tokens or thousandths of a GB with growth, a weekly and a daily season and some
chance. ``flat``: one a month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Literal

from outlay.demo.catalogue import Sku
from outlay.demo.chance import mix

__all__ = ["ALWAYS", "Calendar", "Commitment", "Grain", "Line", "Schedule", "SubAccount", "count_rows", "day_text"]

Grain = Literal["hour", "day", "month"]
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hours of the day, ``[from, to)``, on weekdays and on weekends.

    ``wobble``: the end is up to so many hours earlier, by chance, day by day. ``inverse``: all the other hours,
    which is how the unused part of a commitment mirrors the used part.
    """

    weekday: tuple[int, int] = (0, 24)
    weekend: tuple[int, int] = (0, 24)
    wobble: int = 0
    inverse: bool = False

    def span(self, day: int, key: int) -> tuple[int, int]:
        """Hours ``[from, to)`` of ``day`` (days since 1970), before they are inverted."""
        start, end = self.weekend if (day + 3) % 7 >= 5 else self.weekday
        if self.wobble and end > start:
            end -= mix(key, day) % (self.wobble + 1)
        return start, end

    def hours(self, day: int, key: int) -> int:
        """Active hours on ``day``."""
        start, end = self.span(day, key)
        return 24 - (end - start) if self.inverse else end - start


ALWAYS = Schedule()


@dataclass(frozen=True, slots=True)
class SubAccount:
    """A FOCUS sub account: an AWS member account, a subscription, a project, a workspace."""

    account_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Commitment:
    """A commitment discount: ``rate`` is what it costs per unit and hour, used or not."""

    commitment_id: str
    name: str
    category: Literal["Usage", "Spend"]
    kind: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """What stays the same on a run of rows. The four prices are USD per pricing unit; each cost is price x quantity.

    ``first_hour`` and ``last_hour`` (hours since 1970, half-open) bound the line. ``base`` is the volume of a day
    at the start. ``chance`` keys the hash, so that lines which share it (the meters of one endpoint) rise and
    fall together. ``labels`` say what the line was planted for.
    """

    name: str
    sku: Sku
    account: SubAccount
    region: str | None
    resource_id: str | None
    resource_name: str | None
    tags: Mapping[str, str] | None
    grain: Grain
    first_hour: int
    last_hour: int
    list_price: Decimal
    contracted_price: Decimal
    effective_price: Decimal
    billed_price: Decimal
    chance: int
    counts: Literal["hours", "volume", "flat"] = "hours"
    schedule: Schedule = ALWAYS
    units: int = 1
    base: int = 0
    growth_permille: int = 0
    weekend_permille: int = 1000
    boost: int = 1
    charge_category: Literal["Usage", "Purchase", "Tax", "Credit"] = "Usage"
    pricing_category: str | None = "Standard"
    commitment: Commitment | None = None
    commitment_status: Literal["Used", "Unused"] | None = None
    capacity_id: str | None = None
    capacity_status: Literal["Used", "Unused"] | None = None
    eligible: tuple[str, ...] = ()
    resource_type: str | None = None
    description: str | None = None
    labels: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_ai(self) -> bool:
        """Whether the SKU is AI: the whole truth about it, as the generator knows what it made."""
        return self.sku.ai is not None


@dataclass(frozen=True, slots=True)
class Calendar:
    """The months of the bills: from the first of a month to the last day, which may be any day of its month."""

    first_day: int
    last_day: int
    months: tuple[tuple[str, int, int], ...]

    @classmethod
    def ending(cls, until: date, months: int) -> Calendar:
        """``months`` calendar months, the last of them ending with the day ``until``. Days count from 1970."""
        found: list[tuple[str, int, int]] = []
        end = until + timedelta(days=1)
        start = until.replace(day=1)
        for _ in range(months):
            found.append((f"{start:%Y-%m}", (start - _EPOCH).days, (end - _EPOCH).days))
            end, start = start, (start - timedelta(days=1)).replace(day=1)
        found.reverse()
        return cls(found[0][1], found[-1][2], tuple(found))

    @property
    def days(self) -> int:
        """Days covered."""
        return self.last_day - self.first_day

    @property
    def first_hour(self) -> int:
        """First hour, since 1970."""
        return self.first_day * 24

    @property
    def last_hour(self) -> int:
        """Hour after the last, since 1970."""
        return self.last_day * 24

    def month_start(self, index: int) -> int:
        """First hour of the month at ``index`` (clipped to the months there are)."""
        return self.months[min(index, len(self.months) - 1)][1] * 24


def day_text(day: int) -> str:
    """``2026-10-31`` for a count of days since 1970."""
    return (_EPOCH + timedelta(days=day)).isoformat()


@cache
def _scheduled_hours(schedule: Schedule, first_day: int, last_day: int, key: int) -> tuple[int, int]:
    """Hours, and days with any, between two days."""
    by_day = [schedule.hours(day, key) for day in range(first_day, last_day)]
    return sum(by_day), sum(hours > 0 for hours in by_day)


def count_rows(line: Line, calendar: Calendar) -> int:
    """Rows that ``line`` becomes, without making them. A volume is never zero, so every bucket of it is a row."""
    first, last = max(line.first_hour, calendar.first_hour), min(line.last_hour, calendar.last_hour)
    if last <= first:
        return 0
    if line.grain == "month":
        return sum(max(first, start * 24) < min(last, end * 24) for _, start, end in calendar.months)
    if line.grain == "hour":
        if line.counts == "volume" or line.schedule == ALWAYS:
            return last - first
        return _scheduled_hours(line.schedule, first // 24, last // 24, line.chance if line.schedule.wobble else 0)[0]
    if line.counts == "volume" or line.schedule == ALWAYS:
        return (last - first) // 24
    return _scheduled_hours(line.schedule, first // 24, last // 24, line.chance if line.schedule.wobble else 0)[1]
