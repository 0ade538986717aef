"""Odd but lawful files are read to the last row; what can't be read for certain is refused by its column."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from outlay.config import Settings
from outlay.errors import LedgerError, UnreadableError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.problems import Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.find import find_bills
from outlay.sources.header import distinct
from outlay.sources.in_place import open_in_place
from outlay.sources.loading import load
from outlay.sources.opening import open_raw
from tests.sources.bills.reading import canonical_rows
from tests.sources.focus_bills import COLUMNS, GOOD, row, run_outlay, stored, totals, write_csv

LEGACY = Path(__file__).parent.parent / "fixtures" / "aws_cur" / "legacy.csv"


def in_place(path: Path, tmp_path: Path) -> tuple[int, Decimal]:
    """Rows and billed cost of a bill read where it lies."""
    with session() as connection:
        found = open_in_place(connection, find_bills([path])[0], ["BilledCost"], tmp_path)
        rows = connection.execute(f'SELECT count(*), sum("BilledCost") FROM ({found.sql})').fetchall()
    return rows[0][0], rows[0][1]


def read_both_ways(path: Path, tmp_path: Path) -> tuple[int, Decimal]:
    """The same figures from the ledger and in place, or the test fails."""
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [path], Settings())
    assert totals(ledger) == in_place(path, tmp_path)
    return totals(ledger)


def parquet(path: Path, rows: int = 2, **columns: pa.Array) -> Path:
    """Good rows with some columns in another type; a column that FOCUS does not have may be added."""
    table = {name: pa.array([value] * rows) for name, value in GOOD.items()} | columns
    pq.write_table(pa.table(table), path)
    return path


# Names


def test_tags_that_differ_in_case_only_both_keep_their_key_and_value(tmp_path: Path) -> None:
    with LEGACY.open(encoding="utf-8", newline="") as handle:
        header, *lines = list(csv.reader(handle))
    assert "resourceTags/user:Team" in header
    path = tmp_path / "cur.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow([*header, "resourceTags/user:team"])
        writer.writerows([*line, f"lower-{number}"] for number, line in enumerate(lines))
    plain = [row["Tags"] or {} for row in canonical_rows(LEGACY)]

    both = [row["Tags"] for row in canonical_rows(path)]

    assert both == [tags | {"team": f"lower-{number}"} for number, tags in enumerate(plain)]
    assert any("Team" in tags and tags["Team"] != tags["team"] for tags in both)
    expected = sum(one["BilledCost"] for one in canonical_rows(LEGACY))
    assert read_both_ways(path, tmp_path) == (len(lines), expected)


def test_columns_that_differ_in_case_only_are_both_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [row(x_a="1", X_A="2"), row(x_a="3", X_A="4")], [*COLUMNS, "x_a", "X_A"])

    raw = open_raw(path)

    assert list(raw.columns)[-2:] == ["x_a", f"X_A (column {len(COLUMNS) + 2})"]
    assert [raw.title(name) for name in raw.columns] == [*COLUMNS, "x_a", "X_A"]
    assert (raw.sample[0]["x_a"], raw.sample[0][f"X_A (column {len(COLUMNS) + 2})"]) == ("1", "2")
    assert read_both_ways(path, tmp_path) == (2, Decimal("2.50"))


def test_of_two_spellings_the_one_asked_for_is_taken(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [row(billedcost="9")], ["billedcost", *COLUMNS])

    assert read_both_ways(path, tmp_path) == (1, Decimal("1.25"))


def test_a_given_name_is_never_one_that_the_header_has() -> None:
    names = distinct(["A (column 2)", "a", "A", "", "column 4"])

    assert names == ["A (column 2)", "a", "A (column 3)", "column 4", "column 4 (column 5)"]
    assert distinct(["A (column 2)", "a (COLUMN 2)"]) == ["A (column 2)", "a (COLUMN 2) (column 2)"]


@pytest.mark.parametrize("ends", ["", ","])
def test_a_header_that_ends_with_a_comma_is_read(tmp_path: Path, ends: str) -> None:
    good = write_csv(tmp_path / "good.csv", [row(), row(SkuId="sku-2")]).read_text(encoding="utf-8").splitlines()
    path = tmp_path / "bill.csv"
    path.write_text("\n".join([good[0] + ",", *(line + ends for line in good[1:])]) + "\n", encoding="utf-8")

    assert list(open_raw(path).columns) == COLUMNS + ([f"column {len(COLUMNS) + 1}"] if ends else [])
    assert read_both_ways(path, tmp_path) == (2, Decimal("2.50"))


def test_parquet_columns_that_sql_can_not_tell_apart_are_refused(tmp_path: Path) -> None:
    values = list(GOOD.values())
    for twin, said in (("tags", "columns 'Tags' and 'tags', which differ in case only"), ("Tags", "'Tags' twice")):
        table = pa.table([pa.array([value]) for value in [*values, "x"]], names=[*COLUMNS, twin])
        pq.write_table(table, tmp_path / "bill.parquet")

        with pytest.raises(UnreadableError, match=rf"bill\.parquet: has .*{said}\. Rename or drop one"):
            open_raw(tmp_path / "bill.parquet")


def test_json_keys_that_sql_can_not_tell_apart_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bill.jsonl"
    path.write_text(json.dumps(GOOD | {"x_a": 1, "X_A": 2}) + "\n", encoding="utf-8")

    with pytest.raises(UnreadableError, match=r"has columns 'x_a' and 'X_A', which differ in case only"):
        open_raw(path)


# Cells


def test_a_cell_longer_than_python_parses_is_no_obstacle(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    rows = [row(), row(Tags=json.dumps({"team": "x" * 140_000})), row(SkuId="sku-2")]  # Python's limit is 131,072
    path = write_csv(tmp_path / "bill.csv", rows)

    assert open_raw(path).sample[0]["SkuId"] == "sku-1"
    assert csv.field_size_limit() == limit
    assert read_both_ways(path, tmp_path) == (3, Decimal("3.75"))


@pytest.mark.parametrize("column", ["BilledCost", "PricingQuantity"])
def test_an_amount_with_underscores_is_no_number(tmp_path: Path, column: str) -> None:
    """Engines read 1_000 as a thousand; a bill that says so may mean anything."""
    rows = [row(), row(**{column: "1_000"})]
    csv_bill = write_csv(tmp_path / "bill.csv", rows)
    lines = tmp_path / "bill.jsonl"
    lines.write_text("".join(json.dumps(one) + "\n" for one in rows))
    for number, path in enumerate((csv_bill, lines)):
        (file,) = load(Ledger(tmp_path / f"ledger-{number}"), [path], Settings()).files
        assert (file.rows_loaded, file.rows_rejected) == (1, 1)
        (bad,) = [one for one in file.problems if one.rejects]
        assert (bad.first_line, bad.code, bad.message) == (3 - number, "unparsable-amount", f"{column} is not a number")
        with session() as connection:
            found = open_in_place(connection, find_bills([path])[0], ["BilledCost"], tmp_path)
            (bad_in_place,) = found.problems(connection)
        assert (bad_in_place.line, bad_in_place.code) == (3 - number, "unparsable-amount")


@pytest.mark.parametrize(
    ("cell", "stored_as", "told"),
    [
        ("1E-20", Decimal(0), True),
        ("-.0000000000000000001", Decimal(0), True),
        ("1.5e-18", Decimal("2e-18"), True),
        ("0.1234567890123456789", Decimal("0.123456789012345679"), True),
        ("1.50e-17", Decimal("1.5e-17"), False),
        ("100E-20", Decimal("1e-18"), False),
        ("0E-30", Decimal(0), False),
        ("1.2e3", Decimal(1200), False),
        ("-1.25", Decimal("-1.25"), False),
    ],
)
@pytest.mark.parametrize("column", ["BilledCost", "ListUnitPrice"])
def test_an_amount_finer_than_the_ledger_is_told(
    tmp_path: Path, cell: str, stored_as: Decimal, told: bool, column: str
) -> None:
    one = row(**{column: cell})
    path = write_csv(tmp_path / "bill.csv", [row(**{column: "1"}), one], list(one))
    (file,) = load(Ledger(tmp_path / "ledger"), [path], Settings()).files
    assert stored(tmp_path / "ledger", f'SELECT "{column}" FROM costs WHERE x_SourceRow = 3') == [(stored_as,)]
    said = [problem.message for problem in file.problems if problem.code == "amount-rounded"]
    assert said == (["1 of 2 rows have an amount with more than 18 decimals"] if told else [])


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (pa.array([1e-20, 0.1, 0.0]), True),
        (pa.array([1e-18, 0.1, 0.0]), False),
        (pa.array([Decimal("1e-20"), Decimal("0.1"), None], pa.decimal128(38, 20)), True),
        (pa.array([Decimal("1e-18"), Decimal("0.1"), None], pa.decimal128(38, 20)), False),
    ],
)
def test_a_parquet_amount_finer_than_the_ledger_is_told(tmp_path: Path, cells: pa.Array, told: bool) -> None:
    table = pa.table([pa.array([value] * 3) for value in GOOD.values()], names=list(GOOD))
    pq.write_table(table.append_column("ListUnitPrice", cells), tmp_path / "bill.parquet")
    (file,) = load(Ledger(tmp_path / "ledger"), [tmp_path / "bill.parquet"], Settings()).files
    said = [problem.message for problem in file.problems if problem.code == "amount-rounded"]
    assert said == (["1 of 3 rows have an amount with more than 18 decimals"] if told else [])


def test_a_long_cell_of_a_file_of_facts_is_read_and_too_long_a_one_costs_its_row_only(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    path = tmp_path / "outcomes.csv"
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("date", "use_case", "note"))
        rows.writerows([("2026-10-01", "chat", "x" * (1 << 20)), ("2026-10-02", "chat", "x\n" * (1 << 20))])
        rows.writerow(("2026-10-03", "chat", ""))

    first, problem, last = open_facts(path).records()

    assert isinstance(first, tuple)
    assert first[0] == 2
    assert len(first[1]["note"] or "") == 1 << 20
    assert isinstance(problem, Problem)
    assert (problem.line, problem.code) == (3, "unfit-value")
    assert problem.message == "a cell has 2,097,152 characters, more than the 1,048,576 that are read"
    assert last == (4, {"date": "2026-10-03", "use_case": "chat", "note": None})
    assert csv.field_size_limit() == limit


def test_a_cell_that_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.sources.fact_file._LONGEST_LINE", 1 << 18)
    path = tmp_path / "outcomes.csv"
    path.write_text('date,use_case,note\n2026-10-01,chat,"' + "x,\n" * 100_000)
    with pytest.raises(UnreadableError, match=r"outcomes\.csv: is no CSV \(field larger than field limit"):
        list(open_facts(path).records())


def test_a_byte_of_another_encoding_in_a_broken_row_is_named_as_such(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [row(SkuId=f"sku-{n}") for n in range(8_000)])
    assert path.stat().st_size > 1 << 20  # beyond what is looked at beforehand
    path.write_bytes(path.read_bytes() + b"1,1,\xe9,\n")

    status, out, err = run_outlay("overspend", path)

    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"outlay: {path}: is not UTF-8 text")


# Types


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("ServiceName", pa.array([b"Compute"] * 2), r"has the column 'ServiceName' as binary\. .*as text"),
        ("SkuId", pa.array([b"sk"] * 2, pa.binary(2)), r"'SkuId' as fixed_size_binary\[2\]"),
        (
            "BilledCost",
            pa.array([Decimal("1.25")] * 2, pa.decimal256(76, 38)),
            r"'BilledCost' as decimal256\(76, 38\)\. Cast it to DECIMAL\(38,18\)",
        ),
        ("ChargePeriodStart", pa.array([1_790_812_800] * 2), r"time 'ChargePeriodStart' as a number \(BIGINT\)"),
        ("BillingPeriodEnd", pa.array([1.5e9] * 2), r"time 'BillingPeriodEnd' as a number \(DOUBLE\)"),
    ],
)
def test_a_parquet_type_that_can_be_misread_is_refused_where_it_is_needed(
    tmp_path: Path, column: str, values: pa.Array, said: str
) -> None:
    needed = parquet(tmp_path / "needed.parquet", **{column: values})
    with pytest.raises(UnreadableError, match=said):
        find_bills([needed])

    unused = parquet(tmp_path / "unused.parquet", **{f"x_{column}": values})
    assert read_both_ways(unused, tmp_path) == (2, Decimal("2.50"))


# Rows


def test_a_file_of_column_names_only_is_refused_by_name(tmp_path: Path) -> None:
    empty_csv = write_csv(tmp_path / "empty.csv", [])
    empty_parquet = parquet(tmp_path / "empty.parquet", rows=0)
    blank_lines = tmp_path / "blank.csv"
    blank_lines.write_text(empty_csv.read_text(encoding="utf-8") + "\n\n", encoding="utf-8")
    full = write_csv(tmp_path / "full.csv", [row()])

    for path in (empty_csv, empty_parquet, blank_lines):
        with pytest.raises(UnreadableError, match=rf"{path.name}: holds no rows, only the names of its columns"):
            find_bills([full, path])


def test_a_tag_that_differs_from_a_ledgers_in_case_only_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    bill = write_csv(tmp_path / "bill.csv", [row()])
    load(ledger, [bill], Settings.model_validate({"tags": {"required": ["team"]}}))
    before = ledger.table().version()

    with pytest.raises(LedgerError, match=r"has the tag 'team' already, and 'Team' differs .*Write it 'team'"):
        load(ledger, [bill], Settings.model_validate({"tags": {"required": ["Team"]}}))

    assert ledger.table().version() == before
    assert stored(ledger.path, 'SELECT "x_Tag_team" FROM costs') == [("search",)]
