"""OTLP/JSON files: spans and metrics as the OpenTelemetry Collector's file exporter writes them, a request a line.

The format is OpenTelemetry's protocol in its JSON encoding (opentelemetry.io/docs/specs/otlp, *JSON Protobuf
Encoding*): lowerCamelCase names, ids in hex, 64-bit integers as text. The Python SDK's OTLP/JSON file exporters write
the same. Calls of models in it become requests; all else is passed over.

The trap: metrics and spans of one service tell the same tokens. Where a file has both, its metrics are left out; where
they came in two files, the rows from metrics can be told by a source of their own and the remark ``from-metrics``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import FactTable
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json
from outlay.sources.facts import Fact, Value, amount
from outlay.sources.reader import Format
from outlay.sources.usage.gateway_events import GATEWAY
from outlay.sources.usage.otel_attributes import FIRST_TOKEN_EVENTS, route
from outlay.sources.usage.otel_genai import GenAiSpans
from outlay.sources.usage.otel_metrics import GenAiMetrics, is_read
from outlay.sources.usage.otel_span import MetricPoint, Origin, Scalar, Span, Told, origin, sort, told

__all__ = ["OtlpJson", "metric_points", "spans"]

_MOST_NANOS = Decimal(10) ** 20
_LONG = 200_000
_MOST_HELD = 100_000
_BEGINS = re.compile(r'\s*\{\s*"resource(Spans|Metrics)"\s*:\s*\[')


class OtlpJson:
    """Reader of OTLP/JSON files."""

    format = Format(
        "otlp-json",
        "OpenTelemetry (OTLP/JSON)",
        "The Collector's file exporter on the traces pipeline, or an SDK's OTLP/JSON file exporter.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Whether its first object is an OTLP export request."""
        if _longer_than_head(file):
            return _BEGINS.match(file.head) is not None
        found = file.first
        if found is None:
            return False
        if isinstance(found.get("resourceSpans"), list) or isinstance(found.get("resourceMetrics"), list):
            return True
        return isinstance(found.get("resourceLogs"), list) and '"resourceSpans"' in file.head

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """Requests of the file's spans, and buckets of the metrics of services without spans in it."""
        calls, metrics = GenAiSpans(file.name), GenAiMetrics(file.name)
        services: set[Value] = set()
        held: list[Fact] = []
        left_out: Counter[Value] = Counter()
        for found in (replace(file, kind="jsonl") if _longer_than_head(file) else file).objects():
            if isinstance(found, Problem):
                yield found
                continue
            line, request = found
            flaws: list[str] = []
            for row in calls.facts(spans(request, line, flaws)):
                if isinstance(row, Fact) and row.source != GATEWAY.id:
                    services.add(row.values.get("x_Service"))
                yield row
            for row in metrics.facts(metric_points(request, line, flaws)):
                if isinstance(row, Fact):
                    held.append(row)
                else:
                    yield row
            for flaw in flaws:
                yield file.problem(line, "unknown-layout", flaw)
            if len(held) > _MOST_HELD:
                yield from _not_told(held, services, left_out)
                held = []
        yield from _not_told(held, services, left_out)
        for service, count in left_out.items():
            whose = f"of the service '{service}'" if service else "of a service without a name"
            message = f"{count} buckets of metrics {whose} are left out: its spans in the file tell the same tokens"
            yield file.problem(None, "usage-told-twice", message)


def _not_told(held: list[Fact], services: set[Value], left_out: Counter[Value]) -> Iterator[Fact]:
    """The buckets of services whose spans are not in the file; the others are counted in ``left_out``."""
    for bucket in held:
        service = bucket.values.get("x_Service")
        if service in services:
            left_out[service] += 1
        else:
            yield bucket


def _longer_than_head(file: FactFile) -> bool:
    """Whether the first line does not end within the head: a batch of thousands of spans, alone or one of many."""
    return file.kind == "json" and len(file.head) > _LONG and "\n" not in file.head and file.head.lstrip()[:1] == "{"


def spans(request: Mapping[str, Json], line: int | None = None, flaws: list[str] | None = None) -> Iterator[Span]:
    """Spans of an ExportTraceServiceRequest; what in it is not as the protocol has it is told in ``flaws``."""
    flaws = [] if flaws is None else flaws
    for resource, scope, group in _groups(
        request, "resourceSpans", ("scopeSpans", "instrumentationLibrarySpans"), flaws
    ):
        shared = _origin(resource, scope)
        for span in _objects(group, "spans", flaws):
            yield _span(span, shared, line, flaws)


def metric_points(
    request: Mapping[str, Json], line: int | None = None, flaws: list[str] | None = None
) -> Iterator[MetricPoint]:
    """Data points, of metrics that are read, in an ExportMetricsServiceRequest."""
    flaws = [] if flaws is None else flaws
    names = ("scopeMetrics", "instrumentationLibraryMetrics")
    for resource, scope, group in _groups(request, "resourceMetrics", names, flaws):
        shared = _origin(resource, scope)
        for metric in _objects(group, "metrics", flaws):
            name = metric.get("name")
            if not isinstance(name, str) or not is_read(name):
                continue
            for kind, total in (
                ("sum", ("asInt", "asDouble")),
                ("histogram", ("sum",)),
                ("exponentialHistogram", ("sum",)),
            ):
                data = metric.get(kind)
                if isinstance(data, dict):
                    cumulative = _enum(data.get("aggregationTemporality"), "AGGREGATION_TEMPORALITY_CUMULATIVE", 2)
                    for point in _objects(data, "dataPoints", flaws):
                        yield _point(name, point, total, shared, cumulative=cumulative, line=line)


def _groups(
    request: Mapping[str, Json], top: str, inner: tuple[str, ...], flaws: list[str]
) -> Iterator[tuple[Mapping[str, Json], Mapping[str, Json], Mapping[str, Json]]]:
    """Each group of spans or metrics with its resource and its scope."""
    for one in _objects(request, top, flaws):
        for name in inner:
            for group in _objects(one, name, flaws):
                scope = group.get("scope", group.get("instrumentationLibrary"))
                yield _object(one.get("resource")), _object(scope), group


def _objects(holder: Mapping[str, Json], name: str, flaws: list[str]) -> Iterator[Mapping[str, Json]]:
    found = holder.get(name)
    if found is None:
        return
    if not isinstance(found, list):
        flaws.append(f"{name} is no list")
        return
    for one in found:
        if isinstance(one, dict):
            yield one
        else:
            flaws.append(f"an element of {name} is no object")


def _object(found: Json) -> Mapping[str, Json]:
    return found if isinstance(found, dict) else {}


def _origin(resource: Mapping[str, Json], scope: Mapping[str, Json]) -> Origin:
    named = {key: value for key, value in _attributes(resource.get("attributes")) if isinstance(value, str)}
    name, version = scope.get("name"), scope.get("version")
    return origin(named, name if isinstance(name, str) else "", version if isinstance(version, str) else "")


def _attributes(found: Json) -> Iterator[tuple[str, Scalar]]:
    """Keys and scalar values; lists and maps are left out, as nothing that is read is one."""
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and isinstance(key := one.get("key"), str):
            value = _scalar(one.get("value"))
            if value is not None:
                yield _clean(key), value


def _scalar(value: Json) -> Scalar | None:
    if not isinstance(value, dict):
        return None
    for kind, found in value.items():
        if kind == "intValue" and not isinstance(found, bool):
            if isinstance(found, str):
                text = found.strip()
                return int(text) if text.lstrip("-").isdecimal() and len(text) <= 20 else found
            return found if isinstance(found, (int, Decimal)) else None
        if kind == "stringValue" and isinstance(found, str):
            return _clean(found)
        if kind == "doubleValue" and isinstance(found, (int, Decimal, str)) and not isinstance(found, bool):
            return found
        if kind == "boolValue" and isinstance(found, bool):
            return found
    return None


def _span(span: Mapping[str, Json], shared: Origin, line: int | None, flaws: list[str]) -> Span:
    status = _object(span.get("status"))
    exception, first = None, 0
    for event in _objects(span, "events", flaws):
        name = event.get("name")
        if name == "exception":
            found = dict(_attributes(event.get("attributes"))).get("exception.type")
            exception = found if isinstance(found, str) else exception
        elif isinstance(name, str) and name.lower() in FIRST_TOKEN_EVENTS:
            at = _nanos(event.get("timeUnixNano"))
            first = at if at and (not first or at < first) else first
    return Span(
        _id(span.get("traceId"), 16),
        _id(span.get("spanId"), 8),
        _id(span.get("parentSpanId"), 8),
        _nanos(span.get("startTimeUnixNano")),
        _nanos(span.get("endTimeUnixNano")),
        _enum(status.get("code"), "STATUS_CODE_ERROR", 2),
        shared,
        *sort(_told(span.get("attributes"))),
        exception,
        first,
        line,
    )


def _told(attributes: Json) -> Iterator[Told | None]:
    """The attributes that are read; the values of the others are not looked at."""
    for one in attributes if isinstance(attributes, list) else ():
        key = one.get("key") if isinstance(one, dict) else None
        if not isinstance(key, str) or (where := route(_clean(key))) is None:
            continue
        if (value := _scalar(one.get("value"))) is not None:
            yield told(where, value)


def _point(
    name: str,
    point: Mapping[str, Json],
    totals: tuple[str, ...],
    shared: Origin,
    *,
    cumulative: bool,
    line: int | None,
) -> MetricPoint:
    _, facts, figures, tags = sort(_told(point.get("attributes")))
    named = {key: value for key, value in _attributes(point.get("attributes")) if isinstance(value, str)}
    total = next((point[one] for one in totals if isinstance(point.get(one), (int, str, Decimal))), None)
    count = point.get("count")
    return MetricPoint(
        name,
        _nanos(point.get("startTimeUnixNano")),
        _nanos(point.get("timeUnixNano")),
        total,
        count if isinstance(count, (int, str, Decimal)) else None,
        cumulative,
        shared,
        facts | figures,
        tags,
        named.get("gen_ai.token.type"),
        named.get("gen_ai.token.modality"),
        line,
    )


def _id(found: Json, size: int) -> str:
    """An id in lower-case hex; base64, which plain protobuf-to-JSON converters write, is turned into it."""
    if not isinstance(found, str) or not found:
        return ""
    if len(found) != 2 * size:
        try:
            decoded = base64.b64decode(found, validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        found = decoded.hex() if len(decoded) == size else found[:64]
    return "" if not found.strip("0") else _clean(found).lower()


def _nanos(found: Json) -> int:
    """Nanoseconds since 1970; 0 for none, -1 for what is no number."""
    if found is None or found == "":
        return 0
    number = None if isinstance(found, bool) else amount(found)
    if number is None or abs(number) >= _MOST_NANOS or number != int(number):
        return -1
    return int(number)


def _clean(text: str) -> str:
    """A text that can be stored: JSON may spell halves of characters, which are no text."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _enum(found: Any, name: str, number: int) -> bool:  # noqa: ANN401 - whatever a file holds
    return found == name or (found == number and not isinstance(found, bool))
