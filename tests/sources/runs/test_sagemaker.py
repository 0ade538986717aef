"""SageMaker training jobs become attempts: one for each time that instances were held, spot interruptions apart."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from outlay.problems import Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.runs.sagemaker import SageMakerReader
from tests.sources.runs.reading import FIXTURES, dumps, fits, mangled, read, survives

READER = SageMakerReader()
JOBS = FIXTURES / "sagemaker_training" / "jobs.json"
ARN = "arn:aws:sagemaker:us-east-1:111122223333:training-job"


def attempts(path: Path = JOBS) -> dict[tuple[Any, Any], Fact]:
    found = [one for one in read(READER, path) if isinstance(one, Fact)]
    for one in found:
        fits(one)
    return {(one.values["x_RunName"], one.values["x_Attempt"]): one for one in found}


def test_a_job_is_a_row_with_the_gpus_of_its_instances() -> None:
    fact = attempts()["pretrain-1", 1]
    assert fact.source == "111122223333"
    assert fact.tags == {"team": "search", "sagemaker:warm-pool-billable-seconds": "900"}
    assert fact.values == {
        "x_RunId": f"{ARN}/pretrain-1",
        "x_Attempt": 1,
        "x_RunName": "pretrain-1",
        "x_Experiment": "ranker",
        "x_WorkloadKind": "training",
        "x_Outcome": "succeeded",
        "x_State": "Completed",
        "submit_time": datetime(2026, 10, 3, 3, 50),
        "start_time": datetime(2026, 10, 3, 4),
        "end_time": datetime(2026, 10, 3, 6),
        "x_GpuCount": Decimal(16),
        "x_GpuType": "H100",
        "x_InstanceType": "ml.p5.48xlarge",
        "x_InstanceCount": 2,
        "x_GpuHours": Decimal(32),
        "x_BillableSeconds": Decimal(7200),
        "x_Interruptible": False,
        "x_Account": "111122223333",
        "x_Region": "us-east-1",
    }


def test_a_spot_interruption_ends_an_attempt() -> None:
    found = attempts()
    first, second = found["spot-1", 1].values, found["spot-1", 2].values
    assert (first["x_Outcome"], first["x_State"]) == ("preempted", "Interrupted")
    assert (first["start_time"], first["end_time"]) == (datetime(2026, 10, 3, 4), datetime(2026, 10, 3, 5))
    assert (second["x_Outcome"], second["start_time"]) == ("succeeded", datetime(2026, 10, 3, 5, 30))
    assert (first["x_GpuHours"], second["x_GpuHours"]) == (Decimal(4), Decimal(6))  # 4 A10G; launching is not held
    assert "x_BillableSeconds" not in first
    assert second["x_BillableSeconds"] == Decimal(2700)  # the job's, of 9000 s of training: 70 % saved
    assert first["x_Interruptible"] is True
    assert "x_LostGpuHours" not in first  # it checkpoints; when, SageMaker does not say


def test_outcomes_by_status_and_secondary_status() -> None:
    outcomes = {run: fact.values["x_Outcome"] for (run, _), fact in attempts().items() if run != "spot-1"}
    assert outcomes == {
        "pretrain-1": "succeeded",
        "failed-1": "failed",
        "stopped-1": "cancelled",
        "too-long-1": "timed out",
        "waited-1": "timed out",
        "running-1": "running",
        "new-type-1": "succeeded",
    }
    assert attempts()["failed-1", 1].values["x_Reason"] == "AlgorithmError: ExecuteUserScriptError: exit code 1"


def test_instance_groups_add_up_and_cpu_instances_hold_no_gpu() -> None:
    found = attempts()
    groups = found["failed-1", 1].values
    assert (groups["x_GpuCount"], groups["x_GpuType"], groups["x_InstanceCount"]) == (Decimal(8), "A100-40GB", 5)
    assert groups["x_GpuHours"] == Decimal(4)
    assert "x_InstanceType" not in groups
    assert found["too-long-1", 1].values["x_GpuHours"] == Decimal(0)


def test_what_never_started_or_still_runs_has_no_gpu_hours() -> None:
    found = attempts()
    assert "start_time" not in found["waited-1", 1].values
    assert "x_GpuHours" not in found["waited-1", 1].values
    assert "x_GpuHours" not in found["running-1", 1].values
    assert found["running-1", 1].values["x_GpuCount"] == Decimal(16)  # Trainium


def test_an_unknown_instance_type_is_reported_and_its_gpus_unknown() -> None:
    notices = [one for one in read(READER, JOBS) if isinstance(one, Problem)]
    assert [one.code for one in notices] == ["unknown-gpu-instance"]
    assert "ml.p99.96xlarge" in notices[0].message
    assert "x_GpuCount" not in attempts()["new-type-1", 1].values


def test_one_job_lines_of_jobs_and_times_as_seconds(tmp_path: Path) -> None:
    job = json.loads(JOBS.read_text())[0]
    one = tmp_path / "one.json"
    one.write_text(json.dumps(job, indent=2))
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps(job) + "\n" for job in json.loads(JOBS.read_text())))
    expected = attempts()
    assert attempts(one)["pretrain-1", 1].values == expected["pretrain-1", 1].values
    assert {key: fact.values for key, fact in attempts(lines).items()} == {k: f.values for k, f in expected.items()}
    job["CreationTime"], job["TrainingStartTime"], job["TrainingEndTime"] = 1790999400.0, 1791000000.0, 1791007200.0
    job["SecondaryStatusTransitions"] = []
    one.write_text(json.dumps(job))
    assert attempts(one)["pretrain-1", 1].values == expected["pretrain-1", 1].values


def test_lists_of_jobs_are_not_descriptions(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('{"TrainingJobSummaries": [{"TrainingJobName": "x", "TrainingJobStatus": "Completed"}]}')
    assert not READER.recognises(open_facts(path))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=mangled(json.loads(JOBS.read_text())))
def test_no_content_crashes_the_reader(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(dumps(document))
    survives(READER, path)
