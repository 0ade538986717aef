"""Anthropic's three usage reports become buckets of requests, and rows that overlap are never added up."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import FactReader, Window
from outlay.sources.usage.anthropic_usage import AnthropicUsageReader
from outlay.sources.usage.openai_usage import OpenAIUsageReader
from tests.sources.usage.reading import FIXTURES, Told, broken, is_sound, read, written

READER = AnthropicUsageReader()
ANTHROPIC = FIXTURES / "anthropic"


def october(day: int) -> datetime:
    return datetime(2026, 10, day)


def bucket(day: int, *results: Any) -> dict[str, Any]:
    return {"starting_at": f"2026-10-{day:02}T00:00:00Z", "ending_at": _next(day), "results": list(results)}


def _next(day: int) -> str:
    return f"2026-10-{day + 1:02}T00:00:00Z"


def page(*data: Any, more: bool = False, **about: Any) -> dict[str, Any]:
    return {"data": list(data), "has_more": more, "next_page": "page_B" if more else None, **about}


def result(uncached: Any = 10, **told: Any) -> dict[str, Any]:
    return {
        "uncached_input_tokens": uncached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        "server_tool_use": {"web_search_requests": 0},
        **told,
    }


def row(day: int, uncached: int = 10, requests: int = 1, **group: Any) -> dict[str, Any]:
    usage = result(uncached, requests=requests, total_tokens=uncached + 1)
    return {"starting_at": f"2026-10-{day:02}T00:00:00Z", "ending_at": _next(day), "group": group, "usage": usage}


def test_it_is_a_reader() -> None:
    assert isinstance(READER, FactReader)


def test_the_messages_report_by_every_group() -> None:
    told = read(READER, ANTHROPIC / "messages.json")
    is_sound(told)
    assert told.problems == []
    assert told.windows == [Window(october(day), october(day + 1), None, "messages") for day in (1, 2, 3)]
    written_1h, batch, long, fast, priority = told.facts
    assert {name: value for name, value in written_1h.values.items() if value is not None} == {
        "start_time": october(1),
        "end_time": october(2),
        "x_Kind": "bucket",
        "gen_ai_provider_name": "anthropic",
        "gen_ai_request_model": "claude-sonnet-4-5-20250929",
        "gen_ai_response_model": "claude-sonnet-4-5-20250929",
        "x_Project": "wrkspc_01chat",
        "x_ApiKey": "apikey_01web",
        "gen_ai_usage_input_tokens": 101_000,  # 1000 + 100000 written
        "gen_ai_usage_output_tokens": 500,
        "gen_ai_usage_cache_read_input_tokens": 0,
        "gen_ai_usage_cache_write_input_tokens": 100_000,
        "x_Meter_input": 1_000,
        "x_Meter_cache_write_1h": 100_000,
        "x_Meter_output": 500,
        "x_PriceContext": "context_window=0-200k",
    }
    assert dict(written_1h.tags) == {"report": "messages", "context_window": "0-200k"}
    assert batch.values["x_PriceContext"] == "context_window=0-200k;processing=batch"
    assert long.values["x_PriceContext"] == "context_window=200k-1m"
    assert (long.tags["context_window"], long.values["x_User"], long.values["x_ApiKey"]) == (
        "200k-1M",
        "svac_01etl",
        None,
    )
    assert long.values["gen_ai_usage_input_tokens"] == 370_000  # 300000 + 50000 + 20000
    assert fast.values["x_PriceContext"] == "context_window=0-200k;inference_geo=us;speed=fast"
    assert (fast.values["x_Project"], fast.values["x_Region"], fast.values["x_User"]) == (None, "us", "user_01ada")
    assert (fast.values["x_Meter_web_searches"], fast.values["x_Meter_cache_write_5m"]) == (10, 300)
    assert priority.values["x_PriceContext"] == "context_window=0-200k;service_tier=priority"
    assert priority.values["x_Region"] is None


def test_the_report_does_not_count_requests() -> None:
    for fact in read(READER, ANTHROPIC / "messages.json").facts:
        assert fact.values["x_Requests"] is None
        assert "x_Meter_requests" not in fact.values
        assert "gen_ai_usage_reasoning_output_tokens" not in fact.values


def test_a_bucket_is_priced_as_calls_are() -> None:
    """claude-sonnet-4-5: 1,000 fresh at $3, 100,000 written for an hour at $6, 500 out at $15 a million."""
    raw = result(1_000, output_tokens=500, cache_creation={"ephemeral_1h_input_tokens": 100_000})
    usage = normalise("anthropic", raw)
    priced = TokenPrices().price(usage, "anthropic", "claude-sonnet-4-5-20250929", october(1))
    assert priced.cost == Decimal("0.6105")


def test_the_analytics_report_by_product() -> None:
    told = read(READER, ANTHROPIC / "analytics_usage_report.json")
    is_sound(told)
    assert [(w.start, w.source, w.kind) for w in told.windows] == [
        (october(1), "org_01acme", "analytics"),
        (october(2), "org_01acme", "analytics"),
    ]
    code, chat, sandbox, late = told.facts
    assert code.source == code.values["x_Account"] == "org_01acme"
    assert (code.values["x_Service"], code.values["x_Requests"]) == ("claude_code", 128)
    assert code.values["gen_ai_usage_input_tokens"] == 4_486_000  # 1284500 + 3200000 + 500 + 1000
    assert code.values["x_Meter_requests"] == 128
    assert (sandbox.values["gen_ai_response_model"], sandbox.values["x_Requests"]) == (None, 7)
    assert chat.values["x_Remarks"] is None
    assert late.values["x_Remarks"] == "incomplete", "the export ends at eight in the morning"


def test_the_newest_report_over_two_pages() -> None:
    told = read(READER, ANTHROPIC / "analytics_usage.jsonl")
    is_sound(told)
    assert told.problems == []
    assert [window.start for window in told.windows] == [october(1), october(2)]
    assert [(f.line, f.values["start_time"], f.values["gen_ai_usage_input_tokens"]) for f in told.facts] == [
        (1, october(1), 5_200),
        (1, october(1), 70),
        (1, october(2), 300),
        (2, october(1), 50),
        (2, october(1), 20),
    ]
    users = [(fact.values["x_User"], fact.values["x_ApiKey"]) for fact in told.facts]
    assert users == [("user_01ada", None), (None, None), ("user_01ada", None), (None, None), (None, "apikey_01web")]
    assert told.facts[3].identity == told.facts[1].identity + "|#2", "two identities that the server can't render"


def test_the_total_that_the_newest_report_tells_is_checked(tmp_path: Path) -> None:
    one = row(1)
    one["usage"]["total_tokens"] = 12
    told = read(READER, written(tmp_path, page(one)))
    assert told.facts[0].values["x_Remarks"] == "total"


def test_a_later_answer_counts_alone(tmp_path: Path) -> None:
    morning, evening = page(row(1, 5), row(2, 7, model="a")), page(row(2, 9))
    told = read(READER, written(tmp_path, morning, evening))
    assert [fact.values["gen_ai_usage_input_tokens"] for fact in told.facts] == [5, 9]
    assert told.codes == ["bucket-twice"]
    legacy = read(READER, written(tmp_path, page(bucket(1, result(5))), page(bucket(1, result(8)))))
    assert [fact.values["gen_ai_usage_input_tokens"] for fact in legacy.facts] == [8]
    assert legacy.codes == ["bucket-twice"]


def test_organisations_do_not_overlap(tmp_path: Path) -> None:
    pages = [page(bucket(1, result(requests=1)), organization_id=name) for name in ("org_a", "org_b")]
    told = read(READER, written(tmp_path, *pages))
    assert [(fact.source, fact.kind) for fact in told.facts] == [("org_a", "analytics"), ("org_b", "analytics")]
    assert told.codes == []


def test_pages_are_missing(tmp_path: Path) -> None:
    assert read(READER, written(tmp_path, page(bucket(1, result()), more=True))).codes == ["more-pages"]
    assert read(READER, written(tmp_path, page(row(1), more=True))).codes == ["more-pages"]
    assert read(READER, written(tmp_path, page(row(1), more=True), page(row(1, model="a")))).codes == []
    assert read(READER, written(tmp_path, page(row(1), more=True), page())).codes == []
    followed = page(bucket(1, result()), bucket(2), more=True), page(bucket(3), bucket(4))
    assert read(READER, written(tmp_path, *followed)).codes == []


def test_rbac_groups_overlap_and_are_refused(tmp_path: Path) -> None:
    both = [result(rbac_group_id="rbac_group_a"), result(rbac_group_id="rbac_group_b"), result(rbac_group_id=None)]
    told = read(READER, written(tmp_path, page(bucket(1, *both), bucket(2, result(product="chat")))))
    assert told.codes == ["overlapping-groups"]
    assert [window.start for window in told.windows] == [october(2)]
    rows = read(READER, written(tmp_path, page(row(1, rbac_group_id="a"), more=True), page(row(1, rbac_group_id=None))))
    assert (rows.facts, rows.windows) == ([], [])
    assert set(rows.codes) == {"overlapping-groups"}


def test_a_bucket_of_the_most_groups_is_noticed(tmp_path: Path) -> None:
    results = [result(product="chat", model=f"model-{number}") for number in range(100)]
    assert read(READER, written(tmp_path, page(bucket(1, *results)))).codes == ["top-groups-only"]
    assert read(READER, written(tmp_path, page(bucket(1, *results[:99])))).codes == []
    exhaustive = [row(1, model=f"model-{number}") for number in range(100)]
    assert read(READER, written(tmp_path, page(*exhaustive))).codes == []


def test_buckets_as_lines(tmp_path: Path) -> None:
    told = read(READER, written(tmp_path, bucket(1, result()), bucket(2, result())))
    assert [fact.line for fact in told.facts] == [1, 2]


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"uncached_input_tokens": -1}, "negative-quantity"),
        ({"uncached_input_tokens": None}, "missing-amount"),
        ({"cache_creation": 5}, "unparsable-amount"),
        ({"cache_creation": {"ephemeral_5m_input_tokens": "5"}}, "unparsable-amount"),
        ({"cache_read_input_tokens": 2**63 - 1, "uncached_input_tokens": 1}, "unparsable-amount"),
        ({"amount": "12.5"}, "not-usage"),
    ],
)
def test_a_bad_result_stays_out_alone(tmp_path: Path, told: dict[str, Any], code: str) -> None:
    found = read(READER, written(tmp_path, page(bucket(1, result(), result() | told))))
    assert found.codes == [code]
    assert len(found.facts) == 1


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"starting_at": None}, "missing-time"),
        ({"starting_at": "yesterday"}, "unparsable-time"),
        ({"ending_at": "2026-10-01T00:00:00Z"}, "period-reversed"),
        ({"results": None}, "not-usage"),
    ],
)
def test_a_bad_bucket_stays_out_alone(tmp_path: Path, told: dict[str, Any], code: str) -> None:
    found = read(READER, written(tmp_path, page(bucket(2, result()), bucket(1, result()) | told)))
    assert found.codes == [code]
    assert len(found.facts) == 1


@pytest.mark.parametrize(
    "document",
    [
        page(bucket(1, {"amount": "12.5", "currency": "USD"})),
        page(bucket(1, result(amount="12.5"))),
        page({"actor": {"type": "user_actor"}, "starting_at": "2026-10-01T00:00:00Z", **result()}),
        page({"starting_at": "2026-10-01T00:00:00Z", "ending_at": _next(1), "group": {}, "cost": {"amount": "1"}}),
        page(),
        {"starting_at": "2026-10-01T00:00:00Z"},
        [1, 2],
    ],
)
def test_other_reports_are_not_taken(tmp_path: Path, document: Any) -> None:
    """Costs, the report by user, lists of other things."""
    assert not READER.recognises(open_facts(written(tmp_path, document)))


def test_the_two_providers_do_not_take_each_others_files() -> None:
    openai = OpenAIUsageReader()
    paths = [path for folder in ("anthropic", "openai") for path in (FIXTURES / folder).glob("*.json*")]
    assert len(paths) == 6
    for path in paths:
        file = open_facts(path)
        assert READER.recognises(file) is (path.parent.name == "anthropic")
        assert openai.recognises(file) is (path.parent.name == "openai")


_DOCUMENTS = [
    json.loads((ANTHROPIC / "messages.json").read_text(encoding="utf-8")),
    [json.loads(line) for line in (ANTHROPIC / "analytics_usage.jsonl").read_text(encoding="utf-8").splitlines()],
]


@pytest.mark.parametrize("document", _DOCUMENTS, ids=["messages", "analytics"])
def test_nothing_in_a_file_makes_it_raise(tmp_path: Path, document: Any) -> None:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
    @given(document=broken(document))
    def check(document: Any) -> None:
        file = open_facts(written(tmp_path, document))
        READER.recognises(file)
        is_sound(Told(READER.facts(file)))

    check()
