"""GenAI metrics become buckets whose counts are what was added since the point before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from outlay.problems import Problem
from outlay.sources.usage.otel_metrics import GenAiMetrics
from outlay.sources.usage.otlp_json import metric_points
from tests.sources.usage.otel_building import START, attributes, buckets

MINUTE = 60 * 10**9
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.response.model": "gpt-4o"}


def point(total: Any, minute: int, since: int, count: int | None = None, **more: Any) -> dict[str, Any]:
    """A point of what was added from ``since`` to ``minute``, both minutes after START."""
    times = {"startTimeUnixNano": str(START + since * MINUTE), "timeUnixNano": str(START + minute * MINUTE)}
    said = attributes({**CHAT, **{name.replace("__", "."): value for name, value in more.items()}})
    value = {"asInt": str(total)} if count is None else {"sum": total, "count": str(count)}
    return {**times, **value, "attributes": said}


def request(name: str, *points: dict[str, Any], cumulative: bool = False) -> dict[str, Any]:
    kind = "histogram" if any("sum" in one for one in points) else "sum"
    metric = {"name": name, kind: {"aggregationTemporality": 2 if cumulative else 1, "dataPoints": list(points)}}
    scope = {"scope": {"name": "test"}, "metrics": [metric]}
    resource = {"attributes": attributes({"service.name": "bot", "team": "search"})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]}


def histogram(*points: dict[str, Any], cumulative: bool = False) -> dict[str, Any]:
    return request("gen_ai.client.token.usage", *points, cumulative=cumulative)


def totals(*requests: dict[str, Any]) -> list[Any]:
    return [fact.values["gen_ai_usage_input_tokens"] for fact in buckets(*requests)]


def test_input_and_output_of_one_window_are_one_bucket() -> None:
    (found,) = buckets(
        histogram(
            point(300, 1, 0, 3, gen_ai__token__type="input"),
            point(30, 1, 0, 2, gen_ai__token__type="output"),
        )
    )
    assert found.source == "otlp-metrics"
    assert dict(found.tags) == {"team": "search"}
    assert dict(found.values) == {
        "start_time": datetime(2026, 9, 21, 14, 13, 20),
        "end_time": datetime(2026, 9, 21, 14, 14, 20),
        "x_Kind": "bucket",
        "x_Requests": 3,
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_response_model": "gpt-4o",
        "gen_ai_usage_input_tokens": 300,
        "gen_ai_usage_output_tokens": 30,
        "x_Meter_input": 300,
        "x_Meter_output": 30,
        "x_Meter_requests": 3,
        "x_Service": "bot",
        "x_Remarks": "from-metrics",
    }


def test_counters_have_cache_and_modality() -> None:
    counts = {"input_tokens": 100, "cache_read.input_tokens": 40, "reasoning.output_tokens": 5, "output_tokens": 8}
    metrics = [request(f"gen_ai.client.inference.usage.{name}", point(count, 1, 0)) for name, count in counts.items()]
    audio = point(20, 1, 0, gen_ai__token__modality="audio")
    metrics.append(request("gen_ai.client.inference.usage.input_tokens", audio))
    together = {"resourceMetrics": [one["resourceMetrics"][0] for one in metrics]}
    (found,) = buckets(together)
    assert found.values["gen_ai_usage_input_tokens"] == 120
    assert found.values["x_Meter_cache_read"] == 40
    assert found.values["x_Meter_input_audio"] == 20
    assert found.values["x_Meter_input"] == 60
    assert found.values["x_Meter_output_reasoning"] == 5
    assert "x_Requests" not in found.values  # counters don't tell it


def test_counters_win_over_the_histogram_of_the_same_window() -> None:
    old = histogram(point(100, 1, 0, 1, gen_ai__token__type="input"))
    new = request("gen_ai.client.inference.usage.input_tokens", point(100, 1, 0))
    assert totals({"resourceMetrics": [*old["resourceMetrics"], *new["resourceMetrics"]]}) == [100]


def test_cumulative_points_are_told_by_their_difference() -> None:
    series = [
        histogram(point(total, minute, 0, minute, gen_ai__token__type="input"), cumulative=True)
        for minute, total in ((1, 100), (2, 250), (3, 250))
    ]
    found = buckets(*series)
    assert [(fact.values["gen_ai_usage_input_tokens"], fact.values["x_Requests"]) for fact in found[:2]] == [
        (100, 1),
        (150, 1),
    ]
    assert found[0].values["x_Remarks"] == "cumulative-since-start;from-metrics"
    assert found[1].values["start_time"] == found[0].values["end_time"]


def test_a_point_sent_again_is_told_once() -> None:
    one = histogram(point(100, 1, 0, 1, gen_ai__token__type="input"), cumulative=True)
    assert totals(one, one) == [100]


def test_a_process_that_begins_again_begins_at_nothing() -> None:
    before = histogram(point(100, 5, 0, 1, gen_ai__token__type="input"), cumulative=True)
    after = histogram(point(30, 9, 8, 1, gen_ai__token__type="input"), cumulative=True)
    found = buckets(before, after)
    assert [fact.values["gen_ai_usage_input_tokens"] for fact in found] == [100, 30]
    assert found[1].values["start_time"] == datetime(2026, 9, 21, 14, 21, 20)


def test_a_counter_that_falls_began_again() -> None:
    found = buckets(
        histogram(point(100, 5, 0, 9, gen_ai__token__type="input"), cumulative=True),
        histogram(point(120, 6, 0, 2, gen_ai__token__type="input"), cumulative=True),
    )
    assert [fact.values["gen_ai_usage_input_tokens"] for fact in found] == [100, 120]
    assert found[1].values["x_Requests"] == 2
    assert found[1].values["x_Remarks"] == "counter-reset;from-metrics"


def test_delta_points_told_again_have_the_same_identity() -> None:
    one = histogram(point(100, 1, 0, 1, gen_ai__token__type="input"))
    assert len({fact.identity for fact in buckets(one, one)}) == 1
    other = histogram(point(100, 2, 1, 1, gen_ai__token__type="input"))
    assert len({fact.identity for fact in buckets(one, other)}) == 2


def test_metrics_of_agents_and_tools_are_passed_over() -> None:
    agent = point(100, 1, 0, 1, gen_ai__token__type="input", gen_ai__operation__name="invoke_agent")
    assert not buckets(histogram(agent))


def test_other_metrics_are_passed_over() -> None:
    assert not buckets(request("http.client.duration", point(1, 1, 0)))
    assert not buckets(request("gen_ai.client.inference.operation.input_tokens", point(1, 1, 0, 1)))


def test_bad_points_are_problems() -> None:
    bad = [
        point("many", 1, 0, 1, gen_ai__token__type="input"),
        point(-5, 1, 0, 1, gen_ai__token__type="input"),
        {**point(5, 1, 0, 1, gen_ai__token__type="input"), "timeUnixNano": None},
        {**point(5, 1, 2, 1, gen_ai__token__type="input")},
        {**point(5, 1, 0, 1, gen_ai__token__type="input"), "sum": None},
    ]
    found = list(GenAiMetrics("test").facts(metric_points(histogram(*bad))))
    codes = [one.code for one in found if isinstance(one, Problem)]
    assert codes == ["unparsable-amount", "negative-quantity", "missing-time", "unparsable-time", "missing-amount"]
