"""FOCUS 1.0 to 1.4 from any provider is read to the specification's own figures, in any file form."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.sources.bills.focus import _EARLY_IN_AZURE, _VERSION_MARKS, FocusReader
from outlay.sources.loading import load
from outlay.sources.opening import open_raw
from tests.shared import shared
from tests.sources.bills.reading import canonical_rows, rejected_rows, without_header
from tests.sources.focus_bills import COLUMNS, GOOD, row, write_csv

MEASURES = ("BilledCost", "EffectiveCost", "ListCost")

# The worked examples' own totals: file, BilledCost, EffectiveCost, ListCost (None: the example states none).
WITH_CURRENCY = [
    ("focus_spec_ai_draft/multi_model_usage.csv", "104.50", "104.50", "104.50"),
    ("focus_spec_ai_draft/ai_prompt_caching_b.csv", "38.40", "38.40", "38.40"),
    ("focus_spec_ai_draft/cached_tokens_via_csp_marketplace.csv", "47.50", "47.50", "47.50"),
    ("focus_spec_ai_draft/drawdown_via_prepayment_foundation_model_api.csv", "500000", "50.00", "500062.50"),
    ("focus_spec_v1.2/saas_spend_agreements_a1.csv", "1200", "1200", "1257"),
    ("focus_spec_v1.2/saas_spend_agreements_a2.csv", "1200", "1200", "1257"),
    ("focus_spec_v1.2/saas_spend_agreements_b1.csv", "1200", "1200", "2457"),
    ("focus_spec_v1.2/saas_spend_agreements_b2.csv", "1200", "1200", "2457"),
    ("focus_spec_v1.2/simple_saas_agreements_a1.csv", "10000", "10000", None),
    ("focus_spec_v1.2/simple_saas_agreements_a2.csv", "50000", "50000", None),
    ("focus_spec_v1.2/simple_saas_agreements_a3.csv", "1000", "1000", None),
    ("focus_spec_v1.2/simple_saas_agreements_b.csv", "50000", "50000", None),
    ("focus_spec_v1.2/simple_saas_agreements_c.csv", "35800", "35800", None),
    ("focus_spec_v1.2/virtual_currency_pricing_model_a1.csv", "200000", "0", None),
    ("focus_spec_v1.2/virtual_currency_pricing_model_a2.csv", "0", "1230", None),
    ("focus_spec_v1.2/virtual_currency_pricing_model_b1.csv", "100000", "0", "200000"),
    ("focus_spec_v1.2/virtual_currency_pricing_model_b2.csv", "0", "615", "1230"),
    ("focus_spec_v1.2/virtual_currency_pricing_model_b3.csv", "0", "495", "1230"),
    ("focus_spec_v1.2/virtual_currency_pricing_model_c.csv", "53000", "0", None),
]

# These examples have no BillingCurrency column. The last figure is what the row with an impossible time bills.
_FLEX = "one_hundred_percent_utilization_with_commitment_discount_flexibility_with"
WITHOUT_CURRENCY = [
    ("commitment_discount_purchase_scenario_1.csv", "8760", "0", "0"),
    ("commitment_discount_purchase_scenario_2.csv", "3", "0", "1"),
    ("commitment_discount_purchase_scenario_3.csv", "4381.5", "0", "0.5"),
    ("commitment_discount_usage_scenario_1.csv", "0", "1", "0"),
    ("commitment_discount_usage_scenario_2.csv", "0", "1", "0"),
    ("commitment_discount_usage_scenario_3.csv", "0", "1", "0"),
    ("commitment_discount_usage_scenario_4.csv", "0.5", "1.5", "0"),
    ("zero_percent_utilization_without_commitment_discount_flexibility.csv", "3.5", "3.5", "0"),
    ("one_hundred_percent_utilization_without_commitment_discount_flexibility.csv", "1.5", "1.5", "0"),
    (f"{_FLEX}_1_resource.csv", "2.75", "2.75", "0"),
    (f"{_FLEX}_2_resources.csv", "2", "2", "0"),
]


def sums(rows: list[dict[str, Any]]) -> dict[str, Decimal]:
    return {m: sum((r[m] for r in rows if r[m] is not None), Decimal(0)) for m in MEASURES}


@pytest.mark.parametrize(("name", "billed", "effective", "listed"), WITH_CURRENCY, ids=str)
def test_worked_examples_give_their_own_totals(
    tmp_path: Path, name: str, billed: str, effective: str, listed: str | None
) -> None:
    path = shared(f"data/focus/{name}")

    found = sums(canonical_rows(path))

    assert rejected_rows(path) == []
    assert (found["BilledCost"], found["EffectiveCost"]) == (Decimal(billed), Decimal(effective))
    assert listed is None or found["ListCost"] == Decimal(listed)
    # and the load, which reconciles the two parsers, agrees
    (file,) = load(Ledger(tmp_path / "ledger"), [path], Settings()).files
    assert file.totals == {"USD": found}


@pytest.mark.parametrize(("name", "billed", "effective", "rejected"), WITHOUT_CURRENCY, ids=str)
def test_worked_examples_without_a_currency_stay_out_until_they_have_one(
    tmp_path: Path, name: str, billed: str, effective: str, rejected: str
) -> None:
    published = shared(f"data/focus/focus_spec_v1.2/{name}")
    assert canonical_rows(published) == []
    with published.open(encoding="utf-8-sig", newline="") as handle:
        rows = [record for record in csv.reader(handle) if record]
    path = tmp_path / name
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([rows[0] + ["BillingCurrency"], *([*r, "USD"] for r in rows[1:])])

    found = sums(canonical_rows(path))

    assert found["BilledCost"] + Decimal(rejected) == Decimal(billed)
    assert found["EffectiveCost"] == Decimal(effective)
    # the last of the file's rows, of which the header is the first
    assert rejected_rows(path) == ([(len(rows), "unparsable-time")] if Decimal(rejected) else [])


def test_the_eligibility_example_covers_150_of_350(tmp_path: Path) -> None:
    text = shared("data/focus/focus_spec_ai_draft/coverage_rate_eligibility_adjusted.csv").read_text(encoding="utf-8")
    header, *lines = text.splitlines()
    path = tmp_path / "coverage.csv"
    path.write_text("\n".join([header + ",BillingCurrency", *(line + ",USD" for line in lines)]), encoding="utf-8")

    rows = [r for r in canonical_rows(path) if r["CommitmentProgramEligibilityDetails"]]

    covered = sum(r["EffectiveCost"] for r in rows if r["CommitmentDiscountStatus"] == "Used")
    assert (covered, sum(r["EffectiveCost"] for r in rows)) == (Decimal(150), Decimal(350))


def test_the_real_sample_sums_to_what_python_alone_sums(tmp_path: Path) -> None:
    path = shared("data/focus/focus_sample_data/focus_sample_1000_v1.0.csv")
    with path.open(encoding="utf-8", newline="") as handle:
        alone = list(csv.DictReader(handle))

    rows = canonical_rows(path)

    assert len(rows) == len(alone) == 1000
    for measure in MEASURES:
        assert sums(rows)[measure] == sum(Decimal(r[measure]) for r in alone if r[measure] not in ("", "NULL"))
    aws = [r for r in rows if r["ServiceProviderName"] == "AWS"]
    assert (len(aws), sums(aws)["EffectiveCost"]) == (942, Decimal(13))
    assert sums(aws)["BilledCost"].quantize(Decimal("0.0001")) == Decimal("18.0066")
    assert not any(value == "NULL" for r in rows for value in r.values())
    report = load(Ledger(tmp_path / "ledger"), [path], Settings())
    assert {p.code for p in report.files[0].problems} >= {"degenerate-effective-cost"}
    assert any("AWS" in p.message for p in report.files[0].problems)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_synthetic_exports_sum_to_what_python_alone_sums(version: str, cloud: str) -> None:
    name = f"focus_{version.replace('.', '_')}_cost_and_usage_{cloud}.csv"
    path = shared(f"data/focus/focus_data_toolkit_generated/{name}")
    with path.open(encoding="utf-8", newline="") as handle:
        alone = list(csv.DictReader(handle))

    rows = canonical_rows(path)

    assert len(rows) == 2000
    assert sums(rows) == {m: sum(Decimal(r[m]) for r in alone if r[m]) for m in MEASURES}
    assert FocusReader().mapping(open_raw(path)).version == f"FOCUS {version}"


@pytest.mark.parametrize(
    ("version", "column"),
    [("1.0", None), ("1.1", "SkuMeter"), ("1.2", "InvoiceId"), ("1.3", "ContractApplied"), ("1.4", "InvoiceDetailId")],
)
def test_the_version_is_told_by_the_columns(tmp_path: Path, version: str, column: str | None) -> None:
    names = [c for c in COLUMNS if c != "ServiceProviderName"] + ([column] if column else [])
    raw = open_raw(write_csv(tmp_path / "bill.csv", [row()], names))

    assert FocusReader().recognises(raw)
    assert FocusReader().mapping(raw).version == f"FOCUS {version}"


@pytest.mark.parametrize(
    ("columns", "version"),
    [
        (["BillingAccountType", "SubAccountType"], "1.0"),  # as Azure writes 1.0
        (["BillingAccountType", "SkuMeter"], "1.2"),
        (["x_InvoiceId", "x_PricingCurrency"], "1.0"),
        (["SkuMeter", "InvoiceId"], "1.2"),
        (["InvoiceId", "ServiceProviderName"], "1.3"),
    ],
)
def test_a_column_that_a_provider_wrote_early_tells_no_version(
    tmp_path: Path, columns: list[str], version: str
) -> None:
    names = [c for c in COLUMNS if c != "ServiceProviderName"] + columns
    raw = open_raw(write_csv(tmp_path / "bill.csv", [row()], names))

    assert FocusReader().mapping(raw).version == f"FOCUS {version}"


@pytest.mark.parametrize(
    ("pattern", "version", "files"),
    [
        ("focus_sample_data/focus_sample_1000_v1.0.csv", "1.0", 1),
        ("focus_data_toolkit_generated/focus_1_2_cost_and_usage_*.csv", "1.2", 3),
        ("focus_data_toolkit_generated/focus_1_3_cost_and_usage_*.csv", "1.3", 3),
        ("focus_spec_v1.2/virtual_currency_*.csv", "1.2", 6),
        ("focus_spec_v1.2/s*.csv", "1.1", 9),  # excerpts of 1.2 without a column of 1.2
        ("focus_spec_v1.2/commitment_discount_*.csv", "1.1", 7),
    ],
)
def test_the_version_of_every_sample(pattern: str, version: str, files: int) -> None:
    found = sorted(shared("data/focus").glob(pattern))

    assert len(found) == files
    assert {FocusReader().mapping(open_raw(path)).version for path in found} == {f"FOCUS {version}"}


def test_the_columns_that_tell_a_version_came_with_it() -> None:
    model = json.loads(shared("data/focus/focus_1_4_model.json").read_text(encoding="utf-8"))
    since = {name: one["version"] for name, one in model["datasets"]["Cost and Usage"]["columns"].items()}

    assert {since[name] for name in _EARLY_IN_AZURE} == {"1.2"}
    for version, names in _VERSION_MARKS:
        assert {name: since[name] for name in names} == dict.fromkeys(names, version)


def test_a_file_without_effective_costs_says_so(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [row()], [c for c in COLUMNS if c != "EffectiveCost"])

    assert [notice.code for notice in FocusReader().mapping(open_raw(path)).notices] == ["effective-cost-unknown"]
    assert canonical_rows(path)[0]["EffectiveCost"] is None
    assert FocusReader().mapping(open_raw(write_csv(tmp_path / "whole.csv", [row()]))).notices == ()


def test_the_older_names_of_seller_and_host_fill_the_newer(tmp_path: Path) -> None:
    names = [*(c for c in COLUMNS if c != "ServiceProviderName"), "ProviderName", "PublisherName"]
    older = row() | {"ProviderName": "Seller", "PublisherName": "Maker"}
    (found,) = canonical_rows(write_csv(tmp_path / "bill.csv", [older], names))

    assert (found["ServiceProviderName"], found["HostProviderName"]) == ("Seller", "Maker")


@pytest.mark.parametrize(
    "written",
    [
        "2026-10-03",
        "2026-10-03 00:00:00",
        "2026-10-03T00:00:00Z",
        "2026-10-03T02:00:00+02:00",
        "2026-10-02T19:00:00-05:00",
        "10/3/26",
        "10/03/2026",
    ],
)
def test_a_time_in_any_zone_or_spelling_is_naive_utc(tmp_path: Path, written: str) -> None:
    (found,) = canonical_rows(write_csv(tmp_path / "bill.csv", [row(ChargePeriodStart=written)]))

    assert found["ChargePeriodStart"] == datetime(2026, 10, 3)


def _parquet(amount: Callable[[str], Any], kind: pa.DataType) -> Callable[[Path, list[dict[str, str]]], None]:
    def write(path: Path, rows: list[dict[str, str]]) -> None:
        data: dict[str, pa.Array] = {}
        for name in COLUMNS:
            cells = [r[name] for r in rows]
            if name.endswith("Cost"):
                data[name] = pa.array([amount(c) for c in cells], kind)
            elif name.endswith(("Start", "End")):
                data[name] = pa.array(
                    [datetime.fromisoformat(c).astimezone(UTC) for c in cells], pa.timestamp("us", "UTC")
                )
            elif name == "Tags":
                data[name] = pa.array([[("team", "search")] for _ in cells], pa.map_(pa.string(), pa.string()))
            else:
                data[name] = pa.array(cells)
        pq.write_table(pa.table(data), path)

    return write


FORMS: dict[str, Callable[[Path, list[dict[str, str]]], object]] = {
    "csv.gz": lambda path, rows: path.write_bytes(gzip.compress(write_csv(path, rows).read_bytes())),
    "parquet of floats": _parquet(float, pa.float64()),
    "parquet of decimals": _parquet(Decimal, pa.decimal128(20, 4)),
    "parquet of text": _parquet(str, pa.string()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_file_form_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    rows = [row(BilledCost="0.1", EffectiveCost="0.3"), row(BilledCost="1234.5678", SkuId="sku-2")]
    other = tmp_path / "other"
    FORMS[form](other, rows)

    expected = canonical_rows(write_csv(tmp_path / "bill.csv", rows))
    if form.startswith("parquet"):
        expected = without_header(expected)
    found = canonical_rows(other)

    assert [{k: v for k, v in r.items() if k != "x_SourceFile"} for r in found] == [
        {k: v for k, v in r.items() if k != "x_SourceFile"} for r in expected
    ]


@pytest.mark.parametrize("text", ["NULL", "null", ""])
def test_missing_is_null_however_it_is_written(tmp_path: Path, text: str) -> None:
    (found,) = canonical_rows(write_csv(tmp_path / "bill.csv", [row(ListCost=text, SkuId=text)]))

    assert (found["ListCost"], found["SkuId"]) == (None, None)


@pytest.mark.parametrize(
    ("keys", "action"),
    [
        ('{"ModelId": "m-1", "TokenDirection": "Input", "TokenCacheAction": "Read"}', "Read"),
        ('{"ModelId": "m-1", "TokenType": "CacheRead"}', "Read"),
        ('{"ModelId": "m-1", "TokenDirection": "Input"}', "Uncached"),
    ],
)
def test_both_spellings_of_the_draft_token_keys_are_read(tmp_path: Path, keys: str, action: str) -> None:
    cells = {
        "SkuPriceDetails": keys,
        "ConsumedUnit": "Tokens",
        "ConsumedQuantity": "3000000",
        "PricingUnit": "1000000 Tokens",
    }
    (found,) = canonical_rows(
        write_csv(tmp_path / "bill.csv", [GOOD | cells], [*COLUMNS, *(c for c in cells if c not in COLUMNS)])
    )

    assert (found["x_TokenDirection"], found["x_TokenCacheAction"]) == ("Input", action)
    assert (found["x_ModelId"], found["x_Tokens"]) == ("m-1", Decimal(3_000_000))
