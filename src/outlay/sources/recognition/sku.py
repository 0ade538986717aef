"""What a bill says about a SKU, and what was understood of it.

The eleven columns of :class:`Sku` are all that recognition looks at, so it runs once a distinct SKU and not
once a row.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from decimal import Decimal

__all__ = [
    "GPU_HOURS_SCALE",
    "NOT_AI",
    "NOT_IN_TABLE",
    "SKU_COLUMNS",
    "Recognised",
    "Sku",
    "price_details",
    "shortened",
]

GPU_HOURS_SCALE = 12
"""Decimals of ``gpu_hours_per_pricing_unit``: what the ledger multiplies by a quantity within 38 digits."""


@dataclass(frozen=True, slots=True)
class Sku:
    """FOCUS values of one SKU, after the reader has mapped a native bill into FOCUS columns. Missing is None."""

    ServiceProviderName: str | None = None
    ServiceName: str | None = None
    ServiceCategory: str | None = None
    ServiceSubcategory: str | None = None
    SkuId: str | None = None
    SkuMeter: str | None = None
    SkuPriceDetails: str | None = None
    PricingUnit: str | None = None
    ConsumedUnit: str | None = None
    ResourceType: str | None = None
    ChargeDescription: str | None = None


SKU_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Sku))
"""The FOCUS columns of a :class:`Sku`, in the order of its fields."""


_LONGEST_TEXT = 1000
"""Characters of a column that are looked at. A meter's name takes a tenth of it; a hostile bill may hold megabytes."""


def shortened(sku: Sku) -> Sku:
    """``sku`` with its texts cut to what is looked at; SkuPriceDetails, which is JSON, stays whole."""
    values = [getattr(sku, name) for name in SKU_COLUMNS]
    if all(value is None or len(value) <= _LONGEST_TEXT for value in values):
        return sku
    return Sku(
        *(
            value[:_LONGEST_TEXT] if value and name != "SkuPriceDetails" else value
            for name, value in zip(SKU_COLUMNS, values, strict=True)
        )
    )


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a SKU is, as far as the bill says it. None means that the bill does not say.

    - ``ai_category``: tokens, provisioned_throughput, gpu_compute, ml_platform, ai_other; None when not AI.
    - ``workload_kind``: training, inference, data, other; None when not AI.
    - ``token_direction`` Input, Output; ``token_cache_action`` Read, Write, Uncached (input only);
      ``service_tier`` standard, batch, flex, priority, provisioned. All FOCUS' or the providers' own words.
    - tokens = PricingQuantity x ``tokens_per_pricing_unit`` = ConsumedQuantity x
      ``tokens_per_consumed_unit``.
    - ``gpu_count``: accelerators of one instance, at four decimals as the ledger keeps it.
    - GPU-hours = PricingQuantity x ``gpu_hours_per_pricing_unit`` (at :data:`GPU_HOURS_SCALE` decimals); None
      where the unit is not time, or the SKU is a fee or reserved capacity that stood unused.
    - ``reason``: what on the row decided it.
    """

    is_ai: bool
    ai_category: str | None = None
    workload_kind: str | None = None
    model_developer: str | None = None
    model_family: str | None = None
    model_id: str | None = None
    model_version: str | None = None
    token_direction: str | None = None
    token_cache_action: str | None = None
    service_tier: str | None = None
    tokens_per_pricing_unit: Decimal | None = None
    tokens_per_consumed_unit: Decimal | None = None
    instance_type: str | None = None
    gpu_type: str | None = None
    gpu_count: Decimal | None = None
    gpu_hours_per_pricing_unit: Decimal | None = None
    reason: str = ""

    @property
    def is_unknown_gpu_instance(self) -> bool:
        """The row rents an accelerated instance whose accelerators nobody told: its GPU-hours are not counted."""
        return self.gpu_count is None and self.reason.endswith(NOT_IN_TABLE)

    @property
    def consumed_is_tokens(self) -> bool:
        """ConsumedQuantity counts tokens (or whole blocks of them), so it needs no help from PricingUnit."""
        return self.tokens_per_consumed_unit is not None


NOT_IN_TABLE = "which is not in the GPU table"
"""How the reason ends where an instance type is unknown."""

NOT_AI = Recognised(is_ai=False, reason="nothing on the row says AI")

_KEY_NOISE = re.compile(r"^x_|[_\s-]")


def price_details(text: str | None) -> dict[str, str]:
    """SkuPriceDetails as ``{key: value}``; empty when it is not JSON.

    Keys are in lower case, without ``x_`` and separators: FOCUS 1.1-1.4 reserve ``x_`` for keys of the provider's own,
    and the draft's AI keys stand in bills with and without it. Values that are not scalars are left out.
    """
    if not text or "{" not in text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        _KEY_NOISE.sub("", str(key).casefold()): str(value).strip()[:_LONGEST_TEXT]
        for key, value in found.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip()
    }
