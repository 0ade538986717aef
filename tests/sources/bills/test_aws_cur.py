"""An AWS report means the same money in either spelling and any file format: billed as invoiced, effective as used."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from outlay.ledger.tables.costs import focus_columns, subcategory_parents
from outlay.sources.bills.aws_cur2 import AwsCur2Reader
from outlay.sources.bills.aws_cur_legacy import AwsCurLegacyReader
from outlay.sources.bills.aws_services import aws_services
from outlay.sources.bills.focus import FocusReader
from outlay.sources.opening import open_raw
from outlay.sources.reader import Reader
from tests.shared import shared
from tests.sources.bills.reading import HEADER_ROWS, canonical_rows, control_totals, rejected_rows

FIXTURES = Path(__file__).parents[2] / "fixtures" / "aws_cur"
REAL = "data/focus/focus_converters/sample-anonymous-aws-export-dataset.csv"
LEGACY, CUR2 = AwsCurLegacyReader(), AwsCur2Reader()

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Made:
    """The fixture in one of its forms, the reader for it, and its rows."""

    path: Path
    reader: Reader
    rows: Rows

    @property
    def header(self) -> int:
        """Rows above the first line item, so that ``x_SourceRow - header`` counts line items in every form."""
        return 0 if self.path.suffix == ".parquet" else HEADER_ROWS


def typed(name: str, values: list[str]) -> pa.Array:
    """A column as AWS types it in Parquet: double, timestamp, map or string; an empty cell is null."""
    cells = [value or None for value in values]
    if name in ("product", "resource_tags", "tags", "discount", "cost_category"):
        maps = [list(json.loads(cell).items()) if cell else None for cell in cells]
        return pa.array(maps, pa.map_(pa.string(), pa.string()))
    if name.endswith(("_start_date", "_end_date")):
        return pa.array([cell and cell[:-1] for cell in cells]).cast(pa.timestamp("ms"))
    amounts = (
        "_cost",
        "_commitment",
        "_amount",
        "_fee",
        "_quantity",
        "_cost_for_usage",
        "_for_billing_period",
        "_value",
    )
    if name.endswith(amounts):
        return pa.array([float(cell) if cell else None for cell in cells], pa.float64())
    return pa.array(values, pa.string())  # AWS writes "" in string columns


def parquet(source: Path, target: Path, rename: Callable[[str], str] = str) -> Path:
    with source.open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    names = [rename(name) for name in header]
    columns = [typed(name, [row[i] for row in rows]) for i, name in enumerate(names)]
    pq.write_table(pa.table(columns, names=names), target)
    return target


def athena(name: str) -> str:
    """A legacy header as AWS spells it for Athena: every capital and every separator an underscore and lower case."""
    section, _, rest = name.partition("/")
    spelled = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in f"{section}/{rest}")
    return spelled.replace("/_", "_").replace("/", "_").replace(":", "_").replace("__", "_")


FORMS = ("legacy.csv", "legacy.csv.gz", "athena.parquet", "cur2.csv", "cur2.csv.gz", "cur2.parquet")


@pytest.fixture(params=FORMS, scope="module")
def ai(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    name: str = request.param
    path = tmp_path_factory.mktemp("aws") / name
    source = FIXTURES / ("cur2.csv" if name.startswith("cur2") else "legacy.csv")
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(source.read_bytes()))
    elif name.endswith(".parquet"):
        parquet(source, path, athena if name.startswith("athena") else str)
    else:
        path = source
    reader = CUR2 if name.startswith("cur2") else LEGACY
    return Made(path, reader, canonical_rows(path, reader))


def total(rows: Rows, measure: str) -> Decimal:
    return sum((row[measure] for row in rows if row[measure] is not None), Decimal(0))


def report(tmp_path: Path, *rows: dict[str, str]) -> Path:
    """A CUR 2.0 of the given cells, with the account, currency and times that every row has."""
    common = {
        "bill_payer_account_id": "111122223333",
        "bill_billing_period_start_date": "2026-10-01T00:00:00Z",
        "bill_billing_period_end_date": "2026-11-01T00:00:00Z",
        "line_item_usage_start_date": "2026-10-02T00:00:00Z",
        "line_item_usage_end_date": "2026-10-02T01:00:00Z",
        "line_item_currency_code": "USD",
        "line_item_line_item_type": "Usage",
        "line_item_unblended_cost": "1",
    }
    names = list(dict.fromkeys([*common, *(name for row in rows for name in row)]))
    path = tmp_path / "report.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(common | row for row in rows)
    return path


# The fixture: 27 line items, all figures worked out by hand


def test_exactly_one_reader_recognises_each_spelling(ai: Made) -> None:
    raw = open_raw(ai.path)
    assert [r for r in (LEGACY, CUR2) if r.recognises(raw)] == [ai.reader]
    assert not FocusReader().recognises(raw)


def test_totals_are_the_hand_computed_ones_and_the_control_agrees(ai: Made) -> None:
    rows = ai.rows
    assert len(rows) == 27
    assert rejected_rows(ai.path, ai.reader) == []
    # 550.40 + 960 + 21.9648 + 35040 + 7440 + 18.6172 + 126.25 + 67.584 + 3.48 + 11.6325 + 110.08 + 1.15 + 100
    # + 12.34 tax - 25 credit - 3.50 refund - 1.10 discount: what the invoice says
    assert total(rows, "BilledCost") == Decimal("44433.8985")
    # the same less the reservation's cash (35040 + 7440) plus what October used of it (744 h at 14.00)
    assert total(rows, "EffectiveCost") == Decimal("44433.8985") - 42480 + 10416 == Decimal("12369.8985")
    # without the marketplace model, which has no public price; the credit counts as billed
    assert total(rows, "ListCost") == Decimal("15412.8132")
    assert control_totals(ai.path, ai.reader) == {
        measure: total(rows, measure) for measure in ("BilledCost", "EffectiveCost", "ListCost")
    }


def test_effective_cost_of_commitments_is_used_plus_unused(ai: Made) -> None:
    rows = ai.rows
    by_commitment: dict[str, dict[str, Decimal]] = {}
    for row in rows:
        if row["CommitmentDiscountId"]:
            parts = by_commitment.setdefault(row["CommitmentDiscountId"][-3:], {})
            key = row["CommitmentDiscountStatus"] or row["ChargeCategory"]
            parts[key] = parts.get(key, Decimal(0)) + row["EffectiveCost"]
    assert by_commitment == {
        "001": {"Used": Decimal("792.576"), "Adjustment": Decimal(0), "Unused": Decimal("167.424")},
        "002": {"Used": Decimal("21.9648"), "Adjustment": Decimal(0), "Purchase": Decimal(0)},
        "003": {"Purchase": Decimal(0), "Used": Decimal(8400), "Unused": Decimal(2016)},
    }


def test_commitment_quantities_add_up(ai: Made) -> None:
    rows = ai.rows
    quantity = {
        (row["CommitmentDiscountId"][-3:], row["CommitmentDiscountStatus"]): (
            row["CommitmentDiscountQuantity"],
            row["CommitmentDiscountUnit"],
        )
        for row in rows
        if row["CommitmentDiscountStatus"]
    }
    assert quantity == {
        ("001", "Used"): (Decimal("792.576"), "USD"),
        ("001", "Unused"): (Decimal("167.424"), "USD"),
        ("002", "Used"): (Decimal("21.9648"), "USD"),
        ("003", "Used"): (Decimal(115200), "Normalized Hours"),  # 600 h of 192 units
        ("003", "Unused"): (Decimal(27648), "Normalized Hours"),  # 144 h of 192 units
    }
    kinds = {(row["CommitmentDiscountCategory"], row["CommitmentDiscountType"]) for row in rows}
    assert kinds == {(None, None), ("Spend", "Savings Plan"), ("Usage", "Reserved Instance")}


def test_charge_and_pricing_categories(ai: Made) -> None:
    columns = ("ChargeCategory", "PricingCategory", "ChargeFrequency", "ChargeClass")
    said = {row["x_SourceRow"] - ai.header: tuple(row[name] for name in columns) for row in ai.rows}
    assert sorted(said) == list(range(1, 28))
    assert said[1] == ("Usage", "Standard", "Usage-Based", None)
    assert said[2] == ("Usage", "Committed", "Usage-Based", None)
    assert said[3] == ("Adjustment", None, "One-Time", None)
    assert said[4] == ("Usage", "Committed", "Usage-Based", None)  # the fee that carries the unused part
    assert said[7] == ("Purchase", "Standard", "Recurring", None)  # the fee of which nothing went unused
    assert said[8] == ("Purchase", "Standard", "One-Time", None)
    assert said[10] == ("Usage", "Committed", "Usage-Based", None)
    assert said[11] == ("Usage", "Dynamic", "Usage-Based", None)
    assert said[23] == ("Purchase", "Standard", "One-Time", None)
    assert said[24] == ("Tax", None, "One-Time", None)
    assert said[25] == ("Credit", None, "One-Time", None)
    assert said[26] == ("Adjustment", None, "One-Time", "Correction")
    assert said[27] == ("Adjustment", None, "One-Time", None)


def test_focus_rules_hold(ai: Made) -> None:
    allowed = {column.name: column.allowed for column in focus_columns() if column.allowed}
    for row in ai.rows:
        for name, values in allowed.items():
            assert row[name] is None or row[name] in values, name
        is_usage, unused = row["ChargeCategory"] == "Usage", row["CommitmentDiscountStatus"] == "Unused"
        assert (row["ConsumedQuantity"] is not None) == (is_usage and not unused)
        assert row["ConsumedUnit"] is None or row["ConsumedQuantity"] is not None
        assert (row["PricingQuantity"] is not None) == (row["ChargeCategory"] in ("Usage", "Purchase"))
        if is_usage:
            assert (row["CommitmentDiscountStatus"] is None) == (row["CommitmentDiscountId"] is None)
        if row["ChargeCategory"] == "Purchase" and row["CommitmentDiscountId"]:
            assert row["EffectiveCost"] == 0
        if row["SkuPriceId"] is None:
            assert row["SkuPriceDetails"] is None
        if row["ListCost"] and row["ListUnitPrice"]:
            assert row["ListCost"] == row["ListUnitPrice"] * row["PricingQuantity"]
        if row["ContractedUnitPrice"]:
            assert row["ContractedCost"] == row["ContractedUnitPrice"] * row["PricingQuantity"]
        assert subcategory_parents()[row["ServiceSubcategory"]] == row["ServiceCategory"]
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]


def test_ai_is_found_with_its_gpu_hours_and_tokens(ai: Made) -> None:
    rows = ai.rows
    # everything but the compute plan's unused part, storage, support, tax and the firewall's discount
    assert total([row for row in rows if row["x_IsAi"]], "EffectiveCost") == Decimal("12090.0845")
    hours = {row["x_SourceRow"] - ai.header: row["x_GpuHours"] for row in rows if row["x_GpuHours"] is not None}
    assert hours == {
        1: 10 * 8, 2: 24 * 8, 9: 600 * 8, 11: Decimal("30.5"), 12: 5 * 8, 13: 48, 5: 24,
    }  # fmt: skip
    tokens = {
        (row["x_ModelId"], row["x_TokenDirection"], row["x_TokenCacheAction"]): row["x_Tokens"]
        for row in rows
        if row["x_Tokens"] is not None
    }
    assert tokens == {
        ("NovaPro", "Input", "Uncached"): 2_500_000,  # 2,500 of 1K tokens
        ("NovaPro", "Output", None): 400_000,  # 0.4 of 1M tokens
        ("NovaPro", "Input", "Read"): 1_000_000,
        ("Claude Sonnet 4.5", "Input", "Uncached"): 1_500_000,
        ("Claude Sonnet 4.5", "Output", None): 200_000,
        ("Claude Sonnet 4.5", "Input", "Read"): 4_000_000,
        ("Claude Sonnet 4.5", "Input", "Write"): 500_000,
    }
    workloads = {row["x_SourceRow"] - ai.header: row["x_WorkloadKind"] for row in rows}
    assert (workloads[12], workloads[13]) == ("training", "inference")


def test_who_and_where(ai: Made) -> None:
    rows = {row["x_SourceRow"] - ai.header: row for row in ai.rows}
    spot, model, fee, idle = rows[11], rows[17], rows[10], rows[21]
    assert (spot["BillingAccountId"], spot["SubAccountId"]) == ("111122223333", "444455556666")
    assert (spot["RegionId"], spot["RegionName"]) == ("us-east-1", "US East (N. Virginia)")
    assert (spot["AvailabilityZone"], spot["ResourceId"]) == ("us-east-1c", "i-0g5spot0000000004")
    assert json.loads(spot["SkuPriceDetails"]) == {
        "InstanceType": "g5.4xlarge",
        "GpuCount": 1,
        "OperatingSystem": "Linux",
    }
    assert (spot["SkuId"], spot["InvoiceId"]) == ("SKUG54XSPOT0001", "2026100001")
    assert (model["ServiceProviderName"], model["HostProviderName"]) == ("AWS", "AWS")
    assert (model["ServiceCategory"], model["ServiceSubcategory"]) == ("AI and Machine Learning", "Generative AI")
    assert model["ListCost"] is None  # 0 beside a cost is no price
    assert fee["ResourceId"] == fee["CommitmentDiscountId"]
    assert fee["ChargePeriodEnd"].isoformat() == "2026-11-01T00:00:00"  # AWS writes 23:59:59
    assert idle["CapacityReservationStatus"] == "Unused"
    assert idle["CapacityReservationId"].endswith("cr-0f00000000000000a")


def test_tags_carry_the_users_key(ai: Made) -> None:
    rows = ai.rows
    assert [row["x_Tag_team"] for row in rows[:4]] == ["research", "research", None, None]
    bare = ai.path.name.startswith("legacy")
    assert rows[0]["Tags"] == {
        "Team" if bare else "team": "research",
        "environment": "prod",
        "aws:createdBy" if bare else "aws_created_by": "AssumedRole:training",
    }


# Golden cases and the real report


def test_savings_plan_triple_golden(tmp_path: Path) -> None:
    cases = json.loads(shared("goldens/bills.json").read_text(encoding="utf-8"))
    golden = next(case for case in cases if case["id"] == "aws-savings-plan-triple")
    path = report(tmp_path, *({k: v or "" for k, v in row.items()} for row in golden["rows"]))
    assert CUR2.recognises(open_raw(path))
    rows = canonical_rows(path, CUR2)
    for measure in ("EffectiveCost", "BilledCost"):
        assert [row[measure] for row in rows] == [Decimal(value) for value in golden["expect"][measure]]
        assert total(rows, measure) == Decimal(golden["expect"][f"sum_{measure}"])
        assert control_totals(path, CUR2)[measure] == total(rows, measure)


def test_pricing_unit_golden(tmp_path: Path) -> None:
    token = {
        "line_item_product_code": "AmazonBedrock",
        "line_item_usage_type": "USE1-NovaPro-input-token-count",
        "line_item_unblended_cost": "7.5",
    }
    path = report(
        tmp_path,
        token | {"line_item_usage_amount": "2500", "pricing_unit": "1K tokens"},
        token | {"line_item_usage_amount": "2.5", "pricing_unit": "1000000 Tokens"},
    )
    rows = canonical_rows(path, CUR2)
    assert [row["x_Tokens"] for row in rows] == [2_500_000, 2_500_000]
    assert [row["EffectiveCost"] * 1000 / row["x_Tokens"] for row in rows] == [Decimal("0.003")] * 2


def test_the_real_report_reads_without_a_problem() -> None:
    path = shared(REAL)
    with path.open(encoding="utf-8-sig", newline="") as handle:
        cells = list(csv.DictReader(handle))
    unblended = sum((Decimal(row["lineItem/UnblendedCost"]) for row in cells), Decimal(0))
    listed = sum((Decimal(row["pricing/publicOnDemandCost"]) for row in cells), Decimal(0))
    assert (len(cells), unblended) == (1281, Decimal("1.68230869740"))
    assert LEGACY.recognises(open_raw(path))
    rows = canonical_rows(path, LEGACY)
    assert rejected_rows(path, LEGACY) == []
    assert len(rows) == 1281
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost") == total(rows, "ContractedCost") == unblended
    assert total(rows, "ListCost") == listed
    assert control_totals(path, LEGACY) == {"BilledCost": unblended, "EffectiveCost": unblended, "ListCost": listed}
    assert not any(row["x_IsAi"] for row in rows)  # storage, Glue, queues
    assert not any(row["CommitmentDiscountId"] for row in rows)  # though reservation/SubscriptionId is filled
    assert "Other" not in {row["ServiceCategory"] for row in rows}
    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Tax"}
    assert all(row["ListCost"] is None for row in rows if row["ChargeCategory"] == "Tax")


def test_the_documented_query_exports_all_that_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "sources" / "aws-cur2.md").read_text(encoding="utf-8")
    found = re.search(r"SELECT (.+) FROM COST_AND_USAGE_REPORT", page)
    assert found is not None
    asked = found[1].split(", ")
    with (FIXTURES / "cur2.csv").open(encoding="utf-8", newline="") as handle:
        cells = list(csv.DictReader(handle))
    path = tmp_path / "chosen.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, asked, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(cells)
    assert CUR2.recognises(open_raw(path))

    def without_names(rows: Rows) -> Rows:
        return [{key: value for key, value in row.items() if key != "x_SourceFile"} for row in rows]

    assert without_names(canonical_rows(path, CUR2)) == without_names(canonical_rows(FIXTURES / "cur2.csv", CUR2))


# What a report may lack, and what must not pass in silence


def test_without_a_public_price_list_cost_is_unknown(tmp_path: Path) -> None:
    path = report(tmp_path, {})
    assert canonical_rows(path, CUR2)[0]["ListCost"] is None
    assert [notice.code for notice in CUR2.mapping(open_raw(path)).notices] == ["list-cost-unknown"]
    assert "ListCost" not in CUR2.mapping(open_raw(path)).control


LACKING = [
    ("SavingsPlanCoveredUsage", "usage under savings plans", "savings_plan_savings_plan_effective_cost"),
    ("DiscountedUsage", "usage under reservations", "reservation_effective_cost"),
    ("SavingsPlanRecurringFee", "unused savings plans", "savings_plan_used_commitment"),
    ("RIFee", "unused reservations", "reservation_unused_recurring_fee"),
]


@pytest.mark.parametrize(("kind", "what", "column"), LACKING)
def test_without_its_column_an_effective_cost_is_unknown_and_said_to_be(
    tmp_path: Path, kind: str, what: str, column: str
) -> None:
    path = report(tmp_path, {"pricing_public_on_demand_cost": "1"}, {"line_item_line_item_type": kind})
    usage, covered = canonical_rows(path, CUR2)
    assert (usage["EffectiveCost"], covered["EffectiveCost"]) == (1, None)
    (notice,) = CUR2.mapping(open_raw(path)).notices
    assert notice.code == "effective-cost-unknown"
    assert notice.message.startswith(f"the effective cost of {what} is unknown: the export lacks ")
    assert column in notice.message


def test_columns_that_no_row_needs_are_not_missed(tmp_path: Path) -> None:
    path = report(tmp_path, {"pricing_public_on_demand_cost": "1"}, {"line_item_line_item_type": "Tax"})
    assert CUR2.mapping(open_raw(path)).notices == ()


def test_a_net_column_is_enough(tmp_path: Path) -> None:
    cells = {
        "line_item_line_item_type": "SavingsPlanCoveredUsage",
        "savings_plan_net_savings_plan_effective_cost": "0.6",
        "pricing_public_on_demand_cost": "1",
    }
    path = report(tmp_path, cells)
    assert canonical_rows(path, CUR2)[0]["EffectiveCost"] == Decimal("0.6")
    assert CUR2.mapping(open_raw(path)).notices == ()


def test_a_whole_report_lacks_no_effective_cost(ai: Made) -> None:
    assert ai.reader.mapping(open_raw(ai.path)).notices == ()


def test_net_amounts_come_before_unblended_ones(tmp_path: Path) -> None:
    plan, reservation = "savings_plan_savings_plan_effective_cost", "reservation_effective_cost"
    path = report(
        tmp_path,
        {"line_item_unblended_cost": "10", "line_item_net_unblended_cost": "9"},
        {
            "line_item_line_item_type": "EdpDiscount",
            "line_item_unblended_cost": "-1",
            "line_item_net_unblended_cost": "0",
        },
        {
            "line_item_line_item_type": "SavingsPlanCoveredUsage",
            "line_item_unblended_cost": "10",
            "line_item_net_unblended_cost": "9",
            plan: "6",
            "savings_plan_net_savings_plan_effective_cost": "5.4",
        },
        {
            "line_item_line_item_type": "DiscountedUsage",
            "line_item_unblended_cost": "0",
            reservation: "4",
            "reservation_net_effective_cost": "3.6",
        },
        {"line_item_unblended_cost": "2"},  # no discount on this one
    )
    rows = canonical_rows(path, CUR2)
    assert [row["BilledCost"] for row in rows] == [9, 0, 0, 0, 2]
    assert [row["EffectiveCost"] for row in rows] == [9, 0, Decimal("5.4"), Decimal("3.6"), 2]
    assert control_totals(path, CUR2) == {"BilledCost": Decimal(11), "EffectiveCost": Decimal(20)}


def test_a_discount_line_without_net_columns_reduces_both_costs(tmp_path: Path) -> None:
    path = report(
        tmp_path,
        {"line_item_unblended_cost": "10"},
        {"line_item_line_item_type": "EdpDiscount", "line_item_unblended_cost": "-1"},
    )
    rows = canonical_rows(path, CUR2)
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost") == 9


def test_an_effective_cost_that_the_export_left_out_stays_unknown(tmp_path: Path) -> None:
    kinds = ("SavingsPlanCoveredUsage", "DiscountedUsage", "SavingsPlanRecurringFee", "RIFee")
    rows = canonical_rows(report(tmp_path, *({"line_item_line_item_type": kind} for kind in kinds)), CUR2)
    assert [row["EffectiveCost"] for row in rows] == [None] * 4
    assert [row["BilledCost"] for row in rows] == [0, 1, 1, 1]


def test_a_plan_used_beyond_its_total_by_a_rounded_digit_has_nothing_unused(tmp_path: Path) -> None:
    fee = {
        "line_item_line_item_type": "SavingsPlanRecurringFee",
        "savings_plan_total_commitment_to_date": "6.0",
        "savings_plan_used_commitment": "6.0000000001",
    }
    path = report(tmp_path, fee)
    [row] = canonical_rows(path, CUR2)
    assert (row["EffectiveCost"], row["ChargeCategory"], row["CommitmentDiscountStatus"]) == (0, "Purchase", None)
    assert control_totals(path, CUR2)["EffectiveCost"] == 0


def test_a_no_upfront_reservation_has_no_upfront_part(tmp_path: Path) -> None:
    fee = {
        "line_item_line_item_type": "RIFee",
        "line_item_unblended_cost": "10",
        "reservation_unused_recurring_fee": "2.5",
        "reservation_unused_amortized_upfront_fee_for_billing_period": "",
    }
    path = report(tmp_path, fee)
    [row] = canonical_rows(path, CUR2)
    assert (row["EffectiveCost"], row["CommitmentDiscountStatus"]) == (Decimal("2.5"), "Unused")
    assert control_totals(path, CUR2)["EffectiveCost"] == Decimal("2.5")


def test_a_bad_cell_keeps_its_row_out_and_no_other(tmp_path: Path) -> None:
    plan = {
        "line_item_line_item_type": "SavingsPlanRecurringFee",
        "savings_plan_total_commitment_to_date": "6",
        "savings_plan_used_commitment": "six",
    }
    bad = (
        ({"line_item_line_item_type": "SomethingNew"}, "unknown-charge-category"),
        ({"line_item_unblended_cost": "1,5"}, "unparsable-amount"),
        ({"line_item_unblended_cost": ""}, "missing-amount"),
        ({"line_item_usage_amount": "many"}, "unparsable-amount"),
        ({"line_item_currency_code": ""}, "missing-currency"),
        ({"line_item_usage_end_date": "2026-10-01T00:00:00Z"}, "period-reversed"),
        ({"line_item_usage_start_date": "2026-10-32T00:00:00Z"}, "unparsable-time"),
        (plan, "unparsable-amount"),
    )
    path = report(tmp_path, {}, *(cells for cells, _ in bad), {})
    # the header is row 1 and the good line row 2
    assert rejected_rows(path, CUR2) == [(number, code) for number, (_, code) in enumerate(bad, start=3)]
    assert [row["x_SourceRow"] for row in canonical_rows(path, CUR2)] == [2, len(bad) + 3]


def test_amounts_in_exponent_form_are_exact(tmp_path: Path) -> None:
    path = report(tmp_path, {"line_item_unblended_cost": "5.2E-9"}, {"line_item_unblended_cost": "1.0E-10"})
    assert total(canonical_rows(path, CUR2), "BilledCost") == Decimal("0.0000000053")


def test_a_split_line_costs_nothing_by_itself(tmp_path: Path) -> None:
    node = "arn:aws:ec2:us-east-1:1:instance/i-0"
    path = report(
        tmp_path,
        {"line_item_unblended_cost": "3", "split_line_item_parent_resource_id": ""},
        {"line_item_unblended_cost": "", "split_line_item_parent_resource_id": node},
    )
    assert [row["BilledCost"] for row in canonical_rows(path, CUR2)] == [3, 0]
    assert rejected_rows(path, CUR2) == []


def test_usage_marks_on_demand_spot_and_idle_capacity(tmp_path: Path) -> None:
    spot, idle = "PricingCategory", "CapacityReservationStatus"
    usages = {
        "BoxUsage:g5.xlarge": ("Standard", None),
        "EUW1-SpotUsage:g5.xlarge": ("Dynamic", None),
        "SpotUsage:g5.xlarge": ("Dynamic", None),
        "USE1-UnusedBox:p5.48xlarge": ("Standard", "Unused"),
        "USE1-UnusedDed:p5.48xlarge": ("Standard", "Unused"),
        "USE1-WebSpotlight": ("Standard", None),
    }
    rows = canonical_rows(report(tmp_path, *({"line_item_usage_type": usage} for usage in usages)), CUR2)
    assert [(row[spot], row[idle]) for row in rows] == list(usages.values())


def test_capacity_reservation_columns_speak_first(tmp_path: Path) -> None:
    arn, status = "capacity_reservation_capacity_reservation_arn", "capacity_reservation_capacity_reservation_status"
    said = ("Used", "Unused", "Reserved", "Cancelled")
    rows = canonical_rows(report(tmp_path, *({arn: "cr-1", status: one} for one in said)), CUR2)
    assert [row["CapacityReservationStatus"] for row in rows] == ["Used", "Unused", None, None]
    assert {row["CapacityReservationId"] for row in rows} == {"cr-1"}


def test_tags_of_other_kinds_keep_their_prefix(tmp_path: Path) -> None:
    given = {
        "tags": '{"user_team": "search", "resourceTags/user:env": "prod", "iamPrincipal/team": "ml", "aws_x": "1"}',
        "resource_tags": '{"user_team": "old"}',
    }
    wanted = {"team": "search", "env": "prod", "iamPrincipal/team": "ml", "aws_x": "1"}
    path = report(
        tmp_path, given, {"tags": "{}", "resource_tags": '{"user_team": "old, \\"user_x\\": 1"}'}, {"tags": ""}
    )
    rows = [wanted, {"team": 'old, "user_x": 1'}, None]
    assert [row["Tags"] for row in canonical_rows(path, CUR2)] == rows
    columnar = parquet(path, tmp_path / "report.parquet")
    assert [row["Tags"] for row in canonical_rows(columnar, CUR2)] == rows


def test_tag_keys_that_differ_by_the_prefix_only_both_stay(tmp_path: Path) -> None:
    path = report(tmp_path, {"resource_tags": '{"user_team": "a", "team": "b"}'})
    [row] = canonical_rows(parquet(path, tmp_path / "report.parquet"), CUR2)
    assert row["Tags"] == {"user_team": "a", "team": "b"}
    columns = report(tmp_path, {"resource_tags_user_team": "a", "resource_tags_team": "b"})
    [row] = canonical_rows(columns, LEGACY)
    assert row["Tags"] == {"user_team": "a", "team": "b"}


def test_a_broken_map_loses_its_attributes_and_not_the_row(tmp_path: Path) -> None:
    path = report(tmp_path, {"product": "{broken", "resource_tags": "{broken", "line_item_product_code": "AmazonS3"})
    [row] = canonical_rows(path, CUR2)
    assert (row["ServiceName"], row["Tags"], row["BilledCost"]) == ("Amazon Simple Storage Service", None, 1)


def test_services_are_focus_categories_each_named_once() -> None:
    table = aws_services()
    keys = [(one.product_code, one.product_family) for one in table]
    assert len(keys) == len(set(keys))
    for one in table:
        assert subcategory_parents()[one.service_subcategory] == one.service_category, one
    alone = {one.product_code for one in table if not one.product_family}
    assert {one.product_code for one in table} == alone


def test_a_family_refines_its_product_and_an_unknown_product_is_other(tmp_path: Path) -> None:
    path = report(
        tmp_path,
        {"line_item_product_code": "AmazonEC2", "product_product_family": "Storage"},
        {"line_item_product_code": "AmazonEC2", "product_product_family": "Compute Instance"},
        {"line_item_product_code": "AmazonEC2"},
        {"line_item_product_code": "AWSBrandNew"},
        {},
    )
    rows = canonical_rows(path, CUR2)
    assert [row["ServiceCategory"] for row in rows] == ["Storage", "Compute", "Compute", "Other", "Other"]
    assert [row["ServiceName"] for row in rows][3:] == ["AWSBrandNew", None]
