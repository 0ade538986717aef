"""Azure Monitor's totals are read once, by deployment and interval, and nothing is said of callers."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Window
from outlay.sources.usage.azure_openai_metrics import AzureOpenAIMetricsReader
from tests.sources.usage.call_logs import FIXTURES, check, read, read_all, spoilt, total

READER = AzureOpenAIMetricsReader()
MODELS = FIXTURES / "azure_openai_metrics" / "models.json"
OPENAI = FIXTURES / "azure_openai_metrics" / "azure_openai.json"
ANSWER: dict[str, Any] = json.loads(MODELS.read_text())


def test_totals_by_deployment_and_hour() -> None:
    facts, problems = read(READER, MODELS)
    assert problems == []
    assert total(facts, "gen_ai_usage_input_tokens") == 120_000 + 80_000 + 5000
    assert total(facts, "gen_ai_usage_output_tokens") == 3000 + 2000
    assert total(facts, "x_Requests") == 40 + 2 + 30 + 10
    assert total(facts, "x_Succeeded") == 40 + 30 + 10
    assert {fact.values["gen_ai_usage_input_tokens"] for fact in facts if fact.kind == "requests"} == {0}
    first = facts[0]
    assert first.values == {
        "start_time": datetime(2026, 10, 5, 9),
        "end_time": datetime(2026, 10, 5, 10),
        "x_Kind": "bucket",
        "gen_ai_provider_name": "azure.ai.openai",
        "gen_ai_response_model": "gpt-4o-mini",
        "x_Account": "11111111-2222-3333-4444-555555555555",
        "x_Project": "chat-prod",
        "x_Region": "East US",
        "gen_ai_usage_input_tokens": 120_000,
        "gen_ai_usage_output_tokens": 0,
        "gen_ai_usage_cache_read_input_tokens": 0,
        "gen_ai_usage_cache_write_input_tokens": 0,
        "gen_ai_usage_reasoning_output_tokens": 0,
        "x_Meter_input": 120_000,
        "x_Remarks": "cache-not-told",
    }
    assert (first.source, first.kind) == ("azure-acme-openai", "input")


def test_every_interval_of_a_metric_is_spoken_for_those_without_calls_too() -> None:
    windows = [one for one in read_all(READER, MODELS) if isinstance(one, Window)]
    assert [(one.start.hour, one.end.hour, one.kind, one.source) for one in windows] == [
        (hour, hour + 1, kind, "azure-acme-openai") for kind in ("input", "output", "requests") for hour in (9, 10, 11)
    ]


def test_the_family_that_counted_something_is_taken_and_never_both() -> None:
    facts, problems = read(READER, OPENAI)  # InputTokens is there, and 0
    assert problems == []
    assert total(facts, "gen_ai_usage_input_tokens") == 1000 + 500 + 200
    assert total(facts, "gen_ai_usage_output_tokens") == 150
    assert total(facts, "x_Requests") == 10
    assert not [fact for fact in facts if "x_Succeeded" in fact.values]  # not split by status
    assert not [fact for fact in facts if "gen_ai_response_model" in fact.values]


def test_the_service_tier_is_a_price() -> None:
    facts, _ = read(READER, OPENAI)
    assert sorted(
        (fact.values.get("x_PriceContext", ""), fact.values["gen_ai_usage_input_tokens"])
        for fact in facts
        if fact.kind == "input"
    ) == [("", 500), ("", 1000), ("service_tier=priority", 200)]


def test_both_families_counting_do_not_add_up(tmp_path: Path) -> None:
    twice = json.loads(json.dumps(ANSWER).replace("InputTokens", "ProcessedPromptTokens"))
    path = tmp_path / "both.json"
    path.write_text(json.dumps(ANSWER | {"value": [*twice["value"][:1], *ANSWER["value"]]}))
    facts, _ = read(READER, path)
    assert total(facts, "gen_ai_usage_input_tokens") == 205_000


def test_a_batch_of_resources_and_a_list_of_answers_are_read(tmp_path: Path) -> None:
    wanted, _ = read(READER, MODELS)
    other = json.loads(json.dumps(ANSWER).replace("Acme-OpenAI", "Other"))
    path = tmp_path / "answers.json"
    for document in ({"values": [ANSWER, other]}, [ANSWER, other]):
        path.write_text(json.dumps(document))
        facts, problems = read(READER, path)
        assert problems == []
        assert [one.values for one in facts] == [one.values for one in wanted] * 2
        assert {one.source for one in facts} == {"azure-acme-openai", "azure-other"}


def test_bad_totals_and_times_are_problems(tmp_path: Path) -> None:
    answer = json.loads(json.dumps(ANSWER))
    points = answer["value"][0]["timeseries"][0]["data"]
    points[0]["total"], points[1]["total"], points[2]["timeStamp"] = -1, 1.5, "noon"
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    facts, problems = read(READER, path)
    assert [one.code for one in problems] == ["negative-quantity", "unparsable-amount", "unparsable-time"]
    assert total(facts, "gen_ai_usage_input_tokens") == 5000
    path.write_text(json.dumps(answer | {"interval": "soon"}))
    facts, problems = read(READER, path)
    assert (facts, [one.code for one in problems]) == ([], ["unparsable-time"])


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        '{"value": []}',
        json.dumps(ANSWER).replace("Microsoft.CognitiveServices/accounts", "Microsoft.Compute/virtualMachines"),
        json.dumps({"value": [ANSWER["value"][0] | {"name": {"value": "Latency"}}]}),
    ],
)
def test_other_files_are_not_taken_for_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=spoilt(ANSWER))
def test_no_content_breaks_the_reader(tmp_path: Path, answer: Any) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps([answer]))
    file = open_facts(path)
    READER.recognises(file)
    for one in READER.facts(file):
        check(one)
