"""What a pretended provider does with one call, and how a test says so.

A script comes, in this order, from the queue (``upstream.next(...)``: one call each), from the header
``x-upstream-script`` (JSON), from the text of a prompt, which no gateway takes away (``{{upstream: {"output":
300}}}``), from the name of the model (``upstream.for_model(...)``) or from ``upstream.default``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

__all__ = ["HEADER", "ORDINARY", "Script", "marker", "of_call"]

HEADER = "x-upstream-script"
_MARKER = re.compile(rb"\{\{upstream: (\{[^{}]*\})\}\}")

Drop = Literal["at_once", "before_headers", "mid_stream", "before_usage"]


@dataclass(frozen=True, slots=True)
class Script:
    """One call's course. Unless said otherwise: 20 tokens are said at once, in deltas of one token."""

    output: int = 20
    """tokens that it would like to say; the caller's limit may cut them"""
    reasoning: int = 0
    """tokens that it thinks before, hidden, billed as output"""
    tool: bool = False
    """calls the first tool of the request instead of talking (so it does where the caller demands a tool)"""
    arguments: str = '{"city":"Oslo"}'
    """what it calls the tool with, ASCII"""
    hidden_input: int = 0
    """input tokens that the provider adds to what the caller sent"""
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    """so many of the input tokens come from or go into a cache, as far as the input reaches"""
    service_tier: str | None = None
    """the tier that it says it served, where that is not the one asked for"""
    model: str | None = None
    """the model that it says it was, where that is not the one asked for"""

    start_s: float = 0.0
    """waits so long before anything of the answer"""
    chunk_s: float = 0.0
    """waits so long before each frame of a stream"""
    chunk_tokens: int = 1
    """tokens of a delta"""
    huge: int = 0
    """bytes of an unknown field in the first frame of content (or in the body of an answer that is no stream)"""
    usage: bool = True
    """False: says nothing of usage, whatever the caller asked"""
    gzip: bool = False
    """compresses the answer where the caller accepts that"""
    garbage: bool = False
    """breaks its JSON: the body, or one frame in the middle of a stream"""
    stream_error: bool = False
    """an error in the middle of a stream, in the provider's format; the stream ends there"""
    status: int | None = None
    """answers with this error and does no work: 400, 401, 403, 404, 429, 500, 503, 529"""
    retry_after: float | None = None
    """seconds in the header of that error"""
    drop: Drop | None = None
    """the connection breaks: ``at_once`` before any work; ``before_headers`` after all of it, billed in full; in the
    middle of the content (of a stream: billed what was made until then); or after the last content, before usage"""
    close: bool = False
    """says ``connection: close`` and closes after the answer"""
    stale: bool = False
    """answers as if the connection stayed open, and closes it without a word when the next request comes on it"""
    when_left: Literal["stop", "finish"] = "stop"
    """what it does when the caller of a stream goes away: bill what was made so far, or make, and bill, the rest"""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Script:
        """From JSON; a name that is none is a mistake in the test."""
        unknown = told.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise ValueError(f"no such behaviour: {', '.join(sorted(unknown))}")
        return cls(**told)


ORDINARY = Script()


def marker(**behaviour: Any) -> str:
    """Text that, anywhere in a prompt, scripts the call it belongs to."""
    Script.of(behaviour)
    return "{{upstream: " + json.dumps(behaviour) + "}}"


def of_call(header: str | None, body: bytes) -> Script | None:
    """What the call itself says by header or prompt, if anything."""
    if header is not None:
        return Script.of(json.loads(header))
    found = _MARKER.search(body)
    if found is None:
        return None
    return Script.of(json.loads(found[1].replace(b'\\"', b'"')))
