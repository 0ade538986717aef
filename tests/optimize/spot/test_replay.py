"""A replay does what its rules say, second by second, keeps its deadline, and agrees with Daly where Daly holds."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.optimize.spot.availability import Capacity
from outlay.optimize.spot.checkpoint import Job, stretch
from outlay.optimize.spot.replay import Replay, even_starts, replay
from outlay.optimize.spot.trace_file import read_trace
from tests.optimize.spot.traces import FIXTURES, trace_of, walk
from tests.shared import shared

_HOUR = 3600.0
_TEN_HOURS = Job(10 * _HOUR, 0.5 * _HOUR, 1 * _HOUR)


def by_hand(start: float, deadline: float | None = None) -> tuple[float, ...]:
    """Hours of wall time, spot, on-demand and lost work, and interruptions, of ten hours of work saved every four."""
    run = replay(
        read_trace(FIXTURES / "changes.csv").capacity(1),
        _TEN_HOURS,
        4 * _HOUR,
        np.array([start * _HOUR]),
        deadline=None if deadline is None else deadline * _HOUR,
    )
    hours = [round(float(one[0]) / _HOUR, 6) for one in (run.wall, run.spot, run.on_demand, run.lost)]
    return (*hours, int(run.interruptions[0]))


def test_a_job_by_hand() -> None:
    """Up 0-6.5, 7-22 and 25-36 h: four hours saved at 4.5, two lost at 6.5; back at 8, saved at 12.5, done at 15."""
    assert by_hand(0) == (15, 14.5, 0, 2, 1)


def test_waiting_is_not_billed_and_the_end_joins_the_beginning() -> None:
    """From 23 h it waits until 25, and goes on over the end at 36 h as if nothing had happened there."""
    assert by_hand(23) == (13.5, 11.5, 0, 0, 0)


@pytest.mark.parametrize(
    ("deadline", "expected"),
    [
        (20, (15, 14.5, 0, 2, 1)),  # spot makes it
        (17, (17, 9.5, 7, 4, 1)),  # at 10 h, six hours of work and a restore just fit
        (14, (14, 3, 11, 3, 0)),  # at 3 h nothing is saved yet
        (10, (10, 0, 10, 0, 0)),  # no slack: on-demand from the start, with nothing to restore
    ],
)
def test_the_safety_net_by_hand(deadline: float, expected: tuple[float, ...]) -> None:
    assert by_hand(0, deadline) == expected


@given(
    counts=st.lists(st.integers(0, 2), min_size=1, max_size=25),
    gap=st.integers(1, 6),
    needed=st.integers(1, 2),
    job=st.builds(Job, st.integers(1, 30), st.integers(0, 4), st.integers(0, 5)),
    interval=st.integers(1, 12),
    where=st.integers(0, 10_000),
    slack=st.none() | st.integers(0, 90),
)
def test_it_is_what_walking_second_by_second_gives(
    *, counts: list[int], gap: int, needed: int, job: Job, interval: int, where: int, slack: int | None
) -> None:
    up = [count >= needed for count in counts for _ in range(gap)]
    start, deadline = where % len(up), None if slack is None else job.work + slack
    expected = walk(up, job, interval, start, deadline)

    capacity = trace_of(counts, gap).capacity(needed)
    found = replay(capacity, job, interval, np.array([float(start)]), deadline=deadline)

    assert (found.wall[0], found.spot[0]) == pytest.approx((expected.wall, expected.spot))
    if math.isfinite(expected.wall):
        assert (found.on_demand[0], found.lost[0]) == pytest.approx((expected.on_demand, expected.lost))
        assert found.interruptions[0] == expected.interruptions
    assert bool(found.switched[0]) is bool(expected.on_demand)


def exponential_capacity(mtbf: float, spells: int) -> Capacity:
    chance = np.random.default_rng(11)
    lengths, away = chance.exponential(mtbf, spells), chance.exponential(1800, spells)
    ends = np.cumsum(lengths + away)
    return Capacity(ends - lengths, ends, float(ends[-1]) + 1)


def test_on_a_memoryless_trace_it_agrees_with_daly() -> None:
    capacity = exponential_capacity(6 * _HOUR, 20_000)
    job = Job(200 * _HOUR, 300, 600)
    run = replay(capacity, job, 3600, even_starts(capacity, 2000))

    assert run.unfinished == 0
    assert float(run.spot.mean()) / job.work == pytest.approx(stretch(3600, 300, 600, 6 * _HOUR), rel=0.01)


def test_every_start_keeps_its_deadline() -> None:
    capacity = read_trace(FIXTURES / "zone-a.json").capacity(1)
    job = Job(40 * _HOUR, 300, 600)
    for hours in (40, 41, 50, 60, 80):
        run = replay(capacity, job, 1800, even_starts(capacity, 500), deadline=hours * _HOUR)
        assert run.wall.max() <= hours * _HOUR + 1e-3
        assert np.array_equal(run.switched, run.on_demand > 0)


def test_what_can_not_save_anything_never_ends() -> None:
    """A piece of four minutes in spells of three; one that lasts longer is found on the way round."""
    never = replay(trace_of([1, 1, 1, 0], 60).capacity(1), Job(600, 0, 0), 240, np.arange(240.0))
    assert never.unfinished == 240
    assert np.isinf(never.spot).all()
    ends = replay(trace_of([1, 1, 1, 0, 1, 1, 1, 1, 0], 60).capacity(1), Job(600, 0, 0), 240, np.arange(540.0))
    assert ends.unfinished == 0


def test_capacity_that_never_comes() -> None:
    none = trace_of([0, 1, 0], 60).capacity(2)
    assert replay(none, Job(600, 10, 10), 60, np.arange(3.0)).unfinished == 3

    kept: Replay = replay(none, Job(600, 10, 10), 60, np.arange(3.0), deadline=900)
    assert kept.wall.tolist() == [890, 890, 890]  # a restore is kept free, and not needed: nothing ever ran
    assert kept.on_demand.tolist() == [600, 600, 600]


def test_a_trace_that_is_always_up_interrupts_nobody() -> None:
    capacity = read_trace(FIXTURES / "zone-b.json").capacity(1)
    run = replay(capacity, Job(100 * _HOUR, 300, 600), 3600, even_starts(capacity, 10))

    assert not run.interruptions.any()
    assert run.wall.tolist() == pytest.approx([100 * _HOUR + 100 * 300] * 10)
    assert run.wrapped.all()


def test_a_thousand_starts_on_a_real_trace_take_no_time() -> None:
    file = shared("data/gpu_traces/aws_spot_traces/availability/1-node/aws-02-15-2023/us-east-1a_v100_1.json")
    capacity = read_trace(file).capacity(1)
    began = time.perf_counter()
    run = replay(capacity, Job(200 * _HOUR, 300, 600), 1090, even_starts(capacity, 1000))

    assert run.unfinished == 0
    assert time.perf_counter() - began < 2
