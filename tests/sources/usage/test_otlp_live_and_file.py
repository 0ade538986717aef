"""A span means the same live in protobuf, where what was seen before is looked up, as in a file, where nothing is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.problems import Problem
from outlay.sources.facts import Fact
from outlay.sources.usage import otlp_json, otlp_protobuf
from outlay.sources.usage.otel_attributes import ALIASES, USAGE_FACTS
from outlay.sources.usage.otel_call import Sayings
from outlay.sources.usage.otel_genai import GenAiSpans
from outlay.sources.usage.otlp_live import LiveOtlp
from outlay.spool.kinds import Kind
from tests.sources.usage.otel_building import START, attributes, span, traces

pytest.importorskip("opentelemetry.proto")

_TEXTS = st.sampled_from(
    ["chat", "Embedding", "invoke_agent", "openai", "anthropic", "flex", "claude-x", " ", "é", "1"]
)
_TEXTS |= st.just("")
_VALUES = st.one_of(_TEXTS, st.booleans(), st.integers(-2, 5000), st.sampled_from([0.0, 1.0, 0.25, 1e-9, 3e22]))
_NAMES = sorted({*USAGE_FACTS, *(name for names in ALIASES.values() for name in names)})
_TAGS = ["team", "project", "outlay.team", "outlay.x", "langfuse.trace.metadata.team", "gen_ai.prompt", "http.method"]
_USUAL = st.fixed_dictionaries(
    {"gen_ai.operation.name": st.sampled_from(["chat", "embeddings"]), "gen_ai.provider.name": _TEXTS},
    optional={
        "gen_ai.usage.input_tokens": st.integers(0, 5000),
        "gen_ai.usage.output_tokens": st.integers(0, 5000),
        "gen_ai.usage.cache_read.input_tokens": st.integers(0, 5000),
        "gen_ai.response.id": st.sampled_from(["a", "b"]),
        "gen_ai.request.stream": st.booleans(),
        "gen_ai.request.model": _TEXTS,
        "user.id": _VALUES,
        "gen_ai.usage.cost": _VALUES,
        "gen_ai.response.time_to_first_chunk": _VALUES,
    },
)
_ATTRIBUTES = st.builds(
    lambda usual, more: {**usual, **more},
    st.just({}) | _USUAL,
    st.dictionaries(st.sampled_from([*_NAMES, *_TAGS]), _VALUES, max_size=4),
)
_EVENTS = st.lists(
    st.builds(
        lambda name, at, said: {"name": name, "timeUnixNano": str(at), "attributes": attributes(said)},
        st.sampled_from(["exception", "gen_ai.first_token", "other"]),
        st.integers(START, START + 3_000_000_000),
        st.dictionaries(st.sampled_from(["exception.type", "x"]), _TEXTS, max_size=2),
    ),
    max_size=2,
)
_SPANS = st.lists(
    st.builds(
        lambda number, parent, said, events, code, end: span(
            number, parent, attributes=said, events=events, status={"code": code}, endTimeUnixNano=str(end)
        ),
        st.integers(0, 5),
        st.integers(0, 5),
        _ATTRIBUTES,
        _EVENTS,
        st.integers(0, 2),
        st.sampled_from([0, START - 1, START, START + 1_234_567_891]),
    ),
    max_size=5,
)
_REQUESTS = st.lists(
    st.builds(
        lambda found, scope, resource: traces(*found, scope=scope, resource=resource),
        _SPANS,
        st.sampled_from(["test", "openlit.instrumentation.openai", "openlit.instrumentation.anthropic"]),
        st.dictionaries(st.sampled_from(["service.name", "team", "outlay.team", "host.name"]), _TEXTS, max_size=3),
    ),
    min_size=1,
    max_size=3,
)


def in_protobuf(request: dict[str, Any]) -> bytes:
    """The same request in OTLP's binary encoding, written by OTLP's own classes."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    made = ExportTraceServiceRequest()
    for resource in request["resourceSpans"]:
        there = made.resource_spans.add()
        _put(there.resource.attributes, resource["resource"]["attributes"])
        for group in resource["scopeSpans"]:
            spans = there.scope_spans.add()
            spans.scope.name, spans.scope.version = group["scope"]["name"], group["scope"]["version"]
            for one in group["spans"]:
                put = spans.spans.add(
                    trace_id=bytes.fromhex(one["traceId"]),
                    span_id=bytes.fromhex(one["spanId"]),
                    parent_span_id=bytes.fromhex(one["parentSpanId"]),
                    name=one["name"],
                    start_time_unix_nano=int(one["startTimeUnixNano"]),
                    end_time_unix_nano=int(one["endTimeUnixNano"]),
                )
                put.status.code = one["status"]["code"]
                _put(put.attributes, one["attributes"])
                for event in one["events"]:
                    happened = put.events.add(name=event["name"], time_unix_nano=int(event["timeUnixNano"]))
                    _put(happened.attributes, event["attributes"])
    return bytes(made.SerializeToString())


def _put(holder: Any, found: list[dict[str, Any]]) -> None:
    for one in found:
        value = holder.add(key=one["key"]).value
        ((kind, said),) = one["value"].items()
        if kind == "intValue":
            value.int_value = int(said)
        elif kind == "doubleValue":
            value.double_value = float(said)
        elif kind == "boolValue":
            value.bool_value = said
        else:
            value.string_value = said


def told(found: list[Fact | Problem]) -> list[tuple[Any, ...]]:
    return [
        (one.code, one.message)
        if isinstance(one, Problem)
        else (one.identity, sorted((name, repr(value)) for name, value in one.values.items()), dict(one.tags))
        for one in found
    ]


@settings(max_examples=300, deadline=None)
@given(_REQUESTS)
def test_live_in_protobuf_and_from_a_file_is_the_same(requests: list[dict[str, Any]]) -> None:
    file, live = GenAiSpans("otlp"), LiveOtlp()
    for request in requests:
        expected = told(list(file.facts(otlp_json.spans(request))))
        assert told(list(live.facts(Kind.TRACES_PROTOBUF, in_protobuf(request)))) == expected


@settings(max_examples=200, deadline=None)
@given(_REQUESTS)
def test_facts_mean_the_same_however_often_they_were_read(requests: list[dict[str, Any]]) -> None:
    remembering = Sayings()
    for one in [one for request in requests for one in otlp_json.spans(request)]:
        assert repr(remembering.of(one)) == repr(Sayings().of(one))


def test_true_and_one_are_told_apart_though_they_are_equal() -> None:
    sayings = Sayings()
    said = [
        sayings.of(one).columns["gen_ai_request_model"]
        for one in otlp_json.spans(
            traces(*(span(attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": v}) for v in (True, 1)))
        )
    ]
    assert said == ["True", "1"]


def test_what_is_kept_in_memory_of_attributes_and_facts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.sources.usage.otlp_protobuf._MOST_ATTRIBUTES", 10)
    monkeypatch.setattr("outlay.sources.usage.otel_call._MOST_SAYINGS", 10)
    known = otlp_protobuf._Attributes()
    monkeypatch.setattr(otlp_protobuf, "_attribute", known.__getitem__)
    calls = GenAiSpans("test")
    for number in range(50):
        model = f"model-{number}" + "x" * (3_000 if number % 10 == 7 else 0)
        said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model, "gen_ai.usage.input_tokens": number}
        request = traces({**span(number + 1, attributes=said), "status": {"code": 0}, "events": []})
        (found,) = calls.facts(otlp_protobuf.spans(in_protobuf(request)))
        assert isinstance(found, Fact)
        assert found.values["gen_ai_request_model"] == model[:512]
        assert len(known) <= 10
        assert max(map(len, known)) <= 1_000
        assert len(calls._said._known) <= 10


def test_a_request_in_pieces_is_all_of_them_together() -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    empty = {"status": {"code": 0}, "events": []}
    whole = traces({**span(attributes=said), **empty}, resource={"service.name": "a", "team": "b"})
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

    request = _request(in_protobuf(whole)).resource_spans[0]
    first, second = ResourceSpans(), ResourceSpans()
    first.resource.attributes.append(request.resource.attributes[0])
    second.resource.attributes.append(request.resource.attributes[1])
    second.scope_spans.append(request.scope_spans[0])
    joined = first.SerializeToString() + second.SerializeToString()
    body = b"\x0a" + _varint(len(joined)) + joined
    assert _request(body) == _request(in_protobuf(whole))
    (found,) = GenAiSpans("test").facts(otlp_protobuf.spans(body))
    assert isinstance(found, Fact)
    assert found.values["x_Service"] == "a"
    assert found.tags == {"team": "b"}


def _request(body: bytes) -> Any:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return ExportTraceServiceRequest.FromString(body)


def _varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7]) if number > 127 else bytes([number])
