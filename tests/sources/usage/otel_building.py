"""Spans and export requests for tests, in OTLP/JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, open_facts, parse_json
from outlay.sources.facts import Fact
from outlay.sources.usage.otel_genai import GenAiSpans
from outlay.sources.usage.otel_metrics import GenAiMetrics
from outlay.sources.usage.otlp_json import OtlpJson, metric_points, spans

FIXTURES = Path(__file__).parents[2] / "fixtures" / "usage" / "otlp"
START = 1_790_000_000_000_000_000  # 2026-09-21T14:13:20Z
TRACE = "5b8efff798038103d269b633813fc60c"


def attribute(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    return {"key": key, "value": {"doubleValue" if isinstance(value, float) else "stringValue": value}}


def attributes(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [attribute(key, value) for key, value in found.items()]


def span(number: int = 1, parent: int = 0, *, trace: str = TRACE, **more: Any) -> dict[str, Any]:
    """A span of two seconds; ``more`` is laid over it, ``attributes`` given as a plain dict."""
    found = {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": "chat",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 2_000_000_000),
        **more,
    }
    found["attributes"] = attributes(more.get("attributes", {}))
    return found


def chat(number: int = 1, parent: int = 0, /, *, trace: str = TRACE, **usage: Any) -> dict[str, Any]:
    """A chat with OpenAI that used 100 and 10 tokens; ``usage`` by attribute, ``__`` for the dots."""
    said: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
    said["gen_ai.request.model"] = "gpt-4o"
    said |= {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    said |= {name.replace("__", "."): value for name, value in usage.items()}
    return span(
        number, parent, trace=trace, attributes={key: value for key, value in said.items() if value is not None}
    )


def traces(*found: dict[str, Any], scope: str = "test", resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """An ExportTraceServiceRequest, through JSON text and back as a file's is."""
    groups = [{"scope": {"name": scope, "version": "1"}, "spans": list(found)}]
    holder = {"resource": {"attributes": attributes(resource or {})}, "scopeSpans": groups}
    read: dict[str, Any] = parse_json(json.dumps({"resourceSpans": [holder]}))
    return read


def read(*requests: dict[str, Any]) -> list[Fact | Problem]:
    """What batches of spans become, one after another."""
    calls = GenAiSpans("test")
    return [row for request in requests for row in calls.facts(spans(request))]


def rows(*requests: dict[str, Any]) -> list[Fact]:
    """As :func:`read`, where nothing may be wrong."""
    found = read(*requests)
    assert not [one for one in found if isinstance(one, Problem)]
    return [one for one in found if isinstance(one, Fact)]


def buckets(*requests: dict[str, Any]) -> list[Fact]:
    """What batches of metrics become."""
    metrics = GenAiMetrics("test")
    found = [row for request in requests for row in metrics.facts(metric_points(request))]
    assert not [one for one in found if isinstance(one, Problem)]
    return [one for one in found if isinstance(one, Fact)]


def capture(emitter: str) -> list[Fact]:
    """What the spans and the metrics of a captured file become."""
    file = open_facts(FIXTURES / f"{emitter}.jsonl")
    assert OtlpJson().recognises(file)
    calls, metrics = GenAiSpans(emitter), GenAiMetrics(emitter)
    found: list[Fact | Problem] = []
    for line in file.objects():
        assert not isinstance(line, Problem)
        found += calls.facts(spans(line[1], line[0]))
        found += metrics.facts(metric_points(line[1], line[0]))
    assert not [one for one in found if isinstance(one, Problem)]
    return [one for one in found if isinstance(one, Fact)]


def written(path: Path, *documents: Any) -> FactFile:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")
    return open_facts(path)


def texts(fact: Fact) -> Iterator[str]:
    """Every text of a row."""
    yield from (
        str(one) for one in (fact.identity, fact.source, *fact.values.values(), *fact.tags, *fact.tags.values())
    )
