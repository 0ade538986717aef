"""Making a relation of a ledger readable in a session, now or as of an earlier load.

A table is read as it was loaded, ``costs_loaded``, with a view ``costs`` over it that adds the provider by its one name
(:mod:`outlay.metrics.providers`) and gives rows without a tag the one of their allocation
(:mod:`outlay.metrics.allocation`). Nothing that was loaded is changed, and both views are on the receipt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.config import AllocationSettings
from outlay.errors import LedgerError
from outlay.ledger.engine.duckdb import identifier
from outlay.ledger.store import FACT_TABLES, Ledger, LoadRecord
from outlay.ledger.tables.costs import columns as cost_columns
from outlay.ledger.tables.table import tag_column
from outlay.metrics.allocation import allocated_by, allocation_sql
from outlay.metrics.providers import NAMED_BY, provider_sql
from outlay.metrics.relations import COSTS, Relation

if TYPE_CHECKING:
    import duckdb

__all__ = ["View", "open_view"]


@dataclass(frozen=True, slots=True)
class View:
    """An open relation: the tables it rests on with their versions, their loads, and the SQL that makes it.

    ``history`` is that of the first table (the one whose rows it has), newest first, up to the version shown.
    """

    tables: tuple[tuple[Path, int], ...]
    history: tuple[LoadRecord, ...]
    sql: str

    @property
    def version(self) -> int | None:
        """The version of the first table; None where it is not there."""
        return self.tables[0][1] if self.tables else None


def open_view(
    connection: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    relation: Relation,
    tags: Sequence[str],
    *,
    allocations: Sequence[AllocationSettings] = (),
    as_of: str | None = None,
) -> View:
    """Create the views of ``relation`` and of the tables that it rests on, with what is laid over them.

    A table of facts that is not there has no rows; ``costs`` that are not there are an error where nothing else is.
    """
    tables: list[tuple[Path, int]] = []
    history: tuple[LoadRecord, ...] = ()
    for place, name in enumerate(relation.tables):
        folder, version = _open(connection, ledger, name, tags, as_of)
        _lay_over(connection, name, allocations)
        if version is None:
            continue
        tables.append((folder, version))
        if place == 0:
            delta = ledger.costs if name == COSTS else ledger.facts(FACT_TABLES[name])
            history = tuple(record for record in delta.history() if record.version <= version)
    if relation.sql is not None:
        connection.execute(f"CREATE OR REPLACE VIEW {identifier(relation.name)} AS {relation.sql}")
    names = dict.fromkeys([*(view for name in relation.tables for view in (_loaded(name), name)), relation.name])
    listed = connection.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall()
    said = {name: sql for name, sql in listed if name in names}
    return View(tuple(tables), history, "\n".join(said[name] for name in names))


def _loaded(table: str) -> str:
    """The view of a table as it was loaded."""
    return f"{table}_loaded"


def _lay_over(connection: duckdb.DuckDBPyConnection, table: str, allocations: Sequence[AllocationSettings]) -> None:
    """The view of a table over what was loaded: tags that were allocated replaced, new columns beside."""
    present = frozenset(row[0] for row in connection.execute(f"DESCRIBE {identifier(_loaded(table))}").fetchall())
    added, replaced = [], []
    if table in NAMED_BY:
        added.append(f'{provider_sql(NAMED_BY[table])} AS "x_Provider"')
    for tag, (value, entry) in allocation_sql(table, allocations, present).items():
        replaced.append(f"{value} AS {identifier(tag_column(tag))}")
        added.append(f"{entry} AS {identifier(allocated_by(tag))}")
    everything = "*" + (f" REPLACE ({', '.join(replaced)})" if replaced else "")
    connection.execute(
        f"CREATE OR REPLACE VIEW {identifier(table)} AS SELECT {', '.join([everything, *added])} "
        f"FROM {identifier(_loaded(table))}"
    )


def _open(
    connection: duckdb.DuckDBPyConnection, ledger: Ledger, name: str, tags: Sequence[str], as_of: str | None
) -> tuple[Path, int | None]:
    if name != COSTS:
        table = FACT_TABLES[name]
        return ledger.facts(table).path, ledger.register_facts(connection, table, tags, as_of=as_of, name=_loaded(name))
    if ledger.exists():
        return ledger.costs_path, ledger.register(connection, as_of=as_of, name=_loaded(name))
    if not any(ledger.facts(table).exists() for table in FACT_TABLES.values()):
        raise LedgerError(
            "holds no ledger yet.",
            where=str(ledger.path),
            hint="Load a bill first: `outlay load BILL`, or run `outlay demo`.",
        )
    shape = ", ".join(f"CAST(NULL AS {c.sql_type}) AS {identifier(c.name)}" for c in cost_columns(tags))
    connection.execute(f"CREATE OR REPLACE VIEW {_loaded(COSTS)} AS SELECT {shape} WHERE false")
    return ledger.costs_path, None
