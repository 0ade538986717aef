"""``sacct --json``: numbers plain or wrapped, a state as text, list or object, ids of arrays and heterogeneous jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.runs.attempt import Attempt, at, listed, mapped, quantity, text
from outlay.sources.runs.slurm_record import Record, gpus_of, key_of, plain, restarts_of, whole
from outlay.sources.runs.states import SLURM

__all__ = ["json_records"]


def json_records(file: FactFile) -> Iterator[Record | Problem]:
    """The jobs of ``sacct --json``; lines are their places in the list."""
    for page in file.objects():
        if isinstance(page, Problem):
            yield page
            continue
        for number, job in enumerate(listed(page[1].get("jobs")), start=1):
            if not isinstance(job, dict):
                yield file.problem(number, "not-json", f"job {number} is no JSON object")
                continue
            try:
                yield _json_record(number, job)
            except Unusable as unusable:
                yield unusable.problem(file, number)


def _json_record(number: int, job: Mapping[str, Any]) -> Record:
    word = _state(job.get("state"))
    time = job.get("time")
    submitted = at(plain(mapped(time, "submission")), "time.submission")
    started = at(plain(mapped(time, "start")), "time.start")
    outcome = SLURM.outcome(word)
    gpus, kind = _jsongpus_of(mapped(job, "tres", "allocated"))
    run_id = _json_id(job)
    restarts = restarts_of(job.get("restart_cnt"))
    attempt = Attempt(
        run_id=run_id,
        outcome=outcome,
        state=word,
        key=key_of(run_id, submitted),
        name=text(job.get("name")),
        experiment=text(job.get("partition")),
        reason=_json_reason(job),
        submitted=submitted,
        started=started,
        ended=at(plain(mapped(time, "end")), "time.end"),
        gpus=gpus,
        gpu_type=kind,
        instance_count=whole(job.get("allocation_nodes")),
        held=quantity(plain(mapped(time, "elapsed")), "time.elapsed") if started else None,
        user=text(job.get("user")) or text(mapped(job, "association", "user")),
        account=text(job.get("account")),
        tags=_tags(job, "account", "partition", "qos"),
        source=text(job.get("cluster")),
    )
    return Record(number, attempt, restarts)


def _json_id(job: Mapping[str, Any]) -> str:
    """The id as ``sacct`` prints it: ``123``, ``120_3`` of an array, ``120+1`` of a heterogeneous job."""
    own = text(plain(job.get("job_id")))
    if own is None:
        raise Unusable("missing-identity", "the job has no job_id")
    array, task = plain(mapped(job, "array", "job_id")), plain(mapped(job, "array", "task_id"))
    if text(array) and array != 0:
        waiting = text(mapped(job, "array", "task"))
        if text(task):
            return f"{text(array)}_{text(task)}"
        if waiting:  # the tasks of an array that wait share one record
            return f"{text(array)}_[{waiting}]"
    leader, offset = plain(mapped(job, "het", "job_id")), plain(mapped(job, "het", "job_offset"))
    if text(leader) and leader != 0 and text(offset):
        return f"{text(leader)}+{text(offset)}"
    return own


def _jsongpus_of(resources: Any) -> tuple[Fraction | None, str | None]:  # noqa: ANN401 - whatever a file holds
    counts: list[tuple[str | None, Decimal]] = []
    for one in listed(resources):
        name = text(mapped(one, "name")) or ""
        if mapped(one, "type") == "gres" and (name == "gpu" or name.startswith("gpu:")):
            count = quantity(plain(mapped(one, "count")), "the count of gres/gpu")
            if count is not None:
                counts.append((name[4:] or None, count))
    return gpus_of(counts)


def _json_reason(job: Mapping[str, Any]) -> str | None:
    code = job.get("exit_code")
    status = mapped(code, "status")
    parts = [text(word) for word in (status if isinstance(status, list) else [status])]
    returned, signal = plain(mapped(code, "return_code")), plain(mapped(code, "signal", "id"))
    if signal is None:
        signal = plain(mapped(code, "signal", "signal_id"))
    if isinstance(returned, int) and returned:
        parts.append(f"exit code {returned}")
    if isinstance(signal, int) and signal:
        parts.append(f"signal {signal}")
    node = text(job.get("failed_node"))
    parts.append(f"node {node} failed" if node else None)
    why = text(mapped(job, "state", "reason"))
    parts.append(why if why and why.casefold() != "none" else None)
    said = [part for part in parts if part and part not in ("SUCCESS", "PENDING")]
    return ", ".join(said) or None


def _state(value: Any) -> str:  # noqa: ANN401 - whatever a file holds
    """The state of ``"COMPLETED"``, ``["COMPLETED"]`` and ``{"current": […]}``; flags follow the state in a list."""
    if isinstance(value, dict):
        value = value.get("current")
    words = [found for one in (value if isinstance(value, list) else [value]) if (found := text(one))]
    words = [word.split()[0] for word in words]
    return next((word for word in words if SLURM.outcome(word) != "unknown"), words[0] if words else "UNKNOWN")


def _tags(job: Mapping[str, Any], *keys: str) -> dict[str, str]:
    return {key: found for key in keys if (found := text(job.get(key)))}
