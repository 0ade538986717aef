"""Is this charge AI, and what did it buy?

No bill has a column for it. The evidence is spread over eleven FOCUS columns, and each bill fills others of
them; so a row is judged by the strongest evidence it has, and says which (``reason``):

1. an accelerator: a GPU instance, a GPU or TPU billed by itself (:mod:`.recognition.instances`) ->
   ``gpu_compute``
2. FOCUS' draft keys of a model in SkuPriceDetails, or a unit or meter of language-model tokens
   (:mod:`.recognition.tokens`) -> ``tokens``
3. a service, provider or ServiceCategory that is AI as a whole (:mod:`.recognition.services`) ->
   ``provisioned_throughput``, ``ml_platform`` or ``ai_other``

An accelerator comes first because ServiceCategory misses it: the GPU rows of real bills are filed under
Compute.

Nothing is guessed. Where the bill does not say a direction, a model or a block size, the field is None, and a
figure that needs it is later reported as not computable. ``workload_kind`` is ``other`` where the SKU can't
tell training from inference (a plain GPU VM); the row's tags may know better and are read elsewhere.

:func:`recognise` is pure and runs once a distinct SKU. What each provider writes is in
``docs/reference/recognition.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from outlay.ledger.units import Unit, parse_unit
from outlay.sources.recognition.instances import Accelerator, accelerator_of
from outlay.sources.recognition.models import MODEL_KEYS, Model, model_of
from outlay.sources.recognition.services import AiService, ai_service, service_workload
from outlay.sources.recognition.sku import NOT_AI, SKU_COLUMNS, Recognised, Sku, price_details, shortened
from outlay.sources.recognition.tokens import TokenMeter, keyed_meter, named_meter, tokens_per_unit

__all__ = ["SKU_COLUMNS", "Recognised", "Sku", "recognise"]

_TOKEN_KEYS = ("tokendirection", "tokencacheaction", "tokentype")
_OTHER_TOKENS = re.compile(
    r"\bm2m\b|oauth|\b(?:access|refresh|security|session|api|auth\w*)[ -]tokens?\b", re.IGNORECASE
)
_OTHER_TOKEN_CATEGORIES = ("Identity", "Security")
_PROVISIONED = re.compile(
    r"provisioned ?(?:managed|throughput)|modelunits?|model units?\b|\bptus?\b|\bgsus?\b|scale tier"
    r"|reserved[-_ ](?:\d+month[-_ ])?(?:input|output)[-_ ]?tpm|\btpm\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Row:
    """A SKU with everything that is read from it once."""

    sku: Sku
    details: dict[str, str]
    pricing: Unit
    consumed: Unit
    service: AiService | None
    meters: tuple[str, ...]
    description: str

    @property
    def texts(self) -> tuple[str, ...]:
        return (*self.meters, self.description) if self.description else self.meters


def recognise(sku: Sku) -> Recognised:
    """What ``sku`` is, as far as its columns say. Never raises, whatever they hold."""
    sku = shortened(sku)
    details = price_details(sku.SkuPriceDetails)
    row = _Row(
        sku=sku,
        details=details,
        pricing=parse_unit(sku.PricingUnit or ""),
        consumed=parse_unit(sku.ConsumedUnit or ""),
        service=ai_service(sku),
        meters=tuple(filter(None, (sku.SkuMeter, sku.SkuId, details.get("usagetype")))),
        description=sku.ChargeDescription or "",
    )
    accelerator = accelerator_of(sku, details, row.pricing)
    if accelerator:
        return _gpu_compute(row, accelerator)
    model_key = next((key for key in (*MODEL_KEYS, *_TOKEN_KEYS) if key in details), None)
    unit_says = _unit_says_tokens(row)
    if row.service is None and model_key is None and not unit_says and not _mentions_tokens(row):
        return NOT_AI
    meter = keyed_meter(details, _meter(row))
    model = model_of(sku, details, is_tokens=meter.says_tokens or unit_says)
    brand = meter.says_tokens and meter.direction and model.developer
    if row.service is None and model_key is None and not unit_says and not brand:
        return NOT_AI
    reason = _reason(row, model_key, unit_says=unit_says)
    if meter.is_storage or "token_hours" in (row.pricing.kind, row.consumed.kind):
        return _of_model(model, reason, "tokens", "inference")
    if not unit_says and _PROVISIONED.search(" | ".join(row.texts)):
        return _of_model(model, reason, "provisioned_throughput", "inference", meter=TokenMeter(tier="provisioned"))
    if _buys_tokens(row, meter, model):
        workload = "training" if meter.is_training else "inference"
        return _of_model(model, reason, "tokens", workload, meter=meter, per_units=_tokens_per_units(row))
    category = row.service.category if row.service and not model.id else "ai_other"
    return _of_model(model, reason, category, service_workload(row.service, *row.texts) or "other")


def _gpu_compute(row: _Row, accelerator: Accelerator) -> Recognised:
    return Recognised(
        is_ai=True,
        ai_category="gpu_compute",
        workload_kind=service_workload(row.service, *row.texts) or "other",
        instance_type=accelerator.instance_type,
        gpu_type=accelerator.gpu_type,
        gpu_count=accelerator.count,
        gpu_hours_per_pricing_unit=accelerator.hours_per_unit,
        reason=accelerator.reason,
    )


def _of_model(
    model: Model,
    reason: str,
    category: str,
    workload: str,
    *,
    meter: TokenMeter | None = None,
    per_units: tuple[Decimal | None, Decimal | None] = (None, None),
) -> Recognised:
    return Recognised(
        is_ai=True,
        ai_category=category,
        workload_kind=workload,
        model_developer=model.developer,
        model_family=model.family,
        model_id=model.id,
        model_version=model.version,
        token_direction=meter.direction if meter else None,
        token_cache_action=meter.cache_action if meter else None,
        service_tier=meter.tier if meter else None,
        tokens_per_pricing_unit=per_units[0],
        tokens_per_consumed_unit=per_units[1],
        reason=reason,
    )


def _tokens_per_units(row: _Row) -> tuple[Decimal | None, Decimal | None]:
    """Tokens in one pricing unit and in one consumed unit. A text that gives the block speaks of the priced unit."""
    pricing, consumed = row.sku.PricingUnit, row.sku.ConsumedUnit
    per_pricing = tokens_per_unit(row.pricing, *row.texts) if pricing else None
    if consumed == pricing:
        return per_pricing, per_pricing
    return per_pricing, tokens_per_unit(row.consumed) if consumed else None


def _unit_says_tokens(row: _Row) -> bool:
    """A unit counts language-model tokens: not a vendor's currency (a bare ``Token``), nor an identity service's."""
    counted = [unit for unit in (row.pricing, row.consumed) if unit.kind == "tokens"]
    if not any(unit.block > 1 or unit.name != "Token" for unit in counted):
        return False
    if row.sku.ServiceCategory in _OTHER_TOKEN_CATEGORIES:
        return False
    return not _OTHER_TOKENS.search(" | ".join((*row.texts, *(unit.name for unit in counted))))


def _mentions_tokens(row: _Row) -> bool:
    return any("token" in text.casefold() for text in row.meters)


def _meter(row: _Row) -> TokenMeter:
    """The row's texts read as one meter: each question goes to the first text that answers it, the description last."""
    read = [named_meter(text) for text in row.texts]
    if not read:
        return TokenMeter()
    directed = next((one for one in read if one.direction), read[0])
    tiers = [one.tier for one in read if one.tier != "standard"]
    proper = read[: len(row.meters)] or read
    return TokenMeter(
        says_tokens=any(one.says_tokens for one in read),
        is_storage=any(one.is_storage for one in read),
        direction=directed.direction,
        cache_action=directed.cache_action,
        tier=tiers[0] if tiers else "standard",
        is_training=any(one.is_training for one in proper),
    )


def _buys_tokens(row: _Row, meter: TokenMeter, model: Model) -> bool:
    """The unit counts tokens; or the meter does and the unit is a bare number, missing, or could count anything."""
    if "tokens" in (row.pricing.kind, row.consumed.kind):
        return True
    if row.pricing.kind in ("units", "count"):
        return meter.says_tokens
    says = meter.says_tokens or model.id is not None
    return row.pricing.kind in ("unknown", "requests") and says and meter.direction is not None


def _reason(row: _Row, model_key: str | None, *, unit_says: bool) -> str:
    if model_key:
        return "SkuPriceDetails." + _KEY_NAMES[model_key]
    if row.service:
        return row.service.reason
    if unit_says:
        return f"unit {row.sku.PricingUnit if row.pricing.kind == 'tokens' else row.sku.ConsumedUnit}"
    return f"token meter {row.meters[0]}"


_KEY_NAMES = {
    "modelid": "ModelId", "modelfamily": "ModelFamily",
    "modeldeveloper": "ModelDeveloper", "modelversion": "ModelVersion",
    "tokendirection": "TokenDirection", "tokencacheaction": "TokenCacheAction", "tokentype": "TokenType",
}  # fmt: skip
