"""What a call of Bedrock's may cost, and what its answers say in bodies and in headers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from outlay.gateway.wires.bedrock import BedrockCount
from outlay.gateway.wires.bedrock_converse import CONVERSE, CONVERSE_STREAM
from outlay.gateway.wires.bedrock_invoke import INVOKE, INVOKE_STREAM
from outlay.gateway.wires.event_stream import Frames
from outlay.gateway.wires.spoken import Malformed, Spoken
from outlay.gateway.wires.wire import Beside
from outlay.prices.usage import normalise

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ALL = frozenset({"audio", "image", "video"})
HI = [{"role": "user", "content": [{"text": "hi"}]}]
ASKED = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def converse(model: str = CLAUDE, headers: dict[bytes, bytes] | None = None, **fields: Any) -> Spoken:
    return CONVERSE.spoken({"messages": HI, **fields}, Beside(model, headers or {}))


def invoke(body: dict[str, Any], model: str = CLAUDE, headers: dict[bytes, bytes] | None = None) -> Spoken:
    return INVOKE.spoken(body, Beside(model, headers or {}))


def holding(*content: object) -> Spoken:
    return converse(messages=[{"role": "user", "content": list(content)}])


def test_a_plain_call() -> None:
    assert converse() == Spoken(CLAUDE)
    assert converse(inferenceConfig={"maxTokens": 70}) == Spoken(CLAUDE, max_tokens=70)
    assert CONVERSE_STREAM.spoken({"messages": HI}, Beside(CLAUDE)).stream


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"image": {"format": "png", "source": {"bytes": "AA"}}}, {"image"}),
        ({"document": {}}, ALL),
        ({"video": {}}, {"audio", "video"}),
        ({"searchResult": {}}, ALL),
        ({"brandNew": {}}, ALL),
        ({"guardContent": {"image": {}}}, {"image"}),
        ({"toolResult": {"toolUseId": "t", "content": [{"text": "a"}, {"image": {}}], "status": "success"}}, {"image"}),
        (5, ALL),
    ],
)
def test_parts_beyond_text(part: object, media: set[str]) -> None:
    assert holding(part).not_inline is not None
    assert holding(part).media == media


def test_parts_that_are_text() -> None:
    parts = [
        {"text": "a"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"toolUse": {"toolUseId": "t", "name": "image", "input": {"image": "x"}}},
        {"toolResult": {"toolUseId": "t", "content": [{"json": {"image": 1}}]}},
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "b"}}},
        {"guardContent": {"text": {"text": "a", "qualifiers": ["query"]}}},
    ]
    assert holding(*parts) == Spoken(CLAUDE)


def test_content_that_is_nested_without_end() -> None:
    deep: Any = {"image": {}}
    for _ in range(3000):
        deep = {"toolResult": {"content": [deep]}}
    assert holding(deep).not_inline == "deeply nested content"
    more: Any = {}
    for _ in range(3000):
        more = {"a": more}
    with pytest.raises(Malformed):
        converse(additionalModelRequestFields=more)


def test_prompts_that_bedrock_keeps() -> None:
    assert converse(promptVariables={"a": {"text": "b"}}).not_inline
    assert converse("arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ").not_inline


@pytest.mark.parametrize(
    "fields",
    [
        {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}},
        {"performanceConfig": {"latency": "optimized"}},
        {"performanceConfig": "optimized"},
        {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}},
        {"toolConfig": {"tools": ["grounding"]}},
        {"additionalModelRequestFields": {"tools": [{"type": "web_search_20250305"}]}},
        {"additionalModelRequestFields": {"speed": "fast"}},
        {"headers": {b"x-amzn-bedrock-guardrailidentifier": b"g"}},
        {"headers": {b"x-amzn-bedrock-performanceconfig-latency": b"optimized"}},
    ],
)
def test_what_is_billed_apart_has_no_bound(fields: dict[str, Any]) -> None:
    assert converse(**fields).unbounded is not None


def test_what_costs_nothing_more_is_bounded() -> None:
    tools = {"tools": [{"toolSpec": {"name": "f"}}, {"cachePoint": {"type": "default"}}]}
    assert converse(toolConfig=tools, performanceConfig={"latency": "standard"}) == Spoken(CLAUDE)


@pytest.mark.parametrize(
    ("more", "on_top"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, 4000),
        ({"thinking": {"type": "enabled", "budget_tokens": 40}}, 0),
        ({"max_tokens": 9000}, 9000),
        ({"inferenceConfig": {"maxTokens": 500, "topK": 3}}, 500),
        ({"deeply": [{"max_new_tokens": 7000}]}, 7000),
        ({"top_k": 50}, 0),
    ],
)
def test_limits_among_the_models_own_fields_are_allowed_for(more: dict[str, Any], on_top: int) -> None:
    assert converse(inferenceConfig={"maxTokens": 100}, additionalModelRequestFields=more).more_output == on_top


@pytest.mark.parametrize(
    "fields",
    [
        {"service_tier": "default"},
        {"inferenceConfig": {"maxTokens": "9"}},
        {"inferenceConfig": {"maxTokens": True}},
        {"inferenceConfig": 5},
        {"toolConfig": []},
        {"additionalModelRequestFields": {"max_tokens": "9"}},
        {"serviceTier": {"type": "default"}, "headers": {b"x-amzn-bedrock-service-tier": b"priority"}},
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        converse(**fields)


def test_a_limit_leaves_the_callers_own_object_alone() -> None:
    config = {"temperature": 1}
    body: dict[str, Any] = {"inferenceConfig": config}
    CONVERSE.limit(body, 7, "bedrock", CLAUDE)
    assert body == {"inferenceConfig": {"temperature": 1, "maxTokens": 7}}
    assert config == {"temperature": 1}


def test_an_answer_tells_its_usage_and_tier() -> None:
    usage = {"inputTokens": 10, "outputTokens": 2, "totalTokens": 17, "cacheReadInputTokens": 5}
    said = CONVERSE.said({"usage": usage, "serviceTier": {"type": "flex"}}, {})
    assert said is not None
    found = normalise("aws", said[0], flavor="converse")
    assert (found.input_tokens, found.output_tokens, found.context) == (15, 2, {"service_tier": "flex"})
    untold: list[dict[str, Any]] = [{}, {"usage": None}, {"usage": []}]
    for answer in untold:
        assert CONVERSE.said(answer, {}) is None


# Invoke


def test_anthropics_bodies_are_its_messages() -> None:
    assert invoke(ASKED) == Spoken(CLAUDE, max_tokens=9)
    assert INVOKE_STREAM.spoken(ASKED, Beside(CLAUDE)).stream
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
    assert invoke(ASKED, profile) == Spoken(profile, max_tokens=9)
    tools = [{"type": "web_search_20250305"}]
    assert invoke({**ASKED, "tools": tools}).unbounded is not None
    assert invoke(ASKED, headers={b"x-amzn-bedrock-guardrailidentifier": b"g"}).unbounded is not None


@pytest.mark.parametrize(
    ("model", "body", "most"),
    [
        ("meta.llama3-8b-instruct-v1:0", {"prompt": "hi", "max_gen_len": 30}, 30),
        ("amazon.titan-text-express-v1", {"inputText": "hi", "textGenerationConfig": {"maxTokenCount": 40}}, 40),
        ("mistral.mistral-7b-instruct-v0:2", {"prompt": "hi", "max_tokens": 50, "stop": ["a"]}, 50),
        ("meta.llama3-8b-instruct-v1:0", {"prompt": "hi"}, None),
    ],
)
def test_a_prompt_that_is_one_text(model: str, body: dict[str, Any], most: int | None) -> None:
    assert invoke(body, model) == Spoken(model, max_tokens=most)


@pytest.mark.parametrize(
    "body", [{"messages": HI}, {"prompt": ["a"]}, {"prompt": "a", "images": ["AA"]}, {"inputImage": "AA"}]
)
def test_all_else_is_more_than_text(body: dict[str, Any]) -> None:
    said = invoke(body, "amazon.nova-pro-v1:0")
    assert said.not_inline is not None
    assert said.media == ALL


def test_several_answers_of_a_models_own_have_no_bound() -> None:
    assert invoke({"prompt": "hi", "num_generations": 5}, "cohere.command-text-v14").unbounded is not None


def test_an_embedding_has_no_output() -> None:
    said = invoke({"inputText": "hi"}, "amazon.titan-embed-text-v2:0")
    assert (said.has_output, said.max_tokens, said.not_inline) == (False, 0, None)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CLAUDE, {"max_tokens": 7}),
        ("meta.llama3-8b-instruct-v1:0", {"max_gen_len": 7}),
        ("amazon.titan-text-express-v1", {"textGenerationConfig": {"maxTokenCount": 7}}),
        ("us.amazon.nova-pro-v1:0", {"inferenceConfig": {"maxTokens": 7}}),
        ("openai.gpt-oss-120b-1:0", {"max_completion_tokens": 7}),
    ],
)
def test_a_limit_is_said_in_the_models_own_words(model: str, body: dict[str, Any]) -> None:
    found: dict[str, Any] = {}
    INVOKE.limit(found, 7, "bedrock", model)
    assert found == body
    assert invoke({"prompt": "x", **found} if model != CLAUDE else {**ASKED, **found}, model).max_tokens == 7


def test_usage_stands_in_the_body_or_in_the_headers() -> None:
    headers = {
        "x-amzn-bedrock-input-token-count": "10",
        "x-amzn-bedrock-output-token-count": "2",
        "x-amzn-bedrock-cache-read-input-token-count": "5",
        "x-amzn-bedrock-service-tier": "priority",
    }
    told = {"type": "message", "model": "claude-sonnet-4-5", "usage": {"input_tokens": 10, "output_tokens": 2}}
    for answer, tokens, model in ((told, 10, "claude-sonnet-4-5"), ({"generation": "hi", "usage": {"x": 1}}, 15, None)):
        said = INVOKE.said(answer, headers)
        assert said is not None
        assert said[1] == model
        found = normalise("aws", said[0], flavor="messages")
        assert (found.input_tokens, found.output_tokens) == (tokens, 2)
        assert found.context == {"service_tier": "priority"}
    assert INVOKE.said({"generation": "hi"}, {}) is None
    assert INVOKE.said({}, {"x-amzn-bedrock-input-token-count": "many"}) is None


def test_counting_is_free() -> None:
    assert BedrockCount("count-tokens").spoken({}, Beside(CLAUDE)).free


def test_errors_in_bodies_and_in_streams() -> None:
    told = orjson.loads(CONVERSE.error(429, "quota_exceeded", "No.", {"budget": "b"}))
    assert (told["__type"], told["message"], told["outlay"]) == ("ThrottlingException", "No.", {"budget": "b"})
    (one,) = Frames().whole(CONVERSE.broken("Gone."))
    assert one.headers()[":exception-type"] == "serviceUnavailableException"
    assert one.headers()[":message-type"] == "exception"
    assert one.json() == {"message": "Gone."}
