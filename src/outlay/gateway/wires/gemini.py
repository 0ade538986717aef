"""Gemini's own API: https://ai.google.dev/api/generate-content, with the model and what to do with it in the path.

Names may be spelled ``maxOutputTokens`` or ``max_output_tokens``, and a list of one may come without its brackets.

Does ``maxOutputTokens`` hold the thoughts? Google's pages were read both ways. Every answer of the real service that
was found says that it does: 256 thoughts of 256 (googleapis/python-genai #811), sums at the limit on Gemini 3 (#2062),
44 thoughts and 2 tokens of 50 (ha-llmvision #609), 8,189 and 3 of 8,192. So it bounds the output, and a
``thinkingBudget`` that the caller names is allowed for on top of it, should that not hold for a model.

Usage stands in every chunk of a stream, as it is so far; it is whole where a chunk says why the answer ended. Tools
that Google runs (search, code, pages, files) have no limit of rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from outlay.gateway.wires.gemini_meter import GeminiMeter
from outlay.gateway.wires.gemini_parts import beyond_gemini
from outlay.gateway.wires.parts import listed, media_of
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, count, model_of, table
from outlay.gateway.wires.sse import error_event
from outlay.gateway.wires.wire import Beside, Said

__all__ = ["GEMINI_VERBS", "Gemini", "GeminiCount", "GeminiEmbeddings"]

_ANYWHERE = Beside()
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_CONFIG = ("generationConfig", "generation_config")
_MOST = ("maxOutputTokens", "max_output_tokens")
_COMPUTER = frozenset({"computerUse", "computer_use"})
_RUN_BY_CALLER = frozenset({"functionDeclarations", "function_declarations", *_COMPUTER})


class Gemini:
    """``POST /v1beta/models/{model}:generateContent`` and ``:streamGenerateContent?alt=sse``."""

    operation: str = "generate_content"
    flavor: str = "gemini"
    model_in_body: bool = False

    def __init__(self, name: str = "generateContent") -> None:
        self.name = name
        self._stream = name.startswith("stream")

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises :class:`Malformed`."""
        model = _model(body, beside)
        beyond: set[str] = set()
        beyond_gemini(body.get("contents"), beyond)
        for key in ("systemInstruction", "system_instruction"):
            beyond_gemini(body.get(key), beyond)
        if any(one.keys() & _COMPUTER for one in _listed(body.get("tools")) if isinstance(one, dict)):
            beyond.add("the use of a computer")
        if any(body.get(key) for key in ("cachedContent", "cached_content")):
            beyond.add("cachedContent")
        config = table(body, *_CONFIG)
        thinking = table(config, "thinkingConfig", "thinking_config")
        return Spoken(
            model,
            self._stream,
            _either(config, *_MOST),
            _either(config, "candidateCount", "candidate_count") or 1,
            not_inline=listed(beyond),
            media=media_of(beyond),
            output_media=_output_media(config),
            more_output=max(0, _either(thinking, "thinkingBudget", "thinking_budget", least=-1) or 0),
            unbounded=_unbounded(body),
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """Put the most tokens of output into a body that has none."""
        key = next((one for one in _CONFIG if body.get(one) is not None), _CONFIG[0])
        config = {name: value for name, value in (body.get(key) or {}).items() if name not in _MOST}
        body[key] = {**config, _MOST[0]: tokens}

    def mend(self, body: Json, provider: str) -> None:
        """It has one name everywhere."""

    def ask_usage(self, body: Json) -> bool:
        """Its streams always tell their usage."""
        return False

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """The usage of a whole answer."""
        model = answer.get("modelVersion")
        if not isinstance(answer.get("usageMetadata"), dict):
            return None
        return answer, model if isinstance(model, str) else None

    def meter(self, strip: bool) -> GeminiMeter:
        """A meter of one stream."""
        return GeminiMeter()

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error in Google's format; ``details`` are its ErrorInfo, whose values are texts."""
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": kind,
            "domain": "outlay",
            "metadata": {key: str(value) for key, value in details.items() if value is not None},
        }
        told = {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN"), "details": [info]}
        return orjson.dumps({"error": told})

    def broken(self, message: str) -> bytes:
        """The end of a stream that broke off."""
        return error_event(self.error(503, "upstream_failed", message, {}))


class GeminiEmbeddings(Gemini):
    """``POST /v1beta/models/{model}:embedContent`` and ``:batchEmbedContents``: input alone."""

    operation = "embeddings"

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises :class:`Malformed`."""
        requests = body.get("requests", [body]) if self.name.startswith("batch") else [body]
        if not isinstance(requests, list):
            raise Malformed("'requests' must be a list.")
        beyond: set[str] = set()
        for one in requests:
            if not isinstance(one, dict):
                raise Malformed("'requests' holds something that is none.")
            _model(one, beside)
            beyond_gemini(one.get("content"), beyond)
        return Spoken(
            _model(body, beside),
            max_tokens=0,
            not_inline=listed(beyond),
            media=media_of(beyond),
            rounds=max(1, len(requests)) if beyond else 1,
            has_output=False,
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """It has no output."""


class GeminiCount(Gemini):
    """``POST /v1beta/models/{model}:countTokens``, which costs nothing."""

    operation = "count_tokens"

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """It costs nothing, whatever it says."""
        return Spoken(model_of({}, beside.model), max_tokens=0, has_output=False, free=True)

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """It uses nothing."""
        return None


def _model(body: Json, beside: Beside) -> str:
    """The model of the path; a body that names another is refused, whichever of them Google would take."""
    model = model_of({}, beside.model)
    said = body.get("model")
    if said is not None and said not in (model, f"models/{model}"):
        raise Malformed(f"'model' is {str(said)[:60]!r}, and '{model}' in the path.")
    return model


def _either(body: Json, *keys: str, least: int = 1) -> int | None:
    found = [number for key in keys if (number := count(body, key, least=least)) is not None]
    if len(found) > 1:
        raise Malformed(f"'{keys[0]}' is there twice: {', '.join(keys)}.")
    return found[0] if found else None


def _output_media(config: Json) -> frozenset[str]:
    """What answers may hold: without a word on it, a model that makes images makes them."""
    for key in ("responseModalities", "response_modalities"):
        asked = config.get(key)
        if asked is not None:
            listed = asked if isinstance(asked, list) else [asked]
            return media_of(str(one).lower() for one in listed if one != "TEXT")
    return frozenset({"audio", "image"})


def _listed(tools: object) -> list[Any]:
    """Tools as a list; one may come without its brackets."""
    return tools if isinstance(tools, list) else [] if tools is None else [tools]


def _unbounded(body: Json) -> str | None:
    if "serviceTier" in body and "service_tier" in body:
        raise Malformed("'serviceTier' is there twice: serviceTier, service_tier.")
    for one in _listed(body.get("tools")):
        if not isinstance(one, dict):
            raise Malformed("'tools' holds something that is no tool.")
        if others := sorted(set(one) - _RUN_BY_CALLER):
            return f"no field limits the tools of the provider: {', '.join(others)[:200]}."
    return None


GEMINI_VERBS = {
    one.name: one
    for one in (
        Gemini(),
        Gemini("streamGenerateContent"),
        GeminiEmbeddings("embedContent"),
        GeminiEmbeddings("batchEmbedContents"),
        GeminiCount("countTokens"),
    )
}
