"""Keys as rows, and back: what the store writes and what the key ring reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, select

from outlay.errors import StateError
from outlay.operate.keys.schema import KEYS, SECRETS
from outlay.operate.keys.secret import Secret
from outlay.operate.keys.virtual_key import KeySecret, NewKey, VirtualKey

__all__ = ["Stored", "key_row", "read_key", "read_keys", "secret_row"]

_SECRETS = select(SECRETS.c.key_id, SECRETS.c.number, SECRETS.c.hash, SECRETS.c.hint, SECRETS.c.created, SECRETS.c.ends)


Stored = tuple[VirtualKey, tuple[bytes, ...]]
"""A key and the hash of each of its secrets, in their order."""


def key_row(id: str, new: NewKey, now: datetime, changed: int) -> dict[str, Any]:
    """The row of a new key."""
    return {
        "id": id,
        "name": new.name,
        "tags": json.dumps(dict(new.tags), sort_keys=True),
        "models": json.dumps(new.models),
        "upstreams": json.dumps(new.upstreams),
        "created": now,
        "expires": new.expires,
        "changed": changed,
    }


def secret_row(secret: Secret, id: str, number: int, now: datetime) -> dict[str, Any]:
    """The row of a new secret: its hash, not itself."""
    return {"hash": secret.digest.hex(), "key_id": id, "number": number, "hint": secret.hint, "created": now}


def read_keys(connection: Connection, since: int = 0, unreadable: list[str] | None = None) -> list[Stored]:
    """The keys that were changed after so many changes.

    The ids of rows that are no keys go into ``unreadable``; without it the first one raises :class:`StateError`.
    Secrets are read after keys: what is changed in between has a higher number, and is read again the next time.
    """
    changed = select(KEYS.c.id).where(KEYS.c.changed > since)
    if since:
        keys, secrets = select(KEYS).where(KEYS.c.changed > since), _SECRETS.where(SECRETS.c.key_id.in_(changed))
    else:
        keys, secrets = select(KEYS), _SECRETS
    return _stored(connection.execute(keys).all(), connection.execute(secrets).all(), unreadable)


def read_key(connection: Connection, id: str) -> Stored | None:
    """The key of this id."""
    keys = connection.execute(select(KEYS).where(KEYS.c.id == id)).all()
    found = _stored(keys, connection.execute(_SECRETS.where(SECRETS.c.key_id == id)).all(), None)
    return found[0] if found else None


def _stored(keys: Sequence[Any], secrets: Sequence[Any], unreadable: list[str] | None) -> list[Stored]:
    """Each key's row with those of its secrets."""
    of_key: dict[str, list[Any]] = {}
    for secret in secrets:
        of_key.setdefault(secret[0], []).append(secret)
    found = []
    for row in keys:
        try:
            found.append(_key(row, of_key.get(row[0], [])))
        except (ValueError, TypeError):
            if unreadable is None:
                raise StateError(
                    f"the row of key {row[0]} can't be read.",
                    where=KEYS.name,
                    hint="Was it changed by hand? Put it back as it was; `outlay keys audit` tells how.",
                ) from None
            unreadable.append(row[0])
    return found


def _key(row: Any, secrets: list[Any]) -> Stored:  # noqa: ANN401 - rows of SQLAlchemy
    id, name, tags, models, upstreams, created, expires, revoked, rotated, _ = row
    if not secrets:
        raise ValueError(id)
    secrets.sort()
    known = tuple([KeySecret(hint, made, ends) for _, _, _, hint, made, ends in secrets])
    key = VirtualKey(
        id, name, _tags(tags), _patterns(models), _patterns(upstreams), created, expires, revoked, rotated, known
    )
    return key, tuple([bytes.fromhex(hash) for _, _, hash, _, _, _ in secrets])


@lru_cache(maxsize=65_536)
def _tags(text: str) -> Mapping[str, str]:
    """Read-only, so that the many keys of one team share one."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(text)
    return MappingProxyType(found)


@lru_cache(maxsize=65_536)
def _patterns(text: str) -> tuple[str, ...]:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(value, str) for value in found):
        raise ValueError(text)
    return tuple(found)
