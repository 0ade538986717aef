"""OpenAI's responses: https://platform.openai.com/docs/api-reference/responses.

The usage stands in the event that ends a stream (``response.completed``, ``.incomplete`` or ``.failed``).
``max_output_tokens`` holds the hidden reasoning too. What stands at the provider and is only named here
(``previous_response_id``, ``conversation``, ``prompt``, files) is input whose size the body does not tell.
"""

from __future__ import annotations

import orjson

from outlay.gateway.wires.openai_chat import model_of
from outlay.gateway.wires.openai_error import openai_error
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, beyond_text, count, tools_beyond_functions
from outlay.gateway.wires.sse import Events, data_of
from outlay.gateway.wires.wire import Said

__all__ = ["RESPONSES", "OpenAIResponses", "ResponsesMeter"]

_KEPT_THERE = ("previous_response_id", "conversation", "prompt")
_FEES = {
    "web_search": "web_searches",
    "web_search_preview": "web_searches",
    "file_search": "storage_searches",
    "code_interpreter": "code_executions",
}


class OpenAIResponses:
    """``POST /v1/responses``."""

    name: str = "responses"
    operation: str = "chat"
    flavor: str = "responses"

    def spoken(self, body: Json) -> Spoken:
        """What a body says. Raises :class:`Malformed`."""
        if body.get("background") is True:
            raise Malformed("'background' answers come later, when nobody meters them. Ask without it.")
        beyond = beyond_text(body.get("input"))
        beyond |= {key for key in _KEPT_THERE if body.get(key) is not None}
        tools = tools_beyond_functions(body.get("tools"))
        if tools:
            beyond.add("what the provider's tools find")
        calls = count(body, "max_tool_calls", least=0)
        return Spoken(
            model_of(body),
            body.get("stream") is True,
            count(body, "max_output_tokens"),
            not_inline=", ".join(sorted(beyond)) or None,
            media=frozenset(medium for medium in ("audio", "image") if any(medium in kind for kind in beyond)),
            rounds=1 if not tools else None if calls is None else calls + 1,
            tools=tuple(sorted({_FEES.get(str(one.get("type")), "server_tool_calls") for one in tools})),
        )

    def limit(self, body: Json, tokens: int, provider: str) -> None:
        """Put the most tokens of output into a body that has none."""
        body["max_output_tokens"] = tokens

    def ask_usage(self, body: Json) -> bool:
        """Its streams always tell their usage."""
        return False

    def said(self, answer: Json) -> Said | None:
        """The usage of a whole answer."""
        model = answer.get("model")
        return (answer, model if isinstance(model, str) else None) if isinstance(answer.get("usage"), dict) else None

    def meter(self, strip: bool) -> ResponsesMeter:
        """A meter of one stream."""
        return ResponsesMeter()

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error in OpenAI's format."""
        return openai_error(status, kind, message, details)


class ResponsesMeter:
    """Reads along with a stream of a response."""

    __slots__ = ("_error", "_events", "_last", "started")

    def __init__(self) -> None:
        self._events = Events()
        self._last: Json | None = None
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
        """The usage of the response that ended the stream."""
        if self._last is None:
            return None
        model = self._last.get("model")
        return self._last, model if isinstance(model, str) else None

    @property
    def whole(self) -> bool:
        """Usage comes last, so that it is that of the whole call."""
        return self._last is not None

    @property
    def failed(self) -> str | None:
        """The error that came within the stream."""
        return None if self._error is None else self._error.decode(errors="replace")[:500]

    def _look(self, event: bytes) -> None:
        if b'"usage"' not in event:
            if b".delta" in event[:80]:
                self.started = True
            elif event.startswith(b"event: error"):
                self._error = data_of(event)
            return
        try:
            told = orjson.loads(data_of(event))
        except orjson.JSONDecodeError:
            return
        response = told.get("response") if isinstance(told, dict) else None
        if isinstance(response, dict) and isinstance(response.get("usage"), dict):
            self._last = response
            if told.get("type") == "response.failed":
                self._error = orjson.dumps(response.get("error"))


RESPONSES = OpenAIResponses()
