"""Segment files: how records lie in them, and how one that was cut off is told from a whole one.

A segment is a header (magic, version, an id of its own) and records, each with a length, a kind, a checksum and a body.
The checksum covers the segment's id too, so that a block of an older file, which a file system may leave in the tail
after a power cut, is no record of this one. A reader stops at the first record that is not whole: what follows it can't
be told from garbage, and was never acknowledged unless the disk itself is at fault.

A segment is written as ``000000000042-1f2e3d4c.open``, and named ``.sealed`` when nothing will be added to it any more.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = [
    "HEADER_BYTES",
    "MOST_RECORD_BYTES",
    "OPEN",
    "RECORD_BYTES",
    "SEALED",
    "Damage",
    "Record",
    "framed",
    "header",
    "new_id",
    "number_of",
    "read_records",
    "segment_id",
    "segment_name",
    "segments",
]

OPEN, SEALED = ".open", ".sealed"
MOST_RECORD_BYTES = 256 << 20
"""No record is longer; a length beyond it is damage."""

_MAGIC = b"OUTSPOOL"
_VERSION = 1
_ID_BYTES = 16
_HEADER = struct.Struct(f"<8sI{_ID_BYTES}sI")
_FRAME = struct.Struct("<IBI")
_COVERED = struct.Struct("<IB")
HEADER_BYTES = _HEADER.size
RECORD_BYTES = _FRAME.size
"""What a record takes beside its body."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was appended; ``offset`` is where it begins in its segment."""

    kind: int
    body: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Damage:
    """From ``offset`` on, ``size`` bytes of a segment are no whole records."""

    offset: int
    size: int


def new_id() -> bytes:
    """The id of a new segment."""
    return os.urandom(_ID_BYTES)


def header(identity: bytes) -> bytes:
    """What a segment begins with."""
    start = _MAGIC + struct.pack("<I", _VERSION) + identity
    return start + struct.pack("<I", zlib.crc32(start))


def framed(identity: bytes, kind: int, body: bytes) -> bytes:
    """What stands before a record's body."""
    return _FRAME.pack(len(body), kind, _checksum(identity, kind, body))


def segment_name(number: int, identity: bytes, state: str) -> str:
    """The file name of a segment."""
    return f"{number:012d}-{identity[:4].hex()}{state}"


def number_of(path: Path) -> int:
    """A segment's place in the order."""
    return int(path.name.split("-", 1)[0])


def segments(folder: Path, state: str) -> list[Path]:
    """The segments of a folder that are open, or sealed, in order."""
    found = []
    for path in folder.glob(f"*-*{state}"):
        if path.name.split("-", 1)[0].isdecimal():
            found.append(path)
    return sorted(found, key=lambda path: (number_of(path), path.name))


def segment_id(path: Path) -> bytes | None:
    """The id of a segment; None if its header is not whole."""
    with path.open("rb") as handle:
        return _identity(handle.read(HEADER_BYTES))


def read_records(path: Path) -> Iterator[Record | Damage]:
    """The whole records of a segment in order; a :class:`Damage` last, where something follows that is none."""
    with path.open("rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        identity = _identity(handle.read(HEADER_BYTES))
        if identity is None:
            if size:
                yield Damage(0, size)
            return
        offset = HEADER_BYTES
        while offset < size:
            record = _record(handle, identity, offset, size)
            if record is None:
                yield Damage(offset, size - offset)
                return
            yield record
            offset += RECORD_BYTES + len(record.body)


def _record(handle: IO[bytes], identity: bytes, offset: int, size: int) -> Record | None:
    frame = handle.read(RECORD_BYTES)
    if len(frame) < RECORD_BYTES:
        return None
    length, kind, checksum = _FRAME.unpack(frame)
    if length > min(MOST_RECORD_BYTES, size - offset - RECORD_BYTES):
        return None
    body = handle.read(length)
    if len(body) != length or _checksum(identity, kind, body) != checksum:
        return None
    return Record(kind, body, offset)


def _checksum(identity: bytes, kind: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(identity + _COVERED.pack(len(body), kind)))


def _identity(start: bytes) -> bytes | None:
    if len(start) < HEADER_BYTES:
        return None
    magic, version, identity, checksum = _HEADER.unpack(start)
    if magic != _MAGIC or version != _VERSION or checksum != zlib.crc32(start[: HEADER_BYTES - 4]):
        return None
    return bytes(identity)
