"""Usage as LangChain, Langfuse and Vercel's AI SDK hand it on means what the provider's own object meant."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.prices.usage import Usage, normalise


def read(raw: dict[str, Any], provider: str = "anthropic") -> Usage:
    return normalise(provider, raw)


def meters(raw: dict[str, Any], provider: str = "anthropic") -> dict[str, object]:
    return {meter: count for meter, count in read(raw, provider).meters.items() if meter != "requests"}


def langchain(details: dict[str, int], output: dict[str, int] | None = None, **counts: int) -> dict[str, Any]:
    whole = {"input_tokens": 100_100, "output_tokens": 50, **counts}
    total = {"total_tokens": whole["input_tokens"] + whole["output_tokens"]}
    return {**whole, **total, "input_token_details": details, "output_token_details": output or {}}


def test_langchain_counts_the_cache_as_input() -> None:
    usage = read(langchain({"cache_read": 100_000, "cache_creation": 0}))
    assert (usage.shape, usage.input_tokens, usage.remarks) == ("langchain", 100_100, ())
    assert meters(langchain({"cache_read": 100_000, "cache_creation": 0})) == {
        "input": 100,
        "cache_read": 100_000,
        "output": 50,
    }


def test_langchain_tells_writes_by_time_to_live_and_takes_them_out_of_the_sum() -> None:
    """langchain-anthropic sets ``cache_creation`` to 0 where it knows the parts."""
    parts = {"cache_read": 0, "cache_creation": 0, "ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}
    raw = langchain(parts, input_tokens=1100)
    assert meters(raw) == {"input": 1000, "cache_write_5m": 60, "cache_write_1h": 40, "output": 50}
    assert read(raw).remarks == ()


def test_langchain_audio_and_reasoning() -> None:
    raw = langchain({"audio": 30}, {"audio": 5, "reasoning": 20}, input_tokens=100)
    assert meters(raw, "openai") == {
        "input": 70,
        "input_audio": 30,
        "output": 25,
        "output_audio": 5,
        "output_reasoning": 20,
    }


@pytest.mark.parametrize("tier", ["priority", "flex"])
def test_langchain_hides_the_tier_in_the_names_of_parts(tier: str) -> None:
    raw = langchain(
        {f"{tier}_cache_read": 40, tier: 60}, {f"{tier}_reasoning": 20, tier: 30}, input_tokens=100, output_tokens=50
    )
    assert meters(raw, "openai") == {"input": 60, "cache_read": 40, "output": 30, "output_reasoning": 20}
    assert dict(read(raw, "openai").context) == {"service_tier": tier}
    assert read(raw, "openai").remarks == ()


def test_a_langchain_message_holds_it() -> None:
    message = {"type": "ai", "content": "Hello", "usage_metadata": langchain({"cache_read": 100_000})}
    assert read(message).cache_read_tokens == 100_000


def test_the_realtime_api_is_not_langchain() -> None:
    raw = {"input_tokens": 10, "output_tokens": 5, "input_token_details": {"cached_tokens": 4, "text_tokens": 6}}
    assert read(raw, "openai").shape == "openai.responses"


def test_langfuse_takes_every_part_out_of_the_whole() -> None:
    """What it makes of OpenAI's 1000 prompt (800 cached, 50 audio) and 120 completion tokens (100 reasoning)."""
    raw = {
        "input": 150,
        "input_cached_tokens": 800,
        "input_audio_tokens": 50,
        "output": 15,
        "output_reasoning_tokens": 100,
        "output_accepted_prediction_tokens": 3,
        "output_rejected_prediction_tokens": 2,
        "total": 1120,
    }
    usage = read(raw, "openai")
    assert (usage.shape, usage.input_tokens, usage.output_tokens) == ("langfuse", 1000, 120)
    assert meters(raw, "openai") == {
        "input": 150,
        "cache_read": 800,
        "input_audio": 50,
        "output": 20,
        "output_reasoning": 100,
    }
    assert [remark.code for remark in usage.remarks] == ["cached-modality"]


def test_langfuse_hands_on_anthropics_own_names() -> None:
    raw = {
        "input": 200,
        "cache_read_input_tokens": 700,
        "cache_creation_input_tokens": 100,
        "cache_creation_ephemeral_5m_input_tokens": 40,
        "cache_creation_ephemeral_1h_input_tokens": 60,
        "output": 10,
        "total": 1010,
    }
    assert meters(raw) == {"input": 200, "cache_read": 700, "cache_write_5m": 40, "cache_write_1h": 60, "output": 10}
    assert read(raw).remarks == ()


@pytest.mark.parametrize(
    ("whole", "out", "total"), [(200, 10, None), (200, 10, 1030), (1000, 10, 1030), (200, 30, 1030), (1000, 30, 1030)]
)
def test_langfuse_parts_that_a_program_left_inside(whole: int, out: int, total: int | None) -> None:
    """The total tells whether 800 cached and 20 of reasoning stand beside input and output, or in them."""
    raw = {"input": whole, "input_cached_tokens": 800, "output": out, "output_reasoning_tokens": 20, "total": total}
    assert meters(raw, "openai") == {"input": 200, "cache_read": 800, "output": 10, "output_reasoning": 20}
    assert read(raw, "openai").remarks == ()


def test_a_langfuse_observation_holds_it() -> None:
    """Its ``input`` and ``output`` are what was said, and its older ``usage`` knows no cache."""
    observation = {
        "input": [{"role": "user", "content": "Hello"}],
        "output": {"role": "assistant", "content": "Hello"},
        "usage": {"input": 1000, "output": 10, "total": 1010, "unit": "TOKENS"},
        "usageDetails": {"input": 200, "input_cached_tokens": 800, "output": 10, "total": 1010},
    }
    assert meters(observation, "openai") == {"input": 200, "cache_read": 800, "output": 10}


def test_a_usage_type_of_ones_own_is_remarked_on() -> None:
    """Langfuse takes any name: one that is not known must not vanish."""
    usage = read({"input": 10, "output": 1, "input_priority_cache_read": 4, "unit": "TOKENS"}, "openai")
    assert [remark.code for remark in usage.remarks] == ["unread-count"]


AI_SDK = {"inputTokens": 1000, "outputTokens": 120, "totalTokens": 1120}


def test_vercel_5_has_openais_meaning() -> None:
    raw = {**AI_SDK, "cachedInputTokens": 800, "reasoningTokens": 100}
    assert meters(raw, "openai") == {"input": 200, "cache_read": 800, "output": 20, "output_reasoning": 100}
    assert read(raw, "openai").remarks == ()


@pytest.mark.parametrize("provider", ["anthropic", "aws.bedrock", "amazon-bedrock"])
def test_vercel_5_hands_on_input_without_the_cache_where_the_provider_does(provider: str) -> None:
    assert meters({**AI_SDK, "cachedInputTokens": 800}, provider) == {
        "input": 1000,
        "cache_read": 800,
        "output": 120,
    }


def test_vercel_6_adds_the_cache_to_the_input_of_every_provider() -> None:
    raw = {
        **AI_SDK,
        "cachedInputTokens": 700,
        "reasoningTokens": 20,
        "inputTokenDetails": {"noCacheTokens": 200, "cacheReadTokens": 700, "cacheWriteTokens": 100},
        "outputTokenDetails": {"textTokens": 100, "reasoningTokens": 20},
        "raw": {"input_tokens": 200, "cache_read_input_tokens": 700, "cache_creation_input_tokens": 100},
    }
    assert meters(raw) == {
        "input": 200,
        "cache_read": 700,
        "cache_write": 100,
        "output": 100,
        "output_reasoning": 20,
    }
    assert read(raw).remarks == ()


def test_vercel_5_and_gemini_count_reasoning_beside_output() -> None:
    raw = {"inputTokens": 100, "outputTokens": 20, "reasoningTokens": 300, "totalTokens": 420}
    assert read(raw, "google").output_tokens == 320


def test_vercel_4_and_bedrock_keep_their_names() -> None:
    assert read({"promptTokens": 10, "completionTokens": 2, "totalTokens": 12}, "openai").input_tokens == 10
    assert read(AI_SDK, "aws").shape == "bedrock.converse"
    converse = {**AI_SDK, "totalTokens": 1920, "cacheReadInputTokens": 800, "cacheWriteInputTokens": 0}
    assert meters(converse, "aws") == {"input": 1000, "cache_read": 800, "output": 120}
