"""AI cost is one figure, in a report over bills and in the ledger, and nothing stands in for another silently."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from outlay.config import Settings
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.optimize.overspend import Overspend, overspend
from outlay.prices.rates import RateBook
from outlay.sources.loading import load
from tests.sources.focus_bills import row, write_csv

COMMITMENT = {"ServiceProviderName": "AWS", "CommitmentDiscountId": "sp-1", "BilledCost": "0"}
USED_AI = COMMITMENT | {
    "ServiceName": "Amazon SageMaker",
    "CommitmentDiscountStatus": "Used",
    "EffectiveCost": "60.00",
}
USED_OTHER = COMMITMENT | {"ServiceName": "AmazonEC2", "CommitmentDiscountStatus": "Used", "EffectiveCost": "20.00"}
UNUSED = COMMITMENT | {"ServiceName": "AmazonEC2", "CommitmentDiscountStatus": "Unused", "EffectiveCost": "40.00"}
COLUMNS = [*row(), "CommitmentDiscountId", "CommitmentDiscountStatus"]


def answer(*paths: Path) -> Overspend:
    return overspend(paths, Settings(), RateBook())


def in_ledger(folder: Path, *paths: Path) -> list[tuple[Decimal, str, str]]:
    load(Ledger(folder), paths, Settings())
    with session() as connection:
        Ledger(folder).register(connection)
        return connection.execute(
            'SELECT sum("EffectiveCost"), x_AiCategory, x_WorkloadKind FROM costs WHERE x_IsAi GROUP BY ALL ORDER BY 1'
        ).fetchall()


def test_what_is_left_unused_of_a_commitment_that_ai_uses_most_is_ai_cost_in_both(tmp_path: Path) -> None:
    used = write_csv(tmp_path / "used.csv", [row(**USED_AI), row(**USED_OTHER)], COLUMNS)
    unused = write_csv(tmp_path / "unused.csv", [row(**UNUSED)], COLUMNS)
    assert answer(used, unused).totals.ai_cost == Decimal(100)
    found = in_ledger(tmp_path / "ledger", used, unused)
    assert sum(cost for cost, _, _ in found) == Decimal(100)
    assert (Decimal(40), "ai_other", "other") in found


def test_a_commitment_that_others_use_most_stays_out_of_ai_cost_in_both(tmp_path: Path) -> None:
    bill = write_csv(
        tmp_path / "bill.csv", [row(**USED_AI), row(**USED_OTHER | {"EffectiveCost": "60.00"}), row(**UNUSED)], COLUMNS
    )
    assert answer(bill).totals.ai_cost == Decimal(60)
    assert sum(cost for cost, _, _ in in_ledger(tmp_path / "ledger", bill)) == Decimal(60)


def test_purchases_with_cents_do_not_make_whole_effective_costs_unusable(tmp_path: Path) -> None:
    purchases = [
        row(ChargeCategory="Purchase", BilledCost=f"{n}.99", EffectiveCost="0", SkuId=f"p{n}") for n in range(10, 16)
    ]
    usage = [row(ServiceName="Amazon SageMaker", BilledCost="0", EffectiveCost="100", SkuId=f"u{n}") for n in range(3)]
    bill = write_csv(tmp_path / "bill.csv", [*purchases, *usage])
    found = answer(bill)
    assert (found.totals.ai_cost, found.basis) == (Decimal(300), "EffectiveCost")
    (file,) = load(Ledger(tmp_path / "ledger"), [bill], Settings()).files
    assert "degenerate-effective-cost" not in {p.code for p in file.problems}


def test_one_sku_rounded_to_whole_numbers_is_noticed_by_both(tmp_path: Path) -> None:
    rows = [row(ServiceName="Amazon SageMaker", BilledCost=f"{n}.30", EffectiveCost=f"{n}") for n in range(1, 7)]
    bill = write_csv(tmp_path / "bill.csv", rows)
    assert answer(bill).basis.startswith("EffectiveCost (BilledCost for")
    (file,) = load(Ledger(tmp_path / "ledger"), [bill], Settings()).files
    assert "degenerate-effective-cost" in {p.code for p in file.problems}


def test_billed_cost_never_stands_in_silently(tmp_path: Path) -> None:
    rows = [row(ServiceName="Amazon SageMaker", BilledCost="50", EffectiveCost=cost) for cost in ("10", "", "")]
    bill = write_csv(tmp_path / "bill.csv", rows)
    found = answer(bill)
    assert found.totals.ai_cost == Decimal(110)
    assert [(p.code, p.message.partition(" rows")[0]) for p in found.problems] == [("effective-cost-unknown", "2 of 3")]
    (file,) = load(Ledger(tmp_path / "ledger"), [bill], Settings()).files
    assert "effective-cost-unknown" in {p.code for p in file.problems}


def test_a_gpu_row_without_an_end_is_read(tmp_path: Path) -> None:
    gpu = {
        "ServiceProviderName": "AWS",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "SkuMeter": "USE1-BoxUsage:p5.48xlarge",
        "PricingCategory": "Standard",
        "PricingUnit": "Hours",
        "PricingQuantity": "1",
        "ChargePeriodEnd": "",
    }
    columns = list(dict.fromkeys([*row(), *gpu]))
    found = answer(write_csv(tmp_path / "bill.csv", [row(**gpu)], columns))
    assert found.totals.ai_rows == 1


def test_a_fee_for_years_to_come_is_not_in_the_window(tmp_path: Path) -> None:
    fee = row(
        ChargeCategory="Purchase", ChargePeriodStart="2026-10-01T00:00:00Z", ChargePeriodEnd="2029-10-01T00:00:00Z"
    )
    totals = answer(write_csv(tmp_path / "bill.csv", [row(), fee])).totals
    assert (totals.since.date().isoformat(), totals.until.date().isoformat()) == ("2026-10-03", "2026-10-04")
    totals = answer(write_csv(tmp_path / "fee.csv", [fee])).totals
    assert totals.until.date().isoformat() == "2029-10-01"
