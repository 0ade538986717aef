"""Ray jobs: the answer of ``GET /api/jobs/`` of a Ray cluster's dashboard, saved as JSON.

Times are milliseconds since 1970. A job that was submitted has a ``submission_id``; a driver that joined the cluster by
itself has a ``job_id`` only, which the cluster counts from 1 again each time it starts.

The trap: Ray says how many GPUs the *entrypoint* asked for, and nothing of the tasks and actors that do the work,
so a job's GPUs are unknown unless its metadata notes them (:mod:`.hardware`):
``ray job submit --metadata-json '{"outlay.gpu_count": "8"}'``. And a cluster forgets its jobs when it ends: save the
answer before.

Source: https://docs.ray.io/en/latest/cluster/running-applications/job-submission/api.html; tried against Ray 2.60.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from outlay.ledger.tables.runs import RUNS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, at, mapped, text
from outlay.sources.runs.hardware import noted
from outlay.sources.runs.states import RAY

__all__ = ["RayJobsReader"]

_OURS = ("outlay.", "job_name", "job_submission_id")


class RayJobsReader:
    """Reads the saved job list of a Ray cluster."""

    format = Format(
        "ray-jobs",
        "Ray jobs (dashboard REST)",
        "curl http://HEAD:8265/api/jobs/ > jobs.json, with GPUs noted in the metadata as outlay.gpu_count.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Objects with ``entrypoint``, ``status`` and Ray's ids; older Ray gives them as an object by id."""
        if file.kind not in ("json", "jsonl") or '"entrypoint"' not in file.head:
            return False
        return any(_is_job(job) for _, job in list(_jobs_of(file.sample))[:3])

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row a job."""
        if file.kind == "json" and isinstance(file.sample, dict) and not _is_job(file.sample):
            for number, (key, job) in enumerate(_jobs_of(file.sample), start=1):
                yield _told(file, number, job if isinstance(job, dict) else {}, key)
            return
        for one in file.objects():
            yield one if isinstance(one, Problem) else _told(file, one[0], one[1], None)


def _jobs_of(sample: Any) -> Iterator[tuple[str | None, Any]]:  # noqa: ANN401 - whatever a file holds
    if isinstance(sample, list):
        yield from ((None, job) for job in sample)
    elif _is_job(sample):
        yield None, sample
    elif isinstance(sample, dict):
        yield from sample.items()


def _is_job(job: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    return isinstance(job, dict) and "entrypoint" in job and "status" in job and ("runtime_env" in job)


def _told(file: FactFile, number: int, job: Mapping[str, Any], key: str | None) -> Fact | Problem:
    try:
        return _attempt(job, key).fact(number)
    except Unusable as unusable:
        return unusable.problem(file, number)


def _attempt(job: Mapping[str, Any], key: str | None) -> Attempt:
    run_id = text(job.get("submission_id")) or text(job.get("job_id")) or text(key)
    if run_id is None:
        raise Unusable("missing-identity", "the job has no submission_id and no job_id")
    metadata = job.get("metadata")
    notes = metadata if isinstance(metadata, dict) else {}
    started = at(job.get("start_time"), "start_time", per_second=1000)
    hardware = noted(notes, on=started.date() if started else None)
    state = text(job.get("status")) or "UNKNOWN"
    outcome = RAY.outcome(state)
    reason = (
        (text(job.get("error_type")) or text(job.get("message"))) if outcome not in ("succeeded", "running") else None
    )
    code = job.get("driver_exit_code")
    if isinstance(code, int) and code and reason:
        reason = f"{reason}, exit code {code}"
    return Attempt(
        run_id=run_id,
        key=f"{run_id}@{started.isoformat()}" if started else None,
        outcome=outcome,
        state=state,
        name=text(mapped(notes, "job_name")),
        reason=reason,
        submitted=started,
        started=None if outcome == "pending" else started,
        ended=at(job.get("end_time"), "end_time", per_second=1000),
        gpus=hardware.gpus,
        gpu_type=hardware.gpu_type,
        instance_type=hardware.instance_type,
        instance_count=hardware.instance_count,
        checkpoint=hardware.checkpoint,
        tags={
            name: value
            for found, told in notes.items()
            if (name := text(found)) and not name.startswith(_OURS) and (value := text(told))
        },
    )
