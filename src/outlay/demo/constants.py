"""What stays the same on a line of the bill, under FOCUS' column names.

The table built here has one row a line. Beside the FOCUS columns it holds what the rows are computed with, in
lower case: the price behind each cost, and how many pricing units, consumed units and commitment units one
counted unit is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import pyarrow as pa

from outlay.demo.catalogue import PROVIDERS, REGIONS, SERVICES
from outlay.demo.lines import Line

__all__ = ["COST_COLUMNS", "constants", "price_of"]

COST_COLUMNS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
"""The costs of a row, each a price of the line times the row's pricing quantity."""

_COMPANY = "Synthetic AI Company (generated)"
_CURRENCY = "USD"
_UNIT_PRICE, _PER_UNIT = pa.decimal128(18, 9), pa.decimal128(7, 6)
_COST_PRICE = pa.decimal128(20, 9)
"""Wider than a unit price needs: DuckDB multiplies decimals of up to 18 digits in 64 bits, which overflow."""


def price_of(line: Line, cost: str) -> Decimal:
    """The price that makes the cost column ``cost``: ``ListCost`` is the list price x pricing quantity, and so on."""
    return {
        "BilledCost": line.billed_price,
        "ContractedCost": line.contracted_price,
        "EffectiveCost": line.effective_price,
        "ListCost": line.list_price,
    }[cost]


def constants(lines: Sequence[Line]) -> pa.Table:
    """One row a line; ``line`` is its place in ``lines``."""
    columns: dict[str, pa.Array] = {"line": pa.array(range(len(lines)), pa.int32())}
    for name, text in _TEXT.items():
        columns[name] = pa.array([text(line) for line in lines], pa.string())
    columns["Tags"] = pa.array(
        [None if line.tags is None else list(line.tags.items()) for line in lines], pa.map_(pa.string(), pa.string())
    )
    for name, price in _PRICES.items():
        columns[name] = pa.array([price(line) for line in lines], _UNIT_PRICE)
    columns["per_unit"] = pa.array([line.sku.per_unit for line in lines], _PER_UNIT)
    columns["per_consumed"] = pa.array([line.sku.per_consumed for line in lines], _PER_UNIT)
    columns["per_commitment"] = pa.array([_per_commitment(line) for line in lines], _COST_PRICE)
    for name in COST_COLUMNS:
        columns[f"price_{name}"] = pa.array([price_of(line, name) for line in lines], _COST_PRICE)
    return pa.table(columns)


def _is_priced(line: Line) -> bool:
    """Usage and purchases have a SKU, a price and a quantity; tax and credits are amounts."""
    return line.charge_category in ("Usage", "Purchase")


def _is_consumption(line: Line) -> bool:
    """Usage that was used: FOCUS leaves ConsumedQuantity null on the unused part of a commitment."""
    return line.charge_category == "Usage" and line.commitment_status != "Unused"


def _frequency(line: Line) -> str:
    return {"Usage": "Usage-Based", "Purchase": "Recurring", "Tax": "Recurring", "Credit": "One-Time"}[
        line.charge_category
    ]


def _json(value: Mapping[str, object] | None) -> str | None:
    return json.dumps(value, separators=(",", ":"), sort_keys=True) if value else None


def _eligibility(line: Line) -> str | None:
    return (
        _json({"CommitmentPrograms": [{"ProgramType": program} for program in line.eligible]})
        if line.eligible
        else None
    )


def _provider(line: Line) -> str:
    return SERVICES[line.sku.service].provider


def _commitment_unit(line: Line) -> str | None:
    if line.commitment is None:
        return None
    return _CURRENCY if line.commitment.category == "Spend" else line.sku.pricing_unit


_TEXT: dict[str, Callable[[Line], str | None]] = {
    "service": lambda line: line.sku.service,
    "tags_json": lambda line: _json(line.tags),
    "AllocatedMethodDetails": lambda line: None,
    "AllocatedMethodId": lambda line: None,
    "AllocatedResourceId": lambda line: None,
    "AllocatedResourceName": lambda line: None,
    "AllocatedTags": lambda line: None,
    "AvailabilityZone": lambda line: REGIONS[line.region].zone if line.region and line.resource_id else None,
    "BillingAccountId": lambda line: PROVIDERS[_provider(line)].account_id,
    "BillingAccountName": lambda line: _COMPANY,
    "BillingAccountType": lambda line: PROVIDERS[_provider(line)].account_type,
    "BillingCurrency": lambda line: _CURRENCY,
    "CapacityReservationId": lambda line: line.capacity_id,
    "CapacityReservationStatus": lambda line: line.capacity_status,
    "ChargeCategory": lambda line: line.charge_category,
    "ChargeClass": lambda line: None,
    "ChargeDescription": lambda line: line.description or line.sku.description,
    "ChargeFrequency": _frequency,
    "CommitmentDiscountCategory": lambda line: line.commitment.category if line.commitment else None,
    "CommitmentDiscountId": lambda line: line.commitment.commitment_id if line.commitment else None,
    "CommitmentDiscountName": lambda line: line.commitment.name if line.commitment else None,
    "CommitmentDiscountStatus": lambda line: line.commitment_status,
    "CommitmentDiscountType": lambda line: line.commitment.kind if line.commitment else None,
    "CommitmentDiscountUnit": _commitment_unit,
    "CommitmentProgramEligibilityDetails": _eligibility,
    "ConsumedUnit": lambda line: line.sku.consumed_unit if _is_consumption(line) else None,
    "ContractApplied": lambda line: None,
    "HostProviderName": _provider,
    "InvoiceIssuerName": lambda line: PROVIDERS[_provider(line)].issuer,
    "PricingCategory": lambda line: line.pricing_category if _is_priced(line) else None,
    "PricingCurrency": lambda line: _CURRENCY,
    "PricingUnit": lambda line: line.sku.pricing_unit if _is_priced(line) else None,
    "RegionId": lambda line: REGIONS[line.region].region_id if line.region else None,
    "RegionName": lambda line: REGIONS[line.region].name if line.region else None,
    "ResourceId": lambda line: line.resource_id,
    "ResourceName": lambda line: line.resource_name if line.resource_id else None,
    "ResourceType": lambda line: (line.resource_type or line.sku.resource_type) if line.resource_id else None,
    "ServiceCategory": lambda line: SERVICES[line.sku.service].category,
    "ServiceName": lambda line: SERVICES[line.sku.service].name,
    "ServiceProviderName": _provider,
    "ServiceSubcategory": lambda line: SERVICES[line.sku.service].subcategory,
    "SkuId": lambda line: line.sku.sku_id if _is_priced(line) else None,
    "SkuMeter": lambda line: line.sku.meter if _is_priced(line) else None,
    "SkuPriceDetails": lambda line: _json(line.sku.details) if _is_priced(line) else None,
    "SkuPriceId": lambda line: line.sku.price_id if _is_priced(line) else None,
    "SubAccountId": lambda line: line.account.account_id,
    "SubAccountName": lambda line: line.account.name,
    "SubAccountType": lambda line: PROVIDERS[_provider(line)].sub_account_type,
}


def _per_commitment(line: Line) -> Decimal | None:
    """Commitment units per pricing unit: money for a spend commitment, the unit itself for a usage commitment."""
    if line.commitment is None:
        return None
    return line.commitment.rate if line.commitment.category == "Spend" else Decimal(1)


_PRICES: dict[str, Callable[[Line], Decimal | None]] = {
    "ContractedUnitPrice": lambda line: line.contracted_price if _is_priced(line) else None,
    "ListUnitPrice": lambda line: line.list_price if _is_priced(line) else None,
    "PricingCurrencyContractedUnitPrice": lambda line: line.contracted_price if _is_priced(line) else None,
    "PricingCurrencyListUnitPrice": lambda line: line.list_price if _is_priced(line) else None,
}
