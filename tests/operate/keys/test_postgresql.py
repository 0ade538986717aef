"""Keys in PostgreSQL: the contract on a real server, and what happens when that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from outlay.errors import StateError
from outlay.operate.keys.ring import KeyRing
from outlay.operate.keys.secret import Secret
from outlay.operate.keys.store import KeyStore
from tests.operate.keys.contract import NOW, Contract, issue, reason
from tests.operate.keys.postgres_server import PostgresServer

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def address(server: PostgresServer) -> str:
    return server.make_database(f"keys{next(_NUMBERS)}")


class TestPostgresql(Contract):
    """The contract, on a server."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path


def test_keys_are_served_from_memory_while_the_server_is_away(server: PostgresServer, address: str) -> None:
    with closing(KeyStore(address, now=NOW)) as store:
        key, secret = issue(store)
        ring = KeyRing(store.database)
        ring.refresh()
        server.stop()
        try:
            for _ in range(2):
                ring.refresh()
                assert reason(ring, secret) is None
                assert reason(ring, Secret.new("kq3v7n2mxa").reveal()) == "unavailable"
                assert "1 secrets are served from memory" in (ring.wrong or "")
            late = KeyRing(store.database)
            late.refresh()
            assert reason(late, secret) == "unavailable"
            with pytest.raises(StateError, match="Is the server up"):
                store.revoke(key.id, now=NOW, by="ann")
        finally:
            server.start()
        store.revoke(key.id, now=NOW, by="ann")
        for one in (ring, late):
            one.refresh()
            assert one.wrong is None
            assert reason(one, secret) == "revoked"


def test_a_password_is_in_no_message(server: PostgresServer) -> None:
    address = server.address("nowhere").replace("outlay@", "outlay:hunter2@")
    with pytest.raises(StateError, match='database "nowhere" does not exist') as told:
        KeyStore(address, now=NOW)
    assert "hunter2" not in f"{told.value} {told.value!r}"
    assert "outlay:***@" in str(told.value)
