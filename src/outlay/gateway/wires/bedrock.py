"""What Bedrock's APIs have in common: its errors, what is billed apart, and its stream as a meter reads it.

Errors: botocore's bedrock-runtime model. The type of an error stands in the header ``x-amzn-errortype`` there; clients
read it from ``__type`` in the body as well, which is where it is here.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from outlay.gateway.wires.event_stream import Frame, Frames, exception
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, model_of
from outlay.gateway.wires.wire import Beside, Said

__all__ = ["Bedrock", "BedrockCount", "FrameMeter", "billed_apart"]

_ANYWHERE = Beside()
_TYPES = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    500: "InternalServerException",
    502: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
}
_GUARD = b"x-amzn-bedrock-guardrailidentifier"
_LATENCY = b"x-amzn-bedrock-performanceconfig-latency"
_TIER = b"x-amzn-bedrock-service-tier"


def billed_apart(body: Json, beside: Beside) -> str | None:
    """Why a call has no bound: what a guardrail and optimised latency cost stands in no answer. Raises `Malformed`."""
    if beside.headers.get(_TIER) is not None and ("service_tier" in body or "serviceTier" in body):
        raise Malformed("the service tier is there twice: in the body and in a header.")
    if body.get("guardrailConfig") or beside.headers.get(_GUARD):
        return "a guardrail is billed by units that no answer tells."
    latency = body.get("performanceConfig")
    said = latency.get("latency") if isinstance(latency, dict) else latency
    if said not in (None, "standard") or beside.headers.get(_LATENCY, b"standard") != b"standard":
        return "optimized latency has a price of its own that no list tells."
    return None


class Bedrock:
    """What the wires of Bedrock share."""

    operation: str = "chat"
    model_in_body: bool = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._stream = name.endswith("-stream")

    def mend(self, body: Json, provider: str) -> None:
        """It has one name everywhere."""

    def ask_usage(self, body: Json) -> bool:
        """Its streams always tell their usage."""
        return False

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error as Bedrock's clients expect it."""
        told = {"__type": _TYPES.get(status, "InternalServerException"), "message": message, "code": kind}
        return orjson.dumps({**told, "outlay": details} if details else told)

    def broken(self, message: str) -> bytes:
        """The end of a stream that broke off."""
        return exception("serviceUnavailableException", message)


class BedrockCount(Bedrock):
    """``POST /model/{model}/count-tokens``, which costs nothing."""

    operation = "count_tokens"
    flavor: str = "converse"

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """It costs nothing, whatever it says."""
        return Spoken(model_of({}, beside.model), max_tokens=0, has_output=False, free=True)

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """It has no output."""

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """It uses nothing."""
        return None

    def meter(self, strip: bool) -> FrameMeter:
        """It has no stream."""
        return FrameMeter()


class FrameMeter:
    """Reads along with a stream of Bedrock's; what its messages mean is what the APIs differ in."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._error: str | None = None
        self.started = False

    def feed(self, chunk: bytes) -> bytes:
        """The messages that are whole; half a one would make unreadable what follows it where the stream breaks off."""
        for frame in self._frames.whole(chunk):
            if b":exception-type" in frame.head or b":error-code" in frame.head:
                self._error = frame.payload.decode(errors="replace")[:500]
            else:
                self._look(frame)
        return self._frames.cut

    def rest(self) -> bytes:
        """Half a message is no use to anybody."""
        return b""

    def said(self) -> Said | None:
        """The usage that the stream told."""
        return None

    @property
    def whole(self) -> bool:
        """Whether it came at the end."""
        return False

    @property
    def failed(self) -> str | None:
        """The error that came within the stream."""
        return self._error

    def _look(self, frame: Frame) -> None:
        """Read one message."""
