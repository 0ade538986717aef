"""Every provider's counts come to one meaning, the meters add up to it, and what does not fit is remarked on."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.ledger.meters import INPUT_METERS, METERS, OUTPUT_METERS
from outlay.prices.usage import Usage, normalise
from outlay.prices.usage_shapes import SHAPES
from tests.shared import shared

_COUNTS = st.integers(0, 10**7)


def codes(usage: Usage) -> list[str]:
    return [remark.code for remark in usage.remarks]


def holds_together(usage: Usage) -> None:
    """Meters are exclusive and complete: they add up to the totals, and none is negative or unknown."""
    assert sum(usage.meters.get(meter, 0) for meter in INPUT_METERS) == usage.input_tokens
    assert sum(usage.meters.get(meter, 0) for meter in OUTPUT_METERS) == usage.output_tokens
    assert all(quantity > 0 and meter in METERS for meter, quantity in usage.meters.items())


@cache
def payloads() -> list[dict[str, Any]]:
    text = shared("data/provider_usage/genai_prices_usages_dataset.json").read_text(encoding="utf-8")
    return [entry["body"] for entry in json.loads(text)]


@cache
def goldens() -> dict[str, dict[str, Any]]:
    return {case["id"]: case for case in json.loads(shared("goldens/usage.json").read_text(encoding="utf-8"))}


def test_golden_pairs() -> None:
    for pair in goldens()["input-includes-cached-openai"]["pairs"]:
        usage = normalise(pair["provider"], pair["raw"])
        assert {name: getattr(usage, name) for name in pair["normal"]} == pair["normal"]


def test_golden_gemini_thoughts() -> None:
    case = goldens()["gemini-thoughts"]
    usage = normalise("google", case["raw"])
    assert {name: getattr(usage, name) for name in case["normal"]} == case["normal"]
    assert dict(usage.meters) == {
        "input": 10_000,
        "cache_read": 90_000,
        "output": 500,
        "output_reasoning": 4_000,
        "requests": 1,
    }


def test_golden_one_hour_writes() -> None:
    case = goldens()["anthropic-1h-cache-write"]
    usage = normalise(case["provider"], case["usage"])
    assert (usage.input_tokens, usage.cache_write_tokens) == (101_000, 100_000)
    assert usage.meters["cache_write_1h"] == 100_000


CASES: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "OpenAI chat: input holds reads and writes": (
        "openai",
        {
            "prompt_tokens": 4020,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 4012},
        },
        {"input": 4, "cache_read": 4, "cache_write": 4012, "output": 5},
    ),
    "OpenAI responses": (
        "azure",
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 30},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 6},
            "total_tokens": 109,
        },
        {"input": 70, "cache_read": 30, "output": 3, "output_reasoning": 6},
    ),
    "Anthropic: input excludes reads and writes": (
        "anthropic",
        {
            "input_tokens": 3,
            "cache_read_input_tokens": 10,
            "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5},
            "output_tokens": 1,
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
        },
        {
            "input": 3,
            "cache_read": 10,
            "cache_write_5m": 2,
            "cache_write_1h": 5,
            "output": 1,
            "web_searches": 2,
            "web_fetches": 1,
        },
    ),
    "Anthropic without the split: a write of unknown time to live": (
        "anthropic",
        {"input_tokens": 3, "cache_creation_input_tokens": 7, "output_tokens": 1},
        {"input": 3, "cache_write": 7, "output": 1},
    ),
    "Bedrock gives each cache count twice, and the split in a list": (
        "aws",
        {
            "inputTokens": 3,
            "outputTokens": 61,
            "totalTokens": 2435,
            "cacheReadInputTokens": 2074,
            "cacheReadInputTokenCount": 2074,
            "cacheWriteInputTokens": 297,
            "cacheWriteInputTokenCount": 297,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 97}, {"ttl": "1h", "inputTokens": 200}],
        },
        {"input": 3, "cache_read": 2074, "cache_write_5m": 97, "cache_write_1h": 200, "output": 61},
    ),
    "Gemini: tool use lies outside the prompt, thoughts outside the candidates": (
        "google",
        {
            "promptTokenCount": 100,
            "toolUsePromptTokenCount": 50,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 5,
            "totalTokenCount": 165,
        },
        {"input": 100, "tool_input": 50, "output": 10, "output_reasoning": 5},
    ),
    "Gemini: audio that was cached is not audio that was not": (
        "vertex_ai",
        {
            "promptTokenCount": 100,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 40}, {"modality": "AUDIO", "tokenCount": 60}],
            "cachedContentTokenCount": 30,
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}, {"modality": "TEXT", "tokenCount": 10}],
            "candidatesTokenCount": 7,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}],
        },
        {"input": 30, "input_audio": 40, "cache_read": 10, "cache_read_audio": 20, "output": 2, "output_image": 5},
    ),
    "Gemini embeddings: the field is in the singular": (
        "google",
        {"promptTokenCount": 9, "promptTokenDetails": [{"modality": "AUDIO", "tokenCount": 9}]},
        {"input_audio": 9},
    ),
    "DeepSeek": (
        "deepseek",
        {
            "prompt_tokens": 563,
            "prompt_cache_hit_tokens": 512,
            "prompt_cache_miss_tokens": 51,
            "completion_tokens": 20,
            "total_tokens": 583,
        },
        {"input": 51, "cache_read": 512, "output": 20},
    ),
    "Mistral: the cache count is at the top": (
        "mistral",
        {"prompt_tokens": 50, "num_cached_tokens": 30, "completion_tokens": 2, "total_tokens": 52},
        {"input": 20, "cache_read": 30, "output": 2},
    ),
    "Cohere bills billed_units; cached_tokens counts what was seen": (
        "cohere",
        {
            "usage": {
                "billed_units": {"input_tokens": 41, "output_tokens": 661},
                "tokens": {"input_tokens": 2190, "output_tokens": 1257},
                "cached_tokens": 1040,
            }
        },
        {"input": 41, "output": 661},
    ),
    "Cohere embeddings and rerank keep them under meta": (
        "cohere",
        {"meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4, "search_units": 2}}},
        {"input": 4, "rerank_searches": 2},
    ),
    "Groq: seconds are not tokens": (
        "groq",
        {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "queue_time": 1.4, "total_time": 0.9},
        {"input": 7, "output": 2},
    ),
    "xAI chat: reasoning lies outside completion_tokens": (
        "x-ai",
        {
            "prompt_tokens": 12,
            "completion_tokens": 1,
            "completion_tokens_details": {"reasoning_tokens": 386},
            "total_tokens": 399,
        },
        {"input": 12, "output": 1, "output_reasoning": 386},
    ),
    "OpenTelemetry, today's names": (
        "openai",
        {
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.cache_read.input_tokens": 20,
            "gen_ai.usage.cache_write.input_tokens": 30,
            "gen_ai.usage.output_tokens": 9,
            "gen_ai.usage.reasoning.output_tokens": 4,
        },
        {"input": 50, "cache_read": 20, "cache_write": 30, "output": 5, "output_reasoning": 4},
    ),
    "OpenTelemetry, the names before them": (
        "openai",
        {
            "gen_ai.usage.prompt_tokens": 100,
            "gen_ai.usage.cache_creation.input_tokens": 30,
            "gen_ai.usage.cache_read_input_tokens": 20,
            "gen_ai.usage.completion_tokens": 9,
            "llm.usage.total_tokens": 109,
        },
        {"input": 50, "cache_read": 20, "cache_write": 30, "output": 9},
    ),
    "Cache writes below the published minimum are billed as reported": (
        "openai",
        {"input_tokens": 88, "input_tokens_details": {"cache_write_tokens": 27}, "output_tokens": 3},
        {"input": 61, "cache_write": 27, "output": 3},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_dialect(case: str) -> None:
    provider, raw, meters = CASES[case]
    usage = normalise(provider, raw)
    assert dict(usage.meters) == {**meters, "requests": 1}
    assert usage.remarks == ()
    holds_together(usage)


def test_the_usage_api_example_of_openai() -> None:
    text = shared("data/provider_usage/openai_usage_completions.json").read_text(encoding="utf-8")
    usage = normalise("openai", json.loads(text)["data"][0]["results"][0])
    assert (usage.input_tokens, usage.output_tokens, usage.meters["requests"]) == (1000, 500, 5)
    assert [usage.meters[m] for m in ("input", "input_audio", "input_image")] == [400, 50, 50]
    assert [usage.meters[m] for m in ("cache_read", "cache_read_audio", "cache_read_image")] == [300, 50, 50]
    assert codes(usage) == []
    holds_together(usage)


def test_what_an_advisor_and_a_compaction_used_is_not_lost() -> None:
    raw = {
        "input_tokens": 2390,
        "output_tokens": 121,
        "iterations": [
            {"type": "message", "input_tokens": 1128, "output_tokens": 110},
            {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2518, "output_tokens": 22},
            {"type": "message", "input_tokens": 1262, "output_tokens": 11},
            {"type": "compaction", "input_tokens": 55196, "output_tokens": 125},
        ],
    }
    usage = normalise("anthropic", raw)
    assert usage.input_tokens == 2390
    assert [(one.kind, one.model, one.usage.input_tokens, one.usage.output_tokens) for one in usage.inner] == [
        ("advisor_message", "claude-opus-4-8", 2518, 22),
        ("compaction", None, 55196, 125),
    ]


def test_the_cost_that_openrouter_reports() -> None:
    raw: dict[str, Any] = {"prompt_tokens": 900, "completion_tokens": 69, "cost": 0.0160614, "is_byok": False}
    raw |= {"server_tool_use_details": {"tool_calls_requested": 1, "tool_calls_executed": 1}}
    usage = normalise("openrouter", raw)
    assert usage.reported_cost == Decimal("0.0160614")
    assert usage.meters["server_tool_calls"] == 1
    own_key = raw | {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0001764}}
    assert normalise("openrouter", own_key).reported_cost == Decimal("0.0001764")
    assert normalise("openrouter", {"prompt_tokens": 1}).reported_cost is None


@pytest.mark.parametrize(
    ("raw", "context"),
    [
        ({"input_tokens": 1, "service_tier": "standard", "inference_geo": "not_available"}, {}),
        ({"input_tokens": 1, "service_tier": "batch"}, {"processing": "batch"}),
        ({"input_tokens": 1, "speed": "fast", "inference_geo": "us"}, {"speed": "fast", "inference_geo": "us"}),
        ({"service_tier": "priority", "usage": {"prompt_tokens": 1}}, {"service_tier": "priority"}),
        ({"promptTokenCount": 1, "trafficType": "ON_DEMAND"}, {}),
        ({"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}, {"service_tier": "flex"}),
        ({"promptTokenCount": 1, "trafficType": "PROVISIONED_THROUGHPUT"}, {"traffic_type": "provisioned_throughput"}),
    ],
)
def test_the_price_context_that_a_payload_tells(raw: dict[str, Any], context: dict[str, str]) -> None:
    assert normalise("any", raw).context == context


@pytest.mark.parametrize(
    ("raw", "code", "input_tokens", "output_tokens"),
    [
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, "total", 35, 12),
        ({"gen_ai.usage.input_tokens": 2, "gen_ai.usage.cache_read.input_tokens": 8}, "cache-beside-input", 10, 0),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 5}},
            "reasoning-beside-output",
            9,
            6,
        ),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5}, "uncached", 10, 0),
        ({"prompt_tokens": 10, "cached_tokens": 4, "num_cached_tokens": 5}, "aliases-differ", 10, 0),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"audio_tokens": 11}}, "modality-sum", 10, 0),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"audio_tokens": 4, "cached_tokens": 4}},
            "cached-modality",
            10,
            0,
        ),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 2},
            },
            "cache-write-split",
            6,
            0,
        ),
        ({"prompt_tokens": 10, "telepathy_tokens": 3}, "unread-count", 10, 0),
        ({"input_tokens": 1, "server_tool_use": {"oracle_requests": 3}}, "unread-count", 1, 0),
    ],
)
def test_what_does_not_fit_is_kept_and_remarked_on(
    raw: dict[str, Any], code: str, input_tokens: int, output_tokens: int
) -> None:
    usage = normalise("openai", raw)
    assert codes(usage) == [code]
    assert (usage.input_tokens, usage.output_tokens) == (input_tokens, output_tokens)
    holds_together(usage)


def test_audio_beyond_what_was_uncached_was_cached() -> None:
    usage = normalise("openai", {"prompt_tokens": 10, "prompt_tokens_details": {"audio_tokens": 8, "cached_tokens": 6}})
    assert dict(usage.meters) == {"input_audio": 4, "cache_read_audio": 4, "cache_read": 2, "requests": 1}


@pytest.mark.parametrize("bad", [-1, 1.5, 10.0, "12", True, [1]])
def test_a_count_is_a_whole_number(bad: object) -> None:
    with pytest.raises(UsageError, match="prompt_tokens") as caught:
        normalise("openai", {"prompt_tokens": bad})
    assert caught.value.hint


def test_a_count_in_a_list_is_a_whole_number_too() -> None:
    raw = {"inputTokens": 3, "cacheDetails": [{"ttl": "5m", "inputTokens": 1.5}]}
    with pytest.raises(UsageError, match=r"cacheDetails\.5m\.inputTokens"):
        normalise("aws", raw)


def test_seconds_need_not_be_whole() -> None:
    assert normalise("openai", {"seconds": 1.5}).meters["audio_seconds"] == Decimal("1.5")
    with pytest.raises(UsageError):
        normalise("openai", {"seconds": float("nan")})


@pytest.mark.parametrize("raw", [{}, {"tokens": 3}, {"usage": {}}, {"usage": {"foo": 1}}])
def test_an_object_of_no_known_shape_is_an_error(raw: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="none of the counts"):
        normalise("openai", raw)


def test_a_flavor_is_named_or_nearly() -> None:
    assert normalise("x", {"input_tokens": 5}, flavor="responses").shape == "openai.responses"
    with pytest.raises(UsageError, match="Did you mean 'chat'"):
        normalise("x", {"input_tokens": 5}, flavor="chatt")


def test_every_real_payload_is_read_whole() -> None:
    """The two remarks are one payload's dialect twice: Gemini behind OpenAI's API, which hides its thoughts."""
    seen: Counter[str] = Counter()
    for raw in payloads():
        usage = normalise("any", raw)
        holds_together(usage)
        seen.update(codes(usage))
    assert len(payloads()) == 1577
    assert seen == {"total": 2}


def _raw(shape_name: str, counts: dict[str, int]) -> dict[str, Any]:
    """A payload of a shape that says ``counts`` under the first name of each fact."""
    shape = next(shape for shape in SHAPES if shape.name == shape_name)
    raw: dict[str, Any] = {}
    for fact, value in counts.items():
        if fact not in shape.paths:
            continue
        inside, path = raw, shape.paths[fact][0]
        for depth, step in enumerate(path[:-1]):
            if not isinstance(step, str):
                inside.setdefault("", [])
                break
            if not isinstance(path[depth + 1], str):
                item = {path[depth + 1].key: path[depth + 1].values[0], path[-1]: value}  # type: ignore[union-attr]
                inside.setdefault(step, []).append(item)
                break
            inside = inside.setdefault(step, {})
        else:
            inside[str(path[-1])] = value
    return raw


_FACTS = sorted({fact for shape in SHAPES for fact in shape.paths})


@given(st.sampled_from([shape.name for shape in SHAPES]), st.dictionaries(st.sampled_from(_FACTS), _COUNTS, min_size=1))
def test_meters_add_up_whatever_is_reported(name: str, counts: dict[str, int]) -> None:
    """Also for payloads that contradict themselves, whose parts are larger than their wholes."""
    holds_together(normalise("any", _raw(name, counts), flavor=name))


@given(_COUNTS, _COUNTS, _COUNTS, _COUNTS, _COUNTS)
def test_the_normalised_counts_add_up_to_the_raw_ones(fresh: int, read: int, short: int, long: int, out: int) -> None:
    raw = {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": out,
    }
    usage = normalise("anthropic", raw)
    assert usage.input_tokens == fresh + read + short + long
    assert usage.output_tokens == out
    same = {
        "prompt_tokens": usage.input_tokens,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": short + long},
        "completion_tokens": out,
    }
    other = normalise("openai", same)
    assert (other.input_tokens, other.cache_read_tokens, other.cache_write_tokens, other.output_tokens) == (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
    )
    assert usage.remarks == other.remarks == ()
