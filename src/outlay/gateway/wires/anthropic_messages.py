"""Anthropic's messages: https://docs.anthropic.com/en/api/messages.

``max_tokens`` is required there. A stream tells the input in its first event (``message_start``) and the output so far
in ``message_delta``, before the end, so that of a broken stream the input at least is known. Thinking that goes on
between tool calls may take its whole ``budget_tokens`` beside ``max_tokens``.
"""

from __future__ import annotations

import orjson

from outlay.gateway.wires.openai_chat import model_of
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, beyond_text, count, tools_beyond_functions
from outlay.gateway.wires.sse import Events, data_of
from outlay.gateway.wires.wire import Said

__all__ = ["MESSAGES", "AnthropicMessages", "MessagesMeter"]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_RUN_BY_CALLER = ("function", "custom", "bash_", "text_editor_", "computer_", "memory_")
_FEES = {"web_search": "web_searches", "web_fetch": "web_fetches", "code_execution": "code_executions"}


class AnthropicMessages:
    """``POST /v1/messages``."""

    name: str = "messages"
    operation: str = "chat"
    flavor: str = "messages"

    def spoken(self, body: Json) -> Spoken:
        """What a body says. Raises :class:`Malformed`."""
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise Malformed("'messages' is missing, or no list.")
        beyond: set[str] = beyond_text(body.get("system"))
        for one in messages:
            if not isinstance(one, dict):
                raise Malformed("'messages' holds something that is no message.")
            content = one.get("content")
            if content.__class__ is not str:
                beyond_text(content, beyond)
        tools = [
            one
            for one in tools_beyond_functions(body.get("tools"))
            if not str(one.get("type")).startswith(_RUN_BY_CALLER)
        ]
        uses = [count(dict(one), "max_uses") for one in tools]
        if tools or body.get("mcp_servers"):
            beyond.add("what the provider's tools find")
        if body.get("container") is not None:
            beyond.add("a container")
        limited = bool(tools) and all(one is not None for one in uses) and not body.get("mcp_servers")
        most = count(body, "max_tokens")
        thinking = body.get("thinking")
        budget = count(thinking, "budget_tokens") if isinstance(thinking, dict) else None
        fees = {
            next((fee for name, fee in _FEES.items() if str(one.get("type")).startswith(name)), "") for one in tools
        }
        return Spoken(
            model_of(body),
            body.get("stream") is True,
            most,
            not_inline=", ".join(sorted(beyond)) or None,
            media=frozenset({"image"}) if any("image" in kind for kind in beyond) else frozenset(),
            more_output=budget if budget is not None and most is not None and budget >= most else 0,
            rounds=1
            if "what the provider's tools find" not in beyond
            else sum(one or 0 for one in uses) + 1
            if limited
            else None,
            tools=tuple(sorted(fee or "server_tool_calls" for fee in fees)),
        )

    def limit(self, body: Json, tokens: int, provider: str) -> None:
        """Put the most tokens of output into a body that has none, which Anthropic itself would refuse."""
        body["max_tokens"] = tokens

    def ask_usage(self, body: Json) -> bool:
        """Its streams always tell their usage."""
        return False

    def said(self, answer: Json) -> Said | None:
        """The usage of a whole answer."""
        model = answer.get("model")
        return (answer, model if isinstance(model, str) else None) if isinstance(answer.get("usage"), dict) else None

    def meter(self, strip: bool) -> MessagesMeter:
        """A meter of one stream."""
        return MessagesMeter()

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error in Anthropic's format."""
        error: Json = {"type": _TYPES.get(status, "api_error"), "message": message}
        if details:
            error["outlay"] = {"code": kind, **details}
        return orjson.dumps({"type": "error", "error": error})


class MessagesMeter:
    """Reads along with a stream of a message."""

    __slots__ = ("_delta", "_error", "_events", "_start", "started")

    def __init__(self) -> None:
        self._events = Events()
        self._start: bytes | None = None
        self._delta: bytes | None = None
        self._error: bytes | None = None
        self.started = False

    def feed(self, chunk: bytes) -> bytes:
        """All of a chunk goes to the caller."""
        for event in self._events.whole(chunk):
            self._look(event)
        return chunk

    def rest(self) -> bytes:
        """Nothing is held back."""
        rest = self._events.rest()
        if rest:
            self._look(rest)
        return b""

    def said(self) -> Said | None:
        """The message that began the stream, with the counts of the last event that told some."""
        if self._start is None:
            return None
        message = _object(_object(self._start).get("message"))
        usage = dict(_object(message.get("usage")))
        if self._delta is not None:
            told = _object(_object(self._delta).get("usage"))
            usage |= {key: value for key, value in told.items() if value is not None}
        if not usage:
            return None
        model = message.get("model")
        return {**message, "usage": usage}, model if isinstance(model, str) else None

    @property
    def whole(self) -> bool:
        """The last counts come just before the end."""
        return self._delta is not None

    @property
    def failed(self) -> str | None:
        """The error that came within the stream."""
        return None if self._error is None else self._error.decode(errors="replace")[:500]

    def _look(self, event: bytes) -> None:
        if b'"content_block_delta"' in event:
            self.started = True
        elif b'"usage"' in event:
            if b'"message_start"' in event and self._start is None:
                self._start = data_of(event)
            elif b'"message_delta"' in event:
                self._delta = data_of(event)
        elif event.startswith(b"event: error"):
            self._error = data_of(event)


def _object(value: object) -> Json:
    if isinstance(value, bytes):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


MESSAGES = AnthropicMessages()
