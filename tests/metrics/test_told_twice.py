"""Requests that a report and traces both tell are said to be counted twice, first, and only where they may be."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.metrics.answer import answer
from outlay.metrics.kpis import kpi_report
from outlay.metrics.query import Query, filters
from outlay.metrics.result import Receipt
from outlay.sources.loading import load
from tests.metrics.test_facts import START, a_cut_of_inference, call
from tests.metrics.test_reconciliation import DAY, usage
from tests.sources.focus_bills import run_outlay, write_csv

NOVEMBER = int((datetime(2026, 11, 1, tzinfo=UTC) - START).total_seconds()) // 60
MINUTES = DAY // 60


def calls(path: Path, *days: int, **more: Any) -> Path:
    """Two calls on each of the days from 1 November on."""
    made = [
        call(NOVEMBER + day * MINUTES + again, team="search", seconds=1, **more) for day in days for again in range(2)
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in made))
    return path


def ledger_of(folder: Path, *paths: Path) -> Ledger:
    ledger = Ledger(folder / "ledger")
    load(ledger, paths, Settings())
    return ledger


def receipt(ledger: Ledger, metric: str = "requests", *by: str, **more: Any) -> Receipt:
    return answer(ledger, Query((metric,), by, **more), Settings()).receipt


def test_a_report_and_traces_of_the_same_days_are_noted_first(tmp_path: Path) -> None:
    report = usage(tmp_path / "u.json", 100, 100, 100)
    ledger = ledger_of(tmp_path, report, calls(tmp_path / "spans.jsonl", 1, 2, 3, model="gpt-4o-mini-2024-07-18"))
    found = receipt(ledger)
    (twice,) = found.told_twice
    assert (twice.provider, twice.since, twice.until, twice.days) == (
        "OpenAI", date(2026, 11, 2), date(2026, 11, 4), 2,
    )  # fmt: skip
    assert (twice.in_buckets, twice.by_call) == ((("openai-usage", 2),), (("otlp", 4),))
    assert found.notes[0] == twice.text == found.to_json()["told_twice"][0]["message"]
    assert "on 2 days from 2026-11-02 to 2026-11-03 may be counted twice" in twice.text
    assert "(openai-usage: 2 requests)" in twice.text
    assert "(otlp: 4 requests)" in twice.text
    assert kpi_report(ledger, Settings()).told_twice == (twice,)


def test_other_days_models_and_providers_are_not_the_same_calls(tmp_path: Path) -> None:
    report = usage(tmp_path / "u.json", 100, 100)
    others = [
        calls(tmp_path / "later.jsonl", 2, 3),
        calls(tmp_path / "model.jsonl", 0, 1, model="gpt-4o"),
        calls(tmp_path / "azure.jsonl", 0, 1, provider="azure.ai.openai"),
    ]
    for place, spans in enumerate(others):
        folder = tmp_path / str(place)
        folder.mkdir()
        assert receipt(ledger_of(folder, report, spans)).told_twice == ()


def test_what_is_asked_apart_or_of_one_source_is_not_counted_twice(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, usage(tmp_path / "u.json", 100), calls(tmp_path / "spans.jsonl", 0))
    assert receipt(ledger, "requests", "model").told_twice
    assert receipt(ledger, "requests", "source").told_twice == ()
    assert receipt(ledger, where=filters(["source=openai-usage"])).told_twice == ()
    assert receipt(ledger, since=datetime(2026, 12, 1)).told_twice == ()


def test_naming_the_sources_to_count_gives_the_cost_per_inference_of_one(tmp_path: Path) -> None:
    line = a_cut_of_inference("6", "search")
    bill = write_csv(tmp_path / "bill.csv", [line], list(line))
    ledger = ledger_of(tmp_path, bill, usage(tmp_path / "u.json", 100), calls(tmp_path / "spans.jsonl", 0))
    both = answer(ledger, Query(("cost_per_inference",)), Settings())
    assert both.rows[0].figures["cost_per_inference"].value == 2  # 6 dollars / (1 + 2) requests: too low
    (of_bill,) = receipt(ledger, "ai_cost").sources
    named = filters([f"source={of_bill}", "source=otlp"])
    one = answer(ledger, Query(("cost_per_inference",), where=named), Settings())
    assert one.rows[0].figures["cost_per_inference"].value == 3
    assert one.receipt.told_twice == ()


def test_the_commands_say_it_before_any_figure(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, usage(tmp_path / "u.json", 100), calls(tmp_path / "spans.jsonl", 0))
    for command in (("kpis",), ("query", "requests")):
        said = run_outlay(*command, "--ledger", str(ledger.path))[1]
        assert said.startswith("note: Requests of OpenAI on 2026-11-01 may be counted twice")
        assert said.count("may be counted twice") == 1
    document = json.loads(run_outlay("kpis", "--json", "--ledger", str(ledger.path))[1])
    assert document["notes"][0] == document["told_twice"][0]["message"]
