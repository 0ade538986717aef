"""Where a call stands in its caller's trace: W3C Trace Context, version 00.

The caller's trace goes on: the gateway's span is a child of the caller's, and the provider is told of the gateway's as
its parent. A caller without a trace, or with a header that is none, gets a new one; one that does not sample its trace
is followed in that too. https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from dataclasses import dataclass

__all__ = ["Context", "entered"]

_SAMPLED = 1
_HEADER = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(frozen=True, slots=True)
class Context:
    """The ids of a call's span, as lower-case hex. ``parent`` is empty for the first of a trace."""

    trace: str
    span: str
    parent: str
    sampled: bool


def entered(headers: MutableMapping[str, str]) -> Context:
    """The context of a call with these headers, which are changed to tell it to the provider."""
    found = _HEADER.fullmatch(headers.get("traceparent", "").strip())
    span = os.urandom(8).hex()
    if found is None or found[2] == _NO_TRACE or found[3] == _NO_SPAN or (found[1] == "00" and found[5]):
        headers.pop("tracestate", None)  # it belongs to a trace that can't be read
        context = Context(os.urandom(16).hex(), span, "", True)
    else:
        context = Context(found[2], span, found[3], bool(int(found[4], 16) & _SAMPLED))
    headers["traceparent"] = f"00-{context.trace}-{span}-{'01' if context.sampled else '00'}"
    return context
