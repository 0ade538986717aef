"""What real instrumentation packages send comes to what the upstream said, once a call, and without a word of it."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from outlay.ledger.meters import INPUT_METERS, OUTPUT_METERS
from outlay.ledger.tables.requests import REQUESTS, meter_column
from outlay.sources.facts import Fact
from tests.sources.usage.otel_building import FIXTURES, capture, texts

EMITTERS = ("genai", "traceloop", "openlit", "openinference", "openai-v2", "pydantic-ai")

# What the upstream of capture.py reports: input with the cache, reads, writes, output.
GPT_5_MINI = (2006, 1920, 0, 300)
GPT_4O_MINI = (1200, 1024, 0, 20)
GPT_5_6 = (4020, 0, 4012, 95)
EMBEDDINGS = (8, 0, 0, 0)
SONNET = (12 + 1800 + 240, 1800, 240, 503)
HAIKU = (5000 + 1200, 1200, 0, 77)
ALL = [GPT_5_MINI, GPT_4O_MINI, GPT_5_6, EMBEDDINGS, SONNET, SONNET, HAIKU, HAIKU]
"""Every call that reported usage; Anthropic's models were asked twice, the second time as a stream."""


def usage(fact: Fact) -> tuple[int, ...]:
    names = ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens")
    return tuple(int(str(fact.values.get(f"gen_ai_usage_{name}", 0))) for name in names)


def calls(emitter: str) -> list[Fact]:
    return [fact for fact in capture(emitter) if fact.source == "otlp"]


def told(emitter: str) -> list[tuple[int, ...]]:
    return sorted(usage(fact) for fact in calls(emitter) if "gen_ai_usage_input_tokens" in fact.values)


@pytest.mark.parametrize("emitter", ["genai", "openinference"])
def test_usage_is_what_the_upstream_said(emitter: str) -> None:
    assert told(emitter) == sorted(ALL)


def test_an_agent_its_call_and_the_sdks_own_span_are_one_call() -> None:
    assert told("pydantic-ai") == sorted([GPT_5_MINI, HAIKU])
    assert all(fact.values["gen_ai_operation_name"] == "chat" for fact in calls("pydantic-ai"))


def test_openllmetry_leaves_the_cache_writes_of_the_responses_api_out() -> None:
    assert told("traceloop") == sorted([(4020, 0, 0, 95) if one == GPT_5_6 else one for one in ALL])


def test_openlit_counts_the_tokens_of_a_stream_without_usage_itself_and_the_row_says_so() -> None:
    estimated = [fact for fact in calls("openlit") if "usage-estimated" in str(fact.values.get("x_Remarks"))]
    assert [usage(fact) for fact in estimated] == [(27, 0, 0, 20)]
    assert told("openlit") == sorted([*ALL, (27, 0, 0, 20)])


def test_openai_v2_knows_neither_cache_nor_the_responses_api() -> None:
    without = {GPT_5_MINI: (2006, 0, 0, 300), GPT_4O_MINI: (1200, 0, 0, 20)}
    assert told("openai-v2") == sorted(without.get(one, one) for one in ALL if one != GPT_5_6)
    unknown = [fact for fact in calls("openai-v2") if fact.values.get("gen_ai_request_model") == "gpt-5-mini"]
    assert all("gen_ai_usage_cache_read_input_tokens" not in fact.values for fact in unknown)  # unknown, not 0


@pytest.mark.parametrize("emitter", EMITTERS)
def test_meters_add_up_to_the_totals(emitter: str) -> None:
    for fact in capture(emitter):
        for total, meters in (("input", INPUT_METERS), ("output", OUTPUT_METERS)):
            added = sum(int(str(fact.values.get(meter_column(meter), 0))) for meter in meters)
            assert added == fact.values.get(f"gen_ai_usage_{total}_tokens", 0)


@pytest.mark.parametrize("emitter", EMITTERS)
def test_columns_are_the_tables(emitter: str) -> None:
    known = {column.name for column in REQUESTS.own}
    assert all(set(fact.values) <= known and None not in fact.values.values() for fact in capture(emitter))


@pytest.mark.parametrize("emitter", [one for one in EMITTERS if one != "openai-v2"])  # that one sends texts as logs
def test_no_word_of_a_conversation_is_kept(emitter: str) -> None:
    assert "MADE-UP-PROMPT" in (FIXTURES / f"{emitter}.jsonl").read_text(encoding="utf-8")
    assert not [text for fact in capture(emitter) for text in texts(fact) if "MADE-UP" in text or "llama" in text]


def test_the_anthropic_sdks_own_span_parts_cache_writes_by_time_to_live() -> None:
    written = [fact.values for fact in calls("genai") if usage(fact) == SONNET]
    assert [values["x_Meter_cache_write_5m"] for values in written] == [240, 240]
    assert all("x_Meter_cache_write" not in values for values in written)


def test_calls_that_two_emitters_tell_are_one_row() -> None:
    """The Anthropic SDK tells each call too: within the span of the genai package, beside that of OpenLLMetry."""
    for emitter in ("genai", "traceloop"):
        models = Counter(str(fact.values.get("gen_ai_request_model")) for fact in calls(emitter))
        assert (models["claude-sonnet-4-5"], models["claude-haiku-4-5"]) == (2, 2)


def test_first_token_of_streams_only() -> None:
    for emitter in ("genai", "openlit"):
        streamed = [fact for fact in calls(emitter) if "x_FirstTokenSeconds" in fact.values]
        assert len(streamed) == 4
        assert all(Decimal(0) < Decimal(str(fact.values["x_FirstTokenSeconds"])) for fact in streamed)


def test_refused_calls_are_failures_without_usage() -> None:
    refused = [fact for emitter in EMITTERS for fact in calls(emitter) if fact.values["x_Succeeded"] == 0]
    assert {str(fact.values["x_Service"]).removeprefix("capture-") for fact in refused} == {*EMITTERS} - {"pydantic-ai"}
    for fact in refused:
        assert fact.values["error_type"]
        assert not [name for name in fact.values if name.startswith(("gen_ai_usage", "x_Meter"))]


def test_a_stream_without_usage_is_a_call_whose_usage_is_not_told() -> None:
    for emitter in ("genai", "traceloop", "openinference", "openai-v2"):
        silent = [fact for fact in calls(emitter) if fact.values.get("x_Remarks") == "usage-not-told"]
        assert [fact.values["x_Succeeded"] for fact in silent] == [1]


def test_service_environment_and_team_come_along() -> None:
    for fact in capture("genai"):
        assert fact.values["x_Service"] == "capture-genai"
        assert dict(fact.tags) == {"team": "search", "environment": "test"}


def test_openlits_cost_is_marked_as_its_own() -> None:
    priced = [fact.values for fact in calls("openlit") if "x_ReportedCost" in fact.values]
    assert len(priced) == 2  # of the model that its price list has; the 0 of the others is no cost
    assert {values["x_ReportedCurrency"] for values in priced} == {"USD"}
    assert all("cost-by-emitter" in str(values["x_Remarks"]) for values in priced)


@pytest.mark.parametrize("emitter", ["genai", "openlit"])
def test_metrics_tell_the_same_tokens_in_rows_of_their_own(emitter: str) -> None:
    found = [fact for fact in capture(emitter) if fact.source == "otlp-metrics"]
    assert found
    assert all("from-metrics" in str(fact.values["x_Remarks"]) for fact in found)
    assert sum(usage(fact)[3] for fact in found) == sum(usage(fact)[3] for fact in calls(emitter))


@pytest.mark.parametrize("emitter", EMITTERS)
def test_protobuf_and_json_are_read_alike(emitter: str) -> None:
    pytest.importorskip("opentelemetry.proto")
    from outlay.sources.usage import otlp_protobuf
    from outlay.sources.usage.otel_genai import GenAiSpans
    from outlay.sources.usage.otel_metrics import GenAiMetrics

    data = (FIXTURES / f"{emitter}.traces.pb").read_bytes()
    found = list(GenAiSpans("test").facts(otlp_protobuf.spans(data)))
    metrics = FIXTURES / f"{emitter}.metrics.pb"
    if metrics.exists():
        found += GenAiMetrics("test").facts(otlp_protobuf.metric_points(metrics.read_bytes()))
    keyed = [(one.identity, one.values, one.tags) for one in found if isinstance(one, Fact)]
    assert keyed == [(one.identity, one.values, one.tags) for one in capture(emitter)]


def test_the_sdks_own_file_exporter_is_read_alike() -> None:
    assert sorted(
        (one.identity, sorted(map(str, one.values.items()))) for one in capture("genai.file-exporter")
    ) == sorted((one.identity, sorted(map(str, one.values.items()))) for one in calls("genai"))
