"""Delta's log: which version a commit made, and that it stays made, whatever happens to the power."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.disk import sync_folder, sync_paths

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["sync_log", "version_of"]

_BEFORE, _SECONDS = 20, 120
"""Commits shortly before one's own, of others, that may not be on the disk yet: a gap would break the log."""


def sync_log(table: Path, version: int) -> None:
    """Return when the commits up to ``version``, and the folders that lead to them, are on the disk."""
    entry = table / "_delta_log" / f"{version:020}.json"
    since = entry.stat().st_mtime - _SECONDS
    before = [entry.with_name(f"{number:020}.json") for number in range(max(version - _BEFORE, 0), version)]
    sync_paths([entry, *(one for one in before if one.exists() and one.stat().st_mtime >= since)])
    for folder in (*table.glob("*=*"), table, table.parent):
        sync_folder(folder)


def version_of(table: DeltaTable, said: Mapping[str, str], *, after: int) -> int:
    """The version of the newest commit that says ``said``, of those after a version: another writer's may be newer.

    Older ones are not looked at: a live receiver commits often, and the log is never cleaned.
    """
    newer = table.history(limit=table.version() - after)
    return next(int(one["version"]) for one in newer if said.items() <= one.items())
