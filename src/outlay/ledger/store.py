"""The ledger on disk: a folder of Delta Lake tables, read by DuckDB.

A load writes Parquet files beside the others and then makes them the table's in one commit of the Delta log; until
that commit nobody sees them, after it everybody does. So a process killed at any moment leaves the ledger as it was
or as it will be, and files without a commit are only litter. A restated period is the same commit with removals of
that source's old files for that month: ``costs`` is partitioned by source and billing month for this. The log is
never cleaned, so it is the load history and answers "as of" questions. Two processes may load at once: each commit
names its sources as Delta application transactions, the second of two commits on the same source is refused by the
log, looks again at what is there, and tries again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.errors import LedgerError, UsageError
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.costs import COST_MEASURES, PARTITION_COLUMNS, Column, columns
from outlay.periods import next_month, parse_day

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from deltalake import DeltaTable

__all__ = ["Ledger", "LoadRecord", "Loaded", "NewFile", "Scope"]

_MAX_COMMIT_TRIES = 30
_FOREVER = "interval 36500 days"
_METADATA_KEY = "outlay"
_COSTS = "costs"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """What a load replaces: one source's billing month."""

    source: str
    month: str


@dataclass(frozen=True, slots=True)
class NewFile:
    """A Parquet file already written under the table's folder; ``path`` is relative to it."""

    path: str
    scope: Scope
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One load in the history: the Delta version it made, when (naive UTC), and what it said of itself."""

    version: int
    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An earlier load of some content; ``stands`` tells whether nothing of it has been replaced since."""

    record: LoadRecord
    stands: bool


class Ledger:
    """A ledger folder. Opening one reads nothing; a folder that holds none yet becomes one at the first load."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def costs_path(self) -> Path:
        """Folder of the ``costs`` table."""
        return self.path / _COSTS

    def exists(self) -> bool:
        """Whether anything was ever loaded."""
        return (self.costs_path / "_delta_log").is_dir()

    def create(self, tags: Sequence[str]) -> None:
        """Make the folder and its empty tables; nothing happens if they are there."""
        if self.exists():
            return
        if self.path.exists() and not self.path.is_dir():
            raise LedgerError("is a file, not a folder.", where=str(self.path), hint="Give a folder with --ledger.")
        from deltalake import DeltaTable

        self.path.mkdir(parents=True, exist_ok=True)
        DeltaTable.create(
            str(self.costs_path),
            schema=arrow_schema(columns(tags)),
            mode="ignore",
            partition_by=list(PARTITION_COLUMNS),
            name=_COSTS,
            description="FOCUS 1.4 cost and usage, one row a bill line",
            configuration={
                "delta.logRetentionDuration": _FOREVER,
                "delta.deletedFileRetentionDuration": _FOREVER,
                "delta.enableExpiredLogCleanup": "false",
            },
        )

    def table(self, *, version: int | None = None) -> DeltaTable:
        """The ``costs`` table, now or as of a version."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        if not self.exists():
            raise LedgerError(
                "holds no ledger yet.",
                where=str(self.path),
                hint="Load a bill first: `outlay load BILL`, or run `outlay demo`.",
            )
        try:
            return DeltaTable(str(self.costs_path), version=version)
        except (TableNotFoundError, DeltaError) as error:
            raise LedgerError(
                f"can't be read as of version {version} ({str(error).splitlines()[0]}).",
                where=str(self.path),
                hint="`outlay history` lists the versions.",
            ) from None

    def ensure_columns(self, wanted: Sequence[Column]) -> None:
        """Add the columns that the table lacks.

        A newly configured allocation tag becomes a column, empty in older rows.
        """
        import pyarrow as pa
        from deltalake import Field, Schema

        table = self.table()
        present = {field.name for field in table.schema().fields}
        missing = [c for c in wanted if c.name not in present]
        alike = {name.casefold(): name for name in present}
        for column in missing:
            if (twin := alike.get(column.name.casefold())) is not None:
                there, asked = twin.removeprefix("x_Tag_"), column.name.removeprefix("x_Tag_")
                raise LedgerError(
                    f"has the tag '{there}' already, and '{asked}' differs from it in case only.",
                    where=str(self.path),
                    hint=f"Write it '{there}' in outlay.toml, as this ledger does: values are found whatever the case.",
                )
        if missing:
            fields: list[Field] = list(Schema.from_arrow(pa.schema(arrow_schema(missing))).fields)
            table.alter.add_columns(fields)

    def version_at(self, as_of: str | None) -> int | None:
        """The version that ``as_of`` means: a version number, or the last commit up to a time (ISO 8601, UTC).

        A day or a month means its end, so that today's date shows what was loaded today.
        """
        if as_of is None:
            return None
        if as_of.isdecimal():
            version, newest = int(as_of), self.table().version()
            if version > newest:
                raise LedgerError(
                    f"has no version {version}: its versions are 0 to {newest}.",
                    where=str(self.path),
                    hint="`outlay history` lists the loads.",
                )
            return version
        moment = _last_moment(as_of)
        earlier = [record.version for record in self.history() if record.at <= moment]
        if not earlier:
            raise UsageError(
                f"the ledger has no version as old as {as_of}.", where="--as-of", hint="See `outlay history`."
            )
        return max(earlier)

    def live_files(self, *, version: int | None = None) -> list[tuple[str, Scope]]:
        """Relative path and scope of every file of the table."""
        import pyarrow as pa

        actions = pa.table(self.table(version=version).get_add_actions(flatten=True)).to_pylist()
        return [
            (action["path"], Scope(action["partition.x_Source"], action["partition.x_BillingMonth"]))
            for action in actions
        ]

    def history(self) -> list[LoadRecord]:
        """The commits, newest first. Commits that were not loads (table creation, new columns) have no facts."""
        records = []
        for commit in self.table().history():
            facts = json.loads(commit[_METADATA_KEY]) if _METADATA_KEY in commit else {}
            moment = datetime.fromtimestamp(commit["timestamp"] / 1000, UTC).replace(tzinfo=None)
            records.append(LoadRecord(commit["version"], moment, facts))
        return records

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
        """Make ``files`` the whole content of ``scopes``, in one commit.

        ``facts`` is told how many rows each scope loses and returns what the history shall say. Returns the version
        and those counts, or None when another process committed the same load meanwhile: nothing is changed then.
        Raises :class:`LedgerError` when other writers kept getting in first.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import AddAction, RemoveAction

        wanted = sorted(set(scopes))
        sources = sorted({scope.source for scope in wanted})
        for attempt in range(_MAX_COMMIT_TRIES):
            table = self.table()
            now_ms = time.time_ns() // 1_000_000
            actions: list[Any] = []
            removed: dict[Scope, int] = {}
            standing: dict[Scope, set[str]] = {}
            for old in _add_actions(table):
                scope = Scope(old["partition.x_Source"], old["partition.x_BillingMonth"])
                if scope in wanted:
                    standing.setdefault(scope, set()).add(load_id_of(old["path"]))
                    removed[scope] = removed.get(scope, 0) + (old["num_records"] or 0)
                    actions.append(RemoveAction(old["path"], True, now_ms, old["size_bytes"], _partition(scope)))
            if files and all(standing.get(scope) == {load_id_of(files[0].path)} for scope in wanted):
                return None
            actions += [
                AddAction(f.path, f.size_bytes, _partition(f.scope), now_ms, True, json.dumps({"numRecords": f.rows}))
                for f in files
            ]
            said = json.dumps(facts(removed))
            properties = CommitProperties(
                custom_metadata={_METADATA_KEY: said},
                app_transactions=[
                    Transaction(_app_id(source), (table.transaction_version(_app_id(source)) or 0) + 1)
                    for source in sources
                ],
            )
            try:
                table.create_write_transaction(
                    actions,
                    "append",
                    table.schema(),
                    partition_by=list(PARTITION_COLUMNS),
                    commit_properties=properties,
                )
            except CommitFailedError:
                time.sleep(min(0.02 * 2**attempt, 1.0))
                continue
            return self._version_of(said), removed
        raise LedgerError(
            f"other loads of {', '.join(sources)} kept committing first ({_MAX_COMMIT_TRIES} tries).",
            where=str(self.path),
            hint="Load again when they are done; nothing was changed.",
        )

    def _version_of(self, said: str) -> int:
        """The version of the newest commit that says ``said``: another writer's may be newer already."""
        return next(int(c["version"]) for c in self.table().history() if c.get(_METADATA_KEY) == said)

    def register(self, connection: duckdb.DuckDBPyConnection, *, as_of: str | None = None) -> int:
        """Create the view ``costs`` in a DuckDB session, as of a version or time; returns the version it shows."""
        table = self.table(version=self.version_at(as_of))
        names = [field.name for field in table.schema().fields]
        paths = [str(self.costs_path / action["path"]) for action in _add_actions(table)]
        if paths:
            listed = ", ".join(literal(path) for path in paths)
            files = f"read_parquet([{listed}], hive_partitioning=true, hive_types_autocast=false, union_by_name=true)"
            present = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {files}").fetchall()}
            fields = ", ".join(
                identifier(n) if n in present else f"CAST(NULL AS VARCHAR) AS {identifier(n)}" for n in names
            )
            connection.execute(f"CREATE OR REPLACE VIEW costs AS SELECT {fields} FROM {files}")
        else:
            tags = [name.removeprefix("x_Tag_") for name in names if name.startswith("x_Tag_")]
            shape = ", ".join(f"CAST(NULL AS {c.sql_type}) AS {identifier(c.name)}" for c in columns(tags))
            connection.execute(f"CREATE OR REPLACE VIEW costs AS SELECT {shape} WHERE false")
        return table.version()

    def totals(self, connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Any]]:
        """Sums of the registered ``costs`` view: currency -> measure -> Decimal or None."""
        sums = ", ".join(f"sum({identifier(m)})" for m in COST_MEASURES)
        rows = connection.execute(f'SELECT "BillingCurrency", {sums} FROM costs GROUP BY 1 ORDER BY 1').fetchall()
        return {row[0]: dict(zip(COST_MEASURES, row[1:], strict=True)) for row in rows}


def _last_moment(as_of: str) -> datetime:
    """The instant that ``as_of`` names, or the last one of its day or month."""
    moment = parse_day(as_of, name="--as-of")
    if len(as_of) > len("2026-10-01"):  # it says an hour
        return moment
    is_month = len(as_of) == len("2026-10")
    end = parse_day(next_month(as_of)) if is_month else moment + timedelta(days=1)
    return end - timedelta(microseconds=1)


def load_id_of(path: str) -> str:
    """The load that wrote a file of the table: ``.../part-<load id>-<n>.parquet``."""
    return path.rsplit("/", 1)[-1].split("-")[1]


def _app_id(source: str) -> str:
    return f"outlay/{_COSTS}/{source}"


def _partition(scope: Scope) -> dict[str, str | None]:
    return {"x_Source": scope.source, "x_BillingMonth": scope.month}


def _add_actions(table: DeltaTable) -> list[dict[str, Any]]:
    import pyarrow as pa

    rows: list[dict[str, Any]] = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return rows


def arrow_schema(wanted: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of table columns."""
    import pyarrow as pa

    kinds = {
        "VARCHAR": pa.string(),
        "BOOLEAN": pa.bool_(),
        "BIGINT": pa.int64(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us"),
        "MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()),
        "DECIMAL(38,18)": pa.decimal128(38, 18),
        "DECIMAL(9,4)": pa.decimal128(9, 4),
    }
    return pa.schema([pa.field(c.name, kinds[c.sql_type]) for c in wanted])
