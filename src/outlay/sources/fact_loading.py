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

import gc
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.config import Settings
from outlay.ledger.delta import DeltaFolder, NewFile, Scope
from outlay.ledger.engine.duckdb import identifier, literal, session
from outlay.ledger.facts import Arrivals, Elsewhere, in_window, merge, write_arrivals
from outlay.ledger.store import Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import FactTable
from outlay.money import add_exactly
from outlay.prices.kept import keep_prices
from outlay.prices.request_costs import notes_of_pricing, priced_sql
from outlay.prices.tokens import TokenPrices
from outlay.problems import Problem, summarise
from outlay.sources.digest import by_content, load_digest
from outlay.sources.fact_reconciliation import reconcile
from outlay.sources.fact_rows import FILE, SEQUENCE, RowWriter
from outlay.sources.fact_windows import FactWindows
from outlay.sources.facts import Fact, Telling, Window
from outlay.sources.find import FoundFacts
from outlay.sources.load_report import FileReport, TableLoad, report_from_json, report_to_json
from outlay.sources.quarantine import Rejected, write_quarantine

if TYPE_CHECKING:
    import duckdb

__all__ = ["load_facts", "load_tellings"]

_READING = 2
"""Part of a load's identity: raise it when a release reads the same file differently."""
_BATCH = 20_000
"""What is told at once of rows, windows and problems: as much of a load as is in memory."""
Progress = Callable[[str], None]


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
    windows: FactWindows
    written: list[NewFile]


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
    once, copies = by_content(found, lambda one: one.file.path)
    load_id = load_digest(
        [
            _READING,
            sorted([one.reader.format.id, digest] for digest, one in once.items()),
            settings.tags.model_dump(mode="json"),
            [source, dict(assumed or {})],
            prices.version if table is REQUESTS else None,
        ]
    )
    if not again and (known := _known(ledger.facts(table), table, load_id)) is not None:
        return known
    told = [_telling(one) for one in once.values()]
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
    nearby: timedelta | None = None,
    notes: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> TableLoad:
    """Load what is told of one table in one commit, as the load ``load_id``.

    With ``again`` nobody is asked whether that load was committed before: the caller knows that it may be told again.
    A row that is told again at another time is found wherever it was, or ``nearby``: in the months that lie so close to
    the new time. Raises an :class:`outlay.errors.OutlayError` with nothing changed.
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
            this = _Load(
                connection, folder, table, load_id, rows, writer, FactWindows(connection, table, rows), written
            )
            with _collecting_seldom():
                parts = [_read(one, this, progress) for one in told]
            writer.close()
            if not writer.rows and not this.windows:  # a version in which nothing changed would only be noise
                write_quarantine(ledger.path, load_id, [one for part in parts for one in part.rejected])
                reports = tuple(_report(part, table) for part in parts)
                return TableLoad(table.name, load_id, False, folder.table().version(), reports, 0, tuple(notes))
            progress("writing")
            this.windows.add_told_by_rows()
            stretches = this.windows.as_tables()
            doubled = _distinct(this)
            relation = "rows_to_load"
            unpriced: list[str] = []
            if table is REQUESTS:
                relation = f"({priced_sql(connection, relation, SEQUENCE, prices)})"
                unpriced = notes_of_pricing(connection)
            names = ", ".join(identifier(column.name) for column in table.columns(tags.required))
            if writer.rows:
                written += write_arrivals(connection, folder, f"(SELECT {names} FROM {relation})", load_id)
            progress("reconciling")
            reconcile(connection, folder, table, writer, rows=rows, written=written)
            if table is REQUESTS and writer.rows:
                keep_prices(connection, ledger, prices)
            arrivals = _arrivals(this, stretches, nearby)
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
    said_too = (*notes, *unpriced, *_notes(table, merged.rows_replaced, doubled))
    return TableLoad(table.name, load_id, True, merged.version, reports, merged.rows_replaced, said_too)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """A batch of rows is all alive until it is written: looking for cycles in it all along took a fifth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(_BATCH * 10, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _remove(folder: DeltaFolder, files: Sequence[NewFile]) -> None:
    for file in files:
        (folder.path / file.path).unlink(missing_ok=True)


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


def _read(found: Telling, load: _Load, progress: Progress) -> _Part:
    started = time.monotonic()
    part, writer = _Part(found), load.writer
    name, format_id = found.name, found.format.id
    progress(f"reading {name}")
    before, had = dict(writer.sums), writer.months
    writer.months = set()
    told = iter(found.facts())
    while batch := list(islice(told, _BATCH)):
        answers = iter(writer.add([one for one in batch if isinstance(one, Fact)], format_id, name))
        for one in batch:
            if isinstance(one, Window):
                load.windows.add(one, writer.source_of(one, format_id), format_id, writer.file)
                continue
            problem = one if isinstance(one, Problem) else next(answers)
            if problem is None:
                part.rows += 1
            else:
                part.problems.append(problem)
                if problem.rejects:
                    part.rejected.append(Rejected(name, problem.line or 0, problem.code, problem.message))
    if not part.rows and part.rejected:  # a report of which nothing can be used replaces nothing
        load.windows.drop(writer.file)
    part.sources = {source for source, _ in writer.months}
    part.months = {month for _, month in writer.months}
    part.quantities = {m: add_exactly((writer.sums[m], before[m].copy_negate())) for m in writer.sums}
    writer.months |= had
    writer.file += 1
    part.seconds = time.monotonic() - started
    return part


def _distinct(load: _Load) -> int:
    """View ``rows_to_load``: the last telling of each thing and of each window. Returns how many rows gave way."""
    relation = f"read_parquet({literal(str(load.rows))})"
    connection = load.connection
    counted, distinct = connection.execute(
        f'SELECT count(*), count(DISTINCT ("x_Source", "x_RowId")) FROM {relation}'
    ).fetchall()[0]
    kept = f"SELECT * FROM {relation} o"
    if load.writer.file > 1 and load.windows:
        load.windows.refuse_torn(relation)
        kept += f" WHERE NOT {in_window(load.table, 'windows', extra=f'AND w.file > o.{FILE}')}"
    if counted != distinct:
        kept += f' QUALIFY row_number() OVER (PARTITION BY "x_Source", "x_RowId" ORDER BY {SEQUENCE} DESC) = 1'
    connection.execute(f"CREATE OR REPLACE TEMP VIEW rows_to_load AS {kept}")
    return int(counted - connection.execute("SELECT count(*) FROM rows_to_load").fetchall()[0][0])


def _arrivals(load: _Load, stretches: Sequence[tuple[str, datetime, datetime]], nearby: timedelta | None) -> Arrivals:
    load.connection.execute(
        'CREATE OR REPLACE TEMP TABLE identities AS SELECT DISTINCT "x_Source", "x_RowId" FROM rows_to_load'
    )
    scopes = {Scope(source, month) for source, month in load.writer.months}
    for source, since, until in stretches:
        scopes |= {Scope(source, month) for month in _months(since, until)}
    sources = frozenset(scope.source for scope in scopes)
    elsewhere = _elsewhere(load, nearby) if load.table.moves else None
    return Arrivals(
        load.table, load.load_id, load.written, "identities", "windows_told", frozenset(scopes), sources, elsewhere
    )


def _elsewhere(load: _Load, nearby: timedelta | None) -> Elsewhere | None:
    """Where else the rows may lie from an earlier telling; None where there are no rows."""
    if nearby is None:
        return Elsewhere()
    # Away from the ends of the calendar, beyond which Python has no times.
    moment = f"least(greatest(coalesce({', '.join(load.table.time)}), TIMESTAMP '0002-01-01'), TIMESTAMP '9998-01-01')"
    found = load.connection.execute(
        f"""SELECT "x_Source", strftime(moment + side * $1, '%Y-%m'), min(moment + side * $1), max(moment + side * $1)
        FROM (SELECT "x_Source", {moment} AS moment FROM rows_to_load),
          (VALUES (-1), (1)) AS sides(side)
        GROUP BY 1, 2""",
        [nearby],
    ).fetchall()
    if not found:
        return None
    scopes = frozenset(Scope(source, month) for source, month, *_ in found)
    return Elsewhere(scopes, (min(row[2] for row in found), max(row[3] for row in found)))


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
