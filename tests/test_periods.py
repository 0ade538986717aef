"""Windows are half-open and naive UTC; what is no window or no date is refused with the way to write it."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.periods import Period, month_of, month_period, next_month, parse_day


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-10", datetime(2026, 10, 1)),
        ("2026-10-17", datetime(2026, 10, 17)),
        ("2026-10-17T05:30:00Z", datetime(2026, 10, 17, 5, 30)),
        ("2026-10-17T05:30:00+02:00", datetime(2026, 10, 17, 3, 30)),
        ("2026-10-01T00:30:00+02:00", datetime(2026, 9, 30, 22, 30)),
    ],
)
def test_a_date_in_any_zone_becomes_naive_utc(text: str, moment: datetime) -> None:
    parsed = parse_day(text)

    assert parsed == moment
    assert parsed.tzinfo is None


@pytest.mark.parametrize("text", ["", "October", "2026-13", "2026-02-30", "17.10.2026", "2026-00"])
def test_what_is_no_date_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(UsageError, match=r"--since: '.*' is not a date\. Write it as 2026-10-01 or 2026-10\."):
        parse_day(text, name="--since")


def test_a_window_may_not_be_empty_or_backward() -> None:
    day = datetime(2026, 10, 1)

    with pytest.raises(UsageError, match="before it starts"):
        Period(datetime(2026, 10, 2), day)
    with pytest.raises(UsageError, match="--until is exclusive"):
        Period(day, day)


def test_the_previous_window_has_the_same_length_and_ends_where_this_starts() -> None:
    october = month_period("2026-10")

    assert october == Period(datetime(2026, 10, 1), datetime(2026, 11, 1))
    assert october.days == 31
    assert october.previous() == Period(datetime(2026, 8, 31), datetime(2026, 10, 1))


def test_a_year_ends_where_the_next_begins() -> None:
    assert next_month("2026-12") == "2027-01"
    assert month_period("2028-02").days == 29


@given(st.dates(min_value=date(1990, 1, 1), max_value=date(2200, 1, 1)))
def test_a_day_lies_in_its_months_window_and_no_other(day: date) -> None:
    month = month_of(day)
    window = month_period(month)

    assert window.since <= datetime(day.year, day.month, day.day) < window.until
    assert month_period(next_month(month)).since == window.until
