"""The ledger is a folder that says what it is: absent, empty, as of a version, and never something else."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.errors import LedgerError, UsageError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger, load_id_of
from outlay.ledger.tables.costs import columns
from outlay.sources.loading import load
from tests.sources.focus_bills import row, stored, totals, write_csv


def test_a_folder_without_a_ledger_says_how_to_start_one(tmp_path: Path) -> None:
    assert not Ledger(tmp_path).exists()
    with pytest.raises(LedgerError, match=r"holds no ledger yet.*`outlay load BILL`"):
        Ledger(tmp_path).table()


def test_a_file_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text("a file", encoding="utf-8")

    with pytest.raises(LedgerError, match="is a file, not a folder"):
        Ledger(path).create(["team"])


def test_an_empty_ledger_has_every_column_and_no_row(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.create(["team"])
    ledger.create(["team"])

    with session() as connection:
        ledger.register(connection)
        names = [r[0] for r in connection.execute("DESCRIBE costs").fetchall()]

    assert names == [c.name for c in columns(["team"])]
    assert stored(ledger.path) == []


def test_every_column_has_the_type_that_the_table_promises(tmp_path: Path) -> None:
    settings = Settings()
    load(Ledger(tmp_path / "ledger"), [write_csv(tmp_path / "a.csv", [row()])], settings)

    with session() as connection:
        Ledger(tmp_path / "ledger").register(connection)
        types = {r[0]: r[1] for r in connection.execute("DESCRIBE costs").fetchall()}

    assert types == {c.name: c.sql_type for c in columns(settings.tags.required)}


def test_history_is_newest_first_and_tells_the_loads(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    reports = [
        load(ledger, [write_csv(tmp_path / f"{n}.csv", [row(BillingAccountId=f"acct-{n}")])], Settings())
        for n in range(2)
    ]

    told = [(record.version, record.facts["load_id"]) for record in ledger.history() if record.facts]

    assert told == [(report.version, report.load_id) for report in reversed(reports)]
    assert {load_id_of(path) for path, _ in ledger.live_files()} == {report.load_id for report in reports}


def test_a_version_that_is_not_there_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [write_csv(tmp_path / "a.csv", [row()])], Settings())

    with pytest.raises(LedgerError, match=r"has no version 99: its versions are 0 to 1\. `outlay history`"):
        totals(ledger.path, as_of="99")
    with pytest.raises(UsageError, match="no version as old as 2001-01-01"):
        totals(ledger.path, as_of="2001-01-01")


def test_a_day_or_month_means_its_end_and_a_time_itself(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [write_csv(tmp_path / "a.csv", [row()])], Settings())
    at = ledger.history()[0].at
    created = ledger.history()[-1].at

    for text in (f"{at:%Y-%m-%d}", f"{at:%Y-%m}", f"{at.isoformat()}Z"):
        assert totals(ledger.path, as_of=text) == (1, Decimal("1.25"))
    for text in (f"{created - timedelta(days=1):%Y-%m-%d}", f"{created - timedelta(seconds=1)}"):
        with pytest.raises(UsageError, match="no version as old as"):
            totals(ledger.path, as_of=text)
