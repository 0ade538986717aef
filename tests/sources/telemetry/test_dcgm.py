"""Scrapes of DCGM exporter become hours by card and pod, whatever form their times have."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.sources.fact_file import open_facts
from outlay.sources.telemetry.dcgm import DcgmReader
from outlay.sources.telemetry.rollup import Rules
from tests.sources.telemetry.reading import FIXTURES, by, read

A, B = "GPU-6a1f3c52-0b7e-4c1d-9a53-1f0e2d3c4b5a", "GPU-7b2e4d63-1c8f-4d2e-8b64-2a1f3e4d5c6b"
C = "GPU-8c3f5e74-2d90-4e3f-9c75-3b2a4f5e6d7c"
LABELS = 'gpu="0",UUID="GPU-1",modelName="NVIDIA L4",Hostname="node-1"'


def scrapes(folder: Path, text: str) -> Path:
    path = folder / "scrapes.prom"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_hour_of_a_node() -> None:
    facts, problems = read(DcgmReader(), FIXTURES / "dcgm.prom")
    assert problems == []
    rows = by(facts, "x_GpuId", "x_Holder")
    train = rows[A, "train-0"]
    assert train == {
        "start_time": datetime(2026, 10, 1, 10),
        "end_time": datetime(2026, 10, 1, 11),
        "x_GpuId": A,
        "x_Card": A,
        "x_GpuShare": Decimal(1),
        "x_Host": "gpu-node-1",
        "x_GpuIndex": 0,
        "x_GpuType": "H100",
        "x_GpuName": "NVIDIA H100 80GB HBM3",
        "x_Holder": "train-0",
        "x_Namespace": "research",
        "x_AllocatedHours": Decimal(1),
        "x_BusyHours": Decimal("0.5"),
        "x_IdleHours": Decimal("0.5"),
        "x_NoTelemetryHours": Decimal(0),
        "x_UnallocatedHours": Decimal(0),
        "x_ActiveHours": Decimal("0.46"),
        "x_UtilizationMetric": "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "x_IdleBelow": Decimal("0.05"),
        "x_MemoryUsedGibHours": Decimal(70),
        "x_EnergyKwh": Decimal("0.375"),
        "x_Samples": 12,
    }
    assert rows[B, None]["x_UnallocatedHours"] == 1
    assert "x_ActiveHours" not in rows[B, None]
    chat = rows[f"MIG-{C}/1", "chat-0"]
    assert (chat["x_GpuShare"], chat["x_GpuType"]) == (Decimal("0.428571"), "A100-80GB")
    assert chat["x_BusyHours"] == Decimal("0.428571428")
    assert chat["x_ActiveHours"] == Decimal("0.214285714")
    assert chat["x_MemoryUsedGibHours"] == 30  # the instance's own
    assert chat["x_EnergyKwh"] == Decimal("0.09")  # 3/7 of 210 W
    assert rows[f"MIG-{C}/9", None]["x_UnallocatedHours"] == Decimal("0.142857143")
    assert rows[C, None]["x_UnallocatedHours"] == Decimal("0.428571429")


def test_another_metric_can_be_asked_for() -> None:
    asked = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
    facts, _ = read(DcgmReader(Rules(metric=asked)), FIXTURES / "dcgm.prom")
    train = by(facts, "x_GpuId", "x_Holder")[A, "train-0"]
    assert (train["x_ActiveHours"], train["x_UtilizationMetric"]) == (Decimal("0.15"), asked)


def test_loading_a_longer_file_replaces_and_the_next_file_adds(tmp_path: Path) -> None:
    lines = (FIXTURES / "dcgm.prom").read_text(encoding="utf-8").splitlines(keepends=True)
    marks = [number for number, line in enumerate(lines) if line.startswith("# scraped")]
    half = scrapes(tmp_path, "".join(lines[: marks[7]]))  # 10:00 to 10:30
    first, _ = read(DcgmReader(), half)
    whole, _ = read(DcgmReader(), FIXTURES / "dcgm.prom")
    assert {fact.identity for fact in first} == {fact.identity for fact in whole}
    rest, _ = read(DcgmReader(), scrapes(tmp_path, "".join(lines[marks[6] :])))
    assert not {fact.identity for fact in first} & {fact.identity for fact in rest}
    train = [fact.values for fact in (*first, *rest) if fact.values.get("x_Holder") == "train-0"]
    hours = sum(Decimal(str(values["x_AllocatedHours"])) for values in train)
    assert hours == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 50 1790848800000", f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 50 1790848860000"),
        (f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 50 1790848800", f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 5e1 1790848860.000"),
        (
            f"# 2026-10-01T10:00:00Z\nDCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 50",
            f"#2026-10-01T12:01:00+02:00\nDCGM_FI_DEV_GPU_UTIL{{{LABELS}, }} 50.0",
        ),
    ],
    ids=["milliseconds", "OpenMetrics seconds", "comments"],
)
def test_times_have_three_forms(tmp_path: Path, first: str, second: str) -> None:
    facts, problems = read(DcgmReader(), scrapes(tmp_path, f"{first}\n{second}\n# EOF\n"))
    (row,) = [fact.values for fact in facts]
    assert problems == []
    assert (row["start_time"], row["end_time"]) == (datetime(2026, 10, 1, 10), datetime(2026, 10, 1, 10, 1))
    assert (row["x_ActiveHours"], row["x_GpuType"]) == (Decimal("0.008333334"), "L4")
    assert row["x_Remarks"] == "holder not told"


def test_a_scrape_without_a_time_is_said_and_not_guessed(tmp_path: Path) -> None:
    line = f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 50\n"
    facts, problems = read(DcgmReader(), scrapes(tmp_path, line * 3))
    assert (facts, [(one.code, one.line) for one in problems]) == ([], [("scrape-without-time", 1)])
    marked = f"# at 2026-10-01T10:00:00Z\n{line}{line}{line}# at 2026-10-01T10:01:00Z\n{line}"
    facts, problems = read(DcgmReader(), scrapes(tmp_path, marked))
    assert [(one.code, one.line) for one in problems] == [("scrape-without-time", 3)]
    assert len(facts) == 1


def test_a_page_alone_has_no_hours(tmp_path: Path) -> None:
    facts, problems = read(DcgmReader(), scrapes(tmp_path, f"# 2026-10-01T10:00Z\nDCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 5"))
    assert (facts, [(one.code, one.line) for one in problems]) == ([], [("seen-once", None)])


def test_what_can_not_be_used_is_said_by_line(tmp_path: Path) -> None:
    bad = [
        'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 50 1790848800',
        f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} fifty 1790848800",
        f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 50 yesterday",
        f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}}",
        f"DCGM_FI_DEV_GPU_UTIL{{{LABELS} 50",
        f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} NaN 1790848800",
        f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 140737488355328 1790848860",
        f"DCGM_FI_DEV_NEW_FIELD{{{LABELS}}} what 1790848860",
    ]
    facts, problems = read(DcgmReader(), scrapes(tmp_path, "\n".join(bad)))
    assert sorted((one.line, one.code) for one in problems if one.line) == [
        (1, "missing-value"),
        (2, "unfit-value"),
        (3, "unparsable-time"),
        (4, "unfit-value"),
        (5, "unfit-value"),
    ]
    (row,) = [fact.values for fact in facts]
    assert row["x_NoTelemetryHours"] == Decimal("0.016666667")


def test_a_free_card_is_told_by_the_labels_of_the_others(tmp_path: Path) -> None:
    """Newer exporters leave the pod's labels out for a card that nobody holds; some spell Slurm's job."""
    text = "".join(
        f"# at 2026-10-01T{hour}:00:00Z\n"
        f'DCGM_FI_DEV_GPU_UTIL{{gpu="0",UUID="GPU-1",hpc_job="4711"}} 50\n'
        f'DCGM_FI_DEV_GPU_UTIL{{gpu="1",UUID="GPU-2"}} 0\n'
        for hour in (10, 11)
    )
    facts, _ = read(DcgmReader(), scrapes(tmp_path, text))
    rows = by(facts, "x_GpuId")
    assert (rows["GPU-1"]["x_Run"], rows["GPU-1"]["x_Holder"]) == ("4711", "4711")
    assert rows["GPU-2"]["x_UnallocatedHours"] == 1


def test_labels_of_the_pod_are_tags(tmp_path: Path) -> None:
    line = f'DCGM_FI_DEV_GPU_UTIL{{{LABELS},pod="p",namespace="n",vgpu="1",team="search",dra_pool="x",note="a\\"b"}} 50'
    facts, _ = read(DcgmReader(), scrapes(tmp_path, f"{line} 1790848800\n{line} 1790848860\n"))
    assert [dict(fact.tags) for fact in facts] == [{"team": "search", "note": 'a"b'}]


def test_it_is_recognised_by_its_readings(tmp_path: Path) -> None:
    for text in (f"DCGM_FI_DEV_GPU_UTIL{{{LABELS}}} 50", '# HELP x\n# TYPE x gauge\nDCGM_FI_DEV_FB_USED{gpu="0"} 3'):
        assert DcgmReader().recognises(open_facts(scrapes(tmp_path, text)))
    for text in ("BilledCost,note\n1,DCGM_FI_DEV_GPU_UTIL{}\n", '# HELP up\nup{job="a"} 1', '{"a":"DCGM_FI_X{"}'):
        assert not DcgmReader().recognises(open_facts(scrapes(tmp_path, text)))
