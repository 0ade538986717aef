"""An entry of the settings for a pool that is not there is told with the nearest name, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlay.config import CommitmentSettings, PoolSettings
from outlay.optimize.commitments.pool_names import misnamed
from tests.optimize.commitments.series import steady, write_demand
from tests.sources.focus_bills import run_outlay

POOLS = ("H100/us-east-1/training", "A10", "A100")


def told(*names: str, unions: tuple[str, ...] | None = ()) -> list[str]:
    return misnamed(CommitmentSettings(pools=tuple(PoolSettings(pool=name) for name in names)), POOLS, unions)


def test_a_slip_of_the_pen_is_told_with_the_nearest_name() -> None:
    (said,) = told("H100/us-east-1/trainng")
    assert "'H100/us-east-1/trainng' is no pool of this demand" in said
    assert said.endswith("Did you mean 'H100/us-east-1/training'?")


def test_a_pool_of_the_demand_and_the_one_for_every_pool_are_not() -> None:
    assert told("*", "A10") == []


def test_a_union_goes_by_the_name_that_the_offers_make() -> None:
    assert told("A10|A100", unions=("A10|A100",)) == []
    (said,) = told("A100|A10", unions=("A10|A100",))
    assert "'A10|A100'" in said
    assert told("A10|A100", unions=None) == []
    assert len(told("A10|A300", unions=None)) == 1


def test_a_thousand_pools_are_not_listed() -> None:
    settings = CommitmentSettings(pools=(PoolSettings(pool="zzz"),))
    (said,) = misnamed(settings, [f"H100/{number}" for number in range(1000)])
    assert said.endswith("nothing that it says is used.")


@pytest.mark.parametrize("command", ["plan", "backtest"])
def test_the_commands_tell_it_and_end_as_they_would(tmp_path: Path, command: str) -> None:
    write_demand(tmp_path / "demand.csv", steady(20, pool="A"), steady(20, pool="H100/training"))
    lines = ["pool,offer,term_months,unit_price,on_demand_price,currency", "*,1y,12,1.20,2.00,USD"]
    (tmp_path / "offers.csv").write_text("\n".join(lines), encoding="utf-8")
    said = '[[commitments.pools]]\npool = "A"\nworkload = "inference"\n[[commitments.pools]]\npool = "H100/trainng"\n'
    (tmp_path / "outlay.toml").write_text(said, encoding="utf-8")
    given = ("--demand", str(tmp_path / "demand.csv"), "--offers", str(tmp_path / "offers.csv"))
    arguments = (*given, "--config", str(tmp_path / "outlay.toml"), "--pool", "H100/training")
    status, out, err = run_outlay("commit", command, *arguments, "--json")
    assert status == 0
    assert "'H100/trainng' is no pool of this demand" in err
    assert "pool 'A'" not in err
    if command == "plan":
        assert any("Did you mean 'H100/training'?" in note for note in json.loads(out)["notes"])
        _, out, _ = run_outlay("commit", "plan", *arguments, "--html", str(tmp_path / "plan.html"))
        assert "Did you mean 'H100/training'?" in " ".join(out.split())
        assert "is no pool of this demand" in (tmp_path / "plan.html").read_text(encoding="utf-8")
