"""Stretches of time that a load's files tell whole: what was told before within them gives way, told again or not.

A report tells a bucket whole, and the rows of a card may tell its hours so: what is not in the new telling is no more.
Stretches are kept by source, format and report, because one report says nothing of another's rows, and by file, because
of the files of one load the last holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.errors import UnreadableError
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.facts import in_window, within
from outlay.ledger.tables.table import FactTable
from outlay.sources.fact_rows import FILE
from outlay.sources.facts import Window

if TYPE_CHECKING:
    import duckdb

__all__ = ["FactWindows"]

_Key = tuple[str, str, str, int]
"""Source, format, report, and the number of the file that told it."""


class FactWindows:
    """The windows of one load; ``rows`` is its file of typed rows."""

    __slots__ = ("_connection", "_rows", "_table", "_told")

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: FactTable, rows: Path) -> None:
        self._connection = connection
        self._table = table
        self._rows = rows
        self._told: dict[_Key, list[tuple[datetime, datetime]]] = {}

    def __bool__(self) -> bool:
        return bool(self._told)

    def add(self, window: Window, source: str, format_id: str, file: int) -> None:
        """Take in a window that the load's file number ``file`` tells."""
        self._told.setdefault((source, format_id, window.kind, file), []).append((window.start, window.end))

    def drop(self, file: int) -> None:
        """Forget what the load's file number ``file`` told."""
        for key in [key for key in self._told if key[3] == file]:
            del self._told[key]

    def add_told_by_rows(self) -> None:
        """Windows of a table's rows themselves, where the rows of a card tell the card's time whole."""
        if self._table.whole is None:
            return
        item, start = identifier(self._table.whole), self._table.time[0]
        rows = self._connection.execute(
            f'SELECT DISTINCT "x_Source", "x_Format", {item}, {FILE}, {start}, end_time '
            f"FROM read_parquet({literal(str(self._rows))})"
        ).fetchall()
        for source, format_id, told, number, since, until in rows:
            self._told.setdefault((source, format_id, told, number), []).append((since, until))

    def as_tables(self) -> list[tuple[str, datetime, datetime]]:
        """Make the tables ``windows``, the stretches by file, and ``windows_told``, those of all files as one.

        Returns each of the latter with its source.
        """
        by_file = [(*key, *stretch) for key, found in self._told.items() for stretch in _coalesced(found)]
        of_all: dict[tuple[str, str, str], list[tuple[datetime, datetime]]] = {}
        for source, format_id, report, _, since, until in by_file:
            of_all.setdefault((source, format_id, report), []).append((since, until))
        told = [(*key, 0, *stretch) for key, found in of_all.items() for stretch in _coalesced(found)]
        self._stretches("windows", by_file)
        self._stretches("windows_told", told)
        return [(one[0], one[4], one[5]) for one in told]

    def refuse_torn(self, relation: str) -> None:
        """Refuse a later file that tells a part of a row of an earlier one: the other part would be lost."""
        later = f"AND w.file > o.{FILE}"
        report = self._table.whole or "x_Report"
        rows = self._connection.execute(
            f'SELECT DISTINCT "x_Source", "x_Format", coalesce("{report}", \'\'), {FILE}, "x_SourceFile", '
            f"{self._table.time[0]}, coalesce(end_time, {self._table.time[0]}) FROM {relation} o "
            f"WHERE {in_window(self._table, 'windows', extra=f'{later} AND NOT {within(self._table)}')} ORDER BY ALL"
        ).fetchall()
        for source, format_id, report, number, name, start, end in rows:
            keys = [key for key in self._told if key[:3] == (source, format_id, report) and key[3] > number]
            told = _coalesced(window for key in keys for window in self._told[key])
            if not any(since <= start and end <= until for since, until in told):
                raise UnreadableError(
                    f"has a row of {start} to {end} UTC, of which a later file tells a part only: "
                    "the rest would be lost.",
                    where=name,
                    hint="Give reports of the same bucket width, or of whole days for days. Nothing was changed.",
                )

    def _stretches(self, name: str, rows: Sequence[tuple[object, ...]]) -> None:
        import pyarrow as pa

        names = ("source", "format", "report", "file", "since", "until")
        types = [pa.string(), pa.string(), pa.string(), pa.int32(), pa.timestamp("us"), pa.timestamp("us")]
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        self._connection.register("windows_arrow", pa.table(dict(zip(names, arrays, strict=True))))
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM windows_arrow")
        self._connection.unregister("windows_arrow")


def _coalesced(windows: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Windows that touch or overlap as one: a report's thousand hours are one stretch."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted(windows):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
