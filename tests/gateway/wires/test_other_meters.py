"""Streams of responses, messages, Gemini and Bedrock go through untouched and tell what they used, cut anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.gateway.wires.anthropic_messages import MESSAGES
from outlay.gateway.wires.bedrock_converse import CONVERSE_STREAM
from outlay.gateway.wires.bedrock_invoke import INVOKE_STREAM
from outlay.gateway.wires.gemini import GEMINI_VERBS
from outlay.gateway.wires.openai_responses import RESPONSES
from outlay.gateway.wires.wire import Meter
from outlay.prices.usage import Usage, normalise
from tests.gateway.upstreams.event_stream import encoded
from tests.gateway.wires.streams import Heard, cut, event, hear

GEMINI = GEMINI_VERBS["streamGenerateContent"]


def typed(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)


def responded(kind: str, usage: Any, **more: Any) -> bytes:
    return typed(f"response.{kind}", response={"id": "r", "model": "gpt-5-2025-08-07", "usage": usage, **more})


def frame(name: str, payload: Any, kind: str = "event") -> bytes:
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return encoded(headers, orjson.dumps(payload))


def invoked(**fields: Any) -> bytes:
    return frame("chunk", {"bytes": b64encode(orjson.dumps(fields)).decode(), "p": "abc"})


def candidate(text: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}
    return {**told, **({"finishReason": reason} if reason else {})}


def generated(*candidates: dict[str, Any], **usage: int) -> bytes:
    told: dict[str, Any] = {"candidates": list(candidates), "modelVersion": "gemini-2.5-flash"}
    return event({**told, "usageMetadata": {"promptTokenCount": 7, **usage}} if usage else told)


RESPONSE_USAGE = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
RESPONSE = (
    responded("created", None)
    + typed("response.output_text.delta", delta='"usage": {}')
    + typed("response.output_text.delta", delta="usage")
    + responded("completed", RESPONSE_USAGE)
)
START = {"id": "m", "model": "claude-sonnet-4-5", "usage": {"input_tokens": 20, "cache_read_input_tokens": 5}}
MESSAGE = (
    typed("message_start", message={**START, "usage": {**START["usage"], "output_tokens": 1}})  # type: ignore[dict-item]
    + typed("ping")
    + typed("content_block_delta", index=0, delta={"type": "text_delta", "text": '"usage":{"output_tokens":99}'})
    + typed("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 3})
    + typed("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 8, "input_tokens": None})
    + typed("message_stop")
)
GENERATED = (
    generated(candidate("Hel"), candidatesTokenCount=1, thoughtsTokenCount=4)
    + generated(candidate("lo"), candidatesTokenCount=2, thoughtsTokenCount=4)
    + generated(candidate("", "STOP"), candidatesTokenCount=3, thoughtsTokenCount=4, totalTokenCount=14)
)
COUNTS = {"inputTokens": 30, "outputTokens": 6, "totalTokens": 36}
CONVERSED = (
    frame("messageStart", {"role": "assistant"})
    + frame("contentBlockDelta", {"delta": {"text": "metadata"}, "contentBlockIndex": 0})
    + frame("messageStop", {"stopReason": "end_turn"})
    + frame("metadata", {"usage": COUNTS, "metrics": {"latencyMs": 1}, "serviceTier": {"type": "priority"}})
)
INVOKED = (
    invoked(type="message_start", message=START)
    + invoked(type="content_block_delta", delta={"type": "text_delta", "text": "Hi"})
    + invoked(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 8})
    + invoked(
        **{"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 20, "outputTokenCount": 8}}
    )
)
STREAMS: list[Any] = [
    pytest.param(lambda: RESPONSES.meter(False), RESPONSE, "responses", (9, 4), id="responses"),
    pytest.param(lambda: MESSAGES.meter(False), MESSAGE, "messages", (25, 8), id="messages"),
    pytest.param(lambda: GEMINI.meter(False), GENERATED, "gemini", (7, 7), id="gemini"),
    pytest.param(lambda: CONVERSE_STREAM.meter(False), CONVERSED, "converse", (30, 6), id="converse"),
    pytest.param(lambda: INVOKE_STREAM.meter(False), INVOKED, "messages", (25, 8), id="invoke"),
]


def usage_of(found: Heard, flavor: str) -> Usage:
    assert found.said is not None
    return normalise("any", found.said[0], flavor=flavor)


@pytest.mark.parametrize(("meter", "stream", "flavor", "tokens"), STREAMS)
def test_a_stream_goes_through_and_tells_its_usage(
    meter: Callable[[], Meter], stream: bytes, flavor: str, tokens: tuple[int, int]
) -> None:
    found = hear(meter(), [stream])
    usage = usage_of(found, flavor)
    assert (usage.input_tokens, usage.output_tokens) == tokens
    assert (found.out, found.whole, found.failed, found.started) == (stream, True, None, True)
    for place in range(len(stream)):
        assert hear(meter(), [stream[:place], stream[place:]]) == found
    assert hear(meter(), [stream[n : n + 1] for n in range(len(stream))]) == found


@pytest.mark.parametrize(("meter", "stream", "flavor", "tokens"), STREAMS)
@given(places=st.lists(st.integers(0, 4000), max_size=10))
def test_cuts_change_nothing(
    meter: Callable[[], Meter], stream: bytes, flavor: str, tokens: tuple[int, int], places: list[int]
) -> None:
    assert hear(meter(), cut(stream, places)) == hear(meter(), [stream])


@pytest.mark.parametrize(("meter", "stream", "flavor", "tokens"), STREAMS)
def test_a_stream_that_breaks_off_anywhere_tells_no_more_than_it_told_and_is_not_whole_before_its_end(
    meter: Callable[[], Meter], stream: bytes, flavor: str, tokens: tuple[int, int]
) -> None:
    for place in range(len(stream)):
        found = hear(meter(), [stream[:place]])
        assert stream[:place].startswith(found.out)
        assert found.out == stream[:place] or flavor in ("converse", "messages")
        if found.whole:
            usage = usage_of(found, flavor)
            assert (usage.input_tokens, usage.output_tokens) == tokens
        elif found.said is not None:
            assert usage_of(found, flavor).output_tokens <= tokens[1]


# Responses


@pytest.mark.parametrize(
    ("stream", "failed"),
    [
        (responded("failed", None, error={"message": "overloaded"}), "overloaded"),
        (responded("failed", RESPONSE_USAGE, error={"message": "overloaded"}), "overloaded"),
        (typed("error", code="server_error", message="overloaded"), "overloaded"),
        (event({"type": "error", "message": "overloaded"}), "overloaded"),
        (event({"error": {"message": "overloaded"}}), "overloaded"),
    ],
)
def test_a_response_that_fails_says_so_whether_or_not_it_tells_its_usage(stream: bytes, failed: str) -> None:
    assert failed in str(hear(RESPONSES.meter(False), [stream]).failed)


def test_usage_of_a_response_that_goes_on_is_not_whole() -> None:
    found = hear(RESPONSES.meter(False), [responded("in_progress", RESPONSE_USAGE)])
    assert (found.whole, found.said is None) == (False, False)
    assert hear(RESPONSES.meter(False), [responded("incomplete", RESPONSE_USAGE)]).whole


# Messages


def test_the_larger_of_two_counts_holds_as_servers_tell_some_in_one_event_only() -> None:
    stream = typed("message_start", message={"model": "m", "usage": {"input_tokens": 0, "output_tokens": 9}})
    stream += typed("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 40, "output_tokens": 0})
    usage = usage_of(hear(MESSAGES.meter(False), [stream]), "messages")
    assert (usage.input_tokens, usage.output_tokens) == (40, 9)


def test_a_message_that_broke_tells_its_input() -> None:
    found = hear(MESSAGES.meter(False), [typed("message_start", message=START)])
    assert (usage_of(found, "messages").input_tokens, found.whole, found.started) == (25, False, False)


def test_an_error_in_a_message_is_told_with_or_without_the_name_of_its_event() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    for stream in (event(error, "error"), event(error)):
        assert "Overloaded" in str(hear(MESSAGES.meter(False), [stream]).failed)
    talk = typed("content_block_delta", delta={"type": "text_delta", "text": '"error"'})
    assert hear(MESSAGES.meter(False), [talk]).failed is None


# Gemini


def test_of_two_candidates_both_must_have_ended() -> None:
    stream = generated(candidate("a", "STOP"), candidate("b"), candidatesTokenCount=2)
    assert not hear(GEMINI.meter(False), [stream]).whole
    assert hear(GEMINI.meter(False), [stream + generated(candidate("", "STOP"), candidatesTokenCount=3)]).whole


def test_usage_that_is_older_than_the_end_is_not_whole() -> None:
    stream = generated(candidate("a"), candidatesTokenCount=2) + generated(candidate("b", "STOP"))
    assert not hear(GEMINI.meter(False), [stream]).whole


def test_usage_that_follows_the_end_alone_is_whole() -> None:
    stream = generated(candidate("a", "STOP"), candidatesTokenCount=2)
    stream += event({"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5}})
    found = hear(GEMINI.meter(False), [stream])
    assert (found.whole, usage_of(found, "gemini").output_tokens) == (True, 5)


def test_a_prompt_that_is_blocked_is_all_there_is() -> None:
    stream = event({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}})
    assert hear(GEMINI.meter(False), [stream]).whole


def test_searches_of_every_chunk_are_counted_once() -> None:
    def searched(*queries: str, reason: str | None = None) -> bytes:
        one = candidate("a", reason, groundingMetadata={"webSearchQueries": list(queries)})
        return generated(one, candidatesTokenCount=1).replace(b"gemini-2.5-flash", b"gemini-3-pro")

    stream = searched("x") + searched("x", "y") + searched("z", reason="STOP")
    assert usage_of(hear(GEMINI.meter(False), [stream]), "gemini").meters["web_searches"] == 3


def test_an_error_within_geminis_stream() -> None:
    stream = generated(candidate("error"), candidatesTokenCount=1)
    assert hear(GEMINI.meter(False), [stream]).failed is None
    stream += event({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
    found = hear(GEMINI.meter(False), [stream])
    assert "overloaded" in str(found.failed)
    assert not found.whole


# Bedrock


def test_the_tier_that_bedrock_served_is_part_of_the_usage() -> None:
    found = hear(CONVERSE_STREAM.meter(False), [CONVERSED])
    assert usage_of(found, "converse").context == {"service_tier": "priority"}


@pytest.mark.parametrize("wire", [CONVERSE_STREAM, INVOKE_STREAM])
def test_an_exception_within_a_stream(wire: Any) -> None:
    stream = frame("throttlingException", {"message": "slow down"}, "exception")
    assert "slow down" in str(hear(wire.meter(False), [stream]).failed)


def test_metrics_stand_for_a_message_that_told_nothing() -> None:
    metrics = {"inputTokenCount": 11, "outputTokenCount": 2, "cacheReadInputTokenCount": 3}
    stream = invoked(generation="Hi") + invoked(**{"amazon-bedrock-invocationMetrics": metrics})
    found = hear(INVOKE_STREAM.meter(False), [stream])
    usage = usage_of(found, "messages")
    assert (usage.input_tokens, usage.output_tokens, found.whole) == (14, 2, True)


@pytest.mark.parametrize(
    "junk", [b"data: {}\n\n" * 3, b"\0" * 12, CONVERSED[:8] + b"\0" * 20, encoded({}, b"")[:4] + b"\xff" * 12]
)
def test_what_is_no_event_stream_is_an_error(junk: bytes) -> None:
    with pytest.raises(ValueError, match="no event stream"):
        CONVERSE_STREAM.meter(False).feed(junk)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"bytes": 5}', b'{"bytes": "!"}', b'{"bytes": "W10="}'])
def test_messages_that_hold_nothing_tell_nothing(payload: bytes) -> None:
    stream = encoded({":event-type": "chunk"}, payload) + encoded({":event-type": "metadata"}, payload)
    for wire in (CONVERSE_STREAM, INVOKE_STREAM):
        found = hear(wire.meter(False), [stream])
        assert (found.said, found.whole, found.failed) == (None, False, None)
