"""The usage that a stream tells, read along while LiteLLM's proxy hands it to the caller.

LiteLLM fills in what a provider did not tell by counting words itself. That is no usage: here only what came from the
provider counts. Of a chat or a completion LiteLLM keeps the provider's own chunks beside the stream, and what is shown
to the caller in the end may be a guess; other streams come as the provider sent them.
"""

from __future__ import annotations

import json
from typing import Any

from outlay.gateway.litellm.calls import plain, usage_of

__all__ = ["StreamUsage", "is_only_usage"]

_LONGEST = 1 << 20


class StreamUsage:
    """What one stream tells. ``whole`` once the usage is that of the whole call."""

    def __init__(self, stream: object) -> None:
        self._stream = stream
        self._rest = b""
        self.usage: dict[str, Any] | None = None
        self.model: str | None = None
        self.whole = False

    def see(self, item: object) -> None:
        """Read one item of the stream."""
        if isinstance(item, (bytes, str)):
            self._see_bytes(item.encode() if isinstance(item, str) else item)
            return
        response = getattr(item, "response", None)
        if response is not None and getattr(response, "usage", None) is not None:
            self.usage, self.model = usage_of(response)
            self.whole = self.usage is not None

    def end(self, *, is_over: bool) -> None:
        """Read what stands beside the stream; ``is_over`` unless it broke off."""
        for chunk in reversed(_chunks(self._stream)):
            told = plain(getattr(chunk, "usage", None))
            if told is not None and told.get("prompt_tokens"):
                self.usage, self.whole = told, is_over
                return

    def _see_bytes(self, chunk: bytes) -> None:
        """Anthropic's stream comes as it is: its first event tells the input, a later one the output."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()[-_LONGEST:]
        for line in lines:
            if line.startswith(b"data:") and b'"usage"' in line:
                try:
                    said = json.loads(line[5:])
                except ValueError:
                    continue
                self._see_event(said)

    def _see_event(self, said: object) -> None:
        if not isinstance(said, dict):
            return
        message = said.get("message")
        if said.get("type") == "message_start" and isinstance(message, dict):
            self.usage, self.model = usage_of(message)
        elif said.get("type") == "message_delta" and (told := plain(said.get("usage"))) is not None:
            self.usage = {**(self.usage or {}), **told}
            self.whole = bool(self.usage.get("input_tokens") or self.usage.get("cache_read_input_tokens"))


def _chunks(stream: object) -> list[object]:
    """The provider's own chunks, that LiteLLM keeps of a chat and, one step further in, of a completion."""
    for place in (stream, getattr(stream, "completion_stream", None)):
        chunks = getattr(place, "chunks", None)
        if isinstance(chunks, list):
            return chunks
    return []


def is_only_usage(item: object) -> bool:
    """Whether an item of a stream shows its usage and nothing else."""
    if getattr(item, "usage", None) is None:
        return False
    choices = getattr(item, "choices", None)
    return isinstance(choices, list) and not any(_says(one) for one in choices)


def _says(choice: object) -> bool:
    if getattr(choice, "finish_reason", None) is not None or getattr(choice, "text", None):
        return True
    delta = getattr(choice, "delta", None)
    return any(
        getattr(delta, name, None) for name in ("content", "tool_calls", "role", "reasoning_content", "function_call")
    )
