"""The stream of Anthropic's messages, and the usage in it.

A stream tells the input in its first event (``message_start``) and the output so far in each ``message_delta``, before
the end, so that of a broken stream the input at least is known. Counts grow, and servers that copy this API tell some
in one of the events only: the larger holds.
"""

from __future__ import annotations

from outlay.gateway.wires.spoken import Json
from outlay.gateway.wires.sse import Passing, error_text, json_of
from outlay.gateway.wires.wire import Said

__all__ = ["MessageUsage", "MessagesMeter"]


class MessageUsage:
    """What the events of a message tell, one by one."""

    __slots__ = ("_message", "_usage", "whole")

    def __init__(self) -> None:
        self._message: Json = {}
        self._usage: Json = {}
        self.whole = False

    def take(self, told: Json) -> None:
        """One event, as an object."""
        if told.get("type") == "message_start":
            message = told.get("message")
            self._message = message if isinstance(message, dict) else {}
            self._merge(self._message.get("usage"))
        elif told.get("type") == "message_delta":
            self._merge(told.get("usage"))
            delta = told.get("delta")
            if isinstance(delta, dict) and delta.get("stop_reason") and isinstance(told.get("usage"), dict):
                self.whole = True

    def said(self) -> Said | None:
        """The message with the counts that were told; None where there were none."""
        if not self._usage:
            return None
        model = self._message.get("model")
        return {**self._message, "usage": self._usage}, model if isinstance(model, str) else None

    def _merge(self, usage: object) -> None:
        for key, value in usage.items() if isinstance(usage, dict) else ():
            known = self._usage.get(key)
            if type(value) is int and type(known) is int:
                self._usage[key] = max(known, value)
            elif value is not None:
                self._usage[key] = value


class MessagesMeter(Passing):
    """Reads along with a stream of a message."""

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        super().__init__()
        self._usage = MessageUsage()

    def said(self) -> Said | None:
        """The message that began the stream, with the counts of the last event that told some."""
        return self._usage.said()

    @property
    def whole(self) -> bool:
        """The last counts come with the reason why the message ended."""
        return self._usage.whole

    def _look(self, event: bytes) -> None:
        if b'"content_block_delta"' in event:
            self.started = True
        elif b'"usage"' in event:
            self._usage.take(json_of(event))
        elif b'"error"' in event:
            told = json_of(event)
            if told.get("type") == "error" or told.get("error"):
                self._error = error_text(told.get("error") or told)
