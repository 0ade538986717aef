"""The formulas give the published values, the best interval is the best one, and chance agrees with Daly."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.optimize.spot.checkpoint import (
    LONGEST,
    MOST_STRETCH,
    Job,
    availability_optimal,
    best_interval,
    first_order_overhead,
    shortest_mtbf,
    stretch,
    young,
)
from tests.shared import shared

_HOUR = 3600.0
_SAVES = st.floats(0.1, 3600)
_MTBFS = st.floats(600, 1e8)


def test_golden_values() -> None:
    golden = json.loads(shared("goldens/commitments.json").read_text(encoding="utf-8"))["spot"]
    save, mtbf = golden["checkpoint_save_s"], golden["mtbf_h"] * _HOUR

    assert young(save, mtbf) == golden["young_interval_s"]
    assert round(first_order_overhead(3600, save, mtbf), 4) == golden["first_order_overhead"]


def test_values_for_300_s_and_6_h() -> None:
    assert round(availability_optimal(300, 0, 6 * _HOUR)) == 3912
    assert round(stretch(3600, 300, 0, 6 * _HOUR), 4) == 1.1873


def test_daly_is_what_chance_gives() -> None:
    """A piece of 3,900 s, begun anew at each failure after a restore that may fail too."""
    chance, mtbf, restore, pieces = random.Random(1), 6 * _HOUR, 1800.0, 100_000
    up = 0.0
    for _ in range(pieces):
        needed, failed = 3900.0, chance.expovariate(1 / mtbf)
        while failed < needed:
            up += failed
            needed, failed = restore + 3900.0, chance.expovariate(1 / mtbf)
        up += needed

    assert up / (pieces * 3600) == pytest.approx(stretch(3600, 300, restore, mtbf), rel=0.005)


@given(_SAVES, st.floats(0, 3600), _MTBFS)
def test_no_other_interval_is_better_than_the_best(save: float, restore: float, mtbf: float) -> None:
    best = best_interval(save, mtbf)
    least = stretch(best, save, restore, mtbf)

    assert 0 < best <= mtbf
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2):
        assert least <= stretch(best * factor, save, restore, mtbf) * (1 + 1e-12)


def test_the_best_interval_nears_young_for_short_saves() -> None:
    for share in (1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 1e-14):
        assert best_interval(share, 1.0) == pytest.approx(young(share, 1.0), rel=math.sqrt(share) + 1e-5)


def test_a_save_of_no_time_has_no_best_interval() -> None:
    with pytest.raises(UsageError, match="--interval"):
        best_interval(0, 3600)


@given(st.floats(1.05, 50), _SAVES, st.floats(0, 3600))
def test_at_the_shortest_mtbf_spot_and_on_demand_cost_the_same(most: float, save: float, restore: float) -> None:
    job = Job(1e9, save, restore)
    found = shortest_mtbf(most, job, None)

    assert found is not None
    assert stretch(best_interval(save, found), save, restore, found) == pytest.approx(most, rel=1e-4)


def test_saving_too_often_can_lose_at_any_rate() -> None:
    assert shortest_mtbf(1.5, Job(1e6, 300, 0), 300.0) is None
    assert shortest_mtbf(2.5, Job(1e6, 300, 0), 300.0) is not None


def test_a_hopeless_job_never_ends() -> None:
    assert math.isinf(stretch(1e9, 300, 0, 1.0))
    assert math.isinf(stretch(3600, 300, 16 * _HOUR, _HOUR))
    assert stretch(3600, 300, 10 * _HOUR, _HOUR) < MOST_STRETCH


@pytest.mark.parametrize(
    "times", [(0, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, math.nan), (math.inf, 1, 1), (LONGEST * 2, 1, 1)]
)
def test_times_that_can_not_be_are_refused(times: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="can't be used"):
        Job(*times)
