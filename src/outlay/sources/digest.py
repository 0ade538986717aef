"""The digest of a file: what makes the same content the same load."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["file_digest"]

_CHUNK_BYTES = 4 << 20


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, hex."""
    hasher = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()
