"""Alerts keep their clocks: times in UTC, in a possible order, and null where nothing was done yet."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.sources.fact_file import open_facts
from outlay.sources.records.alerts_csv import AlertsReader
from tests.sources.records.reading import FIXTURES, broken_csv, read, written

_READER = AlertsReader()
_SAMPLE = (FIXTURES / "alerts.csv").read_text()


def test_alerts() -> None:
    (acted, open_still, bare), problems = read(_READER, FIXTURES / "alerts.csv")
    assert problems == []
    assert acted.values == {
        "x_AlertId": "a-1",
        "x_Budget": "llm-production",
        "x_Threshold": Decimal("0.8"),
        "x_Amount": Decimal(50_000),
        "x_Currency": "USD",
        "crossed_at": datetime(2026, 10, 12, 14),
        "raised_at": datetime(2026, 10, 12, 14, 5),
        "acknowledged_at": datetime(2026, 10, 12, 15),
        "acted_at": datetime(2026, 10, 13, 9, 30),
        "x_By": "Kim",
        "x_Action": "moved batch jobs to the batch tier",
    }
    assert acted.tags == {"team": "platform"}
    assert open_still.values["crossed_at"] == datetime(2026, 10, 25), "UTC"
    assert not {"acknowledged_at", "acted_at"} & set(open_still.values)
    assert bare.values["acted_at"] == bare.values["crossed_at"], "at once is possible"
    assert not {"x_Amount", "x_Currency"} & set(bare.values)


@pytest.mark.parametrize(
    ("shown", "share"), [("0.8", "0.8"), ("80 %", "0.8"), ("80%", "0.8"), ("1.2", "1.2"), ("120 %", "1.2")]
)
def test_thresholds(tmp_path: Path, shown: str, share: str) -> None:
    row = f"alert_id,budget,threshold,crossed_at\na,b,{shown},2026-10-01T00:00:00Z\n"
    (fact,), _ = read(_READER, written(tmp_path, "a.csv", row))
    assert fact.values["x_Threshold"] == Decimal(share)


_TIMES = "2026-10-02T00:00:00Z"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (f",b,0.8,,,{_TIMES},,,,,,", "unusable-record"),
        (f"x,,0.8,,,{_TIMES},,,,,,", "unusable-record"),
        (f"x,b,,,,{_TIMES},,,,,,", "unusable-record"),
        (f"x,b,80,,,{_TIMES},,,,,,", "unusable-record"),
        (f"x,b,0,,,{_TIMES},,,,,,", "unusable-record"),
        (f"x,b,-0.8,,,{_TIMES},,,,,,", "unusable-record"),
        (f"x,b,%,,,{_TIMES},,,,,,", "unparsable-amount"),
        (f"x,b,most,,,{_TIMES},,,,,,", "unparsable-amount"),
        (f"x,b,0.8,100,,{_TIMES},,,,,,", "missing-currency"),
        (f"x,b,0.8,100,$,{_TIMES},,,,,,", "bad-currency"),
        (f"x,b,0.8,lots,USD,{_TIMES},,,,,,", "unparsable-amount"),
        ("x,b,0.8,,,,,,,,,", "missing-time"),
        ("x,b,0.8,,,yesterday,,,,,,", "unparsable-time"),
        (f"x,b,0.8,,,{_TIMES},,,2026-10-01T00:00:00Z,,,", "unusable-record"),
        (f"x,b,0.8,,,{_TIMES},2026-10-01T23:59:59Z,,,,,", "unusable-record"),
        (f"x,b,0.8,,,{_TIMES},2026-10-03T00:00:00Z,2026-10-02T12:00:00Z,,,,", "unusable-record"),
    ],
)
def test_a_bad_alert_is_a_problem_and_the_others_load(tmp_path: Path, row: str, code: str) -> None:
    facts, problems = read(_READER, written(tmp_path, "a.csv", f"{_SAMPLE}{row}\n"))
    assert len(facts) == 3
    assert [(problem.code, problem.line) for problem in problems] == [(code, 5)]


def test_other_files_are_not_taken(tmp_path: Path) -> None:
    for header in ("alert_id,budget,threshold", "id,budget,threshold,crossed_at", "date,use_case,revenue [USD]"):
        assert not _READER.recognises(open_facts(written(tmp_path, "a.csv", f"{header}\n")))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=broken_csv(_SAMPLE))
def test_broken_rows_never_raise(tmp_path: Path, content: str) -> None:
    read(_READER, written(tmp_path, "a.csv", content))
