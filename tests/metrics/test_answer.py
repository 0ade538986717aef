"""Answers equal hand-computed figures and plain SQL to the last digit, and say what they do not know."""

from __future__ import annotations

import csv
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from outlay.config import Settings
from outlay.errors import UsageError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.metrics.answer import answer
from outlay.metrics.query import Query, filters
from outlay.metrics.result import Result
from outlay.periods import parse_day
from outlay.sources.loading import load
from tests.shared import shared

SETTINGS = Settings()
DRAFTS = "data/focus/focus_spec_ai_draft/"
USUAL = {
    "BilledCost": "1",
    "EffectiveCost": "1",
    "ListCost": "1",
    "BillingCurrency": "USD",
    "BillingAccountId": "acct",
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-01T00:00:00Z",
    "ChargePeriodEnd": "2026-10-02T00:00:00Z",
    "ChargeCategory": "Usage",
    "ConsumedQuantity": "1000000",
    "ConsumedUnit": "Tokens",
    "PricingQuantity": "1",
    "PricingUnit": "1000000 Tokens",
    "PricingCategory": "Standard",
    "ServiceProviderName": "Solora AI",
    "ServiceCategory": "AI and Machine Learning",
    "ServiceName": "Solora API",
    "SkuId": "solora-input",
    "SkuPriceId": "solora-input",
    "SkuMeter": "Input Tokens",
    "SkuPriceDetails": "",
    "CommitmentDiscountId": "",
    "CommitmentDiscountStatus": "",
    "Tags": "",
}
GPU = {
    "ConsumedUnit": "Hours",
    "PricingUnit": "Hours",
    "ServiceProviderName": "AWS",
    "ServiceCategory": "Compute",
    "ServiceName": "Amazon Elastic Compute Cloud",
    "SkuId": "gpu",
    "SkuPriceId": "gpu",
    "SkuMeter": "BoxUsage:p5.48xlarge",
    "SkuPriceDetails": '{"InstanceType": "p5.48xlarge", "GpuCount": 8}',
}


def bill(path: Path, *rows: dict[str, str]) -> Path:
    """A FOCUS bill of token rows on 1 October 2026, with ``rows`` laid over the usual values."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(USUAL))
        writer.writeheader()
        writer.writerows({**USUAL, **row} for row in rows)
    return path


def ledger_of(folder: Path, *paths: Path) -> Ledger:
    ledger = Ledger(folder / "ledger")
    load(ledger, paths, SETTINGS)
    return ledger


def asked(ledger: Ledger, metrics: str, **rest: object) -> Result:
    return answer(ledger, Query(tuple(metrics.split(",")), **rest), SETTINGS)  # type: ignore[arg-type]


def values(result: Result, metric: str) -> list[Decimal | None]:
    return [row.figures[metric].value for row in result.rows]


def test_prompt_caching_of_the_draft(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, shared(f"{DRAFTS}ai_prompt_caching_b.csv"))
    row = asked(ledger, "ai_cost,tokens,input_tokens,output_tokens,cache_read_share").rows[0]
    assert row.figures["ai_cost"].value == Decimal("38.40")
    assert row.figures["tokens"].value == 12_000_000  # 6,000,000 Token-Hours are no tokens
    assert row.figures["input_tokens"].value == 10_500_000
    assert row.figures["output_tokens"].value == 1_500_000
    share = row.figures["cache_read_share"]
    assert share.numerator == 8_000_000
    assert share.denominator == 10_500_000
    assert share.value == Decimal("0.761904761904761905")
    by_action = asked(ledger, "ai_cost", by=("cache_action",), where=filters(["token_direction=Input"]))
    assert {row.dimensions["cache_action"]: row.figures["ai_cost"].value for row in by_action.rows} == {
        "Uncached": Decimal("7.5"),
        "Read": Decimal("2.4"),
    }


def test_prepaid_credits_are_spent_when_used(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, shared(f"{DRAFTS}drawdown_via_prepayment_foundation_model_api.csv"))
    figures = asked(ledger, "ai_cost,billed_cost,effective_cost,list_cost,effective_savings_rate").rows[0].figures
    assert figures["ai_cost"].value == 50
    assert figures["billed_cost"].value == 500_000
    assert figures["effective_cost"].value == 50
    assert figures["list_cost"].value == Decimal("500062.50")
    assert figures["effective_savings_rate"].value == Decimal("0.2")  # 1 - 50 / 62.50, usage only
    rates = asked(ledger, "cost_per_1m_tokens", by=("token_direction",), where=filters(["charge_category=Usage"]))
    assert {row.dimensions["token_direction"]: row.figures["cost_per_1m_tokens"].value for row in rates.rows} == {
        "Input": Decimal(4),
        "Output": Decimal(20),
    }
    # The purchase's term ends in 2026; the bill is no fresher than its usage.
    assert rates.receipt.freshness.newest_charge == parse_day("2025-06-01")
    assert asked(ledger, "rows").receipt.freshness.newest_charge == parse_day("2025-06-01")


def test_commitments_by_cost_and_by_gpu_hours(tmp_path: Path) -> None:
    used = GPU | {"CommitmentDiscountId": "plan", "CommitmentDiscountStatus": "Used", "PricingCategory": "Committed"}
    path = bill(
        tmp_path / "bill.csv",
        used | {"PricingQuantity": "3", "EffectiveCost": "75", "ListCost": "100"},
        used | {"CommitmentDiscountStatus": "Unused", "PricingQuantity": "1", "EffectiveCost": "25", "ListCost": "40"},
        GPU | {"PricingQuantity": "2", "EffectiveCost": "120", "ListCost": "120"},
    )
    metrics = "commitment_utilization,unused_commitment_cost,commitment_coverage,gpu_hours,cost_per_gpu_hour"
    figures = asked(ledger_of(tmp_path, path), f"{metrics},effective_savings_rate").rows[0].figures
    assert figures["commitment_utilization"].value == Decimal("0.75")
    assert figures["unused_commitment_cost"].value == 25
    assert figures["gpu_hours"].value == 40  # 8 GPUs x (3 + 2) hours; the unused hour was no GPU at work
    assert figures["commitment_coverage"].value == Decimal("0.6")  # 24 / 40
    assert figures["cost_per_gpu_hour"].value == Decimal("4.875")  # 195 / 40
    assert figures["effective_savings_rate"].value == 0  # 1 - (75 + 120 + 25) / (100 + 120): the unused part ate it


def test_ratios_are_divided_after_aggregation(tmp_path: Path) -> None:
    path = bill(
        tmp_path / "bill.csv",
        {"EffectiveCost": "9", "ConsumedQuantity": "1000000"},
        {"EffectiveCost": "1", "ConsumedQuantity": "9000000", "PricingQuantity": "9"},
    )
    figure = asked(ledger_of(tmp_path, path), "cost_per_1m_tokens").rows[0].figures["cost_per_1m_tokens"]
    assert figure.value == 1  # 10 / 10, not the mean of 9 and 1/9
    assert figure.numerator == 10
    assert figure.denominator == 10_000_000


def test_currencies_are_never_added(tmp_path: Path) -> None:
    path = bill(
        tmp_path / "bill.csv", {"BilledCost": "2"}, {"BilledCost": "3", "BillingCurrency": "EUR"}, {"BilledCost": "4"}
    )
    result = asked(ledger_of(tmp_path, path), "billed_cost")
    assert {row.dimensions["currency"]: row.figures["billed_cost"].value for row in result.rows} == {"EUR": 3, "USD": 6}
    assert any("EUR, USD" in note for note in result.receipt.notes)
    assert values(asked(ledger_of(tmp_path, path), "tokens"), "tokens") == [3_000_000]


def test_unknown_is_not_zero(tmp_path: Path) -> None:
    path = bill(tmp_path / "bill.csv", {"ListCost": ""}, {"ListCost": "", "SkuId": "b"})
    figures = (
        asked(ledger_of(tmp_path, path), "list_cost,effective_savings_rate,gpu_hours,cost_per_gpu_hour").rows[0].figures
    )
    assert figures["list_cost"].value is None
    assert "2 rows should carry ListCost" in str(figures["list_cost"].why)
    assert figures["effective_savings_rate"].value is None
    assert figures["gpu_hours"].value == 0  # no GPU was billed
    assert figures["cost_per_gpu_hour"].value is None
    assert "nothing to divide by" in str(figures["cost_per_gpu_hour"].why)


def test_a_partial_sum_says_what_it_lacks(tmp_path: Path) -> None:
    path = bill(tmp_path / "bill.csv", {"ListCost": "5"}, {"ListCost": "", "SkuId": "b"})
    result = asked(ledger_of(tmp_path, path), "list_cost")
    assert values(result, "list_cost") == [5]
    assert [(one.reason, one.count, one.metric) for one in result.receipt.left_out] == [
        ("missing-measure", 1, "list_cost")
    ]


def test_quarantined_rows_are_on_the_receipt(tmp_path: Path) -> None:
    path = bill(tmp_path / "bill.csv", {}, {"BilledCost": "many"})
    result = asked(ledger_of(tmp_path, path), "billed_cost")
    assert [(one.reason, one.count) for one in result.receipt.left_out] == [("quarantine", 1)]


def test_tags_group_filter_and_cover(tmp_path: Path) -> None:
    path = bill(
        tmp_path / "bill.csv",
        {"EffectiveCost": "6", "Tags": '{"team": "search"}'},
        {"EffectiveCost": "3", "Tags": '{"team": "it\'s __outlay_slot_0__"}'},
        {"EffectiveCost": "1"},
    )
    ledger = ledger_of(tmp_path, path)
    result = asked(ledger, "ai_cost", by=("team",))
    assert [(row.dimensions["team"], row.figures["ai_cost"].value) for row in result.rows] == [
        ("search", Decimal(6)),
        ("it's __outlay_slot_0__", Decimal(3)),
        (None, Decimal(1)),
    ]
    assert values(asked(ledger, "allocated_share"), "allocated_share") == [Decimal("0.9")]
    assert values(asked(ledger, "tagged_share_team"), "tagged_share_team") == [Decimal("0.9")]
    assert values(asked(ledger, "untagged_ai_cost"), "untagged_ai_cost") == [1]
    assert values(asked(ledger, "ai_cost", where=filters(["team="])), "ai_cost") == [1]
    assert values(asked(ledger, "ai_cost", where=filters(["team=", "team=search"])), "ai_cost") == [7]
    odd = filters(["team=it's __outlay_slot_0__"])
    assert values(asked(ledger, "ai_cost", where=odd), "ai_cost") == [3]
    assert values(asked(ledger, "ai_cost", where=filters(["team=' OR true --"])), "ai_cost") == [None]


def test_window_is_half_open_and_compares_with_the_one_before(tmp_path: Path) -> None:
    days = [("2026-10-01", "1"), ("2026-10-02", "2"), ("2026-10-03", "4"), ("2026-10-04", "8")]
    rows = [
        {"ChargePeriodStart": f"{day}T00:00:00Z", "ChargePeriodEnd": f"{day}T12:00:00Z", "EffectiveCost": cost}
        for day, cost in days
    ]
    ledger = ledger_of(tmp_path, bill(tmp_path / "bill.csv", *rows))
    window = {"since": parse_day("2026-10-03"), "until": parse_day("2026-10-05")}
    assert values(asked(ledger, "ai_cost", **window), "ai_cost") == [12]
    compared = asked(ledger, "ai_cost", **window, compare="previous")
    assert compared.rows[0].previous is not None
    assert compared.rows[0].previous["ai_cost"].value == 3
    assert compared.rows[0].delta("ai_cost") == 9
    assert not compared.receipt.notes
    early = asked(ledger, "ai_cost", since=parse_day("2026-10-01"), until=parse_day("2026-10-03"), compare="previous")
    assert early.rows[0].previous is not None
    assert early.rows[0].previous["ai_cost"].value is None
    assert "holds no charges" in str(early.rows[0].previous["ai_cost"].why)
    by_day = asked(ledger, "ai_cost", grain="day")
    assert [row.dimensions["day"] for row in by_day.rows] == [day for day, _ in days]
    by_week = asked(ledger, "ai_cost", grain="week")  # 1 October 2026 is a Thursday: all four lie in one week
    assert [(row.dimensions["week"], row.figures["ai_cost"].value) for row in by_week.rows] == [
        ("2026-09-28", Decimal(15))
    ]
    assert asked(ledger, "ai_cost", grain="month").rows[0].dimensions["month"] == "2026-10"
    limited = asked(ledger, "ai_cost", by=("day",), limit=3)
    assert len(limited.rows) == 3
    assert [(one.reason, one.count) for one in limited.receipt.left_out] == [("limit", 1)]


def test_groups_of_the_previous_window_alone_are_shown(tmp_path: Path) -> None:
    old = {"ChargePeriodStart": "2026-10-01T00:00:00Z", "Tags": '{"team": "gone"}'}
    new = {"ChargePeriodStart": "2026-10-02T00:00:00Z", "Tags": '{"team": "here"}'}
    ledger = ledger_of(tmp_path, bill(tmp_path / "bill.csv", old, new))
    result = asked(
        ledger,
        "ai_cost",
        by=("team",),
        since=parse_day("2026-10-02"),
        until=parse_day("2026-10-03"),
        compare="previous",
    )
    assert [(row.dimensions["team"], row.figures["ai_cost"].value, row.delta("ai_cost")) for row in result.rows] == [
        ("here", Decimal(1), Decimal(1)),
        ("gone", Decimal(0), Decimal(-1)),
    ]


def test_as_of_shows_the_figures_of_then(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, bill(tmp_path / "first.csv", {"EffectiveCost": "5"}))
    before = ledger.table().version()
    load(ledger, [bill(tmp_path / "restated.csv", {"EffectiveCost": "7"})], SETTINGS)
    assert values(asked(ledger, "effective_cost"), "effective_cost") == [7]
    old = answer(ledger, Query(("effective_cost",)), SETTINGS, as_of=str(before))
    assert values(old, "effective_cost") == [5]
    assert old.receipt.version == before
    assert [one.files[0].endswith("first.csv") for one in old.receipt.loads] == [True]


def test_real_sample_equals_plain_sql_and_its_receipt_runs_by_hand(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, shared("data/focus/focus_sample_data/focus_sample_1000_v1.0.csv"))
    since, until = parse_day("2024-09-05"), parse_day("2024-09-20")
    result = asked(ledger, "billed_cost,list_cost,rows", by=("provider", "service"), since=since, until=until)
    with session() as connection:
        ledger.register(connection)
        plain = connection.execute(
            """
            SELECT "ServiceProviderName", "ServiceName", "BillingCurrency", sum("BilledCost"), sum("ListCost"), count(*)
            FROM costs WHERE "ChargePeriodStart" >= '2024-09-05' AND "ChargePeriodStart" < '2024-09-20' GROUP BY ALL
            """
        ).fetchall()
    said = [
        (*row.dimensions.values(), *(row.figures[name].value for name in ("billed_cost", "list_cost", "rows")))
        for row in result.rows
    ]
    assert sorted(said, key=str) == sorted(plain, key=str)
    assert result.receipt.rows == sum(row[5] for row in plain)
    assert not any("EffectiveCost" in note for note in result.receipt.notes)  # neither metric reads it

    receipt = result.receipt.to_json(with_view=True)
    by_hand = duckdb.connect()
    by_hand.execute(receipt["tables"][0]["view"])
    cursor = by_hand.execute(receipt["sql"])
    names = [column[0] for column in cursor.description or []]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    by_hand.close()
    wanted = ("provider", "service", "currency", "billed_cost", "list_cost", "rows")
    assert sorted((tuple(row[name] for name in wanted) for row in found), key=str) == sorted(said, key=str)


def test_nothing_selected_is_said_to_be_nothing(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, bill(tmp_path / "bill.csv", {}))
    result = asked(ledger, "rows,ai_cost", since=parse_day("2030-01"))
    assert values(result, "rows") == [0]
    assert values(result, "ai_cost") == [None]
    said = result.to_json()
    assert said["rows"][0]["why"] == {"ai_cost": "no rows were selected"}
    assert said["receipt"]["freshness"]["why"] == "no rows were selected"


def test_a_tag_configured_after_the_last_load_is_named(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, bill(tmp_path / "bill.csv", {}))
    tags = replace_tags("model", "team", "use_case", "environment", "squad")
    with pytest.raises(UsageError, match="no column for the tag 'squad'"):
        answer(ledger, Query(("ai_cost",), by=("squad",)), tags)


def replace_tags(*tags: str) -> Settings:
    return Settings(tags=SETTINGS.tags.model_copy(update={"required": tags}))


def test_json_keeps_every_digit(tmp_path: Path) -> None:
    exact = "12345678901234567.123456789012345678"
    ledger = ledger_of(tmp_path, bill(tmp_path / "bill.csv", {"EffectiveCost": exact}))
    query = Query(("effective_cost",))
    said = answer(ledger, query, SETTINGS).to_json()
    assert said["rows"] == [{"currency": "USD", "effective_cost": exact, "why": None}]
    assert [column["name"] for column in said["columns"]] == ["currency", "effective_cost", "why"]
    assert set(said["receipt"]) >= {
        "formula",
        "tables",
        "rows",
        "sources",
        "prices",
        "freshness",
        "left_out",
        "sql",
        "version",
    }
    ratio = answer(ledger, replace(query, metrics=("cost_per_1m_tokens",)), SETTINGS).to_json()["rows"][0]
    assert ratio["cost_per_1m_tokens_numerator"] == exact
    assert ratio["cost_per_1m_tokens_denominator"] == "1000000"


def test_unusable_effective_costs_are_named_with_their_bill_source_and_basis(tmp_path: Path) -> None:
    """`outlay overspend` counts such a provider by BilledCost: two figures of one bill that differ need a reason."""
    odd = [{"SkuId": f"sku-{n}", "SkuPriceId": f"sku-{n}", "BilledCost": "1.5", "EffectiveCost": "1"} for n in range(6)]
    fine = {"BillingAccountId": "other", "ServiceProviderName": "Lumen AI", "EffectiveCost": "0.5"}
    ledger = ledger_of(tmp_path, bill(tmp_path / "odd.csv", *odd), bill(tmp_path / "fine.csv", fine))

    (note,) = asked(ledger, "ai_cost").receipt.notes
    assert note.startswith("Solora AI: EffectiveCost is a whole number on every row while BilledCost is not")
    assert "(file odd.csv; source acct)" in note
    assert "sum EffectiveCost as delivered; `outlay overspend` counts this provider by BilledCost" in note
    assert asked(ledger, "ai_cost").to_json()["receipt"]["notes"] == [note]
    assert asked(ledger, "billed_cost").receipt.notes == ()
    assert asked(ledger, "ai_cost", where=filters(["source=other"])).receipt.notes == ()


def test_alike_notices_of_many_files_are_one_note(tmp_path: Path) -> None:
    months = [
        bill(
            tmp_path / f"{month}.csv",
            *(
                {
                    "SkuId": f"sku-{n}",
                    "SkuPriceId": f"sku-{n}",
                    "BilledCost": "1.5",
                    "BillingPeriodStart": f"2026-0{month}-01T00:00:00Z",
                    "BillingPeriodEnd": f"2026-0{month + 1}-01T00:00:00Z",
                }
                for n in range(6)
            ),
        )
        for month in range(1, 8)
    ]
    (note,) = asked(ledger_of(tmp_path, *months), "effective_cost").receipt.notes
    assert "(files 1.csv, 2.csv, 3.csv, 4.csv, 5.csv and 2 more; source acct)" in note
