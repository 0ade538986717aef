"""Each upstream breaks an answer exactly as told, and bills what it made until then, whatever the caller received."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import openai as sdk
import pytest

from tests.gateway.upstreams import HEADER, Meters, Script, Upstream, marker, tokens, total, upstream
from tests.gateway.upstreams.calls import CHAT, HELLO_TOKENS, chat, connection

ALL = Meters(input=HELLO_TOKENS, output=20)
MESSAGES: Any = CHAT["messages"]
USAGE: Any = {"include_usage": True}


@pytest.fixture
def client(openai: Upstream) -> Iterator[sdk.OpenAI]:
    with sdk.OpenAI(base_url=openai.url + "/v1", api_key=openai.secret, max_retries=0) as one:
        yield one


def streamed(client: sdk.OpenAI) -> Iterator[sdk.types.chat.ChatCompletionChunk]:
    yield from client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options=USAGE)


def text_until_it_breaks(client: sdk.OpenAI) -> str:
    said = []

    def read() -> None:
        for one in streamed(client):
            said.append(one.choices[0].delta.content or "")

    with pytest.raises(sdk.APIConnectionError):
        read()
    return "".join(said)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("drop", "billed"), [("at_once", Meters()), ("before_headers", ALL)])
def test_a_connection_breaks_before_the_answer(
    openai: Upstream, client: sdk.OpenAI, drop: str, billed: Meters, stream: bool
) -> None:
    openai.next(drop=drop)
    with pytest.raises(sdk.APIConnectionError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=stream)
    [entry] = openai.log.settled(1)
    assert (entry.billed, entry.dropped, entry.status) == (billed, drop, None)
    assert entry.left_after_s is None


def test_a_stream_breaks_in_the_middle(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(drop="mid_stream", reasoning=7)
    assert tokens(text_until_it_breaks(client)) == 10
    [entry] = openai.log.settled(1)
    assert entry.billed == Meters(input=HELLO_TOKENS, output=17, reasoning=7)
    assert (entry.dropped, entry.told_usage) == ("mid_stream", False)


def test_a_stream_breaks_after_its_content(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(drop="before_usage")
    assert tokens(text_until_it_breaks(client)) == 20
    [entry] = openai.log.settled(1)
    assert (entry.billed, entry.told_usage) == (ALL, False)


def test_a_body_breaks_in_the_middle(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(drop="mid_stream")
    with pytest.raises(sdk.APIConnectionError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    [entry] = openai.log.settled(1)
    assert (entry.billed, entry.told_usage) == (ALL, False)


def test_a_stream_fails_in_the_middle(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(stream_error=True)
    with pytest.raises(sdk.APIError, match="The server had an error"):
        list(streamed(client))
    openai.next(stream_error=True)
    events = list(client.responses.create(model="gpt-5", input="Say hello.", stream=True))
    assert events[-1].type == "error"
    assert [one.billed.output for one in openai.log.settled(2)] == [10, 10]


def test_json_is_broken(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(garbage=True)
    with closing(connection(openai.url)) as to:
        answer = chat(to, openai.secret)
        assert answer.status == 200
        with pytest.raises(ValueError, match="line 1"):
            json.loads(answer.read())
    openai.next(garbage=True)
    with pytest.raises(ValueError, match="line 1"):
        list(streamed(client))
    whole, left = openai.log.settled(2)
    assert whole.billed == ALL
    assert left.billed.input == ALL.input
    assert left.billed.output <= ALL.output  # the client goes away at the broken frame, and is seen to, or not


def test_usage_is_missing(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(usage=False)
    openai.next(usage=False)
    assert client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES).usage is None
    assert [one.usage for one in streamed(client)] == [None] * 22
    assert [(one.billed, one.told_usage) for one in openai.log.settled(2)] == [(ALL, False)] * 2


def test_a_chunk_is_huge(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(huge=3_000_000)
    sizes = [len(one.model_dump_json()) for one in streamed(client)]
    assert sum(size > 3_000_000 for size in sizes) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_it_compresses_only_for_who_accepts_it(openai: Upstream, stream: bool) -> None:
    openai.default = Script(gzip=True)
    with closing(connection(openai.url)) as to:
        plain = chat(to, openai.secret, stream=stream)
        body = plain.read()
        assert plain.getheader("content-encoding") is None
        to.request(
            "POST",
            "/v1/chat/completions",
            json.dumps({**CHAT, "stream": stream}),
            {"authorization": f"Bearer {openai.secret}", "accept-encoding": "gzip"},
        )
        packed = to.getresponse()
        assert packed.getheader("content-encoding") == "gzip"
        assert gzip.decompress(packed.read()).replace(b"000002", b"000001") == body


def test_connections_stay_open_unless_told(openai: Upstream) -> None:
    with closing(connection(openai.url)) as to:
        for _ in range(3):
            assert len(chat(to, openai.secret).read()) > 0
        assert openai.log.connections == 1
        openai.next(close=True)
        answer = chat(to, openai.secret)
        assert answer.getheader("connection") == "close"
        answer.read()
        assert len(chat(to, openai.secret).read()) > 0
    assert openai.log.connections == 2


def test_a_kept_connection_is_closed_when_it_is_used_again(openai: Upstream) -> None:
    openai.next(stale=True)
    with closing(connection(openai.url)) as to:
        assert chat(to, openai.secret).read().endswith(b"}")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            chat(to, openai.secret)
    assert len(openai.log.settled()) == 1


@pytest.mark.parametrize("when_left", ["stop", "finish"])
def test_a_caller_leaves_a_stream(openai: Upstream, when_left: str) -> None:
    openai.next(chunk_s=0.05, when_left=when_left, reasoning=3)
    to = connection(openai.url)
    answer = chat(to, openai.secret, stream=True)
    seen = b""
    while seen.count(b"data: ") < 3:
        seen += answer.read1()
    answer.close()
    to.close()
    [entry] = openai.log.settled(1)
    assert entry.left_after_s is not None
    assert entry.left_after_s > 0.1
    made = entry.billed.output - 3
    if when_left == "finish":
        assert made == 20
        assert entry.frames < 10
    else:
        assert made == entry.frames - 1  # the first frame has the role alone
        assert 2 <= made < 8
    assert entry.billed.reasoning == 3
    assert not entry.told_usage


def test_a_caller_leaves_before_a_stream_begins(openai: Upstream) -> None:
    openai.next(start_s=5)
    to = connection(openai.url)
    to.request("POST", "/v1/chat/completions", json.dumps({**CHAT, "stream": True}), _key(openai))
    while not openai.log.entries:
        time.sleep(0.005)
    to.close()
    [entry] = openai.log.settled(1, within_s=2)
    assert (entry.billed, entry.status) == (Meters(input=HELLO_TOKENS), None)
    assert entry.left_after_s is not None


def test_a_caller_leaves_a_call_without_a_stream_and_pays_all_of_it(openai: Upstream) -> None:
    openai.next(start_s=0.2)
    to = connection(openai.url)
    to.request("POST", "/v1/chat/completions", json.dumps(CHAT), _key(openai))
    to.close()
    [entry] = openai.log.settled(1)
    assert entry.billed == ALL
    assert entry.left_after_s is not None
    assert not entry.told_usage


def test_it_is_slow_when_told(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(start_s=0.2, chunk_s=0.02, output=5, chunk_tokens=2)
    began = time.monotonic()
    parts = iter(streamed(client))
    next(parts)
    assert time.monotonic() - began >= 0.2
    assert len(list(parts)) == 3 + 1 + 1  # deltas of two, two and one token; the end; the usage
    assert time.monotonic() - began >= 0.2 + 7 * 0.02


def test_it_fails_once_and_then_answers(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(Script(status=500), Script(status=429, retry_after=0.3), Script())
    told = client.with_options(max_retries=2).chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert told.choices[0].finish_reason == "stop"
    first, second, third = openai.log.settled(3)
    assert [one.status for one in (first, second, third)] == [500, 429, 200]
    assert third.at - second.at >= 0.3
    assert total([first, second, third]) == ALL


def test_a_call_is_scripted_by_queue_header_prompt_model_and_default_in_this_order(openai: Upstream) -> None:
    openai.default = Script(output=5)
    openai.for_model("gpt-4o", output=4)
    openai.next(output=1)
    said, headed = marker(output=2), {HEADER: '{"output": 3}'}
    asked = [
        ("gpt-4o", said, headed),
        ("gpt-4o", said, headed),
        ("gpt-4o", said, {}),
        ("gpt-4o", "", {}),
        ("o", "", {}),
    ]
    made = []
    with closing(connection(openai.url)) as to:
        for model, text, headers in asked:
            body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]})
            to.request("POST", "/v1/chat/completions", body, {**_key(openai), **headers})
            made.append(json.loads(to.getresponse().read())["usage"]["completion_tokens"])
    assert made == [1, 3, 2, 4, 5]
    openai.reset()
    assert openai.log.entries == []


def test_a_behaviour_that_does_not_exist_is_a_mistake_of_the_test(openai: Upstream) -> None:
    with pytest.raises(ValueError, match="no such behaviour: sloww"):
        openai.next(sloww=1)

    def told_by_a_header() -> None:
        with upstream("openai").in_thread() as other, closing(connection(other.url)) as to:
            to.request("POST", "/v1/chat/completions", json.dumps(CHAT), {HEADER: '{"sloww": 1}'})
            with pytest.raises(http.client.RemoteDisconnected):
                to.getresponse()

    with pytest.raises(ValueError, match="no such behaviour: sloww"):
        told_by_a_header()


@pytest.mark.parametrize("provider", ["openai", "anthropic", "azure", "gemini", "bedrock", "compatible"])
def test_bytes_that_are_not_http_end_the_connection(provider: str) -> None:
    with upstream(provider).in_thread() as running, closing(connection(running.url)) as to:
        to.connect()
        assert to.sock is not None
        to.sock.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert to.sock.recv(100) == b""


def _key(running: Upstream) -> dict[str, str]:
    return {"authorization": f"Bearer {running.secret}"}
