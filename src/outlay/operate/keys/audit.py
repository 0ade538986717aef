"""The log of what was done to keys, by whom and when: entries are added and never changed.

Each entry's hash is SHA-256 over what it says and over the hash of the one before it, so that an entry that was edited,
removed or put in between shows: from there on nothing fits. Whoever can write the database could compute the whole
chain anew, or cut off its end together with the state that names it; against that, keep the last hash elsewhere from
time to time. No entry has a secret or the hash of one in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, select, update

from outlay.operate.keys.schema import AUDIT, STATE

__all__ = ["AuditEntry", "Turn", "read_audit"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was done. ``intact`` is whether its hash and its place fit, and those of all before it."""

    number: int
    at: datetime
    who: str
    action: str
    key_id: str
    detail: Mapping[str, Any]
    hash: str
    intact: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """The turn of one transaction to change something: its number, and the hash of the entry before it."""

    connection: Connection
    number: int
    before: str
    who: str

    @classmethod
    def take(cls, connection: Connection, who: str) -> Turn:
        """Wait for it; others wait until this transaction ends."""
        state = connection.execute(select(STATE.c.changes, STATE.c.head).with_for_update()).one()
        return cls(connection, state.changes + 1, state.head, who)

    def log(self, at: datetime, action: str, key_id: str, detail: Mapping[str, Any]) -> None:
        """Add the entry of what was changed: one a turn, and none where nothing was."""
        said = json.dumps(detail, sort_keys=True)
        head = _hash(self.before, self.number, at, self.who, action, key_id, said)
        row = {"number": self.number, "at": at, "who": self.who, "action": action, "key_id": key_id}
        self.connection.execute(AUDIT.insert(), {**row, "detail": said, "hash": head})
        self.connection.execute(update(STATE).values(changes=self.number, head=head))


def read_audit(connection: Connection) -> tuple[list[AuditEntry], bool]:
    """All entries, oldest first, and whether they are all there, as they were written."""
    state = connection.execute(select(STATE.c.changes, STATE.c.head)).one()
    found: list[AuditEntry] = []
    before, intact = "", True
    for number, at, who, action, key_id, detail, said in connection.execute(select(AUDIT).order_by(AUDIT.c.number)):
        intact = intact and number == len(found) + 1 and said == _hash(before, number, at, who, action, key_id, detail)
        found.append(AuditEntry(number, at, who, action, key_id, _detail(detail), said, intact))
        before = said
    # An entry may have been added between the two questions: the state is what is compared with, not the last entry.
    last = found[state.changes - 1].hash if 0 < state.changes <= len(found) else ""
    return found, intact and state.changes <= len(found) and last == state.head


def _hash(before: str, number: int, at: datetime, *said: str) -> str:
    """Of the entry with what it says: who, action, key and detail."""
    whole = [before, number, at.isoformat(timespec="microseconds"), *said]
    return sha256(json.dumps(whole).encode()).hexdigest()


def _detail(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"unreadable": text}
