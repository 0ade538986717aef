"""The commands keep their contract: all are listed, JSON stands alone on stdout, an exit status means one thing."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.cli.main import COMMANDS
from tests.sources.bills import row, run_outlay, write_csv


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "bill.csv", [row(), row(BilledCost="2")])


def test_help_lists_every_command() -> None:
    status, out, err = run_outlay("--help")
    assert (status, err) == (0, "")
    for name, (_, summary) in COMMANDS.items():
        assert f"\n  {name} " in out
        assert summary in " ".join(out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_the_common_options(name: str) -> None:
    status, out, _ = run_outlay(name, "--help")
    assert status == 0
    assert f"Example: outlay {name}" in out
    for option in ("--ledger", "--config", "--json"):
        assert option in out


def test_overspend_puts_only_json_on_stdout(bill: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    status, out, err = run_outlay("overspend", bill, "--json", "--html", report)
    assert status == 0
    said = json.loads(out)
    assert (said["rows"], Decimal(said["billed_cost"]), said["currency"]) == (2, Decimal("3.25"), "USD")
    assert report.exists()
    assert str(report) in err


def test_overspend_loads_nothing(bill: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    assert run_outlay("overspend", bill, "--ledger", ledger)[0] == 0
    assert not ledger.exists()


def test_sources_name_what_each_format_needs() -> None:
    said = json.loads(run_outlay("sources", "--json")[1])
    assert "focus" in {entry["id"] for entry in said}
    assert all(entry["title"] and entry["needs"] for entry in said)


def test_an_unknown_command_offers_the_nearest() -> None:
    status, out, err = run_outlay("overspned")
    assert (status, out) == (2, "")
    assert "no command 'overspned'" in err
    assert "Did you mean 'overspend'" in err


def test_done_is_0_and_rows_in_quarantine_are_3(bill: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    assert run_outlay("load", bill, "--ledger", ledger)[0] == 0
    bad = write_csv(tmp_path / "bad.csv", [row(), row(BilledCost="1.2.3")])
    status, out, _ = run_outlay("load", bad, "--ledger", tmp_path / "other", "--json")
    (load,) = json.loads(out)["loads"]
    assert status == 3
    assert (load["rows_read"], load["rows_loaded"], load["rows_rejected"]) == (2, 1, 1)


@pytest.mark.parametrize("command", ["overspend", "load"])
def test_unreadable_input_is_2_and_changes_nothing(command: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    for name, content in (("absent.csv", None), ("letter.txt", "Dear sir,\n"), ("empty.csv", "")):
        path = tmp_path / name
        if content is not None:
            path.write_text(content, encoding="utf-8")
        status, out, err = run_outlay(command, path, "--ledger", ledger)
        assert (status, out) == (2, ""), name
        assert name in err
        assert "Traceback" not in err
    assert not ledger.exists()


def test_a_missing_ledger_or_a_bad_setting_is_2(bill: Path, tmp_path: Path) -> None:
    assert run_outlay("query", "ai_cost", "--ledger", tmp_path / "none")[0] == 2
    settings = tmp_path / "outlay.toml"
    settings.write_text('curency = "USD"\n', encoding="utf-8")
    status, _, err = run_outlay("overspend", bill, "--config", settings)
    assert status == 2
    assert "Did you mean 'currency'" in err
