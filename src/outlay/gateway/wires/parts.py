"""The parts of a prompt, and which of them are not in the body as text.

No tokenizer makes more than a token of a byte, so the bytes of a text bound its tokens. They don't bound those of an
image or a file, nor of what stands at the provider and is only named. What is not known to be text counts as more than
that, whatever it is called.

Hidden reasoning that comes back sealed (``encrypted_content``, ``signature``) is taken as text, as sealing makes it
longer. That holds unless a provider compresses it to less than a byte a token, which none tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from outlay.gateway.wires.spoken import Malformed
from outlay.ledger.meters import MODALITIES

__all__ = ["FOUND_BY_TOOLS", "adds_tools", "beyond_text", "listed", "media_of", "tools_of_provider"]

FOUND_BY_TOOLS = "what the provider's tools find"

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
        "custom_tool_call",
        "custom_tool_call_output",
        "reasoning",
        "message",
    }
)
_INSIDE = ("content", "output", "summary")
_DEEPEST = 50
_ALL = frozenset(MODALITIES)
_MEDIA = {"image": frozenset({"image"}), "audio": frozenset({"audio"}), "video": frozenset({"audio", "video"})}
"""A video has a sound track, which is priced as audio where that has a price."""
_TEXT_ALONE = frozenset({"text", "cache_control"})
_DECLARED = frozenset({"function", "input_schema"})
"""What a tool of the caller's declares, where its type is left out."""
_MORE_TOOLS = frozenset({"tool_addition", "toolAddition", "additional_tools", "tool_search_output"})


def beyond_text(value: object, found: set[str] | None = None, depth: int = 0) -> set[str]:
    """The kinds of parts in a content that are no text in the body: images, audio, files, references."""
    found = set() if found is None else found
    if value.__class__ is str or value is None:
        return found
    if depth > _DEEPEST:
        found.add("deeply nested content")
    elif isinstance(value, Mapping):
        kind = _not_text(value)
        if kind is not None:
            found.add(kind)
        else:
            for key in _INSIDE:
                if key in value:
                    beyond_text(value[key], found, depth + 1)
    elif isinstance(value, Sequence):
        for one in value:
            if one.__class__ is not str:
                beyond_text(one, found, depth + 1)
    else:
        found.add(f"a {type(value).__name__} where text was expected")
    return found


def _not_text(part: Mapping[str, Any]) -> str | None:
    """What a part is where it is no text; one that holds others is as they are."""
    kind = part.get("type")
    if kind is None:
        return None if "role" in part or part.keys() <= _TEXT_ALONE else "a part without a type"
    if kind.__class__ is not str or kind not in _TEXT:
        return str(kind)[:60]
    if kind == "reasoning" and not part.get("encrypted_content"):
        return "reasoning that the provider keeps"
    return None


def media_of(kinds: Iterable[str]) -> frozenset[str]:
    """The modalities that such parts may hold; of a file or a reference that may be any."""
    media: frozenset[str] = frozenset()
    for kind in kinds:
        media |= next((held for word, held in _MEDIA.items() if word in kind), _ALL)
    return media


def listed(kinds: Iterable[str]) -> str | None:
    """Kinds of parts in words; None where there are none."""
    return ", ".join(sorted(kinds)) or None


def tools_of_provider(tools: object, own: tuple[str, ...]) -> list[tuple[str, Mapping[str, Any]]]:
    """The tools that the provider runs by itself, with their types; those of a type in ``own`` the caller runs.

    An entry of ``own`` that ends with ``_`` is a beginning. Raises :class:`Malformed`.
    """
    if tools is None:
        return []
    if not isinstance(tools, list):
        raise Malformed("'tools' must be a list.")
    found = []
    for one in tools:
        kind = one.get("type") if isinstance(one, dict) else 0
        if kind is None:
            kind = "function" if not _DECLARED.isdisjoint(one) else "a tool without a type"
        if not isinstance(kind, str):
            raise Malformed("'tools' holds something that is no tool.")
        if not any(kind == name or (name.endswith("_") and kind.startswith(name)) for name in own):
            found.append((kind[:60], one))
    return found


def adds_tools(kinds: Iterable[str]) -> str | None:
    """Why a prompt that brings tools in its messages has no bound; None where it brings none."""
    added = next((kind for kind in kinds if kind in _MORE_TOOLS), None)
    return None if added is None else f"tools that come in a message ({added}) may be the provider's own."
