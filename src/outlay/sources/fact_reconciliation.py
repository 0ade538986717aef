"""What was read of facts, what was typed and what was written must be the same, or nothing is committed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.errors import ReconciliationError
from outlay.ledger.delta import DeltaFolder, NewFile
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.table import FactTable
from outlay.money import plain
from outlay.sources.fact_rows import RowWriter

if TYPE_CHECKING:
    import duckdb

__all__ = ["reconcile"]


def reconcile(
    connection: duckdb.DuckDBPyConnection,
    folder: DeltaFolder,
    table: FactTable,
    writer: RowWriter,
    *,
    rows: Path,
    written: Sequence[NewFile],
) -> None:
    """What was read, summed as it came, against the typed file ``rows``; and that, each thing once (the view
    ``rows_to_load``), against what was ``written``. Raises :class:`ReconciliationError`.
    """
    sums = "".join(f", coalesce(sum({identifier(name)}), 0)" for name in table.measures)

    def said(relation: str) -> list[Any]:
        return list(connection.execute(f"SELECT count(*){sums} FROM {relation}").fetchall()[0])

    typed = said(f"read_parquet({literal(str(rows))})")
    kept = said("rows_to_load")
    paths = [str(folder.path / file.path) for file in written]
    stored = said(folder.scan(paths)) if paths else kept
    read = [writer.rows, *writer.sums.values()]
    for one, other, what in ((read, typed, "typed"), (kept, stored, "stored")):
        if one != other:
            raise ReconciliationError(
                f"{table.name}: read {_spelled(table, one)}; {what} {_spelled(table, other)}.",
                where=str(folder.path),
                hint="Nothing was loaded. Please report this with the first lines of the file: a reader is wrong.",
            )


def _spelled(table: FactTable, values: Sequence[Any]) -> str:
    pairs = zip(table.measures, values[1:], strict=True)
    return ", ".join([f"{values[0]:,} rows", *(f"{name} {plain(Decimal(value))}" for name, value in pairs)])
