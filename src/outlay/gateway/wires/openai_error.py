"""Errors as OpenAI's clients expect them: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import orjson

from outlay.gateway.wires.spoken import Json

__all__ = ["openai_error"]

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
