"""The backtest decides from what was known by then, and settles all buyers alike."""

from __future__ import annotations

from decimal import Decimal

import pytest

from outlay.config import CommitmentSettings
from outlay.errors import UsageError
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.foresight.backtest import SCALED_TERM_HOURS, backtest
from outlay.optimize.commitments.foresight.online import BOUND
from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH
from tests.optimize.commitments.series import demand, offer, steady
from tests.optimize.commitments.test_sizing import golden, trace

SETTINGS = CommitmentSettings()


def test_terms_that_do_not_fit_are_scaled_and_it_says_so() -> None:
    found = backtest(steady(20), [offer()], SETTINGS)
    assert found.scaled
    assert (found.term_hours, found.every_hours) == (SCALED_TERM_HOURS, SCALED_TERM_HOURS)
    words = [one.word for one in found.decisions]
    assert words == ["wait", "wait", "commit", "commit"]
    bought = [one.nanos // NANOS for one in found.decisions]
    assert bought == [0, 0, 70, 69]
    used = sum(min(70 * NANOS, int(one)) for one in found.demand.nanos[2016:2688])
    used += sum(min(69 * NANOS, int(one)) for one in found.demand.nanos[2688:])
    left = Decimal(found.demand.total - used) / NANOS
    assert found.followed.cost == left * Decimal("2.00") + (70 + 69) * SCALED_TERM_HOURS * Decimal("1.20")
    assert found.to_json()["term_scaled"] is True


def test_a_history_long_enough_keeps_the_terms_and_the_ladder() -> None:
    found = backtest(steady(60), [offer(term_months=3)], SETTINGS)
    assert not found.scaled
    assert (found.term_hours, found.every_hours) == (3 * HOURS_A_MONTH, HOURS_A_MONTH)
    first = [one.nanos // NANOS for one in found.decisions if one.nanos][:3]
    assert first == [24, 24, 22]
    assert max(found.followed.reserved.tolist()) <= 71 * NANOS


def test_a_decision_knows_nothing_of_what_comes_after() -> None:
    hours = [float(one) / NANOS for one in steady(20).nanos]
    other = [*hours[: 14 * 168], *(0.0 for _ in hours[14 * 168 :])]
    whole, cut = backtest(demand(hours), [offer()], SETTINGS), backtest(demand(other), [offer()], SETTINGS)
    before = [one for one in whole.decisions if one.position <= 14 * 168]
    assert before
    assert before == [one for one in cut.decisions if one.position <= 14 * 168]


def test_nobody_beats_foresight_and_the_rule_keeps_its_bound() -> None:
    found = backtest(steady(20), [offer()], SETTINGS)
    for one in (found.followed, found.break_even):
        assert (one.ratio(found.clairvoyant) or 0) >= 1
    assert (found.break_even.ratio(found.clairvoyant) or 0) <= BOUND
    assert found.clairvoyant.cost <= found.level_clairvoyant.cost


def test_the_golden_ratios_of_the_rule_on_the_real_trace() -> None:
    cases = golden()
    fleet = trace(cases["file"], cases["column"])
    for price, ratio in (("0.6", 1.185), ("0.7", 1.165)):
        found = backtest(fleet, [offer(price, "1", pools=("*",))], SETTINGS)
        assert float(found.level_break_even.ratio(found.level_clairvoyant) or 0) == pytest.approx(ratio, abs=1e-3)
        assert 1 <= (found.break_even.ratio(found.clairvoyant) or 0) <= BOUND
        assert (found.followed.share or 1) < 1


def test_without_a_price_there_is_nothing_to_test() -> None:
    with pytest.raises(UsageError, match="no standard offer for H100 has a known price below on-demand"):
        backtest(steady(20), [offer(None), offer("2.50")], SETTINGS)
