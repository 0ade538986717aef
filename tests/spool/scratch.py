"""A folder for one example of a property test."""

from __future__ import annotations

import tempfile
from pathlib import Path

__all__ = ["Scratch"]


class Scratch:
    """A folder that is gone after the block."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="outlay-spool-")

    def __enter__(self) -> Path:
        return Path(self._folder.name)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
