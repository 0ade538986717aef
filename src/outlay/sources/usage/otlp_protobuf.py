"""OTLP in its binary encoding, as OTLP/HTTP and OTLP/gRPC carry it: the same spans and points as from OTLP/JSON.

Needs the package ``opentelemetry-proto``, which is imported when the first request is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from outlay.errors import UnreadableError
from outlay.sources.usage.otel_attributes import FIRST_TOKEN_EVENTS, route
from outlay.sources.usage.otel_metrics import is_read
from outlay.sources.usage.otel_span import MetricPoint, Origin, Scalar, Span, Told, origin, sort, told
from outlay.sources.usage.otlp_trace_view import trace_view

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

__all__ = ["metric_points", "spans"]

_CUMULATIVE = 2
_ERROR = 2
_LONG = 1_000
"""Bytes: a longer attribute or resource is decoded each time, and not kept in memory."""
_MOST_ATTRIBUTES = 20_000


def spans(data: bytes) -> Iterator[Span]:
    """Spans of an ExportTraceServiceRequest. Raises :class:`UnreadableError` for bytes that are none."""
    for resource in _parsed(trace_view(), data).resource_spans:
        for group in resource.scope_spans:
            shared = _shared(b"".join(resource.resource), b"".join(group.scope))
            for span in group.spans:
                yield _span(span, shared)


def metric_points(data: bytes) -> Iterator[MetricPoint]:
    """Data points, of metrics that are read. Raises :class:`UnreadableError` for bytes that are no request."""
    for resource in _parsed(_messages().ExportMetricsServiceRequest, data).resource_metrics:
        for group in resource.scope_metrics:
            shared = _origin(resource.resource, group.scope)
            for metric in group.metrics:
                if not is_read(metric.name):
                    continue
                kind = metric.WhichOneof("data")
                if kind in ("sum", "histogram", "exponential_histogram"):
                    data_of = getattr(metric, kind)
                    cumulative = data_of.aggregation_temporality == _CUMULATIVE
                    for point in data_of.data_points:
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
def _messages() -> SimpleNamespace:
    """The classes of OTLP that are read here."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    return SimpleNamespace(
        ExportMetricsServiceRequest=ExportMetricsServiceRequest,
        InstrumentationScope=InstrumentationScope,
        KeyValue=KeyValue,
        Resource=Resource,
    )


def _shared(resource: bytes, scope: bytes) -> Origin:
    """The origin of a group of spans; worked out once for the many groups of a process."""
    if len(resource) + len(scope) > _LONG:
        return _decoded_origin(resource, scope)
    return _known_origin(resource, scope)


def _decoded_origin(resource: bytes, scope: bytes) -> Origin:
    messages = _messages()
    return _origin(_parsed(messages.Resource, resource), _parsed(messages.InstrumentationScope, scope))


_known_origin = lru_cache(maxsize=1_000)(_decoded_origin)


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


def _key_value(raw: bytes) -> KeyValue:
    found: KeyValue = _parsed(_messages().KeyValue, raw)
    return found


class _Attributes(dict[bytes, "Told | None"]):
    """What an attribute says, by its bytes: decoded once for the many spans that have the same."""

    def __missing__(self, raw: bytes) -> Told | None:
        found = _told(_key_value(raw))
        if len(raw) <= _LONG:
            if len(self) >= _MOST_ATTRIBUTES:
                self.clear()  # what is still said is soon known again
            self[raw] = found
        return found


_attribute = _Attributes().__getitem__


def _told(one: KeyValue) -> Told | None:
    """An attribute as it is read; the value of one that is not is not looked at."""
    if (where := route(one.key)) is None or (value := _scalar(one.value)) is None:
        return None
    return told(where, value)


def _span(span: Any, shared: Origin) -> Span:  # noqa: ANN401 - of the trace view
    exception, first = None, 0
    for event in span.events:
        name = event.name
        if name == "exception":
            said = (_key_value(raw) for raw in event.attributes)
            exception = next((one.value.string_value for one in said if one.key == "exception.type"), exception)
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
        *sort(map(_attribute, span.attributes)),
        exception or None,
        first,
    )


def _point(name: str, point: Any, shared: Origin, *, counter: bool, cumulative: bool) -> MetricPoint:  # noqa: ANN401
    _, facts, figures, tags = sort(map(_told, point.attributes))
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
        facts | figures,
        tags,
        named.get("gen_ai.token.type"),
        named.get("gen_ai.token.modality"),
    )
