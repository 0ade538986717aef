"""Loading bills into the ledger: survey, write, reconcile, commit - all or nothing.

One command is one load, however many files it names: parts of one export belong together, so they are committed
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
import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.config import Settings
from outlay.errors import ReconciliationError, UsageError
from outlay.ledger.engine.duckdb import identifier, literal, session
from outlay.ledger.store import Ledger, NewFile, Scope
from outlay.ledger.tables.costs import COST_MEASURES, PARTITION_COLUMNS, columns
from outlay.money import plain
from outlay.problems import Problem, summarise
from outlay.sources.bills import Found, find_bills, reading
from outlay.sources.canonical import TagSpelling, costs_sql, register_skus, telling_columns
from outlay.sources.load_report import FileReport, LoadReport, report_from_json, report_to_json
from outlay.sources.parsers import register
from outlay.sources.survey import Survey, source_slug, spellings, sums_by_month, survey
from outlay.sources.typed import Bill, problem_text, quarantine_sql, typed_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["FileReport", "LoadReport", "load"]

_QUARANTINE = "quarantine"
_READING = 1
"""Part of a load's identity: raise it when a release reads the same file differently, so that a file loaded before is
not taken for unchanged."""
_DIGEST_CHUNK_BYTES = 4 << 20
Progress = Callable[[str], None]


@dataclass(slots=True)
class _Part:
    """A file on its way through the steps."""

    found: Found
    bill: Bill
    seen: Survey
    digest: str
    written: list[NewFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    rejected: list[tuple[int, str, str]] = field(default_factory=list)
    seconds: float = 0.0


def load(
    ledger: Ledger,
    paths: Sequence[Path],
    settings: Settings,
    *,
    format_id: str | None = None,
    source: str | None = None,
    progress: Progress = lambda _: None,
) -> LoadReport:
    """Load ``paths`` into ``ledger`` in one commit.

    Raises an :class:`outlay.errors.OutlayError` with nothing changed.
    """
    if source is not None and source_slug(source) != source:
        raise UsageError(
            f"'{source}' can't be a source name.",
            where="--source",
            hint=f"Use lower-case letters, digits, '.', '_' and '-', e.g. '{source_slug(source)}'.",
        )
    found, skipped = find_bills(paths, format_id=format_id)
    found, digests, doubled = _without_copies(found)
    notes = [*skipped, *doubled]
    load_id = _load_id(digests, settings, source)
    if (before := ledger.loaded(load_id)) is not None:
        files = tuple(report_from_json(one) for one in before.facts["files"])
        return LoadReport(load_id, False, ledger.table().version(), files, 0, tuple(notes))
    tags = list(settings.tags.required)
    ledger.create(tags)
    ledger.ensure_columns(columns(tags))
    written: list[Path] = []
    try:
        with session() as connection:
            # A text file's length is not known beforehand: the planner would guess it short and build its joins on it.
            connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
            parts = [
                _prepare(
                    connection,
                    ledger,
                    one,
                    digest=digest,
                    settings=settings,
                    source=source,
                    load_id=load_id,
                    progress=progress,
                    written=written,
                    number=number,
                )
                for number, (one, digest) in enumerate(zip(found, digests, strict=True))
            ]
            progress("reconciling")
            _reconcile(connection, ledger, parts)
    except BaseException:
        _remove(written)
        raise
    _write_quarantine(ledger, load_id, parts)
    scopes = sorted({Scope(source or source_slug(m.account), m.month) for part in parts for m in part.seen.months})
    reports = tuple(_report(part, source) for part in parts)

    def facts(removed: dict[Scope, int]) -> dict[str, Any]:
        return {
            "load_id": load_id,
            "scopes": [[scope.source, scope.month] for scope in scopes],
            "replaced": [[s.source, s.month, rows] for s, rows in sorted(removed.items())],
            "files": [report_to_json(report) for report in reports],
        }

    progress("committing")
    committed = ledger.replace([f for part in parts for f in part.written], scopes, facts)
    if committed is None:  # another process loaded the same content while this one read it
        _remove(written)
        return LoadReport(load_id, False, ledger.table().version(), reports, 0, tuple(notes))
    version, removed = committed
    replaced = sum(removed.values())
    if replaced:
        notes.append(
            f"{replaced:,} rows of {', '.join(f'{s.source} {s.month}' for s in sorted(removed))} were replaced; "
            f"the ledger as it was is version {version - 1} (--as-of {version - 1})."
        )
    return LoadReport(load_id, True, version, reports, replaced, tuple(notes))


def _remove(written: Sequence[Path]) -> None:
    for path in written:
        with contextlib.suppress(OSError):
            path.unlink()


def _without_copies(found: Sequence[Found]) -> tuple[list[Found], list[str], list[str]]:
    """Each content once: a file that lies twice in a folder must not be counted twice."""
    kept: list[Found] = []
    digests: list[str] = []
    notes: list[str] = []
    for one in found:
        digest = _digest(one.raw.path)
        if digest in digests:
            twin = kept[digests.index(digest)].raw.path
            notes.append(f"{one.raw.path}: has the same content as {twin}; counted once")
            continue
        kept.append(one)
        digests.append(digest)
    return kept, digests, notes


def _digest(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_DIGEST_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def _load_id(digests: Sequence[str], settings: Settings, source: str | None) -> str:
    said = json.dumps([_READING, sorted(digests), settings.tags.model_dump(mode="json"), source], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    found: Found,
    *,
    digest: str,
    settings: Settings,
    source: str | None,
    load_id: str,
    progress: Progress,
    written: list[Path],
    number: int,
) -> _Part:
    started = time.monotonic()
    name = found.raw.path.name
    with reading(found.raw.path, found.reader):
        bill = Bill.of(connection, found.raw, found.reader.mapping(found.raw))
        progress(f"{name}: surveying")
        seen = survey(connection, bill)
        part = _Part(found, bill, seen, digest)
        part.problems += seen.notices
        tags, workload = spellings(settings.tags, seen.tag_keys)
        register_skus(connection, "skus", seen.skus, telling_columns(seen.skus))
        progress(f"{name}: writing {seen.good_rows:,} rows")
        _write(
            connection,
            ledger,
            part,
            tags=tags,
            workload=workload,
            source=source,
            load_id=load_id,
            written=written,
            number=number,
        )
        if seen.good_rows < seen.rows or part.bill.raw.set_aside:
            _quarantine(connection, part)
    part.seconds = time.monotonic() - started
    return part


def source_sql(seen: Survey, source: str | None) -> str:
    """x_Source over ``t``: a constant for one account, else a CASE over the accounts."""
    if source is not None:
        return literal(source)
    accounts = sorted({m.account for m in seen.months}, key=lambda a: a or "")
    if len(accounts) <= 1:
        return literal(source_slug(accounts[0] if accounts else None))
    cases = " ".join(
        f'WHEN t."BillingAccountId" = {literal(account)} THEN {literal(source_slug(account))}'
        for account in accounts
        if account is not None
    )
    return f"CASE {cases} ELSE {literal(source_slug(None))} END"


def _write(
    connection: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    part: _Part,
    *,
    tags: list[TagSpelling],
    workload: TagSpelling,
    source: str | None,
    load_id: str,
    written: list[Path],
    number: int,
) -> None:
    seen = part.seen
    if not seen.good_rows:
        return
    scopes = sorted({Scope(source or source_slug(m.account), m.month) for m in seen.months})
    # The survey saw every row through the other parser: where none was bad, none need be asked again; rows and sums
    # must agree.
    checked = seen.good_rows < seen.rows
    extra = {"__tags": part.bill.mapping.columns["Tags"]} if seen.tagsets else None
    typed = typed_sql(part.bill, "{clause}", extra=extra, checked=checked, plain=seen.plain)
    typed = typed.replace("{clause}", register(connection, part.bill.raw))
    sql = costs_sql(
        typed,
        "skus",
        telling=telling_columns(seen.skus),
        tags=tags,
        workload=workload,
        source=source_sql(seen, source),
        file=part.bill.raw.path.name,
        load_id=load_id,
        tagsets=seen.tagsets,
    )
    root = ledger.costs_path
    options = "FORMAT parquet, COMPRESSION zstd, RETURN_STATS"
    if len(scopes) == 1:
        folder = root / _folder(scopes[0])
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"part-{load_id}-{number}-{uuid.uuid4().hex}.parquet"
        written.append(target)
        dropped = ", ".join(identifier(name) for name in PARTITION_COLUMNS)
        rows = connection.execute(
            f"COPY (SELECT * EXCLUDE ({dropped}) FROM ({sql})) TO {literal(str(target))} ({options})"
        ).fetchall()
    else:
        by = ", ".join(identifier(name) for name in PARTITION_COLUMNS)
        pattern = f"part-{load_id}-{number}-{os.getpid()}-{{uuid}}"
        rows = connection.execute(
            f"COPY ({sql}) TO {literal(str(root))} "
            f"({options}, PARTITION_BY ({by}), APPEND, FILENAME_PATTERN {literal(pattern)})"
        ).fetchall()
        written += [Path(row[0]) for row in rows]
    for row in rows:
        relative = Path(row[0]).relative_to(root)
        pairs = dict(piece.split("=", 1) for piece in relative.parts[:-1])
        scope = Scope(pairs["x_Source"], pairs["x_BillingMonth"])
        part.written.append(NewFile(relative.as_posix(), scope, row[1], row[2]))


def _folder(scope: Scope) -> str:
    return f"x_Source={scope.source}/x_BillingMonth={scope.month}"


def _quarantine(connection: duckdb.DuckDBPyConnection, part: _Part) -> None:
    raw = part.bill.raw
    name = raw.path.name
    aside = list(raw.set_aside)
    if part.seen.good_rows < part.seen.rows:
        for row, marked, text in connection.execute(quarantine_sql(part.bill, register(connection, raw))).fetchall():
            code, message = problem_text(marked)
            part.problems.append(Problem(name, row, code, message))
            part.rejected.append((row, code, text))
    for one in aside:
        code = "not-json" if raw.kind == "jsonl" else "ragged-row"
        part.problems.append(Problem(name, one.row, code, f"the row {one.message}"))
        part.rejected.append((one.row, code, one.text))


def _reconcile(connection: duckdb.DuckDBPyConnection, ledger: Ledger, parts: Sequence[_Part]) -> None:
    """What was written, read back, against what the survey summed. To the last digit, or nothing is committed."""
    for part in parts:
        expected = sums_by_month(part.seen.months)
        stored: dict[tuple[str, str], tuple[int, dict[str, Decimal]]] = {}
        if part.written:
            paths = ", ".join(literal(str(ledger.costs_path / f.path)) for f in part.written)
            sums = ", ".join(f"coalesce(sum({identifier(m)}), 0)" for m in COST_MEASURES)
            for month, currency, rows, *amounts in connection.execute(
                f'SELECT "x_BillingMonth", "BillingCurrency", count(*), {sums} '
                f"FROM read_parquet([{paths}], hive_partitioning=true, hive_types_autocast=false) GROUP BY 1, 2"
            ).fetchall():
                stored[month, currency] = (rows, dict(zip(COST_MEASURES, amounts, strict=True)))
        for key in sorted(expected.keys() | stored.keys()):
            mine, theirs = stored.get(key), expected.get(key)
            if mine != theirs:
                raise ReconciliationError(
                    f"{key[0]} in {key[1]}: the file says {_said(theirs)}, what would be stored says {_said(mine)}.",
                    where=str(part.bill.raw.path),
                    hint="Nothing was loaded. Please report this with the first lines of the file: a reader is wrong.",
                )


def _said(totals: tuple[int, dict[str, Decimal]] | None) -> str:
    if totals is None:
        return "no rows"
    return f"{totals[0]:,} rows with " + ", ".join(f"{m} {plain(v)}" for m, v in totals[1].items())


def _write_quarantine(ledger: Ledger, load_id: str, parts: Sequence[_Part]) -> None:
    """Rejected rows, whole, beside the tables: ``quarantine/<load id>.parquet``. Seen only through a committed load."""
    rows = [(part.bill.raw.path.name, *one) for part in parts for one in part.rejected]
    if not rows:
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    names, numbers, codes, texts = zip(*rows, strict=True)
    table = pa.table(
        {
            "x_LoadId": pa.array([load_id] * len(rows)),
            "x_SourceFile": pa.array(names),
            "x_SourceRow": pa.array(numbers, pa.int64()),
            "code": pa.array(codes),
            "row": pa.array(texts),
        }
    )
    folder = ledger.path / _QUARANTINE
    folder.mkdir(exist_ok=True)
    finished = folder / f"{load_id}.parquet"
    partial = folder / f".{load_id}-{os.getpid()}"
    pq.write_table(table, partial, compression="zstd")
    partial.replace(finished)


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
