"""What the records of a spool hold, by their kind."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["EVENT_ATTRIBUTE", "GATEWAY_SCOPE", "Kind"]

GATEWAY_SCOPE = "outlay.gateway"
"""The instrumentation scope of the spans and metrics that a gateway sends over OTLP: they tell what its events tell."""

EVENT_ATTRIBUTE = "outlay.gateway.event"
"""The attribute of such a span that holds the event of its call, so that the one is known for the other."""


class Kind(IntEnum):
    """An OTLP export request in one of its encodings, or events of a gateway, a line each. Numbers are for ever."""

    TRACES_PROTOBUF = 1
    METRICS_PROTOBUF = 2
    TRACES_JSON = 3
    METRICS_JSON = 4
    GATEWAY_EVENTS = 5
