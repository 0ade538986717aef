"""Slurm's accounting: ``sacct --json``, and ``sacct --parsable2`` (text with ``|``), the form that most sites use.

A Slurm record is one attempt: a job that is requeued gets a second record with the same job id and a new submission
time, which is how Slurm's own database tells them apart. ``sacct`` shows the last record only unless it is asked for
``--duplicates``; without it, the GPU hours of the attempts before are missing. Steps (``123.batch``, ``123.0``) run
inside a job's allocation and are not counted again.

GPUs come from the allocated trackable resources: ``gres/gpu=8``, beside which typed ones (``gres/gpu:h100=8``) say the
same again by type. A site that does not track ``gres/gpu`` (``AccountingStorageTRES``) says nothing of GPUs: then the
count is unknown, not 0. Where any record of a file has GPUs, the site tracks them, and a job without has none.

The traps: numbers are plain or wrapped as ``{"set", "infinite", "number"}``; ``state`` is a text, a list, or an object
with such a list; a start of 0 means never started; text output has local times without their zone (run ``sacct``
with ``TZ=UTC``); a MIG slice counts as a GPU.

Source: https://slurm.schedmd.com/sacct.html; the shapes of the JSON as public tests of ``sacct --json`` users have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from outlay.ledger.tables.runs import RUNS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, Unusable, at, listed, mapped, quantity, text, told
from outlay.sources.runs.gpu_names import gpu_type, slice_share
from outlay.sources.runs.states import SLURM

__all__ = ["SlurmReader"]

_TEXT_COLUMNS = {"Start", "End", "Submit", "Elapsed", "ElapsedRaw", "AllocTRES"}
_ELAPSED = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)(?:\.\d+)?$")
_NO_TIME = {"unknown", "none", "n/a"}
_RESOURCE = re.compile(r"gres/gpu(?::([^=,]*))?=([^,]*)")


@dataclass(frozen=True, slots=True)
class _Record:
    """An attempt before its number is known; ``restarts`` as Slurm counts them, where it does."""

    line: int
    attempt: Attempt
    restarts: int | None


class SlurmReader:
    """Reads what ``sacct`` prints, as JSON or as text with ``|``."""

    format = Format(
        "slurm",
        "Slurm accounting (sacct)",
        "sacct --json --duplicates --allusers, or TZ=UTC sacct --parsable2 --allocations --duplicates --allusers with "
        "the columns of docs/sources/slurm.md.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """A JSON document of jobs with TRES and times, or text with ``|`` that has ``JobID`` and ``State``."""
        if file.kind == "csv":
            names = set(file.header)
            return (
                file.delimiter == "|" and "JobID" in names and "State" in names and not names.isdisjoint(_TEXT_COLUMNS)
            )
        if '"jobs"' not in file.head or file.kind == "text" or not isinstance(file.sample, dict):
            return False
        jobs = file.sample.get("jobs")
        if not isinstance(jobs, list):
            return False
        if not jobs:
            command = listed(mapped(file.sample, "meta", "command"))
            return bool(command) and str(command[0]).endswith("sacct")
        return any(
            isinstance(job, dict) and "job_id" in job and isinstance(job.get("time"), dict) and "tres" in job
            for job in jobs[:20]
        )

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row an attempt; a job's attempts are numbered by their start."""
        records: list[_Record] = []
        for one in _text_records(file) if file.kind == "csv" else _json_records(file):
            if isinstance(one, Problem):
                yield one
            else:
                records.append(one)
        tracked = any(record.attempt.gpus for record in records)
        for record in _numbered(records):
            attempt = record.attempt
            if attempt.gpus is None and tracked and attempt.started is not None:
                attempt = replace(attempt, gpus=0)
            yield told(file, record.line, attempt)


def _json_records(file: FactFile) -> Iterator[_Record | Problem]:
    for _, page in _pages(file):
        for number, job in enumerate(listed(page.get("jobs")), start=1):
            if not isinstance(job, dict):
                yield file.problem(number, "not-json", f"job {number} is no JSON object")
                continue
            try:
                yield _json_record(number, job)
            except Unusable as unusable:
                yield unusable.problem(file, number)


def _pages(file: FactFile) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for one in file.objects():
        if not isinstance(one, Problem):
            yield one


def _json_record(number: int, job: Mapping[str, Any]) -> _Record:
    word = _state(job.get("state"))
    time = job.get("time")
    submitted = at(_plain(mapped(time, "submission")), "time.submission")
    started = at(_plain(mapped(time, "start")), "time.start")
    outcome = SLURM.outcome(word)
    gpus, kind = _json_gpus(mapped(job, "tres", "allocated"))
    run_id = _json_id(job)
    restarts = _whole(job.get("restart_cnt"))
    attempt = Attempt(
        run_id=run_id,
        outcome=outcome,
        state=word,
        key=_key(run_id, submitted),
        name=text(job.get("name")),
        experiment=text(job.get("partition")),
        reason=_json_reason(job),
        submitted=submitted,
        started=started,
        ended=at(_plain(mapped(time, "end")), "time.end"),
        gpus=gpus,
        gpu_type=kind,
        instance_count=_whole(job.get("allocation_nodes")),
        held=quantity(_plain(mapped(time, "elapsed")), "time.elapsed") if started else None,
        user=text(job.get("user")) or text(mapped(job, "association", "user")),
        account=text(job.get("account")),
        tags=_tags(job, "account", "partition", "qos"),
        source=text(job.get("cluster")),
    )
    return _Record(number, attempt, restarts)


def _json_id(job: Mapping[str, Any]) -> str:
    """The id as ``sacct`` prints it: ``123``, ``120_3`` of an array, ``120+1`` of a heterogeneous job."""
    own = text(_plain(job.get("job_id")))
    if own is None:
        raise Unusable("missing-identity", "the job has no job_id")
    array, task = _plain(mapped(job, "array", "job_id")), _plain(mapped(job, "array", "task_id"))
    if text(array) and array != 0:
        waiting = text(mapped(job, "array", "task"))
        if text(task):
            return f"{text(array)}_{text(task)}"
        if waiting:  # the tasks of an array that wait share one record
            return f"{text(array)}_[{waiting}]"
    leader, offset = _plain(mapped(job, "het", "job_id")), _plain(mapped(job, "het", "job_offset"))
    if text(leader) and leader != 0 and text(offset):
        return f"{text(leader)}+{text(offset)}"
    return own


def _json_gpus(resources: Any) -> tuple[Fraction | None, str | None]:  # noqa: ANN401 - whatever a file holds
    counts: list[tuple[str | None, Decimal]] = []
    for one in listed(resources):
        name = text(mapped(one, "name")) or ""
        if mapped(one, "type") == "gres" and (name == "gpu" or name.startswith("gpu:")):
            count = quantity(_plain(mapped(one, "count")), "the count of gres/gpu")
            if count is not None:
                counts.append((name[4:] or None, count))
    return _gpus(counts)


def _gpus(counts: Iterable[tuple[str | None, Decimal]]) -> tuple[Fraction | None, str | None]:
    """GPUs and their type from ``gres/gpu`` with and without a type. Types, where told, add up to the total."""
    counts = [(kind, count) for kind, count in counts if count]
    typed = [(kind, count) for kind, count in counts if kind]
    if not counts:
        return None, None
    total = sum((Fraction(count) for kind, count in counts if not kind), Fraction(0))
    by_type = sum((Fraction(count) for _, count in typed), Fraction(0))
    shares = sum((Fraction(count) * slice_share(kind) for kind, count in typed), Fraction(0))
    names = sorted({gpu_type(kind) or "" for kind, _ in typed})
    return max(total - by_type, Fraction(0)) + shares, names[0] if len(names) == 1 else None


def _json_reason(job: Mapping[str, Any]) -> str | None:
    code = job.get("exit_code")
    status = mapped(code, "status")
    parts = [text(word) for word in (status if isinstance(status, list) else [status])]
    returned, signal = _plain(mapped(code, "return_code")), _plain(mapped(code, "signal", "id"))
    if signal is None:
        signal = _plain(mapped(code, "signal", "signal_id"))
    if isinstance(returned, int) and returned:
        parts.append(f"exit code {returned}")
    if isinstance(signal, int) and signal:
        parts.append(f"signal {signal}")
    why = text(mapped(job, "state", "reason"))
    parts.append(why if why and why.casefold() != "none" else None)
    said = [part for part in parts if part and part not in ("SUCCESS", "PENDING")]
    return ", ".join(said) or None


def _text_records(file: FactFile) -> Iterator[_Record | Problem]:
    for one in file.records():
        if isinstance(one, Problem):
            yield one
            continue
        number, row = one
        if "." in (row.get("JobID") or ""):  # a step of a job
            continue
        try:
            yield _text_record(number, row)
        except Unusable as unusable:
            yield unusable.problem(file, number)


def _text_record(number: int, row: Mapping[str, str | None]) -> _Record:
    run_id = text(row.get("JobID")) or text(row.get("JobIDRaw"))
    if run_id is None:
        raise Unusable("missing-identity", "the job has no JobID")
    word, _, by = (text(row.get("State")) or "UNKNOWN").partition(" ")
    submitted, started = _time(row.get("Submit"), "Submit"), _time(row.get("Start"), "Start")
    counts = []
    for kind, count in _RESOURCE.findall(row.get("AllocTRES") or ""):
        found = quantity(count, "gres/gpu of AllocTRES")
        if found is not None:
            counts.append((kind or None, found))
    gpus, card = _gpus(counts)
    code = text(row.get("ExitCode"))
    reason = ", ".join(
        part
        for part in (f"exit code {code}" if code and code != "0:0" else None, by or None, _said(row.get("Reason")))
        if part
    )
    attempt = Attempt(
        run_id=run_id,
        outcome=SLURM.outcome(word.rstrip("+")),
        state=word,
        key=_key(run_id, submitted),
        name=text(row.get("JobName")),
        experiment=text(row.get("Partition")),
        reason=reason or None,
        submitted=submitted,
        started=started,
        ended=_time(row.get("End"), "End"),
        gpus=gpus,
        gpu_type=card,
        instance_count=_whole(row.get("NNodes")) if started else None,
        held=_elapsed(row) if started else None,
        user=text(row.get("User")),
        account=text(row.get("Account")),
        tags={
            key: value
            for key, name in (("account", "Account"), ("partition", "Partition"), ("qos", "QOS"))
            if (value := text(row.get(name)))
        },
        source=text(row.get("Cluster")),
    )
    return _Record(number, attempt, _whole(row.get("Restarts")))


def _elapsed(row: Mapping[str, str | None]) -> Decimal | None:
    raw = row.get("ElapsedRaw")
    if raw is not None:
        return quantity(raw, "ElapsedRaw")
    written = (row.get("Elapsed") or "").strip()
    if not written:
        return None
    found = _ELAPSED.match(written)
    if found is None:
        raise Unusable("unparsable-amount", f"Elapsed is not [days-]hours:minutes:seconds: {written[:80]}")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return quantity(((days * 24 + hours) * 60 + minutes) * 60 + seconds, "Elapsed")


def _time(value: str | None, what: str) -> datetime | None:
    return None if value is None or value.strip().casefold() in _NO_TIME else at(value, what)


def _numbered(records: list[_Record]) -> Iterator[_Record]:
    """The records with their attempt number: as Slurm counts restarts where it does, else in order of start."""
    attempts: dict[tuple[str | None, str], list[_Record]] = {}
    for record in records:
        attempts.setdefault((record.attempt.source, record.attempt.run_id), []).append(record)
    for group in attempts.values():
        group.sort(key=lambda one: (one.attempt.started or one.attempt.submitted or datetime.max, one.line))
        counted = [one.restarts for one in group if one.restarts is not None]
        told_by_slurm = len(counted) == len(group) and len(set(counted)) == len(group)
        for order, record in enumerate(group, start=1):
            number = record.restarts + 1 if told_by_slurm and record.restarts is not None else order
            key = record.attempt.key or f"{record.attempt.run_id}#{number}"
            yield replace(record, attempt=replace(record.attempt, attempt=number, key=key))


def _key(run_id: str, submitted: datetime | None) -> str | None:
    """Job id and submission time, as in Slurm's own database: so an attempt is the same in any export."""
    return f"{run_id}@{submitted.isoformat()}" if submitted else None


def _state(value: Any) -> str:  # noqa: ANN401 - whatever a file holds
    """The state of ``"COMPLETED"``, ``["COMPLETED"]`` and ``{"current": […]}``; flags follow the state in a list."""
    if isinstance(value, dict):
        value = value.get("current")
    words = [found for one in (value if isinstance(value, list) else [value]) if (found := text(one))]
    words = [word.split()[0] for word in words]
    return next((word for word in words if SLURM.outcome(word) != "unknown"), words[0] if words else "UNKNOWN")


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """A number that may be wrapped as ``{"set", "infinite", "number"}``; None if it is not set."""
    if not isinstance(value, dict):
        return value
    if value.get("infinite") is True or value.get("set") is False:
        return None
    return value.get("number")


def _whole(value: Any) -> int | None:  # noqa: ANN401 - whatever a file holds
    """A whole number, wrapped or not; None for anything else."""
    try:
        found = quantity(_plain(value), "a count")
    except Unusable:
        return None
    return int(found) if found is not None and found == int(found) else None


def _said(value: str | None) -> str | None:
    found = text(value)
    return None if found is None or found.casefold() == "none" else found


def _tags(job: Mapping[str, Any], *keys: str) -> dict[str, str]:
    return {key: found for key in keys if (found := text(job.get(key)))}
