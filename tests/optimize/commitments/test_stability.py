"""Stability is told from full weeks only, and a gap is neither demand nor a change."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest

from outlay.config import CommitmentSettings
from outlay.optimize.commitments.demand import NANOS, Demand, together
from outlay.optimize.commitments.outlook.futures import draw
from outlay.optimize.commitments.plan import plan
from outlay.optimize.commitments.plan_json import pool_json
from outlay.optimize.commitments.stability import Missing, stability
from tests.optimize.commitments.series import MONDAY, demand, offer, steady

LIMIT = Decimal("0.20")
WEEK = 168


def test_each_measure_by_hand() -> None:
    found = stability(demand([10.0] * WEEK + [12.0] * WEEK + [9.0] * WEEK), LIMIT)
    assert (found.weeks, found.days) == (3, 21)
    assert found.max_wow == Decimal("0.25")
    assert found.mean_wow == (Decimal("0.2") + Decimal("0.25")) / 2
    # The means 10, 12, 9: mean 31/3, sample variance 7/3.
    assert found.cv is not None
    assert abs(found.cv - (Decimal(7) / 3).sqrt() / (Decimal(31) / 3)) < Decimal("1e-20")
    assert found.stable is False
    assert found.largest_in == datetime(2026, 6, 15)


def test_exactly_a_fifth_is_not_stable() -> None:
    assert stability(demand([10.0] * WEEK + [8.0] * WEEK), LIMIT).stable is False
    assert stability(demand([10.0] * WEEK + [8.1] * WEEK), LIMIT).stable is True


def test_a_week_with_a_gap_is_left_out_and_breaks_the_chain() -> None:
    hours: list[float | None] = [*[10.0] * WEEK, *[10.0] * WEEK, *[20.0] * WEEK]
    hours[WEEK + 5] = None
    found = stability(demand(hours), LIMIT)
    assert found.weeks == 2
    assert found.max_wow is None
    assert found.stable is None


def test_weeks_begin_on_monday_or_at_a_multiple_of_168() -> None:
    dated = demand([1.0] * (3 * WEEK), first=datetime(2026, 6, 3, 5))  # a Wednesday
    assert [week.start for week in dated.weeks()] == [datetime(2026, 6, 8), datetime(2026, 6, 15)]
    counted = demand([1.0] * (3 * WEEK), first=100)
    assert [week.start for week in counted.weeks()] == [168, 336]
    assert [week.number for week in counted.weeks()] == [1, 2]


def test_the_last_days_count_the_change_into_them() -> None:
    hours = [10.0] * WEEK + [20.0] * WEEK + [20.0] * (4 * WEEK)
    assert stability(demand(hours), LIMIT, last_days=28).max_wow == 0
    assert stability(demand(hours), LIMIT, last_days=35).max_wow == 1


def test_a_pool_that_starts_from_nothing_changed_by_the_whole() -> None:
    assert stability(demand([0.0] * WEEK + [5.0] * WEEK), LIMIT).max_wow == 1
    assert stability(demand([0.0] * WEEK + [0.0] * WEEK), LIMIT).max_wow == 0


def test_a_union_knows_the_hours_that_all_know() -> None:
    one = demand([1.0, None, 3.0, 4.0], pool="a")
    other = demand([10.0, 20.0, 30.0], pool="b", first=datetime(2026, 6, 1, 1))
    both = together("a|b", [one, other])
    assert both.first == datetime(2026, 6, 1, 1)
    assert [int(value) // 10**9 for value in both.nanos] == [0, 23, 34]
    assert both.known.tolist() == [False, True, True]


def test_steady_is_steady() -> None:
    found = stability(steady(12), LIMIT)
    assert found.stable
    assert steady(12).first == MONDAY


def lacking(weeks: int, hours: int = 1) -> Demand:
    """Steady demand of which each week lacks ``hours`` hours from its fifth on."""
    whole = steady(weeks)
    return demand([None if 0 <= place % WEEK - 4 < hours else nanos / NANOS for place, nanos in enumerate(whole.nanos)])


def test_what_is_missing_is_counted_and_its_first_hour_told() -> None:
    hours: list[float | None] = [10.0] * (5 * WEEK)
    for place in (WEEK + 4, WEEK + 5, 3 * WEEK + 50):
        hours[place] = None
    found = stability(demand(hours), LIMIT).missing
    assert found == Missing(5, 2, 3, 0, 0, 2, datetime(2026, 6, 8, 4), 0)
    assert found.sentences() == [
        "2 of 5 weeks are not full: 3 hours are missing, the first 2026-06-08 04:00; a week counts only with all its "
        "168 hours."
    ]
    some = stability(demand(hours), LIMIT, missing=1).missing
    assert some == Missing(5, 1, 2, 1, 1, 2, datetime(2026, 6, 8, 4), 1)
    assert stability(demand(hours), LIMIT, last_days=7).missing is None
    assert stability(demand(hours[: 2 * WEEK], first=0), LIMIT).missing == Missing(2, 1, 2, 0, 0, 2, WEEK + 4, 0)


def test_hours_before_the_first_whole_week_are_no_week_that_lacks_some() -> None:
    late = demand([None, *[1.0] * (3 * WEEK)], first=datetime(2026, 6, 3, 5))
    assert stability(late, LIMIT).missing is None


def test_the_mean_of_a_week_that_lacks_hours_is_over_the_known_ones() -> None:
    hours: list[float | None] = [*[10.0] * WEEK, *[None] * 2, *[12.0] * (WEEK - 2), *[9.0] * WEEK]
    found = stability(demand(hours), LIMIT, missing=2)
    assert [mean for _, mean in found.means] == [10, 12, 9]
    assert (found.max_wow, found.mean_wow) == (Decimal("0.25"), (Decimal("0.2") + Decimal("0.25")) / 2)
    assert found.cv is not None
    assert abs(found.cv - (Decimal(7) / 3).sqrt() / (Decimal(31) / 3)) < Decimal("1e-20")
    assert stability(demand(hours), LIMIT, missing=1).max_wow is None


def test_a_missing_hour_a_week_waits_with_its_reason_and_commits_by_the_setting() -> None:
    (strict,) = plan([lacking(20)], [offer()], CommitmentSettings(), paths=200).pools
    assert strict.verdict.word == "wait"
    words = "4 of 4 weeks are not full: 4 hours are missing, the first 2026-09-21 04:00; a week counts only with"
    assert words in strict.verdict.because
    assert any("20 of 20 weeks are not full: 20 hours are missing" in reason for reason in strict.verdict.reasons)
    assert any("`week_missing_hours = 1` in [commitments]" in change for change in strict.verdict.changes)
    (lenient,) = plan([lacking(20)], [offer()], CommitmentSettings(week_missing_hours=1), paths=200).pools
    (whole,) = plan([steady(20)], [offer()], CommitmentSettings(), paths=200).pools
    assert lenient.verdict.word == "commit"
    assert any(
        "20 of 20 weeks count though 20 hours are missing" in reason and "week_missing_hours = 1" in reason
        for reason in lenient.verdict.reasons
    )
    best, full = lenient.verdict.best, whole.verdict.best
    assert best is not None
    assert full is not None
    assert best.nanos == full.nanos
    assert best.risk is not None
    assert full.risk is not None
    assert best.risk.p50 == pytest.approx(full.risk.p50, rel=0.01)
    told = pool_json(lenient)["stability"]["missing"]
    assert (told["not_full"], told["counted"], told["counted_hours"], told["allowed"]) == (0, 20, 20, 1)
    assert pool_json(strict)["stability"]["missing"]["first"] == "2026-06-01T04:00:00Z"
    assert pool_json(whole)["stability"]["missing"] is None


def test_missing_hours_of_weeks_that_count_are_days_of_production() -> None:
    (strict,) = plan([lacking(9, 16)], [offer()], CommitmentSettings(), paths=200).pools
    assert strict.evidence.days == 9 * 152 // 24
    said = "57 days of production, without 144 hours of which nothing is known"
    assert any(said in one for one in strict.verdict.reasons)
    settings = CommitmentSettings(week_missing_hours=42)
    (lenient,) = plan([lacking(9, 42)], [offer()], settings, paths=200).pools
    assert lenient.evidence.days == 63
    assert lenient.evidence.last_week is not None  # under 90 % of its hours are known
    assert lenient.verdict.word == "commit"


def test_a_week_without_its_nights_keeps_the_swing_of_the_known_hours() -> None:
    whole = [150.0 if hour % 24 >= 12 else 50.0 for hour in range(20 * WEEK)]
    gaps = [None if place % WEEK < 24 else one for place, one in enumerate(whole)]
    found, full = draw(demand(gaps), 4, 50, (), missing=24), draw(demand(whole), 4, 50, ())
    assert found is not None
    assert full is not None
    assert np.allclose(found.profile, full.profile)
    assert np.allclose(found.level, full.level)
    assert draw(demand(gaps), 4, 50, ()) is None


def test_without_futures_for_missing_weeks_there_is_no_commitment() -> None:
    gaps = [None if place // WEEK in (3, 6, 9, 12) and place % WEEK == 7 else 100.0 for place in range(15 * WEEK)]
    (known,) = plan([demand(gaps)], [offer()], CommitmentSettings(), paths=200).pools
    assert known.verdict.word == "commit"
    gaps = [
        None if place // WEEK % 2 and place // WEEK < 13 and place % 168 == 7 else 100.0 for place in range(15 * 168)
    ]
    (unknown,) = plan([demand(gaps)], [offer()], CommitmentSettings(), paths=200).pools
    assert unknown.verdict.word == "wait"
    assert "No futures can be simulated" in unknown.verdict.because
    (lenient,) = plan([demand(gaps)], [offer()], CommitmentSettings(week_missing_hours=1), paths=200).pools
    assert lenient.verdict.word == "commit"


@pytest.mark.parametrize("hours", [-1, 43])
def test_a_week_lacks_a_quarter_at_most(hours: int) -> None:
    with pytest.raises(ValueError, match="week_missing_hours"):
        CommitmentSettings(week_missing_hours=hours)
