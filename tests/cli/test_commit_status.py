"""`outlay load` computes what stands and tells what changed; `outlay commit status` and `plan` tell since when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from outlay.config import load_settings
from outlay.ledger.store import Ledger
from outlay.optimize.commitments.standing.recompute import recompute
from tests.optimize.commitments.standings import POOL, STEADY, bill_of, configured, ledger_with, offers
from tests.sources.focus_bills import run_outlay


def outlay(folder: Path, *arguments: str | Path, config: bool = True) -> tuple[int, str, str]:
    named = ("--config", folder / "outlay.toml") if config else ()
    return run_outlay(*arguments, "--ledger", folder / "ledger", *named)


def said(folder: Path, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    status, out, _ = outlay(folder, *arguments, "--json")
    return status, json.loads(out)


def stood(folder: Path, *, hours: int) -> datetime:
    """A computation so many hours ago, of a ledger with steady demand."""
    at = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours)
    recompute(ledger_with(folder, STEADY), load_settings(configured(folder)), now=at, trigger="load")
    return at


def test_loads_compute_what_stands_and_tell_each_change(tmp_path: Path) -> None:
    configured(tmp_path)
    status, out, err = outlay(tmp_path, "load", bill_of(tmp_path, STEADY))
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].startswith(f"{POOL}: commit, buy ")

    status, out, _ = outlay(tmp_path, "load", bill_of(tmp_path, [*STEADY, 10]))
    assert (status, POOL in out) == (0, False)

    status, told = said(tmp_path, "load", bill_of(tmp_path, [*STEADY, *[5] * 7]))
    assert status == 0
    (change,) = told["recommendations"]
    assert (change["verdict"], change["change"], change["before"]["verdict"]) == ("wait", "withdrawn", "commit")
    assert change["because"].startswith("Demand dropped: the last seven days are 50% below")
    assert not any("computed anew" in note for note in told["notes"])

    status, out, _ = outlay(tmp_path, "commit", "status")
    assert status == 0
    assert "1 pool: wait: 1." in out
    assert f"{POOL}  WAIT  since {datetime.now(UTC):%Y-%m-%d}" in out
    assert "Would change it: Weekly changes under 20% for 30 days" in out
    assert "Withdrawn in the last 90 days" in out
    assert f"{POOL}: commit withdrawn, since" in out


def test_a_load_with_broken_offers_is_a_load(tmp_path: Path) -> None:
    configured(tmp_path)
    offers(tmp_path, "nonsense\n")
    status, out, err = outlay(tmp_path, "load", bill_of(tmp_path, STEADY))
    assert status == 0
    assert "Totals of files and ledger are equal" in out
    assert err.startswith("note: GPU commitments were not computed anew, what stood before stays: ")
    status, told = said(tmp_path, "load", bill_of(tmp_path, [*STEADY, 10]))
    assert (status, told["changed"], told["recommendations"]) == (0, True, [])
    assert "offers.csv" in told["notes"][-1]


def test_a_load_without_offers_says_nothing_of_them(tmp_path: Path) -> None:
    status, out, err = outlay(tmp_path, "load", bill_of(tmp_path, STEADY), config=False)
    assert (status, err, POOL in out) == (0, "", False)
    assert not Ledger(tmp_path / "ledger").recommendations().exists()


def test_the_status_as_json(tmp_path: Path) -> None:
    at = stood(tmp_path, hours=2)
    status, told = said(tmp_path, "commit", "status")
    assert status == 0
    assert (told["current"], told["why"], told["trigger"], told["withdrawn"]) == (True, None, "load", [])
    assert told["computed_at"] == f"{at.isoformat()}Z"
    (one,) = told["recommendations"]
    assert (one["pool"], one["verdict"], one["since"], one["offer"]) == (POOL, "commit", told["computed_at"], "1y")
    assert one["demand_until"] == "2027-01-28T00:00:00Z"
    assert one["would_change"][0].startswith("Seven days with a mean demand of 64.0 or less")


def test_what_is_older_than_a_day_is_status_1_until_computed_again(tmp_path: Path) -> None:
    at = stood(tmp_path, hours=25)
    status, out, _ = outlay(tmp_path, "commit", "status")
    assert (status, "Not current: it was computed 25 hours ago" in out) == (1, True)
    status, told = said(tmp_path, "commit", "status", "--recompute")
    assert (status, told["current"], told["trigger"]) == (0, True, "asked")
    assert told["recommendations"][0]["since"] == f"{at.isoformat()}Z"


def test_nothing_computed_is_status_2(tmp_path: Path) -> None:
    ledger_with(tmp_path, STEADY)
    status, out, err = outlay(tmp_path, "commit", "status", config=False)
    assert (status, out) == (2, "")
    assert "has no recommendations yet" in err
    status, _, err = outlay(tmp_path, "commit", "status", "--recompute", config=False)
    assert (status, "no offers are set" in err) == (2, True)


def test_the_plan_says_since_when(tmp_path: Path) -> None:
    at = stood(tmp_path, hours=48)
    _, out, _ = outlay(tmp_path, "commit", "plan")
    assert f"{POOL}  COMMIT (since {at:%Y-%m-%d})  buy" in out
    _, told = said(tmp_path, "commit", "plan")
    assert told["pools"][0]["since"] == f"{at.isoformat()}Z"
    other = tmp_path / "other.csv"
    other.write_text(offers(tmp_path).read_text().replace(",1y,", ",another,"), encoding="utf-8")
    _, told = said(tmp_path, "commit", "plan", "--offers", other)
    assert told["pools"][0]["verdict"] == "commit"
    assert told["pools"][0]["since"] is None
    assert "not what was recommended last" in told["pools"][0]["since_why"]
    _, told = said(tmp_path, "commit", "plan", "--as-of", "2027-01-20")
    assert "since" not in told["pools"][0]
