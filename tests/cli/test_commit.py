"""``outlay commit`` keeps its contract: the JSON of plan and backtest, exit statuses, the goldens by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.optimize.commitments.series import demand, steady, write_demand
from tests.optimize.commitments.test_sizing import golden, trace
from tests.sources.focus_bills import run_outlay

HEADER = "pool,offer,term_months,payment,unit_price,on_demand_price,currency,kind\n"
OFFERS = "*,1y,12,no,1.20,2.00,USD,standard\n*,3y,36,all,,2.00,USD,standard\n"
MODELS = "data/gpu_traces/alibaba_v2026_spot/derived_hourly_concurrency_top_models.csv"


def files(folder: Path, offers: str = OFFERS) -> tuple[str, ...]:
    (folder / "offers.csv").write_text(HEADER + offers, encoding="utf-8")
    write_demand(folder / "demand.csv", steady(20))
    return ("--demand", str(folder / "demand.csv"), "--offers", str(folder / "offers.csv"))


def planned(*arguments: str) -> tuple[int, dict[str, Any]]:
    status, out, _ = run_outlay("commit", "plan", *arguments, "--json")
    return status, json.loads(out)


def test_the_plan_has_what_the_contract_says(tmp_path: Path) -> None:
    status, said = planned(*files(tmp_path))
    assert status == 0
    (pool,) = said["pools"]
    assert pool["verdict"] == "commit"
    assert pool["reasons"]
    assert {"weeks", "days", "max_wow", "mean_wow", "cv", "stable"} <= set(pool["stability"])
    assert {"quantity", "saving_rate", "coverage", "utilization"} <= set(pool["optimum"])
    assert pool["recommended"]["offer"] == "1y"
    first, second = pool["options"]
    assert {
        "offer",
        "term_months",
        "quantity",
        "coverage",
        "utilization",
        "saving",
        "saving_rate",
        "p10",
        "p50",
        "p90",
        "break_even_utilization",
        "break_even_month",
        "exposure",
    } <= set(first)
    assert first["break_even_utilization"] == "0.6"
    assert first["quantity"] == "69"
    assert first["exposure"] == "725328"  # 69 GPUs x 8,760 hours x 1.20
    assert (second["quantity"], second["p50"]) == (None, None)
    assert "unit_price" in second["why"]
    assert pool["demand"]["since"] == "2026-06-01T00:00:00Z"


def test_the_goldens_by_the_command(tmp_path: Path) -> None:
    cases = golden()
    write_demand(tmp_path / "fleet.csv", trace(cases["file"], cases["column"]))
    for case in cases["cases"]:
        price = f"{1 - case['discount']:.2f}"
        (tmp_path / "offers.csv").write_text(HEADER + f"*,x,12,no,{price},1,USD,standard\n", encoding="utf-8")
        _, said = planned("--demand", str(tmp_path / "fleet.csv"), "--offers", str(tmp_path / "offers.csv"))
        (pool,) = said["pools"]
        best = pool["optimum"]
        assert abs(float(best["quantity"]) - case["quantity"]) <= 1
        assert float(best["saving_rate"]) == pytest.approx(case["saving"], abs=5e-4)
        assert float(best["utilization"]) == pytest.approx(case["utilization"], abs=1e-3)
        assert float(best["coverage"]) == pytest.approx(case["coverage"], abs=1e-3)
        (cap,) = [one for one in pool["caps"] if one["coverage_cap"] == "0.7"]
        assert float(cap["saving_rate"]) == pytest.approx(case["saving_if_coverage_capped_at_70pct"], abs=5e-4)


def test_the_price_of_the_cap_is_told_in_points(tmp_path: Path) -> None:
    cases = golden()
    write_demand(tmp_path / "fleet.csv", trace(cases["file"], cases["column"]))
    (tmp_path / "offers.csv").write_text(HEADER + "*,x,12,no,0.63,1,USD,standard\n", encoding="utf-8")
    arguments = ("--demand", str(tmp_path / "fleet.csv"), "--offers", str(tmp_path / "offers.csv"))
    status, out, _ = run_outlay("commit", "plan", *arguments)
    assert status == 0
    assert "at 70% 6.05 points" in " ".join(out.split())


def test_verdicts_on_the_real_pools(tmp_path: Path) -> None:
    names = ("A10", "A100-SXM4-80GB", "GPU-series-1", "H800", "GPU-series-2", "A800-SXM4-80GB")
    write_demand(tmp_path / "pools.csv", *(trace(MODELS, name) for name in names))
    (tmp_path / "offers.csv").write_text(HEADER + "*,x,12,no,1.20,2.00,USD,standard\n", encoding="utf-8")
    _, said = planned("--demand", str(tmp_path / "pools.csv"), "--offers", str(tmp_path / "offers.csv"))
    verdicts = {one["pool"]: one["verdict"] for one in said["pools"]}
    assert verdicts["H800"] == verdicts["GPU-series-2"] == "wait"
    assert verdicts["A10"] == verdicts["A100-SXM4-80GB"] == verdicts["GPU-series-1"] == "commit"


def test_a_bad_cell_is_told_and_the_status_is_3(tmp_path: Path) -> None:
    arguments = files(tmp_path)
    with (tmp_path / "demand.csv").open("a", encoding="utf-8") as handle:
        handle.write("2026-12-31T00:00:00Z,lots\n")
    status, said = planned(*arguments)
    assert status == 3
    (problem,) = said["problems"]
    assert problem["code"] == "unparsable-amount"
    assert problem["first_line"] == 20 * 168 + 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--demand", "nowhere.csv"), "nowhere.csv: can't be read"),
        (("--as-of", "2020-01-01"), "nothing is known of H100 before 2020-01-01"),
        (("--as-of", "500"), "can't be found in the demand of H100, whose hours are dates"),
        (("--pool", "H200"), "has no pool 'H200'"),
    ],
)
def test_wrong_use_is_2_and_says_what(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    status, out, err = run_outlay("commit", "plan", *files(tmp_path), *arguments)
    assert (status, out) == (2, "")
    assert message in err


def test_as_of_knows_nothing_later(tmp_path: Path) -> None:
    arguments = files(tmp_path)
    _, said = planned(*arguments, "--as-of", "2026-07-10")
    (pool,) = said["pools"]
    assert pool["verdict"] == "wait"
    assert pool["demand"]["until"] == "2026-07-10T00:00:00Z"


def test_the_backtest(tmp_path: Path) -> None:
    status, out, _ = run_outlay("commit", "backtest", *files(tmp_path), "--json")
    assert status == 0
    said = json.loads(out)
    (pool,) = said["pools"]
    assert said["answer"] == [pool["answer"]]
    assert pool["answer"].startswith("Following the plan would have saved $")
    assert pool["prices"]["commitment_dated"] is False
    assert [one["offer"] for one in pool["left_out"]] == ["3y"]
    assert pool["term_scaled"] is True
    assert float(pool["break_even_rule"]["of_clairvoyant"]) <= pool["break_even_rule"]["bound"] == 2
    assert float(pool["followed"]["of_on_demand"]) < 1
    assert [one["verdict"] for one in pool["decisions"]] == ["wait", "wait", "commit", "commit"]
    status, out, _ = run_outlay("commit", "backtest", *files(tmp_path))
    assert status == 0
    out = " ".join(out.split())
    assert out.startswith(pool["answer"])
    assert "The plan, followed" in out
    assert "Prices are today's, taken for the whole history" in out
    assert "Left out: 3y: its price is unknown" in out


def test_the_backtest_leaves_out_pools_without_an_offer(tmp_path: Path) -> None:
    write_demand(tmp_path / "demand.csv", demand([2.0] * 1400, pool="A"), demand([2.0] * 1400, pool="B"))
    (tmp_path / "offers.csv").write_text(HEADER + "A,1y,12,no,1.20,2.00,USD,standard\n", encoding="utf-8")
    given = ("--demand", str(tmp_path / "demand.csv"), "--offers", str(tmp_path / "offers.csv"))
    status, out, _ = run_outlay("commit", "backtest", *given, "--json")
    assert status == 0
    assert [one["pool"] for one in json.loads(out)["pools"]] == ["A"]
    assert [one["pool"] for one in json.loads(out)["not_tested"]] == ["B"]
    status, out, _ = run_outlay("commit", "backtest", *given)
    assert "Not tested, since no offer for them has a known price below on-demand: B." in out
    status, _, err = run_outlay("commit", "backtest", *given, "--pool", "B")
    assert (status, "no standard offer for B has a known price" in err) == (2, True)


def test_the_terminal_says_which_purchases_are_alternatives_and_cuts_no_column(tmp_path: Path) -> None:
    write_demand(tmp_path / "demand.csv", steady(20, pool="A"), steady(20, pool="B"))
    plans = "A,sp,12,no,1.20,2.00,USD,savings_plan\nB,sp,12,no,1.20,2.00,USD,savings_plan\n"
    (tmp_path / "offers.csv").write_text(HEADER.replace("kind", "form") + plans, encoding="utf-8")
    given = ("--demand", str(tmp_path / "demand.csv"), "--offers", str(tmp_path / "offers.csv"))
    status, out, _ = run_outlay("commit", "plan", *given)
    assert status == 0
    assert "Not counted here: A, B. What is advised there would be bought in place of" in " ".join(out.split())
    assert "an hour of on-demand usage of sp" in " ".join(out.split())
    assert "At the plan's own rates that is a commitment of $" in out
    assert [line.split()[-1] for line in out.splitlines() if line.lstrip().startswith("Offer ")] == ["month"] * 3


def test_one_pool_of_a_file_whose_offers_are_for_others_too(tmp_path: Path) -> None:
    (tmp_path / "demand.csv").write_text("hour,A,B\n0,1,1\n1,1,1\n", encoding="utf-8")
    offers = "A,1y,12,no,1.20,2.00,USD,standard\nB,1y,12,no,1.20,2.00,USD,standard\n"
    (tmp_path / "offers.csv").write_text(HEADER + offers, encoding="utf-8")
    given = ("--demand", str(tmp_path / "demand.csv"), "--offers", str(tmp_path / "offers.csv"))
    status, said = planned(*given, "--pool", "A")
    assert (status, [one["pool"] for one in said["pools"]]) == (0, ["A"])
    assert [one["offer"] for one in said["pools"][0]["options"]] == ["1y"]


def test_without_a_ledger_or_demand(tmp_path: Path) -> None:
    status, _, err = run_outlay("commit", "plan", "--ledger", str(tmp_path / "none"))
    assert status == 2
    assert "holds no ledger yet" in err


def test_names_from_a_file_can_not_rewrite_the_terminal(tmp_path: Path) -> None:
    write_demand(tmp_path / "demand.csv", demand([1.0] * 200, pool="H100\x1b[2J"))
    status, out, _ = run_outlay("commit", "plan", "--demand", str(tmp_path / "demand.csv"))
    assert status == 0
    assert "\x1b" not in out
