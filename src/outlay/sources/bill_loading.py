"""Loading bills into the ledger: survey, write, reconcile, commit - all or nothing.

The bills of one command are one load, however many files: parts of one export belong together, so they are committed
together and replace, together, what the ledger held for their sources and billing months. The steps:

1. every file is surveyed through one parser (control totals, SKUs, accounts and months);
2. its good rows are written as Parquet beside the table through the other parser; bad rows go to quarantine;
3. what was written is read back and must equal the control totals, by month and currency, to the last digit;
4. one Delta commit makes it the ledger's.

The same content with the same settings again changes nothing. Two accounts' bills never replace each other, because
the source of a row is its billing account unless ``source`` names another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.config import Settings
from outlay.ledger.engine.duckdb import identifier, literal, session
from outlay.ledger.store import Ledger, NewFile, Scope
from outlay.ledger.tables.costs import COST_MEASURES, columns, focus_columns
from outlay.problems import Problem, summarise
from outlay.sources.bill_identities import identities, refuse_strangers
from outlay.sources.bill_reconciliation import reconcile
from outlay.sources.bill_rows import Plan, write_rows
from outlay.sources.commitments import mostly_ai
from outlay.sources.digest import by_content, load_digest
from outlay.sources.load_report import FileReport, TableLoad, report_from_json, report_to_json
from outlay.sources.parser_errors import reading
from outlay.sources.parsers import register
from outlay.sources.quarantine import Rejected, write_quarantine
from outlay.sources.reader import Found
from outlay.sources.source_name import source_slug
from outlay.sources.survey import Survey, survey
from outlay.sources.twice import delivered_twice, distinct_names
from outlay.sources.typed import Bill, problem_text, quarantine_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["load_bills"]

_READING = 2
"""Part of a load's identity: raise it when a release reads the same file differently, so that a file loaded before is
not taken for unchanged."""
Progress = Callable[[str], None]


@dataclass(slots=True)
class _Part:
    """A file on its way through the steps."""

    found: Found
    bill: Bill
    seen: Survey
    number: int
    written: list[NewFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    seconds: float = 0.0


def load_bills(
    ledger: Ledger,
    found: Sequence[Found],
    settings: Settings,
    *,
    source: str | None = None,
    again: bool = False,
    progress: Progress = lambda _: None,
) -> TableLoad:
    """Load bills into ``ledger`` in one commit.

    Content that was loaded before changes nothing, not even where a later load has replaced it since: a job that loads
    a month's first and corrected bills every night must not bring the first back. ``again`` does bring it back. Nor
    does a load of which no row can be used.
    Raises an :class:`outlay.errors.OutlayError` with nothing changed.
    """
    once, notes = by_content(found, lambda one: one.raw.path)
    load_id = load_digest([_READING, sorted(once), settings.tags.model_dump(mode="json"), source])
    if (before := ledger.loaded(load_id)) is not None and (before.stands or not again):
        files = tuple(report_from_json(one) for one in before.record.facts["files"])
        if not before.stands:
            notes.append(
                f"This content was loaded before, as version {before.record.version}, and a later load has replaced it "
                "in part or whole; it stays replaced. To bring it back: --again."
            )
        return TableLoad("costs", load_id, False, ledger.table().version(), files, 0, tuple(notes))
    tags = list(settings.tags.required)
    ledger.create(tags)
    ledger.ensure_columns(columns(tags))
    written: list[Path] = []
    try:
        with session() as connection:
            # A text file's length is not known beforehand: the planner would guess it short and build its joins on it.
            connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
            parts = [_look(connection, one, number, progress) for number, one in enumerate(once.values())]
            plan = Plan(ledger, settings, source, load_id, mostly_ai(c for part in parts for c in part.seen.committed))
            for part in parts:
                _prepare(connection, part, plan, written, progress)
            known = identities([part.seen for part in parts]) if source is None else {}
            refuse_strangers(ledger, known)
            progress("reconciling")
            for part in parts:
                reconcile(connection, part.bill.raw.path, part.seen, ledger.costs_path, part.written)
            _note_twins(connection, ledger, parts)
    except BaseException:
        _remove(written)
        raise
    write_quarantine(ledger.path, load_id, [one for part in parts for one in part.rejected])
    scopes = sorted({Scope(source or source_slug(m.account), m.month) for part in parts for m in part.seen.months})
    reports = tuple(_report(part, source) for part in parts)

    def facts(removed: dict[Scope, int]) -> dict[str, Any]:
        return {
            "load_id": load_id,
            "scopes": [[scope.source, scope.month] for scope in scopes],
            "identities": known,
            "replaced": [[s.source, s.month, rows] for s, rows in sorted(removed.items())],
            "files": [report_to_json(report) for report in reports],
        }

    if not scopes:  # every row was rejected: a version in which nothing changed would only be noise
        return TableLoad("costs", load_id, False, ledger.table().version(), reports, 0, tuple(notes))
    progress("committing")
    committed = ledger.replace([f for part in parts for f in part.written], scopes, facts)
    if committed is None:  # another process loaded the same content while this one read it
        _remove(written)
        return TableLoad("costs", load_id, False, ledger.table().version(), reports, 0, tuple(notes))
    version, removed = committed
    replaced = sum(removed.values())
    if replaced:
        notes.append(
            f"{replaced:,} rows of {', '.join(f'{s.source} {s.month}' for s in sorted(removed))} were replaced; "
            f"the ledger as it was is version {version - 1} (--as-of {version - 1}). If the earlier files were other "
            "parts of the same export, load all parts in one command."
        )
    return TableLoad("costs", load_id, True, version, reports, replaced, tuple(notes))


def _remove(written: Sequence[Path]) -> None:
    for path in written:
        with contextlib.suppress(OSError):
            path.unlink()


def _look(connection: duckdb.DuckDBPyConnection, found: Found, number: int, progress: Progress) -> _Part:
    started = time.monotonic()
    progress(f"{found.raw.path.name}: surveying")
    with reading(found.raw.path, found.reader):
        bill = Bill.of(connection, found.raw, found.reader.mapping(found.raw))
        seen = survey(connection, bill, tagsets=f"tagsets_{number}")
    return _Part(found, bill, seen, number, seconds=time.monotonic() - started)


def _prepare(
    connection: duckdb.DuckDBPyConnection, part: _Part, plan: Plan, written: list[Path], progress: Progress
) -> None:
    """Write a part's good rows and set its bad ones aside.

    Parsers make different things of malformed CSV rows. Where the rows written are not as many as the survey saw, the
    file is surveyed again through a third parser, slower and of one mind with the first.
    """
    started = time.monotonic()
    raw = part.bill.raw
    with reading(raw.path, part.found.reader):
        progress(f"{raw.path.name}: writing {part.seen.good_rows:,} rows")
        part.written, part.notes = write_rows(connection, part.bill, part.seen, plan, number=part.number, begun=written)
        if sum(file.rows for file in part.written) != part.seen.good_rows and raw.kind == "csv":
            _remove([plan.ledger.costs_path / file.path for file in part.written])
            progress(f"{raw.path.name}: surveying again, for its malformed rows")
            part.seen = survey(connection, part.bill, tagsets=f"tagsets_{part.number}", slowly=True)
            part.written, part.notes = write_rows(
                connection, part.bill, part.seen, plan, number=part.number, begun=written
            )
        connection.execute(f"DROP TABLE IF EXISTS tagsets_{part.number}")
        part.problems += [*part.seen.notices, *part.notes]
        if part.seen.good_rows < part.seen.rows or raw.set_aside:
            _quarantine(connection, part)
    part.seconds += time.monotonic() - started


def _quarantine(connection: duckdb.DuckDBPyConnection, part: _Part) -> None:
    raw = part.bill.raw
    name = raw.path.name
    aside = list(raw.set_aside)
    if part.seen.good_rows < part.seen.rows:
        for row, marked, text in connection.execute(quarantine_sql(part.bill, register(connection, raw))).fetchall():
            code, message = problem_text(marked)
            part.problems.append(Problem(name, row, code, message))
            part.rejected.append(Rejected(name, row, code, text))
    for one in aside:
        code = "not-json" if raw.kind == "jsonl" else "ragged-row"
        part.problems.append(Problem(name, one.row, code, f"the row {one.message}"))
        part.rejected.append(Rejected(name, one.row, code, one.text))


def _note_twins(connection: duckdb.DuckDBPyConnection, ledger: Ledger, parts: Sequence[_Part]) -> None:
    """A notice for files of one source and month that share rows: totals agree, and are double."""
    scopes = [{file.scope for file in part.written} for part in parts]
    twins = [i for i, mine in enumerate(scopes) if any(mine & other for j, other in enumerate(scopes) if i != j)]
    if not twins:
        return
    columns = ", ".join(identifier(c.name) for c in focus_columns())
    paths = {i: ", ".join(literal(str(ledger.costs_path / file.path)) for file in parts[i].written) for i in twins}
    relation = " UNION ALL ".join(
        f"SELECT {n} AS __file, {columns} FROM read_parquet([{paths[i]}])" for n, i in enumerate(twins)
    )
    names = distinct_names([parts[i].bill.raw.path for i in twins])
    rows = sum(file.rows for i in twins for file in parts[i].written)
    for problem in delivered_twice(connection, f"({relation})", columns, names, rows):
        parts[twins[names.index(problem.source)]].problems.append(problem)


def _report(part: _Part, source: str | None) -> FileReport:
    totals: dict[str, dict[str, Decimal | None]] = {}
    for month in part.seen.months:
        sums = totals.setdefault(month.currency, dict.fromkeys(COST_MEASURES))
        for measure, value in month.sums.items():
            if value is not None:
                sums[measure] = (sums[measure] or Decimal(0)) + value
    loaded = sum(f.rows for f in part.written)
    return FileReport(
        path=str(part.bill.raw.path),
        format=part.found.reader.format.id,
        version=part.bill.mapping.version,
        sources=tuple(sorted({source or source_slug(m.account) for m in part.seen.months})),
        rows_read=loaded + len(part.rejected),
        rows_loaded=loaded,
        rows_rejected=len(part.rejected),
        billing_periods=tuple(sorted({m.month for m in part.seen.months})),
        totals=totals,
        problems=tuple(summarise(part.problems)),
        seconds=round(part.seconds, 3),
    )
