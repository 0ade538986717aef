"""Reading the spool: sealed segments in order, and taking them away when the ledger has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from outlay.disk import sync_folder
from outlay.spool.segments import SEALED, Damage, Record, read_records, segment_id, segments

__all__ = ["Sealed", "remove", "sealed", "set_aside"]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment that nothing is added to any more; ``id`` is its own for ever, empty where its header is damaged."""

    path: Path
    id: str
    size: int

    def records(self) -> Iterator[Record | Damage]:
        """Its whole records in the order of their writing; a :class:`Damage` last, where the disk lost some."""
        return read_records(self.path)


def sealed(folder: Path, *, most_bytes: int | None = None) -> list[Sealed]:
    """The sealed segments in order; no more than ``most_bytes`` of them, but one at least."""
    found: list[Sealed] = []
    total = 0
    for path in segments(folder, SEALED):
        size = path.stat().st_size
        total += size
        if found and most_bytes is not None and total > most_bytes:
            break
        found.append(Sealed(path, (segment_id(path) or b"").hex(), size))
    return found


def remove(taken: list[Sealed]) -> None:
    """Remove segments whose records are safe elsewhere; returns when that is on the disk."""
    for one in taken:
        one.path.unlink(missing_ok=True)
    if taken:
        sync_folder(taken[0].path.parent)


def set_aside(one: Sealed) -> Path:
    """Move a damaged segment to ``damaged/``, for a person to look at; returns where it is."""
    folder = one.path.parent / "damaged"
    folder.mkdir(exist_ok=True, mode=0o700)
    target = folder / one.path.name
    one.path.rename(target)
    sync_folder(folder)
    sync_folder(one.path.parent)
    return target
