"""LiteLLM's spend log keeps its zeros for 'not known' apart from facts, in CSV and JSON alike."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from outlay.prices.usage import normalise
from outlay.sources.fact_file import open_facts
from outlay.sources.usage.litellm_spend import LiteLLMSpendReader
from tests.sources.usage.call_logs import FIXTURES, check, read, spoilt, spoilt_cells

READER = LiteLLMSpendReader()
JSON_FILE = FIXTURES / "litellm_spend" / "spend_logs.json"
CSV_FILE = FIXTURES / "litellm_spend" / "spend_logs.csv"
ROWS: list[dict[str, Any]] = json.loads(JSON_FILE.read_text())
CELLS = list(csv.reader(io.StringIO(CSV_FILE.read_text())))


def rows() -> dict[str, Any]:
    """Values by request id."""
    facts, problems = read(READER, JSON_FILE)
    assert problems == []
    return {fact.identity: fact.values for fact in facts}


def test_cached_tokens_come_from_the_metadata_as_the_table_has_no_columns_for_them() -> None:
    cached = rows()["chatcmpl-0001"]
    assert cached["gen_ai_usage_input_tokens"] == 9900
    assert cached["gen_ai_usage_cache_read_input_tokens"] == 9000
    assert cached["gen_ai_usage_cache_write_input_tokens"] == 800
    assert (cached["x_Meter_input"], cached["x_Meter_cache_write_5m"], cached["x_Meter_cache_write_1h"]) == (
        100,
        300,
        500,
    )
    assert cached["gen_ai_usage_output_tokens"] == 350
    assert "x_Remarks" not in cached


def test_a_row_without_cache_counts_says_so() -> None:
    told = rows()
    assert told["chatcmpl-0002"]["x_Remarks"] == "cache-not-told"
    assert told["chatcmpl-0002"]["gen_ai_usage_input_tokens"] == 1200
    assert told["chatcmpl-0003"]["gen_ai_usage_cache_read_input_tokens"] == 512
    assert "x_Remarks" not in told["chatcmpl-0003"]


def test_the_usage_object_helps_where_it_agrees_with_the_columns(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1200, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 1024}}
    path = tmp_path / "rows.json"
    for prompt, cached in ((1200, 1024), (2400, 0)):  # the columns of the second add up two tries
        path.write_text(
            json.dumps(
                [ROWS[1] | {"prompt_tokens": prompt, "total_tokens": prompt + 20, "metadata": {"usage_object": usage}}]
            )
        )
        (fact,), _ = read(READER, path)
        assert fact.values["gen_ai_usage_input_tokens"] == prompt
        assert fact.values["gen_ai_usage_cache_read_input_tokens"] == cached
        assert fact.values.get("x_Remarks") == (None if cached else "cache-not-told")


def test_spend_is_kept_as_written_and_a_zero_for_tokens_used_is_not_a_price() -> None:
    told = rows()
    assert told["chatcmpl-0001"]["x_ReportedCost"] == Decimal("0.01215")
    assert told["chatcmpl-0001"]["x_ReportedCurrency"] == "USD"
    assert told["chatcmpl-0002"]["x_ReportedCost"] == Decimal("0.000192")
    assert "x_ReportedCost" not in told["chatcmpl-0007"]
    assert told["chatcmpl-0007"]["x_Remarks"] == "cache-not-told;spend-zero"


def test_what_litellm_answered_from_its_own_cache_used_no_tokens_and_cost_nothing() -> None:
    hit = rows()["chatcmpl-0002_cache_hit1791190860.5"]
    assert (hit["gen_ai_usage_input_tokens"], hit["gen_ai_usage_output_tokens"]) == (0, 0)
    assert (hit["x_Requests"], hit["x_ReportedCost"], hit["x_Remarks"]) == (1, 0, "gateway-cache")
    facts, _ = read(READER, JSON_FILE)
    assert sum(fact.values.get("gen_ai_usage_input_tokens", 0) for fact in facts) == 9900 + 1200 + 1000 + 50  # type: ignore[misc]


def test_a_failure_has_its_error_and_no_tokens() -> None:
    failed = rows()["chatcmpl-0004"]
    assert (failed["x_Requests"], failed["x_Succeeded"], failed["error_type"]) == (1, 0, "RateLimitError")
    assert not [name for name in failed if name.startswith(("gen_ai_usage", "x_Meter", "x_Reported", "x_Remarks"))]


def test_zero_tokens_of_a_success_are_not_told() -> None:
    image = rows()["img-0006"]
    assert image["x_Remarks"] == "usage-not-told"
    assert image["x_ReportedCost"] == Decimal("0.042")
    assert "gen_ai_usage_input_tokens" not in image
    assert image["gen_ai_operation_name"] == "aimage_generation"


def test_who_spent_becomes_tags() -> None:
    facts, _ = read(READER, JSON_FILE)
    first = facts[0]
    assert first.tags == {
        "team": "support",
        "team_id": "team-7",
        "organization_id": "org-1",
        "end_user": "customer-42",
        "key": "support-bot",
        "env": "prod",
        "pilot": "true",
        "feature": "answer-tickets",
    }
    assert first.values["x_User"] == "ana"
    assert first.values["x_ApiKey"] == "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"


def test_times_and_models() -> None:
    told = rows()
    first = told["chatcmpl-0001"]
    assert first["start_time"] == datetime(2026, 10, 5, 9)
    assert (first["x_DurationSeconds"], first["x_FirstTokenSeconds"]) == (Decimal("3.5"), Decimal("0.75"))
    assert "x_FirstTokenSeconds" not in told["chatcmpl-0002"]  # not streamed
    assert (first["gen_ai_request_model"], first["gen_ai_response_model"]) == ("smart", "claude-sonnet-4-5-20250929")
    azure = told["chatcmpl-0003"]
    assert (azure["gen_ai_provider_name"], azure["x_Project"]) == ("azure.ai.openai", "gpt-4o-prod")
    assert azure["gen_ai_response_model"] == "gpt-4o-2024-11-20"


def test_csv_from_the_database_says_the_same() -> None:
    plain, problems = read(READER, CSV_FILE)
    assert problems == []
    wanted, _ = read(READER, JSON_FILE)
    assert [(one.identity, one.values, one.tags) for one in plain] == [
        (one.identity, one.values, one.tags) for one in wanted
    ]
    assert [one.line for one in plain] == [2, 3, 4, 5, 6, 7, 8]


def test_pages_and_json_lines_say_the_same(tmp_path: Path) -> None:
    wanted, _ = read(READER, JSON_FILE)
    page, lines = tmp_path / "page.json", tmp_path / "rows.jsonl"
    page.write_text(json.dumps({"data": ROWS, "total": 7, "page": 1, "page_size": 50, "total_pages": 1}))
    lines.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for path in (page, lines):
        facts, problems = read(READER, path)
        assert [one.values for one in facts] == [one.values for one in wanted]
        assert problems == []


def test_a_key_that_was_logged_is_never_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROWS[1] | {"api_key": "sk-1234"}]))
    (fact,), _ = read(READER, path)
    # LiteLLM's own hash of sk-1234, the example key of its documentation.
    assert fact.values["x_ApiKey"] == "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"


def test_a_batch_job_counts_its_requests_and_a_tool_none(tmp_path: Path) -> None:
    done = {"batch_successful_requests": 98, "batch_failed_requests": 2}
    path = tmp_path / "rows.json"
    path.write_text(
        json.dumps(
            [
                ROWS[1] | {"request_id": "b", "call_type": "aretrieve_batch", "metadata": done},
                ROWS[1] | {"request_id": "t", "call_type": "call_mcp_tool", "prompt_tokens": 0, "completion_tokens": 0},
            ]
        )
    )
    (batch, tool), _ = read(READER, path)
    assert (batch.values["x_Kind"], batch.values["x_Requests"], batch.values["x_Succeeded"]) == ("bucket", 100, 98)
    assert batch.values["x_PriceContext"] == "processing=batch"
    assert (tool.values["gen_ai_operation_name"], tool.values["x_Requests"]) == ("execute_tool", 0)


def test_bad_rows_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    bad = [
        ROWS[1] | {"startTime": None},
        ROWS[1] | {"spend": "n/a"},
        ROWS[1] | {"prompt_tokens": -4},
        ROWS[1] | {"prompt_tokens": 1.5},
        7,
    ]
    path.write_text(json.dumps([ROWS[0], *bad]))
    facts, problems = read(READER, path)
    assert len(facts) == 1
    assert [(one.line, one.code) for one in problems] == [
        (2, "unparsable-time"),
        (3, "unparsable-amount"),
        (4, "negative-quantity"),
        (5, "unparsable-amount"),
        (6, "not-json"),
    ]


def test_daily_summaries_are_not_taken_for_rows(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text(json.dumps([{"startTime": "2026-10-05", "spend": 1.2, "users": {}, "models": {"gpt-4o": 1.2}}]))
    assert not READER.recognises(open_facts(path))


def test_litellms_names_of_cache_writes_are_counts_that_normalise_knows() -> None:
    details = {"cache_creation_tokens": 800, "cache_creation_token_details": {"ephemeral_5m_input_tokens": 300}}
    usage = normalise("openai", {"prompt_tokens": 900, "completion_tokens": 1, "prompt_tokens_details": details})
    assert dict(usage.meters) == {
        "input": 100,
        "cache_write": 500,
        "cache_write_5m": 300,
        "output": 1,
        "requests": 1,
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=spoilt(ROWS[:3]))
def test_no_json_breaks_the_reader(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(document))
    file = open_facts(path)
    READER.recognises(file)
    for one in READER.facts(file):
        check(one)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=spoilt_cells(CELLS[:4]))
def test_no_cell_breaks_the_reader(tmp_path: Path, cells: list[list[str]]) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(cells)
    for one in READER.facts(open_facts(path)):
        check(one)
