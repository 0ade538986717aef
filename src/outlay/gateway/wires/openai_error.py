"""Errors as OpenAI's clients expect them: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import orjson

from outlay.gateway.wires.spoken import Json
from outlay.gateway.wires.sse import error_event

__all__ = ["openai_broken", "openai_error"]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "insufficient_quota",
}


def openai_error(status: int, kind: str, message: str, details: Json) -> bytes:
    """``details`` stand beside what OpenAI has, under ``outlay``."""
    error: Json = {"message": message, "type": _TYPES.get(status, "api_error"), "param": None, "code": kind}
    if details:
        error["outlay"] = details
    return orjson.dumps({"error": error})


def openai_broken(message: str) -> bytes:
    """The end of a stream that broke off."""
    return error_event(openai_error(502, "upstream_failed", message, {}))
