"""The verdict is the break-even's, unknown prices give none, and words and documents say what was found."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.optimize.spot.checkpoint import LONGEST, Job, best_interval, stretch
from outlay.optimize.spot.document import document
from outlay.optimize.spot.estimate import FACTORS, Estimate, of_rate, of_trace
from outlay.optimize.spot.replay import even_starts, replay
from outlay.optimize.spot.terms import Terms
from outlay.optimize.spot.trace_file import read_trace, read_traces
from outlay.optimize.spot.wording import sentences, span, verdict_line
from tests.optimize.spot.traces import FIXTURES, trace_of
from tests.shared import shared

_HOUR = 3600.0
_JOB = Job(200 * _HOUR, 300, 600)
_FOUR = Decimal("4.00")


def terms(**other: Any) -> Terms:
    return Terms(**{"job": _JOB, "on_demand": _FOUR, "spot": Decimal("1.60"), "gpus": 8, "starts": 200, **other})


def said(one: Estimate) -> str:
    return " ".join([verdict_line(one), *sentences(one)])


def test_from_a_rate_by_hand() -> None:
    """1.1873 e^(1/36) = 1.2207 hours billed for an hour of work: 200 x 8 x 1.60 x 1.2207 = 3,125.09."""
    one = of_rate(terms(interval=3600.0), 6 * _HOUR)

    assert one.formula is not None
    assert one.formula.stretch == pytest.approx(1.2207, abs=5e-5)
    assert one.verdict == "spot"
    assert one.terms.on_demand_cost == 6400
    assert round(one.cost or 0) == 3125
    assert one.break_even_ratio == pytest.approx(1 / 1.2207, abs=5e-5)


@given(st.decimals("0.01", "8", places=2), st.floats(0.5, 500))
def test_spot_wins_if_and_only_if_its_price_is_below_break_even(spot: Decimal, hours: float) -> None:
    one = of_rate(terms(spot=spot), hours * _HOUR)

    assert one.cost is not None or one.verdict == "on-demand"
    if one.cost is not None:
        assert (one.verdict == "spot") == (one.cost < 6400)
        assert (one.verdict == "spot") == (float(spot) / 4 < (one.break_even_ratio or 0))
    if one.mtbf_needed is not None:
        assert (one.verdict == "spot") == (hours * _HOUR > one.mtbf_needed)


def test_the_cost_of_a_trace_is_its_replays() -> None:
    trace = read_trace(FIXTURES / "zone-a.json")
    one = of_trace(terms(interval=1800.0), trace)
    capacity = trace.capacity(1)
    run = replay(capacity, _JOB, 1800, even_starts(capacity, 200))

    assert one.replay is not None
    assert float(one.cost or 0) == pytest.approx(float(run.spot.mean()) / 3600 * 8 * 1.6, rel=1e-6)
    assert one.replay.stretch.p50 in (run.spot / _JOB.work).tolist()
    assert one.replay.cheaper == int((run.spot / 3600 * 8 * 1.6 < 6400).sum())
    assert one.break_even_ratio == pytest.approx(_JOB.work / float(run.spot.mean()))


def test_the_deadline_adds_on_demand_to_the_cost() -> None:
    trace = read_trace(FIXTURES / "zone-a.json")
    one = of_trace(terms(interval=1800.0, deadline=210 * _HOUR), trace)
    run = replay(trace.capacity(1), _JOB, 1800, even_starts(trace.capacity(1), 200), deadline=210 * _HOUR)

    assert one.net is not None
    assert one.net.in_time == 200
    assert one.net.switched == int(run.switched.sum()) > 0
    expected = (run.spot * 1.6 + run.on_demand * 4).mean() / 3600 * 8
    assert float(one.cost or 0) == pytest.approx(float(expected), rel=1e-6)
    assert "go over to on-demand" in said(one)


@pytest.mark.parametrize(
    ("missing", "needs"),
    [
        ({"spot": None}, ["--spot"]),
        ({"on_demand": None}, ["--on-demand"]),
        ({"spot": None, "on_demand": None}, ["--spot", "--on-demand"]),
    ],
)
def test_an_unknown_price_gives_no_verdict_and_says_what_to_give(missing: dict[str, None], needs: list[str]) -> None:
    for one in (of_rate(terms(**missing), 6 * _HOUR), of_trace(terms(**missing), read_trace(FIXTURES / "zone-a.json"))):
        shown = document(one)
        assert (one.verdict, one.cost, one.mtbf_needed) == (None, None, None)
        assert all(option in (one.why or "") for option in needs)
        assert (shown["verdict"], shown["needs"], shown["cost"]) == (None, needs, None)
        assert one.break_even_ratio is not None, "what is known without prices is said"
        assert verdict_line(one).startswith("No verdict: ")
        assert ("USD" in said(one)) is (missing.keys() == {"spot"}), "the price to beat, where on-demand is known"


def test_no_drop_seen_is_not_no_drop_to_come() -> None:
    """48 h up exclude one every 16.0 h at most; the formula then wants a ratio below 0.89, the replay below 0.94."""
    trace = read_trace(FIXTURES / "zone-b.json")
    cheap, close, dear = (of_trace(terms(spot=Decimal(price)), trace) for price in ("1.60", "3.65", "3.90"))

    assert cheap.formula is not None
    assert (cheap.formula.is_bound, round(cheap.formula.mtbf / _HOUR, 2)) == (True, 16.02)
    assert (cheap.verdict, close.verdict, dear.verdict) == ("spot", None, "on-demand")
    assert "too short to exclude one every 16.0 h" in (close.why or "")
    assert "no interruption in 48.0 h up" in said(cheap)
    assert cheap.replay is not None
    assert cheap.replay.interruptions == 0


def test_capacity_that_is_never_enough() -> None:
    one = of_trace(terms(instances=5), read_trace(FIXTURES / "machines.json"))

    assert one.verdict == "on-demand"
    assert "never has 5 instances up at once" in verdict_line(one)
    assert (one.formula, one.replay, document(one)["basis"]) == (None, None, None)


def test_a_job_that_never_ends_on_spot() -> None:
    one = of_trace(terms(job=Job(90 * _HOUR, 300, 90 * _HOUR)), read_trace(FIXTURES / "zone-a.json"))

    assert (one.verdict, one.cost, one.break_even_ratio) == ("on-demand", None, None)
    assert "never ends" in said(one)
    free = of_trace(terms(job=one.terms.job, spot=Decimal(0)), read_trace(FIXTURES / "zone-a.json"))
    assert (free.verdict, free.cost) == ("on-demand", None)
    assert "NaN" not in json.dumps(document(one))
    assert "Infinity" not in json.dumps(document(one))


def test_the_curve_is_the_formula_around_the_best_interval() -> None:
    one = of_trace(terms(), read_trace(FIXTURES / "zone-a.json"))

    assert [point.factor for point in one.curve] == list(FACTORS)
    assert one.formula is not None
    assert one.intervals is not None
    for point in one.curve:
        assert point.interval == pytest.approx(point.factor * (one.intervals.best or 0))
        assert point.formula == stretch(point.interval, 300, 600, one.formula.mtbf)
        assert point.formula >= one.formula.stretch
        assert point.replay is not None


def test_an_interval_is_never_longer_than_the_work() -> None:
    short = Job(_HOUR, 300, 600)
    one = of_rate(terms(job=short, interval=9999.0), 50 * _HOUR)

    assert one.intervals is not None
    assert (one.intervals.used, one.intervals.best) == (3600, 3600)
    assert max(point.interval for point in one.curve) == 3600


def test_memory_is_told() -> None:
    lengths = np.tile([1, 1, 1, 1, 40], 8)
    counts = [0] + [count for length in lengths.tolist() for count in (*[1] * length, 0)]
    one = of_trace(terms(job=Job(4 * _HOUR, 30, 30)), trace_of(counts, 600))

    assert document(one)["trace"]["memoryless"] is False  # type: ignore[index]
    assert "not memoryless" in said(one)


def test_an_estimate_of_a_real_trace_stands_beside_the_formula() -> None:
    file = shared("data/gpu_traces/aws_spot_traces/availability/1-node/aws-02-15-2023/us-west-2b_v100_1.json")
    one = of_trace(terms(starts=1000), read_trace(file))

    assert one.formula is not None
    assert one.replay is not None
    assert (round(one.formula.stretch, 2), round(one.replay.stretch.mean, 2)) == (1.16, 1.13)
    assert "1.16x its hours of work; by the replay of 1,000 starts 1.13x (p10 1.09x, p90 1.19x)" in said(one)


def test_formula_and_replay_over_all_real_traces() -> None:
    """What docs/reference/spot.md says of them."""
    ratios, memoryless = [], []
    for trace in read_traces(sorted(shared("data/gpu_traces/aws_spot_traces").rglob("*.json"))):
        capacity = trace.capacity(1)
        memoryless.append(capacity.memoryless())
        if capacity.mtbf is not None:
            interval = best_interval(_JOB.save, capacity.mtbf)
            run = replay(capacity, _JOB, interval, even_starts(capacity, 1000))
            ratios.append(
                float(run.spot.mean()) / _JOB.work / stretch(interval, _JOB.save, _JOB.restore, capacity.mtbf)
            )

    assert len(ratios) == 31
    assert (round(min(ratios), 2), round(max(ratios), 3)) == (0.89, 1.015)
    assert sum(ratio < 1 for ratio in ratios) == 29
    assert [memoryless.count(said) for said in (False, True, None)] == [29, 1, 4]


def test_without_time_for_saves_there_is_no_best_interval() -> None:
    one = of_rate(terms(job=Job(200 * _HOUR, 0, 600), interval=_HOUR), 6 * _HOUR)
    assert one.intervals is not None
    assert (one.intervals.best, one.curve, one.verdict) == (None, (), "spot")
    with pytest.raises(UsageError, match="--save"):
        of_rate(terms(job=Job(200 * _HOUR, 0, 600)), 6 * _HOUR)


def test_a_rate_says_nothing_of_deadlines() -> None:
    with pytest.raises(UsageError, match="--deadline"):
        of_rate(terms(deadline=300 * _HOUR), 6 * _HOUR)


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"gpus": 0}, "--gpus"),
        ({"starts": 0}, "--starts"),
        ({"interval": 0.0}, "--interval"),
        ({"on_demand": Decimal(0)}, "--on-demand"),
        ({"on_demand": Decimal("-1")}, "--on-demand"),
        ({"spot": Decimal("-0.01")}, "--spot"),
        ({"spot": Decimal(1_000_000)}, "--spot"),
        ({"deadline": 199 * _HOUR}, "--deadline"),
        ({"deadline": LONGEST * 2}, "--deadline"),
    ],
)
def test_terms_that_can_not_be_are_refused(bad: dict[str, Any], where: str) -> None:
    with pytest.raises(UsageError) as error:
        terms(**bad)
    assert error.value.where == where


def test_the_largest_terms_can_still_be_shown() -> None:
    one = of_rate(
        terms(job=Job(LONGEST, 300, 600), gpus=1_000_000, on_demand=Decimal("999999.99"), spot=Decimal("999999.98")),
        600.0,
    )

    assert document(one)["cost"] is not None
    assert said(one)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.5, "0.5 s"), (300, "300 s"), (600, "10 min"), (5399, "90 min"), (5400, "1.5 h"), (None, "no end")],
)
def test_times_are_said_as_people_say_them(seconds: float | None, shown: str) -> None:
    assert span(seconds) == shown
