"""Azure's own FOCUS exports are read as FOCUS, with the three things put right that they say otherwise."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.sources.bills.azure_cost import AzureCostReader
from outlay.sources.bills.azure_focus import azure_focus_columns
from outlay.sources.bills.focus import FocusReader
from outlay.sources.opening import open_raw
from tests.shared import shared
from tests.sources.bills.reading import canonical_rows, control_totals, rejected_rows

VERSIONS = ("1.0", "1.2-preview")
COMMON = {
    "BillingAccountId": "90000001", "BillingCurrency": "USD", "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z", "ChargePeriodStart": "2026-10-03T00:00:00Z",
    "ChargePeriodEnd": "2026-10-04T00:00:00Z", "ChargeCategory": "Usage", "ProviderName": "Microsoft",
    "PublisherName": "Microsoft", "InvoiceIssuerName": "Microsoft", "PricingCategory": "Standard",
    "ServiceName": "Azure AI Services", "ServiceCategory": "AI and Machine Learning", "Tags": '{"team":"search"}',
}  # fmt: skip
MACHINE = {
    "ServiceName": "Virtual Machines", "ServiceCategory": "Compute", "x_SkuMeterCategory": "Virtual Machines",
    "x_SkuMeterName": "ND96isr H100 v5", "SkuMeter": "ND96isr H100 v5", "x_PricingUnitDescription": "1 Hour",
    "x_PricingBlockSize": "1", "PricingUnit": "Hours", "ConsumedUnit": "Hours", "PricingQuantity": "24",
    "ConsumedQuantity": "24", "x_ResourceType": "Microsoft.Compute/virtualMachines",
    "x_SkuDetails": '{"ServiceType":"Standard_ND96isr_H100_v5"}',
}  # fmt: skip
TOKENS = {  # 120,000 blocks of 1K tokens at 0.005 a block
    "x_SkuMeterCategory": "Azure OpenAI", "x_SkuMeterName": "gpt 4o 0513 Input global Tokens",
    "SkuMeter": "gpt 4o 0513 Input global Tokens", "x_PricingUnitDescription": "1K", "x_PricingBlockSize": "1000",
    "PricingUnit": "Units", "ConsumedUnit": "Units", "ConsumedQuantity": "120000", "PricingQuantity": "120",
    "ListUnitPrice": "0.005", "ContractedUnitPrice": "0.005", "BilledCost": "600", "EffectiveCost": "600",
    "ListCost": "600", "ContractedCost": "600",
}  # fmt: skip
ROWS: list[dict[str, str]] = [
    TOKENS,
    {
        **MACHINE, "PricingCategory": "Committed", "CommitmentDiscountStatus": "Used", "BilledCost": "0",
        "CommitmentDiscountId": "/providers/Microsoft.Capacity/reservationOrders/1/reservations/2",
        "EffectiveCost": "1200", "ListCost": "0", "ContractedCost": "0", "ListUnitPrice": "0",
    },
    {
        **MACHINE, "x_ResourceType": "Microsoft.Compute/capacityReservationGroups/capacityReservations",
        "x_SkuDetails": '{"ServiceType":"Standard_ND96isr_H100_v5","VMCapacityReservationId":"crg-1"}',
        "BilledCost": "2160", "EffectiveCost": "2160", "ListCost": "2359.68", "ContractedCost": "2160",
        "ListUnitPrice": "98.32",
    },
    {  # as FOCUS wants it: 120,000,000 units, priced by 120,000 blocks
        **TOKENS, "ConsumedQuantity": "120000000", "PricingQuantity": "120000",
    },
    {
        **TOKENS, "BilledCost": "0", "EffectiveCost": "0", "ListCost": "0", "ContractedCost": "0",
        "ConsumedQuantity": "0", "PricingQuantity": "0",
    },
]  # fmt: skip


def header(version: str) -> list[str]:
    path = shared(f"data/focus/azure_finops_toolkit/FocusCost_{version}.json")
    return [column["ColumnName"] for column in json.loads(path.read_text(encoding="utf-8"))["Columns"]]


@pytest.fixture(params=VERSIONS)
def export(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A few rows under every column that Microsoft's dictionary of the version has."""
    names = header(request.param)
    path = tmp_path / "focus.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows([{**COMMON, **row} for row in ROWS])
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return canonical_rows(path, FocusReader())


def test_it_is_focus_and_not_cost_details(export: Path) -> None:
    raw = open_raw(export)
    assert FocusReader().recognises(raw)
    assert not AzureCostReader().recognises(raw)
    assert rejected_rows(export, FocusReader()) == []


def test_the_version_is_the_one_that_the_dictionary_names(tmp_path: Path) -> None:
    """Its 1.0 has BillingAccountType and SubAccountType, which came with FOCUS 1.2."""
    for version, read_as in (("1.0", "FOCUS 1.0"), ("1.2-preview", "FOCUS 1.2")):
        names = header(version)
        assert {"BillingAccountType", "SubAccountType"} <= set(names)
        path = tmp_path / "focus.csv"
        path.write_text(",".join(names) + "\n" + "," * (len(names) - 1) + "\n", encoding="utf-8")
        assert FocusReader().mapping(open_raw(path)).version == read_as


def test_costs_are_read_as_they_stand(export: Path) -> None:
    rows = rows_of(export)
    assert [row["BilledCost"] for row in rows] == [600, 0, 2160, 600, 0]
    assert [row["EffectiveCost"] for row in rows] == [600, 1200, 2160, 600, 0]
    totals = control_totals(export, FocusReader())
    assert totals["BilledCost"] == 3360
    assert totals["EffectiveCost"] == 4560
    assert rows[0]["x_Tag_team"] == "search"
    assert {row["ServiceProviderName"] for row in rows} == {"Microsoft"}


def test_blocks_counted_twice_are_blocks_once(export: Path) -> None:
    tokens = rows_of(export)[0]
    assert (tokens["PricingQuantity"], tokens["PricingUnit"]) == (120_000, "1K")
    assert tokens["ListUnitPrice"] * tokens["PricingQuantity"] == tokens["ListCost"]
    assert tokens["x_Tokens"] == 120_000_000
    assert (tokens["x_ModelId"], tokens["x_TokenDirection"]) == ("gpt-4o", "Input")


def test_quantities_that_fit_their_price_are_left_alone(export: Path) -> None:
    right = rows_of(export)[3]
    assert (right["PricingQuantity"], right["PricingUnit"]) == (120_000, "Units")
    assert (right["ConsumedQuantity"], right["ConsumedUnit"]) == (120_000_000, "Units")
    assert right["ListUnitPrice"] * right["PricingQuantity"] == right["ListCost"]


def test_no_price_is_not_a_price_of_zero(export: Path) -> None:
    rows = rows_of(export)
    assert (rows[1]["ListCost"], rows[1]["ContractedCost"]) == (None, None)
    assert (rows[2]["ListCost"], rows[2]["ContractedCost"]) == (Decimal("2359.68"), 2160)
    assert rows[4]["ListCost"] == 0, "nothing was used, and nothing is what it lists at"


def test_gpu_hours_and_reserved_capacity(export: Path) -> None:
    used, unused = rows_of(export)[1:3]
    assert (used["x_GpuType"], used["x_GpuHours"]) == ("H100", 192)
    assert used["CapacityReservationStatus"] is None
    assert (unused["CapacityReservationId"], unused["CapacityReservationStatus"]) == ("crg-1", "Unused")
    assert unused["x_GpuHours"] is None


def test_the_real_sample_shows_that_consumed_quantity_counts_blocks() -> None:
    """The fact behind it: price x ConsumedQuantity is the cost on all 51 Azure rows, price x PricingQuantity on few."""
    path = shared("data/focus/focus_sample_data/focus_sample_1000_v1.0.csv")
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["ProviderName"] == "Microsoft"]
    assert len(rows) == 51

    def fits(quantity: str) -> int:
        misses = [abs(Decimal(r["ListUnitPrice"]) * Decimal(r[quantity]) - Decimal(r["ListCost"])) for r in rows]
        return sum(miss < Decimal("1e-8") for miss in misses)

    assert fits("ConsumedQuantity") == 51
    assert fits("PricingQuantity") == sum(
        row["PricingUnit"] != "Units" or Decimal(row["ListCost"]) == 0 for row in rows
    )


def test_other_focus_files_are_not_touched() -> None:
    raw = open_raw(shared("data/focus/focus_sample_data/focus_sample_1000_v1.0.csv"))
    assert azure_focus_columns(raw) == {}
