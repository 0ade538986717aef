"""Windows of time: half-open, naive, UTC.

FOCUS periods are ``[start, end)``: a month ends where the next begins, and no hour is counted in two. Times carry no
zone because they are all UTC; what a bill writes with a zone is converted when it is read. Nothing here reads the
clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from outlay.errors import UsageError

__all__ = ["Period", "month_of", "month_period", "next_month", "parse_day"]

_MONTH = re.compile(r"^(\d{4})-(\d{2})$")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """``[since, until)`` in naive UTC. An empty or backward window is a :class:`UsageError`."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if self.until <= self.since:
            raise UsageError(
                f"the window ends ({self.until.isoformat()}) before it starts ({self.since.isoformat()}).",
                hint="--until is exclusive: for all of October give --since 2026-10-01 --until 2026-11-01.",
            )

    @property
    def days(self) -> int:
        """Whole days in the window."""
        return (self.until - self.since).days

    def previous(self) -> Period:
        """The window of equal length that ends where this one starts."""
        return Period(self.since - (self.until - self.since), self.since)


def parse_day(text: str, *, name: str = "date") -> datetime:
    """``2026-10-01``, ``2026-10`` (its first day) or an ISO time, as naive UTC midnight or instant."""
    if match := _MONTH.match(text):
        year, month = int(match[1]), int(match[2])
        if 1 <= month <= 12:
            return datetime(year, month, 1)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(f"'{text}' is not a date.", where=name, hint="Write it as 2026-10-01 or 2026-10.") from None
    offset = moment.utcoffset()
    return moment if offset is None else (moment - offset).replace(tzinfo=None)


def month_of(moment: date) -> str:
    """The billing month of a day: ``2026-10``."""
    return f"{moment.year:04d}-{moment.month:02d}"


def next_month(month: str) -> str:
    """``2026-12`` gives ``2027-01``."""
    first = parse_day(month)
    return month_of(first + timedelta(days=31))


def month_period(month: str) -> Period:
    """The window of a ``YYYY-MM`` month."""
    return Period(parse_day(month, name="month"), parse_day(next_month(month)))
