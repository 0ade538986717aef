"""What frameworks between a program and its provider call the counts of a call.

They rename a provider's counts, and change what they mean: LangChain adds cached tokens to the input of providers that
leave them out, Langfuse takes every part out of the whole, Vercel's AI SDK did neither up to version 5. Read as the
provider's own object, a cached prompt is billed ten times too high or not at all.

Sources: the code of langchain-core, langchain-openai, langchain-anthropic and langchain-aws; Langfuse's Python SDK and
its documentation of cost tracking; the types of vercel/ai (``LanguageModelV2Usage``, ``LanguageModelUsage``).
"""

from __future__ import annotations

from outlay.prices.usage_shape import Shape, paths

__all__ = ["LANGCHAIN", "LANGFUSE", "VERCEL"]

LANGCHAIN = Shape(
    # LangChain's usage_metadata: input holds what was cached, whatever the provider says. A priority or flex tier
    # stands in the names of the parts.
    "langchain",
    (
        "input_token_details.cache_read",
        "input_token_details.cache_creation",
        "input_token_details.audio",
        "input_token_details.priority",
        "input_token_details.flex",
        "output_token_details.reasoning",
        "output_token_details.audio",
        "output_token_details.priority",
        "output_token_details.flex",
    ),
    paths(
        input="input_tokens",
        output="output_tokens",
        total="total_tokens",
        cache_read="input_token_details.cache_read|input_token_details.priority_cache_read"
        "|input_token_details.flex_cache_read",
        cache_write="input_token_details.cache_creation|input_token_details.priority_cache_creation"
        "|input_token_details.flex_cache_creation",
        cache_write_5m="input_token_details.ephemeral_5m_input_tokens",
        cache_write_1h="input_token_details.ephemeral_1h_input_tokens",
        input_audio="input_token_details.audio",
        reasoning="output_token_details.reasoning|output_token_details.priority_reasoning"
        "|output_token_details.flex_reasoning",
        output_audio="output_token_details.audio",
    ),
)

LANGFUSE = Shape(
    # Langfuse's usageDetails: all its numbers are exclusive and add up to the total. The names are those of
    # Langfuse's SDKs, of its model prices, and the provider's own where an SDK hands them on.
    "langfuse",
    ("input", "output"),
    paths(
        input="input",
        output="output",
        total="total",
        cache_read="cache_read_input_tokens|input_cached_tokens|input_cache_read|input_flex_cache_read",
        cache_read_audio="input_cached_audio_tokens",
        cache_write="cache_creation_input_tokens|cache_write_input_tokens|input_cache_creation"
        "|input_cache_write_tokens|input_flex_cache_creation",
        cache_write_5m="input_ephemeral_5m_input_tokens|cache_creation_ephemeral_5m_input_tokens"
        "|input_cache_creation_5m",
        cache_write_1h="input_ephemeral_1h_input_tokens|cache_creation_ephemeral_1h_input_tokens"
        "|input_cache_creation_1h",
        input_text="input_text_tokens|input_text",
        input_flex="input_flex",
        input_audio="input_audio_tokens|input_audio",
        input_image="input_image_tokens|input_image",
        output_text="output_text_tokens|output_text",
        output_flex="output_flex",
        output_audio="output_audio_tokens|output_audio",
        output_image="output_image_tokens|output_image",
        output_accepted="output_accepted_prediction_tokens",
        output_rejected="output_rejected_prediction_tokens",
        reasoning="output_reasoning_tokens|output_reasoning|output_flex_reasoning",
    ),
    cache_outside_input=True,
    parts_outside=True,
    only_counts=True,
)

VERCEL = Shape(
    # Vercel's AI SDK: 5 and 6, and 4's promptTokens. Its first three names are Bedrock Converse's too.
    "vercel.ai_sdk",
    (
        "cachedInputTokens",
        "reasoningTokens",
        "inputTokenDetails",
        "outputTokenDetails",
        "promptTokens",
        "completionTokens",
    ),
    paths(
        input="inputTokens|promptTokens",
        output="outputTokens|completionTokens",
        total="totalTokens",
        cache_read="cachedInputTokens|inputTokenDetails.cacheReadTokens",
        cache_write="inputTokenDetails.cacheWriteTokens",
        cache_miss="inputTokenDetails.noCacheTokens",
        output_text="outputTokenDetails.textTokens",
        reasoning="reasoningTokens|outputTokenDetails.reasoningTokens",
    ),
)
