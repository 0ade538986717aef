"""Of Langfuse's observations only the calls are counted, once, with exclusive counts put together."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.prices.usage import normalise
from outlay.sources.fact_file import open_facts
from outlay.sources.usage.langfuse_export import LangfuseReader
from outlay.sources.usage.langfuse_usage import langfuse_usage
from tests.sources.usage.call_logs import FIXTURES, check, read, spoilt, spoilt_cells, total

READER = LangfuseReader()
FOLDER = FIXTURES / "langfuse"
V2 = FOLDER / "observations_v2.json"
PAGE: dict[str, Any] = json.loads(V2.read_text())
TRACE: dict[str, Any] = json.loads((FOLDER / "trace_v1.json").read_text())
CELLS = list(csv.reader(io.StringIO((FOLDER / "blob_observations.csv").read_text())))


def test_only_calls_count_and_what_an_agent_repeats_does_not() -> None:
    facts, problems = read(READER, V2)
    assert problems == []
    assert [fact.line for fact in facts] == [2, 3, 4, 5, 7]
    assert total(facts, "gen_ai_usage_input_tokens") == 1200 + 150 + 64
    assert total(facts, "x_Requests") == 5


def test_exclusive_counts_make_the_whole() -> None:
    facts, _ = read(READER, V2)
    first = facts[0].values
    assert (first["gen_ai_usage_input_tokens"], first["gen_ai_usage_cache_read_input_tokens"]) == (1200, 1024)
    assert (first["gen_ai_usage_output_tokens"], first["gen_ai_usage_reasoning_output_tokens"]) == (50, 30)
    assert "x_Remarks" not in first


def test_counts_that_fit_their_total_only_as_parts_are_parts() -> None:
    facts, _ = read(READER, V2)
    second = facts[1].values  # 150 of input hold 100 read and 40 written, as the total of 170 shows
    assert second["gen_ai_usage_input_tokens"] == 150
    assert (second["x_Meter_input"], second["x_Meter_cache_read"], second["x_Meter_cache_write"]) == (10, 100, 40)


@pytest.mark.parametrize(
    ("details", "meters"),
    [
        ({"input": 5, "output": 7}, {"input": 5, "output": 7}),
        (
            {"input": 5, "input_cache_creation_5m": 3, "input_cache_creation_1h": 2, "output": 1},
            {"input": 5, "cache_write_5m": 3, "cache_write_1h": 2, "output": 1},
        ),
        (
            {"input_text_tokens": 5, "input_audio_tokens": 6, "output": 1, "output_audio": 4},
            {"input": 5, "input_audio": 6, "output": 1, "output_audio": 4},
        ),
        (  # input holds the cached, output does not hold the reasoning: only so it makes 130
            {"input": 100, "input_cached_tokens": 60, "output": 20, "reasoning_tokens": 10, "total": 130},
            {"input": 40, "cache_read": 60, "output": 20, "output_reasoning": 10},
        ),
        ({"input": 10, "output": 5, "input_priority": 10}, {"input": 10, "output": 5}),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}},
            {"input": 5, "cache_read": 4, "output": 1},
        ),
    ],
)
def test_names_of_counts(details: dict[str, Any], meters: dict[str, int]) -> None:
    raw, remarks = langfuse_usage({"usageDetails": details})
    assert remarks == []
    assert dict(normalise("openai", raw, flavor="chat").meters) == {**meters, "requests": 1}


def test_a_name_that_says_nothing_known_is_remarked() -> None:
    assert langfuse_usage({"usageDetails": {"input": 5, "web_search": 2}})[1] == ["unread-count"]
    assert langfuse_usage({"usageDetails": {"input": 5, "output": 2, "total": 9}})[1] == ["total"]


def test_who_called_and_what_it_cost() -> None:
    facts, _ = read(READER, V2)
    first = facts[0]
    assert (first.identity, first.source) == ("b7ad6b7169203331", "langfuse-clx-1")
    assert first.tags == {
        "feature": "answer-tickets",
        "team": "support",
        "beta": "true",
        "environment": "production",
        "trace_name": "answer-ticket",
        "name": "draft",
        "prompt_name": "draft-answer",
        "session_id": "s-9",
    }
    assert {
        "start_time": datetime(2026, 10, 5, 9, 0, 1),
        "x_Succeeded": 1,
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt-4o-mini",
        "gen_ai_response_model": "gpt-4o-mini-2024-07-18",
        "gen_ai_operation_name": "chat",
        "x_DurationSeconds": Decimal("2.5"),
        "x_FirstTokenSeconds": Decimal("0.4"),
        "x_User": "ana",
        "x_Service": "ticket-bot",
        "x_TraceId": "0af7651916cd43dd8448eb211c80319c",
        "x_SpanId": "b7ad6b7169203331",
        "x_ReportedCost": Decimal("0.0001332"),
        "x_ReportedCurrency": "USD",
    }.items() <= first.values.items()


def test_errors_embeddings_and_calls_under_way() -> None:
    facts, _ = read(READER, V2)
    failed, embedding, running = (fact.values for fact in facts[2:])
    assert (failed["x_Succeeded"], failed["error_type"]) == (0, "openai.RateLimitError")
    assert "x_ReportedCost" not in failed  # Langfuse's 0 is no price
    assert (embedding["gen_ai_operation_name"], embedding["gen_ai_usage_output_tokens"]) == ("embeddings", 0)
    assert "x_Succeeded" not in running
    assert running["x_Remarks"] == "provider-not-told;usage-not-told"


def test_blob_storage_says_the_same_in_json_lines_and_csv() -> None:
    wanted, _ = read(READER, V2)
    for name in ("blob_observations.jsonl", "blob_observations.csv"):
        facts, problems = read(READER, FOLDER / name)
        assert problems == []
        assert [(one.identity, one.values, one.tags, one.source) for one in facts] == [
            (one.identity, one.values, one.tags, one.source) for one in wanted
        ]


def test_an_old_trace_gives_its_calls_with_what_the_trace_knows() -> None:
    facts, problems = read(READER, FOLDER / "trace_v1.json")
    assert problems == []
    call, speech = facts
    assert (call.values["gen_ai_usage_input_tokens"], call.values["gen_ai_usage_output_tokens"]) == (1000, 100)
    assert call.values["x_ReportedCost"] == Decimal("0.0065")
    assert call.values["x_User"] == "bob"
    assert (call.tags["team"], call.tags["trace_name"]) == ("search", "legacy")
    assert speech.values["x_Remarks"] == "provider-not-told;unit-not-tokens"
    assert "gen_ai_usage_input_tokens" not in speech.values


def test_lists_of_observations_have_flat_counts(tmp_path: Path) -> None:
    row = {
        "id": "o",
        "traceId": "t",
        "type": "GENERATION",
        "startTime": "2026-10-05T09:00:00Z",
        "level": "DEFAULT",
        "inputTokens": "12",
        "outputTokens": "3",
        "totalTokens": "15",
    }
    path = tmp_path / "ui.csv"
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(row))
        writer.writeheader()
        writer.writerow(row)
    (fact,), _ = read(READER, path)
    assert (fact.values["gen_ai_usage_input_tokens"], fact.values["gen_ai_usage_output_tokens"]) == (12, 3)


def test_bad_observations_are_problems(tmp_path: Path) -> None:
    good = PAGE["data"][1]
    bad = [
        good | {"startTime": "?"},
        good | {"usageDetails": {"input": -1}},
        good | {"usageDetails": {"input": "x"}},
        5,
    ]
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"data": [good, *bad]}))
    facts, problems = read(READER, path)
    assert len(facts) == 1
    assert [(one.line, one.code) for one in problems] == [
        (2, "unparsable-time"),
        (3, "negative-quantity"),
        (4, "unparsable-amount"),
        (5, "not-json"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        '{"data": [{"id": "1", "type": "GENERATION"}]}',
        '{"object": "page", "data": [{"object": "bucket", "start_time": 1}]}',
        '[{"id": "t", "timestamp": "2026-10-05T09:00:00Z", "name": "trace"}]',
        "id,type,name\n1,GENERATION,x\n",
    ],
)
def test_other_files_are_not_taken_for_observations(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(page=spoilt(PAGE), trace=spoilt(TRACE))
def test_no_json_breaks_the_reader(tmp_path: Path, page: Any, trace: Any) -> None:
    path = tmp_path / "page.json"
    for document in (page, trace):
        path.write_text(json.dumps([document]))
        file = open_facts(path)
        READER.recognises(file)
        for one in READER.facts(file):
            check(one)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=spoilt_cells(CELLS))
def test_no_cell_breaks_the_reader(tmp_path: Path, cells: list[list[str]]) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(cells)
    for one in READER.facts(open_facts(path)):
        check(one)
