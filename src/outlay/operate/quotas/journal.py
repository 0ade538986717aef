"""The journal of the holds: an SQLite file that is on the disk before a call goes out.

One thread writes. It takes all that waits, writes it as one transaction and syncs once, so that the more calls come at
a time the fewer syncs each costs. A settlement, what it changed and the event that tells of it are one transaction:
none of them can be there without the others. Events go on to whoever takes them (``relay``) and are removed when that
one has them, so that each arrives at least once, and more than once only after a crash; they carry the id of their
hold, by which the ledger takes them up once.

A batch is handed to SQLite as JSON in a few statements, not row by row: every call into SQLite gives Python's lock away
and has to win it back. Its events are lines, and a row holds as many as came at a time.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from outlay.disk import Lock
from outlay.errors import LedgerError
from outlay.operate.quotas.ask import Held
from outlay.operate.quotas.book import Change, Late, Stop
from outlay.operate.quotas.quota import Scope

__all__ = ["Journal", "Kept", "Relay"]

_VERSION = 3
_LIVE, _RAN_OUT = 0, 1
_RELAYED_BYTES = 4 << 20
_ROW_BYTES = 1 << 20
_TAKEN = "Is it another gateway? Stop that one, or give this one a file of its own: [gateway] state and spool."
_BUSY_SECONDS = 2.0
_MOMENT = 0.05
_MOST_WAITING = 500

Relay = Callable[[Sequence[bytes]], None]
"""Takes events over, each a line; returns when they are safe there, raises where not: they are offered again."""

_TABLES = """
CREATE TABLE IF NOT EXISTS holds (id TEXT PRIMARY KEY, state INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
  counter TEXT NOT NULL, bucket INTEGER NOT NULL, spent TEXT NOT NULL, PRIMARY KEY (counter, bucket)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, lines BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS stops (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""
_HOLDS = "INSERT OR REPLACE INTO holds SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)"
_SETTLED = "DELETE FROM holds WHERE id IN (SELECT value FROM json_each(?))"
_SPENT = "INSERT OR REPLACE INTO spent SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)"
_GONE = "DELETE FROM spent WHERE (counter, bucket) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
_STOPS = "INSERT OR REPLACE INTO stops SELECT value ->> 0, value ->> 1 FROM json_each(?)"
_RESUMED = "DELETE FROM stops WHERE id IN (SELECT value FROM json_each(?))"
_EVENTS = "INSERT INTO events VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a journal holds when it is opened: what is spent, the holds under way, those that ran out, and the stops."""

    changes: tuple[Change, ...]
    live: tuple[Held, ...]
    late: tuple[Late, ...]
    stops: tuple[Stop, ...]


@dataclass(slots=True)
class _Batch:
    """What waits to be written. Told in the order in which it came; of one key the last word counts."""

    holds: dict[str, Held | Late | None] = field(default_factory=dict)  # None: settled
    spent: dict[tuple[str, int], int | None] = field(default_factory=dict)  # None: gone
    stops: dict[str, Stop | None] = field(default_factory=dict)  # None: taken back
    events: list[bytes] = field(default_factory=list)
    told: list[Callable[[str | None], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.holds or self.spent or self.stops or self.events or self.told)


class Journal:
    """The one process that writes a journal. Raises :class:`LedgerError` where another does, or it can't be read."""

    def __init__(self, path: Path, relay: Relay | None = None, *, relay_every: float = 1.0) -> None:
        self.path = path
        self._relay_every = relay_every
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"its folder can't be made: {error.strerror}.", where=str(path)) from None
        self._lock = Lock(path.with_name(f"{path.name}.lock"), "holds money in it", of=path, hint=_TAKEN)
        try:
            self._database = self._opened()
            self.kept = self._read()
            self._number = int(self._database.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            self._lock.release()
            raise LedgerError(f"can't be opened: {error}.", where=str(path), hint="Is it a gateway's state?") from None
        self._relay = relay
        self._batch = _Batch()
        self._changed = threading.Condition()
        self._closing = False
        self._not_written: str | None = None
        self._not_handed_on: str | None = None
        self._handed_on = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="outlay-journal", daemon=True)
        self._thread.start()

    @property
    def wrong(self) -> str | None:
        """Why it can't be written, or its events can't be handed on; None while all is well."""
        return self._not_written or self._not_handed_on

    def hold(self, held: Held, told: Callable[[str | None], None]) -> None:
        """Keep a hold. ``told`` is called from another thread with None when it is on the disk, else with why not."""
        with self._changed:
            self._batch.holds[held.id] = held
            self._batch.told.append(told)
            self._changed.notify()

    def settle(self, id: str, changes: Iterable[Change], event: bytes | None = None) -> None:
        """Forget a hold, with what that changed and the event that tells of it.

        Nobody waits for it: it is written with the next hold, or a moment later where none comes.
        """
        with self._changed:
            self._batch.holds[id] = None
            self._add(changes, event)

    def ran_out(self, late: Late, changes: Iterable[Change], event: bytes | None = None) -> None:
        """Keep a hold as one that ran out and can still be settled."""
        with self._changed:
            self._batch.holds[late.held.id] = late
            self._add(changes, event)

    def tell(self, event: bytes) -> None:
        """Keep an event that belongs to no hold."""
        with self._changed:
            self._add((), event)

    def forget(self, gone: Iterable[tuple[str, int]]) -> None:
        """Remove counters and buckets that no window holds any more."""
        with self._changed:
            self._batch.spent.update(dict.fromkeys(gone))
            self._changed.notify()

    def stop(self, stop: Stop) -> None:
        """Keep a kill switch that was turned on."""
        with self._changed:
            self._batch.stops[stop.id] = stop
            self._changed.notify()

    def resume(self, id: str) -> None:
        """Forget a kill switch."""
        with self._changed:
            self._batch.stops[id] = None
            self._changed.notify()

    def when_kept(self, told: Callable[[str | None], None]) -> None:
        """Call ``told``, from another thread, when all told before is on the disk; with why, if it can't be."""
        with self._changed:
            self._batch.told.append(told)
            self._changed.notify()

    def flush(self, timeout: float | None = None) -> str | None:
        """Return when all that was told is on the disk; why it can't be, None where it is."""
        done = threading.Event()
        said: list[str | None] = ["the disk took too long"]

        def told(wrong: str | None) -> None:
            said[0] = wrong
            done.set()

        self.when_kept(told)
        done.wait(timeout)
        return said[0]

    def close(self) -> None:
        """Write what waits, hand the events on, and let go of the file."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _add(self, changes: Iterable[Change], event: bytes | None) -> None:
        for change in changes:
            self._batch.spent[change.counter, change.bucket] = change.spent
        if event is not None:
            self._batch.events.append(event)
        if len(self._batch.holds) >= _MOST_WAITING or len(self._batch.events) >= _MOST_WAITING:
            self._changed.notify()

    # What follows runs in the writing thread, but for `_opened` and `_read`.

    def _opened(self) -> sqlite3.Connection:
        if not self.path.exists():  # SQLite gives the files beside it the same rights
            self.path.touch(mode=0o600)
        database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"it is of version {version}, and this Outlay knows {_VERSION}")
        database.executescript(_TABLES)
        database.execute(f"PRAGMA user_version={_VERSION}")
        return database

    def _read(self) -> Kept:
        changes = [
            Change(counter, bucket, int(spent))
            for counter, bucket, spent in self._database.execute("SELECT counter, bucket, spent FROM spent")
        ]
        live: list[Held] = []
        late: list[Late] = []
        for state, body in self._database.execute("SELECT state, body FROM holds ORDER BY id"):
            if state == _LIVE:
                live.append(_held(body).held)
            else:
                late.append(_held(body))
        stops = [_stop(body) for (body,) in self._database.execute("SELECT body FROM stops ORDER BY id")]
        return Kept(tuple(changes), tuple(live), tuple(late), tuple(stops))

    def _run(self) -> None:
        try:
            while True:
                batch, closing = self._next()
                if batch:
                    self._write(batch)
                if closing or time.monotonic() - self._handed_on >= self._relay_every:
                    self._hand_on()
                if closing:
                    return
        finally:
            with suppress(sqlite3.Error):
                self._database.close()
            self._lock.release()

    def _next(self) -> tuple[_Batch, bool]:
        """What to write next: what somebody waits for at once, the rest a moment later, all of it together."""
        with self._changed:
            if not (self._batch.told or self._closing):
                self._changed.wait(_MOMENT if self._batch else self._relay_every)
            batch, self._batch = self._batch, _Batch()
            return batch, self._closing

    def _write(self, batch: _Batch) -> None:
        wrong = None
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._store(batch)
            self._database.execute("COMMIT")
        except Exception as error:  # nothing may end this thread: calls wait for it
            wrong = f"{self.path} can't be written: {error}"
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            self._keep_for_later(batch)
        self._not_written = wrong
        for told in batch.told:
            with suppress(RuntimeError):  # whoever asked has ended its loop
                told(wrong)

    def _store(self, batch: _Batch) -> None:
        kept = [
            (id, _LIVE if isinstance(one, Held) else _RAN_OUT, _body(one))
            for id, one in batch.holds.items()
            if one is not None
        ]
        settled = [id for id, one in batch.holds.items() if one is None]
        spent = [(*key, str(amount)) for key, amount in batch.spent.items() if amount is not None]
        gone = [key for key, amount in batch.spent.items() if amount is None]
        stopped = [(stop.id, _stop_body(stop)) for stop in batch.stops.values() if stop is not None]
        resumed = [id for id, stop in batch.stops.items() if stop is None]
        for statement, rows in (
            (_HOLDS, kept),
            (_SETTLED, settled),
            (_SPENT, spent),
            (_GONE, gone),
            (_STOPS, stopped),
            (_RESUMED, resumed),
        ):
            if rows:
                self._database.execute(statement, (orjson.dumps(rows).decode(),))
        for lines in _rows(batch.events):
            self._number += 1
            self._database.execute(_EVENTS, (self._number, lines))

    def _keep_for_later(self, batch: _Batch) -> None:
        """What was settled and told must not be lost for a full disk; holds that were refused are let go."""
        with self._changed:
            later = self._batch
            settled: dict[str, Held | Late | None] = {
                id: one for id, one in batch.holds.items() if not isinstance(one, Held)
            }
            later.holds = {**settled, **later.holds}
            later.spent = {**batch.spent, **later.spent}
            later.stops = {**batch.stops, **later.stops}
            later.events = [*batch.events, *later.events]

    def _hand_on(self) -> None:
        """Hand events on in their order, and remove those that are safe. What can't be is offered again."""
        self._handed_on = time.monotonic()
        self._not_handed_on = None
        while self._relay is not None and self._not_written is None:
            try:
                rows = self._next_events()
                if not rows:
                    return
                self._relay([event for _, lines in rows for event in lines.split(b"\n")])
                self._database.execute("DELETE FROM events WHERE number <= ?", (rows[-1][0],))
            except Exception as error:  # nothing may end this thread: calls wait for it
                self._not_handed_on = f"events can't be handed on: {error}"
                return

    def _next_events(self) -> list[tuple[int, bytes]]:
        """The first rows of events, as many as one record of the spool can take."""
        found: list[tuple[int, bytes]] = []
        size = 0
        for number, lines in self._database.execute("SELECT number, lines FROM events ORDER BY number"):
            size += len(lines)
            if found and size > _RELAYED_BYTES:
                break
            found.append((number, lines))
        return found


def _rows(events: Iterable[bytes]) -> Iterator[bytes]:
    """Events as rows of lines, none longer than what is handed on at a time unless one event is."""
    lines: list[bytes] = []
    size = 0
    for event in events:
        if lines and size + len(event) > _ROW_BYTES:
            yield b"\n".join(lines)
            lines, size = [], 0
        lines.append(event)
        size += len(event) + 1
    if lines:
        yield b"\n".join(lines)


def _body(one: Held | Late) -> str:
    held, counted = (one, {}) if isinstance(one, Held) else (one.held, one.counted)
    said = [held.id, dict(held.attributes), held.at, held.expires, _texts(held.bound), held.units, _texts(counted)]
    return orjson.dumps(said).decode()


def _held(body: str) -> Late:
    id, attributes, at, expires, bound, units, counted = orjson.loads(body)
    return Late(Held(id, attributes, at, expires, _whole(bound), units), _whole(counted))


def _texts(amounts: Mapping[str, int]) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}


def _whole(texts: Mapping[str, str]) -> dict[str, int]:
    return {name: int(amount) for name, amount in texts.items()}


def _stop_body(stop: Stop) -> str:
    return orjson.dumps([stop.id, {name: list(values) for name, values in stop.scope.wanted}, stop.why]).decode()


def _stop(body: str) -> Stop:
    id, scope, why = orjson.loads(body)
    return Stop(id, Scope.of(scope), why)
