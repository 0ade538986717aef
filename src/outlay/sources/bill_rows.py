"""From a surveyed bill to rows of ``costs``: Parquet files beside the table, which a commit will make the ledger's."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.config import Settings
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.store import Ledger, NewFile, Scope
from outlay.ledger.tables.costs import PARTITION_COLUMNS
from outlay.problems import Problem
from outlay.sources.canonical import costs_sql, register_skus, telling_columns
from outlay.sources.parsers import register
from outlay.sources.source_name import source_slug
from outlay.sources.survey import Survey, spellings
from outlay.sources.typed import Bill, typed_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["Plan", "write_rows"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What holds for every part of a load."""

    ledger: Ledger
    settings: Settings
    source: str | None
    load_id: str
    ai_commitments: tuple[str, ...]


def write_rows(
    connection: duckdb.DuckDBPyConnection, bill: Bill, seen: Survey, plan: Plan, *, number: int, begun: list[Path]
) -> tuple[list[NewFile], list[Problem]]:
    """Write the good rows of ``bill``, the load's file ``number``, and say what was not known of them.

    A file enters ``begun`` before it is written, where its name is known, so that one which was left half-way can be
    removed.
    """
    if not seen.good_rows:
        clause = register(connection, bill.raw, used_by="")  # read it all the same: it sets bad rows aside
        connection.execute(f"SELECT count(*) FROM {clause}").fetchall()
        return [], []
    tags, workload = spellings(plan.settings.tags, seen.tag_keys)
    known = register_skus(connection, "skus", seen.skus, telling_columns(seen.skus))
    notes = [
        Problem(bill.raw.path.name, None, "unknown-gpu-instance", f"GPU hours of {kind} are not counted")
        for kind in sorted({one.instance_type for one in known if one.instance_type and one.is_unknown_gpu_instance})
    ]
    # The survey saw every row through the other parser: where none was bad, none need be asked again; rows and sums
    # must agree.
    checked = seen.good_rows < seen.rows
    extra = {"__tags": bill.mapping.columns["Tags"]} if seen.tagsets is not None else None
    typed = typed_sql(bill, "{clause}", extra=extra, checked=checked, plain=seen.plain)
    typed = typed.replace("{clause}", register(connection, bill.raw))
    sql = costs_sql(
        typed,
        "skus",
        telling=telling_columns(seen.skus),
        tags=tags,
        workload=workload,
        source=_source_sql(seen, plan.source),
        file=bill.raw.path.name,
        load_id=plan.load_id,
        tagsets=seen.tagsets,
        ai_commitments=plan.ai_commitments,
    )
    scopes = sorted({Scope(plan.source or source_slug(m.account), m.month) for m in seen.months})
    return _written(connection, sql, scopes, plan, number=number, begun=begun), notes


def _source_sql(seen: Survey, source: str | None) -> str:
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


def _written(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    scopes: Sequence[Scope],
    plan: Plan,
    *,
    number: int,
    begun: list[Path],
) -> list[NewFile]:
    """The rows of ``sql`` as files of the table, one or more a source and billing month."""
    root = plan.ledger.costs_path
    options = "FORMAT parquet, COMPRESSION zstd, RETURN_STATS"
    if len(scopes) == 1:
        folder = root / _folder(scopes[0])
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"part-{plan.load_id}-{number}-{uuid.uuid4().hex}.parquet"
        begun.append(target)
        dropped = ", ".join(identifier(name) for name in PARTITION_COLUMNS)
        rows = connection.execute(
            f"COPY (SELECT * EXCLUDE ({dropped}) FROM ({sql})) TO {literal(str(target))} ({options})"
        ).fetchall()
    else:
        by = ", ".join(identifier(name) for name in PARTITION_COLUMNS)
        pattern = f"part-{plan.load_id}-{number}-{os.getpid()}-{{uuid}}"
        rows = connection.execute(
            f"COPY ({sql}) TO {literal(str(root))} "
            f"({options}, PARTITION_BY ({by}), APPEND, FILENAME_PATTERN {literal(pattern)})"
        ).fetchall()
        begun += [Path(row[0]) for row in rows]
    files = []
    for row in rows:
        relative = Path(row[0]).relative_to(root)
        pairs = dict(piece.split("=", 1) for piece in relative.parts[:-1])
        scope = Scope(pairs["x_Source"], pairs["x_BillingMonth"])
        files.append(NewFile(relative.as_posix(), scope, row[1], row[2]))
    return files


def _folder(scope: Scope) -> str:
    return f"x_Source={scope.source}/x_BillingMonth={scope.month}"
