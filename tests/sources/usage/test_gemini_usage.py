"""Google's responses are read wherever they were written down: thoughts are output, tools' prompts are input."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.sources.fact_file import open_facts
from outlay.sources.usage.gemini_usage import GeminiUsageReader
from tests.sources.usage.call_logs import FIXTURES, check, read, spoilt

READER = GeminiUsageReader()
FOLDER = FIXTURES / "gemini_usage"
LINES = [json.loads(line) for path in sorted(FOLDER.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_thoughts_are_output_and_cached_tokens_input() -> None:
    facts, problems = read(READER, FOLDER / "responses.jsonl")
    assert problems == []
    first = facts[0]
    assert first.identity == "resp-0001"
    assert first.values["gen_ai_usage_input_tokens"] == 100_000
    assert first.values["gen_ai_usage_cache_read_input_tokens"] == 90_000
    assert first.values["gen_ai_usage_output_tokens"] == 4500
    assert first.values["gen_ai_usage_reasoning_output_tokens"] == 4000
    assert first.values["gen_ai_provider_name"] == "gcp.gen_ai"


def test_the_sdks_names_are_read_too_and_tools_put_tokens_into_the_prompt() -> None:
    facts, _ = read(READER, FOLDER / "responses.jsonl")
    second = facts[1].values
    assert second["gen_ai_usage_input_tokens"] == 1030
    assert (second["x_Meter_input"], second["x_Meter_input_audio"], second["x_Meter_tool_input"]) == (200, 800, 30)
    assert second["start_time"] == datetime(2026, 10, 5, 9)
    assert (second["gen_ai_request_model"], second["gen_ai_response_model"]) == (
        "gemini-flash-latest",
        "gemini-2.5-flash",
    )


def test_a_response_without_counts_says_so() -> None:
    facts, _ = read(READER, FOLDER / "responses.jsonl")
    assert facts[2].values["x_Remarks"] == "usage-not-told"
    assert (facts[2].identity, facts[2].values["gen_ai_response_model"]) == ("resp-0003", "gemini-2.5-flash")
    assert "gen_ai_usage_input_tokens" not in facts[2].values


def test_vertex_logs_who_asked_where_and_how_long_it_took() -> None:
    facts, problems = read(READER, FOLDER / "request_response_log.jsonl")
    assert problems == []
    first = facts[0]
    assert first.tags == {"team": "search"}
    assert {
        "start_time": datetime(2026, 10, 5, 9, 3, 0, 250000),
        "gen_ai_provider_name": "gcp.vertex_ai",
        "gen_ai_request_model": "gemini-2.5-pro",
        "gen_ai_usage_input_tokens": 10,
        "gen_ai_usage_output_tokens": 5,
        "x_DurationSeconds": Decimal("1.2345"),
        "x_Project": "acme-ai",
        "x_Region": "us-central1",
        "x_TraceId": "0af7651916cd43dd8448eb211c80319c",
    }.items() <= first.values.items()
    assert "x_PriceContext" not in first.values  # ON_DEMAND is the ordinary price


def test_only_the_last_chunk_of_a_stream_counts() -> None:
    facts, _ = read(READER, FOLDER / "request_response_log.jsonl")
    stream = facts[1]
    assert stream.identity == "resp-0005"
    assert (stream.values["gen_ai_usage_input_tokens"], stream.values["gen_ai_usage_output_tokens"]) == (20, 21)
    assert stream.values["x_PriceContext"] == "service_tier=flex"


def test_an_error_is_a_request_without_usage() -> None:
    facts, _ = read(READER, FOLDER / "request_response_log.jsonl")
    failed = facts[2].values
    assert (failed["x_Succeeded"], failed["error_type"]) == (0, "RESOURCE_EXHAUSTED")
    assert "gen_ai_usage_input_tokens" not in failed


def test_claude_on_vertex_leaves_the_cache_out_of_its_input() -> None:
    facts, _ = read(READER, FOLDER / "request_response_log.jsonl")
    claude = facts[3].values
    assert (claude["gen_ai_usage_input_tokens"], claude["gen_ai_usage_output_tokens"]) == (2012, 7)
    assert (claude["gen_ai_response_model"], claude["gen_ai_operation_name"]) == ("claude-sonnet-4-5-20250929", "chat")


def test_the_output_of_a_batch_is_priced_as_a_batch() -> None:
    facts, problems = read(READER, FOLDER / "batch_output.jsonl")
    assert problems == []
    assert facts[0].values["x_PriceContext"] == "processing=batch"
    assert facts[0].values["gen_ai_usage_input_tokens"] == 400
    assert (facts[1].values["x_Succeeded"], facts[1].values["error_type"]) == (0, "Bad Request")


def test_bigquerys_csv_says_the_same(tmp_path: Path) -> None:
    import csv

    rows = [json.loads(line) for line in (FOLDER / "request_response_log.jsonl").read_text().splitlines()]
    path = tmp_path / "log.csv"
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    facts, problems = read(READER, path)
    wanted, _ = read(READER, FOLDER / "request_response_log.jsonl")
    assert problems == []
    assert [(one.identity, one.values, one.tags) for one in facts] == [
        (one.identity, one.values, one.tags) for one in wanted
    ]


def test_bad_records_are_problems(tmp_path: Path) -> None:
    good = LINES[-3]
    assert good["responseId"] == "resp-0001"
    path = tmp_path / "lines.jsonl"
    timeless = {key: value for key, value in good.items() if key != "timestamp"}
    spoilt_usage = good | {"usageMetadata": good["usageMetadata"] | {"promptTokenCount": -1}}
    path.write_text("".join(json.dumps(one) + "\n" for one in (good, timeless, spoilt_usage)))
    facts, problems = read(READER, path)
    assert len(facts) == 1
    assert [(one.line, one.code) for one in problems] == [(2, "unparsable-time"), (3, "negative-quantity")]


@pytest.mark.parametrize(
    "content",
    [
        '{"usageMetadata": {"promptTokenCount": 1}}',  # no model
        '{"modelVersion": "gemini-2.5-flash"}',
        '{"request_id": "1", "call_type": "x", "response": {"usageMetadata": {}, "modelVersion": "m"}}',
        "[]",
        "a,b\n1,2\n",
    ],
)
def test_other_files_are_not_taken_for_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=spoilt(LINES))
def test_no_content_breaks_the_reader(tmp_path: Path, records: list[Any]) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text("{}\n" + "".join(json.dumps(one) + "\n" for one in records))
    file = open_facts(path)
    READER.recognises(file)
    for one in READER.facts(file):
        check(one)
