"""Server-sent events, read along without being taken apart: a call's chunks go through as they come.

An event ends with an empty line. Only events that name a usage are parsed, and those at the end alone; of the others a
look for a few bytes is all. Content can't feign a usage: a quote in a JSON string is escaped, so that ``"usage"`` with
plain quotes is a key.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Events", "data_of"]

_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
MOST_EVENT_BYTES = 32 << 20


class Events:
    """Cuts chunks into whole events; what is not whole yet is kept."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""

    def whole(self, chunk: bytes) -> Iterator[bytes]:
        """The events that a chunk completes, each with the empty line that ends it."""
        data = self._kept + chunk if self._kept else chunk
        if len(data) > MOST_EVENT_BYTES:
            raise ValueError("an event is longer than 32 MiB")
        start = 0
        end = _end(data, start)
        while end > 0:
            yield data[start:end]
            start = end
            end = _end(data, start)
        self._kept = data[start:]

    def rest(self) -> bytes:
        """What came after the last whole event."""
        kept, self._kept = self._kept, b""
        return kept


def _end(data: bytes, start: int) -> int:
    """Where the event ends that begins at ``start``; 0 where it does not end yet."""
    found = data.find(b"\n\n", start)
    if b"\r" not in data:
        return found + 2 if found >= 0 else 0
    ends = [at + len(one) for one in _ENDS if (at := data.find(one, start)) >= 0]
    return min(ends, default=0)


def data_of(event: bytes) -> bytes:
    """The data of an event: its ``data:`` lines, joined."""
    lines = event.splitlines()
    found = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(found)
