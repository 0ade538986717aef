"""Ray's jobs become attempts; their GPUs are unknown unless the metadata notes them."""

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
from outlay.sources.runs.ray_jobs import RayJobsReader
from tests.sources.runs.reading import FIXTURES, dumps, mangled, rows, survives

READER = RayJobsReader()
JOBS = FIXTURES / "ray_jobs" / "jobs.json"


def jobs(path: Path = JOBS) -> dict[Any, Fact]:
    return {fact.values["x_RunId"]: fact for fact in rows(READER, path)}


def test_a_job_whose_metadata_notes_its_gpus() -> None:
    fact = jobs()["train-ok"]
    assert fact.tags == {"team": "search"}
    assert fact.values == {
        "x_RunId": "train-ok",
        "x_Attempt": 1,
        "x_RunName": "finetune",
        "x_Outcome": "succeeded",
        "x_State": "SUCCEEDED",
        "submit_time": datetime(2026, 11, 23, 15, 44, 9, 718000),
        "start_time": datetime(2026, 11, 23, 15, 44, 9, 718000),
        "end_time": datetime(2026, 11, 23, 15, 44, 14, 144000),
        "x_GpuCount": Decimal(8),
        "x_GpuType": "H100",
        "x_GpuHours": Decimal("0.009835555555555556"),  # 8 x 4.426 s
    }


def test_outcomes_and_reasons() -> None:
    found = jobs()
    told = {run: (fact.values["x_Outcome"], fact.values.get("x_Reason")) for run, fact in found.items()}
    assert told == {
        "train-ok": ("succeeded", None),
        "train-failed": ("failed", "JOB_ENTRYPOINT_COMMAND_ERROR, exit code 3"),
        "train-stopped": ("cancelled", "Job was intentionally stopped."),
        "train-running": ("running", None),
    }


def test_the_entrypoints_gpus_are_not_the_jobs() -> None:
    values = jobs()["train-stopped"].values  # submitted with entrypoint_num_gpus 1
    assert not values.keys() & {"x_GpuCount", "x_GpuHours"}


def test_older_ray_answers_with_an_object_by_id(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    old = {
        "raysubmit_1": {
            "entrypoint": "python train.py",
            "status": "FAILED",
            "message": "runtime_env setup failed",
            "error_type": None,
            "start_time": 1791000000000,
            "end_time": 1791003600000,
            "metadata": {"outlay.gpu_count": "2"},
            "runtime_env": {},
            "entrypoint_num_gpus": 1,
        }
    }
    path.write_text(json.dumps(old))
    values = jobs(path)["raysubmit_1"].values
    assert (values["x_GpuHours"], values["x_Reason"]) == (Decimal(2), "runtime_env setup failed")


def test_a_drivers_number_that_a_new_cluster_uses_again_is_another_run(tmp_path: Path) -> None:
    driver: dict[str, Any] = {
        "type": "DRIVER",
        "job_id": "01000000",
        "submission_id": None,
        "entrypoint": "x",
        "runtime_env": {},
    }
    path = tmp_path / "jobs.json"
    path.write_text(
        json.dumps([{**driver, "status": "SUCCEEDED", "start_time": at} for at in (1791000000000, 1791100000000)])
    )
    assert len(rows(READER, path)) == 2


@pytest.mark.parametrize("content", ["[]", "{}", '[{"entrypoint": "x"}]', '{"entrypoint": {"status": 1}}'])
def test_other_files_are_not_taken(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=mangled(json.loads(JOBS.read_text())))
def test_no_content_crashes_the_reader(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(dumps(document))
    survives(READER, path)
