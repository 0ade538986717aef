"""The stream of OpenAI's chat completions and completions, and the usage in it.

Usage comes in a last chunk without choices, where ``stream_options.include_usage`` asks for it, and ``"usage": null``
in every chunk before. A caller that didn't ask sees neither. Some servers tell the usage so far in every chunk
(Gemini, vLLM's ``continuous_usage_stats``): that of a stream that broke is not the whole.
"""

from __future__ import annotations

from outlay.gateway.wires.spoken import Json
from outlay.gateway.wires.sse import Events, data_of, error_text, json_of, with_data
from outlay.gateway.wires.wire import Said

__all__ = ["ChatMeter"]

_NULL = b',"usage":null'
_OPENING = frozenset(b"{[]")
"""Where none of these and one brace follow a key, that brace ends its object and the event: the key is an outermost
one, and can be cut out without reading the rest."""
_LONGEST_DONE = 64


class ChatMeter:
    """Reads along with a stream of chat completions; takes the usage out where it must not be seen."""

    __slots__ = ("_done", "_error", "_events", "_strip", "_usage", "started")

    def __init__(self, strip: bool) -> None:
        self._strip = strip
        self._events = Events()
        self._usage: Json | None = None
        self._done = False
        self._error: str | None = None
        self.started = False

    def feed(self, chunk: bytes) -> bytes:
        """What of a chunk goes to the caller."""
        if not self._strip:
            for event in self._events.whole(chunk):
                self._look(event)
            return chunk
        events = self._events.whole(chunk)
        return self._look(events[0]) if len(events) == 1 else b"".join([self._look(event) for event in events])

    def rest(self) -> bytes:
        """What is left at the end; a last event whose empty line is missing counts, and half of one is dropped."""
        rest = self._events.rest()
        if not rest:
            return b""
        seen = self._look(rest)
        return seen if self._strip and (not data_of(rest) or self._done or json_of(rest)) else b""

    def said(self) -> Said | None:
        """The usage of the last event that told one."""
        if self._usage is None:
            return None
        model = self._usage.get("model")
        return self._usage, model if isinstance(model, str) else None

    @property
    def whole(self) -> bool:
        """Whether the usage came last."""
        return self._usage is not None and self._done

    @property
    def failed(self) -> str | None:
        """The error that came within the stream."""
        return self._error

    def _look(self, event: bytes) -> bytes:
        if not self.started or b'"error"' in event:
            return self._read(event)
        at = event.rfind(b'"usage"')
        if at < 0:
            if len(event) < _LONGEST_DONE and data_of(event).strip() == b"[DONE]":
                self._done = True
            return event
        if event.startswith(_NULL, at - 1):
            if not self._strip:
                return event
            after = event[at - 1 + len(_NULL) :]
            if after.count(b"}") == 1 and not _OPENING.intersection(after):
                return event[: at - 1] + after
        return self._read(event)

    def _read(self, event: bytes) -> bytes:
        told = json_of(event)
        if not told:
            self._done = self._done or data_of(event).strip() == b"[DONE]"
            return event
        choices = told.get("choices")
        if told.get("error"):
            self._error = error_text(told["error"])
        self.started = self.started or (isinstance(choices, list) and any(map(_answers, choices)))
        usage = told.get("usage")
        if isinstance(usage, dict):
            self._usage = told
            self._done = not choices
        if not self._strip or "usage" not in told:
            return event
        if isinstance(usage, dict) and not choices and not told.get("error"):
            return b""
        return with_data(event, {key: value for key, value in told.items() if key != "usage"})


def _answers(choice: object) -> bool:
    """Whether a choice has something beyond the role of who speaks."""
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    told = delta if isinstance(delta, dict) else {"text": choice.get("text")}
    return any(value for key, value in told.items() if key != "role")
