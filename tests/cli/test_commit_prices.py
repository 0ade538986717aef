"""Prices of commitments on the command line: what a plan takes from dated tables, and offers written from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outlay.prices.gpu_table import COLUMNS
from tests.optimize.commitments.ledgers import gpu, ledger_of
from tests.optimize.commitments.series import steady, write_demand
from tests.sources.focus_bills import run_outlay

POOL = "H100/us-east-1/inference"


def table(folder: Path, *rows: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([",".join(COLUMNS), *rows, ""]))
    return path


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    demand = write_demand(tmp_path / "demand.csv", steady(20, pool=POOL))
    offers = tmp_path / "offers.csv"
    offers.write_text(
        "pool,offer,term_months,payment,unit_price,on_demand_price,currency\n*,3y,36,no_upfront,4.00,6.88,USD\n"
    )

    def run(*arguments: str | Path) -> str:
        status, out, err = run_outlay(
            "commit", "plan", "--demand", demand, "--offers", offers, "--paths", "50", *arguments
        )
        assert (status, err) == (0, "")
        return out

    return run


def test_without_dated_prices_none_fall_and_that_is_said(plan: Any) -> None:
    (pool,) = json.loads(plan("--json"))["pools"]
    assert pool["market"]["price_decline"] is None
    assert pool["market"]["why"] == "fewer than two dated prices: no decline is assumed"
    (option,) = pool["options"]
    assert (option["lock_in"], option["lock_in_why"]) == (None, "nothing is known of prices to come: see market")
    assert "no decline of prices is assumed (fewer than two dated prices)" in " ".join(plan().split())


def test_a_table_of_two_days_makes_prices_fall(plan: Any, tmp_path: Path) -> None:
    dated = table(
        tmp_path,
        "aws,p5.48xlarge,us-east-1,on_demand,98.32,USD,2024-06-01,,2024-06-01,a list",
        "aws,p5.48xlarge,us-east-1,on_demand,55.04,USD,2026-06-01,,2026-06-01,a list",
        "aws,p5en.48xlarge,us-east-1,on_demand,64,USD,2026-06-01,,2026-06-01,a list",
    )
    (pool,) = json.loads(plan("--catalog", dated, "--json"))["pools"]
    market = pool["market"]
    assert market["price_decline"] == "0.023884"  # 24 months of 730 hours
    assert market["basis"] == "catalogue a list, 2024-06-01 to 2026-06-01"
    assert [one["per_gpu_hour"] for one in market["prices"]] == ["12.29", "6.88"]
    assert [(one["gpu"], one["per_gpu_hour"]) for one in market["candidates"]] == [("H200", "8")]
    (option,) = pool["options"]
    level = float(option["quantity"])
    # The market is below 4.00 from month 22.4 on; by the hour:
    above = sum(max(0.0, 4 - 6.88 * (1 - 0.023884) ** (hour / 730)) for hour in range(36 * 730))
    assert float(option["lock_in"]) == pytest.approx(above * level, rel=0.001)

    said = " ".join(plan("--catalog", dated).split())
    assert "prices fall 2.4% a month (catalogue a list, 2024-06-01 to 2026-06-01)" in said
    assert (
        "Newer than H100: H200. Not counted. For sale in us-east-1: H200 at $8.00 a GPU-hour (2026-06-01, stale)"
        in said
    )
    assert "Lock-in: $" in said


def test_the_settings_say_what_the_successor_does(plan: Any, tmp_path: Path) -> None:
    dated = table(tmp_path, "aws,p5en.48xlarge,us-east-1,on_demand,64,USD,2026-06-01,,2026-06-01,a list")
    settings = tmp_path / "outlay.toml"
    settings.write_text(
        '[[commitments.pools]]\npool = "*"\nprice_decline = "0"\nsuccessor = "H200"\nsuccessor_speed = "4"\n'
    )
    (pool,) = json.loads(plan("--catalog", dated, "--config", settings, "--json"))["pools"]
    settings.write_text(f'{settings.read_text()}[prices]\ngpus = ["{dated.name}"]\n')  # beside the settings
    assert [pool] == json.loads(plan("--config", settings, "--json"))["pools"]
    assert (pool["market"]["price_decline"], pool["market"]["basis"]) == ("0", "settings")
    assert pool["market"]["successor"].endswith("/ 4 times the work (settings) = 2")
    (option,) = pool["options"]
    # 2.00 for the same work today: 2.00 above it in every hour of 36 months.
    assert float(option["lock_in"]) == pytest.approx(2 * 36 * 730 * float(option["quantity"]), rel=1e-6)


def test_the_bill_of_the_ledger_comes_before_tables(tmp_path: Path) -> None:
    def month(number: int, cost: str) -> dict[str, str]:
        first = f"2026-{number:02}-01T00:00:00Z"
        more = {"ChargePeriodStart": first, "ChargePeriodEnd": first.replace("T00", "T01")}
        return gpu(0, cost=cost) | more | {"BillingPeriodStart": first, "BillingPeriodEnd": f"2026-{number + 1:02}-01"}

    ledger = ledger_of(tmp_path, [month(2, "80"), month(6, "80"), month(10, "40")])
    dated = table(tmp_path, "aws,p5.48xlarge,us-east-1,on_demand,1000,USD,,,2024-06-01,a list")
    offers = tmp_path / "offers.csv"
    offers.write_text("pool,offer,term_months,payment,unit_price,currency\n*,1y,12,no_upfront,4.00,USD\n")
    arguments = ("--ledger", ledger.path, "--offers", offers, "--catalog", dated, "--paths", "50", "--json")

    def market(*more: str) -> dict[str, Any]:
        status, out, _ = run_outlay("commit", "plan", *arguments, *more)
        assert status == 0
        (pool,) = json.loads(out)["pools"]
        found: dict[str, Any] = pool["market"]
        return found

    told = market()
    # Slopes: 0 from February to June, ln 0.5 over 122 days, and between them over 242 days, 7.956 months. Less than a
    # year of prices is taken as the year's: 1 - 0.5 ** (1 / 12).
    assert (told["price_decline"], told["basis"]) == ("0.056126", "bill 2026-02 to 2026-10")
    assert told["first_to_last"] == "0.083434"
    assert [one["per_gpu_hour"] for one in told["prices"]] == ["10", "10", "5"]
    early = market("--as-of", "2026-07-01")
    assert (early["price_decline"], early["basis"]) == ("0", "bill 2026-02 to 2026-06")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('successor_speed = "2"', "successor_speed needs successor"),
        ('successor = "H200"\nsuccessor_speed = "2"\nsuccessor_price = "1"', "keep one"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(tmp_path: Path, line: str, said: str) -> None:
    settings = tmp_path / "outlay.toml"
    settings.write_text(f'[[commitments.pools]]\npool = "*"\n{line}\n')
    status, _, err = run_outlay("commit", "plan", "--config", settings)
    assert status == 2
    assert said in err
