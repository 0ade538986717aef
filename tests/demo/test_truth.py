"""What truth.json says is what the files hold: plain SQL over tags and SKUs finds each plant, to the last digit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from outlay.demo.company import Company
from outlay.demo.lines import Calendar
from outlay.demo.plan import make_plan

PLANTS = [
    "unused-commitment", "steady-on-demand", "interruptible-training", "older-generation", "non-production-hours",
    "uncached-input", "batch-tier", "idle-provisioned", "untagged", "anomaly", "price-change", "restated-month",
    "failed-runs",
]  # fmt: skip
ON_DEMAND = "ChargeCategory = 'Usage' AND PricingCategory = 'Standard'"
INSTANCE = "json_extract_string(SkuPriceDetails, '$.InstanceType')"
MODEL = "json_extract_string(SkuPriceDetails, '$.ModelId')"
DIRECTION = "json_extract_string(SkuPriceDetails, '$.TokenDirection')"
CACHE = "coalesce(json_extract_string(SkuPriceDetails, '$.TokenCacheAction'), 'Uncached')"
GPUS = "json_extract_string(SkuPriceDetails, '$.GpuCount')"
AI = f"({MODEL} IS NOT NULL OR {GPUS} IS NOT NULL OR ServiceName = 'Amazon SageMaker')"
WORKING = "isodow(ChargePeriodStart) <= 5 AND hour(ChargePeriodStart) BETWEEN 7 AND 18"


def _truth(company: Company) -> dict[str, Any]:
    return dict(company.truth)


def _plant(company: Company, name: str) -> dict[str, Any]:
    (found,) = [entry for entry in _truth(company)["planted"] if entry["id"] == name]
    return dict(found)


def _amount(plant: dict[str, Any], key: str) -> Decimal:
    return Decimal(str(plant[key]))


def _one(bills: duckdb.DuckDBPyConnection, measures: str, where: str, table: str = "bill") -> tuple[Any, ...]:
    found = bills.execute(f"SELECT {measures} FROM {table} WHERE {where}").fetchone()
    assert found is not None
    return tuple(found)


def test_all_plants_are_there(company: Company) -> None:
    assert [entry["id"] for entry in _truth(company)["planted"]] == PLANTS
    assert company.truth["absent"] == []


def test_totals(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    measures = ("BilledCost", "EffectiveCost", "ListCost")
    found = _one(bills, ", ".join(f"sum({name})" for name in measures), "true")
    totals = _truth(company)["totals"]["USD"]
    assert found == tuple(Decimal(totals[name]) for name in measures)
    by_month = bills.execute(f"""SELECT strftime(BillingPeriodStart, '%Y-%m'), ServiceProviderName,
        {", ".join(f"sum({name})" for name in measures)}, count(*) FROM bill GROUP BY ALL""").fetchall()
    told = _truth(company)["totals_by_month_provider"]
    assert len(by_month) == 12 * 5
    for month, provider, *costs, rows in by_month:
        entry = told[month][provider]
        assert [Decimal(entry[name]) for name in measures] == costs
        assert entry["rows"] == rows


def test_ai(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    told = _truth(company)["ai"]
    rows, cost = _one(bills, "count(*), sum(EffectiveCost)", AI)
    assert (rows, cost) == (told["rows"], Decimal(told["effective_cost"]))
    categories = told["by_category"]
    assert sum(Decimal(entry["effective_cost"]) for entry in categories.values()) == cost
    for category, where in (
        ("tokens", "ConsumedUnit = 'Tokens'"),
        ("provisioned_throughput", "SkuMeter LIKE 'Provisioned Managed%'"),
        ("gpu_compute", f"{GPUS} IS NOT NULL"),
        ("ml_platform", "SkuMeter LIKE '%Processing:ml.m5.xlarge'"),
    ):
        entry = categories[category]
        assert _one(bills, "count(*), sum(EffectiveCost)", where) == (entry["rows"], Decimal(entry["effective_cost"]))


def test_unused_commitment(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "unused-commitment")
    found = _one(bills, "count(*), sum(PricingQuantity), sum(EffectiveCost)", "CommitmentDiscountStatus = 'Unused'")
    assert found == (plant["rows"], _amount(plant, "instance_hours"), _amount(plant, "effective_cost"))
    # By hand: two machines for 8,760 hours are paid for at 34.6752, used or not.
    paid = _one(bills, "sum(EffectiveCost)", f"CommitmentDiscountId = '{plant['commitment_discount_id']}'")
    assert paid == (2 * 8760 * Decimal("34.6752"),)


def test_steady_on_demand(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "steady-on-demand")
    pool = f"{INSTANCE} = 'g5.12xlarge' AND RegionId = 'us-east-1' AND {ON_DEMAND}"
    found = _one(bills, "count(*), sum(PricingQuantity), sum(EffectiveCost)", pool)
    assert found == (plant["rows"], _amount(plant, "instance_hours"), _amount(plant, "effective_cost"))
    # By hand: one instance x 8,760 hours x 5.672, against the committed 3.57336.
    assert plant["effective_cost"] == "49686.72"
    assert plant["saving"] == "18384.0864"
    committed = f"{INSTANCE} = 'g5.12xlarge' AND RegionId = 'us-east-1' AND CommitmentDiscountStatus = 'Used'"
    cost, covered = _one(bills, "sum(EffectiveCost), sum(PricingQuantity)", committed)
    assert cost == covered * _amount(plant, "committed_unit_price")
    hours = bills.execute(f"SELECT sum(PricingQuantity) FROM bill WHERE {pool} GROUP BY ChargePeriodStart").fetchall()
    assert len(hours) == 8760
    assert len(set(hours)) == 1


def test_interruptible_training(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "interruptible-training")
    where = f"Tags['interruptible'] = 'true' AND Tags['workload'] = 'training' AND {ON_DEMAND}"
    found = _one(bills, "count(*), sum(PricingQuantity), sum(EffectiveCost)", where)
    assert found == (plant["rows"], _amount(plant, "instance_hours"), _amount(plant, "effective_cost"))
    spot = _one(
        bills,
        "min(ContractedUnitPrice), max(ContractedUnitPrice)",
        f"{INSTANCE} = '{plant['instance_type']}' AND RegionId = '{plant['region']}' AND PricingCategory = 'Dynamic'",
    )
    assert spot == (_amount(plant, "spot_unit_price"),) * 2
    assert _amount(plant, "saving") == found[2] - found[1] * spot[0]


def test_older_generation(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "older-generation")
    hours, cost = _one(bills, "sum(PricingQuantity), sum(EffectiveCost)", f"{INSTANCE} = 'p3.8xlarge'")
    assert (hours, cost) == (_amount(plant, "instance_hours"), _amount(plant, "effective_cost"))
    assert cost / (hours * 4) == _amount(plant, "cost_per_gpu_hour") == Decimal("3.06")
    assert _one(bills, "min(ContractedUnitPrice)", f"{INSTANCE} = 'g6e.xlarge'") == (Decimal("1.861"),)
    assert _amount(plant, "saving") == cost - 4 * hours * Decimal("1.861")


def test_non_production_hours(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "non-production-hours")
    dev = f"Tags['environment'] = 'dev' AND {INSTANCE} = 'g5.8xlarge'"
    rows, hours, cost, outside = _one(
        bills,
        f"count(*), sum(PricingQuantity), sum(EffectiveCost), sum(EffectiveCost) FILTER (WHERE NOT ({WORKING}))",
        dev,
    )
    assert (rows, hours, cost) == (plant["rows"], _amount(plant, "instance_hours"), _amount(plant, "effective_cost"))
    assert outside == _amount(plant, "effective_cost_outside") == _amount(plant, "saving")
    # By hand: May to October 2026 has 184 days, 131 of them weekdays with 12 working hours: 4416 - 1572 = 2844 hours.
    assert plant["instance_hours_outside"] == "2844"
    assert plant["saving"] == str(2844 * Decimal("2.448"))
    other = _one(bills, "count(*)", f"Tags['environment'] = 'dev' AND {AI} AND NOT ({dev})")
    assert other == (0,)


def test_uncached_input(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "uncached-input")
    model = f"{MODEL} = '{plant['model']}' AND {DIRECTION} = 'Input'"
    tokens, cost = _one(bills, "sum(ConsumedQuantity), sum(EffectiveCost)", f"{model} AND Tags['team'] = 'vision'")
    assert (tokens, cost) == (_amount(plant, "uncached_input_tokens"), _amount(plant, "effective_cost"))
    assert _one(bills, "count(*)", f"{model} AND Tags['team'] = 'vision' AND {CACHE} <> 'Uncached'") == (0,)
    # By hand: input at 3 a million, read at 0.30.
    assert _amount(plant, "most_that_caching_could_save") == tokens * Decimal("0.0000027")
    peer = _one(
        bills,
        f"sum(ConsumedQuantity) FILTER (WHERE {CACHE} = 'Read'), sum(ConsumedQuantity)",
        f"{model} AND Tags['team'] = '{plant['peer_team']}' AND Tags['use_case'] = 'chat-assistant'",
    )
    assert peer == (_amount(plant, "peer_read_tokens"), _amount(plant, "peer_input_tokens"))
    assert peer[0] / peer[1] > Decimal("0.7")


def test_batch_tier(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "batch-tier")
    cost, inputs, outputs = _one(
        bills,
        f"""sum(EffectiveCost), sum(ConsumedQuantity) FILTER (WHERE {DIRECTION} = 'Input'),
        sum(ConsumedQuantity) FILTER (WHERE {DIRECTION} = 'Output')""",
        "Tags['latency'] = 'batch' AND SkuMeter NOT LIKE '%batch%'",
    )
    assert (inputs, outputs) == (_amount(plant, "input_tokens"), _amount(plant, "output_tokens"))
    assert cost == _amount(plant, "effective_cost")
    prices = bills.execute(
        f"SELECT DISTINCT {DIRECTION}, ListUnitPrice FROM bill WHERE SkuMeter LIKE 'gpt-5-2025-08-07 batch%' ORDER BY 1"
    ).fetchall()
    assert prices == [
        ("Input", _amount(plant, "batch_input_price_per_million")),
        ("Output", _amount(plant, "batch_output_price_per_million")),
    ]
    assert _amount(plant, "saving") * 2 == cost


def test_idle_provisioned(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "idle-provisioned")
    found = _one(bills, "count(*), sum(PricingQuantity), sum(EffectiveCost)", "CapacityReservationStatus = 'Unused'")
    assert found == (plant["rows"], _amount(plant, "unit_hours"), _amount(plant, "effective_cost"))
    # 100 units are paid for, used or not: 100 x 8,760 hours.
    assert _one(bills, "sum(PricingQuantity)", "CapacityReservationId IS NOT NULL") == (Decimal(876_000),)


def test_untagged(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "untagged")
    used = "ChargeCategory = 'Usage' AND CommitmentDiscountStatus IS DISTINCT FROM 'Unused'"
    where = f"{AI} AND {used} AND (Tags IS NULL OR Tags['team'] IS NULL)"
    assert _one(bills, "count(*), sum(EffectiveCost)", where) == (plant["rows"], _amount(plant, "effective_cost"))


def test_anomaly(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "anomaly")
    days = dict(
        bills.execute(f"""SELECT CAST(CAST(ChargePeriodStart AS DATE) AS VARCHAR), sum(EffectiveCost) FROM bill
            WHERE Tags['team'] = 'assistant' AND {MODEL} = 'gpt-4o-2024-08-06' AND ConsumedUnit = 'Tokens'
            GROUP BY 1""").fetchall()
    )
    day = str(plant["date"])
    assert days[day] == _amount(plant, "effective_cost") == max(days.values())
    assert _amount(plant, "excess") == days[day] * Decimal("0.75")
    usual = sorted(days.values())[-2]
    assert days[day] - _amount(plant, "excess") < usual < days[day] / 3


def test_price_change(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "price-change")
    found = bills.execute(f"""SELECT {DIRECTION}, {CACHE}, min(CAST(ChargePeriodStart AS DATE))::VARCHAR, ListUnitPrice
        FROM bill WHERE {MODEL} = 'amazon.nova-pro-v1:0' GROUP BY ALL ORDER BY 3, 4""").fetchall()
    prices = plant["list_unit_prices"]
    assert [(row[2], row[3]) for row in found] == [
        (since, Decimal(prices[meter][when]))
        for since, when in (("2025-11-01", "before"), (str(plant["date"]), "after"))
        for meter in ("read", "uncached", "output")
    ]
    assert plant["date"] == "2026-05-01"


def test_restated_month(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "restated-month")
    month = f"strftime(BillingPeriodStart, '%Y-%m') = '{plant['month']}'"
    where = f"ServiceProviderName = '{plant['provider']}' AND {month}"
    for key, table in (("before", "issued"), ("after", "bill")):
        told = plant[key]
        found = _one(bills, "sum(BilledCost), sum(EffectiveCost), sum(ListCost), count(*)", where, table)
        assert found == (*(Decimal(told[name]) for name in ("BilledCost", "EffectiveCost", "ListCost")), told["rows"])
    assert plant["before"]["EffectiveCost"] != plant["after"]["EffectiveCost"]
    assert [f"restated/{path.name}" for path in company.restated] == plant["files"]
    elsewhere = _one(bills, "sum(EffectiveCost), count(*)", f"NOT ({where})", "issued")
    assert elsewhere == _one(bills, "sum(EffectiveCost), count(*)", f"NOT ({where})")


def test_failed_runs(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    plant = _plant(company, "failed-runs")
    found = bills.execute("""SELECT Tags['run_status'], count(DISTINCT Tags['run_id']), count(*), sum(EffectiveCost)
        FROM bill WHERE Tags['run_status'] IN ('failed', 'cancelled') GROUP BY 1 ORDER BY 1 DESC""").fetchall()
    told = plant["by_status"]
    assert found == [
        (state, entry["runs"], entry["rows"], Decimal(entry["effective_cost"])) for state, entry in told.items()
    ]
    assert _amount(plant, "effective_cost") == sum(row[3] for row in found)


@pytest.mark.parametrize("size", [1_000, 50_000])
def test_smaller_companies_say_what_they_lack(size: int) -> None:
    absent = set(make_plan(Calendar.ending(date(2026, 10, 31), 12), 1, size).absent)
    assert absent == ({"steady-on-demand", "non-production-hours", "anomaly"} if size == 1_000 else set())
