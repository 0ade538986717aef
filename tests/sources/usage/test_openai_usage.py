"""OpenAI's usage reports become buckets of requests: nothing is counted twice, nothing unknown is a zero."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.sources.fact_file import open_facts
from outlay.sources.facts import FactReader, Window
from outlay.sources.usage import openai_usage
from outlay.sources.usage.openai_usage import OpenAIUsageReader
from tests.shared import shared
from tests.sources.usage.reading import FIXTURES, Told, broken, is_sound, read, written

READER = OpenAIUsageReader()
OPENAI = FIXTURES / "openai"
DAY = 86_400
FIRST = 1_790_812_800  # 2026-10-01


def page(*buckets: Any, more: bool = False) -> dict[str, Any]:
    return {"object": "page", "data": list(buckets), "has_more": more, "next_page": "page_B" if more else None}


def bucket(day: int, *results: Any, width: int = DAY) -> dict[str, Any]:
    start = FIRST + (day - 1) * DAY
    return {"object": "bucket", "start_time": start, "end_time": start + width, "results": list(results)}


def result(kind: str = "completions", **told: Any) -> dict[str, Any]:
    counts = {"input_tokens": 10, "output_tokens": 1, "num_model_requests": 1} if kind == "completions" else {}
    return {"object": f"organization.usage.{kind}.result", **counts, **told}


def october(day: int) -> datetime:
    return datetime(2026, 10, day)


def test_it_is_a_reader() -> None:
    assert isinstance(READER, FactReader)


def test_completions_by_every_group() -> None:
    told = read(READER, OPENAI / "completions_pages.json")
    assert told.windows == [Window(october(day), october(day + 1), None, "completions") for day in (1, 2, 3)]
    chat, batch, priority, voice, unfit = told.facts
    assert told.problems == []
    assert {name: value for name, value in chat.values.items() if value is not None} == {
        "start_time": october(1),
        "end_time": october(2),
        "x_Kind": "bucket",
        "x_Requests": 40,
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt-5-2025-08-07",
        "gen_ai_response_model": "gpt-5-2025-08-07",
        "x_Project": "proj_chat",
        "x_User": "user-ada",
        "x_ApiKey": "key_web",
        "gen_ai_usage_input_tokens": 12_000,
        "gen_ai_usage_output_tokens": 1_500,
        "gen_ai_usage_cache_read_input_tokens": 8_000,
        "gen_ai_usage_cache_write_input_tokens": 0,
        "x_Meter_input": 4_000,
        "x_Meter_cache_read": 8_000,
        "x_Meter_output": 1_500,
        "x_Meter_requests": 40,
    }
    assert (chat.tags, chat.line, chat.kind, chat.source) == ({"report": "completions"}, 1, "completions", None)
    assert batch.values["x_PriceContext"] == "processing=batch"
    assert batch.values["x_User"] is None
    assert priority.values["x_PriceContext"] == "service_tier=priority"
    assert [priority.values[f"x_Meter_{meter}"] for meter in ("input", "cache_read", "cache_write")] == [
        1000,
        3000,
        1000,
    ]
    assert (priority.line, priority.tags["api_source"]) == (2, "agents_api")
    meters = {name: value for name, value in voice.values.items() if name.startswith("x_Meter_")}
    assert meters == {
        "x_Meter_input": 400,
        "x_Meter_input_audio": 1_600,
        "x_Meter_output": 50,
        "x_Meter_output_audio": 250,
        "x_Meter_requests": 3,
    }
    assert unfit.values["x_Remarks"] == "uncached"  # 1000 = 400 + 0 + 500 does not hold
    assert unfit.values["gen_ai_usage_input_tokens"] == 1_000


def test_the_documentation_samples() -> None:
    """Each as OpenAI publishes it; the first says that there are more pages."""
    folder = shared("data/provider_usage")
    told = {path.stem.removeprefix("openai_usage_"): read(READER, path) for path in folder.glob("openai_usage_*.json")}
    assert set(told) == {
        "audio_speeches",
        "code_interpreter",
        "completions",
        "embeddings",
        "images",
        "vector_stores",
        "web_search_calls",
    }
    for one in told.values():
        assert [(w.start, w.end) for w in one.windows] == [(datetime(2024, 11, 1), datetime(2024, 11, 2))]
        assert len(one.facts) == 1
        is_sound(one)
    assert told.pop("completions").codes == ["more-pages"]
    assert all(one.codes == [] for one in told.values())


def test_one_file_of_all_reports() -> None:
    """The example objects of OpenAI's API description: counts with a meter go there, others to the tags."""
    told = read(READER, OPENAI / "all_reports.jsonl")
    is_sound(told)
    by_kind = {fact.kind: fact for fact in told.facts}
    assert len(told.facts) == len(by_kind) == 10
    assert [window.kind for window in told.windows] == list(by_kind)
    counts = {
        kind: {
            name.removeprefix("x_Meter_"): value
            for name, value in fact.values.items()
            if name.startswith("x_Meter_") and value is not None
        }
        for kind, fact in by_kind.items()
    }
    completions = counts.pop("completions")
    assert completions == {
        "input": 2_500,
        "input_audio": 300,
        "input_image": 200,
        "cache_read": 1_500,
        "cache_read_audio": 100,
        "cache_read_image": 200,
        "cache_write": 200,
        "output": 800,
        "output_audio": 100,
        "output_image": 100,
        "requests": 5,
    }
    assert counts == {
        "audio_speeches": {"input_characters": 45, "requests": 1},
        "audio_transcriptions": {"audio_seconds": 10, "requests": 1},
        "code_interpreter_sessions": {"code_executions": 1},
        "embeddings": {"input": 20, "requests": 2},
        "file_searches": {"storage_searches": 2},
        "images": {},
        "moderations": {"input": 20, "requests": 2},
        "vector_stores": {},
        "web_searches": {"web_searches": 2},
    }
    assert dict(by_kind["images"].tags) == {
        "report": "images",
        "images": "2",
        "size": "1024x1024",
        "source": "image.generation",
    }
    assert by_kind["vector_stores"].tags["usage_bytes"] == "1024"
    assert by_kind["file_searches"].tags["vector_store_id"] == "vs_abc"
    assert by_kind["embeddings"].values["gen_ai_operation_name"] == "embeddings"
    for kind in ("images", "audio_speeches", "vector_stores", "web_searches"):
        assert not any(name.startswith("gen_ai_usage_") for name in by_kind[kind].values), "no tokens told, none known"
    assert "gen_ai_usage_output_tokens" not in by_kind["embeddings"].values
    assert "x_Succeeded" not in by_kind["completions"].values


def test_calls_that_searched_the_web_are_counted_once(tmp_path: Path) -> None:
    calls = result(num_model_requests=7)
    searches = result("web_searches", num_requests=3, num_model_requests=2, context_level="low")
    told = read(READER, written(tmp_path, page(bucket(1, calls)), page(bucket(1, searches))))
    assert [fact.values.get("x_Requests") for fact in told.facts] == [7, None]
    assert dict(told.facts[1].tags) == {"report": "web_searches", "num_model_requests": "2", "context_level": "low"}


def test_a_bucket_that_is_told_again_counts_once() -> None:
    told = read(READER, OPENAI / "appended.jsonl")
    assert [fact.values["gen_ai_usage_input_tokens"] for fact in told.facts] == [900, 1_000, 30]
    assert [window.start for window in told.windows] == [october(1), october(2), october(3)]
    assert told.codes == ["bucket-twice"]
    assert told.problems[0].line is None


def test_a_day_asked_again_by_the_hour_counts_once(tmp_path: Path) -> None:
    hours = [bucket(1, result(input_tokens=1), width=3600) for _ in range(3)]
    for number, hour in enumerate(hours):
        hour["start_time"] += number * 3600
        hour["end_time"] += number * 3600
    day = bucket(1, result(input_tokens=24))
    first = read(READER, written(tmp_path, page(*hours), page(day)))
    assert [fact.values["gen_ai_usage_input_tokens"] for fact in first.facts] == [24]
    then = read(READER, written(tmp_path, page(day), page(*hours)))
    assert [fact.values["gen_ai_usage_input_tokens"] for fact in then.facts] == [1, 1, 1]
    assert first.codes == then.codes == ["bucket-twice"]
    assert "which are used: 3" in first.problems[0].message


def test_reports_of_two_kinds_do_not_overlap(tmp_path: Path) -> None:
    embeddings = result("embeddings", input_tokens=5, num_model_requests=1)
    told = read(READER, written(tmp_path, page(bucket(1, result())), page(bucket(1, embeddings))))
    assert [window.kind for window in told.windows] == ["completions", "embeddings"]
    assert told.codes == []


@pytest.mark.parametrize("last", [page(bucket(2, result())), page(bucket(2)), page(bucket(2), bucket(3, result()))])
def test_the_next_page_is_in_the_file(tmp_path: Path, last: Any) -> None:
    told = read(READER, written(tmp_path, page(bucket(1, result()), more=True), last))
    assert told.codes == []


def test_pages_are_missing(tmp_path: Path) -> None:
    told = read(READER, written(tmp_path, page(bucket(1, result()), more=True), page(bucket(3, result()))))
    assert told.codes == ["more-pages"]
    assert "2026-10-02T00:00:00Z" in told.problems[0].message
    assert len(told.facts) == 2


def test_an_empty_bucket_is_a_window_of_its_pages_report(tmp_path: Path) -> None:
    told = read(READER, written(tmp_path, page(bucket(1), bucket(2, result()))))
    assert [window.start for window in told.windows] == [october(1), october(2)]


def test_a_page_without_results_is_of_the_report_that_is_noted_in_it(tmp_path: Path) -> None:
    noted = page(bucket(1), bucket(2)) | {"report": "web_search_calls"}
    told = read(READER, written(tmp_path, noted))
    assert [(window.start, window.kind) for window in told.windows] == [
        (october(1), "web_searches"),
        (october(2), "web_searches"),
    ]
    assert told.problems == []
    going_on = read(READER, written(tmp_path, page(bucket(1, result()), more=True), page(bucket(2))))
    assert [(window.start, window.kind) for window in going_on.windows] == [
        (october(1), "completions"),
        (october(2), "completions"),
    ]
    apart = read(READER, written(tmp_path, page(bucket(1, result())), page(bucket(2))))
    assert (len(apart.windows), apart.codes) == (1, ["report-not-told"])
    untold = read(READER, written(tmp_path, page(bucket(1), bucket(2))))
    assert untold.windows == []
    assert untold.codes == ["report-not-told"]
    assert untold.problems[0].message == "buckets without results of a report that is not told: 2"
    assert not READER.recognises(open_facts(written(tmp_path, page(bucket(1)) | {"report": "costs"})))


def test_buckets_as_lines_and_an_array_of_pages(tmp_path: Path) -> None:
    lines = read(READER, written(tmp_path, bucket(1, result()), bucket(2, result())))
    array = read(READER, written(tmp_path, [page(bucket(1, result())), page(bucket(2, result()))]))
    assert [fact.identity for fact in lines.facts] == [fact.identity for fact in array.facts]
    assert [fact.line for fact in lines.facts] == [1, 2]


def test_groups_name_a_result(tmp_path: Path) -> None:
    told = read(
        READER,
        written(tmp_path, page(bucket(1, result(model="a|b"), result(model="a"), result(model="a"), result()))),
    )
    assert [fact.identity.removeprefix("completions|2026-10-01T00:00:00") for fact in told.facts] == [
        "|model=a\\|b",
        "|model=a",
        "|model=a|#2",
        "",
    ]


def test_a_report_of_tomorrow_is_read_by_its_tokens(tmp_path: Path) -> None:
    told = read(READER, written(tmp_path, page(bucket(1, result("decisions", input_tokens=9, num_model_requests=1)))))
    assert told.facts[0].values["x_Meter_input"] == 9
    assert told.facts[0].kind == "decisions"


def test_modalities_that_do_not_add_up_are_marked(tmp_path: Path) -> None:
    parts: dict[str, Any] = {
        "input_uncached_tokens": 10,
        "input_text_tokens": 4,
        "input_audio_tokens": 3,
        "input_image_tokens": 0,
    }
    told = read(READER, written(tmp_path, page(bucket(1, result(**parts)))))
    assert told.facts[0].values["x_Remarks"] == "modality-sum"


_FEW = st.integers(0, 3) | st.integers(0, 10**12)


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(_FEW, min_size=10, max_size=10), requests=st.none() | _FEW)
def test_the_short_way_gives_what_the_long_one_gives(parts: list[int], requests: int | None) -> None:
    tokens = dict(zip(openai_usage._METERS, parts, strict=True))
    for total, summands in reversed(openai_usage._SUMS.items()):
        tokens[total] = sum(tokens[name] for name in summands)
    short = openai_usage._exact(tokens, requests)
    long = openai_usage._normalised(tokens, requests)
    assert short is not None
    assert {name: value for name, value in short.items() if value is not None} == {
        name: value for name, value in long.items() if value is not None
    }
    for total in openai_usage._SUMS:
        assert openai_usage._exact(tokens | {total: tokens[total] + 1}, requests) is None
    assert openai_usage._exact({name: tokens[name] for name in tokens if name != "input_text_tokens"}, requests) is None


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"input_tokens": -1}, "negative-quantity"),
        ({"input_tokens": 1.5}, "unparsable-amount"),
        ({"input_tokens": "10"}, "unparsable-amount"),
        ({"input_tokens": True}, "unparsable-amount"),
        ({"input_tokens": 2**63}, "unparsable-amount"),
        ({"object": "organization.costs.result"}, "not-usage"),
        ({"object": "organization.usage.embeddings.result"}, "not-usage"),
    ],
)
def test_a_bad_result_stays_out_alone(tmp_path: Path, told: dict[str, Any], code: str) -> None:
    found = read(READER, written(tmp_path, page(bucket(1, result(), result(**told)))))
    assert found.codes == [code]
    assert len(found.facts) == 1


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"start_time": None}, "missing-time"),
        ({"start_time": "soon"}, "unparsable-time"),
        ({"start_time": 10**30}, "unparsable-time"),
        ({"end_time": FIRST}, "period-reversed"),
        ({"results": {}}, "not-usage"),
    ],
)
def test_a_bad_bucket_stays_out_alone(tmp_path: Path, told: dict[str, Any], code: str) -> None:
    found = read(READER, written(tmp_path, page(bucket(1, result()) | told, bucket(2, result()))))
    assert found.codes == [code]
    assert len(found.facts) == 1


@pytest.mark.parametrize(
    "text",
    [
        "BilledCost,ChargeCategory\n1,Usage\n",
        '{"object": "page", "data": [], "has_more": false}',
        '{"object": "list", "data": [{"object": "bucket", "start_time": 1, "end_time": 2, "results": []}]}',
        '{"data": [{"starting_at": "2026-10-01T00:00:00Z", "ending_at": "2026-10-02T00:00:00Z", "results": []}]}',
        '{"resourceSpans": []}',
        '["bucket"]',
        "bucket",
        '{"object": "page", "data": [{"object": "bucket", "start_time": 1, "end_time"',
    ],
)
def test_other_files_are_not_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other"
    path.write_text(text, encoding="utf-8")
    assert not READER.recognises(open_facts(path))


def test_costs_are_not_usage() -> None:
    assert not READER.recognises(open_facts(shared("data/provider_usage/openai_costs.json")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(document=broken(json.loads((OPENAI / "completions_pages.json").read_text(encoding="utf-8"))))
def test_nothing_in_a_file_makes_it_raise(tmp_path: Path, document: Any) -> None:
    path = written(tmp_path, document)
    file = open_facts(path)
    READER.recognises(file)
    is_sound(Told(READER.facts(file)))


def test_a_week_of_hours_on_one_line_is_lines(tmp_path: Path) -> None:
    """A line that is longer than what a file is recognised by."""
    groups = [result(model=f"model-{number}", project_id="p" * 4_000) for number in range(2)]
    pages = []
    for week in range(2):
        hours = []
        for hour in range(168):
            one = bucket(1, *groups, width=3600)
            one["start_time"] += (week * 168 + hour) * 3600
            one["end_time"] += (week * 168 + hour) * 3600
            hours.append(one)
        pages.append(page(*hours, more=week == 0))
    path = written(tmp_path, *pages)
    assert path.stat().st_size > 2 * (1 << 20)
    assert open_facts(path).kind == "jsonl"
    told = read(READER, path)
    assert (len(told.windows), len(told.facts), told.codes) == (336, 672, [])
    assert told.windows[-1].end == october(1) + timedelta(days=14)
