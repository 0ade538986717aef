"""The keys in memory, for the path that every call takes: one hash and one look into a dictionary.

The dictionary goes from the SHA-256 of a secret to its key. It is never changed, but replaced by one with what is new,
so that a reader needs no lock. Comparing hashes this way tells an attacker nothing by its time: to learn where a
comparison stopped is to learn about the hash of a guess, and nobody can choose guesses by their hash. Whether a key is
good is told anyway.

A thread asks every second how many changes the database has had, which is one row, and reads the keys that were
changed since. The last audit entry that was read must still be there: if it is not, another database has taken the
place of this one (a backup, say), and all keys are read anew. Where the database can't be reached the ring serves what
it has, and ``wrong`` says so; a key that was revoked meanwhile works until it is back.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, select

from outlay.errors import OutlayError
from outlay.operate.keys.database import Database
from outlay.operate.keys.rows import Stored, read_keys
from outlay.operate.keys.schema import AUDIT, STATE, migrate, version_of
from outlay.operate.keys.secret import LONGEST, PREFIX, digest, is_well_formed
from outlay.operate.keys.virtual_key import VirtualKey

__all__ = ["POLL_SECONDS", "KeyRing", "Reason", "Refused"]

POLL_SECONDS = 1.0
_STALE_SECONDS = 5.0
"""A poll that takes longer than this is told of as if it had failed."""
_NEVER = 1 << 63

Reason = Literal["unknown", "expired", "revoked", "replaced", "unavailable"]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a secret is not let in, in words for who sent it. ``unavailable`` is our fault: to be tried again later."""

    reason: Reason
    why: str
    hint: str
    key: VirtualKey | None = None

    def __str__(self) -> str:
        return f"{self.why} {self.hint}"


@dataclass(frozen=True, slots=True)
class _Seen:
    """How far the database was read: so many changes, the last of which has this hash."""

    changes: int
    head: str


_Entry = tuple[VirtualKey, int]
"""A key, and the millisecond since 1970 from which the secret works no more; -1 for one that was revoked."""


class KeyRing:
    """The keys of a database, kept current by :meth:`watch`. Any number of threads may ask :meth:`find`.

    It can be made while the database is away: then no key is known until it is back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: dict[bytes, _Entry] = {}
        self._seen: _Seen | None = None
        self._unreadable: frozenset[str] = frozenset()
        self._failure: str | None = None
        self._failing_since: str | None = None
        self._asked: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def wrong(self) -> str | None:
        """Why keys may be out of date, and since when; None while they are current."""
        asked = self._asked
        if self._failure is not None:
            served = f"{len(self._entries):,} secrets are served from memory" if self._seen else "no key is known yet"
            return f"keys can't be read since {self._failing_since}, {served}: {self._failure}"
        if asked is not None and (waited := time.monotonic() - asked) > _STALE_SECONDS:
            return f"keys can't be read: {self._database.shown} has not answered for {waited:.0f} s"
        if self._unreadable:
            return f"keys whose rows can't be read, and which are refused: {', '.join(sorted(self._unreadable))}"
        return None

    def find(self, secret: str | bytes, now: int) -> VirtualKey | Refused:
        """The key that a secret stands for. ``now`` is in milliseconds since 1970."""
        if len(secret) > LONGEST:
            return _unknown(None)
        entry = self._entries.get(digest(secret))
        if entry is not None and now < entry[1]:
            return entry[0]
        return self._refused(secret, entry, now)

    def refresh(self) -> None:
        """Read what was changed since the last time. Raises nothing: ``wrong`` says what could not be done."""
        self._asked = time.monotonic()
        try:
            if self._seen is None:
                migrate(self._database, datetime.now(UTC).replace(tzinfo=None))
            with self._database.reading() as connection:
                self._read(connection)
        except OutlayError as error:
            self._failed(str(error))
        except Exception as error:  # the thread must go on, and the message may hold anything
            self._failed(f"{type(error).__name__} in {self._database.shown}")
        else:
            self._failure = self._failing_since = None
        self._asked = None

    def watch(self, every: float = POLL_SECONDS) -> None:
        """Refresh in a thread of its own until :meth:`close`."""

        def run() -> None:
            while not self._stop.wait(every):
                self.refresh()

        self._thread = threading.Thread(target=run, name="outlay-keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching. The database is its owner's to close."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _failed(self, why: str) -> None:
        self._failing_since = self._failing_since or f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        self._failure = why

    def _read(self, connection: Connection) -> None:
        seen = self._seen
        now = _Seen(*connection.execute(select(STATE.c.changes, STATE.c.head)).one())
        if now == seen:
            return
        version_of(connection, self._database.shown)
        lost: list[str] = []
        goes_on = seen is not None and _is_past_of(seen, connection)
        if seen is not None and goes_on:
            changed = read_keys(connection, seen.changes, lost)
            entries = {**self._entries, **dict(_entries(changed))}
        else:
            with _no_collections():
                changed = read_keys(connection, 0, lost)
                entries = dict(_entries(changed))
        if lost:
            entries = {hash: entry for hash, entry in entries.items() if entry[0].id not in lost}
        mended = {key.id for key, _ in changed}
        self._unreadable = frozenset({*(self._unreadable - mended if goes_on else ()), *lost})
        self._entries, self._seen = entries, now

    def _refused(self, secret: str | bytes, entry: _Entry | None, now: int) -> Refused:
        if entry is None:
            text = secret.decode("ascii", "replace") if isinstance(secret, bytes) else secret
            if self.wrong is not None and is_well_formed(text):
                return Refused("unavailable", "this key can't be checked right now.", "Try again in a few seconds.")
            return _unknown(text)
        key = entry[0]
        if key.revoked is not None:
            return Refused("revoked", f"the key {key.id} was revoked.", "Ask who gave it to you for another.", key)
        if key.expires is not None and _ms(key.expires) <= now:
            why = f"the key {key.id} expired at {key.expires:%Y-%m-%d %H:%M:%S} UTC."
            return Refused("expired", why, "Ask who gave it to you for another.", key)
        ended = datetime.fromtimestamp(entry[1] / 1000, UTC)
        why = f"the key {key.id} has a newer secret, and this one ended at {ended:%Y-%m-%d %H:%M:%S} UTC."
        return Refused("replaced", why, f"Use the secret that ends in {key.hint}.", key)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Of 100,000 keys that are read at once none is garbage: looking for some in between takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _is_past_of(seen: _Seen, connection: Connection) -> bool:
    """Whether what was read is the past of what is there now."""
    if seen.changes == 0:
        return False
    return connection.execute(select(AUDIT.c.hash).where(AUDIT.c.number == seen.changes)).scalar() == seen.head


def _entries(changed: Iterable[Stored]) -> Iterable[tuple[bytes, _Entry]]:
    for key, hashes in changed:
        dies = _NEVER if key.expires is None else _ms(key.expires)
        for hash, secret in zip(hashes, key.secrets, strict=True):
            ends = -1 if key.revoked is not None else dies
            if secret.ends is not None:
                ends = min(ends, _ms(secret.ends))
            yield hash, (key, ends)


def _unknown(text: str | None) -> Refused:
    if text is None or not text.startswith(PREFIX):
        why = f"this is no virtual key of Outlay, which begins with {PREFIX}."
        hint = "Send one, not a provider's own key."
    elif is_well_formed(text):
        why, hint = "this key is not known here.", "Is it another gateway's? Ask who gave it to you."
    else:
        why, hint = "this key is incomplete or mistyped: its last characters do not fit.", "Copy it again, whole."
    return Refused("unknown", why, hint)


_EPOCH = datetime(1970, 1, 1)


def _ms(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
