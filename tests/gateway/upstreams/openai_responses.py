"""OpenAI's responses, as a body and as a stream of named events.

Shapes: ``Response``, ``ResponseUsage`` and the ``Response*Event`` types of the openai Python SDK 3.54.0. The usage is
in the last event's response only (``response.completed``, or ``response.incomplete`` where ``max_output_tokens`` ended
it), asked for or not. There is no ``[DONE]``. Each event has a ``sequence_number``.
"""

from __future__ import annotations

from typing import Any

from tests.gateway.upstreams.answer import Answer, Call, Frame, Kind, Said, input_meters, say
from tests.gateway.upstreams.openai_chat import CREATED, wanted_tool
from tests.gateway.upstreams.tokens import Meters, input_tokens, json_tokens

__all__ = ["responses"]


def _usage(meters: Meters) -> dict[str, Any]:
    return {
        "input_tokens": meters.all_input,
        "input_tokens_details": {"cached_tokens": meters.cache_read, "cache_write_tokens": meters.cache_write},
        "output_tokens": meters.output,
        "output_tokens_details": {"reasoning_tokens": meters.reasoning},
        "total_tokens": meters.all_input + meters.output,
    }


def responses(call: Call) -> Answer:
    """POST …/responses."""
    body = call.body
    tools = body.get("tools") or []
    counted = input_tokens(body.get("instructions") or "", body.get("input")) + (json_tokens(tools) if tools else 0)
    said = say(call.script, body.get("max_output_tokens"), wanted_tool(call))
    bill = input_meters(call.script, counted).having(said.output, said.reasoning)
    whole = _response(call, said, bill)
    frames = _frames(call, said, whole) if body.get("stream") else None
    failure = {"type": "error", "code": "server_error", "message": "The server had an error.", "param": None}
    return Answer(
        body=None if frames else whole,
        frames=frames,
        meters=bill,
        worked=True,
        service_tier=whole["service_tier"],
        failure=[Frame("end", {**failure, "sequence_number": 99}, 0, 0, "error")],
    )


def _item(call: Call, said: Said, text: str, status: str) -> dict[str, Any]:
    if said.tool is not None:
        called = {"type": "function_call", "id": f"fc_{call.entry.id}", "call_id": f"call_{call.entry.id}"}
        return {**called, "name": said.tool, "arguments": text, "status": status}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    content = [part] if status != "in_progress" else []
    message = {"type": "message", "id": f"msg_{call.entry.id}", "role": "assistant", "status": status}
    return {**message, "content": content}


def _response(call: Call, said: Said, bill: Meters) -> dict[str, Any]:
    body = call.body
    tier = call.script.service_tier or body.get("service_tier") or "default"
    output: list[dict[str, Any]] = []
    if said.reasoning:
        output.append({"type": "reasoning", "id": f"rs_{call.entry.id}", "summary": []})
    output.append(_item(call, said, said.text, "incomplete" if said.cut else "completed"))
    return {
        "id": f"resp_{call.entry.id}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if said.cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if said.cut else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": call.script.model or call.entry.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": "default" if tier == "auto" else tier,
        "temperature": 1.0,
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "usage": _usage(bill) if call.script.usage else None,
    }


def _frames(call: Call, said: Said, whole: dict[str, Any]) -> list[Frame]:
    frames: list[Frame] = []
    made = 0

    def event(kind: Kind, named: str, /, **payload: Any) -> None:
        told = {"type": named, "sequence_number": len(frames), **payload}
        frames.append(Frame(kind, told, made, said.reasoning if made else 0, named))

    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    event("start", "response.created", response=begun)
    event("start", "response.in_progress", response=begun)
    made = said.reasoning
    for at, thought in enumerate(whole["output"][:-1]):
        event("start", "response.output_item.added", output_index=at, item=thought)
        event("start", "response.output_item.done", output_index=at, item=thought)
    item = whole["output"][-1]
    of_item = {"output_index": len(whole["output"]) - 1, "item_id": item["id"]}
    opened = _item(call, said, "", "in_progress")
    event("start", "response.output_item.added", output_index=of_item["output_index"], item=opened)
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    name, of_part = "response.function_call_arguments", of_item
    if said.tool is None:
        name, of_part = "response.output_text", {**of_item, "content_index": 0}
        event("start", "response.content_part.added", **of_part, part=part)
    logged: dict[str, Any] = {} if said.tool else {"logprobs": []}
    for delta, count in said.deltas(call.script.chunk_tokens):
        made += count
        event("content", f"{name}.delta", **of_part, delta=delta, **logged)
    if said.tool is None:
        event("close", f"{name}.done", **of_part, text=said.text, logprobs=[])
        event("close", "response.content_part.done", **of_part, part={**part, "text": said.text})
    else:
        event("close", f"{name}.done", **of_part, arguments=said.text, name=said.tool)
    event("close", "response.output_item.done", output_index=of_item["output_index"], item=item)
    event("usage", "response.incomplete" if said.cut else "response.completed", response=whole)
    return frames
