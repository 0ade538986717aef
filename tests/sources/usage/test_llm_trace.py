"""The two public traces load whole, to the token, and nothing is made up that they don't tell."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.usage.llm_trace import LLMTraceReader
from tests.shared import shared
from tests.sources.usage.call_logs import FIXTURES, check, read, spoilt, spoilt_cells

READER = LLMTraceReader()
AZURE = FIXTURES / "llm_trace" / "azure.csv"
MOONCAKE = FIXTURES / "llm_trace" / "mooncake.jsonl"
CELLS = [line.split(",") for line in AZURE.read_text().splitlines()]
LINES = [json.loads(line) for line in MOONCAKE.read_text().splitlines()]


@pytest.mark.parametrize(
    ("trace", "rows", "tokens_in", "tokens_out"),
    [
        ("AzureLLMInferenceTrace_conv.csv", 19_366, 22_361_870, 4_088_665),
        ("mooncake_conversation_trace.jsonl", 12_031, 144_793_823, 4_122_048),
    ],
)
def test_a_published_trace_loads_whole(trace: str, rows: int, tokens_in: int, tokens_out: int) -> None:
    file = open_facts(shared(f"data/llm_traces/{trace}"))
    assert READER.recognises(file)
    facts = [one for one in READER.facts(file) if isinstance(one, Fact)]
    assert len(facts) == len({fact.identity for fact in facts}) == rows
    assert sum(fact.values["gen_ai_usage_input_tokens"] for fact in facts) == tokens_in  # type: ignore[misc]
    assert sum(fact.values["gen_ai_usage_output_tokens"] for fact in facts) == tokens_out  # type: ignore[misc]


def test_azures_seven_decimals_are_cut_to_microseconds() -> None:
    facts, problems = read(READER, AZURE)
    assert problems == []
    assert [fact.values["start_time"] for fact in facts] == [
        datetime(2023, 11, 16, 18, 15, 46, 680590),
        datetime(2023, 11, 16, 18, 15, 50, 995169),
        datetime(2024, 5, 10, 0, 0, 0, 9930),
    ]
    assert facts[0].line == 2


def test_mooncakes_zero_is_no_date() -> None:
    facts, _ = read(READER, MOONCAKE)
    assert [fact.values["start_time"] for fact in facts] == [
        datetime(1970, 1, 1),
        datetime(1970, 1, 1),
        datetime(1970, 1, 1, 0, 0, 3),
    ]


def test_two_equal_requests_are_two_and_a_second_load_is_the_same_two() -> None:
    first, _ = read(READER, MOONCAKE)
    again, _ = read(READER, MOONCAKE)
    assert len({fact.identity for fact in first}) == 3
    assert [fact.identity for fact in first] == [fact.identity for fact in again]


def test_nothing_is_said_of_the_model_the_caller_or_the_outcome() -> None:
    for path in (AZURE, MOONCAKE):
        facts, _ = read(READER, path)
        assert set(facts[0].values) == {
            "start_time",
            "x_Kind",
            "x_Requests",
            "x_Remarks",
            "gen_ai_usage_input_tokens",
            "gen_ai_usage_output_tokens",
            "gen_ai_usage_cache_read_input_tokens",
            "gen_ai_usage_cache_write_input_tokens",
            "gen_ai_usage_reasoning_output_tokens",
            "x_Meter_input",
            "x_Meter_output",
            "x_Meter_requests",
        }
        assert facts[0].values["x_Remarks"] == "cache-not-told;model-not-told"
        assert facts[0].tags == {}


def test_bad_lines_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(AZURE.read_text() + "2023-11-16 18:15:51,x,1\nnever,1,1\n2023-11-16 18:15:51,-1,1\n")
    facts, problems = read(READER, path)
    assert len(facts) == 3
    assert [(one.line, one.code) for one in problems] == [
        (5, "unparsable-amount"),
        (6, "unparsable-time"),
        (7, "negative-quantity"),
    ]


@pytest.mark.parametrize(
    "content",
    ["TIMESTAMP,ContextTokens,GeneratedTokens,Model\n1,2,3,4\n", '{"timestamp": 0, "input_length": 1}', "[]"],
)
def test_other_files_are_not_taken_for_a_trace(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=spoilt_cells(CELLS), lines=spoilt(LINES))
def test_no_content_breaks_the_reader(tmp_path: Path, cells: list[list[str]], lines: list[Any]) -> None:
    plain, nested = tmp_path / "trace.csv", tmp_path / "trace.jsonl"
    plain.write_text("".join(",".join(row) + "\n" for row in cells))
    nested.write_text("{}\n" + "".join(json.dumps(line) + "\n" for line in lines))
    for path in (plain, nested):
        file = open_facts(path)
        READER.recognises(file)
        for one in READER.facts(file):
            check(one)
