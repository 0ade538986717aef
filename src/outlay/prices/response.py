"""A provider's whole response: the usage object in it, and what else it tells of the call's price."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from outlay.errors import UsageError
from outlay.prices.server_tools import server_tools
from outlay.prices.usage_shapes import CONTEXT, ORDINARY, WRAPPERS

__all__ = ["hidden_tier", "reported_cost", "unwrapped"]


_TELLING = frozenset(key for keys in CONTEXT.values() for key in keys)
_WRAPPING = frozenset(WRAPPERS)


def unwrapped(raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, str], dict[str, int]]:
    """The usage object within a response, the price context that both tell (the inner one is the nearer), the tools."""
    if not isinstance(raw, Mapping):
        raise UsageError(f"usage is {type(raw).__name__}, not an object.", hint="Give the provider's usage object.")
    found: dict[str, str] = {}
    tools: dict[str, int] = {}
    while True:
        tools |= server_tools(raw)
        if not _TELLING.isdisjoint(raw):
            for name, keys in CONTEXT.items():
                for key in keys:
                    if isinstance(raw.get(key), str):
                        found[name] = raw[key].strip().lower()
        if _WRAPPING.isdisjoint(raw):
            break
        inside = next((raw[key] for key in WRAPPERS if isinstance(raw.get(key), Mapping)), None)
        if inside is None:
            break
        raw = inside
    context = {name: value for name, value in found.items() if value not in ORDINARY}
    if context.get("service_tier") == "batch":  # Anthropic's word for what price lists call processing
        context["processing"] = context.pop("service_tier")
    if context.get("traffic_type", "").startswith("on_demand_"):  # Vertex: ON_DEMAND_FLEX, ON_DEMAND_PRIORITY
        context["service_tier"] = context.pop("traffic_type").removeprefix("on_demand_")
    return raw, context, tools


def hidden_tier(usage: Mapping[str, Any]) -> dict[str, str]:
    """The service tier that LangChain hides in the names of an input's parts."""
    parts = usage.get("input_token_details")
    tier = next((one for one in ("priority", "flex") if isinstance(parts, Mapping) and one in parts), None)
    return {"service_tier": tier} if tier else {}


def reported_cost(usage: Mapping[str, Any]) -> Decimal | None:
    """OpenRouter's ``cost``. With a key of one's own it is only OpenRouter's fee: the upstream's cost comes on top."""
    if "cost" not in usage:
        return None
    details = usage.get("cost_details")
    upstream = details.get("upstream_inference_cost") if isinstance(details, Mapping) else None
    parts = [usage.get("cost"), upstream if usage.get("is_byok") is True else None]
    said = [Decimal(str(part)) for part in parts if isinstance(part, (int, float, Decimal))]
    return sum(said, Decimal(0)) if isinstance(usage["cost"], (int, float, Decimal)) else None
