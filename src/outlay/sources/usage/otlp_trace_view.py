"""An export request of spans as the take-up needs it: attributes, resources and scopes are left in their bytes.

On the wire a message within a message is bytes with a length before them, so the same request can be read by a schema
that says ``bytes`` where OTLP's says ``KeyValue``. Most attributes of a program's spans are the same bytes span after
span, and each of those is then decoded once and looked up from then on. Fields that are not read are not named here.

A single message that comes in several pieces is all of them put together, by protobuf's rules; hence ``repeated``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["trace_view"]

_FIELDS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Request": (("resource_spans", 1, "ResourceSpans"),),
    "ResourceSpans": (("resource", 1, "bytes"), ("scope_spans", 2, "ScopeSpans")),
    "ScopeSpans": (("scope", 1, "bytes"), ("spans", 2, "Span")),
    "Span": (
        ("trace_id", 1, "one bytes"),
        ("span_id", 2, "one bytes"),
        ("parent_span_id", 4, "one bytes"),
        ("start_time_unix_nano", 7, "one fixed64"),
        ("end_time_unix_nano", 8, "one fixed64"),
        ("attributes", 9, "bytes"),
        ("events", 11, "Event"),
        ("status", 15, "one Status"),
    ),
    "Event": (("time_unix_nano", 1, "one fixed64"), ("name", 2, "one string"), ("attributes", 3, "bytes")),
    "Status": (("code", 3, "one int32"),),
}
"""Message -> its fields: name, number as OTLP has it, and type; repeated but for those that are ``one``."""


@cache
def trace_view() -> Any:  # noqa: ANN401 - a generated class
    """The class that reads an ExportTraceServiceRequest so."""
    from google.protobuf import (  # type: ignore[import-untyped]
        descriptor_pb2,
        descriptor_pool,
        message_factory,
    )

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="outlay/otlp_trace_view.proto", package="outlay.otlp", syntax="proto3"
    )
    for message, fields in _FIELDS.items():
        made = file.message_type.add(name=message)
        for name, number, said in fields:
            single, kind = said.startswith("one "), said.removeprefix("one ")
            label = kinds.LABEL_OPTIONAL if single else kinds.LABEL_REPEATED
            field = made.field.add(name=name, number=number, label=label)
            if kind in _FIELDS:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".outlay.otlp.{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("outlay.otlp.Request"))
