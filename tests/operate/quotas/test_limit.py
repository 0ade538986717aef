"""Limits as they are written, and the windows they hold for."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from outlay.errors import ConfigError
from outlay.operate.quotas.limit import parse_limit, shown, whole
from outlay.operate.quotas.window import UNITS, Kind, Window, milliseconds, moment

USD = 10**18


@pytest.mark.parametrize(
    ("text", "measure", "amount", "window"),
    [
        ("900 USD/day", "USD", 900 * USD, Window("day", 1, "calendar")),
        ("0.25 EUR / month", "EUR", USD // 4, Window("month", 1, "calendar")),
        ("2M tokens/hour", "tokens", 2_000_000, Window("hour", 1, "sliding")),
        ("1.5k tokens per minute", "tokens", 1500, Window("minute", 1, "sliding")),
        ("600 requests/minute", "requests", 600, Window("minute", 1, "sliding")),
        ("1 request/second", "requests", 1, Window("second", 1, "sliding")),
        ("1,200 USD/30 days", "USD", 1200 * USD, Window("day", 30, "sliding")),
    ],
)
def test_limits_as_they_are_written(text: str, measure: str, amount: int, window: Window) -> None:
    found = parse_limit(text)
    assert (found.measure, found.amount, found.window) == (measure, amount, window)


def test_the_window_can_be_told() -> None:
    assert parse_limit("900 USD/day", "sliding").window == Window("day", 1, "sliding")
    assert parse_limit("600 requests/minute", "calendar").window == Window("minute", 1, "calendar")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("900", "is no limit"),
        ("900 USD/fortnight", "no window"),
        ("0 USD/day", "lets nothing through"),
        ("900 dollars/day", "nothing that can be counted"),
        ("1.5 requests/minute", "no whole number of requests"),
        ("0.0000000000000000001 USD/day", "more than 18 decimals"),
        ("5 USD/0 days", "lets nothing through"),
    ],
)
def test_what_is_no_limit_says_so(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_limit(text)


def test_several_days_can_not_follow_the_calendar() -> None:
    with pytest.raises(ConfigError, match="only one day can"):
        parse_limit("900 USD/7 days", "calendar")


def test_money_is_whole_and_exact() -> None:
    assert whole(Decimal("0.000000000000000001")) == 1
    assert shown(whole(Decimal("0.0035")), "USD") == "0.0035 USD"
    assert str(parse_limit("0.25 EUR/month").amount) == "250000000000000000"
    assert str(parse_limit("2M tokens/2 hours")) == "2,000,000 tokens/2 hours"


@pytest.mark.parametrize(
    ("unit", "begins", "ends"),
    [
        ("minute", "2026-11-23T22:47", "2026-11-23T22:48"),
        ("day", "2026-11-23", "2026-11-24"),
        ("week", "2026-11-23", "2026-11-30"),
        ("month", "2026-11-01", "2026-12-01"),
        ("year", "2026-01-01", "2027-01-01"),
    ],
)
def test_calendar_windows_begin_and_end_with_the_calendar(unit: str, begins: str, ends: str) -> None:
    window = Window(unit)
    at = milliseconds(datetime(2026, 11, 23, 22, 47, 31))
    bucket = window.bucket(at)
    assert (moment(bucket), moment(window.ends(bucket))) == (
        datetime.fromisoformat(begins),
        datetime.fromisoformat(ends),
    )
    assert window.bucket(window.ends(bucket) - 1) == bucket
    assert window.bucket(window.ends(bucket)) == window.ends(bucket)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("kind", "count"), [("calendar", 1), ("sliding", 1), ("sliding", 7)])
def test_a_bucket_ends_where_the_next_begins(unit: str, kind: Kind, count: int) -> None:
    """What the counter remembers of the bucket that it counted in last rests on that."""
    window = Window(unit, count, kind)
    bucket = window.bucket(milliseconds(datetime(2026, 1, 31, 22, 47, 31)))
    for _ in range(500):
        following = window.next(bucket)
        assert window.bucket(following) == following > bucket
        assert window.bucket(following - 1) == bucket
        bucket = following


def test_a_sunday_belongs_to_the_week_of_the_monday_before() -> None:
    window = Window("week")
    assert moment(window.bucket(milliseconds(datetime(2026, 11, 22, 23, 59)))) == datetime(2026, 11, 16)


def test_a_sliding_window_keeps_a_call_for_its_whole_length_and_a_sixtieth_more_at_most() -> None:
    window = Window("minute", 1, "sliding")
    for at in (0, 999, 1000, 31_337):
        out = window.ends(window.bucket(at))
        assert at + 60_000 <= out <= at + 61_000
