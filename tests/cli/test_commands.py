"""The commands keep their contract: all are listed, JSON stands alone on stdout, an exit status means one thing."""

from __future__ import annotations

import json
import signal
from decimal import Decimal
from importlib import import_module
from pathlib import Path

import click
import pytest

from outlay.cli.main import COMMANDS
from tests.sources.focus_bills import outlay_process, row, run_outlay, write_csv

cli = import_module("outlay.cli.main")  # the package exports a function of this name


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "bill.csv", [row(), row(BilledCost="2")])


def test_help_lists_every_command() -> None:
    status, out, err = run_outlay("--help")
    assert (status, err) == (0, "")
    for name, (_, summary) in COMMANDS.items():
        assert f"\n  {name} " in out
        assert summary in " ".join(out.split())


def paths() -> list[tuple[str, ...]]:
    """Every command, and those of a group."""
    found = {name: cli._group.get_command(click.Context(cli._group), name) for name in COMMANDS}
    return [
        path
        for name, command in found.items()
        for path in ([(name, one) for one in command.commands] if isinstance(command, click.Group) else [(name,)])
    ]


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_every_command_has_help_with_an_example_and_the_common_options(path: tuple[str, ...]) -> None:
    status, out, _ = run_outlay(*path, "--help")
    assert status == 0
    assert f"Example: outlay {' '.join(path)}" in " ".join(out.split())
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


def test_overspend_lists_rows_it_kept_out_and_is_done(tmp_path: Path) -> None:
    """Nothing goes to quarantine, so it is 0 and not 3; the rows are in the answer."""
    bad = write_csv(tmp_path / "bad.csv", [row(), row(BilledCost="1.2.3")])
    status, out, _ = run_outlay("overspend", bad, "--json")
    said = json.loads(out)
    assert status == 0
    assert [(one["code"], one["count"]) for one in said["problems"] if one["first_line"]] == [("unparsable-amount", 1)]
    assert "1 row kept out" in run_outlay("overspend", bad)[1]


def test_loading_rows_that_are_kept_out_once_more_is_3_again(tmp_path: Path) -> None:
    bad = write_csv(tmp_path / "bad.csv", [row(), row(BilledCost="1.2.3")])
    ledger = tmp_path / "ledger"
    assert [run_outlay("load", bad, "--ledger", ledger)[0] for _ in range(2)] == [3, 3]
    assert "1 row, 1 kept out" in run_outlay("history", "--ledger", ledger)[1]


def test_an_error_in_outlay_is_neither_a_no_nor_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """70 with the traceback: 1 is the "no" of a check, and a script must not take a crash for it."""

    def breaks(**_: object) -> None:
        raise ZeroDivisionError("here")

    monkeypatch.setattr(cli._group, "invoke", lambda _: breaks())
    monkeypatch.setattr("sys.argv", ["outlay", "sources"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == cli.BROKEN == 70
    said = capsys.readouterr()
    assert said.out == ""
    assert "ZeroDivisionError: here" in said.err
    assert "error in Outlay" in said.err


def test_an_interrupted_command_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli._group, "invoke", interrupted)
    monkeypatch.setattr("sys.argv", ["outlay", "sources"])
    before = signal.getsignal(signal.SIGPIPE)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == cli.INTERRUPTED == 130
    assert signal.getsignal(signal.SIGPIPE) == before  # the default would end this process at the next broken pipe
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="needs SIGPIPE")
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with outlay_process("sources") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == -signal.SIGPIPE


def test_a_load_of_many_files_is_one_line_a_source(tmp_path: Path) -> None:
    bills = tmp_path / "bills"
    bills.mkdir()
    for n in range(13):
        write_csv(bills / f"bill-{n}.csv", [row(SkuId=str(n), BillingAccountId=f"acct-{n % 2}")])
    status, out, _ = run_outlay("load", bills, "--ledger", tmp_path / "ledger")
    assert status == 0
    assert [line.split() for line in out.splitlines()[1:5]] == [
        ["acct-0", "2026-10", "7", "8.75", "7.00", "USD"],
        ["7", "files"],
        ["acct-1", "2026-10", "6", "7.50", "6.00", "USD"],
        ["6", "files"],
    ]
    assert "Read as FOCUS" in out


def test_a_load_of_few_files_names_each_with_its_currencies(tmp_path: Path) -> None:
    bill = write_csv(tmp_path / "bill.csv", [row(), row(BillingCurrency="EUR"), row(BilledCost="many")])
    _, out, _ = run_outlay("load", bill, "--ledger", tmp_path / "ledger")
    lines = [line.split() for line in out.splitlines()]
    assert lines[:4] == [
        ["file", "and", "its", "source", "months", "rows", "kept", "out", "billed", "cost", "effective", "cost"],
        ["bill.csv", "2026-10", "2", "1", "1.25", "1.00", "EUR"],
        ["acct-1"],
        ["1.25", "1.00", "USD"],
    ]
    assert "kept out: bill.csv" in out
