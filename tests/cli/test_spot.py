"""``outlay spot`` keeps its contract: 0 with a verdict, 1 without, 2 for what can't be used; strings for numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.optimize.spot.traces import FIXTURES
from tests.sources.focus_bills import run_outlay

_JOB = ("--work-hours", "200", "--save", "300s", "--restore", "10m")
_PRICES = ("--on-demand", "4.00", "--spot", "1.60", "--gpus", "8")
_TRACE = FIXTURES / "zone-a.json"


def spot(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    status, out, err = run_outlay("spot", *_JOB, *arguments, "--json")
    assert err == ""
    return status, json.loads(out)


def test_a_rate() -> None:
    status, said = spot(*_PRICES, "--mtbf", "6", "--interval", "1h")
    (offer,) = said["offers"]

    assert status == 0
    assert (said["work_hours"], said["save_seconds"], said["restore_seconds"]) == ("200", "300", "600")
    assert (said["on_demand_price"], said["spot_price"], said["currency"]) == ("4", "1.6", "USD")
    assert said["estimated"] is True
    assert (offer["verdict"], offer["on_demand_cost"], offer["basis"]) == ("spot", "6400", "formula")
    assert offer["formula"]["stretch"] == "1.2207"
    assert offer["interval"]["young_seconds"] == "3600"
    assert (offer["trace"], offer["replay"], offer["why"]) == (None, None, None)
    assert [point["factor"] for point in offer["curve"]] == ["0.25", "0.5", "1", "2", "4"]


def test_a_trace_and_a_deadline() -> None:
    status, said = spot(*_PRICES, "--trace", _TRACE, "--deadline", "230", "--starts", "100")
    (offer,) = said["offers"]

    assert (status, offer["name"], offer["basis"]) == (0, "zone-a", "replay")
    assert offer["trace"]["days"] == "7"
    assert offer["replay"]["starts"] == 100
    assert offer["safety_net"]["in_time"] == 100
    assert offer["safety_net"]["cost"]["mean"] == offer["cost"]
    assert offer["notes"][0].startswith("Spot: about ")


def test_without_a_price_there_is_no_verdict() -> None:
    status, said = spot("--on-demand", "4.00", "--trace", FIXTURES, "--starts", "50")

    assert status == 1
    assert [offer["verdict"] for offer in said["offers"]] == [None] * 4
    assert {offer["why"] for offer in said["offers"]} == {"the spot price is unknown: give --spot, per GPU-hour"}
    assert all(offer["needs"] == ["--spot"] and offer["cost"] is None for offer in said["offers"])


def test_the_terminal() -> None:
    status, out, err = run_outlay("spot", *_JOB, *_PRICES, "--trace", _TRACE, "--starts", "100")
    assert (status, err) == (0, "")
    assert "All but the prices are estimates." in out
    assert "zone-a: Spot: about" in out
    for table in ("exponential fit", "save every"):
        assert table in out

    status, out, err = run_outlay("spot", *_JOB, *_PRICES, "--trace", FIXTURES, "--instances", "2", "--starts", "50")
    assert (status, err) == (0, "")
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert lines["zone-a"][1:3] == ["0%", "0"]
    assert lines["zone-a"][-1] == "on-demand"
    assert lines["machines"][-1] == "spot"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --mtbf or --trace"),
        (("--mtbf", "6", "--trace", "x"), "give either --mtbf or --trace"),
        (("--mtbf", "six"), "--mtbf: 'six' is not a number"),
        (("--mtbf", "nan"), "--mtbf: 'nan' is not a number"),
        (("--mtbf", "1e99"), "--mtbf: '1e99' is not a number"),
        (("--mtbf", "-6"), "--mtbf: must be a second or more"),
        (("--mtbf", "6", "--spot", "1,60"), "--spot: '1,60' is not a number"),
        (("--mtbf", "6", "--spot", "-1"), "--spot: must be from 0"),
        (("--mtbf", "6", "--on-demand", "0"), "--on-demand: can't be 0"),
        (("--mtbf", "6", "--interval", "1y"), "--interval: '1y' is not a time"),
        (("--mtbf", "6", "--interval", "0s"), "--interval: must be more than 0"),
        (("--mtbf", "6", "--work-hours", "0"), "the work of 0 seconds"),
        (("--mtbf", "6", "--save", "0s"), "--save: a save that takes no time"),
        (("--mtbf", "6", "--currency", "$"), "--currency: '$' is no currency"),
        (("--mtbf", "6", "--deadline", "300"), "--deadline: a rate of interruptions"),
        (("--trace", _TRACE, "--deadline", "100"), "--deadline: 100 h is less than the 200 h of work"),
        (("--trace", "nowhere.json"), "nowhere.json: can't be read"),
        (("--trace", FIXTURES / "README.md"), "README.md:1: is no trace"),
        (("--mtbf", "6", "--gpus", "0"), "--gpus"),
    ],
)
def test_what_can_not_be_used_is_2_with_one_message(arguments: tuple[str | Path, ...], message: str) -> None:
    status, out, err = run_outlay("spot", *_JOB, *arguments)

    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
