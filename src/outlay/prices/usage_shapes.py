"""What providers call the counts of a call: one table of aliases a usage object's shape.

A shape is told by its keys, not by the provider: most providers speak OpenAI's dialect, and Bedrock, Azure and Vertex
pass a model vendor's own object on. Each shape says under which names a fact may stand, and the two things that names
don't tell: whether input counts already hold cache reads and writes, and whether output already holds reasoning.

Sources: the OpenAPI description and SDK types of OpenAI, the SDK types of Anthropic and google-genai, botocore's model
of Bedrock, OpenTelemetry's GenAI conventions with the names they replaced, and real payloads of all of them.
"""

from __future__ import annotations

import re
from dataclasses import replace

from outlay.prices.framework_shapes import LANGCHAIN, LANGFUSE, VERCEL
from outlay.prices.usage_shape import Path, Shape, Where, paths

__all__ = [
    "CACHE_OUTSIDE",
    "CONTEXT",
    "FLAVORS",
    "NOT_COUNTS",
    "ORDINARY",
    "REASONING_OUTSIDE",
    "SHAPES",
    "WRAPPERS",
    "Path",
    "Shape",
    "Where",
]


def _flat(**facts: str) -> dict[str, tuple[Path, ...]]:
    """As :func:`paths` for attribute names that hold dots themselves."""
    return {fact: tuple((alias,) for alias in text.split("|")) for fact, text in facts.items()}


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name).lower()


_MODALITY = {"text": ("TEXT",), "audio": ("AUDIO",), "image": ("IMAGE", "DOCUMENT"), "video": ("VIDEO",)}


def _gemini() -> dict[str, tuple[Path, ...]]:
    """Gemini's names, in the spelling of REST and in that of the Python SDK."""
    counts = {
        "input": "promptTokenCount",
        "cache_read": "cachedContentTokenCount",
        "output": "candidatesTokenCount",
        "reasoning": "thoughtsTokenCount",
        "tool_input": "toolUsePromptTokenCount",
        "total": "totalTokenCount",
    }
    details = {
        "input": ("promptTokensDetails", "promptTokenDetails"),  # embeddings say it in the singular
        "cache_read": ("cacheTokensDetails",),
        "tool_input": ("toolUsePromptTokensDetails",),
        "output": ("candidatesTokensDetails",),
    }
    found: dict[str, tuple[Path, ...]] = {fact: ((name,), (_snake(name),)) for fact, name in counts.items()}
    for kind, names in details.items():
        for modality, values in _MODALITY.items():
            where = Where("modality", values)
            found[f"{kind}_{modality}"] = tuple(
                path for name in names for path in ((name, where, "tokenCount"), (_snake(name), where, "token_count"))
            )
    return found


_TOOLS = paths(
    web_searches="server_tool_use.web_search_requests",
    web_fetches="server_tool_use.web_fetch_requests",
    code_executions="server_tool_use.code_execution_requests",
    server_tool_calls="server_tool_use_details.tool_calls_executed",
)
_DETAILS = {
    "input": {
        "cache_read": "cached_tokens",
        "cache_write": "cache_write_tokens",
        "input_text": "text_tokens",
        "input_audio": "audio_tokens",
        "input_image": "image_tokens",
        "cache_read_audio": "cached_tokens_details.audio_tokens",
        "cache_read_image": "cached_tokens_details.image_tokens",
    },
    "output": {
        "reasoning": "reasoning_tokens",
        "output_text": "text_tokens",
        "output_audio": "audio_tokens",
        "output_image": "image_tokens",
    },
}
# The Responses API says input_tokens_details, the Realtime API input_token_details.
_RESPONSES = paths(
    **{
        fact: f"{side}_tokens_details.{name}|{side}_token_details.{name}"
        for side, facts in _DETAILS.items()
        for fact, name in facts.items()
    }
)

_OPENTELEMETRY = Shape(
    "opentelemetry",
    ("gen_ai.*", "llm.usage.*", "llm.token_count.*", "ai.usage.*"),
    _flat(
        input="gen_ai.usage.input_tokens|gen_ai.usage.prompt_tokens|llm.usage.prompt_tokens|llm.token_count.prompt"
        "|ai.usage.inputTokens|ai.usage.promptTokens|ai.usage.tokens",
        output="gen_ai.usage.output_tokens|gen_ai.usage.completion_tokens|llm.usage.completion_tokens"
        "|llm.token_count.completion|ai.usage.outputTokens|ai.usage.completionTokens",
        total="llm.usage.total_tokens|gen_ai.usage.total_tokens|llm.token_count.total|ai.usage.totalTokens",
        cache_read="gen_ai.usage.cache_read.input_tokens|gen_ai.usage.cache_read_input_tokens"
        "|gen_ai.usage.prompt_tokens_details.cached_tokens|gen_ai.usage.details.cache_read_tokens"
        "|gen_ai.usage.details.cache_read_input_tokens|llm.token_count.prompt_details.cache_read"
        "|ai.usage.cachedInputTokens|ai.usage.inputTokenDetails.cacheReadTokens",
        cache_write="gen_ai.usage.cache_write.input_tokens|gen_ai.usage.cache_creation.input_tokens"
        "|gen_ai.usage.cache_write_input_tokens|gen_ai.usage.cache_creation_input_tokens"
        "|gen_ai.usage.prompt_tokens_details.cache_creation_tokens|gen_ai.usage.details.cache_write_tokens"
        "|gen_ai.usage.details.cache_creation_input_tokens|llm.token_count.prompt_details.cache_write"
        "|ai.usage.inputTokenDetails.cacheWriteTokens",
        cache_write_5m="anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
        cache_write_1h="anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
        cache_miss="ai.usage.inputTokenDetails.noCacheTokens",
        reasoning="gen_ai.usage.reasoning.output_tokens|gen_ai.usage.reasoning_tokens|llm.usage.reasoning_tokens"
        "|gen_ai.usage.completion_tokens_details.reasoning_tokens|gen_ai.usage.details.reasoning_tokens"
        "|llm.token_count.completion_details.reasoning|ai.usage.reasoningTokens"
        "|ai.usage.outputTokenDetails.reasoningTokens",
        input_text="gen_ai.usage.text.input_tokens",
        input_audio="gen_ai.usage.audio.input_tokens|llm.token_count.prompt_details.audio",
        input_image="gen_ai.usage.image.input_tokens",
        input_video="gen_ai.usage.video.input_tokens",
        cache_read_text="gen_ai.usage.text.cache_read.input_tokens",
        cache_read_audio="gen_ai.usage.audio.cache_read.input_tokens",
        cache_read_image="gen_ai.usage.image.cache_read.input_tokens",
        cache_read_video="gen_ai.usage.video.cache_read.input_tokens",
        output_text="gen_ai.usage.text.output_tokens",
        output_audio="gen_ai.usage.audio.output_tokens|llm.token_count.completion_details.audio"
        "|gen_ai.usage.completion_tokens_details.audio_tokens",
        output_image="gen_ai.usage.image.output_tokens",
        output_video="gen_ai.usage.video.output_tokens",
    ),
)

SHAPES: tuple[Shape, ...] = (
    _OPENTELEMETRY,
    # Emitters that hand on Anthropic's input as it is; told by the emitter, never by keys.
    replace(_OPENTELEMETRY, name="opentelemetry.cache_beside", marks=(), cache_outside_input=True),
    Shape(
        "openai.usage_api",
        ("input_uncached_tokens", "num_model_requests"),
        paths(
            input="input_tokens",
            output="output_tokens",
            cache_read="input_cached_tokens",
            cache_write="input_cache_write_tokens",
            cache_miss="input_uncached_tokens",
            input_text="input_text_tokens",
            cache_read_text="input_cached_text_tokens",
            input_audio="input_audio_tokens",
            input_image="input_image_tokens",
            cache_read_audio="input_cached_audio_tokens",
            cache_read_image="input_cached_image_tokens",
            output_text="output_text_tokens",
            output_audio="output_audio_tokens",
            output_image="output_image_tokens",
            requests="num_model_requests",
        ),
        modality_outside_cache=True,
        adds_up=True,
    ),
    Shape(
        "anthropic.usage_report",
        ("uncached_input_tokens",),
        {
            **paths(
                input="uncached_input_tokens",
                output="output_tokens",
                total="total_tokens",
                cache_read="cache_read_input_tokens",
                cache_write_5m="cache_creation.ephemeral_5m_input_tokens",
                cache_write_1h="cache_creation.ephemeral_1h_input_tokens",
                requests="requests",
            ),
            **_TOOLS,
        },
        cache_outside_input=True,
        adds_up=True,
    ),
    Shape(
        "openai.chat",  # also Azure OpenAI, DeepSeek, Mistral, Groq, OpenRouter, xAI and most others
        ("prompt_tokens", "completion_tokens"),
        {
            **paths(
                input="prompt_tokens",
                output="completion_tokens",
                total="total_tokens",
                cache_read="prompt_tokens_details.cached_tokens|num_cached_tokens|cached_tokens"
                "|prompt_cache_hit_tokens|cached_prompt_text_tokens|cache_read_input_tokens",
                cache_write="prompt_tokens_details.cache_write_tokens|cache_creation_input_tokens"
                "|prompt_tokens_details.cache_creation_tokens",  # LiteLLM's; the next two as well
                cache_write_5m="prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",
                cache_write_1h="prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
                cache_miss="prompt_cache_miss_tokens",
                reasoning="completion_tokens_details.reasoning_tokens|reasoning_tokens",
                input_audio="prompt_tokens_details.audio_tokens",
                input_image="prompt_tokens_details.image_tokens",
                input_video="prompt_tokens_details.video_tokens",
                output_audio="completion_tokens_details.audio_tokens",
                output_image="completion_tokens_details.image_tokens",
            ),
            **_TOOLS,
        },
    ),
    LANGCHAIN,
    LANGFUSE,
    VERCEL,
    Shape(
        "openai.responses",
        ("input_tokens_details", "output_tokens_details.reasoning_tokens", "input_token_details", "total_tokens"),
        {**paths(input="input_tokens", output="output_tokens", total="total_tokens"), **_RESPONSES, **_TOOLS},
    ),
    Shape(
        "cohere",  # bill on billed_units; `tokens` counts what the model saw, and `cached_tokens` belongs to those
        ("billed_units",),
        paths(
            input="billed_units.input_tokens",
            output="billed_units.output_tokens",
            beside_input_image="billed_units.image_tokens",
            rerank_searches="billed_units.search_units",
        ),
    ),
    Shape(
        "bedrock.converse",
        ("inputTokens", "outputTokens"),
        {
            **paths(
                input="inputTokens",
                output="outputTokens",
                total="totalTokens",
                cache_read="cacheReadInputTokens|cacheReadInputTokenCount",
                cache_write="cacheWriteInputTokens|cacheWriteInputTokenCount",
            ),
            "cache_write_5m": (("cacheDetails", Where("ttl", ("5m",)), "inputTokens"),),
            "cache_write_1h": (("cacheDetails", Where("ttl", ("1h",)), "inputTokens"),),
        },
        cache_outside_input=True,
    ),
    Shape(
        "gemini",
        ("promptTokenCount", "prompt_token_count", "candidatesTokenCount", "candidates_token_count"),
        _gemini(),
        reasoning_outside_output=True,
    ),
    Shape(
        "mistral.ocr",
        ("pages_processed",),
        paths(input_document_pages="pages_processed"),
    ),
    Shape(
        "anthropic.messages",
        ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"),
        {
            **paths(
                input="input_tokens",
                output="output_tokens",
                cache_read="cache_read_input_tokens",
                cache_write="cache_creation_input_tokens",
                cache_write_5m="cache_creation.ephemeral_5m_input_tokens",
                cache_write_1h="cache_creation.ephemeral_1h_input_tokens",
                reasoning="output_tokens_details.thinking_tokens",
            ),
            **_TOOLS,
        },
        cache_outside_input=True,
    ),
    Shape("audio", ("seconds",), paths(audio_seconds="seconds")),
)
"""In the order in which they are tried: the more telling marks first."""

FLAVORS = {
    "chat": "openai.chat",
    "embeddings": "openai.chat",
    "responses": "openai.responses",
    "realtime": "openai.responses",
    "images": "openai.responses",
    "anthropic": "anthropic.messages",
    "messages": "anthropic.messages",
    "converse": "bedrock.converse",
    "otel": "opentelemetry",
    "ocr": "mistral.ocr",
    "live": "audio",
}
"""Short names of shapes, as genai-prices and the providers' own documentation have them."""

WRAPPERS = (
    "usageDetails",
    "usage_details",
    "usage",
    "usageMetadata",
    "usage_metadata",
    "meta",
    "usage_info",
    "response",
)
"""Where a whole response keeps its usage object."""

REASONING_OUTSIDE = {("x-ai", "openai.chat"), ("xai", "openai.chat")}
"""xAI's chat API counts reasoning beside ``completion_tokens``; its total holds both (docs.x.ai, rate limits)."""

CACHE_OUTSIDE = {
    (provider, "vercel.ai_sdk") for provider in ("anthropic", "aws", "aws.bedrock", "amazon-bedrock", "bedrock")
}
"""The AI SDK up to 5 hands on the input of these providers as it is, without what was cached. 6 adds it, and tells
``inputTokenDetails``."""

CONTEXT: dict[str, tuple[str, ...]] = {
    "service_tier": ("service_tier", "serviceTier", "gen_ai.openai.response.service_tier"),
    "speed": ("speed",),
    "inference_geo": ("inference_geo",),
    "traffic_type": ("trafficType", "traffic_type"),
}
"""What selects another price, and the names it has in usage objects."""

ORDINARY = {"", "standard", "default", "auto", "normal", "on_demand", "global", "not_available", "none"}
"""Values that mean the ordinary price."""

NOT_COUNTS = {
    "accepted_prediction_tokens",  # parts of completion_tokens, billed as output either way
    "rejected_prediction_tokens",
    "text_tokens",  # what is left when the other modalities are taken off
    "tool_calls_requested",  # what ran is counted
    "tokens",  # Cohere: what the model saw, not what is billed
    "cached_tokens",  # Cohere: part of `tokens`
    "cost",
    "cost_details",
    "cost_in_usd_ticks",
    "pydantic_ai_gateway",
    "iterations",  # read on their own
    "raw",  # Vercel's AI SDK: the provider's object, once more
    "queue_time",
    "prompt_time",
    "completion_time",
    "total_time",
    "start_time",
    "end_time",
}
"""Numbers of usage objects that are rightly not read as counts."""
