"""How the pretended providers count: four bytes are a token, so that a test can count by itself.

A text has ``ceil(UTF-8 bytes / 4)`` tokens, an image ``IMAGE_TOKENS`` whatever it shows (what OpenAI's documentation
gives for gpt-4o and a 1024 x 1024 picture in high detail). The input of a call is the sum over the texts that its
messages carry, the JSON of its tools and its images; what a message costs beside its text is not counted. Output is
made of pieces of exactly four bytes, so a text that was cut off anywhere between pieces counts the same by both rules.

``Meters`` are exclusive parts, named as in ``outlay.ledger.meters``; each provider renders them in its own convention
(OpenAI's input includes cache reads, Anthropic's does not), which is what a gateway must undo. ``output_reasoning`` is
left inside ``output``: that is the number that is billed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["IMAGE_TOKENS", "NOTHING", "Meters", "cut", "input_tokens", "json_tokens", "pieces", "tokens"]

IMAGE_TOKENS = 765
BYTES = 4
_WORDS = ("all ", "is  ", "well", " and", " so ", "on. ")
_IMAGES = {"image_url", "input_image", "image", "inlineData", "inline_data", "fileData"}
_TEXTS = {"text", "input", "content", "arguments", "instructions", "prompt", "thinking", "output"}


@dataclass(frozen=True, slots=True)
class Meters:
    """What a call is billed for. ``input`` is neither read from a cache nor written to one."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def all_input(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h

    def having(self, output: int, reasoning: int) -> Meters:
        """The same input with so much output, of which so much is hidden reasoning."""
        return replace(self, output=output, reasoning=reasoning)


NOTHING = Meters()


def tokens(text: str) -> int:
    """Four bytes are a token; what is left over is one more."""
    return -(-len(text.encode()) // BYTES)


def json_tokens(value: Any) -> int:
    """Of what a model is shown as JSON (its tools), written without spaces."""
    return tokens(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def pieces(count: int) -> list[str]:
    """``count`` pieces of text, a token each: what a model says here."""
    return [_WORDS[at % len(_WORDS)] for at in range(count)]


def cut(text: str) -> list[str]:
    """A given ASCII text (the arguments of a tool) in pieces of a token each."""
    assert text.isascii()
    return [text[at : at + BYTES] for at in range(0, len(text), BYTES)]


def input_tokens(*parts: Any) -> int:
    """Tokens of messages, prompts and instructions: every text in them by itself, and every image."""
    return sum(_counted(parts))


def _counted(value: Any) -> Iterator[int]:
    if isinstance(value, str):
        yield tokens(value)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _counted(part)
    elif isinstance(value, dict):
        if value.get("type") in _IMAGES or not _IMAGES.isdisjoint(value):
            yield IMAGE_TOKENS
            return
        for key, part in value.items():
            if isinstance(part, (dict, list)) or key in _TEXTS:
                yield from _counted(part)
