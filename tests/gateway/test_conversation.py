"""How a conversation is known: by what all of its calls have alike, and by what the call before it held."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.gateway.rules.conversation import Conversation, Stays


def talk(body: dict[str, Any], key: str = "key-1", session: bytes | None = None) -> Conversation:
    return Conversation(key, {b"x-outlay-session": session} if session else {}, body)


def said(*texts: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {**more, "messages": [{"role": roles[n % 2], "content": one} for n, one in enumerate(texts)]}


A = {"type": "text", "text": "A"}


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        (said("Hi", "Yes?", "Well"), "Hi"),
        ({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}, "Hi"),
        ({"messages": [{"role": "user", "content": [A, {**A, "text": "B"}]}]}, "A\nB"),
        ({"messages": [{"role": "user", "content": [{"text": "A"}, {"cachePoint": {"type": "default"}}]}]}, "A"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, None),
        ({"messages": [{"role": "user", "content": []}]}, None),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, None),
        ({"messages": []}, None),
        ({"messages": [7]}, None),
        ({"input": "Hi"}, "Hi"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]}, "Hi"),
        ({"input": [{"type": "function_call_output", "output": "7"}]}, None),
        ({"input": "And?", "previous_response_id": "resp_1"}, None),
        ({"input": "And?", "conversation": {"id": "conv_1"}}, None),
        ({"contents": [{"parts": [{"text": "Hi"}]}]}, "Hi"),
        ({"prompt": "Hi"}, "Hi"),
        ({"prompt": [1, 2]}, None),
        ({"prompt": {"id": "pmpt_1"}, "input": [{"role": "user", "content": "Hi"}]}, None),
    ],
)  # fmt: skip
def test_the_prompt_is_the_users_first_message(body: dict[str, Any], prompt: str | None) -> None:
    assert talk(body).prompt == prompt


def test_a_beginning_is_that_of_all_calls_and_of_no_other_conversation() -> None:
    first = talk(said("Hi", system="Be brief.")).beginning()
    assert first is not None
    assert talk(said("Hi", "Yes?", "Well", system="Be brief.")).beginning() == first
    others = [said("Hi"), said("Ho", system="Be brief."), said("Hi", system="Be long.")]
    assert first not in [talk(one).beginning() for one in others]
    assert talk(said("Hi", system="Be brief."), key="key-2").beginning() != first
    assert talk({"input": "And?", "previous_response_id": "resp_1"}).beginning() is None


def test_a_name_is_stronger_than_what_was_said() -> None:
    names: list[dict[str, Any]] = [{"prompt_cache_key": "a"}, {"conversation": "a"}, {"conversation": {"id": "a"}}]
    found = {talk(said("Hi", **one)).beginning() for one in names} | {talk(said("Ho"), session=b"a").beginning()}
    assert len(found) == 1
    assert talk(said("Hi", prompt_cache_key="b"), session=b"a").beginning() in found
    assert talk(said("Hi"), session=b"a", key="key-2").beginning() not in found
    assert talk(said("Hi", prompt_cache_key="a")).now() == talk(said("Ho", prompt_cache_key="a")).before()


def _responses(*items: Any) -> dict[str, Any]:
    return {"input": list(items)}


ASKED = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (said("Hi"), said("Hi", "Yes?", "Well")),
        (said("Hi", "Yes?", "Well"), said("Hi", "Yes?", "Well", "So", "Bye")),
        (
            said("Hi"),
            {
                "messages": [
                    {"role": "user", "content": [{**A, "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
                    {"role": "assistant", "content": [{"type": "tool_use", "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "content": "7"}]},
                ]
            },
        ),
        (
            _responses(ASKED),
            _responses(
                ASKED,
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "arguments": "{}"},
                {"type": "function_call_output", "output": "7"},
            ),
        ),
        (
            {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "Hi"}]},
                    {"role": "model", "parts": [{"text": "Yes?"}]},
                    {"role": "user", "parts": [{"text": "Well"}]},
                ]
            },
        ),
    ],
)  # fmt: skip
def test_the_next_call_knows_the_one_before_it(first: dict[str, Any], second: dict[str, Any]) -> None:
    now = talk(first).now()
    assert now is not None
    assert talk(second).before() == now
    assert talk(second).now() != now


def test_a_first_call_has_none_before_it() -> None:
    assert talk(said("Hi")).before() is None
    assert talk({"input": "And?", "previous_response_id": "resp_1"}).before() is None
    assert talk({"messages": [{"role": "assistant", "content": "Yes?"}]}).before() is None


def test_a_body_nested_beyond_writing_is_no_conversation() -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    assert talk({"messages": [{"role": "user", "content": deep}]}).beginning() is None


def test_stays_end_and_the_oldest_give_way() -> None:
    stays = Stays(most=2)
    assert not stays.any(0)
    stays.keep("rule", b"a", 100)
    stays.keep("rule", None, 100)
    assert stays.any(99)
    assert stays.holds("rule", b"a", 99)
    assert not stays.holds("rule", b"a", 100)
    assert not stays.holds("other", b"a", 99)
    assert not stays.holds("rule", None, 99)
    stays.keep("rule", b"b", 100)
    stays.keep("rule", b"a", 200)
    stays.keep("rule", b"c", 100)
    assert [stays.holds("rule", one, 99) for one in (b"a", b"b", b"c")] == [True, False, True]
    assert stays.any(100)
    assert not stays.any(200)
    assert not stays.holds("rule", b"a", 99)
