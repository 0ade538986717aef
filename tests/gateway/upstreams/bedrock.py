"""Amazon Bedrock's runtime: converse and invoke, as bodies and as event streams.

Shapes: ``ConverseResponse``, ``ConverseStreamOutput``, ``TokenUsage``, ``ResponseStream`` and the exceptions of
botocore 1.44.5's bedrock-runtime model. ``inputTokens`` leaves out what a cache did, ``totalTokens`` has all, and each
cache count comes under two names. Converse streams tell the usage in the last event, ``metadata``. Invoke speaks
Anthropic's bodies (``anthropic_version`` in them, the model in the path): its answer has token counts in headers too,
and its stream wraps each event in base64 and repeats the counts in the last as ``amazon-bedrock-invocationMetrics``.

Callers sign (SigV4, checked here) or bring a bearer key.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from tests.gateway.upstreams import sigv4
from tests.gateway.upstreams.answer import Answer, Call, Frame, Kind, Refused, Said, compact, input_meters, say
from tests.gateway.upstreams.anthropic_api import message
from tests.gateway.upstreams.event_stream import encoded
from tests.gateway.upstreams.http import Request
from tests.gateway.upstreams.log import Entry
from tests.gateway.upstreams.tokens import Meters, input_tokens, json_tokens

__all__ = ["Bedrock"]

ERRORS = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
EVENT_STREAM = "application/vnd.amazon.eventstream"


def _framed(event: str | None, text: str) -> bytes:
    name = event or "chunk"
    kind = "exception" if name.endswith("Exception") else "event"
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return encoded(headers, text.encode())


def _usage(meters: Meters) -> dict[str, Any]:
    told: dict[str, Any] = {
        "inputTokens": meters.input,
        "outputTokens": meters.output,
        "totalTokens": meters.all_input + meters.output,
        "cacheReadInputTokens": meters.cache_read,
        "cacheReadInputTokenCount": meters.cache_read,
        "cacheWriteInputTokens": meters.cache_write,
        "cacheWriteInputTokenCount": meters.cache_write,
        "serverToolUsage": {},
    }
    details = [("1h", meters.cache_write_1h), ("5m", meters.cache_write_5m)]
    if meters.cache_write:
        told["cacheDetails"] = [{"ttl": ttl, "inputTokens": count} for ttl, count in details if count]
    return told


class Bedrock:
    """/model/{id}/converse, /converse-stream, /invoke, /invoke-with-response-stream."""

    name = "bedrock"
    secret = "bedrock-api-key-upstream"

    def model_of(self, request: Request, body: Any) -> str | None:
        if not request.path.startswith("/model/"):
            return None
        return request.path.removeprefix("/model/").rpartition("/")[0] or None

    def scripted(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, call: Call) -> Answer:
        given = call.request.header("authorization")
        if given is None:
            raise Refused(403, "Missing Authentication Token")
        if given.startswith("Bearer "):
            if given != f"Bearer {call.secret}":
                raise Refused(403, "Authentication failed: Please make sure your API Key is valid.")
        elif why := sigv4.wrong(call.request, given):
            raise Refused(403, why)
        action = call.request.path.rpartition("/")[2]
        if call.entry.model is None or call.request.method != "POST":
            raise Refused(404, "Unable to determine service/operation name to be authorized")
        if call.entry.model.startswith("no-such"):
            raise Refused(400, "The provided model identifier is invalid.")
        routes: dict[str, Callable[[Call, bool], Answer]] = {"converse": _converse, "converse-stream": _converse}
        routes.update({"invoke": _invoke, "invoke-with-response-stream": _invoke})
        if action not in routes:
            raise Refused(404, "Unable to determine service/operation name to be authorized")
        answer = routes[action](call, action.endswith("-stream"))
        answer.headers.append(("x-amzn-requestid", call.entry.id))
        return answer

    def refusal(self, refused: Refused, entry: Entry) -> Answer:
        kind = ERRORS.get(refused.status, "InternalServerException")
        headers = [("x-amzn-requestid", entry.id), ("x-amzn-errortype", kind)]
        if refused.retry_after is not None:
            headers.append(("retry-after", f"{refused.retry_after:g}"))
        return Answer(body={"message": refused.message}, status=refused.status, headers=headers)


def _failure() -> list[Frame]:
    told = {"message": "The model is overloaded.", "originalStatusCode": 503, "originalMessage": "overloaded"}
    return [Frame("end", told, 0, 0, "modelStreamErrorException")]


def _invoke(call: Call, stream: bool) -> Answer:
    if not call.body.get("anthropic_version"):
        raise Refused(400, "anthropic_version: Field required")
    for name in ("model", "stream"):
        if name in call.body:
            raise Refused(400, f"{name}: Extra inputs are not permitted")
    answer = message(call, (call.entry.model or "").rpartition("anthropic.")[2], stream)
    bill, told = answer.meters, call.script.usage
    if answer.frames is None:
        counts = {"input-token": bill.input, "output-token": bill.output}
        counts.update({"cache-read-input-token": bill.cache_read, "cache-write-input-token": bill.cache_write})
        answer.headers += [(f"x-amzn-bedrock-{name}-count", str(count)) for name, count in counts.items() if told]
        answer.headers.append(("x-amzn-bedrock-invocation-latency", "12"))
        return answer
    metrics = {
        "inputTokenCount": bill.input,
        "outputTokenCount": bill.output,
        "invocationLatency": 12,
        "firstByteLatency": 3,
        "cacheReadInputTokenCount": bill.cache_read,
        "cacheWriteInputTokenCount": bill.cache_write,
    }
    if told:
        answer.frames[-1].payload["amazon-bedrock-invocationMetrics"] = metrics
    answer.frames = [
        Frame(one.kind, {"bytes": b64encode(compact(one.payload).encode()).decode()}, one.output, one.reasoning)
        for one in answer.frames
        if one.event != "ping"
    ]
    answer.headers.append(("x-amzn-bedrock-content-type", "application/json"))
    answer.framing, answer.content_type, answer.failure = _framed, EVENT_STREAM, _failure()
    return answer


def _tool(call: Call) -> str | None:
    config = call.body.get("toolConfig") or {}
    choice = config.get("toolChoice") or {}
    if "tool" in choice:
        return str(choice["tool"]["name"])
    names = [one["toolSpec"]["name"] for one in config.get("tools", []) if "toolSpec" in one]
    return str(names[0]) if names and (call.script.tool or "any" in choice) else None


def _converse(call: Call, stream: bool) -> Answer:
    body = call.body
    tools = (body.get("toolConfig") or {}).get("tools")
    counted = input_tokens(body.get("system") or "", body.get("messages")) + (json_tokens(tools) if tools else 0)
    said = say(call.script, (body.get("inferenceConfig") or {}).get("maxTokens"), _tool(call))
    bill = input_meters(call.script, counted).having(said.output, said.reasoning)
    tier = call.script.service_tier or (body.get("serviceTier") or {}).get("type")
    ending: dict[str, Any] = {"metrics": {"latencyMs": 12}}
    if call.script.usage:
        ending["usage"] = _usage(bill)
    if tier:
        ending["serviceTier"] = {"type": tier}
    stop = "max_tokens" if said.cut else "tool_use" if said.tool else "end_turn"
    answer = Answer(meters=bill, worked=True, service_tier=tier)
    if stream:
        answer.frames = _frames(call, said, stop, ending)
        answer.framing, answer.content_type, answer.failure = _framed, EVENT_STREAM, _failure()
    else:
        content: list[dict[str, Any]] = [{"text": said.text}]
        if said.tool:
            given = {} if said.cut else json.loads(said.text)
            content = [{"toolUse": {"toolUseId": f"tooluse_{call.entry.id}", "name": said.tool, "input": given}}]
        answer.body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, **ending}
    return answer


def _frames(call: Call, said: Said, stop: str, ending: dict[str, Any]) -> list[Frame]:
    frames: list[Frame] = []
    made = thought = 0

    def event(kind: Kind, name: str, **payload: Any) -> None:
        frames.append(Frame(kind, payload, made, thought, name))

    event("start", "messageStart", role="assistant")
    made = thought = said.reasoning
    if said.tool:
        start = {"toolUse": {"toolUseId": f"tooluse_{call.entry.id}", "name": said.tool}}
        event("start", "contentBlockStart", start=start, contentBlockIndex=0)
    for delta, count in said.deltas(call.script.chunk_tokens):
        made += count
        part: dict[str, Any] = {"toolUse": {"input": delta}} if said.tool else {"text": delta}
        event("content", "contentBlockDelta", delta=part, contentBlockIndex=0)
    event("close", "contentBlockStop", contentBlockIndex=0)
    event("close", "messageStop", stopReason=stop)
    event("usage", "metadata", **ending)
    return frames
