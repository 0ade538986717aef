"""The backtest decides from what was known by then, and settles all buyers alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import CommitmentSettings
from outlay.errors import UsageError
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.foresight.backtest import SCALED_TERM_HOURS, backtest
from outlay.optimize.commitments.foresight.online import BOUND
from outlay.optimize.commitments.inputs import inputs_from_ledger
from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH, Flex
from outlay.optimize.commitments.outlook.price_decline import DatedPrice
from outlay.optimize.commitments.outlook.price_history import PriceHistory
from outlay.report.commit_backtest import answers
from outlay.report.wording import amount
from tests.optimize.commitments.ledgers import gpu, ledger_of
from tests.optimize.commitments.series import demand, offer, steady
from tests.optimize.commitments.standings import POOL, offers
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
    assert found.level_clairvoyant is not None
    assert found.clairvoyant.cost <= found.level_clairvoyant.cost


def test_the_golden_ratios_of_the_rule_on_the_real_trace() -> None:
    cases = golden()
    fleet = trace(cases["file"], cases["column"])
    for price, ratio in (("0.6", 1.185), ("0.7", 1.165)):
        found = backtest(fleet, [offer(price, "1", pools=("*",))], SETTINGS)
        assert found.level_break_even is not None
        assert found.level_clairvoyant is not None
        assert float(found.level_break_even.ratio(found.level_clairvoyant) or 0) == pytest.approx(ratio, abs=1e-3)
        assert 1 <= (found.break_even.ratio(found.clairvoyant) or 0) <= BOUND
        assert (found.followed.share or 1) < 1


def test_without_a_price_there_is_nothing_to_test() -> None:
    with pytest.raises(UsageError, match="no standard offer for H100 has a known price below on-demand"):
        backtest(steady(20), [offer(None), offer("2.50")], SETTINGS)


def test_a_term_that_passes_the_end_counts_by_its_hours_in_the_history_for_all_alike() -> None:
    found = backtest(steady(20), [offer()], SETTINGS, term_hours=8760, every_hours=672)
    bought = {one.position: one.nanos for one in found.decisions if one.nanos}
    assert list(bought) == [2016, 2688]
    held = [sum(level for position, level in bought.items() if position <= hour) for hour in range(3360)]
    used = sum(min(level, int(need)) for level, need in zip(held, found.demand.nanos, strict=True))
    rent = Decimal(found.demand.total - used) / NANOS * 2
    assert found.followed.cost == rent + sum(bought.values()) // NANOS * 8760 * Decimal("1.20")
    assert found.followed.within == rent + sum(held) // NANOS * Decimal("1.20")
    assert found.followed.owed_after == found.followed.cost - found.followed.within
    # By whole terms it would look dearer than on-demand, which pays for no hour after the history.
    assert found.followed.within < found.followed.on_demand_cost < found.followed.cost

    # Whoever knew all buys from the first hour on, whatever part of the term is left for what comes after.
    best = found.best_within
    assert best.owed_after > 0
    assert found.static is not None
    assert best.within <= found.static.cost
    for other in (found.clairvoyant, found.break_even, found.followed):
        assert best.within <= other.within
    assert found.clairvoyant.cost <= best.cost
    said = found.to_json()["followed"]
    assert said["within"]["cost"] == f"{found.followed.within.normalize():f}"
    assert Decimal(said["cost"]) - Decimal(said["within"]["cost"]) == Decimal(said["owed_after"])


def test_prices_are_those_of_the_day_on_which_it_is_decided() -> None:
    dear = offer("1.20", "2.00", valid_from="2026-01-01", valid_until="2026-08-31")
    cheap = offer("0.90", "1.50", valid_from="2026-09-01")
    found = backtest(steady(20), [dear, cheap], SETTINGS)
    change = (datetime(2026, 9, 1) - datetime(2026, 6, 1)) // timedelta(hours=1)
    at = {one.position: one.nanos for one in found.decisions}
    assert at[2016]  # 24 August, at 1.20
    assert at[2688]  # 21 September, at 0.90

    nanos = found.demand.nanos
    paid, rent = Decimal(0), Decimal(0)
    for hour, need in enumerate(nanos.tolist()):
        held = sum(level for position, level in at.items() if position <= hour < position + SCALED_TERM_HOURS)
        rent += Decimal(max(0, need - held)) / NANOS * (Decimal("2.00") if hour < change else Decimal("1.50"))
    for position, level in at.items():
        price = Decimal("1.20") if position < change else Decimal("0.90")
        paid += Decimal(level) / NANOS * SCALED_TERM_HOURS * price
    assert found.followed.cost == paid + rent
    before, after = (Decimal(int(part.sum())) / NANOS for part in (nanos[:change], nanos[change:]))
    assert found.followed.on_demand_cost == before * 2 + after * Decimal("1.50")
    told = found.to_json()
    assert (told["prices"]["commitment_dated"], told["prices"]["on_demand_dated"]) == (True, True)
    assert [one["price"] for one in told["prices"]["periods"]] == ["1.2", "0.9"]
    assert told["prices"]["periods"][1]["from"] == "2026-09-01T00:00:00Z"
    assert (found.bound, told["break_even_rule"]["bound"], told["by_level"]) == (None, None, None)
    assert "proven for one price" in told["break_even_rule"]["bound_why"]


def test_an_offer_that_had_ended_is_bought_by_nobody_after_it() -> None:
    found = backtest(steady(20), [offer(valid_from="2026-06-01", valid_until="2026-07-31")], SETTINGS)
    last = (datetime(2026, 8, 1) - datetime(2026, 6, 1)) // timedelta(hours=1)
    assert [one.nanos for one in found.decisions] == [0, 0, 0, 0]
    assert found.decisions[-1].reason == "the offer was not for sale at a known price"
    for one in (found.clairvoyant, found.break_even, found.best_within):
        assert not one.reserved[last + SCALED_TERM_HOURS :].any()
    assert "not for sale" in found.tariff.words


def test_hours_before_the_first_known_price_are_not_counted() -> None:
    found = backtest(steady(20), [offer(valid_from="2026-07-01")], SETTINGS)
    skipped = (datetime(2026, 7, 1) - datetime(2026, 6, 1)) // timedelta(hours=1)
    assert (found.tariff.skipped, found.demand.first) == (skipped, datetime(2026, 7, 1))
    assert found.followed.on_demand_cost == Decimal(int(steady(20).nanos[skipped:].sum())) / NANOS * 2
    # What was known is still the whole history: the third month is decided on all of it.
    assert [one.word for one in found.decisions] == ["wait", "commit", "commit"]
    assert "The first 720 hours are not counted" in found.tariff.words


def test_undated_prices_are_said_to_be_of_today() -> None:
    found = backtest(steady(20), [offer()], SETTINGS)
    assert found.to_json()["prices"]["commitment_dated"] is False
    assert found.tariff.words.startswith("Prices are today's, taken for the whole history")


def test_offers_that_are_not_followed_are_named_with_the_reason() -> None:
    listed = [
        offer(),
        offer("1.50", name="3y"),
        offer("1.00", name="insured", kind="flex", flex=Flex()),
        offer(None, name="unpriced"),
        offer("2.10", name="dear"),
        offer("1.10", name="shared", pools=("H100", "A100")),
        offer("1.10", name="other", pools=("A100",)),
    ]
    found = backtest(steady(20), listed, SETTINGS)
    assert found.offer.name == "1y"
    why = {one.offer: one.why for one in found.left_out}
    assert list(why) == ["insured", "unpriced", "dear", "shared", "3y"]
    assert why["insured"].startswith("it is flexible: what it pays back hangs on each settlement period")
    assert "unit_price" in why["unpriced"]
    assert why["dear"] == "it is no cheaper than on-demand"
    assert "several pools" in why["shared"]
    assert why["3y"] == "1y is cheaper, and one offer is followed"


def test_the_months_of_the_bill_price_on_demand_where_the_offer_leaves_it_out(tmp_path: Path) -> None:
    def day(number: int, price: int) -> dict[str, str]:
        return gpu(24 * number, "240", cost=str(240 * 8 * price), hours=24)

    bill = [day(number, 3 if number < 31 else 2) for number in range(92)]  # October at 3, then 2
    offers(tmp_path)
    given = inputs_from_ledger(ledger_of(tmp_path, bill), (), tmp_path / "offers.csv")
    (one,) = given.demands
    found = backtest(one, given.offers, SETTINGS, billed=given.billed[POOL])
    told = [(period.start, period.on_demand) for period in found.tariff.periods]
    assert told == [(0, Decimal(3)), (744, Decimal(2))]
    assert found.followed.on_demand_cost == 80 * (744 * 3 + 61 * 24 * 2)
    assert (found.tariff.commitment_dated, found.tariff.on_demand_dated) == (False, True)
    assert "that the bill paid month by month; the commitment's is today's" in found.tariff.words
    own = backtest(one, [replace(given.offers[0], paid_by_bill=False)], SETTINGS, billed=given.billed[POOL])
    assert own.tariff.constant  # an on-demand price of the offer's own is taken as it is


def test_a_decision_knows_no_price_that_fell_later() -> None:
    falling = PriceHistory(
        tuple(
            DatedPrice(day, Decimal(price), "USD", "catalogue", "a list", "aws p5.48xlarge")
            for day, price in ((date(2025, 1, 1), "8"), (date(2026, 10, 10), "2"))
        )
    )
    plain, told = (backtest(steady(20), [offer()], SETTINGS, history=one) for one in (None, falling))
    assert plain.decisions == told.decisions
    early = PriceHistory(tuple(replace(one, on=one.on - timedelta(days=200)) for one in falling.prices))
    assert backtest(steady(20), [offer()], SETTINGS, history=early).decisions[-1].nanos < plain.decisions[-1].nanos


def test_the_answer_is_of_all_pools_and_of_one() -> None:
    found = [backtest(steady(20, pool=name), [offer(pools=("*",))], SETTINGS, term_hours=8760) for name in ("A", "B")]
    (one,), (both,) = answers(found[:1]), answers(found)
    on_demand, cost = found[0].followed.on_demand_cost, found[0].followed.within
    assert f"saved {amount(on_demand - cost, 'USD')} (" in one
    assert f"): {amount(cost, 'USD')} against {amount(on_demand, 'USD')} on demand, " in one
    best, rule = found[0].best_within.within, found[0].break_even
    assert f"{cost / best:.3f} times the best possible, {amount(best, 'USD')}. The break-even rule" in one
    ratio = rule.cost / found[0].clairvoyant.cost
    assert one.endswith(f"; with terms paid to their end {ratio:.3f} times, of which 2 is the proven bound.")
    assert both.startswith(f"Over 2 pools, following the plan would have saved {amount(2 * (on_demand - cost), 'USD')}")
    lost = backtest(demand([100.0] * 2688 + [0.0] * 672), [offer()], SETTINGS)
    assert answers([lost])[0].startswith("Following the plan would have lost $")
    few = backtest(demand([5.0] * 1400), [offer()], SETTINGS)
    assert answers([few])[0].startswith("Following the plan would have bought nothing and saved nothing: $14,000.00")
