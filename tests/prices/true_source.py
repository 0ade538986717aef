"""Whose a payload of the shared usage set is: the set tries every payload with every reader, and only one is true."""

from __future__ import annotations

from typing import Any

__all__ = ["STAND_INS", "true_source"]

STAND_INS = {
    "aws": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "google": "gemini-embedding-001",
    "cohere": "command-a-03-2025",
    "openai": "gpt-5",
}
"""A model of the provider for payloads that don't name theirs (Converse and embeddings never do)."""

_BY_FILE = {
    "openrouter": "openrouter",
    "test_azure": "azure",
    "test_bedrock_mantle": "aws",
    "test_cerebras": "cerebras",
    "cerebras-": "cerebras",
    "test_zai": "zai",
    "test_huggingface": "huggingface_together",
    "qwen-nested": "openrouter",
}
_BY_MODEL = {
    "gemini": "google",
    "models/gemini": "google",
    "claude": "anthropic",
    "deepseek-reasoner": "deepseek",
    "deepseek-v4": "deepseek",
    "mistral": "mistral",
    "magistral": "mistral",
    "ministral": "mistral",
    "pixtral": "mistral",
    "meta-llama/": "huggingface_together",
    "zai-glm": "cerebras",
    "gpt-oss-120b": "cerebras",
    "llama-3.3-70b": "cerebras",
    "qwen-3-": "cerebras",
}
_LOCAL = ("gpt-oss:", "qwen3:")


def true_source(body: dict[str, Any]) -> tuple[str, str, str]:
    """``(provider, flavor, model)``; the provider is ``ollama`` for models that ran locally."""
    if "usageMetadata" in body:
        return "google", "default", body.get("modelVersion") or STAND_INS["google"]
    if "meta" in body:
        return "cohere", "embeddings", "embed-v4.0"
    usage, model, file = body["usage"], body.get("model") or "", body["file"]
    if "billed_units" in usage:
        return "cohere", "default", STAND_INS["cohere"]
    if "inputTokens" in usage:
        return "aws", "default", STAND_INS["aws"]
    provider = "groq" if "queue_time" in usage else next((p for part, p in _BY_FILE.items() if part in file), None)
    if provider is None:
        provider = next((p for start, p in _BY_MODEL.items() if model.startswith(start)), "openai")
    if model.startswith(_LOCAL):
        provider = "ollama"
    if "prompt_tokens" in usage:
        flavor = "chat" if "completion_tokens" in usage else "embeddings"
    elif "input_tokens_details" in usage or "total_tokens" in usage:
        flavor = "responses"
    else:
        flavor = "anthropic"
    return provider, flavor, model or STAND_INS["openai"]
