"""Outlay's own run record: the JSON lines that ``outlay.training_run(...)`` writes, or anything else that writes them.

Each line is an event of one attempt of a run::

    {"outlay_run": 1, "event": "start", "run": "ranker-4101", "attempt": 1, "time": "2026-10-03T04:00:00.000Z",
     "name": "ranker", "gpus": 8, "gpu_type": "H100", "tags": {"team": "search"}}

``start``, ``heartbeat``, ``checkpoint``, ``signal`` (SIGTERM came) and ``end`` (with ``outcome`` and ``reason``).

The trap is the attempt without an ``end``: its process was killed, or it still runs, and the file can't tell which. It
is ``running``, with GPU hours up to its last sign of life, until a later attempt of the run is there: then it is over,
``unknown``, and that last sign is the best that is known of its end. After SIGTERM it is ``cancelled``. GPU hours of
such attempts are at least so many. A checkpoint of an earlier attempt holds for the later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from outlay.ledger.tables.runs import RUNS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, at, quantity, text
from outlay.sources.runs.gpu_names import gpu_type
from outlay.sources.runs.hardware import noted
from outlay.sources.runs.states import RUN_RECORD

__all__ = ["RunRecordReader"]


@dataclass(slots=True)
class _Told:
    """What the events of one attempt say so far."""

    line: int
    start: Mapping[str, Any] = field(default_factory=dict)
    started: datetime | None = None
    seen: datetime | None = None
    checkpoint: datetime | None = None
    signal: str | None = None
    ended: datetime | None = None
    outcome: str | None = None
    reason: str | None = None


class RunRecordReader:
    """Reads run records."""

    format = Format(
        "run-record",
        "Outlay run record (outlay.training_run)",
        "The JSON lines in the folder that outlay.training_run writes to; nothing to export.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Lines with ``outlay_run`` and an event."""
        first = file.first if '"outlay_run"' in file.head else None
        return first is not None and "outlay_run" in first and "event" in first

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row an attempt, from all of its events."""
        runs: dict[str, dict[int, _Told]] = {}
        for one in file.objects():
            if isinstance(one, Problem):
                yield one
                continue
            try:
                _take(runs, *one)
            except Unusable as unusable:
                yield unusable.problem(file, one[0])
        for run_id, attempts in runs.items():
            saved: datetime | None = None
            for number in sorted(attempts):
                told = attempts[number]
                saved = max((one for one in (saved, told.checkpoint) if one is not None), default=None)
                try:
                    yield _attempt(run_id, number, told, saved, is_last=number == max(attempts)).fact(told.line)
                except Unusable as unusable:
                    yield unusable.problem(file, told.line)


def _take(runs: dict[str, dict[int, _Told]], line: int, event: Mapping[str, Any]) -> None:
    """Add one event to what is known of its attempt."""
    run_id, number = text(event.get("run")), quantity(event.get("attempt", 1), "attempt")
    if run_id is None:
        raise Unusable("missing-identity", "the event has no run")
    if number is None or number != int(number) or number < 1:
        raise Unusable("unparsable-amount", "the attempt is no whole number from 1")
    time = at(event.get("time"), "time")
    if time is None:
        raise Unusable("missing-time", "the event has no time")
    what = event.get("event")
    told = runs.setdefault(run_id, {}).setdefault(int(number), _Told(line))
    told.seen = max(time, told.seen or time)
    if what == "start":
        told.line, told.start, told.started = line, event, time
    elif what == "checkpoint":
        told.checkpoint = max(time, told.checkpoint or time)
    elif what == "signal":
        told.signal = text(event.get("signal"))
    elif what == "end":
        told.ended, told.outcome, told.reason = time, text(event.get("outcome")), text(event.get("reason"))


def _attempt(run_id: str, number: int, told: _Told, saved: datetime | None, *, is_last: bool) -> Attempt:
    start = told.start
    state, ended, reason = told.outcome or "unknown", told.ended, told.reason
    if ended is None:
        if told.signal:
            state, reason, ended = "cancelled", told.signal, told.seen
        elif is_last:
            state = "running"
        else:
            state, reason, ended = (
                "unknown",
                "no end recorded; not before the last sign of life",
                told.seen,
            )
    gpus = quantity(start.get("gpus"), "gpus")
    hardware = noted(
        {
            "outlay.gpu_count": gpus,
            "outlay.instance_type": start.get("instance_type"),
            "outlay.instance_count": start.get("instance_count"),
        },
        on=told.started.date() if told.started else None,
    )
    tags = start.get("tags")
    return Attempt(
        run_id=run_id,
        attempt=number,
        outcome=RUN_RECORD.outcome(state),
        state=state,
        name=text(start.get("name")),
        workload=text(start.get("workload")) or "training",
        reason=reason,
        started=told.started,
        ended=ended,
        held=_held(told) if ended is None else None,
        gpus=hardware.gpus,
        gpu_type=gpu_type(text(start.get("gpu_type"))) or hardware.gpu_type,
        instance_type=hardware.instance_type,
        instance_count=hardware.instance_count,
        interruptible=start["interruptible"] if isinstance(start.get("interruptible"), bool) else None,
        checkpoint=saved,
        user=text(start.get("user")),
        model=text(start.get("model")),
        tags={
            key: value
            for name, one in (tags.items() if isinstance(tags, dict) else ())
            if (key := text(name)) and (value := text(one))
        },
    )


def _held(told: _Told) -> Decimal | Fraction | None:
    """Seconds from the start to the last sign of life, of an attempt that has no end."""
    if told.started is None or told.seen is None:
        return None
    span = told.seen - told.started
    return Fraction((span.days * 86_400 + span.seconds) * 10**6 + span.microseconds, 10**6)
