"""The database that keys are kept in: SQLite in a file of its own, PostgreSQL where several hosts share it.

A new SQLite file can be read by its owner alone. It is in WAL mode, so that readers wait for nobody, and is opened
anew each time: a file that was moved away and put back is then the one that is read. Every transaction that writes
takes the write lock first and waits for it, so that none fails half-way because another was quicker.

Errors of the driver carry statements, values and sometimes the address with its password; none of that is passed on.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from outlay.disk import make_folder
from outlay.errors import ConfigError, MissingExtraError, StateError

__all__ = ["Database"]

_BUSY_SECONDS = 20
_CONNECT_SECONDS = 5
_STATEMENT_MS = 10_000
_WRITES = "outlay_writes"
_WHERE = "[gateway] keys"


class Database:
    """The database at an SQLAlchemy address. A relative SQLite path is one in ``folder``.

    Raises :class:`ConfigError` for an address that can't be used and :class:`MissingExtraError` without its driver.
    """

    def __init__(self, address: str, folder: Path = Path()) -> None:
        url = _parsed(address)
        self.path: Path | None = folder / url.database if url.database and url.drivername == "sqlite" else None
        self.shown = url.render_as_string(hide_password=True) if self.path is None else str(self.path)
        self._engine = _postgresql(url) if self.path is None else _sqlite(self.path)

    def exists(self) -> bool:
        """Whether there is a file; a PostgreSQL database has to be there anyway."""
        return self.path is None or self.path.exists()

    def create(self) -> None:
        """Make the SQLite file, unless it is there; a PostgreSQL database is its owner's to make."""
        if self.path is not None:
            try:
                make_folder(self.path.parent)
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                _to_wal(self.path)
            except (OSError, sqlite3.Error) as error:
                raise StateError(
                    f"can't be opened: {error}.",
                    where=self.shown,
                    hint="Is it a database, or may this user make one there?",
                ) from None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with. What goes wrong is a :class:`StateError`."""
        with self._told(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is kept when the block ends, and undone when it raises."""
        with self._told(), self._engine.connect() as connection:
            connection.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    def is_postgresql(self) -> bool:
        """Whether statements that only PostgreSQL knows can be used."""
        return self.path is None

    def close(self) -> None:
        """Let go of its connections."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        if not self.exists():
            raise StateError(
                "is not there.", where=self.shown, hint="`outlay keys create` makes it; or check --config."
            )
        try:
            yield
        except DBAPIError as error:
            raise StateError(f"{_first_line(error.orig)}.", where=self.shown, hint=self._advice()) from None
        except (SQLAlchemyError, UnicodeError) as error:
            raise StateError(f"can't be used: {type(error).__name__}.", where=self.shown, hint=self._advice()) from None

    def _advice(self) -> str:
        if self.is_postgresql():
            return "Is the server up, and may this user use the database?"
        return "Is it a database of keys, on a disk that is not full, and may this user write it?"


def _parsed(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ConfigError("is no address of a database.", where=_WHERE, hint=_EXAMPLES) from None
    kind = url.get_backend_name()
    if kind == "sqlite":
        plain = url.drivername in ("sqlite", "sqlite+pysqlite")
        if not url.database or url.database == ":memory:" or url.query or not plain:
            raise ConfigError("names no SQLite file alone.", where=_WHERE, hint=_EXAMPLES)
        return url.set(drivername="sqlite")
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise ConfigError(f"'{kind}' is no database that keys can be kept in.", where=_WHERE, hint=_EXAMPLES)


_EXAMPLES = "Write sqlite:///outlay-keys.db, or postgresql://user@host/database."


def _sqlite(path: Path) -> Engine:
    def connect() -> sqlite3.Connection:
        # Never made here: what is gone is an error, not a new database without keys.
        found = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_SECONDS,
            check_same_thread=False,
        )
        found.execute("PRAGMA synchronous=FULL")
        return found

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    defaults: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "tcp_user_timeout": _STATEMENT_MS,
        "client_encoding": "utf8",
        "application_name": "outlay keys",
    }
    arguments = {name: value for name, value in defaults.items() if name not in url.query}
    try:
        engine = create_engine(
            url,
            # A pooler between us and the server may hand each transaction to another of its connections.
            connect_args={**arguments, "prepare_threshold": None},
            isolation_level="READ COMMITTED",
            pool_size=1,
            max_overflow=4,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ImportError:
        raise MissingExtraError(
            "keys in PostgreSQL need the package psycopg.", hint="Run: pip install 'psycopg[binary]'"
        ) from None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_STATEMENT_MS}")

    return engine


def _to_wal(path: Path) -> None:
    """Set once, kept in the file. Where several processes do it at once, SQLite tells some that it is locked."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        database = sqlite3.connect(path, timeout=_BUSY_SECONDS)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        finally:
            database.close()


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or ["it gave no reason"])[0].rstrip(".")
