"""What can be seen of an answer: cut off, refused, no JSON where JSON was asked for, empty; in every API."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.gateway.rules.checks import CHECKED, failed_check

ALL = ("length", "refusal", "invalid_json", "empty")


def chat(content: Any = "Yes.", ended: str = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"finish_reason": ended, "message": {"role": "assistant", "content": content, **message}}]}


def responses(*output: dict[str, Any], why: str | None = None) -> dict[str, Any]:
    return {"status": "completed", "output": list(output), "incomplete_details": {"reason": why} if why else None}


def spoken(text: str, kind: str = "output_text") -> dict[str, Any]:
    return {"type": "message", "content": [{"type": kind, "refusal" if kind == "refusal" else "text": text}]}


def messages(*content: dict[str, Any], ended: str = "end_turn") -> dict[str, Any]:
    return {"type": "message", "content": list(content), "stop_reason": ended}


def gemini(*parts: dict[str, Any], ended: str = "STOP") -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": ended}]}


def converse(*content: dict[str, Any], ended: str = "end_turn") -> dict[str, Any]:
    return {"output": {"message": {"role": "assistant", "content": list(content)}}, "stopReason": ended}


TEXT = {"type": "text", "text": "Yes."}
CALL = {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("wire", "answer", "failed"),
    [
        ("chat", chat(), None),
        ("chat", chat(ended="length"), "length"),
        ("chat", chat(ended="content_filter"), "refusal"),
        ("chat", chat(None, refusal="I can't."), "refusal"),
        ("chat", chat(" \n"), "empty"),
        ("chat", chat(None), "empty"),
        ("chat", chat(None, "tool_calls", **CALL), None),
        ("chat", chat(None, "tool_calls", tool_calls=[{"function": {"arguments": "{"}}]), "invalid_json"),
        ("chat", chat(None, "tool_calls", tool_calls=[{"function": {"arguments": ""}}]), None),
        ("chat", {"choices": [*chat()["choices"], *chat(ended="length")["choices"]]}, "length"),
        ("chat", {"choices": []}, "unreadable"),
        ("chat", {"error": "busy"}, "unreadable"),
        ("chat", {"choices": ["x"]}, "unreadable"),
        ("chat", None, "unreadable"),
        ("completions", {"choices": [{"finish_reason": "stop", "text": "Yes."}]}, None),
        ("completions", {"choices": [{"finish_reason": "length", "text": "Yes"}]}, "length"),
        ("completions", {"choices": [{"finish_reason": "stop", "text": None}]}, "empty"),
        ("responses", responses({"type": "reasoning", "summary": []}, spoken("Yes.")), None),
        ("responses", responses(spoken("Yes"), why="max_output_tokens"), "length"),
        ("responses", responses(spoken("Yes"), why="content_filter"), "refusal"),
        ("responses", responses(spoken("No.", "refusal")), "refusal"),
        ("responses", responses({"type": "function_call", "arguments": "{}"}), None),
        ("responses", responses({"type": "function_call", "arguments": "{]"}), "invalid_json"),
        ("responses", responses({"type": "custom_tool_call", "input": "ls"}), None),
        ("responses", responses({"type": "reasoning", "summary": []}), "empty"),
        ("messages", messages(TEXT), None),
        ("messages", messages(TEXT, ended="max_tokens"), "length"),
        ("messages", messages(TEXT, ended="model_context_window_exceeded"), "length"),
        ("messages", messages(TEXT, ended="refusal"), "refusal"),
        ("messages", messages({"type": "tool_use", "input": {}}, ended="tool_use"), None),
        ("messages", messages({"type": "thinking", "thinking": "Hm."}), "empty"),
        ("messages", messages(), "empty"),
        ("generateContent", gemini({"text": "Yes."}), None),
        ("generateContent", gemini({"text": "Hm.", "thought": True}), "empty"),
        ("generateContent", gemini({"text": "Y"}, ended="MAX_TOKENS"), "length"),
        ("generateContent", gemini(ended="SAFETY"), "refusal"),
        ("generateContent", {"promptFeedback": {"blockReason": "OTHER"}}, "refusal"),
        ("generateContent", gemini({"functionCall": {"name": "f"}}), None),
        ("converse", converse({"text": "Yes."}), None),
        ("converse", converse({"text": "Y"}, ended="max_tokens"), "length"),
        ("converse", converse({"text": "No."}, ended="guardrail_intervened"), "refusal"),
        ("converse", converse({"toolUse": {"input": {}}}, ended="tool_use"), None),
    ],
)
def test_what_an_answer_fails(wire: str, answer: dict[str, Any] | None, failed: str | None) -> None:
    assert wire in CHECKED
    assert failed_check(wire, {}, answer, ALL) == failed


ASKS = [
    ("chat", {"response_format": {"type": "json_schema", "json_schema": {}}}, chat),
    ("responses", {"text": {"format": {"type": "json_object"}}}, lambda text: responses(spoken(text))),
    ("messages", {"output_config": {"format": {"type": "json_schema"}}}, lambda text: messages({"text": text})),
    ("messages", {"output_format": {"type": "json_schema"}}, lambda text: messages({"text": text})),
    ("generateContent", {"generationConfig": {"responseMimeType": "application/json"}}, lambda t: gemini({"text": t})),
]


@pytest.mark.parametrize(("wire", "body", "answer"), ASKS)
def test_json_is_wanted_where_it_was_asked_for(wire: str, body: dict[str, Any], answer: Any) -> None:
    assert failed_check(wire, body, answer('{"a": 1}'), ALL) is None
    assert failed_check(wire, body, answer('{"a": 1'), ALL) == "invalid_json"
    assert failed_check(wire, {}, answer('{"a": 1'), ALL) is None
    assert failed_check(wire, body, answer('{"a": 1'), ("length", "refusal", "empty")) is None


def test_the_first_declared_check_that_fails_is_named() -> None:
    assert failed_check("chat", {}, chat("", "length"), ("empty", "length")) == "empty"


@pytest.mark.parametrize("response_format", [{"type": "text"}, "json_object", None, ["json_object"]])
def test_what_is_no_wish_for_json_is_none(response_format: Any) -> None:
    assert failed_check("chat", {"response_format": response_format}, chat("Yes."), ALL) is None
