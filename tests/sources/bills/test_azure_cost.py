"""Azure cost details become FOCUS to the last digit, whatever the agreement; what they do not say stays empty."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.ledger.tables.costs import focus_columns, subcategory_parents
from outlay.sources.bills.azure_cost import AzureCostReader
from outlay.sources.bills.reference_table import reference_rows
from outlay.sources.loading import load
from outlay.sources.opening import open_raw
from tests.shared import shared
from tests.sources.bills.reading import HEADER_ROWS, canonical_rows, control_totals, rejected_rows, without_header

FIXTURES = Path(__file__).parents[2] / "fixtures" / "azure_cost"
READER = AzureCostReader()
SAMPLES = {
    "data/focus/focus_converters/sample-anonymous-ea-export-dataset.csv": "CostInBillingCurrency",
    "data/focus/azure_finops_toolkit/EA_ActualCost_Small.csv": "Cost",
    "data/focus/azure_finops_toolkit/EA_AmortizedCost_Small.csv": "Cost",
}
ACTUAL, AMORTISED, USAGE_ONLY = "ea_actual.csv", "mca_amortized.csv", "payg_usage.csv"


@cache
def fixture(name: str) -> list[dict[str, Any]]:
    return canonical_rows(FIXTURES / name, READER)


def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


def total(rows: list[dict[str, Any]], name: str) -> Decimal:
    return sum((row[name] for row in rows if row[name] is not None), Decimal(0))


def as_stored(amount: str) -> Decimal:
    """A printed amount at the ledger's 18 decimals."""
    with localcontext(prec=60):
        return Decimal(amount).quantize(Decimal("1e-18"), rounding=ROUND_HALF_UP)


def printed(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


# --- the real exports -------------------------------------------------------------------------------------------------


@cache
def sample(relative: str) -> list[dict[str, Any]]:
    return canonical_rows(shared(relative), READER)


@pytest.mark.parametrize("relative", SAMPLES)
def test_every_row_of_a_real_export_is_read(relative: str) -> None:
    path = shared(relative)
    assert READER.recognises(open_raw(path))
    assert rejected_rows(path, READER) == []
    assert len(sample(relative)) == len(printed(path))


@pytest.mark.parametrize(("relative", "cost"), SAMPLES.items())
def test_a_real_export_sums_to_what_its_csv_sums_to(relative: str, cost: str) -> None:
    path = shared(relative)
    rows, cells = sample(relative), printed(path)
    covered = [row["PricingModel"] in ("Reservation", "SavingsPlan") and row["ChargeType"] == "Usage" for row in cells]
    bought = [row["PricingModel"] == "Reservation" and row["ChargeType"] == "Purchase" for row in cells]
    for row, cell, is_covered, is_bought in zip(rows, cells, covered, bought, strict=True):
        amount = as_stored(cell[cost])
        assert row["BilledCost"] == (0 if is_covered else amount)
        assert row["EffectiveCost"] == (0 if is_bought else amount)
    for measure, amount in control_totals(path, READER).items():
        assert amount == total(rows, measure), measure


def test_totals_of_the_real_exports() -> None:
    ea, actual, amortised = (sample(relative) for relative in SAMPLES)
    assert (total(ea, "BilledCost"), total(ea, "EffectiveCost")) == (Decimal("1.26136926505726"),) * 2
    assert total(actual, "BilledCost") == Decimal("8.5450077867419368")
    assert total(actual, "EffectiveCost") == Decimal("8.5450077867419368") - Decimal("3.25")  # the reservation's fee
    # two amounts of the amortised export have 28 decimals, so the ledger's sum is that of the rounded rows
    assert total(amortised, "EffectiveCost") == Decimal("16.296932136636644627")
    assert total(amortised, "BilledCost") == Decimal("16.296932136636644627") - Decimal("0.493152") - Decimal(
        "0.006000000468"
    )


@pytest.mark.parametrize(("relative", "cost"), SAMPLES.items())
def test_quantity_counts_blocks_of_the_unit(relative: str, cost: str) -> None:
    """The fact that PricingQuantity rests on: 10K operations at 0.1 cost 0.1 for a quantity of 1."""
    for row in printed(shared(relative)):
        product = Decimal(row["Quantity"]) * Decimal(row["EffectivePrice"])
        assert abs(product - Decimal(row[cost])) < Decimal("0.000001"), row["MeterName"]


def test_azure_machine_learning_is_ai_in_the_real_export() -> None:
    rows = sample("data/focus/azure_finops_toolkit/EA_AmortizedCost_Small.csv")
    found = [row for row in rows if row["x_IsAi"]]
    assert len(found) == 5  # disk, two addresses and two transfers of one workspace
    assert {row["ServiceName"] for row in found} == {"Azure Machine Learning"}
    assert {row["x_AiCategory"] for row in found} == {"ml_platform"}


def test_us_dates_become_half_open_days() -> None:
    row = sample("data/focus/focus_converters/sample-anonymous-ea-export-dataset.csv")[0]
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (dt.datetime(2023, 9, 2), dt.datetime(2023, 9, 3))
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (dt.datetime(2023, 9, 1), dt.datetime(2023, 10, 1))
    assert row["Tags"] == {"tagA": "valueA", "tagB": "valueB", "tagC": "valueC"}


# --- an actual export -------------------------------------------------------------------------------------------------


def test_an_actual_export_bills_what_it_prints() -> None:
    rows = fixture(ACTUAL)
    # 2160 + 36 + 0 + 43800 - 10000 + 600.0025 + 450 + 50 + 2400 + 5.26 + 105.984 + 2160 + 15 + 0.003 + 18.4
    assert total(rows, "BilledCost") == Decimal("41800.6495")
    # without the reservation's 43800 and its refund of 10000, which FOCUS spreads over the usage they pay for
    assert total(rows, "EffectiveCost") == Decimal("8000.6495")


def test_a_reservation_in_an_actual_export() -> None:
    covered, bought, refunded = fixture(ACTUAL)[2:5]
    assert covered["BilledCost"] == 0
    assert covered["EffectiveCost"] is None, "what covered usage cost is not on an actual bill"
    assert (covered["CommitmentDiscountStatus"], covered["PricingCategory"]) == ("Used", "Committed")
    assert covered["x_GpuHours"] == 24 * 8
    assert (bought["BilledCost"], bought["EffectiveCost"]) == (43800, 0)
    assert (bought["ChargeCategory"], bought["ChargeFrequency"]) == ("Purchase", "Recurring")
    assert (bought["PricingCategory"], bought["CommitmentDiscountStatus"]) == ("Standard", None)
    assert bought["CommitmentDiscountId"] == covered["CommitmentDiscountId"]
    assert (refunded["ChargeCategory"], refunded["ChargeClass"]) == ("Purchase", "Correction")
    assert (refunded["BilledCost"], refunded["EffectiveCost"]) == (-10000, 0)


def test_list_cost_is_unknown_where_the_export_has_no_list_price() -> None:
    rows = fixture(ACTUAL)
    on_demand, reserved, marketplace = rows[0], rows[2], rows[12]
    assert on_demand["ListCost"] == Decimal("98.32") * 24
    assert on_demand["ContractedCost"] == 90 * 24
    assert reserved["ListCost"] is None
    assert marketplace["ListCost"] is None
    assert fixture(USAGE_ONLY)[0]["ListCost"] is None


def test_tokens_are_counted_by_the_unit_of_each_meter() -> None:
    uncached, output, cached = fixture(ACTUAL)[5:8]
    assert uncached["x_Tokens"] == Decimal("120000.5") * 1000
    assert (uncached["x_TokenDirection"], uncached["x_TokenCacheAction"]) == ("Input", "Uncached")
    assert (output["x_Tokens"], output["x_TokenDirection"]) == (30_000_000, "Output")
    assert (cached["x_Tokens"], cached["x_TokenCacheAction"]) == (40_000_000, "Read")
    assert {row["x_ModelId"] for row in (uncached, output, cached)} == {"gpt-4o"}
    assert {row["x_AiCategory"] for row in (uncached, output, cached)} == {"tokens"}


def test_provisioned_throughput_and_marketplace_models() -> None:
    rows = fixture(ACTUAL)
    assert rows[8]["x_AiCategory"] == "provisioned_throughput"
    claude = rows[12]
    assert (claude["x_AiCategory"], claude["x_ModelDeveloper"]) == ("tokens", "Anthropic")
    assert (claude["x_ModelId"], claude["x_TokenDirection"]) == ("Claude Sonnet 4.6", "Input")
    assert claude["x_Tokens"] == 5_000_000
    assert claude["HostProviderName"] is None, "the bill does not say where a Marketplace model runs"


def test_claude_by_consumption_units_is_ai_without_model_or_tokens(tmp_path: Path) -> None:
    offer = "Claude in Microsoft Foundry (Azure hosted)"
    cells = {
        "Product": offer, "MeterName": f"{offer} - claude-ccu-azure-hosted-plan - claude-consumption-units",
        "UnitOfMeasure": "per 1 ccu", "Quantity": "1500",
    }  # fmt: skip
    row = canonical_rows(rewritten(tmp_path, ACTUAL, cells, row=13), READER)[12]
    assert (row["x_IsAi"], row["x_AiCategory"], row["x_WorkloadKind"]) == (True, "ai_other", "inference")
    assert (row["x_ModelDeveloper"], row["x_ModelFamily"]) == ("Anthropic", "Claude")
    assert (row["x_ModelId"], row["x_Tokens"]) == (None, None)


def test_gpu_hours_count_machines_and_nothing_else() -> None:
    rows = fixture(ACTUAL)
    assert [row["x_GpuHours"] for row in rows if row["x_GpuHours"] is not None] == [192, 24, 192, 10]
    spot, licence, unused = rows[1], rows[10], rows[11]
    assert (spot["PricingCategory"], spot["x_InstanceType"]) == ("Dynamic", "Standard_NC24ads_A100_v4")
    assert spot["x_WorkloadKind"] == "training"
    assert licence["x_InstanceType"] is None, "a licence on a GPU machine rents no GPU"
    assert (unused["CapacityReservationStatus"], unused["x_GpuHours"]) == ("Unused", None)
    assert unused["CapacityReservationId"] == "22222222-0000-0000-0000-000000000001"


def test_services_resources_and_regions() -> None:
    rows = fixture(ACTUAL)
    assert rows[9]["ServiceName"] == "Azure Machine Learning"
    assert rows[5]["ServiceCategory"] == "AI and Machine Learning"
    assert rows[0]["ResourceType"] == "microsoft.compute/virtualmachines"
    assert rows[11]["ResourceType"] == "microsoft.compute/capacityreservationgroups/capacityreservations"
    assert "resourcegroups/rg-ai/" in rows[14]["ResourceId"], "ids differ in case from row to row"
    assert (rows[0]["RegionId"], rows[0]["RegionName"]) == ("eastus", "East US")
    rounding = rows[13]
    assert (rounding["ChargeCategory"], rounding["ServiceCategory"]) == ("Adjustment", "Other")
    assert rounding["RegionId"] is None


# --- an amortised export ----------------------------------------------------------------------------------------------


def test_an_amortised_export_amortises() -> None:
    rows = fixture(AMORTISED)
    on_demand, reserved, planned, unused_reservation, unused_plan, credit, tax = rows
    assert column(rows, "BilledCost") == [Decimal(x) for x in ("79.3368", "0", "0", "0", "0", "-4.5", "0.9")]
    assert column(rows, "EffectiveCost") == [
        Decimal(x) for x in ("79.3368", "32.4", "22.5", "32.4", "9", "-4.5", "0.9")
    ]
    assert column(rows, "CommitmentDiscountStatus") == [None, "Used", "Used", "Unused", "Unused", None, None]
    assert column(rows, "CommitmentDiscountCategory")[1:5] == ["Usage", "Spend", "Usage", "Spend"]
    assert column(rows, "CommitmentDiscountType")[1:3] == ["Reservation", "Savings Plan"]
    assert column(rows, "ChargeCategory") == ["Usage"] * 5 + ["Credit", "Tax"]
    assert reserved["CommitmentDiscountId"] == unused_reservation["CommitmentDiscountId"]
    assert planned["CommitmentDiscountId"] == unused_plan["CommitmentDiscountId"]
    assert column(rows, "x_GpuHours") == [24, 24, 10, None, None, None, None]
    assert unused_plan["ConsumedQuantity"] is None
    assert on_demand["PricingCategory"] == "Standard"  # written "On Demand" here
    assert (credit["PricingCategory"], tax["PricingCategory"]) == (None, None)


def test_costs_are_in_the_billing_currency_and_prices_are_not() -> None:
    on_demand, _, planned, *_ = fixture(AMORTISED)
    assert (on_demand["BillingCurrency"], on_demand["PricingCurrency"]) == ("EUR", "USD")
    assert on_demand["ListCost"] == Decimal("79.3368")  # 3.673 USD x 24 h x 0.9
    assert on_demand["ListUnitPrice"] is None
    assert on_demand["PricingCurrencyListUnitPrice"] == Decimal("3.673")
    assert on_demand["PricingCurrencyEffectiveCost"] == Decimal("88.152")
    assert on_demand["ContractedCost"] is None
    assert planned["ListCost"] == Decimal("33.057")


def test_a_customer_agreement_is_billed_by_profile() -> None:
    row = fixture(AMORTISED)[0]
    assert row["BillingAccountId"].endswith("/billingProfiles/ABCD-EFGH-IJK-LMN")
    assert (row["BillingAccountType"], row["InvoiceId"]) == ("Billing Profile", "G000000001")
    assert (row["x_Tag_team"], row["x_Tag_environment"]) == ("vision", "dev")
    assert fixture(ACTUAL)[0]["BillingAccountType"] == "Billing Account"


# --- pay-as-you-go ----------------------------------------------------------------------------------------------------


def test_the_pay_as_you_go_file_holds_usage_only() -> None:
    tokens, machine, operations = rows = fixture(USAGE_ONLY)
    assert column(rows, "BilledCost") == [Decimal("0.15"), Decimal("1.578"), Decimal("0.0000072")]
    assert column(rows, "EffectiveCost") == column(rows, "BilledCost")
    assert column(rows, "ChargeCategory") == ["Usage"] * 3
    assert column(rows, "PricingCategory") == [None] * 3, "the file has no pricing model"
    assert tokens["x_Tokens"] == 1_000_000
    assert machine["x_GpuHours"] == 3, "0.3 of 10 hours"
    assert tokens["ServiceName"] == "Azure AI Services"
    assert (operations["RegionId"], operations["RegionName"]) == ("eastus", "East US")  # written "US East"
    assert machine["BillingAccountType"] == "Subscription"
    assert machine["BillingPeriodEnd"] == dt.datetime(2026, 11, 1)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (ACTUAL, "Azure cost details (EA)"),
        (AMORTISED, "Azure cost details (MCA)"),
        (USAGE_ONLY, "Azure usage details (2019)"),
    ],
)
def test_the_agreement_is_told_by_its_columns(name: str, version: str) -> None:
    assert READER.mapping(open_raw(FIXTURES / name)).version == version


# --- what a kind of export lacks --------------------------------------------------------------------------------------


UNKNOWN, MISSING = "effective-cost-unknown", "commitment-purchases-missing"


def notices(path: Path) -> dict[str, str]:
    return {notice.code: notice.message for notice in READER.mapping(open_raw(path)).notices}


def test_an_actual_export_says_that_commitments_are_not_spread() -> None:
    said = notices(FIXTURES / ACTUAL)
    assert list(said) == [UNKNOWN]
    assert "reservations and savings plans" in said[UNKNOWN]
    assert "EffectiveCost lacks what they cost" in said[UNKNOWN]


def test_an_amortised_export_says_that_purchases_are_not_in_it() -> None:
    said = notices(FIXTURES / AMORTISED)
    assert list(said) == [MISSING]
    assert "BilledCost lacks what was paid for them" in said[MISSING]


def test_what_the_real_exports_lack() -> None:
    assert [list(notices(shared(relative))) for relative in SAMPLES] == [[], [UNKNOWN], [MISSING]]
    assert notices(FIXTURES / USAGE_ONLY) == {}, "the file of 2019 has usage on demand only"


@pytest.mark.parametrize(
    ("source", "kept", "code"),
    [
        (ACTUAL, [1, 3], UNKNOWN),  # usage under a reservation, at zero
        (ACTUAL, [1, 4], UNKNOWN),  # the reservation's purchase
        (AMORTISED, [1, 2], MISSING),  # usage under a reservation, at its cost
        (AMORTISED, [1, 5], MISSING),  # what of a savings plan went unused
        (ACTUAL, [1, 2, 6, 13], None),  # no commitments: both kinds of export are the same
        (AMORTISED, [1, 6, 7], None),
    ],
)
def test_one_row_on_a_commitment_tells_the_kind(tmp_path: Path, source: str, kept: list[int], code: str | None) -> None:
    lines = (FIXTURES / source).read_text(encoding="utf-8-sig").splitlines()
    bill = tmp_path / "bill.csv"
    bill.write_text("\n".join(lines[number] for number in [0, *kept]) + "\n", encoding="utf-8")
    assert list(notices(bill)) == ([code] if code else [])


def test_a_load_repeats_what_the_export_lacks(tmp_path: Path) -> None:
    report = load(Ledger(tmp_path / "ledger"), [FIXTURES / ACTUAL], Settings())
    found = {problem.code: problem for problem in report.files[0].problems}
    assert not found[UNKNOWN].rejects
    assert "amortised cost details on Azure" in found[UNKNOWN].hint


# --- variants and bad rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ACTUAL, AMORTISED, USAGE_ONLY])
def test_the_control_sums_are_the_stored_sums(name: str) -> None:
    rows = fixture(name)
    assert READER.recognises(open_raw(FIXTURES / name))
    assert rejected_rows(FIXTURES / name, READER) == []
    for measure, amount in control_totals(FIXTURES / name, READER).items():
        assert amount == total(rows, measure), measure


def rewritten(tmp_path: Path, source: str, change: dict[str, str], *, row: int | None = None) -> Path:
    """``source`` with cells of one row changed, or, without ``row``, columns renamed. Row 1 is below the header."""
    cells = printed(FIXTURES / source)
    target = tmp_path / "bill.csv"
    if row is not None:
        cells[row - 1] |= change
    header = {name: name if row is not None else change.get(name, name) for name in cells[0]}
    with target.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header.values())
        writer.writerows([[one[name] for name in header] for one in cells])
    return target


def test_header_variants_are_one_format(tmp_path: Path) -> None:
    variants = {
        "Cost": "costInBillingCurrency", "BillingCurrency": "BillingCurrencyCode", "Product": "ProductName",
        "Date": "date", "benefitId": "BenefitId",
    }  # fmt: skip
    renamed = rewritten(tmp_path, ACTUAL, variants)
    assert READER.recognises(open_raw(renamed))
    ignored = {"x_SourceFile"}
    for ours, theirs in zip(canonical_rows(renamed, READER), fixture(ACTUAL), strict=True):
        assert {k: v for k, v in ours.items() if k not in ignored} == {
            k: v for k, v in theirs.items() if k not in ignored
        }


def test_localised_headers_are_read_by_their_english_names_only(tmp_path: Path) -> None:
    german = {name: f"Spalte {n} ({name})" for n, name in enumerate(printed(FIXTURES / USAGE_ONLY)[0])}
    both = rewritten(tmp_path, USAGE_ONLY, german)
    assert READER.recognises(open_raw(both))
    assert total(canonical_rows(both, READER), "BilledCost") == Decimal("1.7280072")
    alone = rewritten(tmp_path, USAGE_ONLY, {"PreTaxCost": "Kosten vor Steuern", "MeterName": "Name der Messung"})
    assert not READER.recognises(open_raw(alone))


def test_parquet_says_the_same(tmp_path: Path) -> None:
    """Typed columns: decimals as decimals, days as timestamps, a price as a float."""
    texts = dict.fromkeys(printed(FIXTURES / AMORTISED)[0], pa.string())
    table = pyarrow.csv.read_csv(
        FIXTURES / AMORTISED, convert_options=pyarrow.csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
    )
    days = pyarrow.compute.strptime(table["date"], format="%m/%d/%Y", unit="us")
    for name, typed in (
        ("date", days),
        ("costInBillingCurrency", table["costInBillingCurrency"].cast(pa.decimal128(28, 10))),
        ("PayGPrice", table["PayGPrice"].cast(pa.float64())),
        ("quantity", table["quantity"].cast(pa.float64())),
    ):
        table = table.set_column(table.column_names.index(name), name, typed)
    target = tmp_path / "bill.parquet"
    pq.write_table(table, target)
    assert READER.recognises(open_raw(target))
    for ours, theirs in zip(canonical_rows(target, READER), without_header(fixture(AMORTISED)), strict=True):
        assert ours | {"x_SourceFile": ""} == theirs | {"x_SourceFile": ""}
    assert control_totals(target, READER) == control_totals(FIXTURES / AMORTISED, READER)


@pytest.mark.parametrize(
    ("row", "cells", "code"),
    [
        (1, {"Cost": "n/a"}, "unparsable-amount"),
        (3, {"Cost": "n/a"}, "unparsable-amount"),  # usage under a reservation, billed 0 whatever it cost
        (4, {"Cost": "n/a"}, "unparsable-amount"),  # a purchase, effective 0
        (3, {"Cost": ""}, "missing-amount"),
        (1, {"Quantity": "many"}, "unparsable-amount"),
        (1, {"Date": "13/13/2026"}, "unparsable-time"),
        (1, {"Date": ""}, "missing-time"),
        (1, {"BillingPeriodEndDate": "02/30/2026"}, "unparsable-time"),
        (1, {"BillingCurrency": ""}, "missing-currency"),
        (1, {"ChargeType": "Gift"}, "unknown-charge-category"),
    ],
)
def test_a_bad_row_stays_out_and_says_why(tmp_path: Path, row: int, cells: dict[str, str], code: str) -> None:
    bill = rewritten(tmp_path, ACTUAL, cells, row=row)
    assert rejected_rows(bill, READER) == [(HEADER_ROWS + row, code)]


def test_tags_with_and_without_braces(tmp_path: Path) -> None:
    braced = rewritten(tmp_path, ACTUAL, {"Tags": '{"team": "x"}'}, row=1)
    assert canonical_rows(braced, READER)[0]["Tags"] == {"team": "x"}
    assert fixture(ACTUAL)[0]["Tags"] == {"team": "search", "environment": "prod"}
    assert fixture(ACTUAL)[3]["Tags"] is None


def test_a_meter_told_by_its_subcategory(tmp_path: Path) -> None:
    cells = {"MeterSubCategory": "gpt 4o 0513 Input global Tokens", "MeterName": "Standard"}
    row = canonical_rows(rewritten(tmp_path, ACTUAL, cells, row=6), READER)[5]
    assert (row["SkuMeter"], row["x_TokenDirection"]) == ("gpt 4o 0513 Input global Tokens", "Input")


def test_large_quantities_keep_their_list_cost(tmp_path: Path) -> None:
    cells = {"Quantity": "1234567890.5", "PayGPrice": "0.4", "UnitPrice": "0.4"}
    row = canonical_rows(rewritten(tmp_path, ACTUAL, cells, row=15), READER)[14]
    assert row["ListCost"] == Decimal("493827156.2")


def test_the_tables_of_facts_hold_what_focus_knows() -> None:
    categories = next(c.allowed for c in focus_columns() if c.name == "ServiceCategory")
    for table in ("azure_services", "gcp_services"):
        for key, row in reference_rows(table).items():
            assert key == key.lower()
            assert row["service_category"] in categories
            assert subcategory_parents()[row["service_subcategory"]] == row["service_category"]
