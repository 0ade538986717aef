"""Upstreams as processes of their own: the log reads the same from outside; the fast one serves what it promises."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anthropic
import openai as sdk
import pytest

from tests.gateway.upstreams import Meters, Script, in_process, marker, upstream
from tests.gateway.upstreams.calls import CHAT, HELLO_TOKENS, chat, connection
from tests.gateway.upstreams.fast import CHUNKS

ROOT = Path(__file__).parents[3]


def test_a_process_is_told_and_tells_over_http() -> None:
    with in_process("openai") as remote:
        remote.next(output=3, reasoning=2, cache_read=1)
        remote.for_model("gpt-4o-mini", drop="before_usage")
        with closing(connection(remote.url)) as to:
            chat(to, remote.secret).read()
            chat(to, remote.secret, model="o3").read()
        first, second = remote.settled(2)
        assert first.billed == Meters(input=HELLO_TOKENS - 1, cache_read=1, output=5, reasoning=2)
        assert first.header("authorization") == f"Bearer {remote.secret}"
        assert first.body == CHAT
        assert (second.model, second.status) == ("o3", 200)
        remote.reset()
        assert remote.entries() == []


def test_it_runs_in_a_loop_of_the_test() -> None:
    async def run() -> None:
        running = upstream("openai", Script(output=4))
        url = await running.start()
        async with sdk.AsyncOpenAI(base_url=f"{url}/v1", api_key=running.secret, max_retries=0) as client:
            slow = f"Say hello. {marker(chunk_s=5)}"
            told = await client.responses.create(model="gpt-5", input="Say hello.")
            stream = await client.responses.create(model="gpt-5", input=slow, stream=True)
            assert told.usage is not None
            assert told.usage.output_tokens == 4
            await running.stop()
            with pytest.raises(sdk.APIConnectionError):
                await anext(aiter(stream))
        first, second = running.log.entries
        assert (first.done, first.dropped, first.left_after_s) == (True, None, None)
        assert (second.done, second.dropped, second.left_after_s) == (True, "stopped", None)

    asyncio.run(run())


@contextmanager
def fast(*options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.gateway.upstreams.fast", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def test_the_fast_one_serves_the_completion_of_the_benchmark() -> None:
    with fast() as url, sdk.OpenAI(base_url=url + "/v1", api_key="any", max_retries=0) as client:
        completions = client.chat.completions
        told = completions.create(model="gpt-4o-mini", messages=CHAT["messages"])
        parts = list(
            completions.create(
                model="gpt-4o-mini", messages=CHAT["messages"], stream=True, stream_options={"include_usage": True}
            )
        )
        with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as other:
            message = other.messages.create(model="claude-sonnet-5", max_tokens=64, messages=CHAT["messages"])
            with other.messages.stream(model="claude-sonnet-5", max_tokens=64, messages=CHAT["messages"]) as stream:
                assert stream.get_final_message().usage.output_tokens == 20
        with closing(connection(url)) as to:
            to.request("GET", "/_served")
            served = json.loads(to.getresponse().read())
    usage = told.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens) == (1200, 1024, 20)
    assert len(parts) == CHUNKS + 1
    assert [one.usage for one in parts[:-1]] == [None] * CHUNKS
    assert parts[-1].usage == usage
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (176, 1024)
    assert served == {"chat": 1, "chat_stream": 1, "messages": 1, "messages_stream": 1}


def test_the_fast_one_waits_when_told_and_finds_the_stream_wherever_the_body_is_cut() -> None:
    with fast("--delay", "0.2") as url, closing(connection(url)) as to:
        body = json.dumps({**CHAT, "stream": True, "padding": "x" * 100_000}).encode()
        for cut in (10, len(body) - 3, body.index(b'"stream"') + 4):
            to.putrequest("POST", "/v1/chat/completions")
            to.putheader("content-length", str(len(body)))
            to.endheaders()
            to.send(body[:cut])
            to.send(body[cut:])
            answer = to.getresponse()
            assert answer.getheader("content-type") == "text/event-stream"
            assert answer.read().endswith(b"data: [DONE]\n\n")
