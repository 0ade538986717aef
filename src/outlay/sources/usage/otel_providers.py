"""Who served a model: the names that emitters give, the convention's, and those of the price list."""

from __future__ import annotations

__all__ = ["PROVIDERS", "price_provider", "provider_name"]

PROVIDERS: dict[str, str] = {
    "amazon-bedrock": "aws.bedrock",
    "anthropic.messages": "anthropic",
    "aws": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "google.generative-ai": "gcp.gemini",
    "google.vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "openai.chat": "openai",
    "openai.completion": "openai",
    "openai.embedding": "openai",
    "openai.responses": "openai",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Older and vendors' names of providers, in lower case -> the convention's."""

_PRICE_PROVIDERS: dict[str, str] = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "together_ai": "together",
    "x_ai": "x-ai",
}


def provider_name(name: str) -> str:
    """The convention's name of a provider that an emitter names otherwise: ``AWS`` is ``aws.bedrock``."""
    folded = name.strip().lower()
    return PROVIDERS.get(folded, folded)


def price_provider(name: str) -> str:
    """The price list's id of a provider: ``aws.bedrock`` is ``aws``; a name it does not know comes back as it is."""
    canonical = provider_name(name)
    return _PRICE_PROVIDERS.get(canonical, canonical)
