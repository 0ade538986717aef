"""The meters of one model call: exclusive counts, each of which has one unit price.

A provider's counts overlap (input holds cache reads, audio holds cached audio), so a price list can't be multiplied
with them as they stand. A *meter* is a part that overlaps no other: a token is counted by exactly one meter, and the
token meters of a direction add up to OpenTelemetry's ``gen_ai.usage.input_tokens`` or ``output_tokens``. So the cost
of a call is a plain sum of ``quantity x unit price``, in Python and in SQL alike.

The names: what happened to the token (``input`` is neither read from nor written to a cache; ``cache_read``;
``cache_write_5m`` and ``cache_write_1h`` by time to live, ``cache_write`` where that is not told; ``tool_input`` is
what a provider's own tools put into the prompt; ``output``; ``output_reasoning``), then the modality
(``input_audio``); no modality is text, or a provider that does not tell.

The trap: ``output_reasoning`` is part of the billed output, nearly always at its price. It is a meter of its own
because a few models (Perplexity's deep research) price it apart.
"""

from __future__ import annotations

from functools import cache

__all__ = ["FEE_METERS", "INPUT_METERS", "METERS", "MODALITIES", "OUTPUT_METERS", "TOKEN_METERS", "modal"]

MODALITIES = ("audio", "image", "video")
"""Modalities that may have a price of their own; text is unmarked."""

_INPUT_KINDS = ("input", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "tool_input")


@cache
def modal(kind: str, modality: str | None) -> str:
    """The meter of ``kind`` in a modality; None is text."""
    return f"{kind}_{modality}" if modality else kind


INPUT_METERS = tuple(modal(kind, modality) for modality in (None, *MODALITIES) for kind in _INPUT_KINDS)
"""They add up to ``input_tokens``."""

OUTPUT_METERS = ("output", "output_reasoning", *(modal("output", modality) for modality in MODALITIES))
"""They add up to ``output_tokens``."""

TOKEN_METERS = (*INPUT_METERS, *OUTPUT_METERS)

FEE_METERS = {
    "requests": "call",
    "web_searches": "search",
    "web_fetches": "page",
    "social_searches": "search",
    "storage_searches": "search",
    "code_executions": "session",
    "server_tool_calls": "call",
    "rerank_searches": "search",
    "audio_seconds": "second",
    "input_audio_seconds": "second",
    "output_audio_seconds": "second",
    "input_characters": "character",
    "input_text_messages": "message",
    "input_document_pages": "page",
    "input_annotated_document_pages": "page",
}
"""What is charged by something other than tokens, and its unit."""

METERS: dict[str, str] = {**dict.fromkeys(TOKEN_METERS, "token"), **FEE_METERS}
"""Every meter and its unit."""
