"""The first bytes of a file: what tells Parquet from text, and what can't be read as either.

Magic bytes tell, never the name. Text is UTF-8, plain or gzipped; an :class:`UnreadableError` says what else a file is
(empty, truncated, in another encoding or container, a compression bomb) and what to do about it.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from outlay.errors import UnreadableError

__all__ = ["first_text", "is_parquet", "not_utf8"]

_SNIFF_BYTES = 1 << 20
_BOMB_PROBE_BYTES = 64 << 20
_BOMB_RATIO = 250  # deflate reaches 1,032:1 on a run of one byte; real bills stay under 60:1


def is_parquet(path: Path) -> bool:
    """Whether ``path`` begins as a Parquet file does. Raises :class:`UnreadableError` for no file and an empty one."""
    return _magic(path)[:4] == b"PAR1"


def first_text(path: Path) -> tuple[str, bool, bool]:
    """The first MiB of a text file, whether it is gzipped, and whether that is the whole.

    Raises :class:`UnreadableError`.
    """
    magic = _magic(path)
    compressed = magic[:2] == b"\x1f\x8b"
    if not compressed:
        _refuse_other_containers(path, magic)
    head = _head(path, compressed=compressed)
    text = _decode(path, head)
    if not text.strip():
        raise UnreadableError("holds only blank space.", where=str(path), hint="Export it again.")
    return text, compressed, len(head) < _SNIFF_BYTES


def _magic(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            magic = handle.read(8)
            size = path.stat().st_size
    except OSError as error:
        raise UnreadableError(f"can't be opened: {error.strerror}.", where=str(path), hint="Check the path.") from None
    if size == 0:
        raise UnreadableError("is empty (0 bytes).", where=str(path), hint="Export it again.")
    return magic


def _refuse_other_containers(path: Path, magic: bytes) -> None:
    known = {
        b"PK\x03\x04": (
            "is a ZIP archive",
            "Unpack it first; CSV, gzipped CSV, JSON lines and Parquet are read as they are.",
        ),
        b"BZh": ("is compressed with bzip2", "Unpack it first, or compress it with gzip."),
        b"\x28\xb5\x2f\xfd": ("is compressed with zstd", "Unpack it first, or compress it with gzip."),
        b"\xfd7zXZ": ("is compressed with xz", "Unpack it first, or compress it with gzip."),
        b"\xff\xfe": ("is encoded in UTF-16", "Save it as UTF-8."),
        b"\xfe\xff": ("is encoded in UTF-16", "Save it as UTF-8."),
        b"%PDF": ("is a PDF", "Export the bill as CSV or Parquet: an invoice PDF has no line items to read."),
    }
    for prefix, (what, hint) in known.items():
        if magic.startswith(prefix):
            raise UnreadableError(f"{what}.", where=str(path), hint=hint)


def _head(path: Path, *, compressed: bool) -> bytes:
    if not compressed:
        with path.open("rb") as handle:
            return handle.read(_SNIFF_BYTES)
    _refuse_bomb(path)
    try:
        with gzip.open(path) as handle:
            return handle.read(_SNIFF_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _truncated(path, error) from None


def _refuse_bomb(path: Path) -> None:
    """Unpack the first 64 MiB of output and stop; a bill never shrinks 250-fold, a bomb always does."""
    consumed = produced = 0
    unpack = zlib.decompressobj(wbits=31)
    with path.open("rb") as handle:
        while produced < _BOMB_PROBE_BYTES and (chunk := handle.read(64 << 10)):
            consumed += len(chunk)
            try:
                produced += len(unpack.decompress(chunk, _BOMB_PROBE_BYTES))
            except zlib.error as error:
                raise _truncated(path, error) from None
            if unpack.eof:
                break
    if produced >= _BOMB_PROBE_BYTES and produced > consumed * _BOMB_RATIO:
        raise UnreadableError(
            f"unpacks {produced // max(consumed, 1)}-fold in its first {produced >> 20} MiB: "
            "this looks like a compression bomb.",
            where=str(path),
            hint="If it is a real bill, unpack it yourself and give the plain file.",
        )


def _truncated(path: Path, error: Exception) -> UnreadableError:
    return UnreadableError(
        f"the gzip stream is truncated or damaged ({error}).", where=str(path), hint="Download or export it again."
    )


def _decode(path: Path, head: bytes) -> str:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4 or len(head) < _SNIFF_BYTES:
            raise not_utf8(path, f"byte {error.start}") from None
        text = head[: error.start].decode("utf-8-sig")
    if "\x00" in text:
        raise UnreadableError(
            "is a binary file of no known format.",
            where=str(path),
            hint="Outlay reads CSV, gzipped CSV, JSON lines and Parquet; see `outlay sources`.",
        )
    return text


def not_utf8(path: Path, place: str) -> UnreadableError:
    """The error for text in another encoding."""
    return UnreadableError(
        f"is not UTF-8 text ({place}).",
        where=str(path),
        hint="Save it as UTF-8, e.g. `iconv -f WINDOWS-1252 -t UTF-8`.",
    )
