"""Where keys are kept and what they must say, as the settings have it: the one place that knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.config import Settings
from outlay.errors import MissingExtraError

if TYPE_CHECKING:
    from outlay.operate.keys.database import Database
    from outlay.operate.keys.ring import KeyRing
    from outlay.operate.keys.store import KeyStore

__all__ = ["is_there", "key_address", "open_keys", "open_ring", "required_tags", "shown_place"]


def key_address(settings: Settings) -> str:
    """The database of keys. A relative SQLite path is relative to the settings' own folder."""
    return settings.gateway.keys


def required_tags(settings: Settings) -> tuple[str, ...]:
    """What every call must say of itself, in its key or in its headers. The model it says anyway."""
    if settings.gateway.required_tags is not None:
        return settings.gateway.required_tags
    return tuple(tag for tag in settings.tags.required if tag != "model")


def open_keys(settings: Settings, folder: Path, *, now: datetime, create: bool = False) -> KeyStore:
    """The keys that the settings name, to change them. ``create`` makes a database that is not there."""
    with _sqlalchemy():
        from outlay.operate.keys.store import KeyStore
    return KeyStore(key_address(settings), now=now, folder=folder, create=create)


def is_there(settings: Settings, folder: Path) -> bool:
    """Whether there is a database. Without one no key was ever made; PostgreSQL's is taken to be there."""
    return _database(settings, folder).exists()


def shown_place(settings: Settings, folder: Path) -> str:
    """The database in words for a person, without its password."""
    return _database(settings, folder).shown


def open_ring(settings: Settings, folder: Path) -> KeyRing:
    """The keys that the settings name, in memory; to be watched. Where they can't be read, it says what is wrong."""
    with _sqlalchemy():
        from outlay.operate.keys.ring import KeyRing
    ring = KeyRing(_database(settings, folder))
    ring.refresh()
    return ring


def _database(settings: Settings, folder: Path) -> Database:
    with _sqlalchemy():
        from outlay.operate.keys.database import Database
    return Database(key_address(settings), folder)


@contextmanager
def _sqlalchemy() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise MissingExtraError(
            "virtual keys need the package sqlalchemy.", hint="Run: pip install 'outlay[gateway]'"
        ) from None
