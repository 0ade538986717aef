"""Unions: pools that one commitment serves are planned together too, in GPUs or in money, and with their own offers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from outlay.config import CommitmentSettings
from outlay.errors import UsageError
from outlay.optimize.commitments.plan import plan
from outlay.optimize.commitments.plan_json import plan_json
from tests.optimize.commitments.series import demand, offer, steady

SETTINGS = CommitmentSettings()
#: Two pools whose work moves from one to the other week by week: each swings, their sum does not.
SWINGING = (
    demand([60.0 if (hour // 168) % 2 else 40.0 for hour in range(20 * 168)], pool="a"),
    demand([40.0 if (hour // 168) % 2 else 60.0 for hour in range(20 * 168)], pool="b"),
)


def test_units_that_serve_both_are_planned_on_the_sum() -> None:
    found = plan(SWINGING, [offer(pools=("a", "b"))], SETTINGS, paths=200)
    first, second, both = found.pools
    assert (first.verdict.word, second.verdict.word) == ("wait", "wait")
    assert both.members == ("a", "b")
    assert both.pool == "a|b"
    assert both.evidence.overall.max_wow == 0
    assert both.verdict.word == "commit"
    assert both.optimum is not None
    assert both.optimum.optimum is not None
    assert both.optimum.optimum.quantity == 100


def test_a_savings_plan_promises_money() -> None:
    rates = [
        offer("1.40", "2.00", pools=("a",), name="plan", form="savings_plan"),
        offer("2.10", "3.00", pools=("b",), name="plan", form="savings_plan"),
    ]
    found = plan(SWINGING, rates, SETTINGS, paths=200)
    union = found.pools[-1]
    assert union.union is not None
    assert union.union.by_money
    assert not union.union.blended
    # 60 x 2 + 40 x 3 = 240 in one week, 40 x 2 + 60 x 3 = 260 in the other: the discount's quantile is 0.3.
    assert union.optimum is not None
    assert union.optimum.optimum is not None
    assert union.optimum.optimum.quantity == 240
    assert union.union.mix is not None
    assert union.union.mix.quantities["plan"] == pytest.approx(240 * 0.7)
    (json,) = [one for one in plan_json(found)["pools"] if one["members"]]
    assert json["unit"] == "on-demand money per hour"
    assert json["together"]["saving_rate"] == pytest.approx(float(union.optimum.optimum.saving_rate or 0), abs=1e-6)


def test_discounts_that_differ_are_blended_and_it_says_so() -> None:
    rates = [
        offer("1.00", "2.00", pools=("a",), name="plan", form="savings_plan"),
        offer("2.70", "3.00", pools=("b",), name="plan", form="savings_plan"),
    ]
    union = plan(SWINGING, rates, SETTINGS, paths=200).pools[-1]
    assert union.union is not None
    assert union.union.blended
    (option,) = union.options
    # Half of the mix by hours at each: (1.00 + 2.70) / (2.00 + 3.00).
    assert option.offer.unit_price == Decimal("0.74")


def test_reservations_stand_beside_the_plan_in_the_optimum() -> None:
    offers = [
        offer("1.00", "2.00", pools=("a",), name="reserved"),
        offer("1.40", "2.00", pools=("a",), name="plan", form="savings_plan"),
        offer("1.40", "2.00", pools=("b",), name="plan", form="savings_plan"),
    ]
    union = plan(SWINGING, offers, SETTINGS, paths=200).pools[-1]
    assert union.union is not None
    assert union.union.mix is not None
    quantities = union.union.mix.quantities
    # 40 of pool a are needed in every hour: reserved at half price. The rest of both, 60, never falls: all by the plan.
    assert quantities["reserved (a)"] == pytest.approx(40)
    assert quantities["plan"] == pytest.approx(60 * 1.40)
    alone = plan(SWINGING, offers[1:], SETTINGS, paths=200).pools[-1]
    assert alone.union is not None
    assert alone.union.mix is not None
    assert union.union.mix.saving_rate > alone.union.mix.saving_rate


def test_two_on_demand_prices_of_one_pool_are_refused() -> None:
    rates = [
        offer("1.40", "2.00", pools=("a",), name="plan", form="savings_plan"),
        offer("1.40", "2.00", pools=("b",), name="plan", form="savings_plan"),
        offer("1.30", "2.50", pools=("a",), name="other", form="savings_plan"),
        offer("1.30", "2.00", pools=("b",), name="other", form="savings_plan"),
    ]
    with pytest.raises(UsageError, match="gives another on-demand price of a"):
        plan(SWINGING, rates, SETTINGS, paths=200)


def test_an_unknown_rate_leaves_the_plan_without_a_verdict() -> None:
    rates = [
        offer("1.40", "2.00", pools=("a",), name="plan", form="savings_plan"),
        offer(None, "2.00", pools=("b",), name="plan", form="savings_plan"),
    ]
    union = plan(SWINGING, rates, SETTINGS, paths=200).pools[-1]
    (option,) = union.options
    assert option.outcome is None
    assert union.verdict.word == "wait"


def test_an_offer_for_a_pool_without_demand() -> None:
    with pytest.raises(UsageError, match=r"for the pool 'c', of which there is no demand"):
        plan([steady(20)], [offer(pools=("c",))], SETTINGS)
