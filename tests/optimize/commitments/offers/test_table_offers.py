"""Offers from tables are the tables' prices per GPU-hour, with source and age; what has no price says so."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.errors import UnreadableError, UsageError
from outlay.optimize.commitments.offers.offer_file import read_offers, write_offers
from outlay.optimize.commitments.offers.table_offers import Wanted, table_offers, wanted_of
from outlay.prices.aws_savings_plans import read_savings_plans
from outlay.prices.gpu_prices import GpuPrices
from outlay.prices.gpu_table import COLUMNS, read_table
from tests.cli.test_commit_prices import table
from tests.optimize.commitments.ledgers import demand_of, gpu, ledger_of, scrapes
from tests.sources.focus_bills import run_outlay

POOL = "H100/us-east-1/inference"
DAY = date(2026, 11, 23)
ROWS = (
    "aws,p5.48xlarge,us-east-1,on_demand,55.04,USD,,,2026-11-01,a list",
    "aws,p5.48xlarge,us-east-1,reserved_1yr_no_upfront,36,USD,,,2026-11-01,a list",
    "aws,p5.48xlarge,us-east-1,reserved_3yr_all_upfront_convertible,24,USD,,,2026-06-01,an old list",
    "aws,p5.48xlarge,us-west-2,reserved_1yr_no_upfront,1,USD,,,2026-11-01,a list",
    "aws,p5.4xlarge,us-east-1,on_demand,6.90,USD,,,2026-11-01,a list",
    "aws,p4d.24xlarge,us-east-1,reserved_1yr_no_upfront,1,USD,,,2026-11-01,a list",
    "aws,p5.48xlarge,us-east-1,reserved_3yr_no_upfront,1,USD,2027-01-01,,2026-11-01,not yet",
)


def prices(*rows: str) -> GpuPrices:
    return GpuPrices([read_table([f"{line}\n" for line in (",".join(COLUMNS), *rows)], "t.csv")])


def rate(machine: str = "p5.48xlarge", amount: str = "40.00", **more: Any) -> dict[str, Any]:
    """A rate as AWS' command line prints it; the offering's fields are ``paymentOption`` and so on."""
    properties = {
        "region": "us-east-1",
        "instanceType": machine,
        "productDescription": "Linux/UNIX",
        "tenancy": "shared",
    }
    offering = {
        "offeringId": "offer-1",
        "paymentOption": "No Upfront",
        "planType": "Compute",
        "durationSeconds": 31536000,
        "currency": "USD",
    }
    offering |= {name: value for name, value in more.items() if name in offering}
    properties |= {name: value for name, value in more.items() if name in properties}
    told = {"rate": amount, "unit": "Hrs", "productType": "EC2", "serviceCode": "AmazonEC2"}
    told |= {"usageType": f"BoxUsage:{machine}", "operation": "RunInstances"}
    told |= {name: value for name, value in more.items() if name in told}
    listed = [{"name": name, "value": value} for name, value in properties.items()]
    return {"savingsPlanOffering": offering, "properties": listed, **told}


def rates(folder: Path, *entries: object) -> Path:
    path = folder / "rates.json"
    path.write_text(json.dumps({"searchResults": list(entries)}))
    return path


def test_each_reservation_becomes_an_offer() -> None:
    found = table_offers([Wanted(POOL, "H100", "us-east-1", "aws")], prices(*ROWS), DAY)
    told = {one.name: one for one in found.offers}

    year, three, unknown = (
        told[name]
        for name in (
            "p5.48xlarge 1 year no upfront",
            "p5.48xlarge 3 years all upfront convertible",
            "p5.4xlarge 1 year no upfront",
        )
    )
    assert sorted(set(told) - {year.name, three.name, unknown.name}) == ["p5.4xlarge 3 years no upfront"]
    assert (year.unit_price, year.on_demand_price) == (Decimal("4.5"), Decimal("6.88"))  # 36 / 8, 55.04 / 8
    assert [year.term_months, year.payment, year.unit_gpus, year.sku] == [12, "no_upfront", 8, "p5.48xlarge"]
    assert year.source == "a list, as of 2026-11-01; on demand: a list, as of 2026-11-01"
    assert [three.unit_price, three.term_months, three.payment] == [3, 36, "all_upfront"]
    assert (three.source or "").startswith("an old list, as of 2026-06-01, stale (175 days old); on demand: ")
    assert [unknown.unit_price, unknown.on_demand_price, unknown.unit_gpus] == [None, Decimal("6.9"), 1]
    assert (unknown.source or "").startswith("price unknown: ask for a quote, or give a table; on demand: ")
    assert (found.stale, found.unknown, found.notes) == (1, 2, ())


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = table_offers([Wanted("*", "H100", "us-east-1")], prices(*ROWS), DAY)
    write_offers(found.offers, tmp_path / "offers.csv")
    again = read_offers(tmp_path / "offers.csv")
    assert [(one.name, one.unit_price, one.on_demand_price, one.unit_gpus, one.source) for one in again] == [
        (one.name, one.unit_price, one.on_demand_price, one.unit_gpus, one.source) for one in found.offers
    ]
    with pytest.raises(UsageError, match="exists already"):
        write_offers(found.offers, tmp_path / "offers.csv")


def test_a_fraction_of_a_gpu_is_a_unit_of_nine_decimals(tmp_path: Path) -> None:
    found = table_offers([Wanted("*", "A10", "eastus", "azure")], prices(), DAY)
    sixth = next(one for one in found.offers if one.sku == "Standard_NV6ads_A10_v5")
    assert (sixth.unit_gpus, sixth.on_demand_price) == (Decimal("0.166666667"), Decimal("2.724"))  # 0.454 x 6
    write_offers(found.offers, tmp_path / "offers.csv")
    assert read_offers(tmp_path / "offers.csv")[0].unit_price is None


def test_a_gpu_that_nobody_prices_there_lists_what_the_seller_has() -> None:
    found = table_offers([Wanted("*", "H200", "us-east-1", "aws")], prices(), DAY, currency="EUR")
    assert {one.sku for one in found.offers} == {"p5e.48xlarge", "p5en.48xlarge"}
    assert {(one.unit_price, one.on_demand_price, one.currency) for one in found.offers} == {(None, None, "EUR")}
    none = table_offers([Wanted("*", "H200", "us-east-1")], prices(), DAY)
    assert (none.offers, none.notes) == ((), ("*: no machine with H200 is known.",))


def test_a_ledger_says_which_machines_and_leaves_out_sagemaker_and_places_without_a_name(tmp_path: Path) -> None:
    bill = [gpu(0), gpu(0, SkuMeter="BoxUsage:p5.4xlarge", cost="7"), gpu(1, RegionId="")]
    pools = demand_of(ledger_of(tmp_path, bill)).pools
    wanted, notes = wanted_of(pools)
    assert wanted == [Wanted(POOL, "H100", "us-east-1", "aws", (("aws", "p5.48xlarge"), ("aws", "p5.4xlarge")))]
    assert notes == ["H100/-/inference names no GPU or no region: give --gpu and --region for it."]
    wanted, notes = wanted_of(pools, "us-east-1")
    assert [one.region for one in wanted] == ["us-east-1", "us-east-1"]
    assert notes == []


def test_telemetry_names_no_machine_and_gets_every_one(tmp_path: Path) -> None:
    pools = demand_of(ledger_of(tmp_path, scrapes=scrapes("a", range(0, 60)))).pools
    wanted, _ = wanted_of(pools, "us-east-1")
    assert wanted == [Wanted("H100/-/-", "H100", "us-east-1")]
    assert {one.sku for one in table_offers(wanted, prices(*ROWS), DAY).offers} == {"p5.48xlarge", "p5.4xlarge"}


def test_rates_of_savings_plans_become_offers_of_money(tmp_path: Path) -> None:
    path = rates(
        tmp_path,
        rate(),
        rate("p5.4xlarge", "6.00"),
        rate(paymentOption="All Upfront", durationSeconds=94608000, planType="EC2Instance", amount="30"),
        rate(region="us-west-2"),
        rate(tenancy="dedicated"),
        rate(productDescription="Windows"),
        rate("m5.large", "0.07"),
        rate(serviceCode="AmazonSageMaker"),
        rate(planType="Database"),
        rate(usageType="DedicatedUsage:p5.48xlarge"),
        rate(amount="0"),
        rate(durationSeconds=1),
        "no rate",
    )
    read = read_savings_plans(path)
    assert [(one.plan, one.region, one.rate) for one in read.rates] == [
        ("Compute Savings Plan", "us-east-1", Decimal(40)),
        ("Compute Savings Plan", "us-east-1", Decimal(6)),
        ("EC2 Instance Savings Plan p5 us-east-1", "us-east-1", Decimal(30)),
        ("Compute Savings Plan", "us-west-2", Decimal(40)),
    ]
    assert [one.message[:40] for one in read.problems] == [
        "entry 11: a price of 0 is not taken for ",
        "entry 12: unknown payment or term of a p",
        "entry 13: is no object, or lacks one",
    ]

    of_bill = Wanted(POOL, "H100", "us-east-1", "aws", (("aws", "p5.48xlarge"),))
    found = table_offers([of_bill], prices(*ROWS), DAY, plans=read.rates).offers
    plan, three = [one for one in found if one.form == "savings_plan"]
    assert (plan.name, plan.unit_price, plan.on_demand_price) == (
        "Compute Savings Plan 1 year no upfront",
        Decimal(5),
        Decimal("6.88"),
    )
    assert (plan.sku, plan.source) == ("offer-1", "savings plan rates of AWS, rates.json, p5.48xlarge")
    assert (three.name, three.unit_price, three.term_months) == (
        "EC2 Instance Savings Plan p5 us-east-1 3 years all upfront",
        Decimal("3.75"),
        36,
    )
    # Nobody knows which machine is used: 6.00 a GPU-hour is dearer than 5.00.
    anyone = table_offers([Wanted(POOL, "H100", "us-east-1")], prices(*ROWS), DAY, plans=read.rates).offers
    assert [one.unit_price for one in anyone if one.form == "savings_plan"] == [6]
    azure = table_offers([Wanted(POOL, "H100", "us-east-1", "azure")], prices(*ROWS), DAY, plans=read.rates).offers
    assert [one for one in azure if one.form == "savings_plan"] == []


@pytest.mark.parametrize("content", ["[]", "{", '{"searchResults": 1}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rates.json"
    path.write_text(content)
    with pytest.raises(UnreadableError, match="describe-savings-plans-offering-rates"):
        read_savings_plans(path)


def test_the_command_writes_what_the_plan_reads(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, [gpu(hour) for hour in range(48)])
    given = ("--ledger", ledger.path, "--catalog", table(tmp_path, *ROWS), "--out", tmp_path / "offers.csv")
    plans = ("--savings-plans", rates(tmp_path, rate()), "--at", "2026-11-23")
    status, out, err = run_outlay("commit", "offers", *given, *plans, "--json")
    assert (status, err) == (0, "")
    said = json.loads(out)
    assert (len(said["offers"]), said["unknown"], said["stale"]) == (5, 2, 1)
    assert said["offers"][0]["unit_price"] == "4.5"
    assert said["offers"][0]["pool"] == POOL

    status, out, _ = run_outlay(
        "commit", "plan", "--ledger", ledger.path, "--offers", tmp_path / "offers.csv", "--json"
    )
    assert status == 0
    (pool,) = json.loads(out)["pools"]
    assert {option["offer"] for option in pool["options"]} == {one["offer"] for one in said["offers"]}
    assert sum((option["why"] or "").startswith("its price is unknown") for option in pool["options"]) == 2

    status, _, err = run_outlay("commit", "offers", *given)
    assert (status, "exists already" in err) == (2, True)


def test_the_command_says_what_to_do_with_the_file(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, [gpu(0)])
    out = tmp_path / "offers.csv"
    status, said, _ = run_outlay("commit", "offers", "--ledger", ledger.path, "--out", out, "--at", "2026-11-23")
    assert status == 0
    assert said.splitlines()[-1] == (
        f"Next: fill in unit_price where {out} has none: what stays empty gets no verdict. Then `outlay commit plan "
        f"--ledger {ledger.path} --offers {out}`. To keep what stands current, set [commitments] offers to {out} in "
        "outlay.toml."
    )
    wanted = ("--gpu", "H100", "--region", "us-east-1", "--pool", "*", "--catalog", table(tmp_path, *ROWS[:2]))
    out = tmp_path / "others.csv"
    status, said, _ = run_outlay("commit", "offers", *wanted, "--out", out, "--at", "2026-11-23")
    assert (status, said.splitlines()[-1]) == (0, f"Next: `outlay commit plan --demand DEMAND.csv --offers {out}`.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gpu", "H10O", "--region", "us-east-1", "--pool", "*"), "Did you mean 'H100'"),
        (("--gpu", "H100"), "Give --region, and --pool"),
        (("--gpu", "H200", "--region", "nowhere", "--pool", "*"), "no machine with H200 is known"),
    ],
)
def test_what_can_not_be_found_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = run_outlay("commit", "offers", *arguments, "--out", tmp_path / "offers.csv")
    assert (status, out) == (2, "")
    assert said in err
    assert not (tmp_path / "offers.csv").exists()
