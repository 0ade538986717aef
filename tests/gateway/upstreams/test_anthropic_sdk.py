"""The pretended Anthropic is one to Anthropic's own Python SDK: bodies, streams, caches, tools, images and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic as sdk
import pytest

from tests.gateway.upstreams import IMAGE_TOKENS, Meters, Upstream, json_tokens, tokens

TOOL: Any = {"name": "weather", "description": "of a city", "input_schema": {"type": "object"}}
HELLO: Any = [{"role": "user", "content": "Say hello."}]
MODEL = "claude-sonnet-5"
CACHED = {"cache_read": 50, "cache_write_5m": 20, "cache_write_1h": 10, "hidden_input": 97}
SPLIT = Meters(input=20, cache_read=50, cache_write_5m=20, cache_write_1h=10, output=20)


@pytest.fixture
def client(anthropic: Upstream) -> Iterator[sdk.Anthropic]:
    with sdk.Anthropic(base_url=anthropic.url, api_key=anthropic.secret, max_retries=0) as one:
        yield one


def test_input_leaves_out_what_the_cache_did(anthropic: Upstream, client: sdk.Anthropic) -> None:
    anthropic.next(**CACHED)
    told = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
    assert (told.usage.input_tokens, told.usage.output_tokens) == (20, 20)
    assert (told.usage.cache_read_input_tokens, told.usage.cache_creation_input_tokens) == (50, 30)
    assert told.usage.cache_creation is not None
    assert told.usage.cache_creation.ephemeral_5m_input_tokens == 20
    assert told.usage.cache_creation.ephemeral_1h_input_tokens == 10
    assert told.usage.service_tier == "standard"
    assert told.stop_reason == "end_turn"
    [entry] = anthropic.log.settled(1)
    assert entry.billed == SPLIT
    assert entry.header("authorization") == f"Bearer {anthropic.secret}"
    assert told._request_id == entry.id


def test_a_stream_tells_the_input_first_and_the_output_last(anthropic: Upstream, client: sdk.Anthropic) -> None:
    anthropic.next(**CACHED)
    events = list(client.messages.create(model=MODEL, max_tokens=100, messages=HELLO, stream=True))
    first, last = events[0], events[-2]
    assert first.type == "message_start"
    assert last.type == "message_delta"
    assert (first.message.usage.input_tokens, first.message.usage.output_tokens) == (20, 1)
    assert first.message.usage.cache_creation is not None
    assert first.message.usage.cache_creation.ephemeral_1h_input_tokens == 10
    assert (last.usage.output_tokens, last.delta.stop_reason) == (20, "end_turn")
    assert events[-1].type == "message_stop"
    assert anthropic.log.settled(1)[0].billed == SPLIT


def test_the_sdk_puts_a_stream_together(anthropic: Upstream, client: sdk.Anthropic) -> None:
    anthropic.next(reasoning=40, output=30)
    with client.messages.stream(model=MODEL, max_tokens=60, messages=HELLO) as stream:
        text = stream.get_final_text()
        final = stream.get_final_message()
    assert (tokens(text), final.stop_reason) == (20, "max_tokens")
    assert [one.type for one in final.content] == ["thinking", "text"]
    assert final.usage.output_tokens == 60
    assert final.usage.output_tokens_details is not None
    assert final.usage.output_tokens_details.thinking_tokens == 40
    assert anthropic.log.settled(1)[0].billed == Meters(input=3, output=60, reasoning=40)


def test_pings_come_in_between(anthropic: Upstream, client: sdk.Anthropic) -> None:
    with client.messages.with_streaming_response.create(
        model=MODEL, max_tokens=4, messages=HELLO, stream=True
    ) as response:
        lines = list(response.iter_lines())
    assert lines.count("event: ping") == 1


def test_tools_are_called_and_count(anthropic: Upstream, client: sdk.Anthropic) -> None:
    anthropic.next(tool=True, arguments='{"city":"Bergen"}')
    told = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO, tools=[TOOL])
    [called] = told.content
    assert called.type == "tool_use"
    assert (called.name, called.input, told.stop_reason) == ("weather", {"city": "Bergen"}, "tool_use")
    with client.messages.stream(
        model=MODEL, max_tokens=100, messages=HELLO, tools=[TOOL], tool_choice={"type": "any"}
    ) as stream:
        [streamed] = stream.get_final_message().content
    assert streamed.type == "tool_use"
    assert streamed.input == {"city": "Oslo"}
    first, second = anthropic.log.settled(2)
    assert first.billed == Meters(input=3 + json_tokens([TOOL]), output=tokens('{"city":"Bergen"}'))
    assert second.billed.output == tokens('{"city":"Oslo"}')


def test_counting_and_the_count_agree(anthropic: Upstream, client: sdk.Anthropic) -> None:
    picture: Any = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content: Any = [{"type": "image", "source": picture}, {"type": "text", "text": "What is it?"}]
    messages: Any = [{"role": "user", "content": content}]
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    counted = client.messages.count_tokens(model=MODEL, messages=messages, system=system, tools=[TOOL])
    assert counted.input_tokens == IMAGE_TOKENS + 3 + 3 + json_tokens([TOOL])
    told = client.messages.create(model=MODEL, max_tokens=9, messages=messages, system=system, tools=[TOOL])
    assert told.usage.input_tokens == counted.input_tokens
    assert anthropic.log.settled(2)[0].billed == Meters()


def test_models_are_listed(client: sdk.Anthropic) -> None:
    assert MODEL in {one.id for one in client.models.list()}


@pytest.mark.parametrize(
    ("status", "kind", "named"),
    [
        (400, sdk.BadRequestError, "invalid_request_error"),
        (401, sdk.AuthenticationError, "authentication_error"),
        (403, sdk.PermissionDeniedError, "permission_error"),
        (404, sdk.NotFoundError, "not_found_error"),
        (429, sdk.RateLimitError, "rate_limit_error"),
        (500, sdk.InternalServerError, "api_error"),
        (529, sdk.InternalServerError, "overloaded_error"),
    ],
)
def test_errors_are_those_of_the_sdk(
    anthropic: Upstream, client: sdk.Anthropic, status: int, kind: type[sdk.APIStatusError], named: str
) -> None:
    anthropic.next(status=status, retry_after=7)
    with pytest.raises(kind) as refused:
        client.messages.create(model=MODEL, max_tokens=9, messages=HELLO)
    assert refused.value.status_code == status
    assert refused.value.type == named
    assert refused.value.response.headers["retry-after"] == "7"
    assert anthropic.log.settled(1)[0].billed == Meters()


def test_an_error_comes_in_the_middle_of_a_stream(anthropic: Upstream, client: sdk.Anthropic) -> None:
    anthropic.next(stream_error=True)
    with pytest.raises(sdk.APIStatusError, match="Overloaded"):
        list(client.messages.create(model=MODEL, max_tokens=100, messages=HELLO, stream=True))
    assert anthropic.log.settled(1)[0].billed == Meters(input=3, output=10)


def test_what_anthropic_requires_is_required(anthropic: Upstream, client: sdk.Anthropic) -> None:
    with pytest.raises(sdk.BadRequestError, match="max_tokens: Field required"):
        client.post("/v1/messages", body={"model": MODEL, "messages": HELLO}, cast_to=sdk.types.Message)
    with pytest.raises(sdk.BadRequestError, match="anthropic-version"):
        client.messages.create(
            model=MODEL,
            max_tokens=9,
            messages=HELLO,
            extra_headers={"anthropic-version": sdk.omit},
        )
    with pytest.raises(sdk.NotFoundError, match="no-such-model"):
        client.messages.create(model="no-such-model", max_tokens=9, messages=HELLO)
    with pytest.raises(sdk.AuthenticationError, match="Invalid bearer token"):
        client.with_options(api_key="another").messages.create(model=MODEL, max_tokens=9, messages=HELLO)
    assert {one.billed for one in anthropic.log.settled(4)} == {Meters()}
