"""A span of a model operation is one call: whatever its attributes are called, and however often it is told."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.prices.genai import resolve
from outlay.prices.usage import normalise
from outlay.problems import Problem
from outlay.sources.facts import Fact
from outlay.sources.usage.otel_attributes import USAGE_FACTS, route
from outlay.sources.usage.otel_genai import GenAiSpans
from outlay.sources.usage.otel_providers import price_provider, provider_name
from outlay.sources.usage.otel_span import Origin, Span
from outlay.sources.usage.row import usage_values
from tests.sources.usage.otel_building import START, TRACE, chat, read, rows, span, texts, traces

_NAMES = {
    "input": "gen_ai_usage_input_tokens",
    "cache_read": "gen_ai_usage_cache_read_input_tokens",
    "cache_write": "gen_ai_usage_cache_write_input_tokens",
    "output": "gen_ai_usage_output_tokens",
    "reasoning": "gen_ai_usage_reasoning_output_tokens",
}


def one(**usage: Any) -> Fact:
    (found,) = rows(traces(chat(**usage)))
    return found


def claude(scope: str = "test", **usage: int) -> dict[str, Any]:
    named = {f"gen_ai.usage.{name.replace('__', '.')}": count for name, count in usage.items()}
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-opus-4-5",
    }
    (found,) = rows(traces(span(attributes=said | named), scope=scope))
    return dict(found.values)


def test_a_call() -> None:
    (found,) = rows(traces(chat(), resource={"service.name": "bot", "deployment.environment": "prod"}))
    assert found.identity == f"{TRACE}/0000000000000001"
    assert found.source == "otlp"
    assert dict(found.tags) == {"environment": "prod"}
    assert dict(found.values) == {
        "start_time": datetime(2026, 9, 21, 14, 13, 20),
        "end_time": datetime(2026, 9, 21, 14, 13, 22),
        "x_DurationSeconds": Decimal(2),
        "x_Kind": "call",
        "x_Requests": 1,
        "x_Succeeded": 1,
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt-4o",
        "gen_ai_usage_input_tokens": 100,
        "gen_ai_usage_output_tokens": 10,
        "x_Meter_input": 100,
        "x_Meter_output": 10,
        "x_Meter_requests": 1,
        "x_Service": "bot",
        "x_TraceId": TRACE,
        "x_SpanId": "0000000000000001",
    }


@pytest.mark.parametrize("name", sorted(name for name, fact in USAGE_FACTS.items() if fact in _NAMES))
def test_every_name_of_a_count_is_understood(name: str) -> None:
    said: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
    wholes = {"cache_read": "gen_ai.usage.input_tokens", "cache_write": "gen_ai.usage.input_tokens"}
    if whole := wholes.get(USAGE_FACTS[name]) or ("gen_ai.usage.output_tokens" if "easoning" in name else None):
        said[whole] = 50
    (found,) = rows(traces(span(attributes={**said, name: 7})))
    assert found.values[_NAMES[USAGE_FACTS[name]]] == 7


@pytest.mark.parametrize("count", [12, 12.0, "12"])
def test_counts_may_be_doubles_or_text(count: Any) -> None:
    assert one(gen_ai__usage__input_tokens=count).values["gen_ai_usage_input_tokens"] == 12


@pytest.mark.parametrize(
    ("count", "code"),
    [
        (-1, "negative-quantity"),
        (1.5, "unparsable-amount"),
        ("many", "unparsable-amount"),
        (10**16, "unparsable-amount"),
        (True, "unparsable-amount"),
    ],
)
def test_what_is_no_count_keeps_the_row_out(count: Any, code: str) -> None:
    (found,) = read(traces(chat(gen_ai__usage__input_tokens=count)))
    assert isinstance(found, Problem)
    assert found.code == code


def test_modalities() -> None:
    found = one(
        gen_ai__usage__audio__input_tokens=60,
        gen_ai__usage__audio__cache_read__input_tokens=20,
        gen_ai__usage__cache_read__input_tokens=20,
    )
    assert found.values["x_Meter_input_audio"] == 40
    assert found.values["x_Meter_cache_read_audio"] == 20
    assert found.values["x_Meter_input"] == 40


def test_a_new_count_is_remarked_on() -> None:
    assert one(gen_ai__usage__telepathy_tokens=3).values["x_Remarks"] == "unread-count"


@pytest.mark.parametrize(
    ("scope", "expected", "remark"),
    [
        ("opentelemetry.instrumentation.anthropic", 5000, None),
        ("openlit.instrumentation.anthropic", 6200, None),
        ("someone.else", 5000, "cache-meaning-assumed"),
    ],
)
def test_whether_anthropics_input_holds_the_cache_is_told_by_the_emitter(
    scope: str, expected: int, remark: str | None
) -> None:
    values = claude(scope, input_tokens=5000, cache_read__input_tokens=1200, output_tokens=10)
    assert values["gen_ai_usage_input_tokens"] == expected
    assert values["x_Meter_input"] == expected - 1200
    assert values.get("x_Remarks") == remark


def test_whether_it_holds_the_cache_is_told_by_arithmetic() -> None:
    beside = claude(input_tokens=5000, cache_read__input_tokens=1200, output_tokens=10, total_tokens=6210)
    assert (beside["gen_ai_usage_input_tokens"], beside["x_Meter_input"]) == (6200, 5000)
    assert "x_Remarks" not in beside
    too_small = claude(input_tokens=12, cache_read__input_tokens=1800, output_tokens=10)
    assert (too_small["gen_ai_usage_input_tokens"], too_small["x_Remarks"]) == (1812, "cache-beside-input")


def test_cache_writes_by_time_to_live_where_the_sdk_tells_them() -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.usage.input_tokens": 1000}
    said |= {"gen_ai.usage.cache_write.input_tokens": 900, "anthropic.response.service_tier": "priority"}
    said |= {f"anthropic.usage.cache_creation.ephemeral_{ttl}_input_tokens": n for ttl, n in (("5m", 300), ("1h", 600))}
    (found,) = rows(traces(span(attributes=said), scope="com.anthropic.sdk.python"))
    assert (found.values["x_Meter_cache_write_5m"], found.values["x_Meter_cache_write_1h"]) == (300, 600)
    assert (found.values["x_Meter_input"], found.values["x_PriceContext"]) == (100, "service_tier=priority")


def test_a_compaction_is_a_row_of_its_own() -> None:
    names = {"input": 55_196, "output": 125}
    said: dict[str, Any] = {f"anthropic.usage.compaction.{side}_tokens": count for side, count in names.items()}
    call, compaction = rows(traces(chat(**said)))
    assert call.values["gen_ai_usage_input_tokens"] == 100
    assert compaction.identity == f"{call.identity}#compaction-1"
    assert (compaction.values["gen_ai_usage_input_tokens"], compaction.values["x_Requests"]) == (55_196, 0)
    assert "x_Succeeded" not in compaction.values


@pytest.mark.parametrize("operation", ["invoke_agent", "execute_tool", "invoke_workflow", "fetch_response", "chain"])
def test_what_stands_around_calls_is_not_counted(operation: str) -> None:
    around = chat(1, gen_ai__operation__name=operation)
    assert [found.values["x_SpanId"] for found in rows(traces(around, chat(2, 1)))] == ["0000000000000002"]


def test_of_two_spans_for_one_call_the_inner_one_counts_in_any_order_and_through_other_spans() -> None:
    outer, between, inner = chat(1), span(2, 1), chat(3, 2)
    for batches in (
        [traces(outer, between, inner)],
        [traces(inner, between, outer)],
        [traces(inner), traces(between), traces(outer)],
    ):
        assert [found.values["x_SpanId"] for found in rows(*batches)] == ["0000000000000003"]


def test_spans_around_one_another_are_looked_through_once() -> None:
    silent: dict[str, Any] = {"gen_ai__usage__input_tokens": None, "gen_ai__usage__output_tokens": None}
    found = rows(traces(chat(1, 2, **silent), chat(2, 1, **silent), chat(3, 3)))
    assert "0000000000000003" in [row.values["x_SpanId"] for row in found]


def test_an_outer_span_in_an_earlier_batch_is_counted_too() -> None:
    assert len(rows(traces(chat(1)), traces(chat(2, 1)))) == 2  # documented: it can't be seen when the outer one comes


def test_a_call_under_a_tool_is_a_call_of_its_own() -> None:
    tool = span(2, 1, attributes={"gen_ai.operation.name": "execute_tool"})
    assert len(rows(traces(chat(1), tool, chat(3, 2)))) == 2


def test_an_embedding_within_a_chat_does_not_tell_the_chats_usage() -> None:
    inner = chat(2, 1, gen_ai__operation__name="embeddings", gen_ai__usage__output_tokens=None)
    assert len(rows(traces(chat(1), inner))) == 2


def test_the_outer_span_counts_where_the_inner_one_has_no_usage() -> None:
    silent = chat(2, 1, gen_ai__usage__input_tokens=None, gen_ai__usage__output_tokens=None)
    (found,) = rows(traces(silent, chat(1)))
    assert found.values["gen_ai_usage_input_tokens"] == 100
    refused = {**silent, "status": {"code": 2}}
    assert [row.values["x_Succeeded"] for row in rows(traces(refused, chat(1)))] == [0, 1]  # an attempt before the last


def test_one_response_id_told_by_two_emitters_side_by_side_is_one_call() -> None:
    long = chat(1, gen_ai__response__id="msg_1")
    short = chat(2, trace="a" * 32, gen_ai__response__id="msg_1")
    short["endTimeUnixNano"] = str(START + 1_000_000_000)
    for batch in ([(long, "a"), (short, "b")], [(short, "b"), (long, "a")]):
        request = traces()
        request["resourceSpans"] = [traces(found, scope=scope)["resourceSpans"][0] for found, scope in batch]
        assert [found.values["x_SpanId"] for found in rows(request)] == ["0000000000000002"]


def test_one_response_id_of_one_emitter_is_two_calls() -> None:
    """Some local servers give ids again."""
    assert len(rows(traces(chat(1, gen_ai__response__id="cmpl-1"), chat(2, gen_ai__response__id="cmpl-1")))) == 2


def test_a_batch_sent_again_gives_the_same_rows() -> None:
    calls = GenAiSpans("test")
    from outlay.sources.usage.otlp_json import spans

    batch = traces(chat(2, 1, gen_ai__response__id="x"), chat(1, gen_ai__response__id="x"))
    assert [one.identity for one in _facts(calls.facts(spans(batch)))] == [
        one.identity for one in _facts(calls.facts(spans(batch)))
    ]


def _facts(found: Any) -> list[Fact]:
    return [one for one in found if isinstance(one, Fact)]


def test_spans_that_are_no_genai_spans_are_counted_and_passed_over() -> None:
    calls = GenAiSpans("test")
    from outlay.sources.usage.otlp_json import spans

    assert not list(calls.facts(spans(traces(span(attributes={"http.request.method": "GET", "team": "x"}))))), (
        "silently"
    )
    assert calls.ignored == 1


def test_usage_of_an_unknown_operation_is_not_counted_but_told() -> None:
    (found,) = read(traces(chat(gen_ai__operation__name="dream")))
    assert isinstance(found, Problem)
    assert found.code == "unknown-operation"


def test_vercel_counts_the_inner_span() -> None:
    model = {"ai.model.id": "gpt-4o", "ai.model.provider": "openai.chat", "ai.usage.promptTokens": 30}
    root = span(1, attributes={"ai.operationId": "ai.streamText", **model})
    inner = span(
        2, 1, attributes={"ai.operationId": "ai.streamText.doStream", "ai.response.msToFirstChunk": 1250.5, **model}
    )
    (found,) = rows(traces(root, inner))
    assert found.values["gen_ai_operation_name"] == "chat"
    assert found.values["gen_ai_provider_name"] == "openai"
    assert found.values["x_FirstTokenSeconds"] == Decimal("1.2505")
    assert found.values["gen_ai_usage_input_tokens"] == 30


def test_strands_names() -> None:
    """Its spans carry both names of each count, and Bedrock's total."""
    said = {"gen_ai.operation.name": "chat", "gen_ai.system": "aws.bedrock", "gen_ai.request.model": "claude-opus-4-5"}
    counts = {"prompt_tokens": 200, "input_tokens": 200, "completion_tokens": 9, "output_tokens": 9}
    counts |= {"total_tokens": 1009, "cache_read_input_tokens": 500, "cache_write_input_tokens": 300}
    (found,) = rows(traces(span(attributes=said | {f"gen_ai.usage.{name}": count for name, count in counts.items()})))
    assert found.values["gen_ai_usage_input_tokens"] == 1000
    assert found.values["x_Meter_input"] == 200
    assert "x_Remarks" not in found.values


def test_failures() -> None:
    (status,) = rows(traces(span(attributes={"gen_ai.operation.name": "chat"}, status={"code": 2})))
    assert (status.values["x_Succeeded"], status.values["error_type"]) == (0, "_OTHER")
    assert one(error__type="429").values["error_type"] == "429"
    event = {"name": "exception", "attributes": [{"key": "exception.type", "value": {"stringValue": "Timeout"}}]}
    (raised,) = rows(traces({**chat(), "events": [event], "status": {"code": 2}}))
    assert (raised.values["x_Succeeded"], raised.values["error_type"]) == (0, "Timeout")
    (handled,) = rows(traces({**chat(), "events": [event]}))
    assert (handled.values["x_Succeeded"], handled.values.get("error_type")) == (1, None)


def test_first_token_by_event() -> None:
    events = [{"name": "First Token Stream Event", "timeUnixNano": str(START + nanos)} for nanos in (500_000_000, 9)]
    (found,) = rows(traces({**chat(), "events": events[:1]}))
    assert found.values["x_FirstTokenSeconds"] == Decimal("0.5")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"startTimeUnixNano": None}, "missing-time"),
        ({"startTimeUnixNano": "yesterday"}, "unparsable-time"),
        ({"startTimeUnixNano": str(10**21)}, "unparsable-time"),
        ({"endTimeUnixNano": str(START - 1)}, "period-reversed"),
        ({"traceId": ""}, "missing-identity"),
        ({"spanId": "0000000000000000"}, "missing-identity"),
    ],
)
def test_spans_that_can_be_no_row(more: dict[str, Any], code: str) -> None:
    (found,) = read(traces({**chat(), **more}))
    assert isinstance(found, Problem)
    assert found.code == code


def test_users_and_tags() -> None:
    said: dict[str, Any] = {
        "enduser.id": "ada",
        "outlay.team": "search",
        "team": "other",
        "langfuse.trace.metadata.use_case": "faq",
    }
    said |= {"traceloop.association.properties.tenant": "acme", "use_case_of_a_lifetime": "no tag", "app": "x" * 300}
    content = {
        "gen_ai.input.messages": "SECRET",
        "gen_ai.prompt.0.content": "SECRET",
        "llm.prompts.0.content": "SECRET",
    }
    content |= {"ai.prompt": "SECRET", "input.value": "SECRET", "traceloop.entity.input": "SECRET", "prompt": "SECRET"}
    content |= {"langfuse.trace.metadata.input": "SECRET", "gen_ai.completion.0.content": "SECRET"}
    (found,) = rows(traces(chat(**content, **said)))
    assert found.values["x_User"] == "ada"
    assert dict(found.tags) == {"team": "search", "use_case": "faq", "tenant": "acme"}
    assert not [text for text in texts(found) if "SECRET" in text]


def test_resource_attributes_are_tags_but_for_those_of_a_process() -> None:
    resource = {"service.name": "bot", "k8s.namespace.name": "shop", "process.pid": "7", "telemetry.sdk.name": "x"}
    (found,) = rows(traces(chat(team="a"), resource=resource | {"team": "b", "host.name": "h1"}))
    assert dict(found.tags) == {"k8s.namespace.name": "shop", "team": "a"}


def test_nothing_is_routed_that_is_not_named() -> None:
    for key in (
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt.0.content",
        "gen_ai.tool.call.arguments",
    ):
        assert route(key) is None


def test_service_tier() -> None:
    assert one(openai__response__service_tier="flex").values["x_PriceContext"] == "service_tier=flex"
    assert "x_PriceContext" not in one(gen_ai__openai__response__service_tier="default").values
    asked = one(gen_ai__openai__request__service_tier="priority").values
    assert (asked["x_PriceContext"], asked["x_Remarks"]) == ("service_tier=priority", "tier-as-asked")


@pytest.mark.parametrize(
    ("name", "canonical", "priced"),
    [
        ("aws.bedrock", "aws.bedrock", "aws"),
        ("AWS", "aws.bedrock", "aws"),
        ("azure.ai.openai", "azure.ai.openai", "azure"),
        ("az.ai.openai", "azure.ai.openai", "azure"),
        ("gcp.vertex_ai", "gcp.vertex_ai", "google"),
        ("gcp.gemini", "gcp.gemini", "google"),
        ("x_ai", "x_ai", "x-ai"),
        ("mistral_ai", "mistral_ai", "mistral"),
        ("moonshot_ai", "moonshot_ai", "moonshotai"),
        ("OpenAI", "openai", "openai"),
        ("openai.responses", "openai", "openai"),
        ("my-own", "my-own", "my-own"),
    ],
)
def test_providers(name: str, canonical: str, priced: str) -> None:
    assert provider_name(name) == canonical
    assert price_provider(name) == priced


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("azure.ai.openai", "gpt-4o"),
        ("gcp.vertex_ai", "gemini-2.5-flash"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("gcp.gen_ai", "gemini-2.5-flash"),
        ("x_ai", "grok-4"),
        ("mistral_ai", "mistral-large-latest"),
        ("deepseek", "deepseek-chat"),
        ("groq", "llama-3.3-70b-versatile"),
        ("perplexity", "sonar"),
        ("cohere", "command-r"),
        ("moonshot_ai", "kimi-k2"),
    ],
)
def test_price_providers_are_the_price_lists(provider: str, model: str) -> None:
    found = resolve(price_provider(provider), model)
    assert found is not None
    assert found.provider == price_provider(provider)
    assert found == resolve(provider, model)


_COUNTS = st.dictionaries(
    st.sampled_from(sorted(name for name in USAGE_FACTS if name.startswith(("gen_ai.", "anthropic.")))),
    st.integers(-2, 60),
    min_size=1,
    max_size=6,
)


@given(_COUNTS, st.booleans())
def test_the_short_way_for_plain_usage_gives_what_normalise_gives(counts: dict[str, int], beside: bool) -> None:
    scope = "openlit.instrumentation.anthropic" if beside else "opentelemetry.instrumentation.anthropic"
    facts = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic"}
    one = Span(TRACE, "1", "", START, START, False, Origin(scope=scope), dict(counts), dict(facts), {}, {})
    (found,) = GenAiSpans("test").facts([one])
    told = {USAGE_FACTS[name] for name in counts}
    cached = sum(counts.get(name, 0) for name in counts if USAGE_FACTS[name] in ("cache_read", "cache_write"))
    outside = beside and cached != 0 and "input" in told
    if "total" in told:
        return  # decides the meaning by itself, in either way
    try:
        expected = usage_values(normalise("anthropic", counts, flavor="opentelemetry" + ".cache_beside" * outside))
    except UsageError:
        assert isinstance(found, Problem)
        return
    assert isinstance(found, Fact)
    for column, value in expected.items():
        if value and column != "x_Remarks":
            assert found.values[column] == value, column
    assert not [name for name in found.values if name.startswith("x_Meter") and name not in expected]
