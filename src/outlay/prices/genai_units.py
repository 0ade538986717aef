"""The units of ``genai-prices`` and where each meter stands among them.

The package prices units by dimensions (family, direction, modality, kind of token, time to live of a cache), and a
price holds for whatever a more specific priced unit does not take.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from outlay.ledger.meters import FEE_METERS, METERS, MODALITIES

if TYPE_CHECKING:
    from genai_prices.units import UnitDef

__all__ = ["dimensions_of_meters", "stand_in", "units"]

_TOKEN_TYPES: dict[str, dict[str, str]] = {
    "input": {"direction": "input"},
    "cache_read": {"direction": "input", "token_type": "cache_read"},
    "cache_write": {"direction": "input", "token_type": "cache_write"},
    "cache_write_5m": {"direction": "input", "token_type": "cache_write", "cache_ttl": "5m"},
    "cache_write_1h": {"direction": "input", "token_type": "cache_write", "cache_ttl": "1h"},
    "tool_input": {"direction": "input", "token_type": "tool"},
    "output": {"direction": "output"},
    "output_reasoning": {"direction": "output", "token_type": "reasoning"},
}


@cache
def units() -> dict[str, UnitDef]:
    """The package's units by the key that prices them."""
    from genai_prices.data_units import unit_data
    from genai_prices.units import UnitRegistry

    return {unit.price_key: unit for unit in UnitRegistry(unit_data).units.values()}


@cache
def dimensions_of_meters() -> dict[str, Mapping[str, str]]:
    """Where each meter stands in the package's hierarchy."""
    by_usage = {unit.usage_key: unit.dimensions for unit in units().values()}
    found: dict[str, Mapping[str, str]] = {fee: by_usage[fee] for fee in FEE_METERS if fee in by_usage}
    for kind, dimensions in _TOKEN_TYPES.items():
        tokens = {"family": "tokens", **dimensions}
        found[kind] = tokens
        for modality in MODALITIES:
            if f"{kind}_{modality}" in METERS:
                found[f"{kind}_{modality}"] = {**tokens, "modality": modality}
    return found


def stand_in(wanted: Mapping[str, str], priced: Mapping[str, str]) -> str | None:
    """The meter whose price is used for a cache meter that has none of its own."""
    if not wanted.get("token_type", "").startswith("cache_"):
        return None
    if "token_type" not in priced:
        return "input"
    return "cache_write_5m" if wanted.get("cache_ttl") == "1h" and "cache_ttl" not in priced else None
