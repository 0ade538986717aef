"""Every row obeys FOCUS 1.4: its columns, its allowed values, and the rules that tie columns together."""

from __future__ import annotations

import json

import duckdb
import pytest

from tests.shared import shared

MODEL = json.loads(shared("data/focus/focus_1_4_model.json").read_text(encoding="utf-8"))
COLUMNS = MODEL["datasets"]["Cost and Usage"]["columns"]
JSON_COLUMNS = ("SkuPriceDetails", "CommitmentProgramEligibilityDetails")


def _violations(bills: duckdb.DuckDBPyConnection, condition: str) -> int:
    found = bills.execute(f"SELECT count(*) FROM bill WHERE {condition}").fetchone()
    assert found is not None
    return int(found[0])


def test_the_columns_are_the_models(bills: duckdb.DuckDBPyConnection) -> None:
    assert {row[0] for row in bills.execute("DESCRIBE bill").fetchall()} - {"x_Synthetic"} == set(COLUMNS)


def test_nulls_and_empty_texts(bills: duckdb.DuckDBPyConnection) -> None:
    for name, column in COLUMNS.items():
        if not column["allows_nulls"]:
            assert _violations(bills, f'"{name}" IS NULL') == 0, name
        if column["data_type"] == "String":
            assert _violations(bills, f"trim(\"{name}\") = ''") == 0, name


def test_allowed_values(bills: duckdb.DuckDBPyConnection) -> None:
    for name, column in COLUMNS.items():
        if column["allowed_values"]:
            allowed = ", ".join(f"'{value}'" for value in column["allowed_values"])
            assert _violations(bills, f'"{name}" IS NOT NULL AND "{name}" NOT IN ({allowed})') == 0, name


def test_each_subcategory_stands_under_its_category(bills: duckdb.DuckDBPyConnection) -> None:
    found = bills.execute("SELECT DISTINCT ServiceSubcategory, ServiceCategory FROM bill").fetchall()
    assert all(MODEL["service_subcategory_parents"][child] == parent for child, parent in found)
    names = bills.execute(
        "SELECT ServiceName FROM bill GROUP BY 1 HAVING count(DISTINCT ServiceCategory) > 1"
    ).fetchall()
    assert names == []


@pytest.mark.parametrize(
    ("rule", "violation"),
    [
        ("2 list", "ListCost <> CAST(ListUnitPrice AS DECIMAL(20,9)) * PricingQuantity"),
        ("2 contracted", "ContractedCost <> CAST(ContractedUnitPrice AS DECIMAL(20,9)) * PricingQuantity"),
        ("3", "ChargeCategory = 'Purchase' AND CommitmentDiscountId IS NOT NULL AND EffectiveCost <> 0"),
        ("5 not usage", "ChargeCategory <> 'Usage' AND ConsumedQuantity IS NOT NULL"),
        ("5 unused", "CommitmentDiscountStatus = 'Unused' AND ConsumedQuantity IS NOT NULL"),
        (
            "5 used",
            """ChargeCategory = 'Usage' AND CommitmentDiscountStatus IS DISTINCT FROM 'Unused'
            AND (ConsumedQuantity IS NULL OR ConsumedUnit IS NULL)""",
        ),
        ("6 priced", "ChargeCategory IN ('Usage', 'Purchase') AND (PricingQuantity IS NULL OR PricingUnit IS NULL)"),
        ("6 list price", "ChargeCategory IN ('Usage', 'Purchase') AND ListUnitPrice IS NULL"),
        ("6 contracted price", "ChargeCategory IN ('Usage', 'Purchase') AND ContractedUnitPrice IS NULL"),
        ("6 tax", "ChargeCategory = 'Tax' AND (PricingQuantity IS NOT NULL OR SkuPriceId IS NOT NULL)"),
        ("7", "ChargeCategory = 'Usage' AND (CommitmentDiscountStatus IS NULL) <> (CommitmentDiscountId IS NULL)"),
        ("8", "CommitmentDiscountId IS NOT NULL AND CommitmentDiscountQuantity IS NULL"),
        ("8 unit", "(CommitmentDiscountQuantity IS NULL) <> (CommitmentDiscountUnit IS NULL)"),
        ("9", "SkuPriceId IS NULL AND SkuPriceDetails IS NOT NULL"),
        ("period", "ChargePeriodStart < BillingPeriodStart OR ChargePeriodEnd > BillingPeriodEnd"),
        ("half-open", "ChargePeriodEnd <= ChargePeriodStart"),
        ("frequency", "ChargeCategory = 'Purchase' AND ChargeFrequency = 'Usage-Based'"),
        ("covered usage is billed nothing", "CommitmentDiscountStatus IS NOT NULL AND BilledCost <> 0"),
        ("committed", "(CommitmentDiscountStatus IS NULL) <> (PricingCategory IS DISTINCT FROM 'Committed')"),
        ("unused stands on itself", "CommitmentDiscountStatus = 'Unused' AND ResourceId <> CommitmentDiscountId"),
        ("capacity", "(CapacityReservationId IS NULL) <> (CapacityReservationStatus IS NULL)"),
        ("resource", "(ResourceId IS NULL) <> (ResourceType IS NULL)"),
        ("resource name", "ResourceId IS NULL AND ResourceName IS NOT NULL"),
        ("region", "(RegionId IS NULL) <> (RegionName IS NULL)"),
        ("sub account", "(SubAccountId IS NULL) <> (SubAccountName IS NULL)"),
        ("tax and credit", "ChargeCategory IN ('Tax', 'Credit') AND EffectiveCost <> BilledCost"),
    ],
)  # fmt: skip
def test_rules(bills: duckdb.DuckDBPyConnection, rule: str, violation: str) -> None:
    assert _violations(bills, violation) == 0, rule


def test_each_kind_of_charge_is_there(bills: duckdb.DuckDBPyConnection) -> None:
    kinds = bills.execute("SELECT DISTINCT ChargeCategory, CommitmentDiscountStatus FROM bill ORDER BY ALL").fetchall()
    assert {("Usage", None), ("Usage", "Used"), ("Usage", "Unused"), ("Purchase", None), ("Tax", None)} <= set(kinds)
    assert {row[0] for row in bills.execute("SELECT DISTINCT PricingCategory FROM bill").fetchall()} == {
        "Standard", "Dynamic", "Committed", None,
    }  # fmt: skip


def test_each_commitment_is_paid_for_once(bills: duckdb.DuckDBPyConnection) -> None:
    # Rule 4: effective cost of usage = billed cost of purchases = used + unused.
    found = bills.execute("""SELECT CommitmentDiscountId,
            coalesce(sum(EffectiveCost) FILTER (WHERE ChargeCategory = 'Usage'), 0),
            coalesce(sum(BilledCost) FILTER (WHERE ChargeCategory = 'Purchase'), 0),
            coalesce(sum(EffectiveCost) FILTER (WHERE CommitmentDiscountStatus IN ('Used', 'Unused')), 0)
        FROM bill WHERE CommitmentDiscountId IS NOT NULL GROUP BY 1""").fetchall()
    assert len(found) == 3
    for _, used, billed, both in found:
        assert used == billed == both > 0


def test_a_sku_price_has_one_sku_and_identifiers_one_meaning(bills: duckdb.DuckDBPyConnection) -> None:
    for key, value in (
        ("SkuPriceId", "SkuId"),
        ("SubAccountId", "SubAccountName"),
        ("CommitmentDiscountId", "CommitmentDiscountUnit"),
    ):
        found = bills.execute(
            f"SELECT ServiceProviderName, {key} FROM bill GROUP BY ALL HAVING count(DISTINCT {value}) > 1"
        ).fetchall()
        assert found == [], key


def test_json_columns_are_objects(bills: duckdb.DuckDBPyConnection) -> None:
    for name in JSON_COLUMNS:
        texts = bills.execute(f"SELECT DISTINCT {name} FROM bill WHERE {name} IS NOT NULL").fetchall()
        assert texts
        assert all(isinstance(json.loads(text), dict) for (text,) in texts)
    found = bills.execute("""SELECT DISTINCT CommitmentProgramEligibilityDetails, CommitmentDiscountType FROM bill
        WHERE CommitmentProgramEligibilityDetails IS NOT NULL""").fetchall()
    for text, kind in found:
        programs = {program["ProgramType"] for program in json.loads(text)["CommitmentPrograms"]}
        assert programs
        assert kind is None or kind in programs
