"""CloudWatch's period averages of nvidia_smi metrics become hours of rented cards whose holder nobody told."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.sources.fact_file import open_facts
from outlay.sources.telemetry.cloudwatch_agent import CloudWatchGpuReader
from tests.sources.telemetry.reading import FIXTURES, by, read

GOOD = "nvidia_smi_utilization_gpu|i-0|0|NVIDIA L4|60"


def answer(folder: Path, label: str, times: list[object], values: list[object]) -> Path:
    path = folder / "metrics.json"
    result = {"Id": "m", "Label": label, "Timestamps": times, "Values": values, "StatusCode": "Complete"}
    path.write_text(json.dumps({"MetricDataResults": [result], "Messages": []}), encoding="utf-8")
    return path


def test_an_hour_of_two_cards() -> None:
    """Twelve averages of five minutes, newest first: the last one stands for its own five minutes too."""
    facts, problems = read(CloudWatchGpuReader(), FIXTURES / "cloudwatch_gpu.json")
    assert problems == []
    rows = by(facts, "x_GpuIndex")
    assert {key: rows[0][key] for key in rows[0].keys() - {"x_Samples"}} == {
        "start_time": datetime(2026, 10, 1, 10),
        "end_time": datetime(2026, 10, 1, 11),
        "x_GpuId": "i-0123456789abcdef0/0",
        "x_Card": "i-0123456789abcdef0/0",
        "x_GpuShare": Decimal(1),
        "x_Host": "i-0123456789abcdef0",
        "x_GpuIndex": 0,
        "x_GpuType": "A10G",
        "x_GpuName": "NVIDIA A10G",
        "x_AllocatedHours": Decimal(1),
        "x_BusyHours": Decimal("0.5"),
        "x_IdleHours": Decimal("0.5"),
        "x_NoTelemetryHours": Decimal(0),
        "x_UnallocatedHours": Decimal(0),
        "x_ActiveHours": Decimal("0.4025"),
        "x_UtilizationMetric": "nvidia_smi_utilization_gpu",
        "x_IdleBelow": Decimal("0.05"),
        "x_MemoryUsedGibHours": Decimal(2),
        "x_EnergyKwh": Decimal("0.14"),
        "x_Remarks": "holder not told",
    }
    assert rows[1]["x_IdleHours"] == 1
    assert "x_EnergyKwh" not in rows[1]


@pytest.mark.parametrize("label", ["nvidia_smi_utilization_gpu", "nvidia_smi_utilization_gpu|i-0||NVIDIA L4|60"])
def test_a_label_without_its_dimensions_names_no_card(tmp_path: Path, label: str) -> None:
    facts, problems = read(CloudWatchGpuReader(), answer(tmp_path, label, ["2026-10-01T10:00:00Z"], [5]))
    assert (facts, [one.code for one in problems]) == ([], ["missing-value"])


def test_values_that_are_none_are_counted(tmp_path: Path) -> None:
    times: list[object] = ["2026-10-01T10:00:00Z", "soon", "2026-10-01T10:02:00Z", 5, "2026-10-01T10:03:00Z"]
    facts, problems = read(CloudWatchGpuReader(), answer(tmp_path, GOOD, times, [50, 50, "50", 50]))
    assert [one.message for one in problems] == ["nvidia_smi_utilization_gpu: 4 values without a time, or no numbers"]
    (row,) = [fact.values for fact in facts]
    assert row["x_ActiveHours"] == Decimal("0.008333334")  # one minute at 50 %


def test_it_is_recognised_by_its_metrics(tmp_path: Path) -> None:
    assert CloudWatchGpuReader().recognises(open_facts(FIXTURES / "cloudwatch_gpu.json"))
    assert not CloudWatchGpuReader().recognises(open_facts(answer(tmp_path, "CPUUtilization", [], [])))
    assert not CloudWatchGpuReader().recognises(open_facts(FIXTURES / "prometheus.jsonl"))
