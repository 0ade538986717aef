"""The registered readers of bills, and which of them reads a file."""

from __future__ import annotations

from outlay.errors import UnreadableError, UsageError, nearest
from outlay.plugins import plugin_manager
from outlay.sources.raw import RawFile
from outlay.sources.reader import Reader

__all__ = ["reader_for", "readers"]


def readers() -> list[Reader]:
    """Every registered reader: built-ins, then plugins."""
    manager = plugin_manager()
    return [reader for group in reversed(manager.hook.outlay_readers()) for reader in group]


def reader_for(raw: RawFile, *, format_id: str | None = None) -> Reader:
    """The reader that recognises ``raw``, or the one asked for by id."""
    known = readers()
    if format_id is not None:
        for reader in known:
            if reader.format.id == format_id:
                return reader
        raise UsageError(
            f"there is no format '{format_id}'.", where="--as", hint=nearest(format_id, [r.format.id for r in known])
        )
    for reader in known:
        if reader.recognises(raw):
            return reader
    titles = "; ".join(reader.format.title for reader in known)
    columns = ", ".join(list(raw.columns)[:6])
    raise UnreadableError(
        f"is no bill that Outlay knows (its columns begin: {columns}).",
        where=str(raw.path),
        hint=f"Known formats: {titles}. Run `outlay sources` for what each needs, or name one with --as.",
    )
