"""A chat stream is metered and cleaned of the usage that nobody asked for, however its bytes are cut."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.gateway.wires.openai_chat import CHAT
from tests.gateway.wires.streams import Heard, cut, event, hear

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
NONE: Any = ...


def chunk(text: str | None = None, usage: Any = NONE, role: bool = False, **more: Any) -> dict[str, Any]:
    delta = {**({"role": "assistant"} if role else {}), **({} if text is None else {"content": text})}
    told: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18"}
    told["choices"] = [] if text is None and not role else [{"index": 0, "delta": delta, "finish_reason": None}]
    return {**told, **({} if usage is NONE else {"usage": usage}), **more}


def stream(end: str = "\n", **each: Any) -> bytes:
    chunks = [chunk("", None, role=True, **each)]
    chunks += [chunk(text, None, **each) for text in ("Hello", ' "usage": {"prompt_tokens": 9}', "usage", "\n\n[DONE]")]
    return b"".join(event(one, end=end) for one in [*chunks, chunk(usage=USAGE), "[DONE]"])


def clean(end: str = "\n", **each: Any) -> bytes:
    chunks = [chunk("", role=True, **each)]
    chunks += [chunk(text, **each) for text in ("Hello", ' "usage": {"prompt_tokens": 9}', "usage", "\n\n[DONE]")]
    return b"".join(event(one, end=end) for one in [*chunks, "[DONE]"])


def heard(told: bytes, *, strip: bool = True) -> Heard:
    return hear(CHAT.meter(strip), [told])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("each", [{}, {"obfuscation": "aB3"}, {"obfuscation": 'a"}{'}, {"nested": {"usage": None}}])
def test_the_usage_that_was_not_asked_for_does_not_reach_the_caller(end: str, each: dict[str, Any]) -> None:
    found = heard(stream(end, **each))
    assert found.out == clean(end, **each)
    assert found.said is not None
    assert (found.said[0]["usage"], found.said[1]) == (USAGE, "gpt-4o-mini-2024-07-18")
    assert (found.whole, found.failed, found.started) == (True, None, True)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_caller_that_asked_gets_every_byte_as_it_came(end: str) -> None:
    found = heard(stream(end), strip=False)
    assert found.out == stream(end)
    assert found.said is not None
    assert found.whole


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("strip", [True, False])
def test_no_cut_changes_what_comes_out_or_what_is_metered(end: str, strip: bool) -> None:
    whole = stream(end, obfuscation="a")
    expected = hear(CHAT.meter(strip), [whole])
    for place in range(len(whole) + 1):
        assert hear(CHAT.meter(strip), [whole[:place], whole[place:]]) == expected
    assert hear(CHAT.meter(strip), [whole[n : n + 1] for n in range(len(whole))]) == expected


PIECES = st.sampled_from(
    [
        event(chunk("Hi")),
        event(chunk("Hi", None)),
        event(chunk("Hi", USAGE)),
        event(chunk(usage=USAGE)),
        event(chunk(usage=None)),
        event(chunk("tail", None, obfuscation="x"), end="\r\n"),
        event({"error": {"message": "overloaded"}, "usage": None}),
        event("[DONE]"),
        event('{"usage":'),
        event(chunk("named", None), name="message"),
        b": ping\n\n",
        b":\r\n\r\n",
        b"id: 7\n" + event(chunk(usage=USAGE)),
        b"\n",
        b"retry: 10\r\r",
        b'data: {"choices":[],\ndata: "usage":null}\n\n',
    ]
)


@given(st.lists(PIECES, max_size=12), st.lists(st.integers(0, 4000), max_size=12), st.booleans())
def test_any_events_in_any_cuts_come_out_the_same(pieces: list[bytes], places: list[int], strip: bool) -> None:
    whole = b"".join(pieces)
    found = hear(CHAT.meter(strip), cut(whole, places))
    assert found == hear(CHAT.meter(strip), [whole])
    if strip:
        kept = [line for line in found.out.splitlines() if line.startswith(b"data: {")]
        assert not [line for line in kept if _has_usage(line[6:])]
    else:
        assert found.out == whole


def _has_usage(data: bytes) -> bool:
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and "usage" in told


def test_other_lines_of_an_event_stay() -> None:
    told = b": note\nevent: chunk\nid: 5\n" + event(chunk("Hi", {"prompt_tokens": 1}))
    assert heard(told).out == b": note\nevent: chunk\nid: 5\n" + event(chunk("Hi"))


def test_usage_in_a_chunk_with_choices_is_whole_only_once_the_stream_is_done() -> None:
    so_far = event(chunk("Hi", USAGE))
    assert not heard(so_far).whole
    assert heard(so_far).said is not None
    assert heard(so_far + event("[DONE]")).whole
    assert heard(so_far).out == event(chunk("Hi"))


def test_usage_of_so_far_that_follows_the_whole_one_makes_it_a_part_again() -> None:
    assert not heard(event(chunk(usage=USAGE)) + event(chunk("more", USAGE))).whole


def test_a_chunk_without_choices_that_tells_something_else_stays() -> None:
    first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "usage": None}
    assert heard(event(first)).out == event({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
    error = {"error": {"message": "overloaded"}, "usage": USAGE}
    assert heard(event(error)).out == event({"error": {"message": "overloaded"}})


@pytest.mark.parametrize("started", [b"", event(chunk("Hi"))])
def test_an_error_within_a_stream_is_told(started: bytes) -> None:
    found = heard(started + event({"error": {"message": "overloaded", "code": 503}}))
    assert found.failed is not None
    assert "overloaded" in found.failed
    assert not found.whole


def test_an_error_beside_choices_is_told_and_a_word_of_the_answer_is_none() -> None:
    assert heard(event(chunk("a")) + event(chunk("b", error={"message": "late"}))).failed
    assert heard(event(chunk("a")) + event(chunk('"error"')) + event(chunk("error"))).failed is None


def test_an_answer_has_started_with_its_first_word_not_with_its_role() -> None:
    assert not heard(event(chunk("", role=True))).started
    assert heard(event(chunk("Hi", role=True))).started
    tool = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]}
    assert heard(event(tool)).started
    assert heard(event({"choices": [{"index": 0, "text": "Hi"}]})).started


def test_a_last_event_without_its_empty_line_counts_and_half_of_one_is_dropped() -> None:
    whole = stream()
    found = heard(whole[:-2])
    assert (found.out, found.whole) == (clean()[:-2], True)
    broken = event(chunk("Hi")) + event(chunk(usage=USAGE))[:-20]
    assert (heard(broken).out, heard(broken).said) == (event(chunk("Hi")), None)


def test_a_stream_without_usage_says_none() -> None:
    found = heard(event(chunk("Hi")) + event("[DONE]"))
    assert (found.said, found.whole) == (None, False)


@pytest.mark.parametrize(
    "told", [b"data: []\n\n", b'data: "usage"\n\n', b"data: {\xff\n\n", b"data:\n\n", b"usage\n\n"]
)
def test_what_is_no_chunk_goes_through(told: bytes) -> None:
    assert heard(told).out == told
    assert heard(told).said is None


def test_an_event_that_never_ends_is_an_error_and_not_kept_for_ever() -> None:
    meter = CHAT.meter(True)
    for _ in range(32):
        assert meter.feed(b"x" * (1 << 20)) == b""
    with pytest.raises(ValueError, match="32 MiB"):
        meter.feed(b"x")


def test_a_caller_asks_for_usage_once() -> None:
    body: dict[str, Any] = {"stream_options": {"include_usage": True, "include_obfuscation": False}}
    assert CHAT.ask_usage(body) is False
    others: list[Any] = [{}, {"include_usage": False}, None, [], "yes"]
    for options in others:
        body = {"stream_options": options}
        assert CHAT.ask_usage(body) is True
        assert body["stream_options"] == {"include_usage": True}
    given = {"stream_options": {"include_obfuscation": False}}
    inner = given["stream_options"]
    assert CHAT.ask_usage(given)
    assert given["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert inner == {"include_obfuscation": False}


def test_a_limit_is_said_by_the_name_that_the_provider_knows() -> None:
    for provider, key in (("openai", "max_completion_tokens"), ("azure", "max_completion_tokens"), ("x", "max_tokens")):
        body: dict[str, Any] = {"max_tokens": None}
        CHAT.limit(body, 7, provider, "m")
        assert body[key] == 7
    body = {"max_completion_tokens": 9}
    CHAT.mend(body, "openai-compatible")
    assert body == {"max_completion_tokens": 9, "max_tokens": 9}
    body = {"max_completion_tokens": 9}
    CHAT.mend(body, "openai")
    assert body == {"max_completion_tokens": 9}
