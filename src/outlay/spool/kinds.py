"""What the records of a spool hold, by their kind."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Kind"]


class Kind(IntEnum):
    """An OTLP export request in one of its encodings, or events of a gateway, a line each. Numbers are for ever."""

    TRACES_PROTOBUF = 1
    METRICS_PROTOBUF = 2
    TRACES_JSON = 3
    METRICS_JSON = 4
    GATEWAY_EVENTS = 5
