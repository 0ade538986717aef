"""What an answer of a provider tells of its call: its usage, and whether an error is charged for all the same."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import orjson

from outlay.gateway.wires.spoken import Json
from outlay.gateway.wires.wire import Said, Wire

__all__ = ["answer_of", "is_charged", "plain_body", "said_of"]

_TIMED_OUT = frozenset({408, 504, 524})
"""The provider, or a proxy before it, gave up waiting for the model, which may have done the work."""
_CHARGED_ALL_THE_SAME = (b'"content_filter"', b'"context_length_exceeded"')


def is_charged(provider: str, status: int, content: bytes) -> bool:
    """Whether an error may be charged for: by anybody what timed out, by Azure also what its filter or limits stopped
    after some work.

    https://learn.microsoft.com/azure/ai-services/openai/how-to/manage-costs, "HTTP Error response code and billing".
    """
    stopped = provider == "azure" and status == 400 and any(code in content for code in _CHARGED_ALL_THE_SAME)
    return stopped or status in _TIMED_OUT


def said_of(wire: Wire, content: bytes, headers: Mapping[str, str]) -> Said | None:
    """The usage that a whole answer tells, None where it tells none; ``headers`` in lower case."""
    answer = answer_of(content, headers)
    return None if answer is None else wire.said(answer, headers)


def answer_of(content: bytes, headers: Mapping[str, str]) -> Json | None:
    """What a whole answer says; None where it is no JSON object."""
    try:
        answer = orjson.loads(plain_body(content, headers))
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def plain_body(content: bytes, headers: Mapping[str, str]) -> bytes:
    """A body as it was before it was compressed. Raises :class:`ValueError` where it is not what its headers say."""
    if headers.get("content-encoding", "identity").lower() not in ("gzip", "deflate"):
        return content
    try:
        return zlib.decompress(content, wbits=47)
    except zlib.error as error:
        raise ValueError(str(error)) from None
