"""Runs exported from Weights & Biases become attempts; a lost heartbeat is not a failure."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.runs.wandb_runs import WandbReader
from tests.sources.runs.reading import FIXTURES, dumps, mangled, rows, survives

READER = WandbReader()
RUNS = FIXTURES / "wandb" / "runs.jsonl"
DOCUMENT = [json.loads(line) for line in RUNS.read_text().splitlines()]


def runs(path: Path = RUNS) -> dict[Any, Fact]:
    return {str(fact.values["x_RunId"]).rsplit("/", 1)[-1]: fact for fact in rows(READER, path)}


def test_a_run_with_the_gpus_of_its_machine() -> None:
    fact = runs()["a1b2c3d4"]
    assert fact.source == "acme"
    assert fact.tags == {"project": "ranker", "wandb:baseline": "true"}
    assert fact.values == {
        "x_RunId": "acme/ranker/a1b2c3d4",
        "x_Attempt": 1,
        "x_RunName": "sunny-sky-1",
        "x_Experiment": "sweep-7",
        "x_WorkloadKind": "training",
        "x_Outcome": "succeeded",
        "x_State": "finished",
        "submit_time": datetime(2026, 10, 3, 4),
        "start_time": datetime(2026, 10, 3, 4),
        "end_time": datetime(2026, 10, 3, 6, 0, 2),
        "x_GpuCount": Decimal(8),
        "x_GpuType": "H100",
        "x_GpuHours": Decimal(16),  # by its runtime of 7200 s, not by its last heartbeat
        "x_User": "alice",
        "x_Account": "acme",
    }


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("train", "training"),
        ("Fine-Tune", "training"),
        ("sweep", "training"),
        ("eval", "other"),
        ("batch_inference", "batch_inference"),
        ("predict", "inference"),
        ("data_prep", "data"),
        ("train-and-eval", "train-and-eval"),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("key", ["jobType", "job_type"])
def test_a_job_type_is_the_workload_it_means_or_stays_as_told(
    tmp_path: Path, told: str | None, kind: str | None, key: str
) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({**{k: v for k, v in DOCUMENT[0].items() if k != "jobType"}, key: told}) + "\n")
    (fact,) = runs(path).values()
    assert fact.values.get("x_WorkloadKind") == kind


def test_outcomes() -> None:
    assert {run: fact.values["x_Outcome"] for run, fact in runs().items()} == {
        "a1b2c3d4": "succeeded",
        "e5f6a7b8": "failed",
        "c9d0e1f2": "unknown",  # crashed: the heartbeat stopped, for whatever reason
        "a3b4c5d6": "cancelled",
        "e7f8a9b0": "running",
        "pend1234": "pending",
    }


def test_what_the_config_notes_wins_over_the_machine() -> None:
    values = runs()["e5f6a7b8"].values
    assert (values["x_GpuCount"], values["x_GpuType"]) == (Decimal(16), "H200")
    assert (values["x_GpuHours"], values["x_LostGpuHours"]) == (Decimal(16), Decimal(4))


def test_a_crashed_run_has_hours_and_a_run_without_metadata_has_none() -> None:
    found = runs()
    assert found["c9d0e1f2"].values["x_GpuHours"] == Decimal(1)
    assert found["c9d0e1f2"].values["x_GpuType"] == "A100-40GB"
    assert not found["a3b4c5d6"].values.keys() & {"x_GpuCount", "x_GpuHours"}
    assert found["e7f8a9b0"].values["x_GpuHours"] == Decimal("1.5")
    assert "end_time" not in found["e7f8a9b0"].values
    assert "start_time" not in found["pend1234"].values


def test_an_array_of_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(DOCUMENT, indent=1))
    assert {run: fact.values for run, fact in runs(path).items()} == {run: fact.values for run, fact in runs().items()}


@pytest.mark.parametrize(
    "content", ["[]", '{"entity": "a", "project": "b"}', '[{"id": 1, "project": "x", "state": "ok"}]']
)
def test_other_files_are_not_taken(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=mangled(DOCUMENT))
def test_no_content_crashes_the_reader(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "runs.json"
    path.write_text(dumps(document))
    survives(READER, path)
