"""The pretended OpenAI is one to OpenAI's own Python SDK: bodies, streams, tools, images, limits, usage and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai as sdk
import pytest

from tests.gateway.upstreams import IMAGE_TOKENS, Meters, Upstream, json_tokens, tokens

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
HELLO: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]
HELLO_TOKENS = 3 + 3  # nine and ten bytes


@pytest.fixture
def client(openai: Upstream) -> Iterator[sdk.OpenAI]:
    with sdk.OpenAI(base_url=openai.url + "/v1", api_key=openai.secret, max_retries=0) as one:
        yield one


def test_a_chat_tells_its_usage_and_the_log_says_the_same(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(output=30, reasoning=12, cache_read=4, hidden_input=100)
    told = client.chat.completions.create(model="gpt-5", messages=HELLO)
    assert told.usage is not None
    assert told.usage.prompt_tokens_details is not None
    assert told.usage.completion_tokens_details is not None
    assert told.usage.prompt_tokens == HELLO_TOKENS + 100
    assert told.usage.prompt_tokens_details.cached_tokens == 4
    assert told.usage.completion_tokens == 42
    assert told.usage.completion_tokens_details.reasoning_tokens == 12
    assert told.usage.total_tokens == told.usage.prompt_tokens + 42
    assert tokens(told.choices[0].message.content or "") == 30
    assert told.choices[0].finish_reason == "stop"
    [entry] = openai.log.settled(1)
    assert entry.billed == Meters(input=HELLO_TOKENS + 96, cache_read=4, output=42, reasoning=12)
    assert (entry.path, entry.model, entry.stream, entry.status) == ("/v1/chat/completions", "gpt-5", False, 200)
    assert entry.header("authorization") == f"Bearer {openai.secret}"
    assert told._request_id == entry.id


def test_a_stream_has_usage_in_one_more_chunk_only_when_asked(openai: Upstream, client: sdk.OpenAI) -> None:
    plain = list(client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True))
    asked = list(
        client.chat.completions.create(
            model="gpt-4o-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert all("usage" not in one.model_fields_set for one in plain)
    assert all("usage" in one.model_fields_set and one.usage is None for one in asked[:-1])
    assert len(asked) == len(plain) + 1
    assert asked[-1].choices == []
    assert asked[-1].usage is not None
    assert asked[-1].usage.completion_tokens == 20
    text = "".join(one.choices[0].delta.content or "" for one in plain)
    assert tokens(text) == 20
    assert plain[-1].choices[0].finish_reason == "stop"
    first, second = openai.log.settled(2)
    assert first.billed == second.billed == Meters(input=HELLO_TOKENS, output=20)
    assert (first.told_usage, second.told_usage) == (False, True)


@pytest.mark.parametrize("stream", [False, True])
def test_hidden_thoughts_are_within_the_limit(openai: Upstream, client: sdk.OpenAI, stream: bool) -> None:
    openai.next(output=30, reasoning=12)
    if stream:
        parts = list(
            client.chat.completions.create(model="gpt-5", messages=HELLO, stream=True, max_completion_tokens=15)
        )
        text = "".join(one.choices[0].delta.content or "" for one in parts)
        finish = parts[-1].choices[0].finish_reason
    else:
        told = client.chat.completions.create(model="gpt-5", messages=HELLO, max_completion_tokens=15)
        text, finish = told.choices[0].message.content or "", told.choices[0].finish_reason
    assert (tokens(text), finish) == (3, "length")
    [entry] = openai.log.settled(1)
    assert entry.billed == Meters(input=HELLO_TOKENS, output=15, reasoning=12)


def test_each_of_n_choices_has_the_limit_to_itself(openai: Upstream, client: sdk.OpenAI) -> None:
    told = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, n=3, max_tokens=5)
    assert [one.finish_reason for one in told.choices] == ["length"] * 3
    assert told.usage is not None
    assert told.usage.completion_tokens == 15
    parts = list(client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, n=2, max_tokens=5, stream=True))
    assert {one.choices[0].index for one in parts} == {0, 1}
    assert openai.log.settled(2)[1].billed.output == 10


def test_tools_are_called_and_count(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(tool=True, arguments='{"city":"Bergen"}')
    told = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, tools=[TOOL])
    [called] = told.choices[0].message.tool_calls or []
    assert called.type == "function"
    assert (called.function.name, called.function.arguments) == ("weather", '{"city":"Bergen"}')
    assert told.choices[0].finish_reason == "tool_calls"
    demanded: Any = {"type": "function", "function": {"name": "weather"}}
    with client.chat.completions.stream(
        model="gpt-4o-mini", messages=HELLO, tools=[TOOL], tool_choice=demanded
    ) as stream:
        final = stream.get_final_completion()
    [streamed] = final.choices[0].message.tool_calls or []
    assert streamed.function.arguments == '{"city":"Oslo"}'
    first, second = openai.log.settled(2)
    assert first.billed == Meters(input=HELLO_TOKENS + json_tokens([TOOL]), output=tokens('{"city":"Bergen"}'))
    assert second.billed.output == tokens('{"city":"Oslo"}')


def test_an_image_counts_as_one(openai: Upstream, client: sdk.OpenAI) -> None:
    content: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    told = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": content}])
    assert told.usage is not None
    assert told.usage.prompt_tokens == 3 + IMAGE_TOKENS
    told_too = client.responses.create(
        model="gpt-4o-mini",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"},
                ],
            }
        ],
    )
    assert told_too.usage is not None
    assert told_too.usage.input_tokens == 3 + IMAGE_TOKENS


def test_responses_tell_usage_at_the_end(openai: Upstream, client: sdk.OpenAI) -> None:
    openai.next(output=30, reasoning=12, cache_read=2)
    openai.next(output=30, reasoning=12, cache_read=2)
    told = client.responses.create(model="gpt-5", input="Say hello.", instructions="Be brief.")
    assert told.usage is not None
    assert (told.usage.input_tokens, told.usage.output_tokens) == (HELLO_TOKENS, 42)
    assert told.usage.input_tokens_details.cached_tokens == 2
    assert told.usage.output_tokens_details.reasoning_tokens == 12
    assert (told.status, tokens(told.output_text)) == ("completed", 30)
    events = list(client.responses.create(model="gpt-5", input="Say hello.", instructions="Be brief.", stream=True))
    assert [one.sequence_number for one in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.usage == told.usage
    text = "".join(one.delta for one in events if one.type == "response.output_text.delta")
    assert text == told.output_text == last.response.output_text
    first, second = openai.log.settled(2)
    assert first.billed == second.billed == Meters(input=HELLO_TOKENS - 2, cache_read=2, output=42, reasoning=12)


def test_a_response_ends_where_its_limit_is(openai: Upstream, client: sdk.OpenAI) -> None:
    told = client.responses.create(model="gpt-5", input="Say hello.", max_output_tokens=16)
    assert told.incomplete_details is not None
    assert (told.status, told.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    events = list(client.responses.create(model="gpt-5", input="Say hello.", max_output_tokens=16, stream=True))
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 16


def test_a_response_calls_a_tool(openai: Upstream, client: sdk.OpenAI) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
    openai.next(tool=True)
    with client.responses.stream(model="gpt-5", input="Say hello.", tools=[tool]) as stream:
        final = stream.get_final_response()
    [called] = final.output
    assert called.type == "function_call"
    assert (called.name, called.arguments) == ("weather", '{"city":"Oslo"}')


def test_older_completions_say_sixteen_tokens_by_themselves(openai: Upstream, client: sdk.OpenAI) -> None:
    told = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["One", "Three"])
    assert [tokens(one.text) for one in told.choices] == [16, 16]
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (1 + 2, 32)
    parts = list(
        client.completions.create(
            model="gpt-3.5-turbo-instruct",
            prompt="Three",
            max_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(one.choices[0].text for one in parts if one.choices) == "all is  well and"
    assert parts[-1].usage is not None
    assert parts[-1].usage.completion_tokens == 4


def test_embeddings_are_vectors_and_have_no_output(openai: Upstream, client: sdk.OpenAI) -> None:
    told = client.embeddings.create(model="text-embedding-3-small", input=["abcd", "abcde"], dimensions=4)
    assert [one.embedding for one in told.data] == [[0.5] * 4] * 2
    assert told.usage.prompt_tokens == told.usage.total_tokens == 1 + 2
    assert openai.log.settled(1)[0].billed == Meters(input=3)


def test_models_are_listed(client: sdk.OpenAI) -> None:
    assert "gpt-4o-mini" in {one.id for one in client.models.list()}


def test_the_tier_is_the_one_asked_for_unless_it_serves_another(openai: Upstream, client: sdk.OpenAI) -> None:
    asked = client.chat.completions.create(model="gpt-5", messages=HELLO, service_tier="priority")
    assert asked.service_tier == "priority"
    openai.next(service_tier="default")
    other = client.chat.completions.create(model="gpt-5", messages=HELLO, service_tier="flex")
    assert other.service_tier == "default"
    assert [one.service_tier for one in openai.log.settled(2)] == ["priority", "default"]


@pytest.mark.parametrize(
    ("status", "kind", "named"),
    [
        (400, sdk.BadRequestError, "invalid_request_error"),
        (401, sdk.AuthenticationError, "invalid_request_error"),
        (403, sdk.PermissionDeniedError, "invalid_request_error"),
        (404, sdk.NotFoundError, "invalid_request_error"),
        (429, sdk.RateLimitError, "requests"),
        (500, sdk.InternalServerError, "server_error"),
        (503, sdk.InternalServerError, "server_error"),
    ],
)
def test_errors_are_those_of_the_sdk(
    openai: Upstream, client: sdk.OpenAI, status: int, kind: type[sdk.APIStatusError], named: str
) -> None:
    openai.next(status=status, retry_after=7)
    with pytest.raises(kind) as refused:
        client.chat.completions.create(model="gpt-5", messages=HELLO)
    assert refused.value.response.headers["retry-after"] == "7"
    assert f"scripted: {status}" in refused.value.message
    assert refused.value.type == named
    [entry] = openai.log.settled(1)
    assert (entry.status, entry.worked, entry.billed) == (status, False, Meters())


def test_what_openai_refuses_is_refused(openai: Upstream, client: sdk.OpenAI) -> None:
    chat = client.chat.completions
    with pytest.raises(sdk.BadRequestError, match="Unrecognized request argument supplied: top_k"):
        chat.create(model="gpt-4o-mini", messages=HELLO, extra_body={"top_k": 4})
    with pytest.raises(sdk.BadRequestError, match="'max_tokens' is not supported with this model"):
        chat.create(model="gpt-5", messages=HELLO, max_tokens=4)
    with pytest.raises(sdk.BadRequestError, match="only allowed when 'stream' is enabled"):
        chat.create(model="gpt-4o-mini", messages=HELLO, extra_body={"stream_options": {"include_usage": True}})
    with pytest.raises(sdk.NotFoundError, match="no-such-model"):
        chat.create(model="no-such-model", messages=HELLO)
    with pytest.raises(sdk.AuthenticationError, match="Incorrect API key"):
        client.with_options(api_key="sk-another").chat.completions.create(model="gpt-5", messages=HELLO)
    assert {one.billed for one in openai.log.settled(5)} == {Meters()}


def test_a_compatible_server_takes_what_it_does_not_know_and_tells_little(compatible: Upstream) -> None:
    with sdk.OpenAI(base_url=compatible.url + "/v1", api_key=compatible.secret, max_retries=0) as client:
        model = next(iter(client.models.list())).id
        told = client.chat.completions.create(model=model, messages=HELLO, max_tokens=3, extra_body={"top_k": 4})
        assert told.usage is not None
        assert told.usage.completion_tokens == 3
        assert told.usage.completion_tokens_details is None
        compatible.next(usage=False)
        assert client.chat.completions.create(model=model, messages=HELLO).usage is None
        compatible.next(usage=False)
        asked = client.chat.completions.create(
            model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        assert [one.usage for one in asked] == [None] * 22
        with pytest.raises(sdk.NotFoundError, match="does not exist"):
            client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert [one.billed.output for one in compatible.log.settled()] == [0, 3, 20, 20, 0]
