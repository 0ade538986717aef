"""Hourly demand of a ledger is what its rows add up to by hand; what is no demand, or not known, is said."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.errors import LedgerError, UsageError
from outlay.ledger.store import Ledger
from outlay.optimize.commitments.ledger_pools.pools import PoolDemand
from tests.optimize.commitments.ledgers import DAY, committed, demand_of, gpu, ledger_of, nanos, scrapes, unused

POOL = "H100/us-east-1/inference"


def left(pool: PoolDemand) -> dict[str, Decimal | None]:
    return {one.reason: one.gpu_hours for one in pool.left_out}


def test_used_on_demand_and_by_commitments_is_demand_and_unused_is_not(tmp_path: Path) -> None:
    bill = [gpu(0), gpu(1, "2", cost="110"), committed(1), committed(2), unused(3), gpu(4, "0.5", cost="27.5")]
    pool = demand_of(ledger_of(tmp_path, bill)).pool(POOL)

    assert pool.demand.first == DAY
    assert pool.demand.nanos.tolist() == nanos(8, 24, 8, 0, 4)
    assert pool.demand.known.all()
    assert (pool.basis, pool.table, pool.rows, pool.widest, pool.notes) == ("bill", "costs", 5, 1, ())
    assert (pool.on_demand.unit_price, pool.on_demand.currency) == (Decimal("6.875"), "USD")  # 192.50 / 28
    assert (pool.committed.unit_price, pool.committed.gpu_hours) == (Decimal("3.75"), Decimal(16))
    (part,) = pool.parts
    assert (part.provider, part.instance_type) == ("aws", "p5.48xlarge")
    assert part.committed.tolist() == part.named.tolist() == nanos(0, 8, 8, 0, 0)


def test_what_is_no_demand_is_told_with_its_gpu_hours(tmp_path: Path) -> None:
    bill = [
        gpu(0),
        gpu(0, PricingCategory="Dynamic", cost="10"),
        gpu(0, "-1", cost="-55"),
        gpu(0, "3", ChargeClass="Correction"),
        gpu(0, cost="0"),
        gpu(0, ChargeCategory="Credit", cost="-5"),
        gpu(0, SkuMeter="BoxUsage:p4d.24xlarge", PricingCategory="Dynamic"),
    ]
    found = demand_of(ledger_of(tmp_path, bill))

    (pool,) = found.pools
    assert pool.demand.nanos.tolist() == nanos(8)
    assert left(pool) == {"spot": 8, "correction": 16, "free": 8}  # 3 x 8 corrected, 8 taken back
    assert [(one.pool, one.reason, one.gpu_hours) for one in found.left_out] == [
        ("A100-40GB/us-east-1/inference", "spot", Decimal(8))
    ]


def test_an_hour_without_rows_is_zero_where_the_bill_speaks_of_the_day_and_else_a_gap(tmp_path: Path) -> None:
    storage = gpu(70, SkuMeter="TimedStorage-ByteHrs", PricingUnit="GB-Hours", Tags="")
    bill = [gpu(0), gpu(3), gpu(49), storage]  # nothing on 2 October; storage on 3 October until 23:00
    pool = demand_of(ledger_of(tmp_path, bill)).pool(POOL)

    assert len(pool.demand) == 71
    assert pool.demand.gaps == 24
    assert not pool.demand.known[24:48].any()
    assert pool.demand.total == 24 * 10**9
    assert pool.demand.nanos[[0, 3, 49]].tolist() == nanos(8, 8, 8)


def test_rows_of_a_day_are_spread_evenly_to_the_last_billionth_and_the_pool_says_so(tmp_path: Path) -> None:
    pool = demand_of(ledger_of(tmp_path, [gpu(0, "7", hours=24, cost="385"), gpu(5)])).pool(POOL)

    each = 56 * 10**9 // 24
    first = 56 * 10**9 - 24 * each
    expected = [each + (hour < first) + (8 * 10**9 if hour == 5 else 0) for hour in range(24)]
    assert pool.demand.nanos.tolist() == expected
    assert sum(expected) == 64 * 10**9
    assert (pool.widest, pool.spread) == (24, Decimal(56))
    assert "88% of its GPU-hours" in pool.notes[0]
    assert "peaks inside them are not seen" in pool.notes[0]


def test_a_bill_by_the_month_speaks_of_its_month(tmp_path: Path) -> None:
    month = gpu(0, "744", hours=744, cost="40920")
    pool = demand_of(ledger_of(tmp_path, [month])).pool(POOL)
    assert (pool.demand.nanos == 8 * 10**9).all()
    assert (len(pool.demand), pool.demand.gaps) == (744, 0)


def test_a_row_of_more_than_a_month_says_nothing_of_an_hour(tmp_path: Path) -> None:
    pool = demand_of(ledger_of(tmp_path, [gpu(0), gpu(0, "800", hours=800)])).pool(POOL)
    assert left(pool) == {"too-long": 6400}
    assert pool.demand.nanos.tolist() == nanos(8)


def test_hours_that_one_of_two_sources_does_not_tell_are_unknown(tmp_path: Path) -> None:
    bill = [gpu(0), gpu(24), gpu(26, BillingAccountId="acct-2"), gpu(27)]
    pool = demand_of(ledger_of(tmp_path, bill)).pool(POOL)

    assert (pool.demand.first, pool.demand.nanos.tolist()) == (DAY + timedelta(hours=26), nanos(8))
    assert left(pool) == {"gap": 24}
    assert pool.sources == ("acct-1", "acct-2")


def test_a_window_cuts_rows_that_reach_over_it(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, [gpu(0, "24", hours=24, cost="1320"), gpu(30)])
    found = demand_of(ledger, since=DAY + timedelta(hours=20), until=DAY + timedelta(hours=26))
    assert found.pool(POOL).demand.nanos.tolist() == nanos(8, 8, 8, 8, 0, 0)
    assert demand_of(ledger, since=DAY + timedelta(days=9)).pools == ()


def test_prices_are_those_of_the_last_thirty_days_in_one_currency(tmp_path: Path) -> None:
    old = [gpu(24 * day, cost="99") for day in range(3)]
    new = [gpu(24 * 60, cost="44", BillingPeriodStart="2026-11-01T00:00:00Z", BillingPeriodEnd="2026-12-01T00:00:00Z")]
    price = demand_of(ledger_of(tmp_path, old + new)).pool(POOL).on_demand
    assert (price.unit_price, price.rows) == (Decimal("5.5"), 1)


def test_a_price_in_two_currencies_is_none_and_names_both(tmp_path: Path) -> None:
    bill = [gpu(0), gpu(1, BillingCurrency="EUR", cost="48")]
    pool = demand_of(ledger_of(tmp_path, bill)).pool(POOL)
    assert pool.on_demand.unit_price is None
    assert pool.on_demand.why == "billed in several currencies, never added: 6 EUR, 6.875 USD"
    assert pool.demand.nanos.tolist() == nanos(8, 8)
    assert pool.committed.why == "no GPU-hours by commitments in the 30 days to 2026-10-01"


def test_telemetry_counts_held_cards_and_an_hour_without_a_sample_is_a_gap(tmp_path: Path) -> None:
    seen = [*range(61), *range(180, 241)]
    pool = demand_of(ledger_of(tmp_path, scrapes=scrapes("a", seen) + scrapes("b", range(61)))).pool("H100/-/-")

    assert (pool.basis, pool.table) == ("telemetry", "gpu_usage")
    assert pool.demand.nanos[[0, 3]].tolist() == nanos(2, 1)
    assert not pool.demand.known[2]
    assert pool.on_demand.why == "telemetry has no prices"


def test_the_bill_is_taken_where_both_know_a_gpu(tmp_path: Path) -> None:
    both = scrapes("a", range(61)) + scrapes("c", range(61), model="NVIDIA L4")
    found = demand_of(ledger_of(tmp_path, [gpu(0)], scrapes=both))
    assert [one.pool.name for one in found.pools] == [POOL, "L4/-/-"]
    assert found.notes == ("Telemetry also tells 1 GPU-hours of H100: the bill is taken, never both.",)


def test_what_telemetry_tells_twice_is_one_note_whatever_the_number_of_types(tmp_path: Path) -> None:
    machines = {
        "p5.48xlarge": "NVIDIA H100",
        "g6.xlarge": "NVIDIA L4",
        "g5.xlarge": "NVIDIA A10G",
        "g6e.xlarge": "NVIDIA L40S",
    }
    bill = [gpu(0, SkuMeter=f"BoxUsage:{one}") for one in machines]
    seen = "".join(scrapes(str(n), range(61), model=name) for n, name in enumerate(machines.values()))
    (note,) = demand_of(ledger_of(tmp_path, bill, scrapes=seen)).notes
    assert note == "Telemetry also tells 4 GPU-hours of A10G, H100, L4 and 1 more: the bill is taken, never both."


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="holds no ledger yet"):
        demand_of(Ledger(tmp_path / "none"))
    found = demand_of(ledger_of(tmp_path, [gpu(0, SkuMeter="BoxUsage:m5.large")]))
    assert (found.pools, found.left_out) == ((), ())
    with pytest.raises(UsageError, match="no pool 'H100'"):
        found.pool("H100")


def test_hours_that_cannot_be_are_refused(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, [gpu(0, "999999999999")])
    with pytest.raises(UsageError, match="999,999,999 GPU-hours"):
        demand_of(ledger)


def test_json_has_exact_text_and_a_receipt(tmp_path: Path) -> None:
    (told,) = demand_of(ledger_of(tmp_path, [gpu(0), gpu(1, PricingCategory="Dynamic")])).to_json()["pools"]
    assert (told["gpu_hours"], told["on_demand"]["unit_price"]) == ("8", "6.875")
    assert told["receipt"]["version"] == 1
    assert [(one["reason"], one["gpu_hours"]) for one in told["receipt"]["left_out"]] == [("spot", "8")]
