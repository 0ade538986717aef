"""Canonical rows of one file, as the loader and ``outlay overspend`` see them: the readers' tests look through this."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.ledger.engine.duckdb import session
from outlay.sources.canonical import TagSpelling, costs_sql, register_skus, sku_key
from outlay.sources.opening import open_raw
from outlay.sources.parsers import register, register_independently
from outlay.sources.reader import Reader
from outlay.sources.readers import reader_for
from outlay.sources.recognise import SKU_COLUMNS
from outlay.sources.typed import Bill, problem_text, quarantine_sql, typed_sql

TAGS = [TagSpelling("team", ("team", "Team")), TagSpelling("environment", ("environment", "env"))]
WORKLOAD = TagSpelling("workload", ("workload",))
HEADER_ROWS = 1
"""A CSV file's header is its row 1, as a spreadsheet numbers it; JSON lines and Parquet have no such row."""


def without_header(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a CSV file numbered as a file that has no header row numbers the same rows: the first is 1."""
    return [row | {"x_SourceRow": row["x_SourceRow"] - HEADER_ROWS} for row in rows]


def canonical_rows(path: Path, reader: Reader | None = None) -> list[dict[str, Any]]:
    """All good rows of ``path`` in file order, every column of ``costs``."""
    raw = open_raw(path)
    mapping = (reader or reader_for(raw)).mapping(raw)
    with session() as connection:
        bill = Bill.of(connection, raw, mapping)
        typed = typed_sql(bill, register(connection, raw))
        connection.execute(f"CREATE TEMP TABLE typed AS {typed}")
        keys = ", ".join(f'"{name}"' for name in SKU_COLUMNS)
        distinct = connection.execute(f"SELECT DISTINCT {keys} FROM typed").fetchall()
        register_skus(connection, "skus", distinct)
        assert sku_key()
        sql = costs_sql(
            "SELECT * FROM typed", "skus", tags=TAGS, workload=WORKLOAD, source="'test'", file=path.name, load_id="load"
        )
        result = connection.execute(f"SELECT * FROM ({sql}) ORDER BY x_SourceRow")
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def rejected_rows(path: Path, reader: Reader | None = None) -> list[tuple[int, str]]:
    """``(row, code)`` of the rows that stay out, ragged rows included; ``row`` is numbered as ``x_SourceRow``."""
    raw = open_raw(path)
    mapping = (reader or reader_for(raw)).mapping(raw)
    with session() as connection:
        bill = Bill.of(connection, raw, mapping)
        rows = connection.execute(quarantine_sql(bill, register(connection, raw))).fetchall()
    found = [(row[0], problem_text(row[1])[0]) for row in rows]
    return sorted(found + [(ragged.row, "ragged-row") for ragged in raw.set_aside])


def control_totals(path: Path, reader: Reader | None = None) -> dict[str, Decimal]:
    """Sum of each control expression, through the other parser, without regard to currency."""
    raw = open_raw(path)
    mapping = (reader or reader_for(raw)).mapping(raw)
    totals = {}
    with session() as connection:
        for measure, sql in mapping.control.items():
            clause = register_independently(connection, raw, used_by=sql)
            row = connection.execute(
                f"SELECT coalesce(sum(try_cast(CAST({sql} AS VARCHAR) AS DECIMAL(38,18))), 0) FROM {clause}"
            ).fetchall()[0]
            totals[measure] = row[0]
    return totals
