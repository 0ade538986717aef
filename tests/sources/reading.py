"""Canonical rows of one file, as the loader and ``outlay overspend`` see them: the readers' tests look through this."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.ledger.engine.duckdb import session
from outlay.sources.bills import reader_for
from outlay.sources.canonical import (
    Bill,
    TagSpelling,
    costs_sql,
    problem_text,
    quarantine_sql,
    register_skus,
    sku_key,
    typed_sql,
)
from outlay.sources.raw import open_raw, register, register_independently
from outlay.sources.reader import Reader
from outlay.sources.recognise import SKU_COLUMNS

TAGS = [TagSpelling("team", ("team", "Team")), TagSpelling("environment", ("environment", "env"))]
WORKLOAD = TagSpelling("workload", ("workload",))


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
    """``(record, code)`` of the rows that stay out, ragged rows included."""
    raw = open_raw(path)
    mapping = (reader or reader_for(raw)).mapping(raw)
    with session() as connection:
        bill = Bill.of(connection, raw, mapping)
        rows = connection.execute(quarantine_sql(bill, register(connection, raw))).fetchall()
    found = [(row[0], problem_text(row[1])[0]) for row in rows]
    return sorted(found + [(row.record, "ragged-row") for row in raw.set_aside])


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
