"""A commitment is claimed for the hours that it would have covered at what they cost, and for none before or after."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from outlay.config import OverspendSettings, Settings
from outlay.optimize.finding import Finding
from outlay.optimize.overspend import overspend
from outlay.prices.rates import Rate, RateBook
from tests.sources.focus_bills import row, write_csv

ITEM = "p5.48xlarge"
GPUS = 8
NINE_WEEKS = 9 * 168
START = datetime(2026, 8, 3)
FIVE = Rate("AWS", ITEM, "committed", Decimal(5), "USD", source="quote")
"""Half of what the machines of these bills cost on demand: 80 an hour, 10 a GPU-hour."""
NOTHING = Decimal(0)


def hour(number: int, *, cost: str = "80", machine: str = "i-1", **changed: str) -> dict[str, str]:
    """A machine's hour, ``number`` hours after :data:`START`."""
    begin = START + timedelta(hours=number)
    usual = {
        "ServiceProviderName": "AWS",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "SkuMeter": f"BoxUsage:{ITEM}",
        "SkuId": ITEM,
        "RegionId": "us-east-1",
        "PricingCategory": "Standard",
        "PricingQuantity": "1",
        "ResourceId": machine,
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ChargePeriodStart": f"{begin.isoformat()}Z",
        "ChargePeriodEnd": f"{(begin + timedelta(hours=1)).isoformat()}Z",
    }
    return row(**usual) | changed


def other(number: int, *, hours: int = 1) -> dict[str, str]:
    """A charge that is no AI, from ``number`` hours after the start: only the bill's length changes by it."""
    end = START + timedelta(hours=number + hours)
    return hour(number, machine="db", ServiceName="Amazon Simple Storage Service", SkuMeter="TimedStorage") | {
        "SkuId": "storage",
        "PricingQuantity": "1",
        "ChargePeriodEnd": f"{end.isoformat()}Z",
    }


def found(folder: Path, rows: list[dict[str, str]], *rates: Rate, weeks: int = 9) -> Finding | None:
    """The steady finding of a bill, if there is one."""
    bill = write_csv(folder / "bill.csv", rows, list(dict.fromkeys(name for one in rows for name in one)))
    settings = Settings(overspend=OverspendSettings(stable_weeks=weeks, minimum_saving=NOTHING))
    answer = overspend([bill], settings, RateBook(rates or [FIVE]))
    steady = [one for one in answer.findings if one.detector == "steady-on-demand"]
    assert len(steady) <= 1
    return steady[0] if steady else None


def claimed(one: Finding | None) -> Decimal:
    assert one is not None
    assert one.counted
    assert one.saving is not None
    return one.saving


def test_a_machine_that_cost_nothing_is_no_demand(tmp_path: Path) -> None:
    rows = [hour(n, cost=cost, machine=name) for n in range(NINE_WEEKS) for name, cost in (("i-1", "80"), ("i-2", "0"))]
    one = found(tmp_path, rows)
    # 1,512 hours x 8 GPUs x (10 - 5); the machine that is free would cost money if it were committed to
    assert claimed(one) == Decimal(60_480)
    assert one is not None
    assert (one.rows, one.cost) == (NINE_WEEKS, Decimal(120_960))
    assert one.facts["base_gpus"] == GPUS


def test_a_pool_that_ended_before_the_bill_is_no_finding(tmp_path: Path) -> None:
    rows = [hour(n) for n in range(NINE_WEEKS)]
    assert found(tmp_path, [*rows, other(NINE_WEEKS + 167)]) is None
    assert found(tmp_path, [*rows, other(40 * 168)]) is None


def test_idle_hours_in_the_bills_last_part_of_a_week_are_taken_off(tmp_path: Path) -> None:
    one = found(tmp_path, [*(hour(n) for n in range(NINE_WEEKS)), other(NINE_WEEKS + 99)])
    assert claimed(one) == Decimal(60_480) - 100 * GPUS * 5
    assert one is not None
    assert "800 idle GPU-hours from there to the bill's end taken off" in one.basis


def test_a_fee_for_the_rest_of_the_year_does_not_end_the_pool(tmp_path: Path) -> None:
    assert claimed(found(tmp_path, [*(hour(n) for n in range(NINE_WEEKS)), other(100, hours=9000)])) == Decimal(60_480)


def test_hours_before_a_gap_are_not_claimed_and_the_window_is_named(tmp_path: Path) -> None:
    gap = 400
    one = found(tmp_path, [hour(n) for n in range(gap + 1 + NINE_WEEKS + 24) if n != gap])
    assert claimed(one) == Decimal((NINE_WEEKS + 24) * GPUS * 5)  # the run after the gap, longer than nine weeks
    assert one is not None
    assert "from 2026-08-19 17:00 to 2026-10-22 17:00 UTC" in one.basis
    assert (one.facts["since"], one.facts["until"]) == ("2026-08-19T17:00:00Z", "2026-10-22T17:00:00Z")
    assert one.rows == NINE_WEEKS + 24


def test_the_window_is_priced_at_what_it_cost_and_not_at_the_bills_mean(tmp_path: Path) -> None:
    gap = 1000  # at 320 an hour before it, at 80 after
    rows = [hour(n, cost="320" if n < gap else "80") for n in range(gap + 1 + NINE_WEEKS) if n != gap]
    assert claimed(found(tmp_path, rows)) == Decimal(60_480)


def test_an_hour_above_the_base_is_claimed_up_to_the_base(tmp_path: Path) -> None:
    # A second, dearer machine for two hours: (80 + 160) / 16 GPUs = 15 a GPU-hour, of which the base takes 8 GPUs.
    second = [hour(n, cost="160", machine="i-2") for n in (500, 501)]
    one = found(tmp_path, [*(hour(n) for n in range(NINE_WEEKS)), *second])
    assert claimed(one) == Decimal((NINE_WEEKS - 2) * GPUS * 5 + 2 * GPUS * 10)


def test_a_refund_in_an_hour_is_taken_off(tmp_path: Path) -> None:
    one = found(tmp_path, [*(hour(n) for n in range(NINE_WEEKS)), hour(700, cost="-50", PricingQuantity="0")])
    assert claimed(one) == Decimal(60_480 - 50)


def test_the_hour_in_which_the_bill_was_cut_off_does_not_lower_the_base(tmp_path: Path) -> None:
    one = found(tmp_path, [*(hour(n) for n in range(NINE_WEEKS)), hour(NINE_WEEKS, cost="40", PricingQuantity="0.5")])
    # Of that hour four GPUs ran, at 40 less the commitment's 8 x 5: worth nothing.
    assert claimed(one) == Decimal(60_480)


def test_a_commitment_that_would_have_cost_as_much_is_no_finding(tmp_path: Path) -> None:
    rows = [hour(n) for n in range(NINE_WEEKS)]
    assert found(tmp_path, rows, Rate("AWS", ITEM, "committed", Decimal(10), "USD")) is None
    assert found(tmp_path, rows, Rate("AWS", ITEM, "committed", Decimal("9.5"), "USD")) is not None


def test_a_provider_without_usable_effective_costs_is_priced_by_what_it_billed(tmp_path: Path) -> None:
    one = found(tmp_path, [hour(n, BilledCost="80.37") for n in range(NINE_WEEKS)])
    assert claimed(one) == NINE_WEEKS * (Decimal("80.37") - GPUS * 5)  # EffectiveCost is whole on every row


def test_daily_rows_are_to_confirm(tmp_path: Path) -> None:
    ends = [f"{(START + timedelta(days=day + 1)).isoformat()}Z" for day in range(63)]
    rows = [hour(24 * day, cost="1920", PricingQuantity="24", ChargePeriodEnd=end) for day, end in enumerate(ends)]
    one = found(tmp_path, rows)
    assert one is not None
    assert (one.saving, one.counted, one.rows) == (Decimal(60_480), False, 63)


def test_a_committed_rate_of_another_region_is_to_confirm(tmp_path: Path) -> None:
    committed = {"PricingCategory": "Committed", "CommitmentDiscountId": "sp-1", "CommitmentDiscountStatus": "Used"}
    elsewhere = hour(0, cost="40", machine="i-9", RegionId="eu-west-1") | committed
    rows = [*(hour(n) for n in range(NINE_WEEKS)), elsewhere]

    one = found(tmp_path, rows, Rate("AWS", "another", "committed", Decimal(5), "USD"))

    assert one is not None
    assert (one.saving, one.counted, one.confidence) == (NINE_WEEKS * GPUS * Decimal(5), False, "low")


@pytest.mark.parametrize(
    ("rate", "known"),
    [
        (Rate("Microsoft", ITEM, "committed", Decimal(5), "USD"), False),
        (Rate("Amazon Web Services", ITEM, "committed", Decimal(5), "USD"), True),
        # The bill's last hour is 23:00 of 4 October: a rate to the 5th (exclusive) is valid on its last day.
        (Rate("AWS", ITEM, "committed", Decimal(5), "USD", valid_to=datetime(2026, 10, 5).date()), True),
        (Rate("AWS", ITEM, "committed", Decimal(5), "USD", valid_to=datetime(2026, 10, 4).date()), False),
    ],
)
def test_the_price_file_prices_its_own_provider_to_the_last_day_of_the_bill(
    tmp_path: Path, rate: Rate, known: bool
) -> None:
    one = found(tmp_path, [hour(n) for n in range(NINE_WEEKS)], rate)
    assert one is not None
    assert (one.saving is not None, one.counted) == (known, known)


@st.composite
def bills(draw: st.DrawFn) -> list[dict[str, str]]:
    """Up to three machines over three weeks or so, some free, some refunded, some gone for a while."""

    def machine(name: str) -> Iterator[dict[str, str]]:
        cost = draw(st.sampled_from(["0", "30", "80", "80.000000001", "123.45"]))
        first, last = draw(st.integers(0, 200)), draw(st.integers(380, 504))
        out = draw(st.sets(st.integers(0, 504), max_size=2))
        back = draw(st.sets(st.integers(first, last), max_size=2))
        yield from (hour(n, cost=cost, machine=name) for n in range(first, last) if n not in out)
        yield from (hour(n, cost=f"-{cost}", machine=name, PricingQuantity="0") for n in back)

    return [one for name in ("i-1", "i-2", "i-3")[: draw(st.integers(1, 3))] for one in machine(name)]


@trials(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bills(), st.sampled_from(["0", "1", "5", "9.999", "12"]))
def test_a_saving_is_at_most_what_the_claimed_rows_cost_less_the_commitment(
    tmp_path: Path, rows: list[dict[str, str]], committed: str
) -> None:
    one = found(tmp_path, rows, Rate("AWS", ITEM, "committed", Decimal(committed), "USD"), weeks=2)
    if one is None:
        return
    covered = one.facts["covered_gpu_hours"]
    billed = sum((Decimal(r["EffectiveCost"]) for r in rows), NOTHING)
    paid = sum((GPUS for r in rows if Decimal(r["EffectiveCost"]) > 0), 0)
    assert 0 < claimed(one) <= one.cost - Decimal(committed) * covered
    assert claimed(one) <= billed - Decimal(committed) * covered
    assert 0 < covered <= paid
