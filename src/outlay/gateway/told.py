"""What an answer of a provider tells of its call: its usage, and whether an error is charged for all the same."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import orjson

from outlay.gateway.wires.wire import Said, Wire

__all__ = ["is_charged", "plain_body", "said_of"]

_CHARGED_ALL_THE_SAME = (b'"content_filter"', b'"context_length_exceeded"')


def is_charged(provider: str, status: int, content: bytes) -> bool:
    """Whether an error may be charged for. Only Azure does: what its filter or its limits stopped after some work, and
    what timed out.

    https://learn.microsoft.com/azure/ai-services/openai/how-to/manage-costs, "HTTP Error response code and billing".
    """
    if provider != "azure":
        return False
    return status == 408 or (status == 400 and any(code in content for code in _CHARGED_ALL_THE_SAME))


def said_of(wire: Wire, content: bytes, headers: Mapping[str, str]) -> Said | None:
    """The usage that a whole answer tells, None where it tells none; ``headers`` in lower case."""
    try:
        answer = orjson.loads(plain_body(content, headers))
    except ValueError:
        return None
    return wire.said(answer, headers) if isinstance(answer, dict) else None


def plain_body(content: bytes, headers: Mapping[str, str]) -> bytes:
    """A body as it was before it was compressed. Raises :class:`ValueError` where it is not what its headers say."""
    if headers.get("content-encoding", "identity").lower() not in ("gzip", "deflate"):
        return content
    try:
        return zlib.decompress(content, wbits=47)
    except zlib.error as error:
        raise ValueError(str(error)) from None
