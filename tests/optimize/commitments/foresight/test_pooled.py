"""The rule and the optimum of a pool: as defined, as tried by all means, within the bound that levels break."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outlay.errors import OutlayError, UsageError
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.foresight import online, pooled
from outlay.optimize.commitments.foresight.tariff import Period, Tariff, flat
from outlay.optimize.commitments.sizing import Levels
from tests.optimize.commitments.hours import fleet, of

ONE = Decimal(1)
prices = st.decimals("0.01", "1.2", places=2)
gpus = st.none() | st.integers(0, 6)
walks = st.lists(st.integers(-2, 2), max_size=40).map(
    lambda steps: [max(0, int(one)) for one in np.cumsum(np.array(steps, dtype=np.int64))]
)


def cost(hours: list[int | None], bought: list[int], fee: Fraction, term: int) -> Fraction:
    """In hours of on-demand."""
    rent = sum(max(0, (one or 0) - sum(bought[max(0, t - term + 1) : t + 1])) for t, one in enumerate(hours))
    return fee * sum(bought) + rent


def by_the_book(hours: list[int | None], fee: Fraction, term: int) -> list[int]:
    """The rule GPU by GPU: while the trailing term has enough short hours, buy one, and one in the past as well."""
    served = [0] * (len(hours) + term)
    bought = [0] * len(hours)
    for t in range(len(hours)):
        window = range(max(0, t - term + 1), t + 1)
        while fee < term and sum((hours[i] or 0) > served[i] for i in window) >= max(Fraction(1), fee):
            bought[t] += 1
            for i in range(window.start, t + term):
                served[i] += 1
    return bought


@given(st.lists(st.none() | st.integers(0, 2), max_size=6), prices, st.integers(1, 7))
@settings(deadline=None)
def test_the_optimum_is_the_least_of_all_purchases(hours: list[int | None], price: Decimal, term: int) -> None:
    fee = Fraction(price) * term
    best = pooled.clairvoyant(of(hours), price, ONE, term)
    tried = min(cost(hours, list(bought), fee, term) for bought in product(range(3), repeat=len(hours)))

    assert Fraction(best.cost) == tried


@given(st.lists(gpus, max_size=40) | walks, prices, st.integers(1, 9))
@settings(deadline=None)
def test_the_rule_buys_what_it_would_one_by_one(hours: list[int | None], price: Decimal, term: int) -> None:
    fee = Fraction(price) * term
    followed = pooled.break_even(of(hours), price, ONE, term)
    bought = by_the_book(hours, fee, term)

    assert followed.reservations == sum(bought)
    assert Fraction(followed.cost) == cost(hours, bought, fee, term)


@given(st.lists(gpus, max_size=40) | walks, prices, st.integers(1, 12))
@settings(deadline=None, max_examples=200)
def test_costs_lie_in_order_and_within_the_bound(hours: list[int | None], price: Decimal, term: int) -> None:
    demand = of(hours)
    followed, best = pooled.break_even(demand, price, ONE, term), pooled.clairvoyant(demand, price, ONE, term)

    assert best.cost <= followed.cost <= online.BOUND * best.cost
    assert best.cost <= online.clairvoyant(demand, price, ONE, term).cost <= best.on_demand_cost


@given(st.lists(st.integers(0, 9), min_size=1, max_size=36), prices, st.integers(1, 4))
@settings(deadline=None)
def test_never_above_one_quantity_for_the_whole_time(hours: list[int], price: Decimal, terms: int) -> None:
    hours = hours[: len(hours) // terms * terms]
    assume(hours)
    levels = Levels(of(hours))
    static = levels.outcome(levels.optimum(price, ONE), price, ONE)

    assert pooled.clairvoyant(of(hours), price, ONE, len(hours) // terms).cost <= static.cost


def test_a_pool_beats_its_levels() -> None:
    """Needs of 1, 2 and 1 and terms of two: two that overlap serve all of it."""
    best = pooled.clairvoyant(of([1, 2, 1]), Decimal("0.6"), ONE, 2)

    assert best.cost == Decimal("2.4")
    assert best.reserved.tolist() == [NANOS, 2 * NANOS, NANOS]


def test_the_rule_by_levels_breaks_the_bound_that_the_rule_of_the_pool_keeps() -> None:
    """One GPU, two for eight hours, one again, in terms of 12 hours at a tenth of the price."""
    hours = [one for one in (1, 2, 2, 1) for _ in range(4)]
    demand, price, term = of(hours), Decimal("0.1"), 12
    best = pooled.clairvoyant(demand, price, ONE, term)
    levels, pool = (rule(demand, price, ONE, term) for rule in (online.break_even, pooled.break_even))

    assert best.cost == Decimal("2.4")
    assert [levels.cost, pool.cost] == [Decimal("6.6"), Decimal("4.4")]
    assert (levels.ratio(best) or 0) > online.BOUND > (pool.ratio(best) or 0)


@given(st.lists(gpus, max_size=30), prices, st.integers(1, 9))
@settings(deadline=None)
def test_billionths_scale(hours: list[int | None], price: Decimal, term: int) -> None:
    """Demand of a few billionths of a GPU and of a million of them are the same problem."""
    whole = pooled.clairvoyant(of(hours), price, ONE, term)
    for times in (Decimal("1e-9"), Decimal("1e6")):
        scaled = pooled.clairvoyant(of([None if one is None else one * times for one in hours]), price, ONE, term)

        assert scaled.cost == whole.cost * times


def test_a_result_that_is_not_the_cheapest_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def dear(needed: Any, costs: Any, term: int, solve: Any = pooled._programme) -> Any:
        return solve(needed, replace(costs, fee=costs.fee * 0 + 9.0), term)

    monkeypatch.setattr(pooled, "_programme", dear)

    with pytest.raises(OutlayError, match="no purchases were proven"):
        pooled.clairvoyant(of([1, 2, 1]), Decimal("0.6"), ONE, 2)


def test_whole_units_free_offers_and_no_demand() -> None:
    for rule in (pooled.break_even, pooled.clairvoyant):
        units = rule(of([Decimal("0.1"), Decimal("1.5"), 2, 0]), Decimal("0.4"), ONE, 3, unit=NANOS)
        free = rule(of([0, 2, 2, 2]), Decimal(0), ONE, 2)

        assert units.cost == rule(of([1, 2, 2, 0]), Decimal("0.4"), ONE, 3).cost
        assert units.on_demand_cost == 5
        assert free.cost == 0
        assert rule(of([3] * 9), ONE, ONE, 3).reservations == 0
        assert rule(of([]), Decimal("0.5"), ONE, 3).share is None


def test_too_long_a_history_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled, "MOST_HOURS", 2)

    with pytest.raises(UsageError, match="3 hours, too many"):
        pooled.clairvoyant(of([1, 1, 1]), Decimal("0.5"), ONE, 2)


@pytest.mark.parametrize(
    ("discount", "optimum", "followed", "ratio", "by_levels"),
    [("0.4", "0.6439", "0.7812", "1.213", "1.222"), ("0.3", "0.7394", "0.8643", "1.169", "1.186")],
)
def test_the_real_fleet(discount: str, optimum: str, followed: str, ratio: str, by_levels: str) -> None:
    """Checked against a rule in floats and a programme written apart from this module."""
    demand, price = of(fleet()), 1 - Decimal(discount)
    best, rule = (what(demand, price, ONE, 672) for what in (pooled.clairvoyant, pooled.break_even))

    assert round(best.share or 0, 4) == Decimal(optimum)
    assert round(rule.share or 0, 4) == Decimal(followed)
    assert round(rule.ratio(best) or 0, 3) == Decimal(ratio)
    assert round(online.break_even(demand, price, ONE, 672).ratio(best) or 0, 3) == Decimal(by_levels)


rates = st.lists(st.tuples(st.none() | prices, prices), min_size=1, max_size=3)


def tariff(told: list[tuple[Decimal | None, Decimal]], hours: int) -> Tariff:
    """As many stretches of equal length as there are prices."""
    each = max(1, hours // len(told))
    held = [Period(n * each, price, on_demand) for n, (price, on_demand) in enumerate(told) if n * each < hours]
    return Tariff(hours, tuple(held))


def dated_cost(hours: list[int | None], bought: list[int], prices: Tariff, term: int, *, within: bool) -> Fraction:
    total = Fraction(0)
    for t, need in enumerate(hours):
        at = prices.at(t)
        total += Fraction(at.on_demand) * max(0, (need or 0) - sum(bought[max(0, t - term + 1) : t + 1]))
        if bought[t]:
            assert at.price is not None
            total += Fraction(at.price) * (min(term, len(hours) - t) if within else term) * bought[t]
    return total


@given(st.lists(st.none() | st.integers(0, 2), min_size=1, max_size=6), rates, st.integers(1, 7), st.booleans())
@settings(deadline=None)
def test_the_optimum_of_changing_prices_is_the_least_of_all_purchases(
    hours: list[int | None], told: list[tuple[Decimal | None, Decimal]], term: int, within: bool
) -> None:
    prices = tariff(told, len(hours))
    best = pooled.clairvoyant_at(of(hours), prices, term, within=within)
    options = [range(3) if prices.at(t).price is not None else range(1) for t in range(len(hours))]
    tried = min(dated_cost(hours, list(one), prices, term, within=within) for one in product(*options))

    assert float(best.within if within else best.cost) == pytest.approx(float(tried), rel=1e-6)
    assert Fraction(best.on_demand_cost) == dated_cost(hours, [0] * len(hours), prices, term, within=within)


@given(st.lists(gpus, min_size=1, max_size=30), rates, st.integers(1, 9))
@settings(deadline=None)
def test_the_rule_at_changing_prices_buys_when_the_rent_of_a_term_reaches_the_fee(
    hours: list[int | None], told: list[tuple[Decimal | None, Decimal]], term: int
) -> None:
    prices = tariff(told, len(hours))
    assume(not prices.constant)
    followed = pooled.break_even_at(of(hours), prices, term)
    served, bought = [0] * (len(hours) + term), [0] * len(hours)
    for t in range(len(hours)):
        price = prices.at(t).price
        window = range(max(0, t - term + 1), t + 1)
        while (
            price is not None
            and (hours[t] or 0) > served[t]
            and sum(prices.at(i).on_demand for i in window if (hours[i] or 0) > served[i]) >= price * term
        ):
            bought[t] += 1
            for i in range(window.start, t + term):
                served[i] += 1

    assert followed.reservations == sum(bought)
    assert Fraction(followed.cost) == dated_cost(hours, bought, prices, term, within=False)
    assert Fraction(followed.within) == dated_cost(hours, bought, prices, term, within=True)


@given(st.lists(gpus, min_size=1, max_size=40) | walks.filter(bool), prices, st.integers(1, 12))
@settings(deadline=None)
def test_within_the_history_the_optimum_is_below_whatever_was_bought(
    hours: list[int | None], price: Decimal, term: int
) -> None:
    demand = of(hours)
    flat_rate = flat(len(demand), price, ONE)
    best = pooled.clairvoyant_at(demand, flat_rate, term, within=True)
    for other in (pooled.clairvoyant_at(demand, flat_rate, term), pooled.break_even(demand, price, ONE, term)):
        assert float(best.within) <= float(other.within) * (1 + pooled.TOLERANCE)
        assert other.cost == other.within + other.owed_after
    assert best.within <= best.on_demand_cost
