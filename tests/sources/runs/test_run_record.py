"""Outlay's own run records are read event by event, and an attempt without an end is not taken for more than it is."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from outlay.problems import Problem
from outlay.sources.facts import Fact
from outlay.sources.runs.run_record import RunRecordReader
from tests.sources.runs.reading import FIXTURES, dumps, mangled, read, rows, survives

READER = RunRecordReader()
RECORD = FIXTURES / "run_record" / "ranker-1.jsonl"
EVENTS = [json.loads(line) for line in RECORD.read_text().splitlines()]


def test_three_attempts_of_one_run() -> None:
    killed, ended, done = (fact.values for fact in rows(READER, RECORD))
    # Killed: 8 GPUs from 04:00 to the last heartbeat at 04:30, saved at 04:15.
    assert (killed["x_Outcome"], killed["end_time"]) == ("unknown", datetime(2026, 10, 3, 4, 30))
    assert (killed["x_GpuHours"], killed["x_LostGpuHours"]) == (Decimal(4), Decimal(2))
    # Ended by SIGTERM after half an hour, never saved: the first attempt's checkpoint is the last, so all is lost.
    assert (ended["x_Outcome"], ended["x_Reason"]) == ("cancelled", "SIGTERM")
    assert (ended["x_GpuHours"], ended["x_LostGpuHours"]) == (Decimal(4), Decimal(4))
    assert (done["x_Outcome"], done["x_GpuHours"]) == ("succeeded", Decimal(12))
    assert "x_LostGpuHours" not in done


def test_the_last_attempt_without_an_end_is_running(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in EVENTS[:4]))
    fact = rows(READER, path)[0]
    assert fact.values["x_Outcome"] == "running"
    assert fact.values["x_GpuHours"] == Decimal(4)  # up to its last heartbeat
    assert not fact.values.keys() & {"end_time", "x_LostGpuHours"}
    assert fact.identity == rows(READER, RECORD)[0].identity


def test_a_start_alone_and_an_end_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(EVENTS[0]))
    assert rows(READER, path)[0].values["x_GpuHours"] == Decimal(0)  # nothing seen of it since
    path.write_text(json.dumps(EVENTS[-1]) + "\n")
    values = rows(READER, path)[0].values
    assert values["x_Outcome"] == "succeeded"
    assert not values.keys() & {"start_time", "x_GpuHours"}


def test_bad_events_are_problems_and_the_others_count(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = [json.dumps(event) for event in EVENTS[6:]]
    bad = [
        '{"outlay_run": 1, "event": "heartbeat", "time": "2026-10-03T06:10:00Z"}',
        '{"outlay_run": 1, "event": "heartbeat", "run": "ranker-1", "attempt": 0, "time": "2026-10-03T06:10:00Z"}',
        '{"outlay_run": 1, "event": "heartbeat", "run": "ranker-1", "attempt": 3}',
        '{"outlay_run": 1, "event": "heartb',
    ]
    path.write_text("\n".join([lines[0], *bad, lines[1]]) + "\n")
    found = read(READER, path)
    assert [(one.line, one.code) for one in found if isinstance(one, Problem)] == [
        (2, "missing-identity"),
        (3, "unparsable-amount"),
        (4, "missing-time"),
        (5, "not-json"),
    ]
    assert [one.values["x_GpuHours"] for one in found if isinstance(one, Fact)] == [Decimal(12)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=mangled(EVENTS))
def test_no_content_crashes_the_reader(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("".join(dumps(event) + "\n" for event in document) if document else "[]")
    survives(READER, path)
