"""Unions: pools that one commitment serves are planned together too, in GPUs or in money, and with their own offers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from outlay.config import CommitmentSettings
from outlay.errors import UsageError
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.offers.offer import Flex, Offer
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


CONSTANT = (demand([10.0] * 20 * 168, pool="a"), demand([10.0] * 20 * 168, pool="b"))


def _plan_of(a: str, b: str, on_demand: str = "4.00", **more: Any) -> list[Offer]:
    terms = {"name": "plan", "form": "savings_plan", **more}
    return [offer(a, on_demand, pools=("a",), **terms), offer(b, on_demand, pools=("b",), **terms)]


def test_the_cost_of_capital_is_a_share_in_a_plan_of_money_and_counted_once() -> None:
    settings = CommitmentSettings(cost_of_capital=Decimal("0.10"))
    rates = [
        offer("2.00", "4.00", pools=("a",), name="plan", form="savings_plan", payment="all_upfront"),
        offer("1.00", "2.00", pools=("b",), name="plan", form="savings_plan", payment="all_upfront"),
    ]
    (option,) = plan(CONSTANT, rates, settings, paths=50).pools[-1].options
    # Half price; a year paid upfront at 10 % costs 5 % of it: 0.5 + 0.025.
    assert (option.offer.unit_price, option.offer.carrying) == (Decimal("0.5"), Decimal("0.025"))
    assert option.offer.discount == Decimal("0.475")


def test_a_premium_is_a_share_in_a_plan_of_money() -> None:
    rates = _plan_of("2.00", "2.00", kind="flex", flex=Flex(premium=Decimal("0.40")))
    (option,) = plan(CONSTANT, rates, SETTINGS, paths=50).pools[-1].options
    assert option.offer.discount == Decimal("0.4")


def test_the_mix_is_that_of_the_hours_that_all_pools_know() -> None:
    late = demand([None if hour < 10 * 168 else 10.0 for hour in range(20 * 168)], pool="b")
    union = plan((CONSTANT[0], late), _plan_of("2.00", "3.80"), SETTINGS, paths=50).pools[-1]
    assert union.options[0].offer.discount == Decimal("0.275")  # of 80 an hour, 58 are charged
    assert union.union is not None
    assert union.union.mix is not None
    assert union.union.mix.saving_rate == pytest.approx(0.275)


def test_one_name_on_two_terms_is_two_plans() -> None:
    rates = [*_plan_of("3.00", "3.00"), *_plan_of("2.00", "2.00", term_months=36)]
    union = plan(CONSTANT, rates, SETTINGS, paths=50).pools[-1]
    said = [(one.offer.term_months, one.offer.unit_price) for one in union.options]
    assert said == [(12, Decimal("0.75")), (36, Decimal("0.5"))]
    assert union.union is not None
    assert union.union.mix is not None
    assert union.union.mix.quantities == {
        "plan, 12 months no_upfront": pytest.approx(0),
        "plan, 36 months no_upfront": pytest.approx(40),
    }


def test_two_rates_of_one_plan_in_a_pool_are_refused() -> None:
    rates = [*_plan_of("3.00", "3.00"), *_plan_of("2.00", "2.00")]
    with pytest.raises(UsageError, match="has two rates on the same terms in a"):
        plan(CONSTANT, rates, SETTINGS, paths=50)


def test_plans_in_two_currencies_are_planned_apart() -> None:
    rates = [*_plan_of("3.00", "3.00"), *_plan_of("300", "300", on_demand="400", currency="JPY")]
    dollars, yen = plan(CONSTANT, rates, SETTINGS, paths=50).pools[-2:]
    assert [one.offer.currency for one in (*dollars.options, *yen.options)] == ["USD", "JPY"]
    for one, spent in ((dollars, 60), (yen, 6000)):
        assert one.union is not None
        assert one.union.mix is not None
        assert one.union.mix.quantities == {"plan": pytest.approx(spent)}


def test_reservations_of_one_name_and_of_every_pool_stand_in_the_optimum() -> None:
    offers = [
        *_plan_of("3.00", "3.00"),
        offer("2.50", "4.00", pools=("a",), name="r"),
        offer("2.60", "4.00", pools=("a",), name="r"),
        offer("2.00", "4.00", pools=("*",), name="all"),
        offer("1.00", "4.00", pools=("a",), name="euro", currency="EUR"),
    ]
    union = plan(CONSTANT, offers, SETTINGS, paths=50).pools[-1].union
    assert union is not None
    assert union.mix is not None
    assert union.mix.quantities == {
        "plan": pytest.approx(0),
        "r (a), 12 months no_upfront #1": pytest.approx(0),
        "r (a), 12 months no_upfront #2": pytest.approx(0),
        "all (a)": pytest.approx(10),
        "all (b)": pytest.approx(10),
    }


def test_what_is_owned_counts_in_a_plan_of_money() -> None:
    rates = [offer("2.00", "4.00", pools=(name,), name="plan", form="savings_plan") for name in ("a", "b")]
    pools = [demand([10.0] * (20 * 168), pool=name) for name in ("a", "b")]
    owned = {name: (Owned(10 * NANOS, None),) for name in ("a", "b")}
    union = plan(pools, rates, SETTINGS, owned=owned, paths=200).pools[-1]
    assert [one.nanos for one in union.owned] == [40 * NANOS, 40 * NANOS]
    assert union.verdict.word == "wait"
    assert plan(pools, rates, SETTINGS, paths=200).pools[-1].verdict.word == "commit"


def test_the_cost_of_capital_weighs_in_the_choice_and_not_in_what_is_committed() -> None:
    """10 GPUs at 2.00 and 10 at 1.00, all upfront: the seller bills 30 an hour; the money costs 5 % more."""
    rates = [
        offer("2.00", "4.00", pools=("a",), name="plan", form="savings_plan", payment="all_upfront"),
        offer("1.00", "2.00", pools=("b",), name="plan", form="savings_plan", payment="all_upfront"),
    ]
    settings = CommitmentSettings(cost_of_capital=Decimal("0.10"))
    union = plan(CONSTANT, rates, settings, paths=50).pools[-1].union
    assert union is not None
    assert union.mix is not None
    assert union.mix.quantities["plan"] == pytest.approx(30)
    assert union.mix.cost == pytest.approx(30 * 1.05 * 20 * 168)
    assert union.mix.saving_rate == pytest.approx(1 - 0.5 * 1.05)


def test_all_offers_together_are_beside_what_is_owned_and_each_part_has_its_unit() -> None:
    offers = [*_plan_of("3.00", "3.00"), offer("2.00", "4.00", pools=("a",), name="r")]
    owned = {"a": (Owned(4 * NANOS, None),), "b": (Owned(7 * NANOS, None),)}
    found = plan(CONSTANT, offers, SETTINGS, owned=owned, paths=50)
    (json,) = [one for one in plan_json(found)["pools"] if one["members"]]
    hours = 20 * 168
    assert [(one["offer"], one["pools"], one["quantity"], one["unit"]) for one in json["together"]["of"]] == [
        ("plan", ["a", "b"], 9.0, "USD per hour, as the seller bills it"),
        ("r (a)", ["a"], 6.0, "GPUs"),
    ]
    assert json["together"]["beside_owned"] is True
    # 6 GPUs of a at half of 4.00, 3 of b at three quarters of it.
    assert Decimal(json["together"]["saving"]) == (6 * 2 + 3 * 1) * hours
    assert Decimal(json["together"]["on_demand_cost"]) == 9 * 4 * hours
    assert json["apart"]["of"] == [
        {"pool": "a", "offer": "r", "quantity": "6", "saving": str(6 * 2 * hours)},
        {"pool": "b", "offer": "plan", "quantity": "3", "saving": str(3 * hours)},
    ]
    assert json["apart"]["saving"] == str(15 * hours)


def test_a_plan_with_an_unknown_rate_is_in_no_optimum() -> None:
    offers = [
        offer("3.00", "4.00", pools=("a",), name="plan", form="savings_plan"),
        offer(None, "4.00", pools=("b",), name="plan", form="savings_plan"),
        offer("3.50", "4.00", pools=("b",), name="r"),
    ]
    union = plan(CONSTANT, offers, SETTINGS, paths=50).pools[-1]
    assert union.union is not None
    assert union.union.mix is not None
    assert list(union.union.mix.quantities) == ["r (b)"]
    assert union.verdict.reasons[1] == (
        "plan: its price for b is unknown: give unit_price (per GPU-hour over the term)."
    )


def test_a_missing_on_demand_price_is_asked_for_by_the_name_of_its_pool() -> None:
    offers = [
        offer("3.00", "4.00", pools=("a",), name="plan", form="savings_plan"),
        offer("3.00", None, pools=("b",), name="plan", form="savings_plan"),
    ]
    union = plan(CONSTANT, offers, SETTINGS, paths=50).pools[-1]
    assert "plan: the on-demand price of b is unknown: give on_demand_price (per GPU-hour)." in union.verdict.reasons


def test_units_for_several_pools_stand_beside_each_pools_own_in_the_optimum() -> None:
    """40 of each pool are always needed: at the better price in a; 60 more between both by what serves either."""
    offers = [
        offer("1.40", "2.00", pools=("a", "b"), name="either"),
        offer("1.00", "2.00", pools=("a",), name="own", max_gpus=Decimal(25)),
    ]
    union = plan(SWINGING, offers, SETTINGS, paths=50).pools[-1].union
    assert union is not None
    assert union.mixture is not None
    assert union.mix is not None
    assert union.mix.quantities == {"either (a|b)": pytest.approx(75), "own (a)": pytest.approx(25)}
    (apart,) = union.mixture.apart
    assert (apart.pool, int(apart.quantity), int(apart.saving)) == ("a", 25, 25 * 20 * 168)
    alone = plan(SWINGING, offers[:1], SETTINGS, paths=50).pools[-1].union
    assert alone is not None
    assert alone.mixture is None  # nothing beside the union's own offer: its optimum is there already


def test_two_on_demand_prices_give_no_optimum_and_it_says_so() -> None:
    offers = [offer("1.40", "2.00", pools=("a", "b"), name="either"), offer("1.00", "3.00", pools=("a",), name="own")]
    (json,) = [one for one in plan_json(plan(SWINGING, offers, SETTINGS, paths=50))["pools"] if one["members"]]
    assert json["together"] is None
    assert json["together_why"] == "'own' gives another on-demand price of a than the union's offers"


def test_what_a_plan_of_money_charges_is_called_a_share() -> None:
    found = plan(CONSTANT, _plan_of("3.00", "3.00"), SETTINGS, paths=50)
    union = found.pools[-1]
    assert union.verdict.word == "commit"
    (said,) = [one for one in union.verdict.changes if "worthless" in one]
    assert said == (
        "A plan that charges 100.0% of on-demand prices or more (now 75.0% over the pools' mix), or on-demand prices "
        "lower by 25.0% or more, makes it worthless."
    )
    (json,) = [one for one in plan_json(found)["pools"] if one["members"]]
    assert json["options"][0]["price_unit"] == "share of on-demand prices"
    assert plan_json(found)["pools"][0]["options"][0]["price_unit"] == "currency per GPU-hour"
    dear = plan(CONSTANT, _plan_of("4.40", "4.40"), SETTINGS, paths=50).pools[-1]
    assert dear.options[0].why == "it is no cheaper than on-demand (110% of on-demand prices)"
