"""A call as a span: OpenTelemetry's names for what it has one for, and ``outlay.`` for the rest.

The names are those of the GenAI conventions (opentelemetry-semantic-conventions 0.66b2, in development there).
``gen_ai.request.model`` is the name that the caller asked for, as in the ledger; where another was sent,
``outlay.sent_model`` says which. The figures are the event's. Counts are there where the provider told them: a call
that was settled at its bound has ``outlay.bound.*`` in their place.

The whole event goes along (``outlay.gateway.event``): where the receiver is an Outlay too, it has the row of the event,
and never a second one. What was asked and answered, keys and secrets are in no event, and so in no span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from outlay.gateway.metering.event import CallEvent
from outlay.gateway.otlp.context import Context
from outlay.spool.kinds import EVENT_ATTRIBUTE

__all__ = ["Attribute", "Told", "attributes_of", "error_type", "key_values", "server", "span_of"]

Attribute = str | int | float | bool

_NO_USAGE = frozenset({"no usage", "unreadable usage"})
_CLASS = re.compile(r".*: ([A-Za-z][A-Za-z0-9_]*)")
_WORDS = {"interrupted": "interrupted", "the caller went away": "caller_gone"}
_LONGEST_MESSAGE = 200
_MOST = 2**63 - 1
"""The largest number that OTLP holds: a caller may ask for any number of tokens."""
_OTHER = "_OTHER"
_NOT_TAGS = frozenset({"model", "provider"})
"""Attributes of a call that have names of the convention."""


@dataclass(frozen=True, slots=True)
class Told:
    """A call that was settled: its event, also as a line, and where it went. ``ended`` is in nanoseconds since 1970."""

    event: CallEvent
    line: bytes
    context: Context
    host: str
    port: int
    ended: int


def span_of(told: Told) -> bytes:
    """The span of a call, in protobuf."""
    event, context = told.event, told.context
    failed = error_type(event)
    status = None
    if failed is not None:
        status = Status(code=Status.STATUS_CODE_ERROR, message=(event.error or failed)[:_LONGEST_MESSAGE])
    started = min(event.started * 1_000_000, told.ended)
    span = Span(
        trace_id=bytes.fromhex(context.trace),
        span_id=bytes.fromhex(context.span),
        parent_span_id=bytes.fromhex(context.parent),
        name=f"{event.operation} {event.asked_model}",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=started,
        end_time_unix_nano=told.ended,
        attributes=key_values({**attributes_of(event), **server(told), EVENT_ATTRIBUTE: told.line.decode()}),
        status=status,
    )
    found: bytes = span.SerializeToString()
    return found


def key_values(attributes: Mapping[str, Attribute]) -> Iterator[KeyValue]:
    """Attributes as OTLP has them."""
    for name, value in attributes.items():
        if isinstance(value, bool):
            yield KeyValue(key=name, value=AnyValue(bool_value=value))
        elif isinstance(value, int):
            yield KeyValue(key=name, value=AnyValue(int_value=min(value, _MOST)))
        elif isinstance(value, float):
            yield KeyValue(key=name, value=AnyValue(double_value=value))
        else:
            yield KeyValue(key=name, value=AnyValue(string_value=value))


def server(told: Told) -> dict[str, Attribute]:
    """Where a call went."""
    return {"server.address": told.host, "server.port": told.port}


def attributes_of(event: CallEvent) -> dict[str, Attribute]:
    """What a span says of its call. A tag never takes the place of a name that is the gateway's."""
    tags: dict[str, Attribute] = {
        f"outlay.{name}": value for name, value in event.attributes.items() if name not in _NOT_TAGS
    }
    said: dict[str, Attribute | None] = {
        "gen_ai.operation.name": event.operation,
        "gen_ai.provider.name": event.provider,
        "gen_ai.request.model": event.asked_model,
        "gen_ai.response.model": event.answered_model,
        "gen_ai.request.stream": event.stream or None,
        "error.type": error_type(event),
        "http.response.status_code": event.status,
        "outlay.call": event.call,
        "outlay.request": event.id,
        "outlay.sent_model": event.sent_model if event.sent_model != event.asked_model else None,
        "outlay.settled": event.settled,
        "outlay.cost": float(event.cost) if event.cost is not None else None,
        "outlay.currency": event.currency if event.cost is not None else None,
    }
    if event.first_token is not None:
        said["gen_ai.response.time_to_first_chunk"] = event.first_token / 1e6
    if (usage := event.usage) is not None:
        said |= {
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens or None,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens or None,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
        }
    if event.settled in ("bound", "received"):
        said |= {"outlay.bound.input_tokens": event.bound_input or None}
        said |= {"outlay.bound.output_tokens": event.bound_output}
    return tags | {name: value for name, value in said.items() if value is not None}


def error_type(event: CallEvent) -> str | None:
    """What failed, in few words of few kinds: a status, the class of an error; None for a call that succeeded.

    An answer that told no usage is one all the same.
    """
    status, error = event.status, event.error
    answered = status is not None and 200 <= status < 300
    if answered and (error is None or error in _NO_USAGE):
        return None
    if status is not None and not answered:
        return str(status)
    if error is None:
        return _OTHER
    found = _CLASS.fullmatch(error)
    return found[1] if found else _WORDS.get(error, _OTHER)
