"""Stability is told from full weeks only, and a gap is neither demand nor a change."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from outlay.optimize.commitments.demand import together
from outlay.optimize.commitments.stability import stability
from tests.optimize.commitments.series import MONDAY, demand, steady

LIMIT = Decimal("0.20")
WEEK = 168


def test_each_measure_by_hand() -> None:
    found = stability(demand([10.0] * WEEK + [12.0] * WEEK + [9.0] * WEEK), LIMIT)
    assert (found.weeks, found.days) == (3, 21)
    assert found.max_wow == Decimal("0.25")
    assert found.mean_wow == (Decimal("0.2") + Decimal("0.25")) / 2
    # The means 10, 12, 9: mean 31/3, sample variance 7/3.
    assert found.cv is not None
    assert abs(found.cv - (Decimal(7) / 3).sqrt() / (Decimal(31) / 3)) < Decimal("1e-20")
    assert found.stable is False
    assert found.largest_in == datetime(2026, 6, 15)


def test_exactly_a_fifth_is_not_stable() -> None:
    assert stability(demand([10.0] * WEEK + [8.0] * WEEK), LIMIT).stable is False
    assert stability(demand([10.0] * WEEK + [8.1] * WEEK), LIMIT).stable is True


def test_a_week_with_a_gap_is_left_out_and_breaks_the_chain() -> None:
    hours: list[float | None] = [*[10.0] * WEEK, *[10.0] * WEEK, *[20.0] * WEEK]
    hours[WEEK + 5] = None
    found = stability(demand(hours), LIMIT)
    assert found.weeks == 2
    assert found.max_wow is None
    assert found.stable is None


def test_weeks_begin_on_monday_or_at_a_multiple_of_168() -> None:
    dated = demand([1.0] * (3 * WEEK), first=datetime(2026, 6, 3, 5))  # a Wednesday
    assert [week.start for week in dated.weeks()] == [datetime(2026, 6, 8), datetime(2026, 6, 15)]
    counted = demand([1.0] * (3 * WEEK), first=100)
    assert [week.start for week in counted.weeks()] == [168, 336]
    assert [week.number for week in counted.weeks()] == [1, 2]


def test_the_last_days_count_the_change_into_them() -> None:
    hours = [10.0] * WEEK + [20.0] * WEEK + [20.0] * (4 * WEEK)
    assert stability(demand(hours), LIMIT, last_days=28).max_wow == 0
    assert stability(demand(hours), LIMIT, last_days=35).max_wow == 1


def test_a_pool_that_starts_from_nothing_changed_by_the_whole() -> None:
    assert stability(demand([0.0] * WEEK + [5.0] * WEEK), LIMIT).max_wow == 1
    assert stability(demand([0.0] * WEEK + [0.0] * WEEK), LIMIT).max_wow == 0


def test_a_union_knows_the_hours_that_all_know() -> None:
    one = demand([1.0, None, 3.0, 4.0], pool="a")
    other = demand([10.0, 20.0, 30.0], pool="b", first=datetime(2026, 6, 1, 1))
    both = together("a|b", [one, other])
    assert both.first == datetime(2026, 6, 1, 1)
    assert [int(value) // 10**9 for value in both.nanos] == [0, 23, 34]
    assert both.known.tolist() == [False, True, True]


def test_steady_is_steady() -> None:
    found = stability(steady(12), LIMIT)
    assert found.stable
    assert steady(12).first == MONDAY
