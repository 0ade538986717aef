"""Simulated futures: the same for the same input, true to the history they are drawn from, and honest about a fall."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.offers.flexible import paid_back
from outlay.optimize.commitments.offers.offer import Flex
from outlay.optimize.commitments.outlook.futures import Futures, Market, Scenario, draw
from outlay.optimize.commitments.outlook.risk import Prospect, Sample, risk_of, term_weeks
from outlay.optimize.commitments.sizing import Levels
from tests.optimize.commitments.series import demand, offer, steady

FLAT = Market()


def futures(weeks: int = 53, paths: int = 200, scenarios: tuple[Scenario, ...] = ()) -> Futures:
    found = draw(steady(20), weeks, paths, scenarios)
    assert found is not None
    return found


def test_the_same_input_gives_the_same_futures() -> None:
    assert np.array_equal(futures().level, futures().level)
    assert not np.array_equal(futures().level, draw(steady(20, pool="B200"), 53, 200, ()).level)  # type: ignore[union-attr]


def test_hours_served_are_those_of_the_simulated_hours() -> None:
    found = futures()
    used = found.used(95.0, 0, 53)
    for path, week in ((0, 0), (7, 30), (199, 52)):
        hours = found.level[path, week] * found.profile[found.shape[path, week]]
        assert used[path, week] == pytest.approx(np.minimum(hours, 95.0).sum(), rel=1e-9)
    column = np.full((found.paths, 1), 95.0)
    assert np.allclose(found.used(column, 10, 20), used[:, 10:20])


def test_a_pool_that_never_moves_has_one_future() -> None:
    flat = draw(demand([10.0] * (10 * 168)), 60, 50, ())
    assert flat is not None
    assert np.allclose(flat.level, 10.0)
    priced = Prospect(flat, offer("1.20", "2.00"), FLAT)
    saving = priced.savings(10.0)
    assert np.allclose(saving, 0.8 * 10 * 8760)
    assert risk_of(saving).loss_probability == 0
    # 12 x 1.20 / 2.00 = 7.2 months of on-demand pay for the term.
    assert priced.break_even_month(10.0) == 8
    assert priced.best(Sample.of(flat.hours(priced.weeks, 1), FLAT.value(priced.weeks))) == pytest.approx(10.0)


def test_growth_is_not_counted_on_and_a_fall_is() -> None:
    rising = draw(demand([10.0 * 1.03 ** (hour // 168) for hour in range(20 * 168)]), 53, 300, ())
    falling = draw(demand([10.0 * 0.97 ** (hour // 168) for hour in range(20 * 168)]), 53, 300, ())
    assert rising is not None
    assert falling is not None
    assert np.median(rising.level[:, -1]) == pytest.approx(10.0 * 1.03**19, rel=0.01)
    assert np.median(falling.level[:, -1]) < 0.85 * 10.0 * 0.97**19


def test_too_little_history_draws_nothing() -> None:
    assert draw(steady(4), 53, 100) is None
    assert draw(demand([0.0] * (20 * 168)), 53, 100) is None


def test_a_scenario_scales_what_comes_after_it() -> None:
    struck = futures().struck(Scenario("halves", 0.5, 0), within_weeks=1, seed=1)
    assert np.allclose(struck.level, futures().level * 0.5)
    often = futures(scenarios=(Scenario("replaced", 0.1, 5.0),))
    assert (often.level[:, -1] < 0.2 * futures().level[:, -1]).mean() > 0.9


def test_a_cheaper_market_makes_the_same_commitment_worth_less() -> None:
    found = futures()
    flat, cheaper = (Prospect(found, offer(), market) for market in (FLAT, Market(monthly_decline=0.05)))
    successor = Prospect(found, offer(), Market(successor_month=6, successor_price=0.3))
    mean = flat.savings(80.0).mean()
    assert cheaper.savings(80.0).mean() < mean
    assert successor.savings(80.0).mean() < mean
    assert flat.break_even_month(80.0) == 8
    # 14.40 a GPU are owed: six months earn 12.00 at 2.00, the other six 0.60 or 0.30 each.
    assert successor.break_even_month(80.0) in (10, 11)
    never = Prospect(found, offer(), Market(successor_month=6, successor_price=0.15))
    assert never.break_even_month(80.0) is None


def test_the_best_quantity_is_best_on_a_grid() -> None:
    found = futures(paths=400)
    prospect = Prospect(found, offer(), FLAT)
    best = prospect.best(Sample.of(found.hours(prospect.weeks, 3), FLAT.value(prospect.weeks)))
    means = {gpus: prospect.savings(float(gpus)).mean() for gpus in range(50, 140, 2)}
    assert prospect.savings(best).mean() >= max(means.values()) * 0.999


def test_full_cashback_without_strings_never_loses() -> None:
    terms = Flex(cashback=Decimal(1))
    found = futures(scenarios=(Scenario("replaced", 0.05, 4.0),))
    plain = Prospect(found, offer(), FLAT).savings(90.0)
    insured = Prospect(found, offer(kind="flex", flex=terms), FLAT).savings(90.0)
    assert plain.min() < 0
    assert insured.min() >= -1e-6
    assert (insured >= plain - 1e-6).all()
    capped = Prospect(found, offer(kind="flex", flex=Flex(cap=Decimal("0.1"))), FLAT).savings(90.0)
    assert (capped <= insured + 1e-6).all()
    assert (capped >= plain - 1e-6).all()


def test_premium_fee_and_trigger_cost() -> None:
    found = futures()
    free = Prospect(found, offer(kind="flex", flex=Flex()), FLAT).savings(90.0)
    premium = Prospect(found, offer(kind="flex", flex=Flex(premium=Decimal("0.1"))), FLAT).savings(90.0)
    assert np.allclose(free - premium, 0.1 * 90 * 8760)
    fee = Prospect(found, offer(kind="flex", flex=Flex(fee_share=Decimal("0.25"))), FLAT).savings(90.0)
    assert np.allclose(fee, np.where(free > 0, free * 0.75, free))
    trigger = Prospect(found, offer(kind="flex", flex=Flex(trigger=Decimal("0.99"))), FLAT).savings(90.0)
    assert np.allclose(trigger, Prospect(found, offer(), FLAT).savings(90.0))


def test_a_quantity_that_may_be_lowered_loses_less() -> None:
    found = futures(scenarios=(Scenario("replaced", 0.05, 4.0),))
    stuck = Prospect(found, offer(kind="flex", flex=Flex(cashback=Decimal(0))), FLAT).savings(90.0)
    loose = Prospect(found, offer(kind="flex", flex=Flex(cashback=Decimal(0), adjust_months=3)), FLAT).savings(90.0)
    assert (loose >= stuck - 1e-6).all()
    assert loose.min() > stuck.min()


def test_what_history_would_have_paid_back_is_exact() -> None:
    pool = demand([4.0] * 730 + [10.0] * 730)
    flexible = offer(kind="flex", flex=Flex(cashback=Decimal("0.5"), trigger=Decimal("0.3")))
    # The first month left 4 of 8 GPUs unused (half, above the trigger): 0.5 x 4 x 730 x 1.20; the second none.
    assert paid_back(pool, flexible, 8 * NANOS) == Decimal("0.5") * 4 * 730 * Decimal("1.20")
    assert paid_back(pool, offer(), 8 * NANOS) == 0
    fee = offer(kind="flex", flex=Flex(cashback=Decimal(0), fee_share=Decimal("0.1")))
    saving = Levels(pool).outcome(8 * NANOS, Decimal("1.20"), Decimal("2.00")).saving
    assert paid_back(pool, fee, 8 * NANOS) == -(saving * Decimal("0.1"))


def test_waiting_spares_nothing_where_nothing_breaks() -> None:
    prospect = Prospect(futures(), offer(), FLAT)
    saving = prospect.savings(60.0)
    waiting = prospect.waiting(60.0, saving)
    assert waiting.spared == 0
    assert waiting.forgone == pytest.approx(0.8 * 60 * 4 * 168, rel=0.02)
    assert waiting.value < 0
    assert term_weeks(offer()) == 53
