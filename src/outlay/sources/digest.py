"""Digests: what makes the same file the same content, and the same content the same load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

__all__ = ["by_content", "file_digest", "load_digest"]

_CHUNK_BYTES = 4 << 20
_Found = TypeVar("_Found")


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, hex."""
    hasher = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def by_content(found: Sequence[_Found], path: Callable[[_Found], Path]) -> tuple[dict[str, _Found], list[str]]:
    """Each content once, by its digest, and a note for each copy.

    A file that lies twice in a folder must not be counted twice.
    """
    kept: dict[str, _Found] = {}
    notes: list[str] = []
    for one in found:
        digest = file_digest(path(one))
        if digest in kept:
            notes.append(f"{path(one)}: has the same content as {path(kept[digest])}; counted once")
        else:
            kept[digest] = one
    return kept, notes


def load_digest(said: object) -> str:
    """The identity of a load of which ``said`` (anything that JSON holds) tells all that makes it what it is."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
