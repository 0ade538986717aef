"""Terms beside the price: upfront money and late payouts cost, and each form wins where demand suits it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.config import CommitmentSettings
from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.offers.flexible import paid_back
from outlay.optimize.commitments.offers.offer import Flex
from outlay.optimize.commitments.option import History
from outlay.optimize.commitments.outlook.futures import Futures, Market, draw
from outlay.optimize.commitments.outlook.risk import Prospect
from outlay.optimize.commitments.plan import plan
from outlay.optimize.commitments.plan_json import pool_json
from outlay.optimize.commitments.sizing import Levels
from outlay.report.commit_wording import volatility_lines
from tests.optimize.commitments.series import demand, offer, steady

SETTINGS = CommitmentSettings(scenarios=())


def test_upfront_money_is_bound_for_half_the_term() -> None:
    whole = offer("1.20", payment="all_upfront", term_months=36).financed(Decimal("0.10"))
    assert whole.carrying == Decimal("0.18")  # 1.20 x 10 % x 3 years / 2
    assert whole.price == Decimal("1.38")
    assert whole.bound_price == Decimal("1.20")
    assert offer(payment="partial_upfront").financed(Decimal("0.10")).carrying == Decimal("0.03")
    assert offer().financed(Decimal("0.10")).carrying == 0
    assert offer(None, payment="all_upfront").financed(Decimal("0.10")).price is None


def test_the_cost_of_capital_can_turn_the_choice() -> None:
    now, then = offer("1.20", name="upfront", payment="all_upfront"), offer("1.24", name="monthly")
    (free,) = plan([steady(20)], [now, then], SETTINGS, paths=200).pools
    dear = SETTINGS.model_copy(update={"cost_of_capital": Decimal("0.10")})
    (paid,) = plan([steady(20)], [now, then], dear, paths=200).pools
    assert free.verdict.best is not None
    assert paid.verdict.best is not None
    assert (free.verdict.best.offer.name, paid.verdict.best.offer.name) == ("upfront", "monthly")
    (upfront, monthly) = free.options
    assert upfront.upfront == upfront.exposure
    assert monthly.upfront == 0


def test_payback_and_break_even_by_hand() -> None:
    flat = draw(demand([10.0] * (10 * 168)), 60, 50, ())
    assert flat is not None
    whole = Prospect(flat, offer("1.20", payment="all_upfront"), Market())
    monthly = Prospect(flat, offer("1.20"), Market())
    half = Prospect(flat, offer("1.20", payment="partial_upfront"), Market())
    # All upfront: 14.40 a GPU and month of rates, earned back at 2.00 a month: month 8. Monthly: at once.
    assert whole.payback_month(10.0) == 8
    assert monthly.payback_month(10.0) == 1
    # Half upfront: 7.20 + 0.60 m <= 2.00 m from m = 5.14 on.
    assert half.payback_month(10.0) == 6
    assert whole.break_even_month(10.0) == monthly.break_even_month(10.0) == 8
    # Half price: six months to the hour, which lie inside of a week. Of three years, eighteen.
    exact = Prospect(flat, offer("1.00", payment="all_upfront"), Market())
    assert exact.payback_month(10.0) == exact.break_even_month(10.0) == 6
    far = draw(demand([10.0] * (10 * 168)), 157, 50, ())
    assert far is not None
    assert Prospect(far, offer("1.00", term_months=36), Market()).break_even_month(10.0) == 18
    never = Prospect(flat, offer("1.20"), Market(successor_month=0, successor_price=0.1))
    assert never.payback_month(10.0) is None


def test_a_late_payout_is_worth_less() -> None:
    pool = demand([4.0] * 730)
    late = offer(kind="flex", flex=Flex(payout_lag_days=365))
    assert paid_back(pool, late, 8 * NANOS) == 4 * 730 * Decimal("1.20")
    financed = late.financed(Decimal("0.25"))
    assert paid_back(pool, financed, 8 * NANOS) == 4 * 730 * Decimal("1.20") * Decimal("0.8")


def test_the_volatility_at_which_each_form_wins() -> None:
    insured = offer("1.26", name="insured", kind="flex", flex=Flex(premium=Decimal("0.06")))
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.06, 30)))
    hours = [float(round(walk[hour // 168], 3)) for hour in range(30 * 168)]
    (one,) = plan([demand(hours)], [offer(name="plain"), insured], SETTINGS, paths=200).pools
    found = one.volatility
    assert found is not None
    assert found.points[0].weekly == 0
    assert found.points[0].best == "plain"
    assert found.points[-1].best == "insured"
    ((at, below, above),) = found.turns
    assert (below, above) == ("plain", "insured")
    assert found.now < at < found.points[-1].weekly
    assert found.points[2].weekly == pytest.approx(found.now)


def test_without_a_flexible_offer_there_is_nothing_to_compare() -> None:
    (one,) = plan([steady(20)], [offer()], SETTINGS, paths=200).pools
    assert one.volatility is None


def restless() -> Demand:
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.06, 30)))
    return demand([float(round(walk[hour // 168], 3)) for hour in range(30 * 168)])


def test_two_offers_of_one_name_do_not_hide_each_other() -> None:
    flex = Flex(premium=Decimal("0.06"))
    offers = [
        offer(name="vendor"),
        offer("0.90", name="vendor", term_months=36),
        offer("1.26", name="vendor", kind="flex", flex=flex),
    ]
    (one,) = plan([restless()], offers, SETTINGS, paths=200).pools
    assert one.volatility is not None
    names = [label for label, _ in one.volatility.offers]
    assert len(set(names)) == 3
    assert all(list(point.savings) == names for point in one.volatility.points)
    said = pool_json(one)["volatility"]
    assert [(told["label"], told["term_months"]) for told in said["offers"]] == list(
        zip(names, (12, 36, 12), strict=True)
    )
    assert said["points"][0]["best"] in names


def test_amounts_of_two_currencies_are_not_compared() -> None:
    insured = offer("1.26", name="insured", kind="flex", flex=Flex(premium=Decimal("0.06")))
    abroad = offer("120", "200", name="abroad", currency="JPY")
    (one,) = plan([restless()], [abroad, offer(name="plain"), insured], SETTINGS, paths=200).pools
    assert one.volatility is not None
    assert one.volatility.currency == "USD"
    assert all(set(point.savings) == {"plain", "insured"} for point in one.volatility.points)
    assert "left out: abroad in JPY" in volatility_lines(one)[-1]
    (apart,) = plan([restless()], [abroad, insured], SETTINGS, paths=200).pools
    assert apart.volatility is not None
    assert apart.volatility.points == ()
    (line,) = volatility_lines(apart)
    assert "no currency has both flexible and standard offers" in line
    assert "abroad in JPY, insured in USD" in line
    assert pool_json(apart)["volatility"]["why"] in line


@pytest.mark.parametrize(
    ("terms", "share"),
    [
        ({"cashback": Decimal(0)}, "0.63"),
        ({}, Decimal("0.06") / Decimal("0.80")),  # x 2.00 = 1.26 - 1.20 (1 - x)
        ({"cashback": Decimal("0.8")}, Decimal("0.30") / Decimal("1.04")),
        ({"cashback": Decimal("0.8"), "cap": Decimal("0.3")}, "0.45"),  # x 2.00 = 1.26 - 0.36
        ({"trigger": Decimal("0.5")}, "0.63"),  # at 63 % too little is unused to be paid back
        ({"worth_of_payout": Decimal("0.5")}, Decimal("0.66") / Decimal("1.40")),
    ],
)
def test_break_even_utilisation_has_the_payback_in_it(terms: dict[str, Decimal], share: Decimal | str) -> None:
    flex = offer(kind="flex", flex=Flex(premium=Decimal("0.06"), fee_share=Decimal("0.2"), **terms))  # type: ignore[arg-type]
    assert flex.price_ratio == Decimal("0.63")
    found = flex.break_even_utilization
    assert found is not None
    assert abs(found - Decimal(share)) < Decimal("1e-20")


@given(
    st.decimals("0", "0.5", places=2),
    st.decimals("0", "1", places=2),
    st.decimals("0", "1", places=2),
    st.decimals("0", "1", places=2),
)
def test_from_break_even_on_it_never_loses(premium: Decimal, cashback: Decimal, trigger: Decimal, cap: Decimal) -> None:
    terms = Flex(premium=premium, cashback=cashback, trigger=trigger, cap=cap)
    flex = offer(kind="flex", flex=terms)
    least = flex.break_even_utilization
    assert least is not None
    for used in range(1001):
        saving = Levels(demand([float(used)])).outcome(1000 * NANOS, flex.price or least, Decimal(2)).saving
        saving += paid_back(demand([float(used)]), flex, 1000 * NANOS)
        if used >= least * 1000:
            assert saving >= 0
        if used == int(least * 1000) - 1:
            assert saving < 0 or 1 - Decimal(used) / 1000 > trigger


def flat(gpus: float) -> Futures:
    found = draw(demand([gpus] * (10 * 168)), 60, 50, ())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("terms", "month"),
    [
        ({"cashback": Decimal(0)}, 8),  # 15.12 a GPU against 2.00 a month
        ({"cashback": Decimal("0.5")}, 6),  # 2.00 m + 0.60 (12 - m) >= 15.12
        ({"cap": Decimal("0.25")}, 7),  # 2.00 m + 0.30 (12 - m) >= 15.12
        ({"cashback": Decimal(0), "adjust_months": 3}, 6),  # 12.00 against nine months: then it is lowered to nothing
    ],
)
def test_the_break_even_month_has_the_payback_in_it(terms: dict[str, Any], month: int) -> None:
    flex = offer(kind="flex", flex=Flex(premium=Decimal("0.06"), **terms))
    assert Prospect(flat(10.0), flex, Market()).break_even_month(10.0) == month


def test_what_is_paid_back_in_full_needs_no_demand() -> None:
    assert Prospect(flat(10.0), offer(kind="flex", flex=Flex()), Market()).break_even_month(10.0) == 0
    cheap = Market(successor_month=0, successor_price=0.1)
    assert (
        Prospect(flat(10.0), offer(kind="flex", flex=Flex(premium=Decimal("0.3"))), cheap).break_even_month(10.0)
        is None
    )


@pytest.mark.parametrize(
    ("terms", "month"),
    [
        ({"cashback": Decimal(0)}, None),  # 12.00 avoided of 15.12 paid
        ({}, 10),  # half is used: 1.00 m + 0.60 m >= 15.12
        ({"payout_lag_days": 90}, 11),  # 1.00 m + 0.60 (m - 3) >= 15.12
        ({"payout_lag_days": 90, "cashback": Decimal("0.55")}, 13),  # 12.00 + 0.33 x 10: the last payouts come after it
        ({"trigger": Decimal("0.6")}, None),
    ],
)
def test_the_payback_month_counts_payouts_when_they_arrive(terms: dict[str, Any], month: int | None) -> None:
    flex = offer(payment="all_upfront", kind="flex", flex=Flex(premium=Decimal("0.06"), **terms))
    assert Prospect(flat(5.0), flex, Market()).payback_month(10.0) == month
    financed = flex.financed(Decimal("0.25"))  # interest is none of the money that moves
    assert Prospect(flat(5.0), financed, Market()).payback_month(10.0) == month


def test_the_prices_that_make_a_level_worthless_have_the_payback_in_them() -> None:
    terms = Flex(premium=Decimal("0.05"), cashback=Decimal("0.7"), fee_share=Decimal("0.1"), payout_lag_days=60)
    flex = offer(kind="flex", flex=terms, payment="all_upfront").financed(Decimal("0.1"))
    pool = steady(20)
    (one,) = plan([pool], [flex], SETTINGS.model_copy(update={"coverage_cap": Decimal("0.8")}), paths=200).pools
    (option,) = one.options
    assert option.owed_back > 0
    assert option.outcome is not None
    history = History(pool, Levels(pool), Levels(pool))
    price, on_demand = option.worthless_price, option.worthless_on_demand
    assert price is not None
    assert on_demand is not None
    dearer = replace(option.offer, unit_price=price - (terms.premium + option.offer.carrying))
    assert abs(history.outcome(dearer, option.nanos).saving) < Decimal("1e-9")
    cheaper = replace(option.offer, on_demand_price=on_demand)
    assert abs(history.outcome(cheaper, option.nanos).saving) < Decimal("1e-9")
    assert option.offer.on_demand_price is not None
    assert price > option.offer.on_demand_price * (option.outcome.utilization or 0)
    assert one.verdict.best is option
    assert any(
        f"A committed price of {price:.4f}" in said and "pays back counted" in said for said in one.verdict.changes
    )
    assert "utilisation with what it pays back (" in one.verdict.because
