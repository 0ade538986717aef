"""One Delta Lake table of the ledger, and how it changes.

A writer puts Parquet files beside the others and then makes them the table's in one commit of the Delta log; until
that commit nobody sees them, after it everybody does. So a process killed at any moment leaves the table as it was
or as it will be, and files without a commit are only litter. What the new files replace goes out in the same commit.
The log is never cleaned, so it is the load history and answers "as of" questions. Two processes may write at once:
each commit names its sources as Delta application transactions, the second of two commits on the same source is
refused by the log, looks again at what is there, and tries again.

All tables are partitioned by source and month, as plain strings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.disk import sync_paths
from outlay.errors import LedgerError, UsageError
from outlay.ledger.delta_log import sync_log, version_of
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.table import Column
from outlay.periods import next_month, parse_day

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from deltalake import DeltaTable

__all__ = ["Change", "Committed", "DeltaFolder", "LiveFile", "LoadRecord", "NewFile", "Scope", "arrow_schema"]

_MAX_COMMIT_TRIES = 30
_FOREVER = "interval 36500 days"
_METADATA_KEY = "outlay"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A partition: one source's month."""

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
class LiveFile:
    """A file of the table as it stands."""

    path: str
    scope: Scope
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit does: files in, files out, and what the history shall say of it."""

    add: Sequence[NewFile]
    remove: Sequence[LiveFile]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Committed:
    """A change that is done, and the version it made."""

    version: int
    change: Change


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One load in the history: the Delta version it made, when (naive UTC), and what it said of itself."""

    version: int
    at: datetime
    facts: Mapping[str, Any]


class DeltaFolder:
    """A table's folder. Making one of these reads nothing; ``partition`` names the columns of source and month."""

    def __init__(self, path: Path, meaning: str, partition: tuple[str, str]) -> None:
        self.path = path
        self.name = path.name
        self._meaning = meaning
        self._partition = partition

    def exists(self) -> bool:
        """Whether the table was ever made."""
        return (self.path / "_delta_log").is_dir()

    def create(self, columns: Sequence[Column]) -> None:
        """Make the folder and the empty table; nothing happens if it is there."""
        if self.exists():
            return
        ledger = self.path.parent
        if ledger.exists() and not ledger.is_dir():
            raise LedgerError("is a file, not a folder.", where=str(ledger), hint="Give a folder with --ledger.")
        from deltalake import DeltaTable

        ledger.mkdir(parents=True, exist_ok=True)
        DeltaTable.create(
            str(self.path),
            schema=arrow_schema(columns),
            mode="ignore",
            partition_by=list(self._partition),
            name=self.name,
            description=self._meaning,
            configuration={
                "delta.logRetentionDuration": _FOREVER,
                "delta.deletedFileRetentionDuration": _FOREVER,
                "delta.enableExpiredLogCleanup": "false",
            },
        )

    def table(self, *, version: int | None = None) -> DeltaTable:
        """The Delta table, now or as of a version."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(str(self.path), version=version)
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
                    where=str(self.path.parent),
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
                    where=str(self.path.parent),
                    hint="`outlay history` lists the loads.",
                )
            return version
        found = self.version_before(last_moment(as_of))
        if found is None:
            raise UsageError(
                f"the ledger has no version as old as {as_of}.", where="--as-of", hint="See `outlay history`."
            )
        return found

    def version_before(self, moment: datetime) -> int | None:
        """The last version that was there at ``moment`` (naive UTC), or None."""
        return max((record.version for record in self.history() if record.at <= moment), default=None)

    def live(self, *, version: int | None = None) -> list[LiveFile]:
        """Every file of the table."""
        import pyarrow as pa

        source, month = (f"partition.{name}" for name in self._partition)
        actions = pa.table(self.table(version=version).get_add_actions(flatten=True)).to_pylist()
        return [
            LiveFile(a["path"], Scope(a[source], a[month]), a["num_records"] or 0, a["size_bytes"]) for a in actions
        ]

    def history(self) -> list[LoadRecord]:
        """The commits, newest first. Commits that were not loads (table creation, new columns) have no facts."""
        records = []
        for commit in self.table().history():
            facts = json.loads(commit[_METADATA_KEY]) if _METADATA_KEY in commit else {}
            moment = datetime.fromtimestamp(commit["timestamp"] / 1000, UTC).replace(tzinfo=None)
            records.append(LoadRecord(commit["version"], moment, facts))
        return records

    def commit(self, sources: Iterable[str], plan: Callable[[list[LiveFile]], Change | None]) -> Committed | None:
        """Ask ``plan`` what to do about the files as they stand, and do it in one commit.

        ``plan`` is asked again when another writer of one of ``sources`` got in first. None when it said None. The
        files are on the disk before the commit is, and the commit when this returns: a power cut takes nothing back.
        Raises :class:`LedgerError` when others kept getting in.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError

        names = sorted(set(sources))
        for attempt in range(_MAX_COMMIT_TRIES):
            table = self.table()
            change = plan(self.live(version=table.version()))
            if change is None:
                return None
            sync_paths(self.path / file.path for file in change.add)
            said = json.dumps(change.facts)
            properties = CommitProperties(
                custom_metadata={_METADATA_KEY: said},
                app_transactions=[
                    Transaction(self._app_id(name), (table.transaction_version(self._app_id(name)) or 0) + 1)
                    for name in names
                ],
            )
            try:
                table.create_write_transaction(
                    self._actions(change),
                    "append",
                    table.schema(),
                    partition_by=list(self._partition),
                    commit_properties=properties,
                )
            except CommitFailedError:
                time.sleep(min(0.02 * 2**attempt, 1.0))
                continue
            version = version_of(self.table(), {_METADATA_KEY: said}, after=table.version())
            sync_log(self.path, version)
            return Committed(version, change)
        raise LedgerError(
            f"other loads of {', '.join(names)} kept committing first ({_MAX_COMMIT_TRIES} tries).",
            where=str(self.path.parent),
            hint="Load again when they are done; nothing was changed.",
        )

    def _actions(self, change: Change) -> list[Any]:
        from deltalake.transaction import AddAction, RemoveAction

        now_ms = time.time_ns() // 1_000_000
        return [
            *(RemoveAction(f.path, True, now_ms, f.size_bytes, self.values(f.scope)) for f in change.remove),
            *(
                AddAction(f.path, f.size_bytes, self.values(f.scope), now_ms, True, json.dumps({"numRecords": f.rows}))
                for f in change.add
            ),
        ]

    def values(self, scope: Scope) -> dict[str, str | None]:
        """The partition columns and their values of a scope."""
        return dict(zip(self._partition, (scope.source, scope.month), strict=True))

    def folder(self, scope: Scope) -> str:
        """The folder of a partition, relative to the table's."""
        return "/".join(f"{name}={value}" for name, value in self.values(scope).items())

    def written(self, path: str, rows: int, size_bytes: int) -> NewFile:
        """A file that an engine wrote into a partition's folder; ``path`` as the engine says it."""
        relative = Path(path).relative_to(self.path)
        pairs = dict(piece.split("=", 1) for piece in relative.parts[:-1])
        source, month = self._partition
        return NewFile(relative.as_posix(), Scope(pairs[source], pairs[month]), rows, size_bytes)

    def view(
        self,
        connection: duckdb.DuckDBPyConnection,
        columns: Sequence[Column],
        *,
        version: int | None,
        name: str | None = None,
    ) -> int:
        """Create a view of the table's name, or of ``name``, in a DuckDB session; returns the version it shows.

        It has all columns of the table, and those of ``columns`` that the table lacks, as NULL.
        """
        table = self.table(version=version)
        kinds = {column.name: column.sql_type for column in columns}
        names = list(dict.fromkeys([*(field.name for field in table.schema().fields), *kinds]))
        paths = [str(self.path / file.path) for file in self.live(version=table.version())]
        if paths:
            relation = self.scan(paths)
            present = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}
        else:
            relation, present = "(SELECT 1) WHERE false", set()
        fields = ", ".join(
            identifier(n) if n in present else f"CAST(NULL AS {kinds.get(n, 'VARCHAR')}) AS {identifier(n)}"
            for n in names
        )
        connection.execute(f"CREATE OR REPLACE VIEW {identifier(name or self.name)} AS SELECT {fields} FROM {relation}")
        return table.version()

    def scan(self, paths: Sequence[str], *, extra: str = "") -> str:
        """A relation over Parquet files of the table, with its partition columns."""
        listed = ", ".join(literal(path) for path in paths)
        return f"read_parquet([{listed}], hive_partitioning=true, hive_types_autocast=false, union_by_name=true{extra})"

    def _app_id(self, source: str) -> str:
        return f"outlay/{self.name}/{source}"


def last_moment(as_of: str) -> datetime:
    """The instant that ``as_of`` names, or the last one of its day or month."""
    moment = parse_day(as_of, name="--as-of")
    if len(as_of) > len("2026-10-01"):  # it says an hour
        return moment
    is_month = len(as_of) == len("2026-10")
    end = parse_day(next_month(as_of)) if is_month else moment + timedelta(days=1)
    return end - timedelta(microseconds=1)


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
    }

    def kind(sql_type: str) -> pa.DataType:
        if sql_type in kinds:
            return kinds[sql_type]
        precision, scale = sql_type.removeprefix("DECIMAL(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))

    return pa.schema([pa.field(c.name, kind(c.sql_type)) for c in wanted])
