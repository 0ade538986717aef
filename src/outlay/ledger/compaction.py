"""Few files instead of many: what is appended every half minute, or at every load, is put together, row for row.

Files of like size are put together when there are many of them, so that a row is written anew a few times in its life
and not at every append. It is a commit like any other: a load at the same time is safe, and what was there before can
still be asked for by version.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

from outlay.ledger.delta import Change, DeltaFolder, LiveFile, NewFile, Scope
from outlay.ledger.engine.duckdb import identifier, literal, session

__all__ = ["compact"]

_FEWEST = 32
"""Files of like size that are put together; one is of like size as another up to so many times as large."""
_SMALLEST_BYTES = 16 << 10
_LARGE_BYTES = 32 << 20
_OPTIONS = "FORMAT parquet, COMPRESSION zstd, RETURN_STATS"


def compact(folder: DeltaFolder, sources: Collection[str]) -> int:
    """Put the many small files of a table together, of ``sources``; returns how many there are no more.

    Raises :class:`outlay.errors.LedgerError`, with nothing changed, when others kept committing first.
    """
    gone = 0
    for scope in sorted({file.scope for file in folder.live() if file.scope.source in sources}):
        gone += _compact(folder, scope)
    return gone


def _compact(folder: DeltaFolder, scope: Scope) -> int:
    written: list[NewFile] = []

    def plan(live: list[LiveFile]) -> Change | None:
        _discard(folder, written)
        many = _many([file for file in live if file.scope == scope])
        if not many:
            return None
        written.append(_together(folder, scope, many))
        return Change(list(written), many, {})

    if not _many([file for file in folder.live() if file.scope == scope]):
        return 0
    try:
        done = folder.commit([scope.source], plan)
    except BaseException:
        _discard(folder, written)
        raise
    return len(done.change.remove) if done else 0


def _many(files: Sequence[LiveFile]) -> list[LiveFile]:
    """Files of like size, the smallest there are many of; empty where there are not."""
    tiers: dict[int, list[LiveFile]] = {}
    for file in files:
        if file.size_bytes < _LARGE_BYTES:
            tier, size = 0, file.size_bytes // _SMALLEST_BYTES
            while size:
                tier, size = tier + 1, size // _FEWEST
            tiers.setdefault(tier, []).append(file)
    return next((tiers[tier] for tier in sorted(tiers) if len(tiers[tier]) >= _FEWEST), [])


def _together(folder: DeltaFolder, scope: Scope, files: Sequence[LiveFile]) -> NewFile:
    target = folder.path / folder.folder(scope) / f"part-compacted-{uuid.uuid4().hex}.parquet"
    dropped = ", ".join(identifier(name) for name in folder.values(scope))
    relation = folder.scan([str(folder.path / file.path) for file in files])
    with session() as connection:
        row = connection.execute(
            f"COPY (SELECT * EXCLUDE ({dropped}) FROM {relation}) TO {literal(str(target))} ({_OPTIONS})"
        ).fetchall()[0]
    assert row[1] == sum(file.rows for file in files), "a row was lost in putting files together"
    return NewFile(target.relative_to(folder.path).as_posix(), scope, row[1], row[2])


def _discard(folder: DeltaFolder, files: list[NewFile]) -> None:
    for file in files:
        (folder.path / file.path).unlink(missing_ok=True)
    files.clear()
