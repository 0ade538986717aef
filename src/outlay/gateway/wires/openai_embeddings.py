"""OpenAI's embeddings: https://platform.openai.com/docs/api-reference/embeddings. Input alone, and no stream.

Other servers take images and whole messages there.
"""

from __future__ import annotations

from outlay.gateway.wires.openai_chat import OpenAIChat, strange
from outlay.gateway.wires.parts import beyond_text, listed, media_of
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, model_of
from outlay.gateway.wires.wire import Beside

__all__ = ["EMBEDDINGS", "OpenAIEmbeddings"]

_ANYWHERE = Beside()


class OpenAIEmbeddings(OpenAIChat):
    """``POST /v1/embeddings``. Its usage counts the input; tokens may be sent as numbers, a byte or more each."""

    name = "embeddings"
    operation = "embeddings"
    flavor = "embeddings"

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises `Malformed`."""
        given = body.get("input")
        if given is None:
            raise Malformed("'input' is missing.")
        beyond, unbounded = strange(body)
        inputs = len(given) if isinstance(given, list) else 1
        if isinstance(given, list):
            given = [one for one in given if type(one) is not int and not _tokens(one)]
        beyond_text(given, beyond)
        if body.get("messages") is not None:
            beyond.add("messages")
        return Spoken(
            model_of(body, beside.model),
            max_tokens=0,
            not_inline=listed(beyond),
            media=media_of(beyond),
            rounds=max(1, inputs) if beyond else 1,
            has_output=False,
            unbounded=unbounded,
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """It has no output."""

    def mend(self, body: Json, provider: str) -> None:
        """It has no output."""

    def ask_usage(self, body: Json) -> bool:
        """It has no stream."""
        return False


def _tokens(value: object) -> bool:
    return isinstance(value, list) and all(type(one) is int for one in value)


EMBEDDINGS = OpenAIEmbeddings()
