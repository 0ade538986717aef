"""A gateway's spans in Outlay's own receiver are the rows of its events, and no call is told twice, by whomever."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.gateway.harness import gateway
from tests.gateway.test_into_ledger import MESSAGES, QUOTAS, calls
from tests.receivers.server import Server, asked

UPSTREAMS: Any = {"openai": {"retries": 0, "models": ["gpt*"]}, "anthropic": {"models": ["claude*"]}}
ROWS = """SELECT "x_RowId", "x_Source", CAST("x_Cost" AS VARCHAR), CAST("x_ReportedCost" AS VARCHAR),
    gen_ai_usage_input_tokens, gen_ai_usage_output_tokens, "x_Tag_team", "x_ApiKey", "x_CostEstimated" FROM requests"""
ALL = "SELECT * EXCLUDE (x_LoadId, x_Format, x_SourceFile, x_SourceRow) FROM requests ORDER BY x_RowId"


async def told_by_gateway(folder: Path, endpoint: str, ledger: Path | None = None) -> list[dict[str, Any]]:
    """The events of a gateway that sent its spans to ``endpoint``."""
    settings: Any = {"quotas": QUOTAS, "upstreams": UPSTREAMS, "ledger": ledger}
    async with gateway(folder, "openai", "anthropic", otlp_endpoint=endpoint, **settings) as gate:
        gate.upstreams["anthropic"].next(cache_read=3, cache_write_1h=4)
        await calls(gate)
        return await gate.told(5)


def test_spans_are_the_rows_that_the_events_would_be(tmp_path: Path) -> None:
    with Server(tmp_path / "by-spans") as server:
        told = asyncio.run(told_by_gateway(tmp_path, server.http))
    found = {row[0]: row[1:] for row in asked(tmp_path / "by-spans", ROWS)}
    assert found.keys() == {event["id"] for event in told}
    for event in told:
        source, cost, reported, input_tokens, output_tokens, team, key, estimated = found[event["id"]]
        assert (source, team, key, Decimal(reported)) == ("gateway", "search", "key-1", Decimal(event["cost"]))
        used = event["usage"] or event["bound"]
        assert (input_tokens, output_tokens) == (used["input"], used["output"])
        assert estimated is (event["settled"] != "usage")
        assert Decimal(cost) == Decimal(event["cost"]) if not estimated else Decimal(cost) <= Decimal(event["cost"])

    by_spans = asked(tmp_path / "by-spans", ALL)
    (tmp_path / "by-spans" / "gateway-spool").mkdir()
    (tmp_path / "spool").rename(tmp_path / "by-spans" / "gateway-spool" / "one")
    with Server(tmp_path / "by-spans"):
        pass  # the events come after the spans, and take their place
    assert asked(tmp_path / "by-spans", ALL) == by_spans
    assert asked(tmp_path / "by-spans", 'SELECT DISTINCT "x_Format" FROM requests') == [("gateway",)]


def test_a_call_that_events_and_spans_tell_is_one_row(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with Server(ledger) as server:
        told = asyncio.run(told_by_gateway(tmp_path, server.http, ledger))
    found = asked(ledger, ROWS)
    assert sorted(row[0] for row in found) == sorted(event["id"] for event in told)
    assert {row[1] for row in found} == {"gateway"}


def test_the_callers_own_span_of_a_call_is_a_repetition(tmp_path: Path) -> None:
    """Its instrumentation tells usage too; the trace says that it is the same call."""

    async def run(endpoint: str) -> list[dict[str, Any]]:
        provider = TracerProvider(resource=Resource.create({"service.name": "assistant"}))
        exporter = OTLPSpanExporter(f"{endpoint}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
        tracer = provider.get_tracer("opentelemetry.instrumentation.openai_v2")
        async with gateway(tmp_path, "openai", otlp_endpoint=endpoint, upstreams=UPSTREAMS) as gate:
            attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
            with tracer.start_as_current_span("chat gpt-4o-mini", attributes=attributes) as span:
                with tracer.start_as_current_span("POST"):
                    headers: dict[str, str] = {}
                    TraceContextTextMapPropagator().inject(headers)
                    answer = await gate.openai().chat.completions.create(
                        model="gpt-4o-mini", messages=MESSAGES, extra_headers=headers
                    )
                assert answer.usage is not None
                span.set_attribute("gen_ai.usage.input_tokens", answer.usage.prompt_tokens)
                span.set_attribute("gen_ai.usage.output_tokens", answer.usage.completion_tokens)
            told = await gate.told(1)
        provider.shutdown()
        return told

    with Server(tmp_path / "ledger") as server:
        (event,) = asyncio.run(run(server.http))
    ((row, source, *_),) = asked(tmp_path / "ledger", ROWS)
    assert (row, source) == (event["id"], "gateway")
