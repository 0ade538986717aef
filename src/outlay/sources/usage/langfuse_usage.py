"""What a Langfuse observation says of its usage, in one meaning.

``usageDetails`` is an open list of counts. Langfuse means them to exclude each other: its integrations take cached
tokens off ``input`` and reasoning off ``output``, and ``total`` is the sum of all. Nothing holds a program to that, so
where the counts add up to more than their ``total``, and fit it as parts of ``input`` or ``output``, they are read as
parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.sources.usage.call_log import text, whole

__all__ = ["OTHER_UNIT", "langfuse_usage"]

OTHER_UNIT = "unit-not-tokens"
"""Remark of a legacy ``usage`` in characters, seconds or images."""

_PROVIDERS_OWN = ("prompt_tokens", "completion_tokens", "prompt_tokens_details")
_FLAT = {  # what lists of observations have instead of an object
    "input": ("promptTokens", "inputTokens", "inputUsage", "input_tokens"),
    "output": ("completionTokens", "outputTokens", "outputUsage", "output_tokens"),
    "total": ("totalTokens", "totalUsage", "total_tokens"),
}
_MODALITIES = ("audio", "image", "video")


def langfuse_usage(observation: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A usage object of OpenAI's shape, empty where nothing is told, and remarks."""
    details = next((observation[n] for n in ("usageDetails", "usage_details") if _counts(observation.get(n))), None)
    if details is None:
        legacy = observation.get("usage")
        legacy = legacy if isinstance(legacy, Mapping) else {}
        unit = text(legacy.get("unit"))
        if unit and unit != "TOKENS":
            return {}, [OTHER_UNIT]
        details = {name: legacy[name] for name in _FLAT if legacy.get(name) is not None} or _flat(observation)
        if not _counts(details):
            details = _flat(legacy)
    if not _counts(details):
        return {}, []
    if any(name in details for name in _PROVIDERS_OWN):
        return dict(details), []
    return _openai(details)


def _counts(details: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    """Whether anything is counted: lists have 0 where nothing was told."""
    return isinstance(details, Mapping) and any(one not in (None, 0, "0", "") for one in details.values())


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, aliases in _FLAT.items():
        said = next((record[alias] for alias in aliases if record.get(alias) is not None), None)
        if said is not None:
            found[name] = said
    return found


def _openai(details: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    parts: dict[str, int] = {}
    unread = False
    for key, said in details.items():
        count = whole(said)
        if count is None or count < 0:
            if said is None:
                continue
            return {"prompt_tokens": said if count is None else count}, []  # refused by normalise, which says why
        meant = _meaning(key.lower())
        if meant is None:
            unread = unread or (count > 0 and "priority" not in key)  # a part of the others
        else:
            parts[meant] = parts.get(meant, 0) + count
    total = parts.pop("total", 0)
    remarks = ["unread-count"] if unread else []
    around_input, around_output = _around(parts, total)
    if total and total != around_input + around_output:
        remarks.append("total")
    written = sum(parts.get(name, 0) for name in ("write", "write_5m", "write_1h"))
    return {
        "prompt_tokens": around_input,
        "completion_tokens": around_output,
        "prompt_tokens_details": {
            "cached_tokens": parts.get("read", 0),
            "cache_write_tokens": written,
            "cache_creation_token_details": {
                f"ephemeral_{ttl}_input_tokens": parts.get(f"write_{ttl}", 0) for ttl in ("5m", "1h")
            },
            **{f"{name}_tokens": parts.get(f"input_{name}", 0) for name in _MODALITIES},
        },
        "completion_tokens_details": {
            "reasoning_tokens": parts.get("reasoning", 0),
            **{f"{name}_tokens": parts.get(f"output_{name}", 0) for name in _MODALITIES[:2]},
        },
    }, remarks


def _meaning(key: str) -> str | None:
    """What a name of ``usageDetails`` counts; None where it says nothing that is known, or a part of others."""
    if key == "total":
        return key
    if "priority" in key:
        return None
    modality = next((name for name in _MODALITIES if name in key), None)
    if "cache" in key:
        if "creation" in key or "write" in key:
            return next((f"write_{ttl}" for ttl in ("5m", "1h") if ttl in key), "write")
        return "read"
    if "ephemeral_5m" in key or "ephemeral_1h" in key:
        return "write_5m" if "5m" in key else "write_1h"
    if "reasoning" in key or "thought" in key or "thinking" in key:
        return "reasoning"
    if "output" in key or "completion" in key or "candidates" in key:
        return f"output_{modality}" if modality in _MODALITIES[:2] else "output"
    if "input" in key or "prompt" in key:
        return f"input_{modality}" if modality else "input"
    return None


def _around(parts: Mapping[str, int], total: int) -> tuple[int, int]:
    """The whole input and output. The first reading that makes the total holds; Langfuse's own where none does."""
    own = {"input": parts.get("input", 0), "output": parts.get("output", 0)}
    output_parts = sum(n for name, n in parts.items() if name.startswith("output_") or name == "reasoning")
    input_parts = sum(parts.values()) - own["input"] - own["output"] - output_parts
    readings = [
        (own["input"] + input_parts, own["output"] + output_parts),
        (own["input"], own["output"] + output_parts),
        (own["input"] + input_parts, own["output"]),
        (own["input"], own["output"]),
    ]
    fitting = [one for one in readings if sum(one) == total and one[0] >= input_parts and one[1] >= output_parts]
    return fitting[0] if fitting else readings[0]
