"""Malformed CSV rows are set aside by name and the good ones load, however differently parsers forgive them."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.errors import UnreadableError
from outlay.ledger.store import Ledger
from outlay.sources.load_report import FileReport
from outlay.sources.loading import load
from tests.sources.focus_bills import row, write_csv

FIELDS = len(row())


def line(cost: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row(BilledCost=cost, EffectiveCost=cost, ListCost=cost).values())
    return text.getvalue()


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([",".join(row()), *lines]) + "\n", encoding="utf-8")
    return path


def loaded(tmp_path: Path, bill: Path) -> FileReport:
    (file,) = load(Ledger(tmp_path / "ledger"), [bill], Settings()).files
    return file


def test_a_file_of_nothing_but_ragged_rows_lists_every_one(tmp_path: Path) -> None:
    bill = written(tmp_path / "bill.csv", *(line("1") + ",extra" for _ in range(7)))
    file = loaded(tmp_path, bill)
    assert (file.rows_read, file.rows_loaded, file.rows_rejected) == (7, 0, 7)
    assert [(p.code, p.count, p.first_line) for p in file.problems] == [("ragged-row", 7, 2)]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(line("100") + ",", id="a comma too many at its end"),
        pytest.param(line("100").rsplit(",", 3)[0], id="cut short"),
        pytest.param(line("100") + ',"a \\" b, c"', id="a quote escaped with a backslash"),
    ],
)
def test_one_malformed_row_is_set_aside_and_the_others_load(tmp_path: Path, bad: str) -> None:
    bill = written(tmp_path / "bill.csv", *[line("1")] * 3, bad, *[line("2")] * 2)
    limit = csv.field_size_limit()
    file = loaded(tmp_path, bill)
    assert csv.field_size_limit() == limit, "raised for the whole process"
    assert (file.rows_loaded, file.rows_rejected) == (5, 1)
    assert file.totals["USD"]["BilledCost"] == Decimal(7)
    assert [(p.code, p.first_line) for p in file.problems if p.rejects] == [("ragged-row", 5)]


def with_a_cell_of(size: int, path: Path) -> Path:
    rows = [row(BilledCost="1") for _ in range(30)] + [row(BilledCost="2", ChargeDescription="x" * size)]
    return write_csv(path, rows, [*row(), "ChargeDescription"])


def test_a_long_cell_loads(tmp_path: Path) -> None:
    file = loaded(tmp_path, with_a_cell_of(500_000, tmp_path / "bill.csv"))
    assert (file.rows_loaded, file.totals["USD"]["BilledCost"]) == (31, Decimal(32))


def test_a_row_beyond_a_mebibyte_is_an_error_that_says_so_and_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="longer than 1 MiB"):
        loaded(tmp_path, with_a_cell_of(3 << 20, tmp_path / "bill.csv"))
    assert not list((tmp_path / "ledger" / "costs").rglob("*.parquet"))


def test_a_header_and_nothing_else_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no rows"):
        loaded(tmp_path, written(tmp_path / "bill.csv"))
    assert not list((tmp_path / "ledger" / "costs").rglob("*.parquet"))
