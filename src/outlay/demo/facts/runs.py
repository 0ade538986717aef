"""Training runs: Slurm's accounting of the clusters on EC2 and Google Cloud, and SageMaker's own jobs.

Each run is a machine of the bill for some hours, and its job holds the GPUs of that machine for nearly all of them: it
starts ``SETUP`` minutes after the machine and ends ``TEARDOWN`` minutes before it. So GPU hours of runs are below those
billed by a known idle time. The job's name is the bill's tag ``run_id``; SageMaker's ARN is the bill's ``ResourceId``.

Planted: runs of every outcome. What the bill's tag ``run_status`` calls failed has failed, timed out or run out of
memory; some of what succeeded was preempted or lost its node first, and ran again after ``REQUEUE`` minutes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from outlay.demo.lines import Calendar, Line, day_text
from outlay.money import plain

__all__ = ["write_runs"]

SETUP, REQUEUE, TEARDOWN = 6, 9, 3
"""Minutes; multiples of three, so that the hours of eight GPUs are whole tenths."""

_HOUR, _MINUTE = 3600, 60
_FIRST_JOB = 100_001
_QUEUED = 4
_GPUS = {"ec2": "a100-sxm4-40gb", "gce": "h100"}
_STATES = {"succeeded": "COMPLETED", "cancelled": "CANCELLED"}
_FAILURES = ("FAILED", "TIMEOUT", "OUT_OF_MEMORY")
_OUTCOMES = {
    "COMPLETED": "succeeded",
    "CANCELLED": "cancelled",
    "FAILED": "failed",
    "OUT_OF_MEMORY": "failed",
    "TIMEOUT": "timed out",
    "PREEMPTED": "preempted",
    "NODE_FAIL": "node failure",
}
_SAGEMAKER = {
    "COMPLETED": ("Completed", "Completed"),
    "CANCELLED": ("Stopped", "Stopped"),
    "FAILED": ("Failed", "Failed"),
    "OUT_OF_MEMORY": ("Failed", "Failed"),
    "TIMEOUT": ("Stopped", "MaxRuntimeExceeded"),
}
"""Slurm's word -> TrainingJobStatus and SecondaryStatus."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt: seconds since 1970, and how it ended in Slurm's word."""

    start: int
    end: int
    state: str


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of the bill: its line, its number among runs of its kind, and its attempts."""

    line: Line
    attempts: tuple[_Attempt, ...]

    @property
    def gpus(self) -> int:
        return int(self.line.sku.details["GpuCount"]) * self.line.units

    @property
    def billed_hours(self) -> int:
        """GPU hours on the bill."""
        return self.gpus * (self.line.last_hour - self.line.first_hour)

    def gpu_hours(self, attempt: _Attempt) -> Decimal:
        return Decimal(self.gpus * (attempt.end - attempt.start)) / _HOUR

    @property
    def tags(self) -> Mapping[str, str]:
        return self.line.tags or {}


def write_runs(folder: Path, lines: Sequence[Line], calendar: Calendar) -> tuple[list[Path], dict[str, object]]:
    """Writes both systems' records of all training runs on ``lines``; returns the files and what they hold."""
    runs = sorted(
        (_run(line) for line in lines if (line.tags or {}).get("workload") == "training"),
        key=lambda run: (run.attempts[0].start, run.line.name),
    )
    slurm = [run for run in runs if run.line.sku.service in _GPUS]
    sagemaker = [run for run in runs if run.line.sku.service == "sagemaker"]
    paths = [folder / "synthetic-slurm-sacct.json", folder / "synthetic-sagemaker-training.jsonl"]
    jobs = [job for number, run in enumerate(slurm) for job in _slurm_jobs(run, _FIRST_JOB + number)]
    paths[0].write_text(json.dumps({"meta": _META, "jobs": jobs}, separators=(",", ":")) + "\n", encoding="utf-8")
    with paths[1].open("w", encoding="utf-8") as file:
        for run in sagemaker:
            file.write(json.dumps(_sagemaker_job(run), separators=(",", ":")) + "\n")
    told: dict[str, object] = {"slurm": _told(slurm, calendar), "sagemaker-training": _told(sagemaker, calendar)}
    return paths, told


def _run(line: Line) -> _Run:
    number = int(line.name.rpartition("-")[2])
    first, last = line.first_hour * _HOUR + SETUP * _MINUTE, line.last_hour * _HOUR - TEARDOWN * _MINUTE
    status = (line.tags or {})["run_status"]
    state = _STATES.get(status) or _FAILURES[(number // 5 + (line.sku.service == "gce")) % len(_FAILURES)]
    if status != "succeeded" or number % 5 or line.sku.service == "sagemaker":
        return _Run(line, (_Attempt(first, last, state),))
    middle = (line.first_hour + line.last_hour) // 2 * _HOUR
    lost = "NODE_FAIL" if line.sku.service == "gce" else "PREEMPTED"
    return _Run(line, (_Attempt(first, middle, lost), _Attempt(middle + REQUEUE * _MINUTE, last, state)))


_META = {"command": ["sacct", "--json", "--duplicates", "--allusers"], "plugin": {"name": "synthetic"}}


def _slurm_jobs(run: _Run, job_id: int) -> Iterator[dict[str, object]]:
    """A record an attempt: a requeued job has the same id and a new submission time."""
    gpu = _GPUS[run.line.sku.service]
    for number, attempt in enumerate(run.attempts):
        failed = attempt.state in _FAILURES
        yield {
            "account": run.tags["team"],
            "allocation_nodes": 1,
            "cluster": "synthetic",
            "comment": {"administrator": "", "job": "synthetic: not a real job", "system": ""},
            "exit_code": {
                "status": ["ERROR" if failed else "SUCCESS"],
                "return_code": {"set": True, "infinite": False, "number": int(failed)},
            },
            "job_id": job_id,
            "name": run.line.name,
            "nodes": run.line.resource_id,
            "partition": "spot" if run.line.pricing_category == "Dynamic" else "on-demand",
            "qos": "normal",
            "restart_cnt": number,
            "state": {"current": [attempt.state], "reason": "None"},
            "time": {
                "elapsed": attempt.end - attempt.start,
                "end": attempt.end,
                "start": attempt.start,
                "submission": attempt.start - _QUEUED * _MINUTE,
            },
            "tres": {
                "allocated": [
                    {"type": "node", "name": "", "id": 4, "count": 1},
                    {"type": "gres", "name": "gpu", "id": 1001, "count": run.gpus},
                    {"type": "gres", "name": f"gpu:{gpu}", "id": 1002, "count": run.gpus},
                ]
            },
            "user": f"synthetic-{run.tags['team']}",
        }


def _sagemaker_job(run: _Run) -> dict[str, object]:
    """An answer of DescribeTrainingJob, with the tags of ListTags."""
    (attempt,) = run.attempts
    status, secondary = _SAGEMAKER[attempt.state]
    job: dict[str, object] = {
        "TrainingJobName": run.line.name,
        "TrainingJobArn": run.line.resource_id,
        "TrainingJobStatus": status,
        "SecondaryStatus": secondary,
        "ResourceConfig": {"InstanceType": run.line.sku.details["InstanceType"], "InstanceCount": 1},
        "EnableManagedSpotTraining": False,
        "CreationTime": _iso(attempt.start - _QUEUED * _MINUTE),
        "TrainingStartTime": _iso(attempt.start),
        "TrainingEndTime": _iso(attempt.end),
        "TrainingTimeInSeconds": attempt.end - attempt.start,
        "BillableTimeInSeconds": (run.line.last_hour - run.line.first_hour) * _HOUR,
        "Tags": [{"Key": key, "Value": value} for key, value in {**run.tags, "synthetic": "true"}.items()],
    }
    if attempt.state in ("FAILED", "OUT_OF_MEMORY"):
        job["FailureReason"] = "AlgorithmError: synthetic failure"
    return job


def _iso(seconds: int) -> str:
    day, rest = divmod(seconds, 24 * _HOUR)
    return f"{day_text(day)}T{rest // _HOUR:02}:{rest % _HOUR // _MINUTE:02}:{rest % _MINUTE:02}Z"


def _told(runs: Sequence[_Run], calendar: Calendar) -> dict[str, object]:
    """GPU hours by outcome, and those that the bill has beside them."""
    attempts: Counter[str] = Counter()
    hours: dict[str, Decimal] = {}
    for run in runs:
        for attempt in run.attempts:
            outcome = _OUTCOMES[attempt.state]
            attempts[outcome] += 1
            hours[outcome] = hours.get(outcome, Decimal(0)) + run.gpu_hours(attempt)
    billed, held = sum(run.billed_hours for run in runs), sum(hours.values(), Decimal(0))
    return {
        "since": day_text(calendar.first_day),
        "until": day_text(calendar.last_day - 1),
        "runs": len(runs),
        "attempts": sum(attempts.values()),
        "gpu_hours": plain(held),
        "by_outcome": {
            outcome: {"attempts": attempts[outcome], "gpu_hours": plain(hours[outcome])} for outcome in sorted(hours)
        },
        "billed_gpu_hours": str(billed),
        "idle_gpu_hours": plain(billed - held),
        "idle_is": "billed and held by no attempt: before, between and after them",
    }
