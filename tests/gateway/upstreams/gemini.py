"""Gemini's API, in its own form and in OpenAI's.

Shapes: ``GenerateContentResponse`` and ``GenerateContentResponseUsageMetadata`` of google-genai 3.4.0.
``promptTokenCount`` includes what came from a cache; ``candidatesTokenCount`` leaves the thoughts out, so output is
the sum of it and ``thoughtsTokenCount``; ``totalTokenCount`` has all. A stream (``?alt=sse``) tells the usage as it
stands in every chunk.

In OpenAI's form (``/v1beta/openai/``) the trap is that ``completion_tokens`` leaves the thoughts out and
``total_tokens`` has them, with no details: reported of the real service (Clarifai/clarifai-python #978: prompt 20,
completion 424, total 1,016), not verified by us.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs

from tests.gateway.upstreams.answer import Answer, Call, Frame, Refused, Said, input_meters, say
from tests.gateway.upstreams.http import Request
from tests.gateway.upstreams.log import Entry
from tests.gateway.upstreams.openai_api import bearer, check_model, embeddings, models
from tests.gateway.upstreams.openai_chat import chat
from tests.gateway.upstreams.tokens import Meters, input_tokens, json_tokens

__all__ = ["Gemini"]

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


_OWN = re.compile(r"/v1(?:beta)?/models/([^/:]+):")


def _usage(meters: Meters, tier: str | None = None) -> dict[str, Any]:
    visible = meters.output - meters.reasoning
    told: dict[str, Any] = {
        "promptTokenCount": meters.all_input,
        "candidatesTokenCount": visible,
        "totalTokenCount": meters.all_input + meters.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": meters.all_input}],
    }
    if meters.cache_read:
        told["cachedContentTokenCount"] = meters.cache_read
        told["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": meters.cache_read}]
    if meters.reasoning:
        told["thoughtsTokenCount"] = meters.reasoning
    if tier is not None:
        told["serviceTier"] = tier
    return told


def _openai_usage(meters: Meters) -> dict[str, Any]:
    return {
        "prompt_tokens": meters.all_input,
        "completion_tokens": meters.output - meters.reasoning,
        "total_tokens": meters.all_input + meters.output,
    }


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}}


class Gemini:
    """:generateContent, :streamGenerateContent and :countTokens of models; OpenAI's form.

    Its own paths begin with /v1beta or, where google-genai 3.4.0 calls, with /v1.
    """

    name = "gemini"
    secret = "AIza-upstream-gemini"

    def model_of(self, request: Request, body: Any) -> str | None:
        if found := _OWN.match(request.path):
            return found[1]
        return body.get("model") if isinstance(body, dict) else None

    def scripted(self, request: Request) -> bool:
        return request.method == "POST" and not request.path.endswith(":countTokens")

    def answer(self, call: Call) -> Answer:
        path = call.request.path
        if path.startswith("/v1beta/openai/"):
            answer = self._as_openai(call, path.removeprefix("/v1beta/openai/"))
        else:
            given = call.request.header("x-goog-api-key")
            if given is None:
                raise Refused(403, "Method doesn't allow unregistered callers. Please use API Key.")
            if given != call.secret:
                raise Refused(400, "API key not valid. Please pass a valid API key.")
            answer = self._own(call, path)
        answer.headers.append(("server-timing", "gfet4t7; dur=12"))
        return answer

    def _as_openai(self, call: Call, path: str) -> Answer:
        bearer(call)
        if path == "models":
            return models("google", ("models/gemini-2.5-flash",))
        check_model(call)
        if path == "embeddings":
            return embeddings(call)
        if path != "chat/completions":
            raise Refused(404, f"Not found: {call.request.path}")
        answer = chat(call, _openai_usage)
        answer.failure = [Frame("end", [_error(503, "The model is overloaded.")], 0, 0)]
        return answer

    def _own(self, call: Call, path: str) -> Answer:
        action = path.rpartition(":")[2]
        if call.request.method != "POST" or call.entry.model is None:
            raise Refused(404, f"Not found: {path}")
        if call.entry.model.startswith("no-such"):
            raise Refused(404, f"models/{call.entry.model} is not found for API version v1beta.")
        tools = call.body.get("tools")
        counted = input_tokens(call.body.get("systemInstruction") or "", call.body.get("contents"))
        counted += json_tokens(tools) if tools else 0
        if action == "countTokens":
            return Answer(body={"totalTokens": counted})
        if action not in ("generateContent", "streamGenerateContent"):
            raise Refused(404, f"Not found: {path}")
        return _generated(call, counted, action == "streamGenerateContent")

    def refusal(self, refused: Refused, entry: Entry) -> Answer:
        headers = []
        if refused.retry_after is not None:
            headers.append(("retry-after", f"{refused.retry_after:g}"))
        body: Any = _error(refused.status, refused.message)
        if entry.path.startswith("/v1beta/openai/"):
            body = [body]
        return Answer(body=body, status=refused.status, headers=headers)


def _tool(call: Call) -> str | None:
    declared = [one for tool in call.body.get("tools") or [] for one in tool.get("functionDeclarations", [])]
    mode = ((call.body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode")
    return str(declared[0]["name"]) if declared and (call.script.tool or mode == "ANY") else None


def _generated(call: Call, counted: int, stream: bool) -> Answer:
    config = call.body.get("generationConfig") or {}
    said = say(call.script, config.get("maxOutputTokens"), _tool(call))
    bill = input_meters(call.script, counted).having(said.output, said.reasoning)
    finish = "MAX_TOKENS" if said.cut else "STOP"
    tier = call.script.service_tier or call.body.get("serviceTier")
    head = {"modelVersion": call.script.model or call.entry.model, "responseId": call.entry.id}

    def chunk(parts: list[Any], meters: Meters, ending: str | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if ending:
            candidate["finishReason"] = ending
        told = {"candidates": [candidate], **head}
        return {**told, "usageMetadata": _usage(meters, tier)} if call.script.usage else told

    answer = Answer(meters=bill, worked=True, service_tier=tier, content_type="text/event-stream")
    if not stream:
        answer.body = chunk(_parts(said), bill, finish)
        return answer
    if parse_qs(call.request.query).get("alt") != ["sse"]:
        raise Refused(400, "this upstream streams with ?alt=sse only")
    deltas = said.deltas(call.script.chunk_tokens) if said.tool is None else []
    frames, made = [], said.reasoning
    for delta, count in deltas:
        made += count
        payload = chunk([{"text": delta}], bill.having(made, said.reasoning), None)
        frames.append(Frame("content", payload, made, said.reasoning))
    last = chunk(_parts(said) if said.tool else [{"text": ""}], bill, finish)
    frames.append(Frame("usage", last, said.output, said.reasoning))
    answer.frames = frames
    answer.failure = [Frame("end", _error(503, "The model is overloaded. Please try again later."), 0, 0)]
    return answer


def _parts(said: Said) -> list[dict[str, Any]]:
    if said.tool is None:
        return [{"text": said.text}]
    return [{"functionCall": {"name": said.tool, "args": {} if said.cut else json.loads(said.text)}}]
