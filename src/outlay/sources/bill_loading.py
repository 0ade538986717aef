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
from outlay.ledger.tables.costs import COST_MEASURES, PARTITION_COLUMNS, columns, focus_columns
from outlay.money import plain
from outlay.problems import Problem, summarise
from outlay.sources.canonical import costs_sql, register_skus, telling_columns
from outlay.sources.commitments import mostly_ai
from outlay.sources.digest import file_digest
from outlay.sources.load_report import FileReport, TableLoad, report_from_json, report_to_json
from outlay.sources.parsers import register
from outlay.sources.quarantine import Rejected, write_quarantine
from outlay.sources.readers import Found, reading
from outlay.sources.recognise import SKU_COLUMNS
from outlay.sources.source_name import source_slug
from outlay.sources.survey import Survey, spellings, sums_by_month, survey
from outlay.sources.twice import delivered_twice, distinct_names
from outlay.sources.typed import Bill, problem_text, quarantine_sql, typed_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["load_bills"]

_READING = 1
"""Part of a load's identity: raise it when a release reads the same file differently, so that a file loaded before is
not taken for unchanged."""
Progress = Callable[[str], None]


@dataclass(slots=True)
class _Part:
    """A file on its way through the steps."""

    found: Found
    bill: Bill
    seen: Survey
    digest: str
    number: int
    written: list[NewFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What holds for every part of a load."""

    ledger: Ledger
    settings: Settings
    source: str | None
    load_id: str
    ai_commitments: tuple[str, ...]


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
    a month's first and corrected bills every night must not bring the first back. ``again`` does bring it back.
    Raises an :class:`outlay.errors.OutlayError` with nothing changed.
    """
    found, digests, doubled = _without_copies(found)
    notes = [*doubled]
    load_id = _load_id(digests, settings, source)
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
            parts = [
                _look(connection, one, digest, number, progress)
                for number, (one, digest) in enumerate(zip(found, digests, strict=True))
            ]
            plan = _Plan(ledger, settings, source, load_id, mostly_ai(c for part in parts for c in part.seen.committed))
            for part in parts:
                _prepare(connection, part, plan, written, progress)
            known = _identities(parts) if source is None else {}
            _refuse_strangers(ledger, known)
            progress("reconciling")
            _reconcile(connection, ledger, parts)
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


def _identities(parts: Sequence[_Part]) -> dict[str, dict[str, list[str]]]:
    """Source -> the accounts and providers that the bills write: two sources must not go by one name."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    provider = SKU_COLUMNS.index("ServiceProviderName")
    for part in parts:
        providers = {str(sku[provider]) for sku in part.seen.skus if sku[provider] is not None}
        for month in part.seen.months:
            accounts, known = found.setdefault(source_slug(month.account), (set(), set()))
            accounts.add((month.account or "").rstrip("/").rsplit("/", 1)[-1].casefold())
            known |= providers
    return {name: {"accounts": sorted(a), "providers": sorted(p)} for name, (a, p) in sorted(found.items())}


def _refuse_strangers(ledger: Ledger, identities: dict[str, dict[str, list[str]]]) -> None:
    """Raise where a source of this load has the name of another one: its months would replace the other's."""
    seen: dict[str, dict[str, list[str]]] = {}
    for record in ledger.history():
        for name, identity in record.facts.get("identities", {}).items():
            seen.setdefault(name, identity)
    for name, mine in identities.items():
        theirs = seen.get(name, mine)
        ours, others = (f"{' and '.join(i['providers']) or 'no provider'}" for i in (mine, theirs))
        strange = not set(mine["accounts"]) & set(theirs["accounts"]) or (
            mine["providers"] and theirs["providers"] and not set(mine["providers"]) & set(theirs["providers"])
        )
        if strange or len(mine["accounts"]) > 1:
            accounts = " and ".join(repr(a) for a in sorted({*mine["accounts"], *theirs["accounts"]}))
            raise UsageError(
                f"two billing accounts would go by the name '{name}' (account {accounts}; {ours} here, {others} "
                "there), and one's months would replace the other's.",
                where="source",
                hint="Load this bill under a name of its own, e.g. --source " + f"{name}-2.",
            )


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
        digest = file_digest(one.raw.path)
        if digest in digests:
            twin = kept[digests.index(digest)].raw.path
            notes.append(f"{one.raw.path}: has the same content as {twin}; counted once")
            continue
        kept.append(one)
        digests.append(digest)
    return kept, digests, notes


def _load_id(digests: Sequence[str], settings: Settings, source: str | None) -> str:
    said = json.dumps([_READING, sorted(digests), settings.tags.model_dump(mode="json"), source], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _look(connection: duckdb.DuckDBPyConnection, found: Found, digest: str, number: int, progress: Progress) -> _Part:
    started = time.monotonic()
    progress(f"{found.raw.path.name}: surveying")
    with reading(found.raw.path, found.reader):
        bill = Bill.of(connection, found.raw, found.reader.mapping(found.raw))
        seen = survey(connection, bill, tagsets=f"tagsets_{number}")
    return _Part(found, bill, seen, digest, number, seconds=time.monotonic() - started)


def _prepare(
    connection: duckdb.DuckDBPyConnection, part: _Part, plan: _Plan, written: list[Path], progress: Progress
) -> None:
    """Write a part's good rows and set its bad ones aside.

    Parsers make different things of malformed CSV rows. Where the rows written are not as many as the survey saw, the
    file is surveyed again through a third parser, slower and of one mind with the first.
    """
    started = time.monotonic()
    raw = part.bill.raw
    with reading(raw.path, part.found.reader):
        progress(f"{raw.path.name}: writing {part.seen.good_rows:,} rows")
        _write(connection, part, plan, written)
        if sum(file.rows for file in part.written) != part.seen.good_rows and raw.kind == "csv":
            _remove([plan.ledger.costs_path / file.path for file in part.written])
            part.written.clear()
            progress(f"{raw.path.name}: surveying again, for its malformed rows")
            part.seen = survey(connection, part.bill, tagsets=f"tagsets_{part.number}", slowly=True)
            _write(connection, part, plan, written)
        connection.execute(f"DROP TABLE IF EXISTS tagsets_{part.number}")
        part.problems += [*part.seen.notices, *part.notes]
        if part.seen.good_rows < part.seen.rows or raw.set_aside:
            _quarantine(connection, part)
    part.seconds += time.monotonic() - started


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


def _write(connection: duckdb.DuckDBPyConnection, part: _Part, plan: _Plan, written: list[Path]) -> None:
    seen = part.seen
    if not seen.good_rows:
        clause = register(connection, part.bill.raw, used_by="")  # read it all the same: it sets bad rows aside
        connection.execute(f"SELECT count(*) FROM {clause}").fetchall()
        return
    ledger, source, load_id, number = plan.ledger, plan.source, plan.load_id, part.number
    tags, workload = spellings(plan.settings.tags, seen.tag_keys)
    known = register_skus(connection, "skus", seen.skus, telling_columns(seen.skus))
    part.notes = [
        Problem(part.bill.raw.path.name, None, "unknown-gpu-instance", f"GPU hours of {kind} are not counted")
        for kind in sorted({one.instance_type for one in known if one.instance_type and one.is_unknown_gpu_instance})
    ]
    scopes = sorted({Scope(source or source_slug(m.account), m.month) for m in seen.months})
    # The survey saw every row through the other parser: where none was bad, none need be asked again; rows and sums
    # must agree.
    checked = seen.good_rows < seen.rows
    extra = {"__tags": part.bill.mapping.columns["Tags"]} if seen.tagsets is not None else None
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
        ai_commitments=plan.ai_commitments,
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
            part.rejected.append(Rejected(name, row, code, text))
    for one in aside:
        code = "not-json" if raw.kind == "jsonl" else "ragged-row"
        part.problems.append(Problem(name, one.row, code, f"the row {one.message}"))
        part.rejected.append(Rejected(name, one.row, code, one.text))


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


def _said(totals: tuple[int, dict[str, Decimal]] | None) -> str:
    if totals is None:
        return "no rows"
    return f"{totals[0]:,} rows with " + ", ".join(f"{m} {plain(v)}" for m, v in totals[1].items())


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
