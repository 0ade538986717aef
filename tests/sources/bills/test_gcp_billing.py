"""Google Cloud's billing export says the same in JSON lines, CSV and Parquet: net of credits, and exact."""

from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from outlay.errors import UnreadableError
from outlay.sources.bills.azure_cost import AzureCostReader
from outlay.sources.bills.focus import FocusReader
from outlay.sources.bills.gcp_billing import GcpBillingReader
from outlay.sources.opening import open_raw
from tests.sources.bills.reading import canonical_rows, control_totals, rejected_rows, without_header

FIXTURES = Path(__file__).parents[2] / "fixtures" / "gcp_billing"
LINES = FIXTURES / "detailed.jsonl"
CSV_FILES = ("nested_cells.csv", "dotted.csv", "underscored.csv")
READER = GcpBillingReader()

GPU, CPU, LICENCE, SPOT, COVERED, FEE, CREDITED, INPUT, OUTPUT, CACHED, CHARACTERS = range(11)
AT_PLAN_PRICE, PLAN_FEE, UNUSED_RESERVATION, CORRECTION, TAX, ROUNDING = range(11, 17)

_TEXT, _PAIRS = pa.string(), pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
_TIME, _NUMERIC = pa.timestamp("us", "UTC"), pa.decimal128(38, 9)


def _struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct(list(fields.items()))


SCHEMA = pa.schema(
    [
        ("billing_account_id", _TEXT),
        ("service", _struct(id=_TEXT, description=_TEXT)),
        ("sku", _struct(id=_TEXT, description=_TEXT)),
        ("usage_start_time", _TIME),
        ("usage_end_time", _TIME),
        ("project", _struct(id=_TEXT, number=_TEXT, name=_TEXT, labels=_PAIRS)),
        ("labels", _PAIRS),
        ("system_labels", _PAIRS),
        ("location", _struct(location=_TEXT, country=_TEXT, region=_TEXT, zone=_TEXT)),
        ("resource", _struct(name=_TEXT, global_name=_TEXT)),
        ("tags", pa.list_(_struct(key=_TEXT, value=_TEXT, inherited=pa.bool_(), namespace=_TEXT))),
        ("cost", pa.float64()),
        ("currency", _TEXT),
        (
            "usage",
            _struct(amount=pa.float64(), unit=_TEXT, amount_in_pricing_units=pa.float64(), pricing_unit=_TEXT),
        ),
        ("credits", pa.list_(_struct(id=_TEXT, full_name=_TEXT, type=_TEXT, name=_TEXT, amount=pa.float64()))),
        ("invoice", _struct(month=_TEXT, publisher_type=_TEXT)),
        ("cost_type", _TEXT),
        ("adjustment_info", _struct(id=_TEXT, description=_TEXT, mode=_TEXT, type=_TEXT)),
        ("price", _struct(effective_price=_NUMERIC, tier_start_amount=_NUMERIC)),
        ("cost_at_list", pa.float64()),
        ("transaction_type", _TEXT),
        ("cost_at_effective_price_default", _NUMERIC),
        ("consumption_model", _struct(id=_TEXT, description=_TEXT)),
        ("subscription", _struct(instance_id=_TEXT)),
    ]
)


@cache
def rows() -> list[dict[str, Any]]:
    return canonical_rows(LINES, READER)


def records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LINES.read_text(encoding="utf-8").splitlines()]


def written(tmp_path: Path, changed: list[dict[str, Any]]) -> Path:
    path = tmp_path / "bill.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in changed), encoding="utf-8")
    return path


def parquet(tmp_path: Path) -> Path:
    """The rows as BigQuery exports them to Parquet: nested, floats, NUMERIC decimals, UTC timestamps."""
    typed = records()
    for record in typed:
        for name in ("usage_start_time", "usage_end_time"):
            record[name] = dt.datetime.strptime(record[name], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=dt.UTC)
        default = record["cost_at_effective_price_default"]
        record["cost_at_effective_price_default"] = None if default is None else Decimal(default)
        record["price"] = {k: None if (v := record["price"][k]) is None else Decimal(v) for k in _PRICE_FIELDS}
    path = tmp_path / "bill.parquet"
    pq.write_table(pa.Table.from_pylist(typed, schema=SCHEMA), path)
    return path


_PRICE_FIELDS = ("effective_price", "tier_start_amount")


# --- amounts ----------------------------------------------------------------------------------------------------------


def test_billed_cost_is_cost_plus_credits() -> None:
    expected = [
        "78.4", "6.1", "1.2", "14", "0", "18.49",
        "0.15000000000000004",  # 0.30000000000000004 - 0.1 - 0.05: the float is read as it is printed
        "3.6", "5", "0.12", "0.0015625", "7.2",
        "1.8",  # 9 - 7.2 used
        "78.4", "-9.8", "5.5", "-0.000001",
    ]  # fmt: skip
    assert [row["BilledCost"] for row in rows()] == [Decimal(amount) for amount in expected]
    assert [row["EffectiveCost"] for row in rows()] == [row["BilledCost"] for row in rows()]


def test_the_bill_sums_to_an_independent_sum() -> None:
    with LINES.open(encoding="utf-8") as handle:
        parsed = [json.loads(line, parse_float=Decimal) for line in handle]
    expected = sum((r["cost"] + sum(c["amount"] for c in r["credits"]) for r in parsed), Decimal(0))
    assert expected == Decimal("210.16156150000000004")
    assert sum(row["BilledCost"] for row in rows()) == expected
    assert control_totals(LINES, READER) == {
        "BilledCost": expected, "EffectiveCost": expected, "ListCost": Decimal("235.7615625"),
    }  # fmt: skip


def test_list_cost_is_what_the_bill_says_and_nothing_else(tmp_path: Path) -> None:
    assert rows()[GPU]["ListCost"] == Decimal("88.48")
    assert rows()[COVERED]["ListCost"] == Decimal("29.34")
    assert rows()[FEE]["ListCost"] is None, "the usage it pays for is listed on its own rows"
    assert rows()[PLAN_FEE]["ListCost"] is None
    assert rows()[TAX]["ListCost"] is None
    without = [{k: v for k, v in record.items() if k != "cost_at_list"} for record in records()]
    old = written(tmp_path, without)
    assert {row["ListCost"] for row in canonical_rows(old, READER)} == {None}
    assert set(control_totals(old, READER)) == {"BilledCost", "EffectiveCost"}


def test_contracted_cost_is_before_commitments() -> None:
    assert rows()[GPU]["ContractedCost"] == Decimal("78.4")
    assert rows()[COVERED]["ContractedCost"] == Decimal("29.34")
    assert rows()[AT_PLAN_PRICE]["ContractedCost"] == 10
    assert rows()[FEE]["ContractedCost"] is None


# --- the same bill in other files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CSV_FILES)
def test_every_csv_says_the_same(name: str) -> None:
    assert READER.recognises(open_raw(FIXTURES / name))
    assert_same(without_header(canonical_rows(FIXTURES / name, READER)))
    assert control_totals(FIXTURES / name, READER) == control_totals(LINES, READER)


def test_parquet_says_the_same(tmp_path: Path) -> None:
    path = parquet(tmp_path)
    assert READER.recognises(open_raw(path))
    assert_same(canonical_rows(path, READER))
    assert control_totals(path, READER) == control_totals(LINES, READER)


def assert_same(others: list[dict[str, Any]]) -> None:
    for ours, theirs in zip(rows(), others, strict=True):
        assert ours | {"x_SourceFile": ""} == theirs | {"x_SourceFile": ""}


def test_other_readers_leave_it_alone() -> None:
    for path in (LINES, *(FIXTURES / name for name in CSV_FILES)):
        raw = open_raw(path)
        assert not FocusReader().recognises(raw)
        assert not AzureCostReader().recognises(raw)


def test_fields_that_are_null_or_absent_stay_empty(tmp_path: Path) -> None:
    nested = ("labels", "system_labels", "tags", "project", "location", "resource", "adjustment_info", "price",
              "consumption_model", "subscription")  # fmt: skip
    null = [{**record, **dict.fromkeys(nested), "credits": None} for record in records()[:2]]
    absent = [{k: v for k, v in record.items() if k not in nested} for record in records()[:2]]
    for changed in (null, absent):
        found = canonical_rows(written(tmp_path, changed), READER)
        assert [row["BilledCost"] for row in found] == [Decimal("78.4"), Decimal("6.1")]
        assert {row["Tags"] and dict(row["Tags"]) for row in found} == {None}
        assert {row["SubAccountId"] for row in found} == {None}


# --- commitments and credits ------------------------------------------------------------------------------------------


def test_a_resource_based_commitment() -> None:
    covered, fee = rows()[COVERED], rows()[FEE]
    assert (covered["CommitmentDiscountStatus"], covered["PricingCategory"]) == ("Used", "Committed")
    assert (covered["CommitmentDiscountCategory"], covered["CommitmentDiscountType"]) == ("Usage", "Resource-based CUD")
    assert covered["x_GpuHours"] == 10
    assert (fee["ChargeCategory"], fee["ChargeFrequency"]) == ("Purchase", "Recurring")
    assert fee["EffectiveCost"] == Decimal("18.49"), "the only row that knows what the commitment costs"
    assert fee["CommitmentDiscountId"] == "5000000000000000001"
    assert (fee["CommitmentDiscountStatus"], fee["x_GpuHours"]) == (None, None)


def test_a_spend_based_commitment_since_2025() -> None:
    usage, fee = rows()[AT_PLAN_PRICE], rows()[PLAN_FEE]
    assert (usage["CommitmentDiscountStatus"], usage["EffectiveCost"]) == ("Used", Decimal("7.2"))
    assert (fee["CommitmentDiscountStatus"], fee["EffectiveCost"]) == ("Unused", Decimal("1.8"))
    assert usage["EffectiveCost"] + fee["EffectiveCost"] == 9, "used and unused are the fee"
    assert {row["CommitmentDiscountCategory"] for row in (usage, fee)} == {"Spend"}
    assert (fee["ChargeCategory"], fee["PricingCategory"]) == ("Usage", "Committed")
    assert fee["ConsumedQuantity"] is None
    assert usage["CommitmentDiscountName"] == "Compute Flexible CUD - 1 Year"


def test_other_credits_are_no_commitment() -> None:
    credited = rows()[CREDITED]
    assert credited["PricingCategory"] == "Standard"
    assert credited["CommitmentDiscountStatus"] is None


def test_reserved_capacity_that_stood_unused() -> None:
    unused = rows()[UNUSED_RESERVATION]
    assert (unused["CapacityReservationId"], unused["CapacityReservationStatus"]) == ("h100-res", "Unused")
    assert unused["x_GpuHours"] is None
    assert rows()[GPU]["CapacityReservationStatus"] is None


# --- AI ---------------------------------------------------------------------------------------------------------------


def test_gpus_are_counted_once_a_machine() -> None:
    """GPU, CPU and licence of one machine carry its machine type; only the GPU row has GPU-hours."""
    gpu, cpu, licence = rows()[GPU], rows()[CPU], rows()[LICENCE]
    assert (gpu["x_InstanceType"], gpu["x_GpuType"], gpu["x_GpuHours"]) == ("a3-highgpu-8g", "H100", 8)
    assert (cpu["x_AiCategory"], cpu["x_GpuHours"]) == ("gpu_compute", None)
    assert (licence["x_IsAi"], licence["x_GpuHours"]) == (False, None)
    assert (rows()[SPOT]["PricingCategory"], rows()[SPOT]["x_GpuHours"]) == ("Dynamic", 4)
    assert rows()[SPOT]["x_WorkloadKind"] == "training"
    assert rows()[CORRECTION]["x_GpuHours"] == -1


def test_gemini_tokens() -> None:
    found = [(row["x_Tokens"], row["x_TokenDirection"], row["x_TokenCacheAction"]) for row in rows()[INPUT:CHARACTERS]]
    assert found == [(12_000_000, "Input", "Uncached"), (2_000_000, "Output", None), (4_000_000, "Input", "Read")]
    assert {row["x_ModelId"] for row in rows()[INPUT:CHARACTERS]} == {"gemini-2.5-flash"}
    characters = rows()[CHARACTERS]
    assert characters["x_IsAi"]
    assert characters["x_Tokens"] is None, "Gemini 1.5 was sold by the character"


# --- the rest of a row ------------------------------------------------------------------------------------------------


def test_tags_are_labels_then_tags_then_project_labels() -> None:
    assert rows()[GPU]["Tags"] == {"team": "search", "environment": "prod"}
    assert rows()[CREDITED]["Tags"] == {"team": "from-tag", "cost_center": "42", "environment": "prod"}
    assert rows()[TAX]["Tags"] is None


def test_the_invoice_month_is_the_billing_period() -> None:
    late = rows()[CORRECTION]
    assert late["ChargePeriodStart"] == dt.datetime(2026, 9, 30, 23)
    assert (late["BillingPeriodStart"], late["BillingPeriodEnd"]) == (
        dt.datetime(2026, 10, 1),
        dt.datetime(2026, 11, 1),
    )
    assert late["x_BillingMonth"] == "2026-10"


def test_categories_of_charges() -> None:
    found = {n: rows()[n]["ChargeCategory"] for n in (GPU, FEE, CORRECTION, TAX, ROUNDING)}
    assert found == {GPU: "Usage", FEE: "Purchase", CORRECTION: "Usage", TAX: "Tax", ROUNDING: "Adjustment"}
    assert [row["ChargeClass"] for row in rows()].count("Correction") == 1
    assert rows()[CORRECTION]["ChargeDescription"] == "Usage correction"
    assert rows()[TAX]["PricingCategory"] is None
    assert rows()[TAX]["PricingQuantity"] is None


def test_accounts_places_and_services() -> None:
    gpu, model, tax = rows()[GPU], rows()[INPUT], rows()[TAX]
    assert (gpu["BillingAccountId"], gpu["SubAccountId"]) == ("012345-6789AB-CDEF01", "ai-prod")
    assert (gpu["RegionId"], gpu["AvailabilityZone"]) == ("us-central1", "us-central1-a")
    assert gpu["ResourceType"] == "compute.googleapis.com/instances"
    assert gpu["ResourceName"] == "infer-1"
    assert (gpu["ServiceCategory"], gpu["ServiceSubcategory"]) == ("Compute", "Virtual Machines")
    assert (model["ServiceCategory"], model["RegionId"]) == ("AI and Machine Learning", None)
    assert (tax["ServiceCategory"], tax["HostProviderName"], tax["SubAccountType"]) == ("Other", None, None)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cost": "n/a"}, "unparsable-amount"),
        ({"cost": None}, "missing-amount"),
        ({"credits": [{"type": "PROMOTION", "amount": "much"}]}, "unparsable-amount"),
        ({"credits": [{"type": "PROMOTION"}]}, "unparsable-amount"),
        ({"credits": "half"}, "unparsable-amount"),
        ({"currency": None}, "missing-currency"),
        ({"usage_start_time": "2026-02-30 00:00:00 UTC"}, "unparsable-time"),
        ({"invoice": {"month": "202613"}}, "unparsable-time"),
        ({"cost_type": "gift"}, "unknown-charge-category"),
    ],
)
def test_a_bad_row_stays_out_and_says_why(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    first, second = records()[:2]
    bill = written(tmp_path, [first, second | change])
    assert rejected_rows(bill, READER) == [(2, code)]


def test_unnested_credits_are_refused(tmp_path: Path) -> None:
    """SELECT ... FROM table, UNNEST(credits): a row for each credit, each with the whole cost."""
    path = tmp_path / "unnested.csv"
    with (FIXTURES / "underscored.csv").open(encoding="utf-8", newline="") as handle:
        table = list(csv.DictReader(handle))
    for row in table:
        row["credits_amount"] = row.pop("credits")
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    with pytest.raises(UnreadableError, match="credits unnested"):
        READER.mapping(open_raw(path))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    without = [{k: v for k, v in record.items() if k != "credits"} for record in records()]
    with pytest.raises(UnreadableError, match="without credits"):
        READER.mapping(open_raw(written(tmp_path, without)))


def test_the_standard_export_is_read_too(tmp_path: Path) -> None:
    without = [{k: v for k, v in record.items() if k != "resource"} for record in records()]
    bill = written(tmp_path, without)
    assert READER.mapping(open_raw(bill)).version == "GCP billing (standard)"
    assert READER.mapping(open_raw(LINES)).version == "GCP billing (detailed)"
    assert canonical_rows(bill, READER)[GPU]["ResourceId"] is None
