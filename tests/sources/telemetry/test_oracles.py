"""Published figures of real fleets come out of the product's own arithmetic.

The public files are no telemetry as a system exports it (a distribution, an anonymised trace), so they are turned into
readings here; the hours are the product's.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from outlay.sources.facts import epoch
from outlay.sources.telemetry.rollup import Row, Rules, roll_up
from outlay.sources.telemetry.samples import METRICS, Holder, Part, Sample, Telemetry, micros, whole
from tests.shared import shared

START = datetime(2026, 10, 1)
UTIL, SM = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_SM_ACTIVE"
TENSOR = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
ZERO_ONLY = Decimal("0.000000001")  # idle is exactly 0
HOLDER = Holder("fleet")


def totals(rows: Iterator[Row]) -> tuple[Decimal, Decimal, Decimal]:
    """Allocated and seen, idle, and active hours."""
    seen = idle = active = 0
    for row in rows:
        seen += row.hours[0] + row.hours[1]
        idle += row.hours[1]
        active += row.active or 0
    return Decimal(seen), Decimal(idle), Decimal(active)


@pytest.mark.parametrize(
    ("file", "metric", "column", "mean", "at_zero"),
    [
        ("util_gpu_kalos_full_cdf.csv", UTIL, 0, "69.8", "26"),
        ("util_gpu_kalos_full_cdf.csv", SM, 4, "38.5", None),
        ("util_gpu_kalos_full_cdf.csv", TENSOR, 6, "11.7", None),
        ("util_gpu_seren_cdf.csv", UTIL, 0, "66.1", "31"),
        ("util_gpu_seren_cdf.csv", SM, 4, "41.5", None),
        ("util_gpu_seren_cdf.csv", TENSOR, 6, "12.6", None),
        ("util_gpu_kalos_cdf.csv", UTIL, 0, "62.0", "34"),
    ],
)
def test_utilisation_of_acme(file: str, metric: str, column: int, mean: str, at_zero: str | None) -> None:
    """Between two neighbours of the distribution's 1,000 points lies 1/999 of the time, at their mean."""
    telemetry = Telemetry()
    per_unit = 200 if metric != UTIL else 2  # profiling metrics are 0 to 1
    with shared(f"data/gpu_traces/acme/{file}").open(encoding="utf-8") as handle:
        points = [Decimal(row[column]) for row in list(csv.reader(handle))[1:]]
    for tick, (low, high) in enumerate(pairwise(points)):
        at = START + timedelta(seconds=36 * tick)
        telemetry.add(Sample(at, Part("acme"), HOLDER, metric, (low + high) / per_unit))
    rules = Rules(metric=metric, idle_below=ZERO_ONLY, last_stands_seconds=36)
    seen, idle, active = totals(roll_up(telemetry, rules))
    assert seen == 999 * 10**7
    assert round(100 * active / seen, 1) == Decimal(mean)
    if at_zero is not None:
        assert round(100 * idle / seen) == int(at_zero)


@pytest.fixture(scope="module")
def trace() -> Telemetry:
    """The serving trace's readings: a container stands for its card and for who holds it."""
    telemetry = Telemetry()
    path = shared("data/gpu_traces/alibaba_v2026_genai/pod_gpu_duty_cycle_anon.tar.gz")
    with tarfile.open(path) as archive:
        (member,) = archive.getmembers()
        content = archive.extractfile(member)
        assert content is not None
        for row in csv.DictReader(io.TextIOWrapper(content, encoding="utf-8")):
            at = epoch(row["timestamp_anon"])
            assert at is not None
            name = row["container_ip"]
            series = telemetry.series(Part(name), Holder(name), UTIL)
            series.times.append(micros(at))
            series.values.append(whole(METRICS[UTIL], row["value"]))
    return telemetry


def test_duty_cycle_of_a_serving_fleet(trace: Telemetry) -> None:
    """157,417 readings of 143 containers, a tick of 57 s each: duty cycle 7.03 %, two thirds of the time exactly 0."""
    assert sum(1 for _ in trace.cards()) == 143
    each_a_tick = Rules(idle_below=ZERO_ONLY, max_gap_seconds=57, last_stands_seconds=57)
    seen, idle, active = totals(roll_up(trace, each_a_tick))
    assert abs(seen - Decimal(157_417 * 57 * 10**9) / 3600) < 143 * 2
    assert round(100 * active / seen, 2) == Decimal("7.03")
    assert round(100 * idle / seen, 1) == Decimal("66.8")


def test_ticks_that_were_missed_are_not_idle(trace: Telemetry) -> None:
    """By the default rules a reading stands for up to three ticks; what is longer away was not seen."""
    rows = list(roll_up(trace, Rules()))
    unseen = sum(row.hours[2] for row in rows)
    seen, _, active = totals(iter(rows))
    assert 0 < unseen < seen / 100
    assert abs(100 * active / seen - Decimal("7.03")) < Decimal("0.15")
