"""Token prices of the models that the synthetic company calls.

Every meter of a model is a SKU of its own, because each is priced apart: uncached input, cache read, cache write,
output, and the same at the batch tier. The meters are named as each vendor's bill names them, and the pricing
unit differs with the vendor (a thousand tokens, a million), so a reader that assumes one block size gets these
bills wrong by a factor of a thousand.

``[B]``: a price in genai-prices 0.2.3; the others are made up near what was public.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from outlay.demo.catalogue import Sku

__all__ = ["tokens"]


@dataclass(frozen=True, slots=True)
class _Model:
    """Token prices of one model, as the provider quotes them: per ``block`` tokens."""

    service: str
    developer: str
    family: str
    model_id: str
    version: str
    unit: str
    meters: Mapping[str, tuple[str, str]]
    cached_says_uncached: bool = False


_MILLION, _THOUSAND = "1000000 Tokens", "1K tokens"
_MODELS: dict[str, _Model] = {
    "claude-sonnet-4-5": _Model(
        "anthropic",
        "Anthropic",
        "Claude Sonnet",
        "claude-sonnet-4-5",
        "4.5",
        _MILLION,
        {  # [B]
            "uncached": ("Claude Sonnet 4.5 Input Tokens", "3"),
            "read": ("Claude Sonnet 4.5 Cache Read Input Tokens", "0.30"),
            "write": ("Claude Sonnet 4.5 Cache Write Input Tokens (5m)", "3.75"),
            "output": ("Claude Sonnet 4.5 Output Tokens", "15"),
        },
        cached_says_uncached=True,
    ),
    "gpt-4o-mini": _Model(
        "openai",
        "OpenAI",
        "GPT-4o mini",
        "gpt-4o-mini-2024-07-18",
        "2024-07-18",
        _MILLION,
        {  # [B]
            "uncached": ("gpt-4o-mini-2024-07-18, input", "0.15"),
            "read": ("gpt-4o-mini-2024-07-18, cached input", "0.075"),
            "output": ("gpt-4o-mini-2024-07-18, output", "0.60"),
        },
    ),
    "gpt-5": _Model(
        "openai",
        "OpenAI",
        "GPT-5",
        "gpt-5-2025-08-07",
        "2025-08-07",
        _MILLION,
        {  # [B], batch at half
            "uncached": ("gpt-5-2025-08-07, input", "1.25"),
            "output": ("gpt-5-2025-08-07, output", "10"),
            "batch-uncached": ("gpt-5-2025-08-07 batch, input", "0.625"),
            "batch-output": ("gpt-5-2025-08-07 batch, output", "5"),
        },
    ),
    "text-embedding-3-large": _Model(
        "openai",
        "OpenAI",
        "text-embedding-3",
        "text-embedding-3-large",
        "3",
        _MILLION,
        {"uncached": ("text-embedding-3-large, input", "0.13")},
    ),
    "gpt-4o": _Model(
        "azure-openai",
        "OpenAI",
        "GPT-4o",
        "gpt-4o-2024-08-06",
        "2024-08-06",
        "1K Tokens",
        {
            "uncached": ("gpt 4o 0806 Inp glbl Tokens", "0.0025"),
            "read": ("gpt 4o 0806 cached Inp glbl Tokens", "0.00125"),
            "output": ("gpt 4o 0806 Outp glbl Tokens", "0.01"),
        },
    ),
    "nova-pro": _Model(
        "bedrock",
        "Amazon",
        "Nova",
        "amazon.nova-pro-v1:0",
        "1",
        _THOUSAND,
        {
            "uncached": ("USE1-NovaPro-input-tokens", "0.0008"),
            "read": ("USE1-NovaPro-cache-read-input-token-count", "0.0002"),
            "output": ("USE1-NovaPro-output-tokens", "0.0032"),
        },
    ),
    "gemini-2.5-flash": _Model(
        "vertex",
        "Google",
        "Gemini",
        "gemini-2.5-flash",
        "2.5",
        _MILLION,
        {  # [B]
            "uncached": ("Gemini 2.5 Flash Text Input - Predictions", "0.30"),
            "read": ("Gemini 2.5 Flash Cached Text Input - Predictions", "0.03"),
            "output": ("Gemini 2.5 Flash Text Output - Predictions", "2.50"),
        },
    ),
}
_RESOURCES = {"azure-openai": "Azure AI Foundry", "bedrock": "Foundation Model", "vertex": "Model Endpoint"}


def tokens(model: str, meter: str, *, price: Decimal | None = None) -> Sku:
    """The SKU of one meter of a model: ``uncached``, ``read``, ``write``, ``output``, or one of them after ``batch-``.

    ``price`` replaces the model's own, for a price that changed.
    """
    told = _MODELS[model]
    name, quoted = told.meters[meter]
    kind = meter.removeprefix("batch-")
    details: dict[str, str | int] = {
        "ModelDeveloper": told.developer,
        "ModelFamily": told.family,
        "ModelId": told.model_id,
        "ModelVersion": told.version,
        "TokenDirection": "Output" if kind == "output" else "Input",
    }
    if kind in ("read", "write"):
        details["TokenCacheAction"] = kind.capitalize()
    elif kind == "uncached" and told.cached_says_uncached:
        details["TokenCacheAction"] = "Uncached"  # the others leave it out: absent means uncached
    if meter != kind:
        details["x_ServiceTier"] = "batch"
    return Sku(
        told.service,
        f"{told.model_id}-{meter}",
        f"{told.model_id}-{meter}-ondemand",
        name,
        Decimal(quoted) if price is None else price,
        told.unit,
        "Tokens",
        per_unit=Decimal("0.000001") if told.unit == _MILLION else Decimal("0.001"),
        resource_type=_RESOURCES.get(told.service, "API Key"),
        description=f"{name} ({told.family})",
        details=details,
        ai="tokens",
    )
