"""OTLP's answers: what a response says, and google.rpc.Status for what is refused.

Source: the OpenTelemetry protocol specification, https://opentelemetry.io/docs/specs/otlp, *OTLP/HTTP Response* and
*Failures*; google/rpc/status.proto, code.proto and error_details.proto.
"""

from __future__ import annotations

import json

from outlay.receivers.otlp import Encoding, Looked, Signal, proto

__all__ = [
    "INTERNAL",
    "INVALID",
    "NOT_FOUND",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "response",
    "status",
    "status_with_retry",
]

INVALID, NOT_FOUND, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 3, 5, 8, 13, 14, 16
"""Codes of google.rpc.Code."""

_REJECTED = {"traces": "spans", "metrics": "data_points", "logs": "log_records"}
_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"


def response(signal: Signal, encoding: Encoding, looked: Looked) -> bytes:
    """The export response: empty for a request that is stored whole, else what of it will be no row, and why."""
    what = f"rejected_{_REJECTED[signal]}"
    if encoding == "json":
        if not looked.rejected:
            return b"{}"
        first, *others = what.split("_")
        name = first + "".join(other.capitalize() for other in others)
        return json.dumps({"partialSuccess": {name: str(looked.rejected), "errorMessage": looked.why}}).encode()
    answer = proto(signal, "Response")()
    if looked.rejected:
        setattr(answer.partial_success, what, looked.rejected)
        answer.partial_success.error_message = looked.why
    return bytes(answer.SerializeToString())


def status(code: int, message: str, encoding: Encoding = "protobuf") -> bytes:
    """A google.rpc.Status."""
    if encoding == "json":
        return json.dumps({"code": code, "message": message}).encode()
    return b"\x08" + _varint(code) + _field(2, message.encode())


def status_with_retry(code: int, message: str, seconds: int) -> bytes:
    """A google.rpc.Status with a RetryInfo: without one a client takes RESOURCE_EXHAUSTED for final."""
    retry = _field(1, b"\x08" + _varint(seconds))
    return status(code, message) + _field(3, _field(1, _RETRY_INFO) + _field(2, retry))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
