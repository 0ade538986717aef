"""What the body of a call says of how much it may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Json", "Malformed", "Spoken", "beyond_text", "count", "tools_beyond_functions"]

Json = dict[str, Any]

_TEXT = frozenset(
    {
        "text",
        "input_text",
        "output_text",
        "summary_text",
        "reasoning_text",
        "refusal",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "function_call",
        "function_call_output",
        "reasoning",
        "message",
    }
)
"""Parts whose tokens are all in the body: a token takes one byte of it at least."""
_INSIDE = ("content", "output", "summary", "parts")


class Malformed(ValueError):
    """A body that is no call: the caller is told what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """``max_tokens`` is the most output that the caller asked for, None where it named no number.

    ``choices`` answers are made of one input. ``not_inline`` says what of the input is not in the body as text, so that
    its bytes don't bound its tokens; ``media`` are the modalities that it may hold, ``output_media`` those of the
    answer. ``more_output`` tokens may be billed beyond the number asked for. ``rounds`` is how often the provider may
    run the model in this one call, None where nobody said, and ``tools`` are the meters of what it then charges for.
    """

    model: str
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1
    not_inline: str | None = None
    media: frozenset[str] = frozenset()
    output_media: frozenset[str] = frozenset()
    more_output: int = 0
    rounds: int | None = 1
    tools: tuple[str, ...] = ()
    has_output: bool = True


def count(body: Mapping[str, Any], key: str, *, least: int = 1) -> int | None:
    """A whole number of a body, None where it is absent or null. Raises :class:`Malformed`."""
    value = body.get(key)
    if value is None:
        return None
    if type(value) is not int or value < least:
        raise Malformed(f"'{key}' is {value!r}, and must be a whole number from {least} on.")
    return value


def beyond_text(value: object, found: set[str] | None = None, depth: int = 0) -> set[str]:
    """The kinds of parts in a content that are no text in the body: images, audio, files, references."""
    found = set() if found is None else found
    if depth > 50:
        found.add("deeply nested content")
    elif isinstance(value, str) or value is None:
        pass
    elif isinstance(value, Mapping):
        kind = value.get("type")
        if isinstance(kind, str) and kind not in _TEXT:
            found.add(kind)
        else:
            for key in _INSIDE:
                if key in value:
                    beyond_text(value[key], found, depth + 1)
    elif isinstance(value, Sequence):
        for one in value:
            if not isinstance(one, str):
                beyond_text(one, found, depth + 1)
    return found


def tools_beyond_functions(tools: object, own: Iterable[str] = ("function", "custom")) -> list[Mapping[str, Any]]:
    """The tools that the provider runs by itself; those that the caller runs come back as text."""
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        return []
    known = frozenset(own)
    return [one for one in tools if isinstance(one, Mapping) and one.get("type", "function") not in known]
