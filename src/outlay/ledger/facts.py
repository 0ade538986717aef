"""Bringing facts into their table: what is told again replaces what was known of it, in one commit.

A bill restates a whole month, so its load swaps files. Facts are told again one by one (a span that a client sent
twice, a run that has ended since yesterday) or by the window (a provider's report of a day that was not over). The
old rows that are told again are found by their identity or their window, the few files that hold some are written
anew without them, and the new rows come in beside: one commit does it all, and nothing is counted twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.errors import LedgerError
from outlay.ledger.delta import Change, DeltaFolder, LiveFile, NewFile, Scope
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.table import FACT_PARTITION, FactTable

if TYPE_CHECKING:
    import duckdb

__all__ = ["Arrivals", "Elsewhere", "Merged", "in_window", "merge", "within", "write_arrivals"]

_OPTIONS = "FORMAT parquet, COMPRESSION zstd, RETURN_STATS"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Other months of the sources in which old rows may be: all of them, or ``scopes`` between two times, inclusive."""

    scopes: frozenset[Scope] | None = None
    between: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """New rows, written into the table's folder but not yet its own, and what they replace.

    ``identities`` is a relation of ``x_Source, x_RowId`` of the rows told by identity, ``windows`` one of ``source,
    format, report, since, until`` of the windows told whole, joined where they touch; either may be empty. ``scopes``
    are the partitions in which old rows may be; those of a table whose rows move may be ``elsewhere`` too.
    """

    table: FactTable
    load_id: str
    files: Sequence[NewFile]
    identities: str
    windows: str
    scopes: frozenset[Scope]
    sources: frozenset[str]
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did."""

    version: int
    rows_added: int
    rows_replaced: int


def write_arrivals(
    connection: duckdb.DuckDBPyConnection, folder: DeltaFolder, relation: str, load_id: str
) -> list[NewFile]:
    """Write a relation with all columns of the table into its partitions; nothing is committed by it."""
    by = ", ".join(identifier(name) for name in FACT_PARTITION)
    # The token keeps another process that writes the same content from writing the same file.
    pattern = f"part-{load_id}-{uuid.uuid4().hex}-{{uuid}}"
    rows = connection.execute(
        f"COPY (SELECT * FROM {relation}) TO {literal(str(folder.path))} "
        f"({_OPTIONS}, PARTITION_BY ({by}), APPEND, FILENAME_PATTERN {literal(pattern)})"
    ).fetchall()
    return [folder.written(row[0], row[1], row[2]) for row in rows]


def merge(
    connection: duckdb.DuckDBPyConnection,
    folder: DeltaFolder,
    arrivals: Arrivals,
    said: Mapping[str, Any],
    *,
    again: bool,
) -> Merged | None:
    """Commit ``arrivals``; ``said`` goes into the history. Files written anew are removed if the commit fails.

    None, with nothing changed, when another process committed the same load meanwhile; not asked with ``again``.
    """
    replaced = 0
    rewritten: list[NewFile] = []

    def plan(live: list[LiveFile]) -> Change | None:
        nonlocal replaced
        _discard(folder, rewritten)
        if not again and any(record.facts.get("load_id") == arrivals.load_id for record in folder.history()):
            return None
        candidates = [file for file in live if file.scope in arrivals.scopes]
        _refuse_torn(connection, folder, arrivals, candidates)
        told = _told_again(connection, folder, arrivals, candidates)
        if (other := arrivals.elsewhere) is not None:
            scopes = other.scopes
            if scopes is None:
                scopes = frozenset(file.scope for file in live if file.scope.source in arrivals.sources)
            further = [file for file in live if file.scope in scopes - arrivals.scopes]
            told |= _told_again(connection, folder, arrivals, further, between=other.between)
        replaced = sum(told.values())
        for file, count in told.items():
            if count < file.rows:
                rewritten.append(_without(connection, folder, arrivals, file))
        removed = list(told)
        facts = {**said, "rows_replaced": replaced, "rows_added": sum(file.rows for file in arrivals.files)}
        return Change([*arrivals.files, *rewritten], removed, facts)

    try:
        done = folder.commit(arrivals.sources, plan)
    except BaseException:
        _discard(folder, rewritten)
        raise
    if done is None:
        return None
    return Merged(done.version, sum(file.rows for file in arrivals.files), replaced)


def _refuse_torn(
    connection: duckdb.DuckDBPyConnection, folder: DeltaFolder, arrivals: Arrivals, files: Sequence[LiveFile]
) -> None:
    """Refuse windows that tell a part of a row that is there: its other part (of a day, told by the hour) would go."""
    if not files or not connection.execute(f"SELECT count(*) FROM {arrivals.windows}").fetchall()[0][0]:
        return
    start, end = _span(arrivals.table)
    relation = folder.scan([str(folder.path / file.path) for file in files])
    count, source, since, until = connection.execute(
        f'SELECT count(*), min(o."x_Source"), min({start}), max({end}) FROM {relation} o '
        f"WHERE {in_window(arrivals.table, arrivals.windows, extra=f'AND NOT {within(arrivals.table)}')}"
    ).fetchall()[0]
    if count:
        raise LedgerError(
            f"holds {count:,} rows of {source} between {since} and {until} UTC that are wider than what these files "
            "tell of that time: replacing them would lose the rest.",
            where=str(folder.path),
            hint="Load a report of all of that time, whole days for days. Nothing was changed.",
        )


def _told_again(
    connection: duckdb.DuckDBPyConnection,
    folder: DeltaFolder,
    arrivals: Arrivals,
    files: Sequence[LiveFile],
    *,
    between: tuple[datetime, datetime] | None = None,
) -> dict[LiveFile, int]:
    """How many rows of each file the arrivals replace; files of which none are left out.

    Of rows that begin ``between`` two times, where told: the engine passes the rest of a file over.
    """
    if not files:
        return {}
    by_path = {str(folder.path / file.path): file for file in files}
    relation = folder.scan(list(by_path), extra=", filename=true")
    near = ""
    if between is not None:
        start, (since, until) = _span(arrivals.table)[0], between
        near = f"{start} BETWEEN TIMESTAMP '{since}' AND TIMESTAMP '{until}' AND "
    rows = connection.execute(
        f"SELECT filename, count(*) FROM {relation} o WHERE {near}{_replaced(arrivals)} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return {by_path[path]: count for path, count in rows}


def _without(connection: duckdb.DuckDBPyConnection, folder: DeltaFolder, arrivals: Arrivals, file: LiveFile) -> NewFile:
    """A file written anew without the rows that the arrivals replace."""
    target = folder.path / folder.folder(file.scope) / f"part-{arrivals.load_id}-{uuid.uuid4().hex}.parquet"
    dropped = ", ".join(identifier(name) for name in FACT_PARTITION)
    relation = folder.scan([str(folder.path / file.path)])
    row = connection.execute(
        f"COPY (SELECT * EXCLUDE ({dropped}) FROM {relation} o WHERE NOT ({_replaced(arrivals)})) "
        f"TO {literal(str(target))} ({_OPTIONS})"
    ).fetchall()[0]
    return NewFile(target.relative_to(folder.path).as_posix(), file.scope, row[1], row[2])


def _replaced(arrivals: Arrivals) -> str:
    """The condition over ``o`` that an old row is told again."""
    same = f'(o."x_Source", o."x_RowId") IN (SELECT "x_Source", "x_RowId" FROM {arrivals.identities})'
    return f"(({same}) OR ({in_window(arrivals.table, arrivals.windows)}))"


def in_window(table: FactTable, windows: str, *, extra: str = "") -> str:
    """The condition over ``o`` that a row lies in one of ``windows``, a relation as :class:`Arrivals` has it.

    Of a table that has rows whole by a column (a card), that column's value stands in the window's ``report``.
    ``extra`` is a further condition over ``o`` and the window ``w``.
    """
    start, end = _span(table)
    report = "coalesce(o.\"x_Report\", '')" if table.whole is None else f"o.{identifier(table.whole)}"
    # A row without length lies in the window that holds its moment.
    return (
        f'EXISTS (SELECT 1 FROM {windows} w WHERE w.source = o."x_Source" AND w.format = o."x_Format" '
        f"AND w.report = {report} AND {start} < w.until "
        f"AND ({end} > w.since OR {start} >= w.since) "
        f"{extra})"
    )


def within(table: FactTable) -> str:
    """The condition over ``o`` and a window ``w`` that it lies in that window whole."""
    start, end = _span(table)
    return f"({start} >= w.since AND {end} <= w.until)"


def _span(table: FactTable) -> tuple[str, str]:
    """SQL of when a row ``o`` begins and ends."""
    start = f"o.{identifier(table.time[0])}"
    return start, f"coalesce(o.end_time, {start})" if any(column.name == "end_time" for column in table.own) else start


def _discard(folder: DeltaFolder, files: list[NewFile]) -> None:
    for file in files:
        Path(folder.path / file.path).unlink(missing_ok=True)
    files.clear()
