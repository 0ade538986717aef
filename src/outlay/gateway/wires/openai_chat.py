"""OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat.

``max_completion_tokens`` holds the hidden reasoning tokens too, so it bounds what is billed; the older ``max_tokens``
is refused by reasoning models, and is what every other server with this API knows. Some of those know only that one:
they get it beside the newer. Predicted output that is rejected is billed on top.

Servers with this API have more ways in than OpenAI: a template that the caller writes (vLLM), data that the provider
looks up with calls of its own (Azure), other models to fall back on and plugins (OpenRouter), searches (xAI, Qwen), and
a ``thinking_budget`` beside the limit of output (Qwen). Each lets a call cost more than its body shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from outlay.gateway.wires.chat_meter import ChatMeter
from outlay.gateway.wires.openai_error import openai_broken, openai_error
from outlay.gateway.wires.parts import FOUND_BY_TOOLS, beyond_text, listed, media_of, tools_of_provider
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, count, flag, model_of
from outlay.gateway.wires.wire import Beside, Said

__all__ = ["CHAT", "OpenAIChat", "said_by", "strange"]

_OWN_LIMIT = ("openai", "azure")
"""Providers that want ``max_completion_tokens``."""
_NOT_INLINE = ("documents", "chat_template", "chat_template_kwargs")
_OTHER_MODELS = ("models", "fallbacks", "preset", "plugins", "search_parameters", "enable_search", "web_search")
_OWN_DATA = ("data_sources", "dataSources")
_SEARCHES, _RESEARCHES = "-search-", "deep-research"
"""In the names of models that search whatever the call says: once, or as often as they like."""
_RUN_BY_CALLER = ("function", "custom")
_THINKING_IN = ("extra_body", "google", "thinking_config")
_STRANGE = frozenset({*_NOT_INLINE, *_OTHER_MODELS, *_OWN_DATA, "serviceTier", "extra_body"})
_THOUGHT = frozenset({"thinking_budget", *_THINKING_IN})
"""Hardly any body has one of these, so that one look tells."""
_ANYWHERE = Beside()


def strange(body: Mapping[str, Any]) -> tuple[set[str], str | None]:
    """What other servers' own fields let into the prompt, and why they leave a call without a bound.

    Raises :class:`Malformed`.
    """
    if _STRANGE.isdisjoint(body):
        return set(), None
    if "serviceTier" in body:
        raise Malformed("'serviceTier' is service_tier here.")
    beyond = {key for key in _NOT_INLINE if body.get(key)}
    if body.get("extra_body") and "cached" in str(body["extra_body"]):  # Gemini's, in this form
        beyond.add("what the provider keeps")
    other = next((key for key in _OTHER_MODELS if body.get(key)), None)
    if other is not None:
        return beyond, f"'{other}' lets the provider run other models or tools than the one that is priced."
    own = next((key for key in _OWN_DATA if body.get(key)), None)
    return beyond, None if own is None else f"'{own}' has the provider call the model more than once."


def said_by(answer: Json) -> Said | None:
    """The usage of an answer in OpenAI's or Anthropic's form, and its model."""
    if not isinstance(answer.get("usage"), dict):
        return None
    model = answer.get("model")
    return answer, model if isinstance(model, str) else None


class OpenAIChat:
    """``POST /v1/chat/completions``."""

    name: str = "chat"
    operation: str = "chat"
    flavor: str = "chat"
    model_in_body: bool = True

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises :class:`Malformed`."""
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise Malformed("'messages' is missing, or no list.")
        beyond, unbounded = strange(body)
        for one in messages:
            if not isinstance(one, dict):
                raise Malformed("'messages' holds something that is no message.")
            content = one.get("content")
            if content.__class__ is not str:
                beyond_text(content, beyond)
            if one.get("audio") is not None:
                beyond.add("audio")
        model = model_of(body, beside.model)
        searches = body.get("web_search_options") is not None or _SEARCHES in model
        if searches:
            beyond.add(FOUND_BY_TOOLS)
        if _RESEARCHES in model:
            unbounded = "the model searches as often as it likes."
        if tools_of_provider(body.get("tools"), _RUN_BY_CALLER):
            unbounded = "the provider's own tools may run any number of times."
        limits = [count(body, key) for key in ("max_completion_tokens", "max_tokens")]
        return Spoken(
            model,
            flag(body, "stream"),
            max((one for one in limits if one is not None), default=None),
            count(body, "n") or 1,
            not_inline=listed(beyond),
            media=media_of(beyond),
            output_media=_output_media(body),
            more_output=_predicted(body) + _thought(body),
            tools=("web_searches",) if searches else (),
            unbounded=unbounded,
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """Put the most tokens of output into a body that has none."""
        body["max_completion_tokens" if provider in _OWN_LIMIT else "max_tokens"] = tokens

    def mend(self, body: Json, provider: str) -> None:
        """A server that knows only ``max_tokens`` would not keep to the newer name."""
        if provider == "openai-compatible" and body.get("max_tokens") is None:
            newer = body.get("max_completion_tokens")
            if newer is not None:
                body["max_tokens"] = newer

    def ask_usage(self, body: Json) -> bool:
        """Have a stream tell its usage."""
        options = body.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage") is True:
            return False
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return True

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """The usage of a whole answer."""
        return said_by(answer)

    def meter(self, strip: bool) -> ChatMeter:
        """A meter of one stream."""
        return ChatMeter(strip)

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error in OpenAI's format."""
        return openai_error(status, kind, message, details)

    def broken(self, message: str) -> bytes:
        """The end of a stream that broke off."""
        return openai_broken(message)


def _output_media(body: Json) -> frozenset[str]:
    asked = body.get("modalities")
    if asked is None:
        return frozenset()
    if not isinstance(asked, list):
        raise Malformed("'modalities' must be a list.")
    return media_of(str(one) for one in asked if one != "text")


def _predicted(body: Json) -> int:
    prediction = body.get("prediction")
    return len(orjson.dumps(prediction)) if prediction else 0


def _thought(body: Mapping[str, Any], depth: int = 0) -> int:
    """What a model may think beside its limit of output, at the top or in a provider's own object."""
    if _THOUGHT.isdisjoint(body):
        return 0
    most = count(body, "thinking_budget", least=-1) or 0
    for key in _THINKING_IN:
        inside = body.get(key)
        if isinstance(inside, dict) and depth < len(_THINKING_IN):
            most = max(most, _thought(inside, depth + 1))
    return max(most, 0)


CHAT = OpenAIChat()
