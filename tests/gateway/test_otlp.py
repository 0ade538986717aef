"""An OpenTelemetry backend is told of each call, under the conventions' names, with the figures of its event."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    server_attributes,
)
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from outlay.errors import ConfigError
from outlay.gateway.callers import Caller
from tests.gateway.collector import collector, values
from tests.gateway.harness import KEY, TAGS, Harness, gateway, until
from tests.gateway.test_into_ledger import MESSAGES, QUOTAS, calls

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NAMES = {
    value
    for module in (gen_ai_attributes, error_attributes, http_attributes, server_attributes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}


async def chat(gate: Harness, traceparent: str | None = None, **more: Any) -> Any:
    headers = {"traceparent": traceparent} if traceparent else {}
    return await gate.openai().chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, max_tokens=100, extra_headers=headers, **more
    )


def test_a_span_has_the_figures_of_its_event_and_the_names_of_the_conventions(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    async def run() -> tuple[list[Span], set[str]]:
        upstreams: Any = {"openai": {"retries": 0, "models": ["gpt*"]}, "anthropic": {"models": ["claude*"]}}
        settings: Any = {"quotas": QUOTAS, "upstreams": upstreams}
        async with collector() as backend:
            async with gateway(tmp_path, "openai", "anthropic", otlp_endpoint=f"{backend.url}/", **settings) as gate:
                gate.upstreams["anthropic"].next(cache_read=3, cache_write_1h=4)
                await calls(gate)
                gate.upstreams["openai"].next(status=429)
                with pytest.raises(openai.RateLimitError):
                    await chat(gate)
                told.extend(await gate.told(6))
            return backend.spans, backend.scopes

    spans, scopes = asyncio.run(run())
    assert scopes == {"outlay.gateway"}
    found = {values(span)["outlay.request"]: span for span in spans}
    assert found.keys() == {event["id"] for event in told}
    assert len({span.span_id for span in spans}) == len({span.trace_id for span in spans}) == 6
    for event in told:
        span = found[event["id"]]
        said = values(span)
        assert {name for name in said if not name.startswith("outlay.")} <= NAMES
        assert (span.name, span.kind) == (f"chat {event['model']}", Span.SPAN_KIND_CLIENT)
        assert json.loads(said["outlay.gateway.event"]) == event
        assert span.start_time_unix_nano == event["started"] * 1_000_000 < span.end_time_unix_nano
        assert said["gen_ai.operation.name"] == "chat"
        assert said["gen_ai.provider.name"] == event["provider"]
        assert said["gen_ai.request.model"] == event["model"]
        assert said.get("gen_ai.response.model") == event["answered_model"]
        assert said.get("gen_ai.request.stream", False) is event["stream"]
        assert said["server.address"] == "127.0.0.1"
        assert (said["outlay.team"], said["outlay.use_case"], said["outlay.key"]) == ("search", "chat", "key-1")
        assert said["outlay.settled"] == event["settled"]
        assert said.get("outlay.cost") == (None if event["cost"] is None else float(event["cost"]))
        usage = event["usage"] or {}
        for name, total in (
            ("input_tokens", "input"),
            ("output_tokens", "output"),
            ("cache_read.input_tokens", "cache_read"),
            ("cache_creation.input_tokens", "cache_write"),
            ("reasoning.output_tokens", "reasoning"),
        ):
            assert said.get(f"gen_ai.usage.{name}", 0) == usage.get(total, 0)
        if event["settled"] == "bound":
            assert said["outlay.bound.output_tokens"] == event["bound"]["output"]
    ends = [(values(found[one["id"]]).get("error.type"), found[one["id"]].status.code) for one in told]
    ok, failed = Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR
    assert ends == [(None, ok)] * 3 + [("ClientPayloadError", failed), (None, ok), ("429", failed)]
    assert any(event["usage"] and event["usage"]["cache_write"] for event in told)
    assert values(found[told[1]["id"]])["gen_ai.response.time_to_first_chunk"] == told[1]["first_token"] / 1e6


def test_metrics_are_the_sums_of_the_events(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    async def run() -> Any:
        async with collector() as backend:
            upstreams: Any = {"openai": {"retries": 0, "models": ["gpt*"]}, "anthropic": {"models": ["claude*"]}}
            settings: Any = {"quotas": QUOTAS, "upstreams": upstreams, "otlp_endpoint": backend.url}
            async with gateway(tmp_path, "openai", "anthropic", **settings) as gate:
                await calls(gate)
                told.extend(await gate.told(5))
            return backend.metrics

    metrics = asyncio.run(run())
    assert set(metrics) == {
        gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE,
        gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION,
        "outlay.cost",
    }
    for kind in ("input", "output"):
        points = [
            point
            for point in metrics["gen_ai.client.token.usage"].histogram.data_points
            if values(point)["gen_ai.token.type"] == kind
        ]
        used = [event["usage"][kind] for event in told if event["usage"]]
        assert (sum(point.sum for point in points), sum(point.count for point in points)) == (sum(used), len(used))
        assert all(sum(point.bucket_counts) == point.count for point in points)
        assert {values(point)["outlay.team"] for point in points} == {"search"}
    seconds = metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert sum(point.sum for point in seconds) == pytest.approx(sum(event["duration"] for event in told) / 1e6)
    assert sum(point.count for point in seconds) == len(told)
    assert {values(point).get("error.type") for point in seconds} == {None, "ClientPayloadError"}
    cost = metrics["outlay.cost"].sum
    assert cost.is_monotonic
    assert sum(Decimal(repr(point.as_double)) for point in cost.data_points) == pytest.approx(
        sum(Decimal(event["cost"]) for event in told)
    )


@pytest.mark.parametrize(
    ("traceparent", "parent", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", SPAN, True),
        (f"00-{TRACE}-{SPAN}-00", SPAN, False),
        (f"01-{TRACE}-{SPAN}-03-later", SPAN, True),
        (f"00-{TRACE}-{SPAN}-01-more", None, True),
        (f"ff-{TRACE}-{SPAN}-01", None, True),
        (f"00-{'0' * 32}-{SPAN}-01", None, True),
        (f"00-{TRACE}-{'0' * 16}-01", None, True),
        (f"00-{TRACE.upper()}-{SPAN}-01", None, True),
        ("nonsense", None, True),
        (None, None, True),
    ],
)
def test_the_callers_trace_goes_on_to_the_provider(
    tmp_path: Path, traceparent: str | None, parent: str | None, sampled: bool
) -> None:
    async def run() -> tuple[list[Span], Any, str]:
        async with collector() as backend:
            async with gateway(tmp_path, "openai", otlp_endpoint=backend.url) as gate:
                await chat(gate, traceparent)
                await gate.told(1)
                metrics = gate.running.meters
            (entry,) = gate.upstreams["openai"].log.entries
            unsampled = metrics._telemetry["spans", "unsampled"]
            assert unsampled == (0 if sampled else 1)
            return backend.spans, entry, traceparent or ""

    spans, entry, _ = asyncio.run(run())
    version, trace, span, flags = entry.header("traceparent").split("-")
    assert (version, flags) == ("00", "01" if sampled else "00")
    assert (trace == TRACE) is (parent is not None)
    assert span != SPAN
    if sampled:
        (sent,) = spans
        assert (sent.trace_id.hex(), sent.span_id.hex(), sent.parent_span_id.hex()) == (trace, span, parent or "")
    else:
        assert spans == []


def test_without_an_endpoint_the_callers_header_goes_on_as_it_is(tmp_path: Path) -> None:
    async def run() -> Any:
        async with gateway(tmp_path, "openai") as gate:
            await chat(gate, f"00-{TRACE}-{SPAN}-01")
            return gate.upstreams["openai"].log.entries[0].header("traceparent")

    assert asyncio.run(run()) == f"00-{TRACE}-{SPAN}-01"


def test_nothing_that_must_not_be_seen_is_sent(tmp_path: Path) -> None:
    prompt, token = "Wherefore art thou confidential?", "a-token-of-the-backend"

    async def run() -> tuple[list[tuple[str, dict[str, str], bytes]], str]:
        async with collector() as backend:
            settings: Any = {
                "environment": {"OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{token},x-tenant=a"},
                "upstreams": {"openai": {"retries": 0}},
            }
            async with gateway(tmp_path, "openai", otlp_endpoint=backend.url, **settings) as gate:
                for behaviour in ({}, {"status": 400}, {"drop": "mid_stream"}, {"stream_error": True}):
                    gate.upstreams["openai"].next(**behaviour)
                    try:
                        answer = await gate.openai().chat.completions.create(
                            model="gpt-4o-mini", messages=[{"role": "user", "content": prompt}], stream=True
                        )
                        async for _ in answer:
                            pass
                    except openai.APIError:
                        pass
                await gate.told(4)
            return backend.bodies, gate.upstreams["openai"].secret

    bodies, secret = asyncio.run(run())
    assert {path for path, _, _ in bodies} == {"/v1/traces", "/v1/metrics"}
    for _, headers, body in bodies:
        assert (headers["authorization"], headers["x-tenant"]) == (f"Bearer {token}", "a")
        for hidden in (prompt, "Wherefore", token, secret, KEY):
            assert hidden.encode() not in body


def test_what_a_backend_does_not_take_at_once_is_sent_again_and_what_it_refuses_is_counted(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            collector(answers=[503], refuses=1) as backend,
            gateway(tmp_path, "openai", otlp_endpoint=backend.url) as gate,
        ):
            await chat(gate)
            await until(lambda: gate.running.meters._telemetry)
            assert len(backend.spans) == 1
            assert gate.running.meters._telemetry == {("spans", "refused"): 1}

    asyncio.run(run())


def test_a_backend_that_is_away_costs_spans_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.gateway.otlp.exporter._MOST_UNSENT", 2)

    async def run() -> None:
        async with gateway(tmp_path, "openai", otlp_endpoint="http://127.0.0.1:9") as gate:
            await asyncio.gather(*(chat(gate) for _ in range(5)))
            assert len(await gate.told(5)) == 5
        assert gate.running.meters._telemetry["spans", "dropped"] == 5

    asyncio.run(run())


def test_tags_cannot_pass_for_what_the_gateway_says(tmp_path: Path) -> None:
    async def run() -> Any:
        async with collector() as backend:
            callers = {KEY: Caller("key-1", {**TAGS, "settled": "never", "cost": "0", "key": "mine"})}
            async with gateway(tmp_path, "openai", callers=callers, otlp_endpoint=backend.url) as gate:
                await chat(gate)
                (event,) = await gate.told(1)
            return values(backend.spans[0]), event

    said, event = asyncio.run(run())
    assert said["outlay.settled"] == "usage"
    assert said["outlay.cost"] == pytest.approx(float(event["cost"]))


@pytest.mark.parametrize(
    ("headers", "endpoint", "message"),
    [
        ("nonsense-secret", "http://127.0.0.1:4318", "entry 1 is no header"),
        ("a=b,x y=secret", "http://127.0.0.1:4318", "entry 2 is no header"),
        ("a=secret%0d%0ab: c", "http://127.0.0.1:4318", "the value of a can't be"),
        ("a=secret", "http://otel.example.com", "unencrypted"),
    ],
)
def test_headers_that_are_none_are_refused_without_being_shown(
    tmp_path: Path, headers: str, endpoint: str, message: str
) -> None:
    async def run() -> None:
        environment = {"OTEL_EXPORTER_OTLP_HEADERS": headers}
        async with gateway(tmp_path, "openai", environment=environment, otlp_endpoint=endpoint):
            pass

    with pytest.raises(ConfigError, match=message) as refused:
        asyncio.run(run())
    assert "secret" not in str(refused.value)
