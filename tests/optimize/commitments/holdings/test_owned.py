"""What is owned, used and unused is the bill's where it speaks, computed by hand's rule where not, and else unknown."""

from __future__ import annotations

import itertools
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.demo.company import generate
from outlay.ledger.store import Ledger
from outlay.optimize.commitments.holdings.held import same_commitment
from outlay.optimize.commitments.holdings.ownership import CommitmentUse, Holding, Ownership
from outlay.optimize.commitments.holdings.serving import PlanRate
from outlay.report.commit_owned import show_owned
from outlay.sources.loading import load
from tests.optimize.commitments.ledgers import (
    ARN,
    DAY,
    committed,
    gpu,
    ledger_of,
    nanos,
    owned_of,
    plan,
    reserved,
    scrapes,
    unused,
)

FIRST = date(2026, 10, 1)
FEE = gpu(23, SkuMeter="TimedStorage-ByteHrs", PricingUnit="GB-Hours", Tags="")
"""A row that is no GPU's: the bill speaks of the day until 24:00."""


def place(found: Ownership, gpu_type: str = "H100") -> Holding:
    (one,) = [one for one in found.holdings if one.gpu == gpu_type]
    return one


def only(found: Ownership) -> CommitmentUse:
    (one,) = found.commitments
    return one


def test_the_bill_tells_used_and_unused(tmp_path: Path) -> None:
    found = owned_of(ledger_of(tmp_path, [committed(0), committed(1), unused(2), unused(3, "0.5", cost="15"), gpu(3)]))

    day = place(found).days[FIRST]
    assert (day.demand, day.covered, day.owned, day.used, day.unused) == tuple(map(Decimal, (24, 16, 28, 16, 12)))
    assert (day.unused_cost, day.currency, day.basis, day.why) == (Decimal(45), "USD", "bill", None)
    assert day.coverage is not None
    assert day.utilization is not None
    assert (round(day.coverage, 4), round(day.utilization, 4)) == (Decimal("0.6667"), Decimal("0.5714"))
    one = only(found)
    assert (one.id, one.told_by, one.basis, one.rows) == (ARN, "bill", "bill", 4)
    assert (one.used_cost, one.unused_cost) == (Decimal(60), Decimal(45))
    assert one.utilization is not None
    assert round(one.utilization, 4) == Decimal("0.5714")  # 60 / 105
    assert found.hourly["H100/us-east-1/inference"].tolist() == nanos(8, 8, 8, 4)


def a_day(row: dict[str, str], day: int) -> dict[str, str]:
    """The row as one of a whole day of October, counted from 0."""
    first = DAY + timedelta(days=day)
    ends = first + timedelta(days=1)
    return row | {"ChargePeriodStart": f"{first.isoformat()}Z", "ChargePeriodEnd": f"{ends.isoformat()}Z"}


def test_a_bill_by_the_day_is_told_day_by_day_to_the_cent(tmp_path: Path) -> None:
    bill = [
        a_day(committed(0, "20", cost="600.01"), 0),
        a_day(unused(0, "28", cost="839.99"), 0),
        a_day(committed(0, "48", cost="1440"), 1),
        a_day(gpu(0, "10", cost="550"), 1),
        a_day(unused(0, "48", cost="1440"), 2),
    ]
    found = owned_of(ledger_of(tmp_path, bill, reservations=[reserved()]))
    days = place(found).days
    told = [(one.demand, one.covered, one.owned, one.unused, one.unused_cost, one.basis) for one in days.values()]
    assert told == [
        (Decimal(160), Decimal(160), Decimal(384), Decimal(224), Decimal("839.99"), "bill"),
        (Decimal(464), Decimal(384), Decimal(384), Decimal(0), Decimal(0), "bill"),
        (Decimal(0), Decimal(0), Decimal(384), Decimal(384), Decimal(1440), "bill"),
    ]
    one = only(found)
    assert (one.unused_cost, one.unused_at_least) == (Decimal("2279.99"), False)
    # By the hour it is what the days have: 16 GPUs, whatever was used of them.
    line = found.hourly["H100/us-east-1/inference"]
    assert [int(line[24 * n : 24 * n + 24].sum()) for n in range(3)] == nanos(384, 384, 384)


def test_days_without_any_use_are_in_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = owned_of(ledger_of(tmp_path, [a_day(unused(0, "48", cost="1440"), day) for day in (0, 1)]))
    assert (found.since, found.until) == (DAY, DAY + timedelta(days=2))
    show_owned(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 Oct 2026 to 2 Oct 2026: $2,880.00 of 1 commitment went unused." in shown
    assert shown.count("instances/abc-1") == 1  # its id alone, once, where it has no name


def test_what_is_computed_from_days_is_a_bound_and_is_said_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bill = [a_day(gpu(0, "12", cost="660"), day) for day in range(3)]
    found = owned_of(ledger_of(tmp_path, bill, reservations=[reserved(InstanceCount=1)]))
    one = only(found)
    # 12 machine-hours a day are half of the machine if they were even; had 12 run in one hour, it served one of them.
    assert (one.used, one.unused_cost, one.unused_at_least) == (Decimal(288), Decimal(1080), True)
    assert one.to_json()["unused_at_least"] is True
    show_owned(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 Oct 2026 to 3 Oct 2026: at least $1,080.00 of 1 commitment went unused." in shown
    assert "at most so much was used, and at least so much went unused of abc-1." in shown
    other = tmp_path / "hours"
    other.mkdir()
    hours = owned_of(ledger_of(other, [gpu(0), FEE], reservations=[reserved()]))
    assert only(hours).unused_at_least is False


def test_corrections_of_unused_rows_are_netted(tmp_path: Path) -> None:
    back = unused(0, "-1", cost="-30", ChargeClass="Correction")
    one = only(owned_of(ledger_of(tmp_path, [committed(0), unused(1), unused(2), back])))
    assert (one.unused_cost, one.unused) == (Decimal(30), Decimal(8))


def test_unused_money_without_hours_is_money_and_no_gpu_hours(tmp_path: Path) -> None:
    rows = [committed(0), unused(1, CommitmentDiscountUnit="Normalized Hours", CommitmentDiscountQuantity="256")]
    found = owned_of(ledger_of(tmp_path, rows))
    day = place(found).days[FIRST]
    assert (day.unused, day.owned, day.unused_cost) == (None, None, Decimal(30))
    assert day.why == f"{ARN}: the bill does not say how many GPUs were unused"


def test_an_unused_row_of_several_days_is_parted_by_its_hours(tmp_path: Path) -> None:
    month = unused(12, "100", cost="100", ChargePeriodEnd="2026-10-05T00:00:00Z")  # 12 + 72 hours
    found = owned_of(ledger_of(tmp_path, [committed(0), committed(95), month]))
    days = place(found).days
    assert [days[FIRST + timedelta(days=n)].unused_cost for n in range(4)] == [
        Decimal("14.285714285714285714"),
        Decimal("28.571428571428571429"),
        Decimal("28.571428571428571428"),
        Decimal("28.571428571428571429"),
    ]
    assert place(found).total.unused_cost == Decimal(100)


def test_where_the_bill_is_silent_use_is_computed_hour_by_hour(tmp_path: Path) -> None:
    bill = [gpu(0), gpu(1, "3", cost="165"), gpu(2, "0.5", cost="27.5"), FEE]
    found = owned_of(ledger_of(tmp_path, bill, reservations=[reserved()]))

    day = place(found).days[FIRST]
    # 16 GPUs are held for 24 hours; 8, then 16 of 24, then 4 are used. An hour costs 2 x (20 + 7440 / 744) = 60.
    assert (day.demand, day.covered, day.owned, day.used, day.unused) == tuple(map(Decimal, (36, 28, 384, 28, 356)))
    assert (day.unused_cost, day.basis) == (Decimal(1335), "computed")  # 356 / 16 x 60
    one = only(found)
    assert (one.id, one.told_by, one.gpus, one.hourly_cost) == ("abc-1", "list", Decimal(16), Decimal(60))
    assert (one.used_cost, one.unused_cost) == (Decimal(105), Decimal(1335))
    assert found.hourly["H100/us-east-1/inference"].tolist() == nanos(*[16] * 24)
    (end,) = found.expiries
    assert (end.at, end.gpus, end.hourly_cost, end.days) == (
        datetime(2026, 10, 31, 23, 59, 59),
        Decimal(16),
        Decimal(60),
        29,
    )


def test_the_list_and_the_bill_are_one_commitment_and_the_bill_is_first(tmp_path: Path) -> None:
    bill = [committed(0), unused(1), gpu(24), gpu(47, "0.5", cost="27.5")]  # 2 October: no row of the commitment
    found = owned_of(ledger_of(tmp_path, bill, reservations=[reserved()]))

    one = only(found)
    assert (one.id, one.told_by, one.basis, one.instance_type) == ("abc-1", "both", "both", "p5.48xlarge")
    days = place(found).days
    assert (days[FIRST].basis, days[FIRST].owned, days[FIRST].unused_cost) == ("bill", Decimal(16), Decimal(30))
    second = days[FIRST + timedelta(days=1)]
    assert (second.basis, second.owned, second.used) == ("computed", Decimal(384), Decimal(12))
    assert one.unused_cost == 30 + Decimal(372) / 16 * 60


def test_hours_of_unknown_demand_are_not_computed(tmp_path: Path) -> None:
    found = owned_of(ledger_of(tmp_path, [gpu(0), FEE, gpu(48)], reservations=[reserved()]))
    days = place(found).days
    gap = days[FIRST + timedelta(days=1)]
    assert (gap.hours, gap.owned, gap.unused_cost, gap.basis) == (0, None, None, None)
    assert "no demand is known" in (gap.why or "")
    assert days[FIRST].unused == 384 - 8
    total = place(found).total
    assert (total.unused_cost, total.demand) == (None, Decimal(16))
    assert "1 of 3 days are not known in full" in (total.why or "")


def test_a_reservation_serves_its_own_machines_alone(tmp_path: Path) -> None:
    other = gpu(0, SkuMeter="BoxUsage:p5.4xlarge", cost="7")  # one H100
    managed = gpu(0, ServiceName="Amazon SageMaker", SkuMeter="USE1-Host:ml.p5.48xlarge", cost="60")
    found = owned_of(ledger_of(tmp_path, [other, managed, FEE], reservations=[reserved()]))
    day = place(found).days[FIRST]
    assert (day.demand, day.covered, day.used) == (Decimal(9), Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"State": "payment-pending"}, "Pending: it holds nothing yet"),
        ({"State": "returned"}, "Canceled: until when it was in force is not told"),
    ],
)
def test_states_that_hold_nothing_are_left_out_by_name(tmp_path: Path, changed: dict[str, str], why: str) -> None:
    found = owned_of(ledger_of(tmp_path, [gpu(0)], reservations=[reserved(**changed)]))
    assert [(one.id, why in one.why) for one in found.left_out] == [("abc-1", True)]
    assert (found.commitments, found.expiries) == ((), ())
    assert place(found).days[FIRST].owned == 0


def test_a_retired_one_held_its_gpus_until_its_end(tmp_path: Path) -> None:
    old = reserved(State="retired", End="2026-10-01T02:00:00+00:00")
    found = owned_of(ledger_of(tmp_path, [gpu(0), gpu(3)], reservations=[old]))
    assert place(found).days[FIRST].owned == 32
    assert found.hourly["H100/us-east-1/inference"].tolist() == nanos(16, 16, 0, 0)
    assert found.expiries == ()


def test_one_commitment_told_by_two_sources_is_held_once(tmp_path: Path) -> None:
    again = plan(ARN, ContractCommitmentCategory="Usage", ContractCommitmentType="Reserved Instance")
    found = owned_of(ledger_of(tmp_path, [gpu(0)], reservations=[reserved()], commitments=[again]))
    one = only(found)
    assert (one.id, one.gpus, one.hourly_cost, len(one.sources)) == (ARN, Decimal(16), Decimal(60), 2)
    assert place(found).days[FIRST].owned == 16


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("abc-1", ARN, True),
        (ARN.upper(), ARN, True),
        ("bc-1", ARN, False),
        ("reserved-instances/abc-1", ARN, False),
        ("//compute.googleapis.com/projects/a/x", "//compute.googleapis.com/projects/b/x", False),
    ],
)
def test_ids_of_one_commitment(one: str, other: str, same: bool) -> None:
    assert same_commitment(one, other) is same_commitment(other, one) is same


def test_another_name_on_the_bill_may_be_the_same_commitment_and_is_not_counted_twice(tmp_path: Path) -> None:
    rows = [committed(0, identity="another-name")]
    found = owned_of(ledger_of(tmp_path, rows, reservations=[reserved()]))
    listed = next(one for one in found.commitments if one.told_by == "list")
    assert (listed.used, listed.unused_cost, listed.basis) == (None, None, None)
    assert "they may be one" in (listed.why or "")
    assert place(found).days[FIRST].unused_cost is None


def test_gpus_without_any_demand_are_not_called_unused(tmp_path: Path) -> None:
    found = owned_of(ledger_of(tmp_path, [gpu(0)], reservations=[reserved(InstanceType="p4d.24xlarge")]))
    one = only(found)
    assert one.unused_cost is None
    assert "no demand of A100-40GB" in (one.why or "")


def test_a_price_that_is_not_told_is_none_with_why(tmp_path: Path) -> None:
    found = owned_of(ledger_of(tmp_path, [gpu(0), FEE], reservations=[reserved(RecurringCharges=None)]))
    day = place(found).days[FIRST]
    assert (day.unused, day.unused_cost) == (Decimal(376), None)
    assert day.why == "abc-1: the list has no price of it"


def test_telemetry_is_demand_for_commitments_too(tmp_path: Path) -> None:
    small = reserved(InstanceCount=1)
    found = owned_of(ledger_of(tmp_path, scrapes=scrapes("a", range(121)), reservations=[small]))
    one = place(found)
    assert (one.region, one.pools) == ("-", ("H100/-/-",))
    assert (one.total.demand, one.total.used, one.total.owned) == (Decimal(2), Decimal(2), Decimal(16))


def test_money_to_any_compute_is_known_by_the_bill_alone(tmp_path: Path) -> None:
    sp = "arn:aws:savingsplans::1:savingsplan/s"
    told = {"CommitmentDiscountCategory": "Spend", "identity": sp}
    cpu = committed(1, cost="4", SkuMeter="BoxUsage:m5.large", **told)
    left = unused(2, cost="6", SkuMeter="ComputeSP", Tags="", CommitmentDiscountUnit="USD", **told)
    found = owned_of(ledger_of(tmp_path, [committed(0, **told), cpu, left], commitments=[plan(sp)]))
    one = only(found)
    assert [one.used_cost, one.other_cost, one.unused_cost, one.used] == [30, 4, 6, 8]
    assert one.utilization == Decimal("0.85")  # 34 / 40
    day = place(found).days[FIRST]
    assert (day.covered, day.owned, day.utilization) == (Decimal(8), Decimal(0), None)


def test_money_on_no_bill_says_why_not(tmp_path: Path) -> None:
    one = only(owned_of(ledger_of(tmp_path, [gpu(0)], commitments=[plan("s", ContractCommitmentCost="87600")])))
    assert (one.hourly_cost, one.unused_cost) == (Decimal(10), None)
    assert "to any compute" in (one.why or "")


def test_money_bound_to_a_family_is_spent_on_the_highest_discount_first(tmp_path: Path) -> None:
    family = {
        "savingsPlanArn": "sp-1", "savingsPlanId": "sp-1", "commitment": "50", "currency": "USD", "state": "active",
        "savingsPlanType": "EC2Instance", "ec2InstanceFamily": "p5", "region": "us-east-1",
        "start": "2026-10-01T00:00:00Z", "end": "2027-10-01T00:00:00Z", "paymentOption": "No Upfront",
        "upfrontPaymentAmount": "0", "recurringPaymentAmount": "50",
    }  # fmt: skip
    bill = [gpu(0), gpu(0, Tags=json.dumps({"workload": "training"})), FEE]
    pools = {name: f"H100/us-east-1/{name}" for name in ("inference", "training")}
    rates = {pools["inference"]: PlanRate(Decimal(4), Decimal(5)), pools["training"]: PlanRate(Decimal(3), Decimal(6))}
    ledger = ledger_of(tmp_path, bill)
    (tmp_path / "plans.json").write_text(json.dumps({"savingsPlans": [family]}))
    load(ledger, [tmp_path / "plans.json"], Settings())

    unknown = only(owned_of(ledger))
    assert (unknown.unused_cost, "rates" in (unknown.why or "")) == (None, True)

    found = owned_of(ledger, rates={"sp-1": rates})
    # Training first: 8 GPUs at 3 are 24; what is left of 50 pays 6.5 GPUs at 4. The other 23 hours buy nothing.
    assert found.hourly[pools["training"]][:2].tolist() == nanos(8, 0)
    assert found.hourly[pools["inference"]][:2].tolist() == [6_500_000_000, 0]
    one = only(found)
    assert (one.used_cost, one.unused_cost, one.used) == (Decimal(50), Decimal(23 * 50), Decimal("14.5"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, Decimal, str]:
    company = generate(tmp_path_factory.mktemp("company"), rows=30_000)
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    restated = {path.name: path for path in company.restated}
    load(ledger, [restated.get(path.name, path) for path in company.files], Settings())
    planted = json.loads((company.folder / "truth.json").read_text())["planted"]
    (plant,) = [entry for entry in planted if entry["id"] == "unused-commitment"]
    return ledger, Decimal(plant["effective_cost"]), plant["commitment_discount_id"]


def test_the_planted_unused_commitment_is_found_to_the_cent(demo: tuple[Ledger, Decimal, str]) -> None:
    ledger, cost, identity = demo
    found = owned_of(ledger)
    one = next(one for one in found.commitments if one.id == identity)
    assert (one.unused_cost, one.currency, one.basis) == (cost, "USD", "bill")
    here = place(found)
    assert here.total.unused_cost == cost
    assert here.total.owned == 2 * 8 * 8760
    # Month by month it is the same money.
    cut = [datetime(2025, 11, 1), datetime(2026, 4, 1), datetime(2026, 11, 1)]
    parts = [
        next(one.unused_cost for one in owned_of(ledger, since=since, until=until).commitments if one.id == identity)
        for since, until in itertools.pairwise(cut)
    ]
    assert sum(part for part in parts if part is not None) == cost


def test_the_terminal_says_what_is_lost_and_what_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = owned_of(
        ledger_of(
            tmp_path,
            [gpu(0), FEE, gpu(1, PricingCategory="Dynamic")],
            reservations=[reserved(), reserved("old", State="returned")],
        )
    )
    show_owned(found)
    lines = capsys.readouterr().out
    assert max(map(len, lines.splitlines())) <= 80
    shown = " ".join(lines.split())
    assert "1 Oct 2026: $1,410.00 of 1 commitment went unused." in shown
    assert "31 Oct 2026 (in 29 days): 16 H100 in us-east-1, 60.0000 USD an hour: abc-1" in shown
    assert "Left out: old: Canceled" in shown
    assert "8 GPU-hours of H100/us-east-1/inference in 1 row, spot usage" in shown
    told = found.to_json()
    assert told["places"][0]["days"][0]["unused_cost"] == "1410"
    assert told["commitments"][0]["hourly_cost"] == "60"
    json.dumps(told)
    assert found.at == DAY + timedelta(days=1)
