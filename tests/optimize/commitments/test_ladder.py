"""The ladder splits what is missing into whole units, loses none, and refills what expires."""

from __future__ import annotations

from datetime import date, timedelta

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


def test_what_covers_the_level_is_refilled_where_nothing_is_bought_now() -> None:
    owned = (Owned(6, date(2027, 3, 1), "a"), Owned(4, date(2027, 5, 1), "b"), Owned(3, None))
    steps = ladder(10, owned, months=3, unit=1, today=TODAY)
    assert [(step.nanos, step.on, step.owned_then, step.refill) for step in steps] == [
        (3, date(2027, 3, 1), 10, True),
        (4, date(2027, 5, 1), 10, True),
    ]
    assert "made again by 2027-03-01" in (steps[0].depends_on or "")


def test_no_more_is_refilled_than_the_level_needs() -> None:
    owned = (Owned(6, date(2027, 3, 1)), Owned(8, date(2029, 1, 1)))
    assert ladder(8, owned, months=1, unit=1, today=TODAY) == ()
    assert [step.nanos for step in ladder(9, owned, months=1, unit=1, today=TODAY)] == [1]


def test_what_ends_on_one_day_is_refilled_in_one_purchase() -> None:
    owned = (Owned(3, date(2027, 3, 1), "a"), Owned(3, date(2027, 3, 1), "b"))
    (step,) = ladder(6, owned, months=1, unit=1, today=TODAY, least=5)
    assert (step.nanos, step.why) == (6, "in place of a and b, which end then")


def test_a_refill_between_two_steps_buys_neither_of_them() -> None:
    owned = (Owned(2, date(2026, 11, 15), "a"),)
    steps = ladder(6, owned, months=3, unit=1, today=TODAY)
    assert [(step.nanos, step.owned_then, step.refill) for step in steps] == [
        (2, 4, False),
        (2, 4, True),
        (2, 6, False),
    ]


@given(
    st.integers(0, 200),
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 400)), max_size=5),
    st.integers(1, 6),
    st.integers(1, 5),
)
def test_the_level_is_reached_and_never_passed_by_a_purchase(
    wanted: int, held: list[tuple[int, int]], months: int, unit: int
) -> None:
    owned = [Owned(nanos, TODAY + timedelta(days=days)) for nanos, days in held]
    steps = ladder(wanted, owned, months=months, unit=unit, today=TODAY)
    assert all(step.owned_then <= max(wanted, sum(nanos for nanos, _ in held)) for step in steps)
    year = TODAY + timedelta(days=365)
    lasting = sum(one.nanos for one in owned if (one.until or year) > year)
    level = lasting + sum(step.nanos for step in steps)
    assert wanted - level < unit
    assert level <= max(wanted, lasting)
