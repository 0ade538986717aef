"""Whether a cheap model's answer will do: what can be seen of it at a glance, without asking a model.

- ``length``: it was cut off;
- ``refusal``: the model, or its provider's filter, would not say it;
- ``invalid_json``: JSON was asked for, by a format or as a tool's arguments, and this is none;
- ``empty``: there is neither text nor a call of a tool.

Of several choices each must do. The trap: an answer that passes may be wrong all the same. How often is a matter of
your traffic: measure it on logged prompts before a cascade is switched on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from outlay.gateway.wires.spoken import Json

__all__ = ["CHECKED", "failed_check"]

_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
_REFUSED = frozenset(
    {
        "refusal", "content_filter", "content_filtered", "guardrail_intervened", "safety", "recitation", "blocklist",
        "prohibited_content", "spii", "language", "image_safety",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Said:
    """One choice of an answer: why it ended, its text, and the arguments of the tools that it calls, as they came."""

    ended: str
    text: str
    calls: tuple[Any, ...] = ()
    refused: bool = False


def failed_check(wire: str, body: Json, answer: Json | None, checks: Iterable[str]) -> str | None:
    """The first of the checks that an answer fails; ``unreadable`` for one that is no answer of its API."""
    try:
        found = list(_SAID[wire](answer)) if answer is not None else []
    except (AttributeError, KeyError, TypeError):
        found = []
    if not found:
        return "unreadable"
    asked_json = _asks_json(body)
    return next((check for check in checks if any(_FAILS[check](one, asked_json) for one in found)), None)


def _is_json(value: Any) -> bool:  # noqa: ANN401 - whatever a model wrote
    if not isinstance(value, str):
        return isinstance(value, dict)
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def _bad_json(one: _Said, asked_json: bool) -> bool:
    """An empty string as the arguments of a tool without parameters is what some servers write."""
    if any(not _is_json(call) for call in one.calls if call != ""):
        return True
    return asked_json and not one.calls and not _is_json(one.text)


_FAILS: Mapping[str, Callable[[_Said, bool], bool]] = {
    "length": lambda one, _: one.ended in _CUT,
    "refusal": lambda one, _: one.refused or one.ended in _REFUSED,
    "invalid_json": _bad_json,
    "empty": lambda one, _: not one.calls and not one.text.strip(),
}


def _asks_json(body: Json) -> bool:
    """Whether a body asks for JSON by a format, in any API's way of saying so."""
    text, output, generation = (_table(body.get(key)) for key in ("text", "output_config", "generationConfig"))
    formats = (body.get("response_format"), text.get("format"), output.get("format"), body.get("output_format"))
    if any(_table(one).get("type") in ("json_object", "json_schema") for one in formats):
        return True
    mime = generation.get("responseMimeType", generation.get("response_mime_type"))
    return bool(mime == "application/json")


def _table(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever a body holds
    return value if isinstance(value, Mapping) else {}


def _texts(parts: Any) -> str:  # noqa: ANN401 - whatever an answer holds
    if isinstance(parts, str):
        return parts
    return "".join(one["text"] for one in parts or () if isinstance(one.get("text"), str) and not one.get("thought"))


def _chat(answer: Json) -> Iterator[_Said]:
    for choice in answer["choices"]:
        message = choice["message"]
        tools = [tool.get("function") or {} for tool in message.get("tool_calls") or ()]
        calls = tuple(one.get("arguments", "") for one in tools)
        text = _texts(message.get("content"))
        yield _Said(str(choice.get("finish_reason")), text, calls, bool(message.get("refusal")))


def _completions(answer: Json) -> Iterator[_Said]:
    for choice in answer["choices"]:
        yield _Said(str(choice.get("finish_reason")), _texts(choice["text"]))


def _responses(answer: Json) -> Iterator[_Said]:
    parts = [part for item in answer["output"] if item.get("type") == "message" for part in item.get("content") or ()]
    calls = tuple(item.get("arguments", "") for item in answer["output"] if item.get("type") == "function_call")
    others: tuple[Any, ...] = tuple({} for item in answer["output"] if item.get("type") == "custom_tool_call")
    ended = str((answer.get("incomplete_details") or {}).get("reason"))
    refused = any(part.get("type") == "refusal" for part in parts)
    yield _Said(ended, _texts(parts), (*calls, *others), refused)


def _messages(answer: Json) -> Iterator[_Said]:
    calls = tuple(block.get("input") for block in answer["content"] if block.get("type") == "tool_use")
    yield _Said(str(answer.get("stop_reason")), _texts(answer["content"]), calls)


def _gemini(answer: Json) -> Iterator[_Said]:
    blocked = bool((answer.get("promptFeedback") or {}).get("blockReason"))
    if blocked:
        yield _Said("safety", "", refused=True)
    for candidate in answer.get("candidates") or ():
        parts = (candidate.get("content") or {}).get("parts") or []
        calls = tuple(part["functionCall"].get("args", {}) for part in parts if part.get("functionCall"))
        yield _Said(str(candidate.get("finishReason")).lower(), _texts(parts), calls)


def _converse(answer: Json) -> Iterator[_Said]:
    blocks = answer["output"]["message"]["content"]
    calls = tuple(block["toolUse"].get("input") for block in blocks if block.get("toolUse"))
    yield _Said(str(answer.get("stopReason")), _texts(blocks), calls)


_SAID: Mapping[str, Callable[[Json], Iterator[_Said]]] = {
    "chat": _chat,
    "completions": _completions,
    "responses": _responses,
    "messages": _messages,
    "generateContent": _gemini,
    "converse": _converse,
}
CHECKED = frozenset(_SAID)
"""The APIs whose answers can be checked."""
