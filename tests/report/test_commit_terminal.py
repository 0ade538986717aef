"""``outlay commit`` on a terminal: what is to be bought comes first, and what holds of many pools is said once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import partial

import pytest

from outlay.config import CommitmentSettings
from outlay.optimize.commitments.demand import Demand
from outlay.optimize.commitments.outlook.price_decline import DatedPrice
from outlay.optimize.commitments.outlook.price_history import Candidate, PriceHistory
from outlay.optimize.commitments.plan import Plan, plan, today_of
from outlay.problems import Problem, summarise
from outlay.report.commit_backtest import show_backtests
from outlay.report.commit_plan import show_plan
from tests.optimize.commitments.series import demand, offer, steady

TODAY = date(2026, 10, 19)


def planned(*demands: Demand, histories: Mapping[str, PriceHistory] | None = None) -> Plan:
    offers = [offer("1.20", pools=("*",))]
    today = today_of(demands)
    return plan(demands, offers, CommitmentSettings(), histories=histories, today=today, paths=50, parallel=False)


def newer(gpu: str, price: str) -> Candidate:
    dated = DatedPrice(TODAY, Decimal(price), "USD", "catalogue", "a list", f"aws {gpu}")
    return Candidate(gpu, dated, (dated,), None)


def test_what_is_to_be_bought_comes_first_then_what_waits(capsys: pytest.CaptureFixture[str]) -> None:
    short, idle = 2 * 168, [5.0] * (19 * 168) + [0.0] * 168
    show_plan(
        planned(
            demand(idle, pool="idle"),
            demand([4.0] * short, pool="young"),
            steady(20, pool="second"),
            demand([3.0] * short, pool="younger"),
            steady(20, pool="third"),
        )
    )
    heads = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line[:1].strip() and "  " in line]
    assert [head for head in heads if head[1].isupper()] == [
        ["second", "COMMIT"],
        ["third", "COMMIT"],
        ["young", "WAIT"],
        ["younger", "WAIT"],
        ["idle", "NEVER"],
    ]


def test_newer_hardware_is_one_sentence_for_all_pools(capsys: pytest.CaptureFixture[str]) -> None:
    pools = [steady(20, pool=f"H100/{place}") for place in ("us-1/a", "us-1/b", "us-1/c", "eu-1/a")]
    sold = PriceHistory(candidates=(newer("H200", "8"), newer("B200", "11.5")))
    histories = {one.pool: sold for one in pools[:3]} | {pools[3].pool: PriceHistory(candidates=(newer("H200", "9"),))}
    show_plan(planned(*pools, histories=histories))
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("H200 at") == 2
    assert (
        "Newer than H100: B200, H200. Not counted. For sale in us-1: B200 at $11.50 a GPU-hour (2026-10-19), H200 at "
        "$8.00 a GPU-hour (2026-10-19); in eu-1: H200 at $9.00 a GPU-hour (2026-10-19). How much more work it does is "
        "not known"
    ) in said


def test_bad_cells_of_many_kinds_say_how_many_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    cells = ["a", "a", "b", "c", "d", "e", "f", "g"]
    problems = summarise(Problem("demand.csv", 2 + n, "unparsable-amount", one) for n, one in enumerate(cells))
    for show in (partial(show_plan, planned()), partial(show_backtests, [], [])):
        show(problems)
        said = " ".join(capsys.readouterr().out.split())
        assert "demand.csv (2 cells, line 2 first): a. Correct the cell" in said
        assert "demand.csv (1 cell, line 8 first): f." not in said
        assert "2 more kinds of problem in 2 cells; --json has them all." in said


def test_a_savings_plan_of_one_pool_is_told_in_money_too(capsys: pytest.CaptureFixture[str]) -> None:
    pool = steady(20)
    offers = [offer("1.20", form="savings_plan")]
    show_plan(plan([pool], offers, CommitmentSettings(), today=today_of([pool]), paths=50))
    said = " ".join(capsys.readouterr().out.split())
    assert "buy 69.95 GPUs of 1y" in said
    assert "At the plan's own rates that is a commitment of $83.94 an hour" in said
