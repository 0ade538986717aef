"""Names of calls."""

from __future__ import annotations

__all__ = ["Ids"]


class Ids:
    """Ids that no two calls share, in the order of time."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._number = 0

    def next(self, now: int) -> str:
        """An id for a call at ``now``."""
        self._number += 1
        return f"{now:012x}-{self._node}-{self._number:06x}"
