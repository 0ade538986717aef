"""Windows of a quota: a calendar day that starts anew, or the last 60 minutes that slide along.

A call belongs to the moment at which it was admitted, whenever it is settled. What a window holds is kept in *buckets*:
a calendar window is one bucket; a sliding one is cut into sixty, and the oldest counts whole until all of it is out
of the window. So a sliding quota lets up to one sixtieth of its window late, and never too early: no stretch of the
window's length, wherever it begins, has more than the limit in it.

Moments are milliseconds since 1970 in UTC: the request path counts with whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

__all__ = ["UNITS", "Kind", "Window", "milliseconds", "moment"]

Kind = Literal["calendar", "sliding"]

_SECOND = 1000
UNITS = {
    "second": _SECOND,
    "minute": 60 * _SECOND,
    "hour": 3600 * _SECOND,
    "day": 86_400 * _SECOND,
    "week": 7 * 86_400 * _SECOND,
    "month": 30 * 86_400 * _SECOND,
    "year": 365 * 86_400 * _SECOND,
}
"""Lengths in milliseconds; of calendar months and years what a sliding one takes for them."""

_PARTS = 60
_MONDAY = 4 * UNITS["day"]
"""1970-01-05, the first Monday."""


def milliseconds(at: datetime) -> int:
    """A naive UTC time as milliseconds since 1970."""
    return (at - datetime(1970, 1, 1)) // timedelta(milliseconds=1)


def moment(at: int) -> datetime:
    """The naive UTC time of milliseconds since 1970."""
    return datetime(1970, 1, 1) + timedelta(milliseconds=at)


@dataclass(frozen=True, slots=True)
class Window:
    """``count`` units long; calendar windows have ``count`` 1 and begin at midnight UTC, on Monday, on the 1st."""

    unit: str
    count: int = 1
    kind: Kind = "calendar"

    @property
    def length(self) -> int:
        """In milliseconds; of a calendar month or year about so many."""
        return UNITS[self.unit] * self.count

    def bucket(self, at: int) -> int:
        """When the bucket begins that a call of this moment belongs to."""
        if self.kind == "sliding":
            part = max(1, self.length // _PARTS)
            return at - at % part
        if self.unit == "week":
            return at - (at - _MONDAY) % UNITS["week"]
        if self.unit in ("month", "year"):
            day = datetime.fromtimestamp(at // 1000, UTC).replace(tzinfo=None)
            first = datetime(day.year, day.month if self.unit == "month" else 1, 1)
            return milliseconds(first)
        return at - at % UNITS[self.unit]

    def next(self, bucket: int) -> int:
        """When the bucket after this one begins."""
        return bucket + max(1, self.length // _PARTS) if self.kind == "sliding" else self.ends(bucket)

    def ends(self, bucket: int) -> int:
        """From when on what is in a bucket no longer counts."""
        if self.kind == "sliding":
            return bucket + max(1, self.length // _PARTS) + self.length
        if self.unit == "month":
            return self.bucket(bucket + 31 * UNITS["day"])
        if self.unit == "year":
            return self.bucket(bucket + 366 * UNITS["day"])
        return bucket + UNITS[self.unit]

    def __str__(self) -> str:
        length = self.unit if self.count == 1 else f"{self.count} {self.unit}s"
        return f"{'sliding' if self.kind == 'sliding' else 'calendar'} {length}"
