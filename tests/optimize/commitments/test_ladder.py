"""The ladder splits what is missing into whole units, loses none, and refills what expires."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from outlay.optimize.commitments.ladder import Owned, ladder

TODAY = date(2026, 11, 1)


@given(st.integers(0, 500), st.integers(1, 12), st.integers(1, 9), st.integers(0, 40))
def test_nothing_is_lost(wanted: int, months: int, unit: int, least: int) -> None:
    steps = ladder(wanted, (), months=months, unit=unit, today=TODAY, least=least)
    bought = sum(step.nanos for step in steps)
    whole = wanted // unit * unit
    assert bought in (whole, 0)
    assert bought == whole or whole < least or whole == 0
    assert all(step.nanos % unit == 0 for step in steps)
    assert [step.month for step in steps] == sorted(step.month for step in steps)
    if steps:
        assert steps[-1].owned_then == bought


def test_three_steps_of_ten() -> None:
    steps = ladder(10, (), months=3, unit=1, today=TODAY)
    assert [(step.nanos, step.on) for step in steps] == [
        (4, date(2026, 11, 1)),
        (4, date(2026, 12, 1)),
        (2, date(2027, 1, 1)),
    ]


@given(st.integers(1, 500), st.integers(1, 12), st.integers(1, 9), st.integers(0, 40))
def test_plans_made_again_each_month_arrive_in_as_many_months(wanted: int, months: int, unit: int, least: int) -> None:
    owned = 0
    for _ in range(months):
        steps = ladder(wanted, (Owned(owned, None),), months=months, unit=unit, today=TODAY, least=least)
        owned += steps[0].nanos if steps else 0
    assert wanted // unit * unit - owned < max(unit, least, 1)


def test_what_ends_is_bought_again_on_its_day() -> None:
    owned = (Owned(6, date(2027, 3, 1), "sp-1"), Owned(2, date(2026, 10, 1), "old"), Owned(1, date(2029, 1, 1), "long"))
    steps = ladder(10, owned, months=1, unit=1, today=TODAY)
    assert [(step.nanos, step.on, step.owned_then) for step in steps] == [
        (3, date(2026, 11, 1), 10),
        (6, date(2027, 3, 1), 10),
    ]
    assert "sp-1" in steps[1].why


def test_without_dates_months_are_counted() -> None:
    steps = ladder(4, (Owned(1, None),), months=3, unit=1, today=None)
    assert [(step.month, step.on, step.nanos, step.owned_then) for step in steps] == [
        (0, None, 2, 3),
        (1, None, 1, 4),
    ]


def test_what_ends_and_is_not_bought_again_is_gone() -> None:
    steps = ladder(10, (Owned(10, date(2027, 3, 1), "ten"),), months=1, unit=8, today=TODAY)
    assert [(step.nanos, step.owned_then) for step in steps] == [(8, 8)]
    none = ladder(10, (Owned(4, date(2027, 3, 1)),), months=1, unit=1, today=TODAY, least=5)
    assert [(step.nanos, step.owned_then) for step in none] == [(6, 10)]
