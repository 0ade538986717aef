"""Keeping in the ledger the price lists that its rows were priced by.

A list is written once a version, whole (the package's some 80,000 rows are less than a MiB), in a commit of its own
before the rows that it prices: a kill in between leaves a list that nothing uses yet.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from outlay.ledger.delta import Change, LiveFile, NewFile, Scope
from outlay.ledger.engine.duckdb import literal
from outlay.ledger.store import Ledger
from outlay.prices.price_row import PriceRow
from outlay.prices.token_table import flat_table
from outlay.prices.tokens import TokenPrices

if TYPE_CHECKING:
    import duckdb

__all__ = ["keep_prices"]


def keep_prices(connection: duckdb.DuckDBPyConnection, ledger: Ledger, prices: TokenPrices) -> None:
    """Write the lists of ``prices`` that the ledger does not have yet."""
    folder = ledger.prices()
    folder.create(ledger.price_columns())
    there = {file.scope for file in folder.live()}
    for name, version, rows in prices.lists():
        scope = Scope(name, version)
        if scope in there:
            continue
        written = _write(connection, ledger, scope, rows())

        def plan(live: list[LiveFile], scope: Scope = scope, written: NewFile = written) -> Change | None:
            if any(file.scope == scope for file in live):  # another load kept it meanwhile
                return None
            return Change([written], [], {"price_list": scope.source, "version": scope.month})

        if folder.commit([name], plan) is None:
            (folder.path / written.path).unlink(missing_ok=True)


def _write(connection: duckdb.DuckDBPyConnection, ledger: Ledger, scope: Scope, rows: Iterable[PriceRow]) -> NewFile:
    folder = ledger.prices()
    place = folder.path / folder.folder(scope)
    place.mkdir(parents=True, exist_ok=True)
    target = place / f"part-{uuid.uuid4().hex}.parquet"
    connection.register("price_rows_arrow", flat_table(rows))
    row = connection.execute(
        'COPY (SELECT provider, model, meter, unit_price, multiplier, taken_from, "when", input_tokens_above, '
        "strftime(time_from::TIME + DATE '2000-01-01', '%H:%M:%S') AS time_from, "
        "strftime(time_to::TIME + DATE '2000-01-01', '%H:%M:%S') AS time_to, valid_from, valid_to, currency, source "
        f"FROM price_rows_arrow ORDER BY ALL) TO {literal(str(target))} "
        "(FORMAT parquet, COMPRESSION zstd, RETURN_STATS)"
    ).fetchall()[0]
    connection.unregister("price_rows_arrow")
    return NewFile(target.relative_to(folder.path).as_posix(), scope, row[1], row[2])
