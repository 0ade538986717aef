"""The linear programme is the quantile where one offer serves one pool, and brute force where they are shared."""

from __future__ import annotations

import itertools
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

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


def money(rate_a: str, rate_b: str, surcharge: str = "0") -> Shared:
    """A plan of money over pools a and b."""
    return Shared("plan", {"a": Decimal(rate_a), "b": Decimal(rate_b)}, by_money=True, surcharge=Decimal(surcharge))


def test_what_is_committed_is_what_the_seller_bills_and_the_surcharge_weighs_in_the_choice_alone() -> None:
    """10 GPUs at 1.40 in all hours but one in ten: 14 an hour is billed, whatever the money costs that is tied up."""
    pools = [demand([10.0] * 9 + [0.0], pool="a"), demand([0.0] * 10, pool="b")]
    on_demand = {"a": Decimal(2), "b": Decimal(2)}
    found = solve(pools, on_demand, [money("1.40", "1.40", "0.10")])
    assert found.quantities["plan"] == pytest.approx(14)
    assert found.cost == pytest.approx(14 * 1.10 * 10)
    # 1.40 pays from 70 % of the hours on, with 30 % on top from 91 %: more than are needed.
    assert solve(pools, on_demand, [money("1.40", "1.40", "0.30")]).quantities["plan"] == pytest.approx(0)


def test_what_is_owned_serves_its_own_pool_first_and_costs_nothing_more() -> None:
    pools = [demand([10.0] * 24, pool="a"), demand([6.0] * 24, pool="b")]
    on_demand = {"a": Decimal(2), "b": Decimal(1)}
    found = solve(pools, on_demand, [money("1.00", "0.50")], {"a": 4 * NANOS, "b": 9 * NANOS})
    assert found.quantities["plan"] == pytest.approx(6)  # of a; what b owns beyond its demand serves no other pool
    assert found.on_demand_cost == pytest.approx(6 * 2 * 24)
    assert found.saving_rate == pytest.approx(0.5)


rates_of = st.integers(20, 110).map(lambda cents: Decimal(cents) / 100)


@settings(max_examples=60, deadline=None)
@given(
    hours=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=5),
    shares=st.tuples(rates_of, rates_of, rates_of, rates_of),
    owned=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    surcharge=st.sampled_from([Decimal(0), Decimal("0.05"), Decimal("0.2")]),
    by_money=st.booleans(),
    most=st.none() | st.integers(0, 3).map(Decimal),
)
def test_offers_at_once_beside_what_is_owned_equal_brute_force(
    *,
    hours: list[tuple[int, int]],
    shares: tuple[Decimal, Decimal, Decimal, Decimal],
    owned: tuple[int, int],
    surcharge: Decimal,
    by_money: bool,
    most: Decimal | None,
) -> None:
    """A reservation of each pool and an offer over both, in money or in GPUs, of which some are owned already.

    The cost is convex and made of planes, so its least is in a corner: where three of the planes in which it bends, or
    the limits of what can be bought, meet. All of them are tried.
    """
    on_demand = {"a": Decimal(1), "b": Decimal(2) if by_money else Decimal(1)}
    pools = [demand([float(one[n]) for one in hours], pool=name) for n, name in enumerate("ab")]
    own = {"a": shares[0], "b": shares[1] * on_demand["b"]}
    rates = {"a": shares[2], "b": shares[3] * on_demand["b"]} if by_money else dict.fromkeys("ab", shares[2])
    both = Shared("both", rates, by_money, surcharge=surcharge if by_money else Decimal(0))
    offers = [Shared("a", {"a": own["a"]}, False, most), Shared("b", {"b": own["b"]}, False), both]
    held = {name: owned[n] * NANOS for n, name in enumerate("ab")}
    found = solve(pools, on_demand, offers, held)

    left = np.maximum(np.array(hours, dtype=float) - np.array(owned), 0)
    weights = np.array([float(rates[name]) if by_money else 1.0 for name in "ab"])
    value = np.array([float(on_demand[name]) for name in "ab"])
    unit = np.array([float(own["a"]), float(own["b"]), float(both.cost)])

    def cost(tried: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of quantities, one a row: the shared offer is spent where a unit of it spares most."""
        rest = np.maximum(left[None, :, :] - tried[:, None, :2], 0)
        spare = np.repeat(tried[:, 2:3], len(left), axis=1)
        for n in np.argsort(-value / weights):
            served = np.minimum(rest[:, :, n], spare / weights[n])
            rest[:, :, n] -= served
            spare = spare - served * weights[n]
        total: NDArray[np.float64] = len(left) * (tried @ unit) + (rest @ value).sum(axis=1)
        return total

    planes: set[tuple[float, float, float, float]] = {(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)}
    if most is not None:
        planes.add((1, 0, 0, float(most)))
    for a, b in left:
        planes |= {(1, 0, 0, a), (0, 1, 0, b)}
        planes |= {(weights[0], 0, 1, weights[0] * a), (0, weights[1], 1, weights[1] * b)}
        planes.add((weights[0], weights[1], 1, float(weights @ np.array([a, b]))))
    corners = np.array(list(itertools.combinations(sorted(planes), 3)))
    sides = corners[:, :, :3]
    met = np.abs(np.linalg.det(sides)) > 1e-9
    tried = np.linalg.solve(sides[met], corners[met][:, :, 3:])[:, :, 0]
    most_of = np.array([float("inf") if most is None else float(most), np.inf, np.inf])
    tried = tried[((tried >= -1e-9) & (tried <= most_of + 1e-9)).all(axis=1)]
    assert found.cost == pytest.approx(float(cost(np.maximum(tried, 0)).min()), abs=1e-5)
    bought = np.array([[found.quantities[name] for name in ("a", "b", "both")]])
    assert found.cost == pytest.approx(float(cost(bought)[0]), abs=1e-5)
    assert found.on_demand_cost == pytest.approx(float((left @ value).sum()))
