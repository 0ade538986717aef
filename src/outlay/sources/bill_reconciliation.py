"""What was written of a bill, read back, must be what the survey summed: to the last digit, or nothing is committed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.errors import ReconciliationError
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.store import NewFile
from outlay.ledger.tables.costs import COST_MEASURES
from outlay.money import plain
from outlay.sources.survey import Survey, sums_by_month

if TYPE_CHECKING:
    import duckdb

__all__ = ["reconcile"]


def reconcile(
    connection: duckdb.DuckDBPyConnection, bill: Path, seen: Survey, folder: Path, written: Sequence[NewFile]
) -> None:
    """What of ``bill`` was ``written`` into ``folder``, against what was ``seen`` of it, by month and currency.

    Raises :class:`ReconciliationError`.
    """
    expected = sums_by_month(seen.months)
    stored: dict[tuple[str, str], tuple[int, dict[str, Decimal]]] = {}
    if written:
        paths = ", ".join(literal(str(folder / f.path)) for f in written)
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
                where=str(bill),
                hint="Nothing was loaded. Please report this with the first lines of the file: a reader is wrong.",
            )


def _said(totals: tuple[int, dict[str, Decimal]] | None) -> str:
    if totals is None:
        return "no rows"
    return f"{totals[0]:,} rows with " + ", ".join(f"{m} {plain(v)}" for m, v in totals[1].items())
