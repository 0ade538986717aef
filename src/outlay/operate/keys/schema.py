"""The tables of virtual keys, and how an older database becomes one of this version.

``outlay_key_state`` is one row: how many changes there were, and the hash of the last entry of the audit log. Every
transaction that writes takes the lock of that row first: changes come one after the other, and the number of a change
is the number of its audit entry. A reader that knows up to which number it has read asks for what came since.

A step is what was run on databases out there, so it is never edited; a change of the tables is a new step. The names
begin with ``outlay_key``, as a PostgreSQL database may hold other tables beside them.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, DateTime, Integer, MetaData, Table, Text, inspect, select, text

from outlay.errors import StateError
from outlay.operate.keys.database import Database

__all__ = ["AUDIT", "KEYS", "SECRETS", "STATE", "STEPS", "VERSIONS", "migrate", "version_of"]

METADATA = MetaData()

KEYS = Table(
    "outlay_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("upstreams", Text, nullable=False),
    Column("created", DateTime, nullable=False),
    Column("expires", DateTime),
    Column("revoked", DateTime),
    Column("rotated", DateTime),
    Column("changed", BigInteger, nullable=False),
)
SECRETS = Table(
    "outlay_key_secrets",
    METADATA,
    Column("hash", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("hint", Text, nullable=False),
    Column("created", DateTime, nullable=False),
    Column("ends", DateTime),
)
AUDIT = Table(
    "outlay_key_audit",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
STATE = Table(
    "outlay_key_state",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("changes", BigInteger, nullable=False),
    Column("head", Text, nullable=False),
)
VERSIONS = Table(
    "outlay_key_versions",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", DateTime, nullable=False),
)

STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE outlay_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, tags TEXT NOT NULL, models TEXT NOT NULL,"
        " upstreams TEXT NOT NULL, created TIMESTAMP NOT NULL, expires TIMESTAMP, revoked TIMESTAMP,"
        " rotated TIMESTAMP, changed BIGINT NOT NULL)",
        "CREATE INDEX outlay_keys_changed ON outlay_keys (changed)",
        "CREATE TABLE outlay_key_secrets (hash TEXT PRIMARY KEY, key_id TEXT NOT NULL REFERENCES outlay_keys (id),"
        " number INTEGER NOT NULL, hint TEXT NOT NULL, created TIMESTAMP NOT NULL, ends TIMESTAMP,"
        " UNIQUE (key_id, number))",
        "CREATE TABLE outlay_key_audit (number BIGINT PRIMARY KEY, at TIMESTAMP NOT NULL, who TEXT NOT NULL,"
        " action TEXT NOT NULL, key_id TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL)",
        "CREATE TABLE outlay_key_state (one INTEGER PRIMARY KEY, changes BIGINT NOT NULL, head TEXT NOT NULL)",
        "INSERT INTO outlay_key_state (one, changes, head) VALUES (1, 0, '')",
    ),
)
"""Each takes a database from the version of its place to the next; both SQLite and PostgreSQL understand it."""

_VERSIONS = "CREATE TABLE IF NOT EXISTS outlay_key_versions (version INTEGER PRIMARY KEY, at TIMESTAMP NOT NULL)"
_LOCK = 0x6F75746C6179  # "outlay": any number that no other program takes in the same database


def migrate(database: Database, now: datetime) -> None:
    """Bring the database to this version; several processes may do so at once. Raises :class:`StateError`."""
    with database.reading() as connection:
        if version_of(connection, database.shown) == len(STEPS):
            return
    with database.writing() as connection:
        if database.is_postgresql():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.exec_driver_sql(_VERSIONS)
        for version in range(version_of(connection, database.shown), len(STEPS)):
            for statement in STEPS[version]:
                connection.exec_driver_sql(statement)
            connection.execute(VERSIONS.insert(), {"version": version + 1, "at": now})


def version_of(connection: Connection, shown: str) -> int:
    """The version of the tables, 0 where there are none. Refuses one that this program does not know."""
    if not inspect(connection).has_table(VERSIONS.name):
        return 0
    version: int = max(connection.execute(select(VERSIONS.c.version)).scalars(), default=0)
    if version > len(STEPS):
        raise StateError(
            f"is of version {version}, made by a newer Outlay; this one knows version {len(STEPS)}.",
            where=shown,
            hint="Update Outlay here, or name another database in [gateway] keys.",
        )
    return version
