"""The linear programme is the quantile where one offer serves one pool, and brute force where they are shared."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.programme import Shared, solve
from outlay.optimize.commitments.sizing import Levels
from tests.optimize.commitments.series import demand

gpus_by_hour = st.lists(st.integers(0, 9).map(float), min_size=6, max_size=6)


@settings(max_examples=40, deadline=None)
@given(gpus_by_hour, st.integers(5, 95))
def test_it_is_the_newsvendor_for_one(listed: list[float], cents: int) -> None:
    price = Decimal(cents) / 100
    pool = demand(listed)
    levels = Levels(pool)
    found = solve([pool], {"H100": Decimal(1)}, [Shared("1y", {"H100": price}, by_money=False)])
    exact = levels.outcome(levels.optimum(price, Decimal(1)), price, Decimal(1))
    assert found.cost == pytest.approx(float(exact.cost), abs=1e-6)
    tried = levels.outcome(round(found.quantities["1y"] * NANOS), price, Decimal(1))
    assert float(tried.cost) == pytest.approx(float(exact.cost), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(gpus_by_hour, gpus_by_hour, st.integers(30, 95), st.integers(30, 95))
def test_a_plan_over_two_pools_is_no_worse_than_any_grid(
    first: list[float], second: list[float], plan_a: int, plan_b: int
) -> None:
    pools = [demand(first, pool="a"), demand(second, pool="b")]
    on_demand = {"a": Decimal(1), "b": Decimal(2)}
    plan = {"a": Decimal(plan_a) / 100, "b": Decimal(plan_b) / 50}
    own = Decimal("0.6")
    found = solve(pools, on_demand, [Shared("a", {"a": own}, by_money=False), Shared("plan", plan, by_money=True)])
    best = min(
        own * units * 6 + money * 6 + left_over(pools, on_demand, units, money, plan)
        for units, money in itertools.product(range(10), (Decimal(step) / 2 for step in range(40)))
    )
    assert found.cost <= float(best) + 1e-6
    units, money = (Decimal(found.quantities[name]) for name in ("a", "plan"))
    exact = (own * units + money) * 6 + left_over(pools, on_demand, units, money, plan)
    assert found.cost == pytest.approx(float(exact), abs=1e-5)


def left_over(
    pools: list[Demand], on_demand: dict[str, Decimal], units: Decimal | int, money: Decimal, plan: dict[str, Decimal]
) -> Decimal:
    """On-demand cost by hand: the reservation of pool a serves first, then the plan where its discount is highest."""
    total = Decimal(0)
    order = sorted(plan, key=lambda pool: plan[pool] / on_demand[pool])
    for hour in range(len(pools[0])):
        left = {one.pool: Decimal(int(one.nanos[hour])) / NANOS for one in pools}
        left["a"] = max(Decimal(0), left["a"] - units)
        spent = Decimal(0)
        for pool in order:
            served = min(left[pool], (money - spent) / plan[pool])
            left[pool] -= served
            spent += served * plan[pool]
        total += sum(left[pool] * on_demand[pool] for pool in left)
    return total


def test_what_is_for_sale_bounds_it() -> None:
    pool = demand([10.0] * 24)
    offers = [
        Shared("cheap", {"H100": Decimal("0.5")}, by_money=False, most=Decimal(4)),
        Shared("dear", {"H100": Decimal("0.8")}, by_money=False),
    ]
    found = solve([pool], {"H100": Decimal(1)}, offers)
    assert found.quantities == pytest.approx({"cheap": 4, "dear": 6})
    assert found.saving_rate == pytest.approx(1 - (4 * 0.5 + 6 * 0.8) / 10)


def test_gaps_take_no_part() -> None:
    known = solve([demand([5.0, 5.0])], {"H100": Decimal(1)}, [Shared("x", {"H100": Decimal("0.5")}, False)])
    gap = solve([demand([5.0, None, 5.0])], {"H100": Decimal(1)}, [Shared("x", {"H100": Decimal("0.5")}, False)])
    assert gap.cost == pytest.approx(known.cost)
    assert gap.hours == 2


def test_too_large_a_programme_says_so() -> None:
    pools = [demand([1.0] * 20_000, pool=f"p{n}") for n in range(3)]
    plan = Shared("plan", {one.pool: Decimal("0.5") for one in pools}, by_money=True)
    with pytest.raises(UsageError, match="too many to solve together"):
        solve(pools, {one.pool: Decimal(1) for one in pools}, [plan])


def test_it_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    solve([demand([1.0, 2.0])], {"H100": Decimal(1)}, [Shared("x", {"H100": Decimal("0.5")}, False)])
    assert capfd.readouterr() == ("", "")
