"""Commit, wait or never: each rule says no on its own, in words, and says what would change it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from outlay.config import CommitmentSettings, GuardrailSettings, PoolSettings
from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.offers.offer import Flex, Offer
from outlay.optimize.commitments.plan import PoolPlan, plan, today_of
from outlay.optimize.commitments.plan_json import plan_json, pool_json
from outlay.report.commit_wording import ending
from tests.optimize.commitments.series import demand, offer, steady

SETTINGS = CommitmentSettings()


def planned(
    pool: Demand, *offers: Offer, settings: CommitmentSettings = SETTINGS, owned: tuple[Owned, ...] = ()
) -> PoolPlan:
    (one,) = plan([pool], offers, settings, owned={pool.pool: owned}, paths=200).pools
    return one


def test_a_steady_pool_is_committed_under_its_cap() -> None:
    one = planned(steady(20), offer())
    assert one.verdict.word == "commit"
    assert "Stable" in one.verdict.reasons[0]
    best = one.verdict.best
    assert best is not None
    assert best.outcome is not None
    assert best.bound_by.startswith("the cap of 70% of the demand")
    assert best.outcome.quantity == best.outcome.quantity.to_integral_value()
    assert best.outcome.quantity == 69  # 70 of a mean of 100 would cover 69.98 %; whole GPUs, rounded down
    assert (best.outcome.coverage or 1) <= Decimal("0.70")
    assert best.exposure == best.outcome.quantity * Decimal("1.20") * 8760
    assert sum(step.nanos for step in one.ladder) == best.buy
    assert any("withdraw" in change for change in one.verdict.changes)


def test_the_price_of_the_cap() -> None:
    one = planned(steady(20), offer())
    assert one.optimum is not None
    assert one.optimum.optimum is not None
    for cap in one.caps:
        assert cap.outcome.coverage is not None
        assert cap.outcome.coverage <= cap.coverage
        assert cap.price == one.optimum.optimum.saving_rate - cap.outcome.saving_rate  # type: ignore[operator]
        assert cap.price > 0
    prices = [cap.price for cap in one.caps]
    assert prices == sorted(prices, reverse=True)


@pytest.mark.parametrize(
    ("weeks", "word", "said"), [(8, "wait", "56 days of production: a first commitment rests on"), (13, "commit", "")]
)
def test_sixty_days_come_first(weeks: int, word: str, said: str) -> None:
    one = planned(steady(weeks), offer())
    assert one.verdict.word == word
    assert any(said in reason for reason in one.verdict.reasons)


def test_three_years_rest_on_ninety_days() -> None:
    three = offer("0.90", name="3y", term_months=36)
    short = planned(steady(10), offer(), three)
    assert short.verdict.best is not None
    assert short.verdict.best.offer.name == "1y"
    only = planned(steady(10), three)
    assert only.verdict.word == "wait"
    assert any("a term of more than a year rests on at least 90" in reason for reason in only.verdict.reasons)


def test_an_unstable_pool_waits() -> None:
    hours = [100.0 if (hour // 168) % 2 else 130.0 for hour in range(20 * 168)]
    one = planned(demand(hours), offer())
    assert one.verdict.word == "wait"
    assert any("Not stable: weekly demand moved by at most 30.0%" in reason for reason in one.verdict.reasons)


def test_a_jump_three_weeks_before_the_window_is_past_and_one_in_it_is_not() -> None:
    old = demand([60.0] * (6 * 168) + [100.0] * (16 * 168))
    assert planned(old, offer()).verdict.word == "commit"
    recent = demand([60.0] * (14 * 168) + [100.0] * (8 * 168))
    one = planned(recent, offer())
    assert one.verdict.word == "wait"
    assert any("Not stable for long enough" in reason for reason in one.verdict.reasons)


def test_a_sudden_drop_withdraws() -> None:
    before = planned(steady(20), offer())
    assert before.verdict.word == "commit"
    fallen = demand([float(one) / NANOS for one in steady(20).nanos] + [70.0] * 168)
    one = planned(fallen, offer())
    assert one.verdict.word == "wait"
    assert any("Demand dropped: the last seven days are 30% below" in reason for reason in one.verdict.reasons)


def test_training_is_not_committed_to_unless_it_never_stops() -> None:
    hours = [80.0 if (hour // 24) % 3 else 0.0 for hour in range(20 * 168)]
    stopping = planned(demand(hours, pool="H100/us-east-1/training"), offer(pools=("*",)))
    assert stopping.verdict.word == "never"
    assert "Spot with checkpoints" in stopping.verdict.reasons[0]
    pipeline = planned(steady(20, pool="H100/us-east-1/training"), offer(pools=("*",)))
    assert pipeline.verdict.word == "commit"
    said = CommitmentSettings(pools=(PoolSettings(pool="H100", workload="training"),))
    assert planned(demand(hours), offer(), settings=said).verdict.word == "never"


def test_a_pool_that_nobody_uses_any_more() -> None:
    one = planned(demand([50.0] * (20 * 168) + [0.0] * 168), offer())
    assert one.verdict.word == "never"
    assert "Nobody used this pool" in one.verdict.reasons[0]


def test_a_pool_of_which_nothing_is_known_lately() -> None:
    one = planned(demand([50.0] * (20 * 168) + [None] * 168 + [50.0] * 0), offer())
    assert one.verdict.word == "wait"
    assert "Too little is known" in one.verdict.reasons[0]


def test_an_unknown_price_has_no_figures_and_says_what_to_give() -> None:
    one = planned(steady(20), offer(None))
    assert one.verdict.word == "wait"
    assert one.optimum is None
    (option,) = one.options
    assert option.outcome is None
    assert option.risk is None
    assert "unit_price" in (option.why or "")
    beside = planned(steady(20), offer(None), offer(name="known"))
    assert beside.verdict.word == "commit"


def test_no_offer_at_all() -> None:
    one = planned(steady(20))
    assert one.verdict.word == "wait"
    assert "--offers" in one.verdict.changes[0]


def test_an_offer_that_is_no_cheaper() -> None:
    one = planned(steady(20), offer("2.00"))
    assert one.verdict.word == "never"
    assert "No offer is cheaper than on-demand." in one.verdict.reasons


def test_what_is_owned_comes_first() -> None:
    whole = planned(steady(20), offer())
    assert whole.verdict.best is not None
    wanted = whole.verdict.best.nanos
    part = planned(steady(20), offer(), owned=(Owned(wanted // 2, None),))
    assert part.verdict.best is not None
    assert part.verdict.best.buy == (wanted - wanted // 2) // NANOS * NANOS
    enough = planned(steady(20), offer(), owned=(Owned(wanted, None),))
    assert enough.verdict.word == "wait"
    assert any("nothing to add to what is owned" in reason for reason in enough.verdict.reasons)


def test_the_limit_on_losses_binds() -> None:
    hours = [100.0 * (1.16 if (hour // 168) % 2 else 1.0) * 0.985 ** (hour // 168) for hour in range(26 * 168)]
    free = planned(demand(hours), offer("1.85"), settings=CommitmentSettings(max_loss_probability=Decimal(1)))
    bound = planned(demand(hours), offer("1.85"), settings=CommitmentSettings(max_loss_probability=Decimal("0.05")))
    (one,), (other,) = free.options, bound.options
    assert other.nanos < one.nanos
    assert other.bound_by.startswith("a probability of a loss of at most")
    assert other.risk is None or other.risk.loss_probability <= 0.05


def test_amounts_of_two_currencies_are_not_compared() -> None:
    half = offer("1.00", "2.00", name="dollars")
    one = planned(steady(20), half, offer("250", "300", name="yen", currency="JPY"))
    assert one.verdict.best is not None
    assert one.verdict.best.offer.name == "dollars"  # half price beats a sixth off, though a yen's figure is larger


def test_what_is_for_sale_limits_the_purchase_and_not_the_level() -> None:
    few = offer(max_gpus=Decimal(5))
    one = planned(steady(20), few, owned=(Owned(10 * NANOS, None),))
    assert one.verdict.best is not None
    assert (one.verdict.word, one.verdict.best.buy) == ("commit", 5 * NANOS)
    assert one.verdict.best.bound_by == "what is for sale"


def test_a_purchase_too_small_to_be_sold_is_not_called_owned() -> None:
    one = planned(steady(20, mean=10), offer(min_gpus=Decimal(16)))
    assert one.verdict.word == "wait"
    assert not one.verdict.covered
    said = "1y: no quantity is advised; it is bound by the smallest purchase, 16 GPUs, is more than is wanted."
    assert one.verdict.because == said


def test_a_long_term_on_a_short_history_says_so_where_a_short_one_does_not_pay() -> None:
    ten = demand([10.0 if hour % 24 >= 2 else 0.0 for hour in range(11 * 168)])
    one = planned(ten, offer("1.99", name="one"), offer("1.00", name="three", term_months=36))
    assert one.verdict.word == "wait"
    assert "three: a term of more than a year rests on at least 90 days." in one.verdict.reasons


def test_a_fall_is_told_since_its_week() -> None:
    one = planned(demand([10 - 0.3 * (hour // 168) for hour in range(10 * 168)]), offer())
    assert "Demand is falling: the last full week is 27% below the one from 2026-06-01 on." in one.verdict.reasons


def test_an_offer_that_ended_has_no_verdict() -> None:
    old = offer(valid_until="2026-10-18", where="offers.csv:2")
    over = plan([steady(20)], [old], SETTINGS, today=date(2026, 10, 19), paths=50)
    assert over.pools[0].verdict.word == "wait"
    assert over.pools[0].verdict.because.startswith("No offer has a known price that still holds")
    assert over.pools[0].options[0].why == "the offer ended on 2026-10-18: ask for one that holds"
    assert over.notes == ("offers.csv:2: the offer '1y' ended on 2026-10-18.",)
    assert plan([steady(20)], [old], SETTINGS, today=date(2026, 10, 18), paths=50).pools[0].verdict.word == "commit"


def test_an_offer_that_has_not_begun_has_no_verdict() -> None:
    new = offer(valid_from="2026-10-19")
    early = plan([steady(20)], [new], SETTINGS, today=date(2026, 10, 18), paths=50)
    assert early.pools[0].verdict.word == "wait"
    assert early.pools[0].options[0].why == "the offer begins on 2026-10-19: ask for one that holds"
    assert plan([steady(20)], [new], SETTINGS, today=date(2026, 10, 19), paths=50).pools[0].verdict.word == "commit"


def test_the_optimum_and_the_caps_count_what_is_paid_back() -> None:
    days = demand([20.0 if 8 <= hour % 24 < 20 else 10.0 for hour in range(20 * 168)])
    insured = offer("1.20", name="insured", kind="flex", flex=Flex(premium=Decimal("0.10")))
    found = plan([days], [insured, offer("1.40", name="standard")], SETTINGS, paths=50)
    (one,) = found.pools
    assert one.optimum is not None
    assert one.optimum.offer.name == "insured"
    assert one.optimum.optimum is not None
    # 20 GPUs an hour cost 26.00, of which the 5 unused bring 6.00 back, beside 30.00 on demand.
    assert one.optimum.optimum.quantity == 20
    assert one.optimum.optimum.saving == 10 * 20 * 168
    assert one.optimum.optimum.returned == 6 * 20 * 168
    assert all(cap.price > 0 for cap in one.caps)
    assert one.curve[-1].saving == one.optimum.optimum.saving
    assert plan_json(found)["pools"][0]["optimum"]["paid_back"] == str(6 * 20 * 168)


def test_the_risk_is_of_the_purchase_not_of_what_is_owned() -> None:
    calm = SETTINGS.model_copy(update={"scenarios": ()})
    days = demand([14.0 if hour % 24 < 12 else 9.0 for hour in range(20 * 168)])
    wide = calm.model_copy(update={"coverage_cap": Decimal(1), "guardrails": GuardrailSettings(coverage_ceiling=1)})
    (whole,) = planned(days, offer("0.80"), settings=wide).options
    (part,) = planned(days, offer("0.80"), settings=wide, owned=(Owned(9 * NANOS, None),)).options
    assert (whole.nanos, part.nanos, part.buy) == (14 * NANOS, 14 * NANOS, 5 * NANOS)
    assert whole.risk is not None
    assert part.risk is not None
    # Nine GPUs are used in every hour, the five above them in half: 5 x (0.5 x 2.00 - 0.80) an hour.
    assert part.risk.p50 == pytest.approx(5 * (0.5 * 2.00 - 0.80) * 8760, rel=0.01)
    assert whole.risk.p50 == pytest.approx(part.risk.p50 + 9 * (2.00 - 0.80) * 8760, rel=0.01)
    assert part.break_even_month == 10  # 0.80 / (0.5 x 2.00) of twelve months
    (enough,) = planned(days, offer("0.80"), settings=wide, owned=(Owned(14 * NANOS, None),)).options
    assert (enough.buy, enough.risk, enough.break_even_month) == (0, None, None)


def test_a_few_known_hours_are_no_week() -> None:
    hours: list[float | None] = [20.0 if 8 <= hour % 24 < 20 else 10.0 for hour in range(20 * 168)]
    hours[-168:] = [one if hour % 24 < 8 else None for hour, one in enumerate(hours[-168:])]
    one = planned(demand(hours), offer())
    assert one.evidence.drop is None
    assert one.verdict.word == "wait"
    assert "Too little is known of the last seven days" in one.verdict.reasons[0]


def held(pool: Demand, *gpus: tuple[int, date], settings: CommitmentSettings = SETTINGS) -> PoolPlan:
    owned = tuple(Owned(number * NANOS, until, f"res-{number}") for number, until in gpus)
    (one,) = plan([pool], [offer()], settings, owned={pool.pool: owned}, today=today_of([pool]), paths=200).pools
    return one


def test_a_covered_pool_lists_what_is_refilled_and_when() -> None:
    one = held(steady(20), (40, date(2027, 3, 1)), (40, date(2029, 1, 1)))
    assert (one.verdict.word, one.verdict.covered) == ("wait", True)
    (step,) = one.ladder
    assert (step.nanos, step.on, step.owned_then, step.refill) == (29 * NANOS, date(2027, 3, 1), 69 * NANOS, True)
    said = pool_json(one)
    assert said["recommended"] is None
    assert said["ladder"] == [
        {
            "month": 4,
            "on": "2027-03-01",
            "quantity": "29",
            "owned_then": "69",
            "why": "in place of res-40, which ends then",
            "refill": True,
            "depends_on": "a plan made again by 2027-03-01 that says commit and wants at least the level that it leads "
            "to",
        }
    ]


def test_nothing_is_refilled_where_a_pool_is_not_to_be_committed_to() -> None:
    idle = held(demand([50.0] * (20 * 168) + [0.0] * 168), (80, date(2027, 3, 1)))
    assert (idle.verdict.word, idle.ladder) == ("never", ())
    unstable = demand([100.0 if (hour // 168) % 2 else 130.0 for hour in range(20 * 168)])
    doubted = held(unstable, (80, date(2027, 3, 1)))
    assert (doubted.verdict.word, doubted.ladder) == ("wait", ())
    assert ending(doubted) == ["Ends, with nothing planned in its place: 80 on 2027-03-01."]
    assert ending(held(steady(20), (80, date(2027, 3, 1)))) == []


def test_what_has_ended_is_not_owned() -> None:
    gone = held(steady(20), (69, date(2026, 10, 19)))
    assert gone.demand.end == datetime(2026, 10, 19)
    assert (gone.verdict.word, gone.owned) == ("commit", ())
