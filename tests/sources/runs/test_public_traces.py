"""The published GPU time by outcome of the Acme and openb traces comes out of their own files."""

from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.problems import Problem
from outlay.sources.facts import FactReader
from outlay.sources.runs.acme_summary import AcmeSummaryReader
from outlay.sources.runs.openb_pods import OpenbPodsReader
from tests.shared import shared
from tests.sources.runs.reading import FIXTURES, read, rows, survives

OPENB = FIXTURES / "openb_pods" / "pods.csv"
ACME = FIXTURES / "acme_summary" / "cluster_summary.csv"


def hours_by(reader: FactReader, path: Path, column: str) -> dict[tuple[Any, Any], Decimal]:
    found: dict[tuple[Any, Any], Decimal] = defaultdict(Decimal)
    for fact in rows(reader, path):
        hours = fact.values.get("x_GpuHours", Decimal(0))
        assert isinstance(hours, Decimal)
        found[fact.values.get(column), fact.values["x_Outcome"]] += hours
    return found


def test_acme_cancelled_jobs_take_more_gpu_time_than_failed_ones() -> None:
    hours = hours_by(AcmeSummaryReader(), shared("data/gpu_traces/acme/cluster_summary.csv"), "x_Experiment")
    shares = {}
    for cluster in ("Seren", "Kalos"):
        total = sum(value for (of, _), value in hours.items() if of == cluster)
        for outcome in ("succeeded", "cancelled", "failed"):
            share = 100 * hours[cluster, outcome] / total
            shares[cluster, outcome] = str(share.quantize(Decimal("0.1"), ROUND_HALF_UP))
    assert shares == {
        ("Seren", "succeeded"): "21.2",
        ("Seren", "cancelled"): "66.4",
        ("Seren", "failed"): "12.4",
        ("Kalos", "succeeded"): "31.3",
        ("Kalos", "cancelled"): "60.7",
        ("Kalos", "failed"): "8.0",
    }
    assert round(sum(value for (of, _), value in hours.items() if of == "Seren")) == 5_975_173
    assert round(sum(value for (of, _), value in hours.items() if of == "Kalos")) == 1_481_439


def test_openb_gpu_hours_by_phase() -> None:
    path = shared("data/gpu_traces/alibaba_v2023_openb/openb_pod_list_default.csv")
    reader = OpenbPodsReader()
    count: dict[Any, int] = defaultdict(int)
    hours: dict[Any, Decimal] = defaultdict(Decimal)
    for fact in rows(reader, path):
        outcome = fact.values["x_Outcome"]
        count[outcome] += 1
        told = fact.values.get("x_GpuHours", Decimal(0))
        assert isinstance(told, Decimal)
        hours[outcome] += told
    assert count == {"running": 5193, "succeeded": 192, "failed": 1870, "pending": 897}
    assert {key: str(round(value, 1)) for key, value in hours.items()} == {
        "running": "46439.9",
        "succeeded": "4094.8",
        "failed": "936.0",
        "pending": "0.0",
    }
    assert str(round(sum(hours.values()), 1)) == "51470.7"


def test_a_shared_gpu_counts_as_its_share() -> None:
    found = {fact.identity: fact.values for fact in rows(OpenbPodsReader(), OPENB)}
    shared_gpu = found["pod-shared#1"]
    assert shared_gpu["x_GpuCount"] == Decimal("0.46")
    assert shared_gpu["x_GpuHours"] == Decimal("0.92")  # 0.46 GPU x 7200 s
    assert shared_gpu["x_GpuType"] == "V100-32GB"
    whole = found["pod-whole#1"]
    assert (whole["x_GpuCount"], whole["x_GpuHours"]) == (Decimal(8), Decimal(8))
    assert "x_GpuType" not in whole  # either of two would do
    assert found["pod-cpu#1"]["x_GpuHours"] == Decimal(0)
    assert "x_GpuHours" not in found["pod-waits#1"]
    assert "end_time" not in found["pod-runs#1"]
    assert found["pod-runs#1"]["x_GpuHours"] == Decimal(2)


def test_bad_rows_are_problems() -> None:
    found = read(OpenbPodsReader(), FIXTURES / "openb_pods" / "bad.csv")
    assert [(one.line, one.code) for one in found if isinstance(one, Problem)] == [
        (2, "missing-identity"),
        (3, "unparsable-amount"),
        (4, "period-reversed"),
        (5, "unparsable-time"),
        (6, "negative-quantity"),
        (7, "ragged-row"),
    ]
    assert len(found) == 7


def test_an_aggregate_says_that_it_is_one() -> None:
    facts = rows(AcmeSummaryReader(), ACME)
    assert [fact.values["x_RunId"] for fact in facts] == ["Tiny/complete", "Tiny/cancel", "Tiny/fail"]
    assert all(fact.values["x_Reason"] == "an aggregate: not one run" for fact in facts)
    assert all("x_GpuCount" not in fact.values for fact in facts)
    assert [fact.values["x_GpuHours"] for fact in facts] == [Decimal(1), Decimal(2), Decimal("0.5")]


@pytest.mark.parametrize(("reader", "path"), [(OpenbPodsReader(), OPENB), (AcmeSummaryReader(), ACME)])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_cell_crashes_the_readers(reader: FactReader, path: Path, tmp_path: Path, data: st.DataObject) -> None:
    lines = [line.split(",") for line in path.read_text().splitlines()]
    row, column = data.draw(st.integers(1, len(lines) - 1)), data.draw(st.integers(0, len(lines[0]) - 1))
    lines[row][column] = data.draw(st.sampled_from(["-1", "NaN", "1e99", "inf", "", "x", "9" * 40, "è", "1e-30", "|"]))
    mutated = tmp_path / "mutated.csv"
    mutated.write_text("\n".join(",".join(line) for line in lines) + "\n")
    survives(reader, mutated)
