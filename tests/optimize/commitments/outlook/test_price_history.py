"""A decline is what dated prices of one machine give by hand; nothing is assumed of hardware that nobody measured."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.config import PoolSettings
from outlay.ledger.engine.duckdb import session
from outlay.metrics.relations import COSTS, RELATIONS
from outlay.metrics.views import open_view
from outlay.optimize.commitments.outlook.futures import Market
from outlay.optimize.commitments.outlook.market import falling_most, pool_market
from outlay.optimize.commitments.outlook.price_decline import DatedPrice, Decline, Kind, decline_of
from outlay.optimize.commitments.outlook.price_history import PriceHistory, bill_prices, price_history
from outlay.optimize.commitments.outlook.risk import lock_in
from outlay.prices.gpu_prices import GpuPrices
from outlay.prices.gpu_table import COLUMNS, read_table
from outlay.prices.rates import read_rates
from tests.optimize.commitments.ledgers import gpu, ledger_of
from tests.optimize.commitments.series import offer

POOL = "H100/us-east-1/inference"
TODAY = date(2026, 11, 23)
FIRST, SECOND, THIRD = date(2024, 9, 6), date(2025, 9, 6), date(2026, 9, 6)  # 365 days: 12 months of 730 hours each


def price(
    on: date,
    amount: str,
    *,
    machine: str = "aws p5.48xlarge",
    kind: Kind = "catalogue",
    source: str = "a list",
    currency: str = "USD",
) -> DatedPrice:
    return DatedPrice(on, Decimal(amount), currency, kind, source, machine)


def table(*rows: str) -> GpuPrices:
    """Rows of a table without its last two columns but ``as_of``: ``p5.48xlarge,us-east-1,98.32,2024-09-06``."""
    lines = [",".join(COLUMNS)]
    for row in rows:
        machine, region, amount, *more = row.split(",")
        as_of, source = more[0], more[1] if len(more) > 1 else "a list"
        lines.append(f"aws,{machine},{region},on_demand,{amount},USD,,,{as_of},{source}")
    read = read_table([f"{line}\n" for line in lines], "t.csv")
    assert read.problems == ()
    return GpuPrices([read])


def history(tables: GpuPrices, pool: str = POOL, *also: str) -> PriceHistory:
    return price_history(pool, {}, tables, TODAY, also)


def test_the_price_cut_of_the_p5_is_the_rate_that_leads_from_the_one_price_to_the_other() -> None:
    tables = table("p5.48xlarge,us-east-1,98.32,2024-09-06", "p5.48xlarge,us-east-1,55.04,2026-09-06")
    found = decline_of([one for one in history(tables).prices if one.source == "a list"], "USD")

    assert found.monthly == found.first_to_last == Decimal("0.023884")  # 1 - (55.04 / 98.32) ** (1 / 24)
    after = 98.32 * (1 - 0.023884) ** 24
    assert after == pytest.approx(55.04, abs=0.01)
    assert found.basis == "catalogue a list, 2024-09-06 to 2026-09-06"
    assert [(one.on, one.price) for one in found.prices] == [(FIRST, Decimal("12.29")), (THIRD, Decimal("6.88"))]
    assert not found.mixed


def test_the_median_of_all_pairs_is_taken() -> None:
    found = decline_of([price(FIRST, "8"), price(SECOND, "4"), price(THIRD, "3")], "USD")
    # ln 0.5 / 12 = -0.0578, ln 0.75 / 12 = -0.0240, and between them ln 0.375 / 24 = -0.0409
    assert found.monthly == Decimal("0.040044")
    late = [price(date(2026, month, 1), "10" if month < 10 else "5") for month in range(1, 12)]
    cut = decline_of(late, "USD")
    assert cut.monthly == 0  # 27 of 44 pairs of 60 days see no change: it is in today's price
    assert cut.first_to_last == Decimal("0.067002")  # 304 days, 9.995 months: 1 - 0.5 ** (1 / 9.995)


def test_work_that_moves_to_a_cheaper_machine_is_no_price_cut() -> None:
    both = [
        *(price(day, "10") for day in (FIRST, SECOND)),
        *(price(day, "6", machine="aws p5.4xlarge") for day in (SECOND, THIRD)),
    ]
    assert decline_of(both, "USD").monthly == 0


def test_what_moved_within_days_is_no_rate_by_the_month() -> None:
    days = [date(2025, 9, 1), date(2025, 9, 2), date(2025, 9, 3), date(2026, 9, 1)]
    found = decline_of([price(day, cost) for day, cost in zip(days, ("10", "9.5", "9", "9"), strict=True)], "USD")
    # Three pairs of a day or two would tell 80 % a month and more; of the three of a year, the middle one tells
    # ln(9 / 9.5) / (364 x 24 / 730).
    assert found.monthly == Decimal("0.004508")
    two = [price(date(2026, 9, 1), "10"), price(date(2026, 9, 3), "5")]
    assert decline_of(two, "USD").monthly is None


def test_less_than_a_year_of_prices_is_taken_as_the_years() -> None:
    def over(days: int) -> Decline:
        return decline_of([price(FIRST, "10"), price(FIRST + timedelta(days=days), "5")], "USD")

    year = over(365).monthly
    assert year == Decimal("0.056126")  # 1 - 0.5 ** (1 / 12)
    assert over(60).monthly == over(182).monthly == year  # a halving in two months is no halving every two months
    assert over(60).first_to_last == Decimal("0.296289")  # as it was: 1 - 0.5 ** (730 / (60 x 24))
    assert over(730).monthly == Decimal("0.028468")


def test_a_price_of_all_regions_is_no_earlier_price_of_this_one() -> None:
    lines = [
        ",".join(COLUMNS),
        "aws,p5.48xlarge,,on_demand,98.32,USD,,,2024-09-06,a list",
        "aws,p5.48xlarge,us-east-1,on_demand,49.16,USD,,,2026-09-06,a list",
    ]
    tables = GpuPrices([read_table([f"{line}\n" for line in lines], "t.csv")])
    told = [one for one in history(tables).prices if one.source == "a list"]
    assert [one.everywhere for one in told] == [True, False]
    found = decline_of(told, "USD")
    assert (found.monthly, found.why) == (None, "no machine has two dated prices 60 days apart")


def test_a_successor_for_nothing_is_no_candidate(tmp_path: Path) -> None:
    rates = tmp_path / "rates.csv"
    rates.write_text(
        "provider,item,rate,unit_price,currency,region,valid_from\nAWS,p5en.48xlarge,on_demand,0,USD,us-east-1,\n"
    )
    told = table("p5en.48xlarge,us-east-1,80,2025-10-01")
    assert [one.gpu for one in history(told).candidates][:1] == ["H200"]
    free = GpuPrices([read_table([",".join(COLUMNS) + "\n"], "t.csv")], read_rates(rates))
    assert "H200" not in [one.gpu for one in history(free).candidates]


def test_a_rise_counts_as_no_change_and_is_said() -> None:
    found = decline_of([price(FIRST, "4"), price(THIRD, "8")], "USD")
    assert found.monthly == 0
    assert found.rose
    assert found.first_to_last == Decimal("-0.029302")  # 1 - 2 ** (1 / 24)


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        ([], "fewer than two dated prices"),
        ([price(FIRST, "8")], "fewer than two dated prices"),
        ([price(FIRST, "8"), price(FIRST, "7", source="b")], "fewer than two dated prices"),
        (
            [price(date(2026, 9, 1), "8"), price(date(2026, 10, 30), "4")],
            "no machine has two dated prices 60 days apart",
        ),
        ([price(FIRST, "8"), price(THIRD, "4", machine="aws p5.4xlarge")], "no machine has two dated prices"),
        ([price(FIRST, "8"), price(THIRD, "4", currency="EUR")], "fewer than two dated prices"),
    ],
)
def test_what_can_not_be_told_is_not(prices: list[DatedPrice], why: str) -> None:
    found = decline_of(prices, "USD")
    assert found.monthly is None
    assert found.why is not None
    assert found.why.startswith(why)


def test_the_bill_comes_first_and_sources_are_not_mixed_unless_it_is_said() -> None:
    listed = [price(FIRST, "8"), price(THIRD, "4")]
    yours = [price(FIRST, "8", kind="price file"), price(THIRD, "6", kind="price file")]
    paid = [price(date(2026, 1, 1), "5", kind="bill"), price(date(2026, 10, 1), "5", kind="bill")]
    assert decline_of([*listed, *yours, *paid], "USD").basis == "bill 2026-01 to 2026-10"
    assert (decline_of([*listed, *yours], "USD").basis or "").startswith("price file a list, ")
    # One list alone has two prices: the second list's single price is left out.
    alone = decline_of([*listed, price(SECOND, "100", source="another")], "USD")
    assert (alone.monthly, alone.mixed) == (Decimal("0.028468"), False)  # 1 - 0.5 ** (1 / 24)
    together = decline_of([price(FIRST, "8"), price(THIRD, "4", source="another")], "USD")
    assert (together.monthly, together.mixed) == (Decimal("0.028468"), True)
    assert together.basis == "several sources together, catalogue a list and another, 2024-09-06 to 2026-09-06"
    either = decline_of([*listed, price(FIRST, "7", currency="EUR")], None)
    assert either.why == "the dated prices are in several currencies (EUR, USD)"


def test_the_bill_tells_a_price_a_month_and_machine(tmp_path: Path) -> None:
    def on(month: int, cost: str, machines: str = "1", **more: Any) -> dict[str, str]:
        start = datetime(2026, month, 3)
        return gpu(
            0,
            machines,
            cost=cost,
            BillingPeriodStart=f"2026-{month:02}-01T00:00:00Z",
            BillingPeriodEnd=f"2026-{month + 1:02}-01T00:00:00Z",
            ChargePeriodStart=f"{start.isoformat()}Z",
            ChargePeriodEnd=f"{start.replace(hour=1).isoformat()}Z",
            **more,
        )

    bill = [
        on(6, "98.32"),
        on(6, "196.64", "2", Tags='{"workload": "training"}'),  # the same machine for other work: one price
        on(9, "55.04"),
        on(9, "20", PricingCategory="Dynamic"),
        on(9, "30", PricingCategory="Committed", CommitmentDiscountId="a", CommitmentDiscountStatus="Used"),
        on(10, "50", SkuMeter="BoxUsage:p4d.24xlarge"),
        on(10, "55.04", RegionId="us-west-2"),
    ]
    with session() as connection:
        open_view(connection, ledger_of(tmp_path, bill), RELATIONS[COSTS], ())
        found = bill_prices(connection)
        early = bill_prices(connection, until=datetime(2026, 9, 1))

    assert [(one.on, one.price, one.machine) for one in found["H100", "us-east-1"]] == [
        (date(2026, 6, 1), Decimal("12.29"), "aws p5.48xlarge"),  # 294.96 / 24
        (date(2026, 9, 1), Decimal("6.88"), "aws p5.48xlarge"),
    ]
    assert found["A100-40GB", "us-east-1"][0].price == Decimal("6.25")
    assert {one.source for prices in found.values() for one in prices} == {"costs"}
    assert list(early) == [("H100", "us-east-1")]
    (told,) = (decline_of(found["H100", "us-east-1"], "USD"),)
    assert told.basis == "bill 2026-06 to 2026-09"
    assert told.first_to_last == Decimal("0.174538")  # 92 days, 3.0247 months: 1 - 0.559805 ** (1 / 3.0247)
    assert told.monthly == Decimal("0.047197")  # taken as the year's: 1 - 0.559805 ** (1 / 12)


def test_a_table_tells_the_first_day_and_the_day_it_was_read(tmp_path: Path) -> None:
    lines = [
        ",".join(COLUMNS),
        "aws,p5.48xlarge,us-east-1,on_demand,98.32,USD,2024-09-06,2025-09-06,2026-09-06,a list",
        "aws,p5.48xlarge,,on_demand,80,USD,2025-09-06,,2026-09-06,a list",
        "aws,p5.48xlarge,us-west-2,on_demand,1,USD,2025-09-06,,2026-09-06,a list",
        "aws,p5.48xlarge,us-east-1,spot,1,USD,2025-09-06,,2026-09-06,a list",
        "aws,p5.48xlarge,us-east-1,on_demand,2,USD,2027-01-01,,2027-01-01,not yet",
    ]
    rates = tmp_path / "rates.csv"
    rates.write_text(
        "provider,item,rate,unit_price,currency,region,valid_from\n"
        "AWS,p5.48xlarge,on_demand,7,USD,,2026-01-01\nAWS,p5.48xlarge,on_demand,0,USD,us-east-1,2026-02-01\n"
        "AWS,p5.48xlarge,on_demand,9,USD,us-east-1,\n"
    )
    tables = GpuPrices([read_table([f"{line}\n" for line in lines], "t.csv")], read_rates(rates))
    found = [(one.on, one.price, one.kind) for one in history(tables).prices if one.source != "cloudprice"]
    assert sorted(found)[:4] == [
        (FIRST, Decimal("12.29"), "catalogue"),
        (SECOND, Decimal(10), "catalogue"),
        (date(2026, 1, 1), Decimal(7), "price file"),
        (THIRD, Decimal("6.88"), "catalogue"),  # the shipped one
    ]
    assert (THIRD, Decimal(10), "catalogue") in found
    assert len(found) == 5


def test_pools_without_a_known_gpu_and_region_have_no_history() -> None:
    for pool, why in {
        "H100/-/-": "the pool's name tells no GPU and region",
        "fleet": "the pool's name tells no GPU and region",
        "A100/us-east-1/training": "'A100' is no GPU that the price tables know",
    }.items():
        found = history(GpuPrices(), pool)
        assert not found.prices
        assert not found.candidates
        assert (found.why or "").startswith(why)
        assert pool_market(PoolSettings(pool=pool), found, [offer()], TODAY).decline.why == found.why


SOLD = (
    "p5.48xlarge,us-east-1,55.04,2026-10-01",
    "p5en.48xlarge,us-east-1,80,2025-10-01",
    "p5en.48xlarge,us-east-1,64,2026-10-01",
    "p6-b200.48xlarge,us-east-1,112,2026-05-01",
    "p4d.24xlarge,us-east-1,20,2026-10-01",
)


def test_newer_hardware_for_sale_is_listed_with_its_price_and_counts_for_nothing() -> None:
    found = pool_market(PoolSettings(pool=POOL), history(table(*SOLD)), [offer("4", "6.88")], TODAY)
    told = {one.gpu: (one, its) for one, its in found.candidates}

    assert list(told) == ["H200", "B200"]  # an A100 is older
    h200, its = told["H200"]
    assert (h200.price.price, h200.price.on) == (Decimal(8), date(2026, 10, 1))
    assert h200.bandwidth_ratio == Decimal("1.43")  # 4,800 / 3,350 GB/s
    assert its.monthly == Decimal("0.018423")  # 1 - 0.8 ** (1 / 12)
    assert told["B200"][0].price.stale  # read 206 days before
    assert found.market == Market()
    (json, _) = found.to_json()["candidates"]
    assert json["work_ratio"] is None
    assert "successor_speed" in json["work_ratio_why"]


def test_speed_divides_the_dated_price_of_the_successor_that_falls_on_by_its_own_history() -> None:
    said = PoolSettings(pool=POOL, successor="H200", successor_speed=Decimal("1.6"))
    found = pool_market(said, history(table(*SOLD)), [offer("4", "6.88")], TODAY)

    assert found.market.successor_month == 0
    assert found.market.successor_price == pytest.approx(5 / 6.88)  # 8 / 1.6 for the work of an hour
    assert found.market.successor_decline == pytest.approx(0.018423)
    assert (found.successor or "").endswith("(a list, 2026-10-01) / 1.6 times the work (settings) = 5")
    later = said.model_copy(update={"successor_from": date(2027, 5, 23)})
    assert pool_market(later, history(table(*SOLD)), [offer("4", "6.88")], TODAY).market.successor_month == 6


def test_a_successor_of_another_line_counts_where_it_is_named_and_priced() -> None:
    said = PoolSettings(pool=POOL, successor="A100-40GB", successor_speed=Decimal("0.5"))
    named = history(table(*SOLD), POOL, "A100-40GB")
    found = pool_market(said, named, [offer("4", "6.88")], TODAY)
    assert found.market.successor_price == pytest.approx(2.5 / 0.5 / 6.88)  # p4d: 20 / 8
    unpriced = said.model_copy(update={"successor": "GB200"})
    missing = pool_market(unpriced, named, [offer("4", "6.88")], TODAY)
    assert missing.market == Market()
    assert (missing.successor_why or "").startswith("no price of GB200 in the pool's region in USD")
    abroad = pool_market(said, named, [offer("4", "6.88", currency="EUR")], TODAY)
    assert (abroad.candidates, abroad.market) == ((), Market())


def test_settings_win_over_the_history() -> None:
    tables = table("p5.48xlarge,us-east-1,98.32,2024-09-06", "p5.48xlarge,us-east-1,55.04,2026-10-01")
    said = PoolSettings(pool=POOL, price_decline=Decimal("0.01"), successor_price=Decimal("3.44"))
    found = pool_market(said, history(tables), [offer("4", "6.88")], TODAY)
    assert (found.decline.basis, found.market.monthly_decline) == ("settings", 0.01)
    assert (found.market.successor_price, found.market.successor_decline) == (0.5, 0.0)
    own = pool_market(PoolSettings(pool=POOL), history(tables), [offer("4", "6.88")], TODAY)
    assert own.market.monthly_decline == pytest.approx(0.023, abs=0.001)
    assert falling_most([("a", found), ("b", own)]).of_pool == "a"


def test_the_bill_prices_a_candidate_before_tables_do() -> None:
    paid = {("H200", "us-east-1"): [price(date(2026, 10, 1), "7.5", machine="aws p5en.48xlarge", kind="bill")]}
    found = price_history(POOL, paid, table(*SOLD), TODAY)
    assert found.candidates[0].price.price == Decimal("7.5")


def test_lock_in_is_what_is_paid_above_the_market() -> None:
    year = offer("1.20", "2.00")
    assert lock_in(year, Market(), 10) == 0
    # A successor does the work for 0.60 from the start: 0.60 above it, 10 GPUs, 8,760 hours.
    assert lock_in(year, Market(successor_month=0, successor_price=0.3), 10) == pytest.approx(52_560)
    # From month 6 on: the weeks whose middle lies in it are the 27th to the 53rd, 26.14 of them in the term.
    assert lock_in(year, Market(successor_month=6, successor_price=0.3), 10) == pytest.approx(
        0.6 * 10 * (8760 - 26 * 168)
    )
    # 5.00 for three years against 6.88 that falls as the p5 did: below 5.00 from month 13.2 on.
    told = lock_in(offer("5.00", "6.88", term_months=36), Market(monthly_decline=0.0238838), 1)
    by_hour = sum(max(0.0, 5 - 6.88 * (55.04 / 98.32) ** (hour / 730 / 24)) for hour in range(36 * 730))
    assert told == pytest.approx(by_hour, rel=0.001)
