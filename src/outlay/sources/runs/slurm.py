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

Source: https://slurm.schedmd.com/sacct.html; the fields of the JSON by Slurm's own source (data_parser v0.0.42, JOB).
Not tried against a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Literal

from outlay.ledger.tables.runs import RUNS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import listed, mapped, told
from outlay.sources.runs.slurm_json import json_records
from outlay.sources.runs.slurm_record import Record
from outlay.sources.runs.slurm_text import text_records

__all__ = ["SlurmReader"]

_TEXT_COLUMNS = {"Start", "End", "Submit", "Elapsed", "ElapsedRaw", "AllocTRES"}


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
        records: list[Record] = []
        for one in text_records(file) if file.kind == "csv" else json_records(file):
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


def _numbered(records: list[Record]) -> Iterator[Record]:
    """The records with their attempt number: as Slurm counts restarts where it does, else in order of start."""
    attempts: dict[tuple[str | None, str], list[Record]] = {}
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
