"""Bedrock's Converse: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.

A part says what it is by the key that it has. ``additionalModelRequestFields`` go to the model as they are: what limits
its output there may be more than ``inferenceConfig.maxTokens``, or beside it, and is allowed for on top then. A stream
tells the usage in its last event, ``metadata``; the service tier of an answer stands beside the usage, in an object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outlay.gateway.wires.bedrock import Bedrock, FrameMeter, billed_apart
from outlay.gateway.wires.event_stream import Frame
from outlay.gateway.wires.parts import listed, media_of
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, count, model_of, table
from outlay.gateway.wires.wire import Beside, Said

__all__ = ["CONVERSE", "CONVERSE_STREAM", "Converse", "ConverseMeter", "limits_within"]

_ANYWHERE = Beside()
_TEXT = frozenset({"text", "json", "toolUse", "cachePoint", "reasoningContent", "citationsContent", "citations"})
_INSIDE = frozenset({"content", "toolResult", "guardContent"})
_NAMES = frozenset({"role", "toolUseId", "status", "type", "qualifiers"})
_DEEPEST = 50
_LIMITS = frozenset(
    {
        "max_tokens",
        "maxTokens",
        "max_completion_tokens",
        "max_output_tokens",
        "max_new_tokens",
        "max_gen_len",
        "max_tokens_to_sample",
        "maxTokenCount",
        "budget_tokens",
    }
)
_MORE = frozenset(
    {"tools", "mcp_servers", "context_management", "fallbacks", "num_generations", "n", "speed", "service_tier"}
)
_RUN_BY_CALLER = frozenset({"toolSpec", "cachePoint"})


class Converse(Bedrock):
    """``POST /model/{model}/converse`` and ``/converse-stream``."""

    flavor: str = "converse"

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises :class:`Malformed`."""
        if "service_tier" in body:
            raise Malformed("'service_tier' is serviceTier here.")
        model = model_of({}, beside.model)
        beyond: set[str] = set()
        for key in ("messages", "system"):
            _beyond(body.get(key), beyond)
        if body.get("promptVariables") or ":prompt/" in model:
            beyond.add("a prompt that the provider keeps")
        most = count(table(body, "inferenceConfig"), "maxTokens")
        more = table(body, "additionalModelRequestFields")
        others = limits_within(more)
        return Spoken(
            model,
            self._stream,
            most,
            not_inline=listed(beyond),
            media=media_of(beyond),
            more_output=sum(one for one in others if most is None or one >= most),
            unbounded=billed_apart(body, beside) or _unbounded(body, more),
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """Put the most tokens of output into a body that has none."""
        body["inferenceConfig"] = {**(body.get("inferenceConfig") or {}), "maxTokens": tokens}

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """The usage of a whole answer, or of the event that has it."""
        usage, tier = answer.get("usage"), answer.get("serviceTier")
        if not isinstance(usage, dict):
            return None
        named = tier.get("type") if isinstance(tier, dict) else None
        return {"usage": usage, "service_tier": named if isinstance(named, str) else None}, None

    def meter(self, strip: bool) -> ConverseMeter:
        """A meter of one stream."""
        return ConverseMeter(self)


class ConverseMeter(FrameMeter):
    """Reads along with a stream of Converse."""

    def __init__(self, wire: Converse) -> None:
        super().__init__()
        self._wire = wire
        self._said: Said | None = None

    def said(self) -> Said | None:
        """The usage of the event that ends a stream."""
        return self._said

    @property
    def whole(self) -> bool:
        """Usage comes last."""
        return self._said is not None

    def _look(self, frame: Frame) -> None:
        if b"contentBlockDelta" in frame.head:
            self.started = True
        elif b"metadata" in frame.head:
            self._said = self._wire.said(frame.json(), {})


def limits_within(value: object, depth: int = 0) -> list[int]:
    """The limits of output that stand anywhere in fields that go to the model as they are. Raises `Malformed`."""
    if depth > _DEEPEST:
        raise Malformed("the body is nested too deeply.")
    if isinstance(value, Mapping):
        found = [number for key in value if key in _LIMITS and (number := count(value, key)) is not None]
        return found + [one for inside in value.values() for one in limits_within(inside, depth + 1)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [one for inside in value for one in limits_within(inside, depth + 1)]
    return []


def _beyond(value: object, found: set[str], depth: int = 0) -> None:
    if value is None:
        return
    if depth > _DEEPEST:
        found.add("deeply nested content")
    elif isinstance(value, Mapping):
        for key, inside in value.items():
            if key in _INSIDE:
                _beyond(inside, found, depth + 1)
            elif key not in _TEXT and key not in _NAMES:
                found.add(key[:60])
    elif isinstance(value, list):
        for one in value:
            _beyond(one, found, depth + 1)
    else:
        found.add(f"a {type(value).__name__} where a part was expected")


def _unbounded(body: Json, more: Json) -> str | None:
    tools: Any = table(body, "toolConfig").get("tools")
    for one in tools if isinstance(tools, list) else []:
        if not isinstance(one, dict) or not set(one) <= _RUN_BY_CALLER:
            return "no field limits the tools of the provider."
    if found := sorted(_MORE & more.keys()):
        return f"'{found[0]}' in additionalModelRequestFields may have the model do any amount of work."
    return None


CONVERSE = Converse("converse")
CONVERSE_STREAM = Converse("converse-stream")
