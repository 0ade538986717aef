"""Keys in an SQLite file: the contract, a file that only its owner reads, and no secret in it or anywhere else."""

from __future__ import annotations

import gc
import logging
import os
import sqlite3
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from outlay.errors import ConfigError, StateError, UsageError
from outlay.operate.keys.database import Database
from outlay.operate.keys.ring import KeyRing
from outlay.operate.keys.secret import Secret
from outlay.operate.keys.store import KeyStore
from tests.operate.keys.contract import MS, NOW, Contract, issue, reason


class TestSqlite(Contract):
    """The contract, in a file."""

    @pytest.fixture
    def address(self) -> str:
        return "sqlite:///keys.db"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path


def opened(folder: Path, address: str = "sqlite:///keys.db") -> KeyStore:
    return KeyStore(address, now=NOW, folder=folder, create=True)


def test_a_new_file_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(opened(tmp_path, "sqlite:///new/keys.db")) as store, store.database.writing() as connection:
            connection.exec_driver_sql("UPDATE outlay_key_state SET head = head")
            modes = {one.name: one.stat().st_mode & 0o777 for one in (tmp_path / "new").iterdir()}
    finally:
        os.umask(before)

    assert modes == {"keys.db": 0o600, "keys.db-shm": 0o600, "keys.db-wal": 0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_no_byte_of_a_secret_is_in_the_files(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store, store.database.reading():
        key, first = issue(store)
        second = store.rotate(key.id, now=NOW, by="ann").secret.reveal()
        store.revoke(first, now=NOW, by="ann")
        held = b"".join(one.read_bytes() for one in sorted(tmp_path.iterdir()))

    assert key.id.encode() in held
    for secret in (first, second):
        assert secret.encode() not in held
        assert secret[15:-6].encode() not in held
        assert secret[15:27].encode() not in held


def test_a_secret_shows_in_no_text_log_or_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sqlalchemy")
    said = []
    with closing(opened(tmp_path)) as store:
        key, first = issue(store)
        made = store.rotate(key.id, now=NOW, by="ann")
        second = made.secret.reveal()
        ring = KeyRing(store.database)
        ring.refresh()
        for wrong_id in (first[:-1] + "\n", "x" + first, first[15:]):
            try:
                store.rotate(wrong_id, now=NOW, by="ann\n" if wrong_id.endswith("\n") else "ann")
            except UsageError:
                said.append(traceback.format_exc())
        refused = [ring.find(one, MS) for one in (first[:-1], first + "?", first * 9, second[:40])]
        said += [repr([made, made.secret, store, ring, ring.find(first, MS), refused]), f"{made.secret} {refused[0]}"]
        said += [repr(store.all_keys()), repr(store.audit())]

    assert len(said) == 7
    assert "INSERT INTO outlay_key_secrets" in caplog.text
    for secret in (first, second):
        assert secret[15:40] not in "".join(said) + caplog.text
        assert Secret(secret).digest.hex() not in "".join(said)


def test_keys_are_served_from_memory_while_the_file_is_away(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    with closing(opened(tmp_path)) as store:
        key, secret = issue(store)
        ring = KeyRing(store.database)
        ring.refresh()
        path.rename(tmp_path / "away.db")
        ring.refresh()
        since = ring.wrong
        ring.refresh()

        assert reason(ring, secret) is None
        assert reason(ring, Secret.new("kq3v7n2mxa").reveal()) == "unavailable"
        assert reason(ring, "olk_kq3v7n2mxa_x") == "unknown"
        assert since == ring.wrong
        assert "1 secrets are served from memory" in (since or "")
        assert "keys.db: is not there" in (since or "")
        assert not path.exists()

        (tmp_path / "away.db").rename(path)
        store.revoke(key.id, now=NOW, by="ann")
        ring.refresh()
        assert ring.wrong is None
        assert reason(ring, secret) == "revoked"
        assert reason(ring, Secret.new("kq3v7n2mxa").reveal()) == "unknown"


def test_a_ring_without_a_database_says_so_and_finds_it_when_it_comes(tmp_path: Path) -> None:
    database = Database("sqlite:///keys.db", tmp_path)
    ring = KeyRing(database)
    assert reason(ring, Secret.new("kq3v7n2mxa").reveal()) == "unknown"
    ring.refresh()
    assert "no key is known yet" in (ring.wrong or "")
    with closing(opened(tmp_path)) as store:
        _, secret = issue(store)
        assert reason(ring, secret) == "unavailable"
        ring.refresh()
        assert reason(ring, secret) is None


def test_a_revoked_key_stops_within_two_seconds(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store, closing(opened(tmp_path)) as elsewhere:
        key, secret = issue(store)
        ring = KeyRing(store.database)
        ring.refresh()
        with closing(ring):
            ring.watch()
            elsewhere.revoke(key.id, now=NOW, by="ann")
            done = time.monotonic()
            while reason(ring, secret) is None and time.monotonic() < done + 10:
                time.sleep(0.02)
            took = time.monotonic() - done

    assert reason(ring, secret) == "revoked"
    assert took < 2


def test_a_locked_file_is_waited_for_by_writers_and_not_by_readers(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store, closing(sqlite3.connect(tmp_path / "keys.db")) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        ring = KeyRing(store.database)
        ring.refresh()
        assert ring.wrong is None
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(issue, store)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
            other.execute("ROLLBACK")
            assert waiting.result(30)


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_text("not a database, but long enough to be taken for the header of one" * 20)
    with pytest.raises(StateError, match=r"keys\.db: can't be opened: file is not a database"):
        opened(tmp_path)
    with pytest.raises(StateError, match=r"none\.db: is not there\. `outlay keys create` makes it"):
        KeyStore("sqlite:///none.db", now=NOW, folder=tmp_path)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    "address",
    [
        "hello",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///k.db?mode=ro",
        "mysql://ann:hunter2@host/db",
        "postgresql://ann:hunter2@host:port/db",
    ],
)
def test_an_address_that_cant_be_used_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(
        ConfigError, match=r"\[gateway\] keys: .* Write sqlite:///outlay-keys\.db, or postgresql:"
    ) as told:
        Database(address)
    assert "hunter2" not in f"{told.value} {told.value!r}"


def test_a_path_is_relative_to_the_settings(tmp_path: Path) -> None:
    assert Database("sqlite:///a/k.db", tmp_path).path == tmp_path / "a/k.db"
    assert Database(f"sqlite:///{tmp_path}/k.db", Path("elsewhere")).path == tmp_path / "k.db"


def test_names_of_files_are_not_taken_for_options(tmp_path: Path) -> None:
    folder = tmp_path / "a?mode=memory#x %41"
    with closing(opened(folder)) as store:
        issue(store)
    assert (folder / "keys.db").exists()


def test_the_newest_key_is_listed_first(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        made = [issue(store, now=NOW + timedelta(hours=hour))[0].id for hour in (1, 0, 2)]
        assert [key.id for key in store.all_keys()] == [made[2], made[0], made[1]]


def test_reading_all_keys_leaves_the_collector_as_it_was(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        issue(store)
        KeyRing(store.database).refresh()
        assert gc.isenabled()
        gc.disable()
        try:
            KeyRing(store.database).refresh()
            assert not gc.isenabled()
        finally:
            gc.enable()
