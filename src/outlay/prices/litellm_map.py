"""LiteLLM's price map, ``model_prices_and_context_window.json`` (MIT, BerriAI/litellm): a second list to check against.

A flat object, a model a key, prices per token as JSON numbers. A field's name says everything: what is counted, then
``_above_200k_tokens`` for the price above a size, then ``_batches``, ``_priority`` or ``_flex``. It names its provider,
and the key repeats it (``gemini/gemini-2.5-pro``), mostly.

The traps: the map is not dated, so it can be checked against the prices of about its own day only; 0 stands for *free*
and for *not known*, so it is not taken for a price; off-peak hours and ``tiered_pricing`` lists are not read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.errors import UnreadableError

__all__ = ["LitellmMap", "LitellmModel", "PriceKey", "read_litellm"]

_METERS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
}
_CONTEXTS = {
    None: "",
    "batches": "processing=batch",
    "priority": "service_tier=priority",
    "flex": "service_tier=flex",
}
_FIELD = re.compile(
    rf"({'|'.join(sorted(_METERS, key=len, reverse=True))})(?:_above_(\d+)k_tokens)?(?:_(batches|priority|flex))?"
)
_PROVIDERS = {
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "github_copilot": "github-copilot",
    "moonshot": "moonshotai",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "voyage": "voyageai",
    "xai": "x-ai",
}
"""LiteLLM's names where they are not genai-prices' own."""

PriceKey = tuple[str, str, int | None]
"""A meter, a context as a column holds it, and the size above which the price holds."""


@dataclass(frozen=True, slots=True)
class LitellmModel:
    """One entry. ``provider`` is genai-prices' name for it or LiteLLM's, ``source`` what the entry itself cites."""

    key: str
    provider: str
    model: str
    prices: Mapping[PriceKey, Decimal]
    source: str | None
    deprecated: date | None


@dataclass(frozen=True, slots=True)
class LitellmMap:
    """The entries that have a price by the token, and the file's name with its hash."""

    models: tuple[LitellmModel, ...]
    version: str


def read_litellm(path: Path) -> LitellmMap:
    """The map at ``path``. Raises :class:`UnreadableError` where it is no such file; odd entries are left out."""
    try:
        content = path.read_bytes()
        found = json.loads(content, parse_float=Decimal)
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableError(f"can't be read: {error}.", where=str(path), hint="Check --litellm.") from None
    models = tuple(_models(found)) if isinstance(found, dict) else ()
    if not models:
        raise UnreadableError(
            "holds no entry with a litellm_provider and a price by the token.",
            where=str(path),
            hint="Give LiteLLM's model_prices_and_context_window.json.",
        )
    return LitellmMap(models, f"{path.name} {hashlib.sha256(content).hexdigest()[:12]}")


def _models(entries: Mapping[str, Any]) -> Iterator[LitellmModel]:
    for key, entry in entries.items():
        if key == "sample_spec" or not isinstance(entry, dict) or not isinstance(entry.get("litellm_provider"), str):
            continue
        prices = dict(_prices(entry))
        if prices:
            source = entry.get("source")
            yield LitellmModel(
                key=key,
                provider=_provider(entry["litellm_provider"]),
                model=_model(key, entry["litellm_provider"]),
                prices=prices,
                source=source if isinstance(source, str) else None,
                deprecated=_date(entry.get("deprecation_date")),
            )


def _prices(entry: Mapping[str, Any]) -> Iterator[tuple[PriceKey, Decimal]]:
    for name, value in entry.items():
        field = _FIELD.fullmatch(name)
        if field is None or isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            continue
        price = Decimal(value)
        if price.is_finite() and 0 < price < 1:
            base, thousands, suffix = field.groups()
            yield (_METERS[base], _CONTEXTS[suffix], int(thousands) * 1000 if thousands else None), price


def _provider(name: str) -> str:
    folded = name.strip().lower()
    return "google" if folded.startswith("vertex_ai") else _PROVIDERS.get(folded, folded)


def _model(key: str, provider: str) -> str:
    """The key without the provider before its first slash."""
    head, slash, rest = key.partition("/")
    known = {provider, provider.partition("-")[0], provider.removesuffix("_converse"), provider.removesuffix("_chat")}
    return rest if slash and head in known else key


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
