"""OpenAI's chat completions, and the older completions, as bodies and as streams.

Shapes: ``ChatCompletion``, ``ChatCompletionChunk``, ``Completion`` and ``CompletionUsage`` of the openai Python SDK
3.54.0. Of a stream the documentation of ``stream_options.include_usage`` says: one more chunk before ``data: [DONE]``
has the usage and empty ``choices``, all others have ``usage: null``; without the option no chunk has the field.
``prompt_tokens`` includes what a cache did, ``completion_tokens`` the hidden reasoning; each of ``n`` choices has a
limit and thoughts of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.gateway.upstreams.answer import Answer, Call, Frame, Kind, Said, input_meters, say
from tests.gateway.upstreams.tokens import Meters, input_tokens, json_tokens

__all__ = ["CREATED", "STREAM_ERROR", "chat", "completion", "usage", "wanted_tool"]

CREATED = 1_767_225_600
STREAM_ERROR = {
    "error": {
        "message": "The server had an error while processing your request. Sorry about that!",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}


def usage(meters: Meters, writes: bool = True) -> dict[str, Any]:
    """The bill in the fields of ``CompletionUsage``."""
    details = {"cached_tokens": meters.cache_read, "audio_tokens": 0}
    if writes and meters.cache_write:
        details["cache_write_tokens"] = meters.cache_write
    return {
        "prompt_tokens": meters.all_input,
        "completion_tokens": meters.output,
        "total_tokens": meters.all_input + meters.output,
        "prompt_tokens_details": details,
        "completion_tokens_details": {
            "reasoning_tokens": meters.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def wanted_tool(call: Call) -> str | None:
    """The function that is called: the demanded one, or the first where the script or the caller wants one."""
    tools = call.body.get("tools") or []
    choice = call.body.get("tool_choice")
    if not tools:
        return None
    if isinstance(choice, dict):
        return str(choice.get("function", choice)["name"])
    if call.script.tool or choice == "required":
        return str(tools[0].get("function", tools[0])["name"])
    return None


Reported: TypeAlias = Callable[[Meters], dict[str, Any]]
"""How a server writes a bill."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the choices of a call say, and the fields that every part of the answer has."""

    call: Call
    head: dict[str, Any]
    said: list[Said]
    meters: Meters

    @property
    def output(self) -> int:
        return sum(one.output for one in self.said)

    @property
    def reasoning(self) -> int:
        return sum(one.reasoning for one in self.said)

    @property
    def bill(self) -> Meters:
        return self.meters.having(self.output, self.reasoning)


def _worked(call: Call, kind: str, limit: int | None, counted: int, *, times: int, tool: str | None = None) -> Work:
    body, script = call.body, call.script
    head: dict[str, Any] = {
        "id": f"chatcmpl-{call.entry.id}" if kind.startswith("chat") else f"cmpl-{call.entry.id}",
        "object": kind,
        "created": CREATED,
        "model": script.model or call.entry.model,
        "system_fingerprint": "fp_fake",
    }
    tier = script.service_tier or body.get("service_tier")
    if tier is not None:
        head["service_tier"] = "default" if tier == "auto" else tier
    said = [say(script, limit, tool) for _ in range(times)]
    return Work(call, head, said, input_meters(script, counted))


def _answer(work: Work, reported: Reported, frames: list[Frame] | None, body: Any) -> Answer:
    if frames is None and work.call.script.usage:
        body["usage"] = reported(work.bill)
    return Answer(
        body=body,
        frames=frames,
        meters=work.bill,
        worked=True,
        service_tier=work.head.get("service_tier"),
        failure=[Frame("end", STREAM_ERROR, 0, 0)],
    )


def chat(call: Call, reported: Reported = usage) -> Answer:
    """POST …/chat/completions."""
    body = call.body
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    tools = body.get("tools")
    counted = input_tokens(body.get("messages")) + (json_tokens(tools) if tools else 0)
    times = int(body.get("n") or 1)
    if body.get("stream"):
        work = _worked(call, "chat.completion.chunk", limit, counted, times=times, tool=wanted_tool(call))
        return _answer(work, reported, _chat_frames(work, reported), None)
    work = _worked(call, "chat.completion", limit, counted, times=times, tool=wanted_tool(call))
    choices = [
        {"index": at, "message": _message(work, one), "logprobs": None, "finish_reason": _finish(one)}
        for at, one in enumerate(work.said)
    ]
    return _answer(work, reported, None, {**work.head, "choices": choices})


def _finish(said: Said) -> str:
    return "length" if said.cut else "tool_calls" if said.tool else "stop"


def _message(work: Work, said: Said) -> dict[str, Any]:
    if said.tool is None:
        return {"role": "assistant", "content": said.text, "refusal": None, "annotations": []}
    function = {"name": said.tool, "arguments": said.text}
    called = {"id": f"call_{work.call.entry.id}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [called]}


def _stream(work: Work, reported: Reported, choices: list[tuple[Kind, Any, int]]) -> list[Frame]:
    """Chunks around the choices' own; each comes with the tokens that it says."""
    asked = bool((work.call.body.get("stream_options") or {}).get("include_usage")) and work.call.script.usage
    every = {"usage": None} if asked else {}
    made = work.reasoning
    frames = []
    for kind, choice, count in choices:
        made += count
        frames.append(Frame(kind, {**work.head, "choices": [choice], **every}, made, work.reasoning))
    if asked:
        frames.append(Frame("usage", {**work.head, "choices": [], "usage": reported(work.bill)}, made, work.reasoning))
    return [*frames, Frame("end", "[DONE]", made, work.reasoning)]


def _chat_frames(work: Work, reported: Reported) -> list[Frame]:
    choices: list[tuple[Kind, Any, int]] = []

    def choice(kind: Kind, at: int, delta: Any, count: int = 0, finish: str | None = None) -> None:
        choices.append((kind, {"index": at, "delta": delta, "logprobs": None, "finish_reason": finish}, count))

    for at, said in enumerate(work.said):
        if said.tool is None:
            choice("start", at, {"role": "assistant", "content": "", "refusal": None})
        else:
            function = {"name": said.tool, "arguments": ""}
            called = {"index": 0, "id": f"call_{work.call.entry.id}", "type": "function", "function": function}
            choice("start", at, {"role": "assistant", "content": None, "tool_calls": [called]})
        for delta, count in said.deltas(work.call.script.chunk_tokens):
            if said.tool is None:
                choice("content", at, {"content": delta}, count)
            else:
                choice("content", at, {"tool_calls": [{"index": 0, "function": {"arguments": delta}}]}, count)
    for at, said in enumerate(work.said):
        choice("close", at, {}, finish=_finish(said))
    return _stream(work, reported, choices)


def completion(call: Call, reported: Reported = usage) -> Answer:
    """POST …/completions: each of several prompts gets ``n`` answers of its own."""
    body = call.body
    prompt = body.get("prompt", "")
    many = isinstance(prompt, list) and all(isinstance(one, str) for one in prompt)
    times = (len(prompt) if many else 1) * int(body.get("n") or 1)
    limit = body.get("max_tokens", 16)
    work = _worked(call, "text_completion", limit, input_tokens(prompt), times=times)
    if not body.get("stream"):
        choices = [_text(at, one.text, _finish(one)) for at, one in enumerate(work.said)]
        return _answer(work, reported, None, {**work.head, "choices": choices})
    parts: list[tuple[Kind, Any, int]] = []
    for at, said in enumerate(work.said):
        for delta, count in said.deltas(work.call.script.chunk_tokens):
            parts.append(("content", _text(at, delta, None), count))
        parts.append(("close", _text(at, "", _finish(said)), 0))
    return _answer(work, reported, _stream(work, reported, parts), None)


def _text(at: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": at, "text": text, "logprobs": None, "finish_reason": finish}
