"""The keys as they are kept: made, rotated and revoked one change at a time, each with its entry in the audit log.

What was made is shown once and kept as its hash. A rotation gives a new secret at once and lets those before it work
until the end of the grace; ``0`` ends them all, which is the thing to do when one leaked. A revocation has no grace,
and goes by no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from outlay.errors import StateError, UsageError
from outlay.operate.keys.audit import AuditEntry, Turn, read_audit
from outlay.operate.keys.database import Database
from outlay.operate.keys.rows import key_row, read_key, read_keys, secret_row
from outlay.operate.keys.schema import KEYS, SECRETS, migrate
from outlay.operate.keys.secret import Secret, id_in, new_id
from outlay.operate.keys.virtual_key import NewKey, VirtualKey, checked_text

__all__ = ["GRACE", "MOST_GRACE", "Issued", "KeyStore"]

GRACE = timedelta(hours=24)
"""For how long a secret that was replaced works on, unless said otherwise."""
MOST_GRACE = timedelta(days=90)

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Issued:
    """A key and the secret that was just made for it."""

    key: VirtualKey
    secret: Secret


class KeyStore:
    """The keys at an SQLAlchemy address. Raises :class:`outlay.errors.StateError` while they can't be reached.

    With ``create`` a missing SQLite file is made. Tables are brought to this version when they are opened.
    """

    def __init__(self, address: str, *, now: datetime, folder: Path = Path(), create: bool = False) -> None:
        self.database = Database(address, folder)
        try:
            if create:
                self.database.create()
            migrate(self.database, now)
        except BaseException:
            self.database.close()
            raise

    def create(self, new: NewKey, *, now: datetime, by: str) -> Issued:
        """A new key with its first secret."""
        _not_over(new.expires, now)
        with self._turn(by) as turn:
            id = self._free_id(turn)
            secret = Secret.new(id)
            turn.connection.execute(KEYS.insert(), key_row(id, new, now, turn.number))
            turn.connection.execute(SECRETS.insert(), secret_row(secret, id, 1, now))
            said = {"name": new.name, "tags": dict(new.tags), "models": new.models, "upstreams": new.upstreams}
            turn.log(now, "created", id, {**said, "expires": _iso(new.expires)})
            return Issued(self._known(turn.connection, id), secret)

    def rotate(
        self, id: str, *, now: datetime, by: str, grace: timedelta = GRACE, expires: datetime | None = None
    ) -> Issued:
        """A new secret for a key; those before it end after ``grace``. ``expires`` is a new end of the key itself."""
        if not timedelta(0) <= grace <= MOST_GRACE:
            raise UsageError(f"is not between 0 and {MOST_GRACE.days} days.", where="--grace")
        _not_over(expires, now)
        with self._turn(by) as turn:
            key = self._known(turn.connection, id)
            if key.state(now) in ("revoked", "expired"):
                raise UsageError(
                    f"the key {key.id} is {key.state(now)}, so it can't be rotated.",
                    hint="Make a new one: outlay keys create.",
                )
            ends = now + grace if key.expires is None else min(now + grace, key.expires)
            later = SECRETS.c.ends.is_(None) | (SECRETS.c.ends > ends)
            turn.connection.execute(SECRETS.update().where(SECRETS.c.key_id == key.id, later).values(ends=ends))
            secret = Secret.new(key.id)
            turn.connection.execute(SECRETS.insert(), secret_row(secret, key.id, len(key.secrets) + 1, now))
            until = key.expires if expires is None else expires
            row = KEYS.update().where(KEYS.c.id == key.id)
            turn.connection.execute(row.values(rotated=now, expires=until, changed=turn.number))
            turn.log(now, "rotated", key.id, {"old_until": _iso(ends), "expires": _iso(until)})
            return Issued(self._known(turn.connection, key.id), secret)

    def revoke(self, id: str, *, now: datetime, by: str, why: str = "") -> VirtualKey:
        """End a key and all its secrets, for good. One that was revoked before stays as it is."""
        checked_text(why, "the reason", empty=True)
        with self._turn(by) as turn:
            key = self._known(turn.connection, id)
            if key.revoked is None:
                row = KEYS.update().where(KEYS.c.id == key.id).values(revoked=now, changed=turn.number)
                turn.connection.execute(row)
                turn.log(now, "revoked", key.id, {"why": why})
            return self._known(turn.connection, key.id)

    def all_keys(self) -> list[VirtualKey]:
        """All keys, the newest first."""
        with self.database.reading() as connection:
            found = [key for key, _ in read_keys(connection)]
        return sorted(found, key=lambda key: (key.created, key.id), reverse=True)

    def audit(self) -> tuple[list[AuditEntry], bool]:
        """What was done, oldest first, and whether the log is whole and as it was written."""
        with self.database.reading() as connection:
            return read_audit(connection)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    @contextmanager
    def _turn(self, by: str) -> Iterator[Turn]:
        checked_text(by, "who does it", empty=False)
        with self.database.writing() as connection:
            yield Turn.take(connection, by)

    def _known(self, connection: Connection, id: str) -> VirtualKey:
        """The key that is named. What was typed is shown only where it is an id: it may be a secret."""
        wanted = id_in(id)
        found = read_key(connection, wanted) if wanted else None
        if found is None:
            said = f"there is no key {wanted}." if wanted else "that is no id of a key."
            raise UsageError(said, where=self.database.shown, hint="`outlay keys list` shows them.")
        return found[0]

    def _free_id(self, turn: Turn) -> str:

        for _ in range(_TRIES):
            id = new_id()
            if read_key(turn.connection, id) is None:
                return id
        raise StateError(f"{_TRIES} ids in a row are taken, which chance does not do.", where=self.database.shown)


def _not_over(expires: datetime | None, now: datetime) -> None:
    if expires is not None and expires <= now:
        raise UsageError(
            f"the key would have expired already, at {expires:%Y-%m-%d %H:%M} UTC.", hint="Name a later end."
        )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"
