"""Availability, drops and spells are those of the reference's table, and memory in a trace is found."""

from __future__ import annotations

import numpy as np
import pytest

from outlay.errors import UsageError
from outlay.optimize.spot.availability import Capacity, Trace
from outlay.optimize.spot.trace_file import read_trace, read_traces
from tests.optimize.spot.traces import FIXTURES
from tests.shared import shared

_HOUR = 3600.0
_TRACES = "data/gpu_traces/aws_spot_traces"


def capacity_of(spells: np.ndarray, away: float = 60.0) -> Capacity:
    """Spells one after the other, none cut off."""
    starts = away + np.concatenate([[0.0], np.cumsum(spells[:-1] + away)])
    return Capacity(starts, starts + spells, float(starts[-1] + spells[-1] + away))


@pytest.mark.parametrize(
    ("zone", "availability", "drops", "hours"),
    [
        ("us-east-1a", 16.7, 253, 0.72),
        ("us-east-1d", 44.7, 293, 1.67),
        ("us-east-1c", 46.7, 343, 1.49),
        ("us-east-1f", 59.1, 285, 2.26),
        ("us-east-2b", 68.2, 174, 4.28),
        ("us-east-2a", 75.9, 145, 5.72),
        ("us-west-2a", 88.3, 158, 6.10),
        ("us-west-2c", 89.1, 142, 6.85),
        ("us-west-2b", 90.5, 94, 10.51),
    ],
)
def test_the_table_of_real_traces(zone: str, availability: float, drops: int, hours: float) -> None:
    trace = read_trace(shared(f"{_TRACES}/availability/1-node/aws-02-15-2023/{zone}_v100_1.json"))
    found = trace.capacity(1)

    assert found.mtbf is not None
    assert round(found.length / 86400, 1) == 45.5
    assert 100 * found.availability == pytest.approx(availability, abs=0.0501)
    assert (found.drops, round(found.mtbf / _HOUR, 2)) == (drops, hours)


def test_sets_of_real_traces() -> None:
    sixteen = read_traces([shared(f"{_TRACES}/availability/16-node/aws-08-27-2023")])
    assert {trace.most for trace in sixteen} == {16}
    shares = sorted(trace.mean / 16 for trace in sixteen)
    assert (round(100 * shares[0], 1), round(100 * shares[-1], 1)) == (42.7, 54.7)
    old = [one.capacity(1) for one in read_traces([shared(f"{_TRACES}/availability/1-node/aws-10-26-2022")])]
    assert sorted(round(one.availability, 3) for one in old)[:: len(old) - 1] == [0.117, 0.893]
    assert sorted(round((one.mtbf or 0) / _HOUR, 2) for one in old)[:: len(old) - 1] == [0.76, 4.39]


def test_real_traces_without_a_drop() -> None:
    found = {one.name: one for one in read_traces([shared(f"{_TRACES}/preemption/1-node/gcp-04-30-2023")])}
    drops = {name: trace.capacity(1).drops for name, trace in found.items()}

    assert sorted(drops.values()) == [0, 0, 0, 3]
    assert drops["us-east1-b_c3-88"] == 3


def test_a_rate_that_was_not_seen_is_bounded() -> None:
    """The rule of three: 48 h up without a drop exclude a mean below 16 h at 95%."""
    found = read_trace(FIXTURES / "zone-b.json").capacity(1)

    assert (found.drops, found.mtbf, found.availability) == (0, None, 1.0)
    assert found.mtbf_at_least == pytest.approx(48 * _HOUR / 2.9957, rel=1e-4)
    assert found.exponential() is None
    assert (found.quantiles(), found.memoryless()) == (None, None)


def test_spells_by_hand() -> None:
    trace = read_trace(FIXTURES / "changes.csv")
    one, two = trace.capacity(1), trace.capacity(2)

    assert (one.starts / _HOUR).tolist() == [0, 7, 25]
    assert (one.ends / _HOUR).tolist() == [6.5, 22, 36]
    assert (one.up / _HOUR, one.drops, one.spells.tolist()) == (32.5, 2, [15 * _HOUR])
    assert two.starts[1] == 7 * _HOUR + 600
    assert trace.capacity(3).up == 0
    assert trace.capacity(3).mtbf_at_least is None
    assert trace.mean == pytest.approx((2 * 32.5 - 1 / 6) / 36)


def test_no_instance_at_all_is_no_job() -> None:
    with pytest.raises(UsageError, match="--instances"):
        read_trace(FIXTURES / "zone-a.json").capacity(0)


def test_memory_is_seen_and_none_is_not_invented() -> None:
    chance = np.random.default_rng(3)
    assert capacity_of(chance.exponential(7200, 200)).memoryless() is True
    assert capacity_of(np.full(200, 7200.0)).memoryless() is False
    mixed = np.concatenate([chance.exponential(600, 100), chance.exponential(36_000, 100)])
    assert capacity_of(mixed).memoryless() is False


def test_the_test_is_wrong_in_one_of_twenty() -> None:
    """Of 400 samples of 50 exponential spells, 5% are taken for something else; 8.3% would be three errors off."""
    chance = np.random.default_rng(5)
    wrong = sum(capacity_of(chance.exponential(3600, 50)).memoryless() is False for _ in range(400))

    assert 8 <= wrong <= 33


def test_quantiles_are_observed_lengths() -> None:
    found = capacity_of(np.arange(1.0, 21.0) * 60)

    assert found.quantiles() == (120, 300, 600, 900, 1080)
    fit = found.exponential((0.5,))
    assert fit is not None
    assert fit[0] == pytest.approx(630 * 0.6931, rel=1e-4)


def test_a_trace_keeps_its_invariants() -> None:
    with pytest.raises(AssertionError):
        Trace("x", np.array([0.0, 0.0]), np.array([1, 1]), 5.0, "x")
