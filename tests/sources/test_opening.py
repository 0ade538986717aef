"""A file is known by its content; one that can't be read is refused with its name, why and what to do."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from outlay.config import Settings
from outlay.errors import UnreadableError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.sources.loading import load
from outlay.sources.opening import open_raw
from outlay.sources.parsers import register, register_independently
from tests.sources.focus_bills import COLUMNS, row, totals, write_csv


def csv_bytes(folder: Path, rows: int = 3) -> bytes:
    return write_csv(folder / "whole.tmp", [row(SkuId=f"sku-{n}") for n in range(rows)]).read_bytes()


def big_gzip(folder: Path) -> bytes:
    # past the first MiB, so that only the whole reading finds the cut
    return gzip.compress(csv_bytes(folder, 20_000), compresslevel=1)


def bomb(folder: Path) -> bytes:
    path = folder / "bomb.tmp"
    with gzip.open(path, "wb", compresslevel=9) as handle:
        for _ in range(100):
            handle.write(bytes(1 << 20))
    return path.read_bytes()


def zipped(folder: Path) -> bytes:
    path = folder / "zip.tmp"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bill.csv", csv_bytes(folder))
    return path.read_bytes()


def parquet_bytes(folder: Path) -> bytes:
    path = folder / "parquet.tmp"
    pq.write_table(
        pa.table({name: [value] * 2000 for name, value in row().items()}),
        path,
        use_dictionary=False,
        compression="none",
    )
    return path.read_bytes()


def damaged_page(folder: Path) -> bytes:
    content = bytearray(parquet_bytes(folder))
    content[4:400] = b"\xff" * 396
    return bytes(content)


REFUSED: dict[str, tuple[Callable[[Path], bytes], str, str]] = {
    "empty": (lambda _: b"", r"is empty \(0 bytes\)", "Export it again"),
    "blank": (lambda _: b" \n\n\t ", "holds only blank space", "Export it again"),
    "gzip of nothing": (lambda _: gzip.compress(b""), "holds only blank space", "Export it again"),
    "gzip cut in its head": (
        lambda f: gzip.compress(csv_bytes(f))[:60],
        "gzip stream is truncated",
        "Download or export it again",
    ),
    "gzip cut in its later part": (
        lambda f: big_gzip(f)[:-2000],
        "gzip stream is truncated",
        "Download or export it again",
    ),
    "gzip with damaged bytes": (
        lambda f: gzip.compress(csv_bytes(f))[:30] + b"\xff" * 30,
        "gzip stream is truncated or damaged",
        "Download or export it again",
    ),
    "UTF-16": (lambda f: csv_bytes(f).decode().encode("utf-16"), "is encoded in UTF-16", "Save it as UTF-8"),
    "Latin-1": (
        lambda f: csv_bytes(f).replace(b"Compute", "Gerät".encode("latin-1")),
        r"is not UTF-8 text \(byte \d+\)",
        "iconv",
    ),
    "Latin-1 in its later part": (
        lambda f: csv_bytes(f, 20_000) + csv_bytes(f).splitlines(keepends=True)[1].replace(b"Compute", b"Ger\xe4t"),
        "is not UTF-8 text",
        "iconv",
    ),
    "zip": (zipped, "is a ZIP archive", "Unpack it first"),
    "bzip2": (lambda _: b"BZh91AY&SY", "is compressed with bzip2", "Unpack it first"),
    "zstd": (lambda _: b"\x28\xb5\x2f\xfd\x00\x00", "is compressed with zstd", "Unpack it first"),
    "PDF": (lambda _: b"%PDF-1.7\n1 0 obj\n", "is a PDF", "Export the bill as CSV or Parquet"),
    "binary": (lambda _: b"a,b\n\x00\x01\x02\x03,\n", "is a binary file", "outlay sources"),
    "picture": (lambda _: b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8 text|is a binary file", ""),
    "prose": (
        lambda _: b"Dear customer\nplease find your bill\n",
        "has no header line of column names",
        "outlay sources",
    ),
    "another table": (
        lambda _: b"name,colour\na,b\n",
        r"is no bill that Outlay knows \(its columns begin: name, colour\)",
        "Known formats",
    ),
    "a column twice": (
        lambda _: b"BilledCost,ChargeCategory,BilledCost\n1,Usage,2\n",
        "has the column 'BilledCost' twice",
        "Rename",
    ),
    "JSON without objects": (lambda _: b"{nope\n{nor this\n", "no line is a JSON object", "newline-delimited JSON"),
    "bomb": (bomb, "looks like a compression bomb", "unpack it yourself"),
    "Parquet without its end": (lambda f: parquet_bytes(f)[:-100], "is a damaged Parquet file", "Export it again"),
    "Parquet that is only a name": (lambda _: b"PAR1" + bytes(40), "is a damaged Parquet file", "Export it again"),
    "Parquet with a damaged page": (damaged_page, "damaged Parquet file|can't be read", "Export it again"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_can_not_be_read_is_refused_and_the_ledger_stays(tmp_path: Path, case: str) -> None:
    make, what, hint = REFUSED[case]
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [write_csv(tmp_path / "before.csv", [row()])], Settings())
    before = (totals(ledger), Ledger(ledger).table().version())
    bad = tmp_path / "bad-bill.dat"
    bad.write_bytes(make(tmp_path))

    with pytest.raises(UnreadableError, match=what) as raised:
        load(Ledger(ledger), [write_csv(tmp_path / "good.csv", [row(SkuId="other")]), bad], Settings())

    assert "bad-bill.dat" in (raised.value.where or "")
    assert hint in (raised.value.hint or "")
    assert (totals(ledger), Ledger(ledger).table().version()) == before
    assert len(list(Ledger(ledger).costs_path.rglob("*.parquet"))) == 1


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="can't be opened: No such file or directory"):
        open_raw(tmp_path / "none.csv")


def relation(path: Path, *, independent: bool = False) -> tuple[list[tuple[object, ...]], list[tuple[int, str]]]:
    """Rows and what was set aside, through either parser; row numbers where the parser gives them."""
    raw = open_raw(path)
    with session() as connection:
        names = ", ".join(f'"{c}"' for c in raw.columns)
        if independent:
            clause = register_independently(connection, raw, used_by=names)
            return fetch(connection, f"SELECT {names} FROM {clause} ORDER BY ALL"), []
        clause = register(connection, raw, used_by=names)
        rows = fetch(connection, f"SELECT __row, {names} FROM {clause} ORDER BY __row")
    return rows, [(aside.row, aside.message) for aside in raw.set_aside]


def fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[object, ...]]:
    return connection.execute(sql).fetchall()


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x\n2,\n",
        b"\xef\xbb\xbfa,b\n1,x\n2,\n",
        b"a;b\n1;x\n2;\n",
        b"a\tb\r\n1\tx\r\n2\tNULL\r\n",
        b"a|b\n1|x\n2|null\n",
        b'"a","b"\n"1","x"\n\n"2",""\n',
    ],
    ids=["plain", "byte-order mark", "semicolons", "tabs", "pipes", "quoted with a blank line"],
)
@pytest.mark.parametrize("compressed", [False, True], ids=["csv", "csv.gz"])
def test_csv_is_read_whatever_its_dress_by_both_parsers(tmp_path: Path, content: bytes, *, compressed: bool) -> None:
    path = tmp_path / "bill"
    path.write_bytes(gzip.compress(content) if compressed else content)

    assert relation(path) == ([(2, "1", "x"), (3, "2", None)], [])
    assert relation(path, independent=True)[0] == [("1", "x"), ("2", None)]


def test_a_line_break_inside_a_field_is_no_new_record(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_bytes(b'a,b\n1,"two\nlines, and ""quotes"""\n2,x\n')

    assert relation(path)[0] == [(2, "1", 'two\nlines, and "quotes"'), (3, "2", "x")]
    assert relation(path, independent=True)[0] == [("1", 'two\nlines, and "quotes"'), ("2", "x")]


def test_ragged_rows_are_set_aside_with_their_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_bytes(b'a,b\nr2,"x\ny"\nr3\nr4,x\nr5,x,x\nr6,x\n')

    rows, aside = relation(path)

    assert [(number, first) for number, first, *_ in rows] == [(2, "r2"), (4, "r4"), (6, "r6")]
    assert aside == [(3, "has 1 fields where the header has 2"), (5, "has 3 fields where the header has 2")]
    assert len(relation(path, independent=True)[0]) == 3


@pytest.mark.parametrize("line_break", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_ragged_and_good_rows_are_numbered_alike_whatever_lies_between(tmp_path: Path, line_break: str) -> None:
    """Each row's first cell is its number; a line break in a cell and a blank line count for nothing."""
    lines = ["a,b", "", "2", "3,x", '4,"x', "", 'y"', "", "5,x,x", '"6', '"', "7,x", ""]
    path = tmp_path / "bill.csv"
    path.write_bytes(b"\xef\xbb\xbf" + line_break.join(lines).encode())

    rows, aside = relation(path)

    assert [(number, first) for number, first, *_ in rows] == [(3, "3"), (4, "4"), (7, "7")]
    assert [number for number, _ in aside] == [2, 5, 6]


def test_row_numbers_hold_across_the_parsers_blocks(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    ragged = {5, 40_000, 90_001, 150_000}
    with path.open("w", encoding="utf-8") as handle:
        handle.write("a,b\n")
        for number in range(2, 150_002):  # the header is row 1
            handle.write(f"{number},{'x' * 120}{',extra' if number in ragged else ''}\n")

    rows, aside = relation(path)

    assert len(rows) == 150_000 - len(ragged)
    assert all(number == int(str(cell)) for number, cell, *_ in rows if isinstance(number, int))
    assert {number for number, _ in aside} == ragged


def test_json_lines_keep_good_lines_and_set_bad_ones_aside(tmp_path: Path) -> None:
    path = tmp_path / "bill.jsonl"
    good = [json.dumps({"a": "1", "b": {"c": 2}}), json.dumps({"a": "2"})]
    path.write_text(f'{good[0]}\nnot json\n\n[1, 2]\n{good[1]}\n{{"a": "cut', encoding="utf-8")

    rows, aside = relation(path)

    assert [(r[0], json.loads(str(r[1]))) for r in rows] == [(1, "1"), (5, "2")]
    assert aside == [(2, "is not a JSON object"), (4, "is not a JSON object"), (6, "is not a JSON object")]


def test_a_column_is_found_in_any_spelling(tmp_path: Path) -> None:
    raw = open_raw(write_csv(tmp_path / "bill.csv", [row()]))

    assert raw.find("billed_cost") == "BilledCost"
    assert raw.find("lineItem/BILLEDCOST") is None
    assert list(raw.columns) == COLUMNS
