"""The survey finds what the load needs, by whichever way, and the ways agree."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from outlay.config import Settings
from outlay.ledger.engine.duckdb import literal, session
from outlay.ledger.store import Ledger
from outlay.sources import survey as survey_module
from outlay.sources.load_report import LoadReport
from outlay.sources.loading import load
from outlay.sources.opening import open_raw
from outlay.sources.readers import reader_for
from outlay.sources.survey import Survey, survey
from outlay.sources.typed import Bill
from tests.sources.focus_bills import row, write_csv

ROWS = [
    row(BilledCost="1.25", Tags='{"team":"search"}'),
    row(BilledCost="2.50", Tags='{"Team":"ads","x":"1"}'),
    row(BilledCost="4.00", Tags=""),
]


def look(path: Path) -> Survey:
    with session() as connection:
        raw = open_raw(path)
        return survey(connection, Bill.of(connection, raw, reader_for(raw).mapping(raw)))


def as_parquet(csv: Path, *, tags: str = "Tags") -> Path:
    target = csv.with_suffix(".parquet")
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE ({tags} AS Tags) "
            f"FROM read_csv({literal(str(csv))}, all_varchar=true, header=true)) "
            f"TO {literal(str(target))} (FORMAT parquet)"
        )
    return target


def stored(folder: Path) -> list[tuple[Any, ...]]:
    with session() as connection:
        Ledger(folder).register(connection)
        return connection.execute(
            'SELECT "BilledCost", "Tags", x_Tag_team, x_WorkloadKind, x_SourceFile FROM costs ORDER BY "BilledCost"'
        ).fetchall()


def loaded(ledger: Path, bill: Path) -> LoadReport:
    return load(Ledger(ledger), [bill], Settings())


def test_a_plain_bill_is_known_as_plain_and_summed(tmp_path: Path) -> None:
    found = look(write_csv(tmp_path / "bill.csv", ROWS))
    assert (found.plain, found.rows, found.good_rows) == (True, 3, 3)
    assert [m.sums["BilledCost"] for m in found.months] == [Decimal("7.75")]
    assert found.tag_keys == ("Team", "team", "x")


@pytest.mark.parametrize("cells", [{"BilledCost": "$1,000.50"}, {"ChargePeriodStart": "10/3/26"}])
def test_one_unusual_cell_asks_for_the_dearer_reading_and_loses_nothing(tmp_path: Path, cells: dict[str, str]) -> None:
    bill = write_csv(tmp_path / "bill.csv", [*ROWS, row(**cells)])
    found = look(bill)
    assert (found.plain, found.rows, found.good_rows) == (False, 4, 4)
    (file,) = loaded(tmp_path / "ledger", bill).files
    assert (file.rows_loaded, file.rows_rejected) == (4, 0)
    assert file.totals["USD"]["BilledCost"] == sum((r[0] for r in stored(tmp_path / "ledger")), Decimal(0))


def test_a_bad_row_of_a_parquet_file_is_in_no_total(tmp_path: Path) -> None:
    bill = as_parquet(write_csv(tmp_path / "bill.csv", [*ROWS, row(BilledCost="12..5")]))
    found = look(bill)
    assert (found.plain, found.rows, found.good_rows) == (False, 4, 3)
    assert [m.sums["BilledCost"] for m in found.months] == [Decimal("7.75")]
    (file,) = loaded(tmp_path / "ledger", bill).files
    assert (file.rows_loaded, file.rows_rejected, file.problems[0].first_line) == (3, 1, 4)


def test_tags_as_text_and_as_a_map_say_the_same(tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "bill.csv", ROWS)
    loaded(tmp_path / "text", csv)
    loaded(tmp_path / "map", as_parquet(csv, tags="CAST(CAST(Tags AS JSON) AS MAP(VARCHAR, VARCHAR))"))
    text, mapped = stored(tmp_path / "text"), stored(tmp_path / "map")
    assert [r[:4] for r in text] == [r[:4] for r in mapped]
    assert [r[2] for r in text] == ["search", "ads", None]


@pytest.mark.parametrize("as_map", [False, True])
def test_tags_too_many_to_keep_are_read_row_by_row_and_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_map: bool
) -> None:
    bill = write_csv(tmp_path / "bill.csv", ROWS)
    if as_map:
        bill = as_parquet(bill, tags="CAST(CAST(Tags AS JSON) AS MAP(VARCHAR, VARCHAR))")
    loaded(tmp_path / "kept", bill)
    group, refused = survey_module._group, []

    def without_memory(*args: Any, tags: bool, **options: Any) -> None:
        if tags:  # stands for a bill with millions of tag sets: DuckDB says so with this error
            refused.append(args)
            raise duckdb.OutOfMemoryException("no memory for tag sets")
        group(*args, tags=tags, **options)

    monkeypatch.setattr(survey_module, "_group", without_memory)
    loaded(tmp_path / "read", bill)
    assert refused
    assert stored(tmp_path / "read") == stored(tmp_path / "kept")


def test_a_json_key_that_only_a_late_line_has_is_a_column(tmp_path: Path) -> None:
    lines = [json.dumps(row(BilledCost="1")) for _ in range(150)]
    lines.append(json.dumps(row(BilledCost="2") | {"x_LateColumn": "here"}))
    path = tmp_path / "bill.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "x_LateColumn" in open_raw(path).columns
