"""The stream of Gemini's own API (``?alt=sse``), and the usage in it.

Each chunk tells the usage so far, so only the last one is read, at the end. What was searched for stands in any chunk,
and each query is charged, so those are gathered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from outlay.gateway.wires.spoken import Json
from outlay.gateway.wires.sse import Passing, error_text, json_of
from outlay.gateway.wires.wire import Said

__all__ = ["GeminiMeter"]


class GeminiMeter(Passing):
    """Reads along with a stream of ``GenerateContentResponse``."""

    __slots__ = ("_ended", "_last", "_searched")

    def __init__(self) -> None:
        super().__init__()
        self._last: bytes | None = None
        self._ended = False
        self._searched: dict[str, None] = {}

    def said(self) -> Said | None:
        """The last chunk that told a usage, with all that was searched for."""
        if self._last is None:
            return None
        told = json_of(self._last)
        if not isinstance(told.get("usageMetadata"), dict):
            return None
        model = told.get("modelVersion")
        grounded = {"groundingMetadata": {"webSearchQueries": list(self._searched)}}
        return {**told, "candidates": [grounded]}, model if isinstance(model, str) else None

    @property
    def whole(self) -> bool:
        """Whether the last usage came with the reason why the answer ended."""
        return self._last is not None and self._ended

    def _look(self, event: bytes) -> None:
        if b'"candidates"' in event:
            self.started = True
        if b'"usageMetadata"' in event:
            self._last = event
            if b'"candidates"' in event or b'"blockReason"' in event:
                self._ended = b'"blockReason"' in event or _all_ended(event)
        if b'"webSearchQueries"' in event:
            self._searched.update(dict.fromkeys(_queries(json_of(event))))
        if b'"error"' in event and (error := json_of(event).get("error")):
            self._error = error_text(error)


def _all_ended(event: bytes) -> bool:
    if b'"finishReason"' not in event:
        return False
    candidates: Any = json_of(event).get("candidates")
    return isinstance(candidates, list) and all(isinstance(one, dict) and one.get("finishReason") for one in candidates)


def _queries(told: Json) -> Iterator[str]:
    candidates: Any = told.get("candidates")
    for one in candidates if isinstance(candidates, list) else ():
        grounding = one.get("groundingMetadata") if isinstance(one, dict) else None
        found = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
        yield from (query for query in (found if isinstance(found, list) else ()) if isinstance(query, str))
