"""Anthropic's messages, as a body and as a stream, and the counting of tokens.

Shapes: ``Message``, ``Usage``, ``MessageDeltaUsage``, the ``Raw*Event`` types, ``MessageTokensCount`` and
``ErrorResponse`` of the anthropic Python SDK 2.12.0. ``input_tokens`` leaves out what a cache did; ``cache_creation``
splits the writes by time to live. A stream tells the input in ``message_start`` and the output, cumulative, in
``message_delta``; ``ping`` events come in between; an error may come as an event after a 200. ``max_tokens`` and the
header ``anthropic-version`` are required.

The key comes as ``x-api-key`` or, as this SDK sends it, as a bearer token.
"""

from __future__ import annotations

import json
from typing import Any

from tests.gateway.upstreams.answer import Answer, Call, Frame, Kind, Refused, Said, input_meters, say
from tests.gateway.upstreams.http import Request
from tests.gateway.upstreams.log import Entry
from tests.gateway.upstreams.tokens import Meters, input_tokens, json_tokens

__all__ = ["Anthropic", "error_body", "message", "usage"]

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    529: "overloaded_error",
}
EMPTY: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
MODELS = ("claude-sonnet-5", "claude-haiku-4-5", "claude-opus-5")


def usage(meters: Meters, tier: str | None) -> dict[str, Any]:
    """The bill in the fields of ``Usage``."""
    told: dict[str, Any] = {
        "input_tokens": meters.input,
        "cache_creation_input_tokens": meters.cache_write,
        "cache_read_input_tokens": meters.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": meters.cache_write_5m,
            "ephemeral_1h_input_tokens": meters.cache_write_1h,
        },
        "output_tokens": meters.output,
    }
    if meters.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": meters.reasoning}
    return told if tier is None else {**told, "service_tier": tier}


def error_body(status: int, text: str, entry: Entry) -> dict[str, Any]:
    """An ``ErrorResponse``."""
    kind = ERRORS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": entry.id}


def _counted(body: dict[str, Any]) -> int:
    tools = body.get("tools")
    return input_tokens(body.get("system") or "", body.get("messages")) + (json_tokens(tools) if tools else 0)


def _tool(call: Call) -> str | None:
    tools = call.body.get("tools") or []
    choice = call.body.get("tool_choice") or {}
    if not tools:
        return None
    if choice.get("type") == "tool":
        return str(choice["name"])
    return str(tools[0]["name"]) if call.script.tool or choice.get("type") == "any" else None


def message(call: Call, model: str | None, stream: bool) -> Answer:
    """What a model answers to the body of a message, wherever it runs."""
    body = call.body
    if not isinstance(body.get("max_tokens"), int):
        raise Refused(400, "max_tokens: Field required")
    said = say(call.script, body["max_tokens"], _tool(call))
    bill = input_meters(call.script, _counted(body)).having(said.output, said.reasoning)
    tier = call.script.service_tier or "standard"
    blocks = _blocks(call, said)
    head: dict[str, Any] = {
        "id": f"msg_{call.entry.id}",
        "type": "message",
        "role": "assistant",
        "model": call.script.model or model,
    }
    stop = "max_tokens" if said.cut else "tool_use" if said.tool else "end_turn"
    whole = {**head, "content": blocks, "stop_reason": stop, "stop_sequence": None}
    if call.script.usage:
        whole["usage"] = usage(bill, tier)
    answer = Answer(meters=bill, worked=True, service_tier=tier)
    if not stream:
        answer.body = whole
        return answer
    answer.frames = _frames(call, said, whole, bill, tier)
    answer.failure = [Frame("end", error_body(529, "Overloaded", call.entry), 0, 0, "error")]
    return answer


def _blocks(call: Call, said: Said) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if said.reasoning:
        blocks.append({"type": "thinking", "thinking": "hm. ", "signature": "c2lnbmF0dXJl"})
    if said.tool is None:
        return [*blocks, {"type": "text", "text": said.text}] if said.pieces else blocks
    given = {} if said.cut else json.loads(said.text)
    return [*blocks, {"type": "tool_use", "id": f"toolu_{call.entry.id}", "name": said.tool, "input": given}]


def _frames(call: Call, said: Said, whole: dict[str, Any], bill: Meters, tier: str) -> list[Frame]:
    frames: list[Frame] = []
    made = thought = 0

    def event(kind: Kind, name: str, **payload: Any) -> None:
        frames.append(Frame(kind, {"type": name, **payload}, made, thought, name))

    made = min(1, said.output)
    begun = {**whole, "content": [], "stop_reason": None}
    if call.script.usage:
        begun["usage"] = usage(bill.having(made, 0), tier)
    event("start", "message_start", message=begun)
    for at, block in enumerate(whole["content"]):
        opened = {**block, **EMPTY[block["type"]]}
        event("start", "content_block_start", index=at, content_block=opened)
        if at == 0:
            event("start", "ping")
        if block["type"] == "thinking":
            made = thought = said.reasoning
            event("start", "content_block_delta", index=at, delta={"type": "thinking_delta", "thinking": "hm. "})
            signature = {"type": "signature_delta", "signature": block["signature"]}
            event("start", "content_block_delta", index=at, delta=signature)
        else:
            made = said.reasoning
            for delta, count in said.deltas(call.script.chunk_tokens):
                made += count
                told = {"type": "text_delta", "text": delta}
                if said.tool:
                    told = {"type": "input_json_delta", "partial_json": delta}
                event("content", "content_block_delta", index=at, delta=told)
        event("close", "content_block_stop", index=at)
    stopped = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    if call.script.usage:
        final = usage(bill, None)
        final.pop("cache_creation")
        event("usage", "message_delta", delta=stopped, usage=final)
    else:
        event("usage", "message_delta", delta=stopped)
    event("end", "message_stop")
    return frames


class Anthropic:
    """/v1/messages, /v1/messages/count_tokens, /v1/models."""

    name = "anthropic"
    secret = "sk-ant-upstream"

    def model_of(self, request: Request, body: Any) -> str | None:
        return body.get("model") if isinstance(body, dict) else None

    def scripted(self, request: Request) -> bool:
        return request.path == "/v1/messages"

    def answer(self, call: Call) -> Answer:
        key, token = call.request.header("x-api-key"), call.request.header("authorization")
        if key is None and token is None:
            raise Refused(401, "x-api-key header is required")
        if key != call.secret and token != f"Bearer {call.secret}":
            raise Refused(401, "invalid x-api-key" if key else "Invalid bearer token")
        if call.request.header("anthropic-version") is None:
            raise Refused(400, "anthropic-version: header is required")
        answer = self._routed(call)
        answer.headers += [
            ("request-id", call.entry.id),
            ("anthropic-organization-id", "org-fake"),
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "2000000"),
            ("anthropic-ratelimit-output-tokens-remaining", "400000"),
        ]
        return answer

    def _routed(self, call: Call) -> Answer:
        path, method = call.request.path, call.request.method
        if (method, path) == ("GET", "/v1/models"):
            made = "2026-01-01T00:00:00Z"
            data = [{"type": "model", "id": one, "display_name": one, "created_at": made} for one in MODELS]
            return Answer(body={"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})
        if method != "POST" or path not in ("/v1/messages", "/v1/messages/count_tokens"):
            raise Refused(404, "Not Found")
        model = call.body.get("model")
        if not model:
            raise Refused(400, "model: Field required")
        if model.startswith("no-such"):
            raise Refused(404, f"model: {model}")
        if path.endswith("count_tokens"):
            return Answer(body={"input_tokens": _counted(call.body)})
        return message(call, model, bool(call.body.get("stream")))

    def refusal(self, refused: Refused, entry: Entry) -> Answer:
        headers = [("request-id", entry.id)]
        if refused.retry_after is not None:
            headers.append(("retry-after", f"{refused.retry_after:g}"))
        return Answer(body=error_body(refused.status, refused.message, entry), status=refused.status, headers=headers)
