"""``commit plan --out`` writes what ``commit verify`` confirms; 1 for a document that was changed, 2 for none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.optimize.commitments.series import demand, steady, write_demand
from tests.sources.focus_bills import run_outlay

_OFFERS = (
    "pool,offer,form,term_months,payment,unit_price,on_demand_price,currency,provider\n"
    "H100,sp,savings_plan,12,no_upfront,1.20,2.00,USD,aws\n"
    "A100,sp,savings_plan,12,no_upfront,1.20,2.00,USD,aws\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demand that ended at midnight: how old it is shows in the document."""
    here = tmp_path_factory.mktemp("commit")
    first = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0) - timedelta(weeks=20)
    hours = [float(one) / 1e9 for one in steady(20).nanos]
    write_demand(here / "demand.csv", demand(hours, first=first), demand(hours, first=first, pool="A100"))
    (here / "offers.csv").write_text(_OFFERS, encoding="utf-8")
    return here


def planned(folder: Path, *arguments: str | Path) -> tuple[int, str, str]:
    files = ("--demand", folder / "demand.csv", "--offers", folder / "offers.csv", "--paths", "100")
    return run_outlay("commit", "plan", *files, *arguments)


def test_a_document_is_written_verified_and_found_changed(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    status, out, err = planned(
        folder, "--out", path, "--buy", "H100|A100", "--last-purchase", "*=2020-01-01", "--last-purchase", "A100=never"
    )
    assert (status, err) == (0, "")
    assert "Every guardrail is passed. Purchases due: 1 of 3." in out
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["hash"] in out
    assert document["executable"] is True

    status, out, _ = run_outlay("commit", "verify", path)
    assert status == 0
    assert document["hash"] in out
    assert "Every guardrail is passed." in out

    document["purchases"][0]["quantity"] = "9000"
    path.write_text(json.dumps(document), encoding="utf-8")
    status, out, _ = run_outlay("commit", "verify", path)
    assert status == 1
    assert "'purchases[0]' was changed." in out
    status, out, _ = run_outlay("commit", "verify", path, "--json")
    said: dict[str, Any] = json.loads(out)
    assert status == 1
    assert (said["ok"], said["hash"], said["differences"]) == (
        False,
        document["hash"],
        ["'purchases[0]' was changed."],
    )
    assert said["found"] != said["hash"]


def test_a_day_that_is_past_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    _, out, _ = planned(folder, "--out", path)
    assert f"Wrote {path}, valid until 20" in out
    path = tmp_path / "older.json"
    write_demand(tmp_path / "old.csv", steady(20))  # to October 2026
    status, out, _ = run_outlay("commit", "plan", "--demand", tmp_path / "old.csv", "--paths", "50", "--out", path)
    past = f"which was valid until {json.loads(path.read_text())['valid_until']}: load newer demand and plan again"
    assert (status, past in out) == (0, True)
    _, out, _ = run_outlay("commit", "verify", path)
    assert past in out


def test_what_stands_against_a_plan_is_said(folder: Path, tmp_path: Path) -> None:
    status, out, _ = planned(folder, "--out", tmp_path / "twice.json", "--json")
    said = json.loads(out)["document"]
    assert status == 0
    assert said["executable"] is False
    assert ["overlap" in why for why in said["executable_why"]] == [True]
    assert said["file"] == str(tmp_path / "twice.json")

    _, out, _ = planned(folder, "--out", tmp_path / "open.json", "--buy", "H100")
    assert "Not executable before this is known:\n  cooldown_days of H100: The day of the last purchase" in out

    (tmp_path / "outlay.toml").write_text('[commitments.guardrails]\nmax_hourly = "10"\n', encoding="utf-8")
    _, out, _ = planned(folder, "--out", tmp_path / "dear.json", "--buy", "H100", "--config", tmp_path / "outlay.toml")
    assert "Not executable.\n  max_hourly: The plan binds" in out
    assert "more than the 10 that are allowed." in out


def test_without_out_nothing_is_written(folder: Path) -> None:
    before = sorted(folder.iterdir())
    status, out, _ = planned(folder, "--json")
    assert status == 0
    assert "document" not in json.loads(out)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--last-purchase", "H100"), "names no day"),
        (("--last-purchase", "H10=never"), "no pool 'H10'. Did you mean 'H100'"),
        (("--last-purchase", "H100=soon"), "--last-purchase"),
        (("--buy", "H10"), "--buy: the plan has no pool 'H10'"),
    ],
)
def test_wrong_use(folder: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    status, _, err = planned(folder, "--out", tmp_path / "plan.json", *arguments)
    assert status == 2
    assert said in err
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize("option", [("--last-purchase", "H100=never"), ("--buy", "H100")])
def test_what_is_for_the_document_alone(folder: Path, option: tuple[str, str]) -> None:
    status, _, err = planned(folder, *option)
    assert status == 2
    assert "Name it with --out FILE." in err


def test_no_plan_to_verify(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "demand.csv", tmp_path / "missing.json"):
        status, _, err = run_outlay("commit", "verify", path)
        assert status == 2
        assert str(path) in err
