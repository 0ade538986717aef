"""``sacct --parsable2``: text with ``|``, times without their zone, elapsed time in seconds or as a clock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.runs.attempt import Attempt, at, quantity, text
from outlay.sources.runs.slurm_record import Record, gpus_of, key_of, restarts_of, whole
from outlay.sources.runs.states import SLURM

__all__ = ["text_records"]

_ELAPSED = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)(?:\.\d+)?$")
_NO_TIME = {"unknown", "none", "n/a"}
_RESOURCE = re.compile(r"gres/gpu(?::([^=,]*))?=([^,]*)")


def text_records(file: FactFile) -> Iterator[Record | Problem]:
    """The jobs of ``sacct --parsable2``, without their steps."""
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


def _text_record(number: int, row: Mapping[str, str | None]) -> Record:
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
    gpus, card = gpus_of(counts)
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
        key=key_of(run_id, submitted),
        name=text(row.get("JobName")),
        experiment=text(row.get("Partition")),
        reason=reason or None,
        submitted=submitted,
        started=started,
        ended=_time(row.get("End"), "End"),
        gpus=gpus,
        gpu_type=card,
        instance_count=whole(row.get("NNodes")) if started else None,
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
    return Record(number, attempt, restarts_of(row.get("Restarts")))


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


def _said(value: str | None) -> str | None:
    found = text(value)
    return None if found is None or found.casefold() == "none" else found
