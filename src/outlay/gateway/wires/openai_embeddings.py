"""OpenAI's embeddings: https://platform.openai.com/docs/api-reference/embeddings. Input alone, and no stream."""

from __future__ import annotations

from outlay.gateway.wires.openai_chat import ChatMeter, OpenAIChat, model_of
from outlay.gateway.wires.spoken import Json, Malformed, Spoken

__all__ = ["EMBEDDINGS", "OpenAIEmbeddings"]


class OpenAIEmbeddings(OpenAIChat):
    """``POST /v1/embeddings``. Its usage counts the input; tokens may be sent as numbers, a byte or more each."""

    name: str = "embeddings"
    operation: str = "embeddings"
    flavor: str = "embeddings"

    def spoken(self, body: Json) -> Spoken:
        """What a body says. Raises :class:`Malformed`."""
        if body.get("input") is None:
            raise Malformed("'input' is missing.")
        return Spoken(model_of(body), max_tokens=0, has_output=False)

    def limit(self, body: Json, tokens: int, provider: str) -> None:
        """It has no output."""

    def ask_usage(self, body: Json) -> bool:
        """It has no stream."""
        return False

    def meter(self, strip: bool) -> ChatMeter:
        """It has no stream; what a server streams all the same is read as one of chat completions."""
        return ChatMeter(strip)


EMBEDDINGS = OpenAIEmbeddings()
