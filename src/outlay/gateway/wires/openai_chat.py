"""OpenAI's chat completions, and the older completions: https://platform.openai.com/docs/api-reference/chat.

A stream tells its usage in a last chunk without choices, and only where ``stream_options.include_usage`` asks for it.
``max_completion_tokens`` holds the hidden reasoning tokens too, so it bounds what is billed; the older
``max_tokens`` is refused by reasoning models, and is what other servers with this API know. Predicted output that is
rejected is billed on top.
"""

from __future__ import annotations

from typing import Any

import orjson

from outlay.gateway.wires.openai_error import openai_error
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, beyond_text, count, tools_beyond_functions
from outlay.gateway.wires.sse import Events, data_of
from outlay.gateway.wires.wire import Said

__all__ = ["CHAT", "COMPLETIONS", "ChatMeter", "OpenAIChat", "OpenAICompletions", "model_of"]

_OWN_LIMIT = ("openai", "azure")
"""Providers that want ``max_completion_tokens``."""


def model_of(body: Json) -> str:
    """The model that a body names. Raises :class:`Malformed`."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Malformed("'model' is missing.")
    return model


class OpenAIChat:
    """``POST /v1/chat/completions``."""

    name: str = "chat"
    operation: str = "chat"
    flavor: str = "chat"

    def spoken(self, body: Json) -> Spoken:
        """What a body says. Raises :class:`Malformed`."""
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise Malformed("'messages' is missing, or no list.")
        beyond: set[str] = set()
        for one in messages:
            if not isinstance(one, dict):
                raise Malformed("'messages' holds something that is no message.")
            content = one.get("content")
            if content.__class__ is not str:
                beyond_text(content, beyond)
            if "audio" in one:
                beyond.add("audio")
        limits = [count(body, key) for key in ("max_completion_tokens", "max_tokens")]
        searches = "web_search_options" in body
        return Spoken(
            model_of(body),
            body.get("stream") is True,
            min((one for one in limits if one is not None), default=None),
            count(body, "n") or 1,
            not_inline=_listed(beyond) if beyond else "the pages of a web search" if searches else None,
            media=_media(beyond),
            output_media=frozenset({"audio"}) if "audio" in (body.get("modalities") or ()) else frozenset(),
            more_output=_predicted(body),
            rounds=None if tools_beyond_functions(body.get("tools")) else 1,
            tools=("web_searches",) if searches else (),
        )

    def limit(self, body: Json, tokens: int, provider: str) -> None:
        """Put the most tokens of output into a body that has none."""
        body["max_completion_tokens" if provider in _OWN_LIMIT else "max_tokens"] = tokens

    def ask_usage(self, body: Json) -> bool:
        """Have a stream tell its usage."""
        options = body.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage") is True:
            return False
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return True

    def said(self, answer: Json) -> Said | None:
        """The usage of a whole answer."""
        if not isinstance(answer.get("usage"), dict):
            return None
        return answer, _text(answer, "model")

    def meter(self, strip: bool) -> ChatMeter:
        """A meter of one stream."""
        return ChatMeter(strip)

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error in OpenAI's format."""
        return openai_error(status, kind, message, details)


class OpenAICompletions(OpenAIChat):
    """``POST /v1/completions``."""

    name = "completions"
    operation = "text_completion"

    def spoken(self, body: Json) -> Spoken:
        """What a body says. Several prompts make several answers each. Raises :class:`Malformed`."""
        prompt = body.get("prompt")
        several = isinstance(prompt, list) and bool(prompt) and not isinstance(prompt[0], int)
        choices = max(count(body, "n") or 1, count(body, "best_of") or 1)
        return Spoken(
            model_of(body),
            body.get("stream") is True,
            count(body, "max_tokens", least=0),
            choices * (len(prompt) if isinstance(prompt, list) and several else 1),
        )

    def limit(self, body: Json, tokens: int, provider: str) -> None:
        """Put the most tokens of output into a body that has none."""
        body["max_tokens"] = tokens


class ChatMeter:
    """Reads along with a stream of chat completions; takes the usage out where it must not be seen."""

    __slots__ = ("_error", "_events", "_strip", "_usage", "started")

    def __init__(self, strip: bool) -> None:
        self._strip = strip
        self._events = Events()
        self._usage: bytes | None = None
        self._error: bytes | None = None
        self.started = False

    def feed(self, chunk: bytes) -> bytes:
        """What of a chunk goes to the caller."""
        if not self._strip:
            for event in self._events.whole(chunk):
                self._look(event)
            return chunk
        kept = [event for event in map(self._look, self._events.whole(chunk)) if event]
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def rest(self) -> bytes:
        """What is left at the end; a last event whose empty line is missing counts."""
        rest = self._events.rest()
        seen = self._look(rest) if rest else b""
        return seen if self._strip else b""

    def said(self) -> Said | None:
        """The usage of the last event that told one."""
        if self._usage is None:
            return None
        found = orjson.loads(self._usage)
        return found, _text(found, "model")

    @property
    def whole(self) -> bool:
        """Usage comes last, so that it is that of the whole call."""
        return self._usage is not None

    @property
    def failed(self) -> str | None:
        """The error that came within the stream."""
        return None if self._error is None else self._error.decode(errors="replace")[:500]

    def _look(self, event: bytes) -> bytes:
        if b'"usage"' in event:
            return self._with_usage(event)
        if b'"delta"' in event or b'"text"' in event:
            self.started = True
        elif b'"error"' in event:
            self._error = data_of(event)
        return event

    def _with_usage(self, event: bytes) -> bytes:
        data = data_of(event)
        try:
            told = orjson.loads(data)
        except orjson.JSONDecodeError:
            return event
        if not isinstance(told, dict):
            return event
        if isinstance(told.get("usage"), dict):
            self._usage = data
        if told.get("choices"):
            self.started = True
        if not self._strip:
            return event
        told.pop("usage", None)
        return b"data: " + orjson.dumps(told) + b"\n\n" if told.get("choices") or self._usage is not data else b""


def _listed(kinds: set[str]) -> str:
    return ", ".join(sorted(kinds))


def _media(kinds: set[str]) -> frozenset[str]:
    return frozenset(medium for medium in ("audio", "image", "video") if any(medium in kind for kind in kinds))


def _predicted(body: Json) -> int:
    prediction: Any = body.get("prediction")
    return len(orjson.dumps(prediction)) if prediction else 0


def _text(body: Json, key: str) -> str | None:
    value = body.get(key)
    return value if isinstance(value, str) else None


CHAT = OpenAIChat()
COMPLETIONS = OpenAICompletions()
