"""The parts of Gemini's contents, and which of them are not in the body as text.

A part says what it is by the key that it has, in either spelling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["beyond_gemini"]

_TEXT = frozenset(
    {
        "text",
        "thought",
        "thoughtsignature",
        "functioncall",
        "executablecode",
        "codeexecutionresult",
        "partmetadata",
        "role",
    }
)
_INSIDE = frozenset({"parts", "functionresponse"})
_ANSWER = frozenset({"id", "name", "response", "scheduling", "willcontinue"})
"""What a function response holds beside its parts: text in the body."""
_DEEPEST = 50


def beyond_gemini(value: object, found: set[str], depth: int = 0) -> set[str]:
    """The kinds of parts that are no text in the body, in words that tell images, audio and video apart."""
    if value is None or isinstance(value, str):
        return found
    if depth > _DEEPEST:
        found.add("deeply nested content")
    elif isinstance(value, Mapping):
        for key, inside in value.items():
            name = key.replace("_", "").lower()
            if name in _INSIDE:
                given = inside
                if name == "functionresponse" and isinstance(inside, Mapping):
                    given = {one: held for one, held in inside.items() if one.replace("_", "").lower() not in _ANSWER}
                beyond_gemini(given, found, depth + 1)
            elif name not in _TEXT:
                found.add(_kind(key, inside))
    elif isinstance(value, Sequence):
        for one in value:
            beyond_gemini(one, found, depth + 1)
    else:
        found.add(f"a {type(value).__name__} where a part was expected")
    return found


def _kind(key: str, inside: object) -> str:
    mime = inside.get("mimeType", inside.get("mime_type")) if isinstance(inside, Mapping) else None
    return f"{key[:60]} of {mime[:60]}" if isinstance(mime, str) else key[:60]
