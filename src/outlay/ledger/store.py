"""The ledger on disk: a folder of Delta Lake tables, read by DuckDB.

``costs`` holds bills: a load replaces whole months of its sources. The other tables hold facts: a load replaces the
same things told again (:mod:`outlay.ledger.facts`). How a table changes, and that it does so in one commit, is
:mod:`outlay.ledger.delta`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.errors import LedgerError
from outlay.ledger.delta import Change, DeltaFolder, LiveFile, LoadRecord, NewFile, Scope, last_moment
from outlay.ledger.engine.duckdb import identifier
from outlay.ledger.tables.alerts import ALERTS
from outlay.ledger.tables.commitments import COMMITMENTS
from outlay.ledger.tables.costs import COST_MEASURES, PARTITION_COLUMNS, columns
from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.ledger.tables.outcomes import OUTCOMES
from outlay.ledger.tables.prices import PRICES, PRICES_PARTITION
from outlay.ledger.tables.recommendations import RECOMMENDATIONS_PARTITION
from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.runs import RUNS
from outlay.ledger.tables.table import FACT_PARTITION, Column, FactTable

if TYPE_CHECKING:
    import duckdb
    from deltalake import DeltaTable

__all__ = ["FACT_TABLES", "Ledger", "LoadRecord", "Loaded", "NewFile", "Scope"]

FACT_TABLES: dict[str, FactTable] = {
    table.name: table for table in (REQUESTS, GPU_USAGE, RUNS, COMMITMENTS, OUTCOMES, ALERTS)
}
_COSTS = "costs"


@dataclass(frozen=True, slots=True)
class Loaded:
    """An earlier load of some content; ``stands`` tells whether nothing of it has been replaced since."""

    record: LoadRecord
    stands: bool


class Ledger:
    """A ledger folder. Opening one reads nothing; a folder that holds none yet becomes one at the first load."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.costs = DeltaFolder(path / _COSTS, "FOCUS 1.4 cost and usage, one row a bill line", PARTITION_COLUMNS)

    @property
    def costs_path(self) -> Path:
        """Folder of the ``costs`` table."""
        return self.costs.path

    def facts(self, table: FactTable) -> DeltaFolder:
        """A table of facts, made or not."""
        return DeltaFolder(self.path / table.name, table.meaning, FACT_PARTITION)

    def prices(self) -> DeltaFolder:
        """The table of the price lists that rows were priced by, made or not."""
        return DeltaFolder(self.path / "prices", "price lists that rows were priced by, whole", PRICES_PARTITION)

    def price_columns(self) -> tuple[Column, ...]:
        """Its columns."""
        return PRICES

    def recommendations(self) -> DeltaFolder:
        """The table of the recommendations that were computed, made or not."""
        meaning = "what was recommended for each pool of GPUs, and since when"
        return DeltaFolder(self.path / "recommendations", meaning, RECOMMENDATIONS_PARTITION)

    def exists(self) -> bool:
        """Whether any bill was ever loaded."""
        return self.costs.exists()

    def create(self, tags: Sequence[str]) -> None:
        """Make the folder and the empty ``costs``; nothing happens if they are there."""
        self.costs.create(columns(tags))

    def table(self, *, version: int | None = None) -> DeltaTable:
        """The ``costs`` table, now or as of a version."""
        self._must_exist()
        return self.costs.table(version=version)

    def ensure_columns(self, wanted: Sequence[Column]) -> None:
        """Add the columns that ``costs`` lacks."""
        self.costs.ensure_columns(wanted)

    def version_at(self, as_of: str | None) -> int | None:
        """The version of ``costs`` that ``as_of`` means, see :meth:`DeltaFolder.version_at`."""
        self._must_exist()
        return self.costs.version_at(as_of)

    def moment_of(self, as_of: str) -> datetime:
        """The time that ``as_of`` means: a version number is a version of ``costs``, and means the time it was made."""
        if not as_of.isdecimal():
            return last_moment(as_of)
        if not self.exists():
            raise LedgerError(
                f"holds no bills, and version {as_of} means a version of them.",
                where=str(self.path),
                hint="Ask as of a date or a time: `--as-of 2026-10-31`.",
            )
        version = self.version_at(as_of)
        return next(record.at for record in self.history() if record.version == version)

    def live_files(self, *, version: int | None = None) -> list[tuple[str, Scope]]:
        """Relative path and scope of every file of ``costs``."""
        return [(file.path, file.scope) for file in self.costs.live(version=version)]

    def history(self) -> list[LoadRecord]:
        """The commits of ``costs``, newest first."""
        self._must_exist()
        return self.costs.history()

    def loaded(self, load_id: str) -> Loaded | None:
        """The load of this content, and whether every period it brought is still there as it brought it."""
        if not self.exists():
            return None
        live: dict[Scope, set[str]] = {}
        for path, scope in self.live_files():
            live.setdefault(scope, set()).add(load_id_of(path))
        for record in self.history():
            if record.facts.get("load_id") == load_id:
                scopes = [Scope(*pair) for pair in record.facts["scopes"]]
                return Loaded(record, all(live.get(scope) == {load_id} for scope in scopes))
        return None

    def replace(
        self, files: Sequence[NewFile], scopes: Iterable[Scope], facts: Callable[[dict[Scope, int]], Mapping[str, Any]]
    ) -> tuple[int, dict[Scope, int]] | None:
        """Make ``files`` the whole content of ``scopes`` of ``costs``, in one commit.

        ``facts`` is told how many rows each scope loses and returns what the history shall say. Returns the version
        and those counts, or None when another process committed the same load meanwhile: nothing is changed then.
        Raises :class:`LedgerError` when other writers kept getting in first.
        """
        wanted = set(scopes)
        removed: dict[Scope, int] = {}

        def plan(live: list[LiveFile]) -> Change | None:
            removed.clear()
            standing: dict[Scope, set[str]] = {}
            old = [file for file in live if file.scope in wanted]
            for file in old:
                standing.setdefault(file.scope, set()).add(load_id_of(file.path))
                removed[file.scope] = removed.get(file.scope, 0) + file.rows
            if files and all(standing.get(scope) == {load_id_of(files[0].path)} for scope in wanted):
                return None
            return Change(files, old, facts(removed))

        done = self.costs.commit((scope.source for scope in wanted), plan)
        return None if done is None else (done.version, removed)

    def register(self, connection: duckdb.DuckDBPyConnection, *, as_of: str | None = None, name: str = "costs") -> int:
        """Create the view ``costs`` (or ``name``) in a DuckDB session, as of a version or time.

        Returns the version it shows.
        """
        version = self.version_at(as_of)
        tags = [f.name.removeprefix("x_Tag_") for f in self.table().schema().fields if f.name.startswith("x_Tag_")]
        return self.costs.view(connection, columns(tags), version=version, name=name)

    def register_facts(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: FactTable,
        tags: Sequence[str],
        *,
        as_of: str | None = None,
        name: str | None = None,
    ) -> int | None:
        """Create the view of a table of facts; returns the version it shows, None for a table that is not there.

        The view has the table's name, or ``name``. ``as_of`` a version means the time of that version of
        ``costs``. The view has no rows where the table is not there (yet).
        """
        folder = self.facts(table)
        wanted = table.columns(tags)
        version = None
        there = folder.exists()
        if there and as_of is not None:
            version = folder.version_before(self.moment_of(as_of))
            there = version is not None
        if there:
            return folder.view(connection, wanted, version=version, name=name)
        shape = ", ".join(f"CAST(NULL AS {c.sql_type}) AS {identifier(c.name)}" for c in wanted)
        connection.execute(f"CREATE OR REPLACE VIEW {identifier(name or table.name)} AS SELECT {shape} WHERE false")
        return None

    def totals(self, connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Any]]:
        """Sums of the registered ``costs`` view: currency -> measure -> Decimal or None."""
        sums = ", ".join(f"sum({identifier(m)})" for m in COST_MEASURES)
        rows = connection.execute(f'SELECT "BillingCurrency", {sums} FROM costs GROUP BY 1 ORDER BY 1').fetchall()
        return {row[0]: dict(zip(COST_MEASURES, row[1:], strict=True)) for row in rows}

    def _must_exist(self) -> None:
        if not self.exists():
            raise LedgerError(
                "holds no ledger yet.",
                where=str(self.path),
                hint="Load a bill first: `outlay load BILL`, or run `outlay demo`.",
            )


def load_id_of(path: str) -> str:
    """The load that wrote a file of the table: ``.../part-<load id>-<n>.parquet``."""
    return path.rsplit("/", 1)[-1].split("-")[1]
