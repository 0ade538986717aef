"""Azure's retail prices: a reservation's price is of its whole term, whatever its unit says; doubts are told."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.errors import UnreadableError
from outlay.prices.azure_retail import read_azure, read_azure_plans
from tests.sources.focus_bills import run_outlay

PAGE = Path(__file__).parents[1] / "fixtures/prices/gpus/azure_retail.json"
READ = date(2026, 11, 23)
MACHINE = "Standard_ND96isr_H100_v5"


def pages(*items: dict[str, Any], follows: str | None = None) -> str:
    return json.dumps({"Items": list(items), "NextPageLink": follows})


def item(**more: Any) -> dict[str, Any]:
    first: dict[str, Any] = json.loads(PAGE.read_text())["Items"][0]
    return first | more


def test_hours_of_a_term_are_its_price_over_its_hours() -> None:
    found = read_azure(PAGE.read_text().splitlines(keepends=True), source="azure", as_of=READ)
    assert [(one.purchase, one.unit_price) for one in found.prices] == [
        ("on_demand", 96),
        ("reserved_1yr_no_upfront", 64),  # 560,640 / 8,760
        ("reserved_3yr_no_upfront", 48),  # 1,261,440 / 26,280
        ("spot", Decimal("17.5")),
    ]
    assert {(one.provider, one.instance_type, one.region, one.currency, one.valid_from) for one in found.prices} == {
        ("azure", MACHINE, "eastus", "USD", date(2026, 9, 1))
    }
    assert {one.as_of for one in found.prices} == {READ}
    assert [one.message for one in found.problems] == [
        "item 13: a price of 0 is not taken for free",
        "Standard_NC40ads_H100_v5 eastus on_demand has two prices, 7 and 7.5: neither is used",
    ]


def test_savings_plans_are_by_the_hour() -> None:
    found = read_azure_plans(PAGE.read_text(), "azure.json")
    assert [(one.years, one.rate, one.instance.instance_type, one.region) for one in found.rates] == [
        (3, Decimal(56), MACHINE, "eastus"),
        (1, Decimal(72), MACHINE, "eastus"),
    ]


@pytest.mark.parametrize("between", ["\n", ","])
def test_several_pages_in_one_file_and_one_that_is_missing(between: str) -> None:
    second = pages(item(armRegionName="westus", retailPrice=99.5), follows="https://prices.azure.com/next")
    both = f"{pages(item(), follows='https://prices.azure.com/second')}{between}{second}"
    text = f"[{both}]" if between == "," else both
    found = read_azure([text], source="azure", as_of=READ)
    assert [(one.region, one.unit_price) for one in found.prices] == [("eastus", 96), ("westus", Decimal("99.5"))]
    assert [one.message for one in found.problems] == ["a page follows that is not here: https://prices.azure.com/next"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"unitOfMeasure": "1 Month"}, "is priced by '1 Month', not by the hour"),
        ({"armRegionName": ""}, "has no armRegionName"),
        ({"retailPrice": "much"}, "'much' is not a price"),
        ({"currencyCode": "$"}, "is not an ISO 4217 code"),
        ({"effectiveStartDate": "soon"}, "is not a date"),
    ],
)
def test_an_item_that_can_not_be_used_is_told(more: dict[str, Any], said: str) -> None:
    found = read_azure([pages(item(**more))], source="azure", as_of=READ)
    (problem,) = found.problems
    assert said in problem.message
    assert not found.prices


def test_a_savings_plan_that_can_not_be_used_is_told() -> None:
    bad = item(savingsPlan=[{"term": "2 Years", "retailPrice": 1}, {"term": "1 Year", "retailPrice": 0}, "none"])
    found = read_azure_plans(pages(bad), "azure")
    assert (found.rates, len(found.problems)) == ((), 3)


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '{"Items": 1}'])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError, match=r"prices\.azure\.com"):
        read_azure([text], source="azure", as_of=READ)


def test_from_the_answer_to_offers(tmp_path: Path) -> None:
    table = tmp_path / "azure.csv"
    status, out, err = run_outlay("prices", "gpus", "refresh", "--from", "azure", PAGE, "--out", table)
    assert (status, out) == (2, "")
    assert "Give --as-of" in err
    status, out, _ = run_outlay(
        "prices", "gpus", "refresh", "--from", "azure", PAGE, "--out", table, "--as-of", "2026-11-23"
    )
    assert (status, out.split(" written")[0]) == (0, "4 prices of 1 instance types as of 2026-11-23")
    wanted = ("--gpu", "H100", "--region", "East US", "--pool", "*", "--provider", "azure", "--at", "2026-11-23")
    status, out, _ = run_outlay(
        *("commit", "offers", *wanted, "--catalog", table, "--savings-plans", PAGE),
        *("--out", tmp_path / "offers.csv", "--json"),
    )
    assert status == 0
    told = {one["offer"]: one for one in json.loads(out)["offers"] if one["sku"] in (MACHINE, "Compute_Savings_Plan")}
    assert {name: (one["unit_price"], one["on_demand_price"], one["unit_gpus"]) for name, one in told.items()} == {
        f"{MACHINE} 1 year no upfront": ("8", "12", "8"),
        f"{MACHINE} 3 years no upfront": ("6", "12", "8"),
        "Azure savings plan for compute 1 year no upfront": ("9", "12", "1"),
        "Azure savings plan for compute 3 years no upfront": ("7", "12", "1"),
    }
    plan = told["Azure savings plan for compute 1 year no upfront"]
    assert (plan["form"], plan["provider"]) == ("savings_plan", "azure")
