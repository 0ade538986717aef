"""Loading facts into the ledger: read, check, price, reconcile, commit - all or nothing, table by table.

The files of one command that belong to one table are one load and one commit. The steps:

1. every file is read by its reader into one Parquet file of typed rows beside the table; what can't be used goes to
   quarantine;
2. of things told several times in the same files the last telling holds;
3. requests are priced as of their time; each row keeps the version of its price;
4. what was written is read back and must equal what was read: rows, and the sums of the table's measures;
5. one Delta commit brings the rows in and takes out what they tell again (:mod:`outlay.ledger.facts`).

The same content with the same settings and prices again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.config import Settings
from outlay.errors import UnreadableError
from outlay.ledger.delta import DeltaFolder, NewFile, Scope
from outlay.ledger.engine.duckdb import identifier, literal, session
from outlay.ledger.facts import Arrivals, in_window, merge, within, write_arrivals
from outlay.ledger.store import Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import FactTable
from outlay.money import add_exactly
from outlay.prices.kept import keep_prices
from outlay.prices.request_costs import priced_sql
from outlay.prices.tokens import TokenPrices
from outlay.problems import Problem, summarise
from outlay.sources.digest import file_digest
from outlay.sources.fact_reconciliation import reconcile
from outlay.sources.fact_rows import FILE, SEQUENCE, RowWriter, coalesced
from outlay.sources.facts import Telling, Window
from outlay.sources.find import FoundFacts
from outlay.sources.load_report import FileReport, TableLoad, report_from_json, report_to_json
from outlay.sources.quarantine import Rejected, write_quarantine

if TYPE_CHECKING:
    import duckdb

__all__ = ["load_facts", "load_tellings"]

_READING = 1
"""Part of a load's identity: raise it when a release reads the same file differently."""
Progress = Callable[[str], None]
_WindowKey = tuple[str, str, str, int]
"""Source, format, report, and the number of the file that told it."""


@dataclass(slots=True)
class _Part:
    """A file on its way through the steps."""

    found: Telling
    rows: int = 0
    sources: set[str] = field(default_factory=set)
    months: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    quantities: dict[str, Decimal] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(slots=True)
class _Load:
    """A load of one table on its way through the steps; ``rows`` is the file of typed rows."""

    connection: duckdb.DuckDBPyConnection
    folder: DeltaFolder
    table: FactTable
    load_id: str
    rows: Path
    writer: RowWriter
    windows: dict[_WindowKey, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    written: list[NewFile] = field(default_factory=list)


def load_facts(
    ledger: Ledger,
    table: FactTable,
    found: Sequence[FoundFacts],
    settings: Settings,
    prices: TokenPrices,
    *,
    source: str | None = None,
    assumed: Mapping[str, str] | None = None,
    again: bool = False,
    progress: Progress = lambda _: None,
) -> TableLoad:
    """Load files of one table in one commit. Raises an :class:`outlay.errors.OutlayError` with nothing changed."""
    found, digests, copies = _without_copies(found)
    said = [source, dict(assumed or {})]
    load_id = _load_id(found, digests, settings, prices if table is REQUESTS else None, said)
    if not again and (known := _known(ledger.facts(table), table, load_id)) is not None:
        return known
    told = [_telling(one) for one in found]
    return load_tellings(
        ledger,
        table,
        told,
        load_id,
        settings=settings,
        prices=prices,
        source=source,
        assumed=assumed,
        again=again,
        notes=copies,
        progress=progress,
    )


def _telling(found: FoundFacts) -> Telling:
    return Telling(found.file.name, str(found.file.path), found.reader.format, lambda: found.reader.facts(found.file))


def load_tellings(
    ledger: Ledger,
    table: FactTable,
    told: Sequence[Telling],
    load_id: str,
    *,
    settings: Settings,
    prices: TokenPrices,
    source: str | None = None,
    assumed: Mapping[str, str] | None = None,
    again: bool = False,
    notes: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> TableLoad:
    """Load what is told of one table in one commit, as the load ``load_id``.

    With ``again`` nobody is asked whether that load was committed before: the caller knows that it may be told again.
    Raises an :class:`outlay.errors.OutlayError` with nothing changed.
    """
    folder = ledger.facts(table)
    tags = settings.tags
    folder.create(table.columns(tags.required))
    folder.ensure_columns(table.columns(tags.required))
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder.path))
    rows = staging / "rows.parquet"
    written: list[NewFile] = []
    try:
        with session() as connection:
            writer = RowWriter(rows, table, tags, load_id, source=source, assumed=assumed)
            this = _Load(connection, folder, table, load_id, rows, writer, written=written)
            parts = [_read(one, this, progress) for one in told]
            writer.close()
            progress("writing")
            _told_whole(this)
            stretches = _windows(this)
            doubled = _distinct(this)
            relation = "rows_to_load"
            if table is REQUESTS:
                relation = f"({priced_sql(connection, relation, SEQUENCE, prices)})"
            names = ", ".join(identifier(column.name) for column in table.columns(tags.required))
            if writer.rows:
                written += write_arrivals(connection, folder, f"(SELECT {names} FROM {relation})", load_id)
            progress("reconciling")
            reconcile(connection, folder, table, writer, rows=rows, written=written)
            if table is REQUESTS and writer.rows:
                keep_prices(connection, ledger, prices)
            arrivals = _arrivals(this, stretches)
            reports = tuple(_report(part, table) for part in parts)
            write_quarantine(ledger.path, load_id, [one for part in parts for one in part.rejected])
            progress("committing")
            said = {
                "load_id": load_id,
                "table": table.name,
                "replaced": [],
                "files": [report_to_json(report) for report in reports],
            }
            merged = merge(connection, folder, arrivals, said, again=again)
        if merged is None:  # another process loaded the same content while this one read it
            _remove(folder, written)
            return TableLoad(table.name, load_id, False, folder.table().version(), reports, 0, tuple(notes))
    except BaseException:
        _remove(folder, written)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    said_too = (*notes, *_notes(table, merged.rows_replaced, doubled))
    return TableLoad(table.name, load_id, True, merged.version, reports, merged.rows_replaced, said_too)


def _remove(folder: DeltaFolder, files: Sequence[NewFile]) -> None:
    for file in files:
        (folder.path / file.path).unlink(missing_ok=True)


def _without_copies(found: Sequence[FoundFacts]) -> tuple[list[FoundFacts], list[str], list[str]]:
    """Each content once, with its digest, and a note for each copy."""
    kept: dict[str, FoundFacts] = {}
    notes = []
    for one in found:
        digest = file_digest(one.file.path)
        if digest in kept:
            notes.append(f"{one.file.path}: has the same content as {kept[digest].file.path}; counted once")
        else:
            kept[digest] = one
    return list(kept.values()), list(kept), notes


def _notes(table: FactTable, replaced: int, doubled: int) -> tuple[str, ...]:
    notes = []
    if doubled:
        notes.append(f"{doubled:,} rows of {table.name} were told again within these files; the last telling holds.")
    if replaced:
        notes.append(f"{replaced:,} rows of {table.name} were told before and are replaced.")
    return tuple(notes)


def _known(folder: DeltaFolder, table: FactTable, load_id: str) -> TableLoad | None:
    """The earlier load of the same content, if there was one, with a note where it does not stand any more."""
    if not folder.exists():
        return None
    history = folder.history()
    for record in history:
        if record.facts.get("load_id") == load_id:
            files = tuple(report_from_json(one) for one in record.facts["files"])
            notes = []
            if _standing(folder, load_id) < record.facts["rows_added"]:
                notes.append(
                    f"This content was loaded before, as version {record.version} of {table.name}, and a later load "
                    "has replaced it in part or whole; it stays replaced. To bring it back: --again."
                )
            return TableLoad(table.name, load_id, False, history[0].version, files, 0, tuple(notes))
    return None


def _standing(folder: DeltaFolder, load_id: str) -> int:
    """How many rows of a load the table still has."""
    paths = [str(folder.path / file.path) for file in folder.live()]
    if not paths:
        return 0
    with session() as connection:
        counted = f'SELECT count(*) FROM {folder.scan(paths)} WHERE "x_LoadId" = {literal(load_id)}'
        return int(connection.execute(counted).fetchall()[0][0])


def _load_id(
    found: Sequence[FoundFacts],
    digests: Sequence[str],
    settings: Settings,
    prices: TokenPrices | None,
    told: Sequence[object],
) -> str:
    said = json.dumps(
        [
            _READING,
            sorted([one.reader.format.id, digest] for one, digest in zip(found, digests, strict=True)),
            settings.tags.model_dump(mode="json"),
            told,
            prices.version if prices is not None else None,
        ],
        sort_keys=True,
    )
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _read(found: Telling, load: _Load, progress: Progress) -> _Part:
    started = time.monotonic()
    part, writer = _Part(found), load.writer
    name, format_id = found.name, found.format.id
    progress(f"reading {name}")
    before, had = dict(writer.sums), writer.months
    writer.months = set()
    for one in found.facts():
        if isinstance(one, Window):
            key = (writer.source_of(one, format_id), format_id, one.kind, writer.file)
            load.windows.setdefault(key, []).append((one.start, one.end))
            continue
        problem = one if isinstance(one, Problem) else writer.add(one, format_id, name)
        if problem is None:
            part.rows += 1
        else:
            part.problems.append(problem)
            if problem.rejects:
                part.rejected.append(Rejected(name, problem.line or 0, problem.code, problem.message))
    part.sources = {source for source, _ in writer.months}
    part.months = {month for _, month in writer.months}
    part.quantities = {m: add_exactly((writer.sums[m], before[m].copy_negate())) for m in writer.sums}
    writer.months |= had
    writer.file += 1
    part.seconds = time.monotonic() - started
    return part


def _told_whole(load: _Load) -> None:
    """Windows of a table's rows themselves, where the rows of a card tell the card's time whole."""
    if load.table.whole is None:
        return
    item, start = identifier(load.table.whole), load.table.time[0]
    rows = load.connection.execute(
        f'SELECT DISTINCT "x_Source", "x_Format", {item}, {FILE}, {start}, end_time '
        f"FROM read_parquet({literal(str(load.rows))})"
    ).fetchall()
    for source, format_id, told, number, since, until in rows:
        load.windows.setdefault((source, format_id, told, number), []).append((since, until))


def _windows(load: _Load) -> list[tuple[str, datetime, datetime]]:
    """Tables ``windows``, the stretches of time told whole, by file, and ``windows_told``, those of all files as one.

    Returns each stretch with its source.
    """
    by_file = [(*key, *stretch) for key, found in load.windows.items() for stretch in coalesced(found)]
    of_all: dict[tuple[str, str, str], list[tuple[datetime, datetime]]] = {}
    for source, format_id, report, _, since, until in by_file:
        of_all.setdefault((source, format_id, report), []).append((since, until))
    told = [(*key, 0, *stretch) for key, found in of_all.items() for stretch in coalesced(found)]
    _stretches(load, "windows", by_file)
    _stretches(load, "windows_told", told)
    return [(one[0], one[4], one[5]) for one in told]


def _stretches(load: _Load, name: str, rows: Sequence[tuple[object, ...]]) -> None:
    import pyarrow as pa

    names = ("source", "format", "report", "file", "since", "until")
    types = [pa.string(), pa.string(), pa.string(), pa.int32(), pa.timestamp("us"), pa.timestamp("us")]
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    load.connection.register("windows_arrow", pa.table(dict(zip(names, arrays, strict=True))))
    load.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM windows_arrow")
    load.connection.unregister("windows_arrow")


def _refuse_torn(load: _Load, relation: str) -> None:
    """Refuse a later file that tells a part of a row of an earlier one: the other part would be lost."""
    later = f"AND w.file > o.{FILE}"
    report = load.table.whole or "x_Report"
    rows = load.connection.execute(
        f'SELECT DISTINCT "x_Source", "x_Format", coalesce("{report}", \'\'), {FILE}, "x_SourceFile", '
        f"{load.table.time[0]}, coalesce(end_time, {load.table.time[0]}) FROM {relation} o "
        f"WHERE {in_window(load.table, 'windows', extra=f'{later} AND NOT {within(load.table)}')} ORDER BY ALL"
    ).fetchall()
    for source, format_id, report, number, name, start, end in rows:
        keys = [key for key in load.windows if key[:3] == (source, format_id, report) and key[3] > number]
        told = coalesced(window for key in keys for window in load.windows[key])
        if not any(since <= start and end <= until for since, until in told):
            raise UnreadableError(
                f"has a row of {start} to {end} UTC, of which a later file tells a part only: the rest would be lost.",
                where=name,
                hint="Give reports of the same bucket width, or of whole days for days. Nothing was changed.",
            )


def _distinct(load: _Load) -> int:
    """View ``rows_to_load``: the last telling of each thing and of each window. Returns how many rows gave way."""
    relation = f"read_parquet({literal(str(load.rows))})"
    connection = load.connection
    counted, distinct = connection.execute(
        f'SELECT count(*), count(DISTINCT ("x_Source", "x_RowId")) FROM {relation}'
    ).fetchall()[0]
    kept = f"SELECT * FROM {relation} o"
    if load.writer.file > 1 and load.windows:
        _refuse_torn(load, relation)
        kept += f" WHERE NOT {in_window(load.table, 'windows', extra=f'AND w.file > o.{FILE}')}"
    if counted != distinct:
        kept += f' QUALIFY row_number() OVER (PARTITION BY "x_Source", "x_RowId" ORDER BY {SEQUENCE} DESC) = 1'
    connection.execute(f"CREATE OR REPLACE TEMP VIEW rows_to_load AS {kept}")
    return int(counted - connection.execute("SELECT count(*) FROM rows_to_load").fetchall()[0][0])


def _arrivals(load: _Load, stretches: Sequence[tuple[str, datetime, datetime]]) -> Arrivals:
    load.connection.execute(
        'CREATE OR REPLACE TEMP TABLE identities AS SELECT DISTINCT "x_Source", "x_RowId" FROM rows_to_load'
    )
    scopes = {Scope(source, month) for source, month in load.writer.months}
    for source, since, until in stretches:
        scopes |= {Scope(source, month) for month in _months(since, until)}
    sources = frozenset(scope.source for scope in scopes)
    return Arrivals(load.table, load.load_id, load.written, "identities", "windows_told", frozenset(scopes), sources)


def _months(since: datetime, until: datetime) -> list[str]:
    """Months in which a row that overlaps the stretch may begin: a bucket is at most a month long."""
    first, last = since.year * 12 + since.month - 2, until.year * 12 + until.month - 1
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(max(first, 0), last + 1)]


def _report(part: _Part, table: FactTable) -> FileReport:
    rejected = sum(problem.rejects for problem in part.problems)
    return FileReport(
        path=part.found.path,
        format=part.found.format.id,
        version=part.found.format.title,
        sources=tuple(sorted(part.sources)),
        rows_read=part.rows + rejected,
        rows_loaded=part.rows,
        rows_rejected=rejected,
        billing_periods=tuple(sorted(part.months)),
        totals={},
        problems=tuple(summarise(part.problems)),
        seconds=round(part.seconds, 3),
        table=table.name,
        quantities=part.quantities,
    )
