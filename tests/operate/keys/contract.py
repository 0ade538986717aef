"""What keys must do wherever they are kept: the tests that SQLite and PostgreSQL both pass."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from outlay.errors import StateError, UsageError
from outlay.operate.keys import schema
from outlay.operate.keys.ring import KeyRing, Refused
from outlay.operate.keys.schema import METADATA, STEPS
from outlay.operate.keys.store import KeyStore
from outlay.operate.keys.virtual_key import NewKey, VirtualKey

NOW = datetime(2026, 11, 1, 12)
MS = 1_793_534_400_000
HOUR = 3_600_000
TAGS = {"team": "search", "use_case": "chat", "environment": "prod"}
SPITEFUL = 'Robert\'); DROP TABLE outlay_keys; -- "x" %s :id ? \\ 日本語 é 🔑'

Open = Callable[[], KeyStore]


def issue(store: KeyStore, new: NewKey | None = None, now: datetime = NOW) -> tuple[VirtualKey, str]:
    issued = store.create(new or NewKey(tags=TAGS), now=now, by="ann")
    return issued.key, issued.secret.reveal()


def reason(ring: KeyRing, secret: str, now: int = MS) -> str | None:
    """Why a secret is refused, None where it is let in."""
    found = ring.find(secret, now)
    return found.reason if isinstance(found, Refused) else None


class Contract:
    """Mixed in beside the fixtures ``address`` and ``folder``."""

    @pytest.fixture
    def open_store(self, address: str, folder: Path) -> Iterator[Open]:
        opened: list[KeyStore] = []

        def open_one() -> KeyStore:
            opened.append(KeyStore(address, now=NOW, folder=folder, create=True))
            return opened[-1]

        yield open_one
        for one in opened:
            one.close()

    @pytest.fixture
    def store(self, open_store: Open) -> KeyStore:
        return open_store()

    @pytest.fixture
    def ring(self, store: KeyStore) -> KeyRing:
        return KeyRing(store.database)

    def test_a_key_is_found_by_its_secret_with_all_that_it_stands_for(self, store: KeyStore, ring: KeyRing) -> None:
        new = NewKey("bot", TAGS | {"cost_center": "4711"}, ("gpt-5*",), ("openai",), NOW + timedelta(days=90))
        key, secret = issue(store, new)
        ring.refresh()
        found = ring.find(secret, MS)

        assert found == key == store.all_keys()[0]
        assert (key.name, dict(key.tags), key.models, key.upstreams) == (new.name, new.tags, new.models, new.upstreams)
        assert (key.created, key.expires, key.revoked, key.rotated) == (NOW, new.expires, None, None)
        assert key.attributes == {**new.tags, "key": key.id}
        assert ring.find(secret.encode(), MS) == key
        assert ring.wrong is None

    def test_a_rotation_leaves_no_gap(self, store: KeyStore, ring: KeyRing) -> None:
        key, old = issue(store)
        issued = store.rotate(key.id, now=NOW, by="ann", grace=timedelta(hours=2))
        new = issued.secret.reveal()
        ring.refresh()

        assert [reason(ring, one, MS + 2 * HOUR - 1) for one in (old, new)] == [None, None]
        assert [reason(ring, one, MS + 2 * HOUR) for one in (old, new)] == ["replaced", None]
        assert issued.key.state(NOW) == "rotating"
        assert issued.key.old_until(NOW) == NOW + timedelta(hours=2)
        assert issued.key.state(NOW + timedelta(hours=2)) == "active"
        refused = ring.find(old, MS + 2 * HOUR)
        assert isinstance(refused, Refused)
        assert f"Use the secret that ends in {new[-4:]}." in str(refused)
        assert "14:00:00" in str(refused)

    def test_no_grace_ends_every_earlier_secret(self, store: KeyStore, ring: KeyRing) -> None:
        key, first = issue(store)
        second = store.rotate(key.id, now=NOW, by="ann").secret.reveal()
        third = store.rotate(key.id, now=NOW, by="ann", grace=timedelta(0)).secret.reveal()
        ring.refresh()

        assert [reason(ring, one) for one in (first, second, third)] == ["replaced", "replaced", None]

    def test_a_second_rotation_does_not_prolong_the_first_secret(self, store: KeyStore, ring: KeyRing) -> None:
        key, first = issue(store)
        second = store.rotate(key.id, now=NOW, by="ann", grace=timedelta(hours=1)).secret.reveal()
        store.rotate(key.id, now=NOW, by="ann", grace=timedelta(hours=5))
        ring.refresh()

        assert [reason(ring, one, MS + 2 * HOUR) for one in (first, second)] == ["replaced", None]

    def test_a_rotation_can_move_the_end_of_a_key_but_not_of_its_old_secret(
        self, store: KeyStore, ring: KeyRing
    ) -> None:
        key, old = issue(store, NewKey(expires=NOW + timedelta(hours=1)))
        issued = store.rotate(key.id, now=NOW, by="ann", expires=NOW + timedelta(days=90))
        ring.refresh()

        assert issued.key.expires == NOW + timedelta(days=90)
        assert [reason(ring, one, MS + HOUR) for one in (old, issued.secret.reveal())] == ["replaced", None]

    def test_a_key_ends_at_its_expiry_and_not_before(self, store: KeyStore, ring: KeyRing) -> None:
        key, secret = issue(store, NewKey(expires=NOW + timedelta(hours=1)))
        ring.refresh()

        assert [reason(ring, secret, MS + HOUR + step) for step in (-1, 0)] == [None, "expired"]
        assert key.state(NOW) == "expires soon"
        assert key.state(NOW + timedelta(hours=1)) == "expired"
        with pytest.raises(UsageError, match=f"the key {key.id} is expired, so it can't be rotated"):
            store.rotate(key.id, now=NOW + timedelta(hours=1), by="ann")

    def test_a_revocation_holds_for_all_secrets_whatever_the_clock_says(self, store: KeyStore, ring: KeyRing) -> None:
        key, first = issue(store)
        second = store.rotate(key.id, now=NOW, by="ann").secret.reveal()
        ring.refresh()
        revoked = store.revoke(key.id, now=NOW, by="bob", why="leaked")
        ring.refresh()

        for clock in (0, MS - 365 * 24 * HOUR, MS, MS + 365 * 24 * HOUR):
            assert [reason(ring, one, clock) for one in (first, second)] == ["revoked", "revoked"]
        assert revoked.revoked == NOW
        assert store.revoke(key.id, now=NOW + timedelta(days=1), by="bob") == revoked
        with pytest.raises(UsageError, match="is revoked"):
            store.rotate(key.id, now=NOW, by="ann")

    def test_a_key_made_by_a_host_whose_clock_is_ahead_works_at_once(self, store: KeyStore, ring: KeyRing) -> None:
        _, secret = issue(store, now=NOW + timedelta(days=2))
        ring.refresh()

        assert reason(ring, secret) is None

    def test_what_others_changed_is_seen_at_the_next_look(self, open_store: Open) -> None:
        here, there = open_store(), open_store()
        ring = KeyRing(here.database)
        ring.refresh()
        secrets = []
        for _ in range(5):
            key, secret = issue(there)
            ring.refresh()
            secrets.append(secret)
            assert [reason(ring, one) for one in secrets] == [None] * len(secrets)
        there.revoke(key.id, now=NOW, by="ann")
        ring.refresh()

        assert [reason(ring, one) for one in secrets] == [None] * 4 + ["revoked"]

    def test_another_database_in_its_place_is_read_anew(self, store: KeyStore, ring: KeyRing) -> None:
        _, first = issue(store)
        ring.refresh()
        with store.database.writing() as connection:  # as a backup of before that key, with others made since
            for table in ("outlay_key_secrets", "outlay_keys", "outlay_key_audit"):
                connection.execute(text(f"DELETE FROM {table}"))
            connection.execute(text("UPDATE outlay_key_state SET changes = 0, head = ''"))
        _, second = issue(store)
        _, third = issue(store)
        ring.refresh()

        assert [reason(ring, one) for one in (first, second, third)] == ["unknown", None, None]

    def test_changes_from_many_at_once_are_all_kept_and_logged_in_one_chain(self, open_store: Open) -> None:
        stores = [open_store() for _ in range(4)]
        shared, _ = issue(stores[0])

        def work(store: KeyStore) -> list[str]:
            secrets = []
            for number in range(5):
                key, secret = issue(store)
                secrets += [secret, store.rotate(shared.id, now=NOW, by="ann").secret.reveal()]
                if number % 2:
                    store.revoke(key.id, now=NOW, by="ann")
            return secrets

        with ThreadPoolExecutor(4) as pool:
            secrets = [one for some in pool.map(work, stores) for one in some]
        ring = KeyRing(stores[0].database)
        ring.refresh()
        entries, intact = stores[0].audit()

        assert intact
        assert [one.number for one in entries] == list(range(1, 1 + 1 + 4 * (5 + 5 + 2)))
        assert len(ring) == len(set(secrets)) + 1
        reasons = [reason(ring, one) for one in secrets]
        assert (reasons.count(None), reasons.count("revoked")) == (32, 8)

    def test_processes_that_start_at_once_make_one_database(self, address: str, folder: Path) -> None:
        script = (
            "import sys; from datetime import datetime; from pathlib import Path\n"
            "from outlay.operate.keys.store import KeyStore\n"
            "from outlay.operate.keys.virtual_key import NewKey\n"
            "now = datetime(2026, 11, 1)\n"
            "store = KeyStore(sys.argv[1], now=now, folder=Path(sys.argv[2]), create=True)\n"
            "for _ in range(3): print(store.create(NewKey(), now=now, by='p').secret.reveal())\n"
        )
        started = [
            subprocess.Popen([sys.executable, "-c", script, address, str(folder)], stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        secrets = [line for one in started for line in one.communicate(timeout=120)[0].split()]
        store = KeyStore(address, now=NOW, folder=folder)
        ring = KeyRing(store.database)
        ring.refresh()

        assert [one.returncode for one in started] == [0] * 4
        assert [reason(ring, one) for one in secrets] == [None] * 12
        assert store.audit()[1]
        store.close()

    def test_text_is_kept_as_it_was_given(self, store: KeyStore) -> None:
        new = NewKey(SPITEFUL, {SPITEFUL[:60]: SPITEFUL}, (SPITEFUL,), (SPITEFUL,))
        key, _ = issue(store, new)
        store.revoke(key.id, now=NOW, by=SPITEFUL, why=SPITEFUL)
        (kept,) = store.all_keys()
        entries, intact = store.audit()

        assert (kept.name, dict(kept.tags), kept.models) == (new.name, new.tags, new.models)
        assert intact
        assert (entries[-1].who, entries[-1].detail["why"]) == (SPITEFUL, SPITEFUL)

    @pytest.mark.parametrize("id", [SPITEFUL, "' OR 1=1 --", "", "*", "kq3v7n2mxa", "x" * 1000, "a\nb"])
    def test_an_id_that_is_none_changes_nothing(self, store: KeyStore, id: str) -> None:
        issue(store)
        with pytest.raises(UsageError, match=r"there is no key kq3v7n2mxa\.|that is no id of a key\."):
            store.revoke(id, now=NOW, by="ann")

        assert [key.revoked for key in store.all_keys()] == [None]
        assert len(store.audit()[0]) == 1

    def test_a_key_can_be_named_by_a_secret_that_was_found(self, store: KeyStore) -> None:
        key, secret = issue(store)

        assert store.revoke(secret, now=NOW, by="ann").id == key.id

    def test_the_log_says_who_did_what(self, store: KeyStore) -> None:
        key, _ = issue(store, NewKey("bot", TAGS))
        store.rotate(key.id, now=NOW + timedelta(hours=1), by="bob")
        store.revoke(key.id, now=NOW + timedelta(hours=2), by="eve", why="leaked")
        entries, intact = store.audit()

        assert intact
        assert [(one.who, one.action, one.key_id) for one in entries] == [
            ("ann", "created", key.id),
            ("bob", "rotated", key.id),
            ("eve", "revoked", key.id),
        ]
        assert entries[0].detail["tags"] == TAGS
        assert entries[1].detail == {"old_until": "2026-11-02T13:00:00Z", "expires": None}
        assert entries[2].detail == {"why": "leaked"}

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE outlay_key_audit SET who = 'nobody' WHERE number = 2",
            "UPDATE outlay_key_audit SET detail = '{}' WHERE number = 2",
            "DELETE FROM outlay_key_audit WHERE number = 2",
            "DELETE FROM outlay_key_audit WHERE number = 3",
            "UPDATE outlay_key_state SET head = 'x'",
        ],
    )
    def test_a_log_that_was_changed_shows_it(self, store: KeyStore, change: str) -> None:
        for _ in range(3):
            issue(store)
        with store.database.writing() as connection:
            connection.execute(text(change))
        entries, intact = store.audit()

        assert not intact
        assert entries[0].intact

    def test_a_row_changed_by_hand_bars_its_key_alone(self, store: KeyStore, ring: KeyRing) -> None:
        key, good = issue(store)
        bad, secret = issue(store)
        ring.refresh()
        with store.database.writing() as connection:
            connection.execute(text(f"UPDATE outlay_keys SET tags = '[1]', changed = 3 WHERE id = '{bad.id}'"))
        store.rotate(key.id, now=NOW, by="ann")
        ring.refresh()

        assert [reason(ring, one) for one in (good, secret)] == [None, "unavailable"]
        assert ring.wrong == f"keys whose rows can't be read, and which are refused: {bad.id}"
        with pytest.raises(StateError, match=f"the row of key {bad.id} can't be read"):
            store.all_keys()
        with store.database.writing() as connection:
            connection.execute(text(f"UPDATE outlay_keys SET tags = '{{}}', changed = 4 WHERE id = '{bad.id}'"))
        store.rotate(key.id, now=NOW, by="ann")
        ring.refresh()

        assert reason(ring, secret) is None
        assert ring.wrong is None

    def test_a_key_without_its_secrets_is_told_of(self, store: KeyStore) -> None:
        key, _ = issue(store)
        with store.database.writing() as connection:
            connection.execute(text("DELETE FROM outlay_key_secrets"))
        with pytest.raises(StateError, match=f"the row of key {key.id} can't be read"):
            store.all_keys()

    def test_the_tables_are_those_that_the_program_knows(self, store: KeyStore) -> None:
        with store.database.reading() as connection:
            found = inspect(connection)
            for table in METADATA.sorted_tables:
                assert [one["name"] for one in found.get_columns(table.name)] == [one.name for one in table.columns]

    def test_an_older_database_is_brought_forward_once_and_a_newer_one_refused(
        self, open_store: Open, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, secret = issue(open_store())
        before = STEPS
        with monkeypatch.context() as patch:
            patch.setattr(schema, "STEPS", (*before, ("ALTER TABLE outlay_keys ADD COLUMN note TEXT",)))
            for _ in range(2):
                newer = open_store()
            with newer.database.reading() as connection:
                assert schema.version_of(connection, "") == len(before) + 1
                assert "note" in {one["name"] for one in inspect(connection).get_columns("outlay_keys")}
            ring = KeyRing(newer.database)
            ring.refresh()
            assert reason(ring, secret) is None
        with pytest.raises(StateError, match=r"is of version 2, made by a newer Outlay.*Update Outlay here"):
            KeyStore(address, now=NOW, folder=folder)
        older_program = KeyRing(newer.database)
        older_program.refresh()
        assert "newer Outlay" in (older_program.wrong or "")
        assert reason(older_program, secret) == "unavailable"

    def test_a_step_that_fails_changes_nothing(self, open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        store = open_store()
        steps = (*STEPS, ("ALTER TABLE outlay_keys ADD COLUMN note TEXT", "ALTER TABLE no_table ADD COLUMN x TEXT"))
        with monkeypatch.context() as patch:
            patch.setattr(schema, "STEPS", steps)
            with pytest.raises(StateError, match="no_table"):
                open_store()
        issue(store)

        with store.database.reading() as connection:
            assert "note" not in {one["name"] for one in inspect(connection).get_columns("outlay_keys")}

    def test_neither_secret_nor_hash_is_in_what_a_database_error_says(self, store: KeyStore, ring: KeyRing) -> None:
        _, secret = issue(store)
        ring.refresh()
        with store.database.writing() as connection:
            connection.execute(text("DROP TABLE outlay_key_secrets"))
        with pytest.raises(StateError) as raised:
            issue(store)

        said = f"{raised.value} {raised.value!r} {raised.value.__cause__} {ring.wrong}"
        assert "outlay_key_secrets" in said
        assert "INSERT" not in said
        assert "parameters" not in said
        assert raised.value.__suppress_context__
        assert reason(ring, secret) is None
