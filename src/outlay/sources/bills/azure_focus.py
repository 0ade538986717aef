"""What Azure's own FOCUS export says in other places, or in other units, than FOCUS.

Three gaps, each told by the row itself, so that an export without it is left as it is:

- **Blocks counted twice.** For a meter priced by the block (10,000 operations, 1,000 tokens) ConsumedQuantity
  counts blocks and PricingQuantity is that number divided by the block size once more: on every such row of
  the FOCUS 1.0 sample bill, ListUnitPrice x *ConsumedQuantity* is ListCost. Both quantities are then read as
  blocks of ``x_PricingUnitDescription``, which makes price x quantity the cost again, and tokens countable. A
  row whose prices fit PricingQuantity is not touched.
- **No price is 0.** ListCost and ContractedCost are 0 for reservations and Marketplace charges. A zero beside
  a cost is unknown.
- **Capacity reservations** stand in ``x_SkuDetails`` only; the reservation itself as the resource is what of
  it went unused.

Sources: Microsoft Learn, "FOCUS conformance summary" of the Cost Management dataset; the FOCUS 1.0 sample
bill of the FinOps Foundation; finops-toolkit's dataset metadata.
"""

from __future__ import annotations

from outlay.sources.raw import RawFile
from outlay.sources.reader import column

__all__ = ["azure_focus_columns"]

_MARKS = ("x_PricingUnitDescription", "x_PricingBlockSize", "x_SkuMeterCategory")
_PRICES = (
    ("ListUnitPrice", "ListCost"),
    ("ContractedUnitPrice", "ContractedCost"),
    ("x_EffectiveUnitPrice", "EffectiveCost"),
)


def azure_focus_columns(raw: RawFile) -> dict[str, str]:
    """FOCUS columns that Azure's export wants read otherwise; empty for any other file."""
    if any(raw.find(mark) is None for mark in _MARKS):
        return {}
    return {**_quantities(raw), **_unknown_costs(raw), **_capacity(raw)}


def _number(raw: RawFile, name: str) -> str:
    """A cell as a float: to compare with, never to store."""
    return f"try_cast({column(raw, name)} AS DOUBLE)"


def _quantities(raw: RawFile) -> dict[str, str]:
    if raw.find("ConsumedQuantity") is None or raw.find("PricingQuantity") is None:
        return {}
    consumed, priced = _number(raw, "ConsumedQuantity"), _number(raw, "PricingQuantity")
    tests = []
    for price, cost in _PRICES:
        if raw.find(price) is None or raw.find(cost) is None:
            continue
        at, is_cost = _number(raw, price), _number(raw, cost)
        misses = (f"abs({at} * {quantity} - {is_cost})" for quantity in (consumed, priced))
        tests.append(f"WHEN {at} > 0 AND {is_cost} <> 0 THEN {' < '.join(misses)}")
    if not tests:
        return {}
    in_blocks = f"coalesce({_number(raw, 'x_PricingBlockSize')} > 1 AND CASE {' '.join(tests)} END, false)"
    block = column(raw, "x_PricingUnitDescription")
    changed = {"PricingQuantity": column(raw, "ConsumedQuantity"), "PricingUnit": block, "ConsumedUnit": block}
    return {
        name: f"CASE WHEN {in_blocks} THEN {sql} ELSE {column(raw, name)} END"
        for name, sql in changed.items()
        if raw.find(name) is not None
    }


def _unknown_costs(raw: RawFile) -> dict[str, str]:
    costs = f"{_number(raw, 'BilledCost')} <> 0 OR {_number(raw, 'EffectiveCost')} <> 0"
    return {
        name: f"CASE WHEN {_number(raw, name)} = 0 AND ({costs}) THEN NULL ELSE {column(raw, name)} END"
        for name in ("ListCost", "ContractedCost")
        if raw.find(name) is not None and raw.find("EffectiveCost") is not None
    }


def _capacity(raw: RawFile) -> dict[str, str]:
    """The columns exist from 1.2 on, but stay empty; what they hold comes first all the same."""
    details, kind = column(raw, "x_SkuDetails"), column(raw, "x_ResourceType")
    if details is None or kind is None:
        return {}
    found = f"nullif(json_extract_string(try_cast({details} AS JSON), '$.VMCapacityReservationId'), '')"
    status = f"""CASE WHEN {found} IS NOT NULL AND {column(raw, "ChargeCategory")} = 'Usage'
        THEN if(lower({kind}) LIKE '%/capacityreservations', 'Unused', 'Used') END"""
    read = {"CapacityReservationId": found, "CapacityReservationStatus": status}
    return {
        name: sql if (given := column(raw, name)) is None else f"coalesce({given}, {sql})" for name, sql in read.items()
    }
