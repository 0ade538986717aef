"""Pricing rows of the ledger again: asked for, shown first, and one commit when it is wanted.

A row keeps the price that it was loaded with. When a contract was agreed after the fact, or a list corrected, the rows
of a window can be priced again with the lists of today, each as of its own time. What that would change is told before
anything is; ``apply`` then writes the rows with their new prices in one commit, and the figures as they were stay
within reach as an earlier version.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from outlay.errors import UsageError
from outlay.ledger.delta import Change, DeltaFolder, LiveFile, NewFile
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.store import Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import FACT_PARTITION
from outlay.money import plain
from outlay.prices.kept import keep_prices
from outlay.prices.request_costs import priced_sql
from outlay.prices.tokens import TokenPrices

if TYPE_CHECKING:
    import duckdb

__all__ = ["Repriced", "Selection", "reprice"]

_KEY = "__row"


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows to price again: all of ``since`` (inclusive) to ``until`` (exclusive), of one source or of all."""

    since: datetime | None = None
    until: datetime | None = None
    source: str | None = None

    def sql(self) -> str:
        """The condition over rows of ``requests``."""
        parts = []
        if self.since is not None:
            parts.append(f"start_time >= TIMESTAMP {literal(self.since.isoformat(sep=' '))}")
        if self.until is not None:
            parts.append(f"start_time < TIMESTAMP {literal(self.until.isoformat(sep=' '))}")
        if self.source is not None:
            parts.append(f'"x_Source" = {literal(self.source)}')
        return " AND ".join(parts) or "true"


@dataclass(frozen=True, slots=True)
class Repriced:
    """Rows of one provider, model and currency: what they cost, and what they do at the other prices."""

    provider: str | None
    model: str | None
    currency: str | None
    rows: int
    before: Decimal
    after: Decimal
    unpriced_before: int
    unpriced_after: int

    def to_json(self) -> dict[str, Any]:
        """Amounts as exact strings."""
        return {
            "provider": self.provider,
            "model": self.model,
            "currency": self.currency,
            "rows": self.rows,
            "before": plain(self.before),
            "after": plain(self.after),
            "difference": plain(self.after - self.before),
            "unpriced_before": self.unpriced_before,
            "unpriced_after": self.unpriced_after,
        }


def reprice(
    connection: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    prices: TokenPrices,
    selection: Selection,
    *,
    at: datetime | None = None,
    apply: bool = False,
) -> tuple[list[Repriced], int | None]:
    """What pricing the selected rows again changes, the largest change first; with ``apply`` the version it made.

    ``at`` prices all rows as of one moment, to see what they would cost then; that can't be applied.
    """
    if at is not None and apply:
        raise UsageError(
            "prices of one moment can't be applied to calls of others.",
            where="--as-of",
            hint="Leave out --as-of to price each call as of its own time, or --apply to only see it.",
        )
    folder = ledger.facts(REQUESTS)
    if not folder.exists():
        return [], None
    files = folder.live()
    if not files:
        return [], None
    old = folder.scan([str(folder.path / file.path) for file in files])
    names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {old}").fetchall()]
    found = connection.execute(_COMPARED.format(new=_priced(connection, old, selection, prices, at))).fetchall()
    changes = sorted((Repriced(*row) for row in found), key=lambda one: -abs(one.after - one.before))
    if not apply:
        return changes, None
    keep_prices(connection, ledger, prices)
    return changes, _apply(connection, folder, prices, selection, names)


# A row whose price changes its currency is in two lines: what it cost goes in one, what it costs comes in the other.
_COMPARED = """
WITH priced AS MATERIALIZED (
  SELECT gen_ai_provider_name AS provider, coalesce(gen_ai_response_model, gen_ai_request_model) AS model,
    was_currency, was_cost, "x_CostCurrency" AS currency, "x_Cost" AS cost FROM ({new})
), told AS (
  SELECT provider, model, coalesce(currency, was_currency) AS currency, was_cost, cost,
    was_cost IS NULL AS unpriced_before, cost IS NULL AS unpriced_after
  FROM priced WHERE coalesce(currency = was_currency, true)
  UNION ALL SELECT provider, model, was_currency, was_cost, 0, false, false FROM priced WHERE currency <> was_currency
  UNION ALL SELECT provider, model, currency, 0, cost, false, false FROM priced WHERE currency <> was_currency
)
SELECT provider, model, currency, count(*), coalesce(sum(was_cost), 0), coalesce(sum(cost), 0),
  count(*) FILTER (WHERE unpriced_before), count(*) FILTER (WHERE unpriced_after)
FROM told GROUP BY ALL
"""


def _priced(
    connection: duckdb.DuckDBPyConnection, old: str, selection: Selection, prices: TokenPrices, at: datetime | None
) -> str:
    """A SELECT of the selected rows with their new prices, and the old ones as ``was_cost`` and ``was_currency``."""
    filled = ", ".join(identifier(name) for name in REQUESTS.filled)
    connection.execute(
        f'CREATE OR REPLACE TEMP TABLE rows_to_reprice AS SELECT * EXCLUDE ({filled}), "x_Cost" AS was_cost, '
        f'"x_CostCurrency" AS was_currency, row_number() OVER () AS {_KEY} FROM {old} WHERE {selection.sql()}'
    )
    return priced_sql(connection, "rows_to_reprice", _KEY, prices, at=at)


def _apply(
    connection: duckdb.DuckDBPyConnection,
    folder: DeltaFolder,
    prices: TokenPrices,
    selection: Selection,
    names: Iterable[str],
) -> int:
    """Write every file that holds a selected row anew, in one commit. Returns the version."""
    written: list[NewFile] = []
    load_id = f"reprice{uuid.uuid4().hex}"

    def discard() -> None:
        for file in written:
            (folder.path / file.path).unlink(missing_ok=True)
        written.clear()

    def plan(live: list[LiveFile]) -> Change | None:
        discard()
        removed = []
        for file in live:
            old = folder.scan([str(folder.path / file.path)])
            count = connection.execute(f"SELECT count(*) FROM {old} WHERE {selection.sql()}").fetchall()[0][0]
            if not count:
                continue
            new = _priced(connection, old, selection, prices, None)
            columns = ", ".join(identifier(name) for name in names if name not in FACT_PARTITION)
            target = folder.path / folder.folder(file.scope) / f"part-{load_id}-{uuid.uuid4().hex}.parquet"
            row = connection.execute(
                f"COPY (SELECT {columns} FROM ({new}) UNION ALL BY NAME "
                f"SELECT {columns} FROM {old} WHERE NOT coalesce({selection.sql()}, false)) "
                f"TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd, RETURN_STATS)"
            ).fetchall()[0]
            written.append(NewFile(target.relative_to(folder.path).as_posix(), file.scope, row[1], row[2]))
            removed.append(file)
        if not removed:
            return None
        said = {"load_id": load_id, "table": REQUESTS.name, "files": [], "replaced": [], "prices": prices.version}
        return Change(list(written), removed, said)

    sources = [file.scope.source for file in folder.live()]
    try:
        done = folder.commit(sources, plan)
    except BaseException:
        discard()
        raise
    return folder.table().version() if done is None else done.version
