"""OTLP in its binary encoding, as OTLP/HTTP and OTLP/gRPC carry it: the same spans and points as from OTLP/JSON.

Needs the package ``opentelemetry-proto``, which is imported when the first request is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from outlay.errors import UnreadableError
from outlay.sources.usage.otel_attributes import FACT, FIRST_TOKEN_EVENTS, LONGEST_TAG, USAGE, route
from outlay.sources.usage.otel_metrics import is_read
from outlay.sources.usage.otel_span import MetricPoint, Origin, Scalar, Span, origin

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

__all__ = ["metric_points", "metric_points_of", "spans", "spans_of"]

_CUMULATIVE = 2
_ERROR = 2


def spans(data: bytes) -> Iterator[Span]:
    """Spans of an ExportTraceServiceRequest. Raises :class:`UnreadableError` for bytes that are none."""
    return spans_of(_parsed(_trace_request(), data))


def metric_points(data: bytes) -> Iterator[MetricPoint]:
    """Data points, of metrics that are read. Raises :class:`UnreadableError` for bytes that are no request."""
    return metric_points_of(_parsed(_metrics_request(), data))


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Spans of a request that is decoded already, as a gRPC server has it."""
    for resource in request.resource_spans:
        for group in resource.scope_spans:
            shared = _origin(resource.resource, group.scope)
            for span in group.spans:
                yield _span(span, shared)


def metric_points_of(request: ExportMetricsServiceRequest) -> Iterator[MetricPoint]:
    """Data points of a request that is decoded already."""
    for resource in request.resource_metrics:
        for group in resource.scope_metrics:
            shared = _origin(resource.resource, group.scope)
            for metric in group.metrics:
                if not is_read(metric.name):
                    continue
                kind = metric.WhichOneof("data")
                if kind in ("sum", "histogram", "exponential_histogram"):
                    data = getattr(metric, kind)
                    cumulative = data.aggregation_temporality == _CUMULATIVE
                    for point in data.data_points:
                        yield _point(metric.name, point, shared, counter=kind == "sum", cumulative=cumulative)


def _parsed(kind: Any, data: bytes) -> Any:  # noqa: ANN401 - a generated class
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return kind.FromString(data)
    except DecodeError:
        raise UnreadableError(
            "is no OTLP export request in protobuf.", where="the request's body", hint="Send OTLP to this path."
        ) from None


@cache
def _trace_request() -> Any:  # noqa: ANN401 - a generated class
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return ExportTraceServiceRequest


@cache
def _metrics_request() -> Any:  # noqa: ANN401 - a generated class
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    return ExportMetricsServiceRequest


def _origin(resource: Resource, scope: InstrumentationScope) -> Origin:
    named: dict[str, Scalar] = {
        one.key: one.value.string_value
        for one in resource.attributes
        if one.value.WhichOneof("value") == "string_value"
    }
    return origin(named, scope.name, scope.version)


def _scalar(value: AnyValue) -> Scalar | None:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "int_value":
        return value.int_value
    if kind == "double_value":
        return Decimal(repr(value.double_value))
    return value.bool_value if kind == "bool_value" else None


def _span(span: ProtoSpan, shared: Origin) -> Span:
    usage: dict[str, Scalar] = {}
    facts: dict[str, Scalar] = {}
    tags: dict[str, str] = {}
    _sort(span.attributes, usage, facts, tags)
    exception, first = None, 0
    for event in span.events:
        name = event.name
        if name == "exception":
            exception = next((e.value.string_value for e in event.attributes if e.key == "exception.type"), exception)
        elif name.lower() in FIRST_TOKEN_EVENTS:
            first = min(first or event.time_unix_nano, event.time_unix_nano)
    trace, span_id, parent = span.trace_id, span.span_id, span.parent_span_id
    return Span(
        trace.hex() if any(trace) else "",
        span_id.hex() if any(span_id) else "",
        parent.hex() if parent and any(parent) else "",
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == _ERROR,
        shared,
        usage,
        facts,
        tags,
        exception or None,
        first,
    )


def _sort(
    attributes: Iterable[KeyValue], usage: dict[str, Scalar], facts: dict[str, Scalar], tags: dict[str, str]
) -> None:
    """Puts each attribute where it is read; the values of those that are not are never decoded."""
    for one in attributes:
        where = route(one.key)
        if where is None:
            continue
        kind, name = where
        holder = one.value
        value: Scalar | None = holder.int_value if kind is USAGE else holder.string_value
        if not value and (value := _scalar(holder)) is None:  # of another type, or empty
            continue
        if kind is USAGE:
            usage[name] = value
        elif kind is FACT:
            facts[name] = value
        elif isinstance(value, str) and 0 < len(value) <= LONGEST_TAG:
            if one.key.startswith("outlay."):
                tags[name] = value
            else:
                tags.setdefault(name, value)


def _point(name: str, point: Any, shared: Origin, *, counter: bool, cumulative: bool) -> MetricPoint:  # noqa: ANN401
    facts: dict[str, Scalar] = {}
    tags: dict[str, str] = {}
    _sort(point.attributes, {}, facts, tags)
    named = {one.key: one.value.string_value for one in point.attributes if one.key.startswith("gen_ai.token.")}
    if counter:
        total: Scalar = point.as_int if point.WhichOneof("value") == "as_int" else Decimal(repr(point.as_double))
    else:
        total = Decimal(repr(point.sum))
    return MetricPoint(
        name,
        point.start_time_unix_nano,
        point.time_unix_nano,
        total,
        None if counter else point.count,
        cumulative,
        shared,
        facts,
        tags,
        named.get("gen_ai.token.type"),
        named.get("gen_ai.token.modality"),
    )
