"""Which conversation a call belongs to, as far as the call itself shows it.

A conversation that changes its model pays its prompt anew: the cache of the provider is the model's. So rules judge by
what every later call of a conversation repeats - its name, else its leading messages, up to the first of the user -
and all of its calls get the same answer, on every replica and without a memory.

What can't be told from the beginning is that a model did not answer, and the call went to the one that was asked for:
its cache lives there now. That is remembered by :class:`Stays`, under the conversation's name, else under all of its
messages: those of the next call begin with them.

The trap: calls that all begin with the same example are one conversation by that. They should name a session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from outlay.gateway.wires.spoken import Json

__all__ = ["SESSION_HEADER", "Conversation", "Stays"]

SESSION_HEADER = b"x-outlay-session"
_LEADING = ("system", "instructions", "systemInstruction", "system_instruction")
_MESSAGES = ("messages", "input", "contents")
_OF_MODELS = frozenset({"assistant", "model"})
_TEXT = frozenset({"text", "input_text"})
_MARKS = ("cache_control", "cachePoint")
"""Where a cache is to be cut: it moves from call to call, and is no part of what is said."""
_MOST = 50_000


class Conversation:
    """The conversation of a call, for whoever holds ``key``. ``prompt`` is the text of its user's first message.

    It is None where that can't be seen, or is not text alone. ``name`` is what the caller calls it, if anything.
    """

    __slots__ = ("_body", "_key", "_messages", "name", "prompt")

    def __init__(self, key: str, headers: Mapping[bytes, bytes], body: Json) -> None:
        self._key = key
        self._body = body
        elsewhere = body.get("conversation")
        self.name = _name(headers.get(SESSION_HEADER), elsewhere, body.get("prompt_cache_key"))
        self._messages: Sequence[Any] | None = None
        self.prompt: str | None = None
        if elsewhere or body.get("previous_response_id"):
            return  # its beginning lies at the provider
        told = next((body[one] for one in (*_MESSAGES, "prompt") if body.get(one) is not None), None)
        if isinstance(told, str):
            self._messages, self.prompt = [{"role": "user", "content": told}], told
        elif isinstance(told, list) and "prompt" not in body:
            self._messages = told
            first = next((one for one in told if _is_of_user(one)), None)
            if first is not None:
                self.prompt = _text(first.get("content", first.get("parts")))

    def beginning(self) -> bytes | None:
        """What all of its calls have alike and others have not; None where nobody knows."""
        if self.name is not None:
            return self._digest("name", self.name)
        if self._messages is None:
            return None
        first = next((place for place, one in enumerate(self._messages) if _is_of_user(one)), len(self._messages))
        leading = [self._body.get(one) for one in _LEADING]
        return self._digest("beginning", [leading, _said(self._messages[: first + 1])])

    def now(self) -> bytes | None:
        """What its next call will know of this one."""
        return self._until(None if self._messages is None else len(self._messages))

    def before(self) -> bytes | None:
        """What the call before this one was; None for the first."""
        place = len(self._messages or ())
        while place and not _is_of_model((self._messages or ())[place - 1]):
            place -= 1
        while place and _is_of_model((self._messages or ())[place - 1]):
            place -= 1
        return self._until(place or None)

    def _until(self, place: int | None) -> bytes | None:
        if self.name is not None:
            return self._digest("name", self.name)
        return None if place is None or self._messages is None else self._digest("all", _said(self._messages[:place]))

    def _digest(self, kind: str, told: Any) -> bytes | None:  # noqa: ANN401 - whatever a body holds
        try:
            said = orjson.dumps([self._key, kind, told], option=orjson.OPT_SORT_KEYS)
        except TypeError:  # orjson reads deeper than it writes; such a call is refused
            return None
        return blake2b(said, digest_size=16).digest()


class Stays:
    """Conversations that stay with the model that was asked for, each until a time; the oldest of too many go."""

    def __init__(self, most: int = _MOST) -> None:
        self._until: dict[tuple[str, bytes], int] = {}
        self._most = most

    def any(self, now: int) -> bool:
        """Whether there are some; those whose time is over and that nothing older stands before are forgotten."""
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > now:
                return True
            del self._until[oldest]
        return False

    def keep(self, rule: str, conversation: bytes | None, until: int) -> None:
        """Have a conversation stay. Times are in milliseconds."""
        if conversation is None:
            return
        self._until.pop((rule, conversation), None)
        self._until[rule, conversation] = until
        if len(self._until) > self._most:
            del self._until[next(iter(self._until))]

    def holds(self, rule: str, conversation: bytes | None, now: int) -> bool:
        """Whether a conversation stays now."""
        until = None if conversation is None else self._until.get((rule, conversation))
        return until is not None and now < until


def _name(session: bytes | None, *named: Any) -> str | None:  # noqa: ANN401 - whatever a body holds
    if session:
        return session.decode("latin-1")
    found = [one.get("id") if isinstance(one, Mapping) else one for one in named]
    return next((one for one in found if isinstance(one, str) and one), None)


def _is_of_user(message: Any) -> bool:  # noqa: ANN401 - whatever a body holds
    if not isinstance(message, Mapping) or message.get("role", "user") != "user":
        return False
    return bool(message.get("type", "message") == "message")


def _is_of_model(message: Any) -> bool:  # noqa: ANN401 - whatever a body holds
    if not isinstance(message, Mapping):
        return False
    if (role := message.get("role")) is not None:
        return role in _OF_MODELS
    kind = message.get("type")  # of the Responses API: what it said, and what it was told
    return isinstance(kind, str) and kind not in ("message", "item_reference") and not kind.endswith("_output")


def _text(content: Any) -> str | None:  # noqa: ANN401 - whatever a body holds
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    found = []
    for part in content:
        if not isinstance(part, Mapping):
            return None
        if "cachePoint" in part:
            continue
        if part.get("type", "text") not in _TEXT or not isinstance(part.get("text"), str):
            return None
        found.append(part["text"])
    return "\n".join(found) if found else None


def _said(messages: Sequence[Any]) -> list[Any]:
    """Messages without what differs from call to call although the same was said."""
    return [_plain(one) if isinstance(one, Mapping) else one for one in messages]


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if isinstance(content, list):
        parts = [_unmarked(one) for one in content]
        content = [one for one in parts if one != {}]
    return {**message, "content": content}


def _unmarked(part: Any) -> Any:  # noqa: ANN401 - whatever a body holds
    if not isinstance(part, Mapping):
        return part
    return {name: value for name, value in part.items() if name not in _MARKS}
