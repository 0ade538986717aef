"""Bedrock's InvokeModel: a body in the words of the model's own maker.

Anthropic's are those of its messages (``anthropic_version`` in the body, the model in the path). Of the others only the
name of the limit on output is known here, and a prompt that is one text; all else counts as more than text. Usage
stands in the answer of Anthropic's models, and in headers for all of them; in a stream, the last chunk has it as
``amazon-bedrock-invocationMetrics``, and each chunk is base64 within JSON.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from outlay.gateway.wires.anthropic_messages import MESSAGES
from outlay.gateway.wires.anthropic_meter import MessageUsage
from outlay.gateway.wires.bedrock import Bedrock, FrameMeter, billed_apart
from outlay.gateway.wires.bedrock_converse import limits_within
from outlay.gateway.wires.event_stream import Frame
from outlay.gateway.wires.openai_chat import said_by
from outlay.gateway.wires.parts import media_of
from outlay.gateway.wires.spoken import Json, Spoken, model_of
from outlay.gateway.wires.wire import Beside, Said

__all__ = ["INVOKE", "INVOKE_STREAM", "Invoke", "InvokeMeter"]

_ANYWHERE = Beside()
_PROMPTS = frozenset({"prompt", "inputText"})
_PLAIN = (int, float, bool, type(None))
_CONFIGS = frozenset({"textGenerationConfig", "stop", "stopSequences", "stop_sequences"})
_LIMIT_OF = {
    "amazon.titan": ("textGenerationConfig", "maxTokenCount"),
    "amazon.nova": ("inferenceConfig", "maxTokens"),
    "meta.": ("max_gen_len",),
    "openai.": ("max_completion_tokens",),
}
"""By a part of the model's id; the rest say ``max_tokens``."""
_COUNTS = {
    "x-amzn-bedrock-input-token-count": "input_tokens",
    "x-amzn-bedrock-output-token-count": "output_tokens",
    "x-amzn-bedrock-cache-read-input-token-count": "cache_read_input_tokens",
    "x-amzn-bedrock-cache-write-input-token-count": "cache_creation_input_tokens",
}
_METRICS = {
    "inputTokenCount": "input_tokens",
    "outputTokenCount": "output_tokens",
    "cacheReadInputTokenCount": "cache_read_input_tokens",
    "cacheWriteInputTokenCount": "cache_creation_input_tokens",
}
_MORE = frozenset({"tools", "toolConfig", "n", "num_generations", "num_images", "best_of", "numResults", "num_results"})
_TIER = "x-amzn-bedrock-service-tier"


class Invoke(Bedrock):
    """``POST /model/{model}/invoke`` and ``/invoke-with-response-stream``."""

    flavor: str = "messages"

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises :class:`Malformed`."""
        model = model_of({}, beside.model)
        apart = billed_apart(body, beside)
        if "anthropic" in model or "anthropic_version" in body:
            found = MESSAGES.spoken({**body, "stream": self._stream}, beside)
            return replace(found, unbounded=apart or found.unbounded)
        if body.keys() & _MORE:
            apart = apart or "it asks for more than one answer or brings tools. Use converse, which says how many."
        plain = all(
            (isinstance(value, str) and key in _PROMPTS) or isinstance(value, _PLAIN) or key in _CONFIGS
            for key, value in body.items()
        )
        beyond = None if plain else "a body in a model's own words"
        limits = limits_within(body)
        embeds = "embed" in model
        return Spoken(
            model,
            self._stream,
            0 if embeds else max(limits, default=None),
            not_inline=beyond,
            media=media_of([beyond]) if beyond else frozenset(),
            has_output=not embeds,
            unbounded=apart,
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """Put the most tokens of output into a body that has none, by its model's name for it."""
        where = next((path for part, path in _LIMIT_OF.items() if part in model), ("max_tokens",))
        if len(where) == 1:
            body[where[0]] = tokens
        else:
            inside: Any = body.get(where[0])
            body[where[0]] = {**(inside if isinstance(inside, dict) else {}), where[1]: tokens}

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """The usage of a whole answer, in its body or in its headers."""
        tier = headers.get(_TIER)
        found = said_by(answer) if _anthropic(answer) else None
        if found is None:
            usage = {name: int(headers[key]) for key, name in _COUNTS.items() if headers.get(key, "").isdigit()}
            found = ({"usage": usage}, None) if "input_tokens" in usage else None
        if found is None or tier is None:
            return found
        return {**found[0], "usage": {**found[0]["usage"], "service_tier": tier}}, found[1]

    def meter(self, strip: bool) -> InvokeMeter:
        """A meter of one stream."""
        return InvokeMeter()


class InvokeMeter(FrameMeter):
    """Reads along with a stream of InvokeModelWithResponseStream."""

    def __init__(self) -> None:
        super().__init__()
        self._message = MessageUsage()
        self._metrics: Json | None = None

    def said(self) -> Said | None:
        """What the message told, or the metrics that Bedrock adds, where it told nothing."""
        found = self._message.said()
        if found is None and self._metrics is not None:
            return {"usage": self._metrics}, None
        return found

    @property
    def whole(self) -> bool:
        """The metrics come in the last chunk."""
        return self._metrics is not None or self._message.whole

    def _look(self, frame: Frame) -> None:
        inner = _inner(frame)
        metrics = inner.get("amazon-bedrock-invocationMetrics")
        if isinstance(metrics, dict):
            told = {name: metrics[key] for key, name in _METRICS.items() if type(metrics.get(key)) is int}
            self._metrics = told if "input_tokens" in told else self._metrics
        self.started = self.started or inner.get("type") not in (None, "message_start", "ping")
        self._message.take(inner)


def _anthropic(answer: Json) -> bool:
    return answer.get("type") == "message"


def _inner(frame: Frame) -> Json:
    """The object within a chunk; empty where there is none."""
    held = frame.json().get("bytes")
    try:
        found = orjson.loads(b64decode(held)) if isinstance(held, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


INVOKE = Invoke("invoke")
INVOKE_STREAM = Invoke("invoke-with-response-stream")
