"""Server-sent events, read along without being taken apart: a call's chunks go through as they come.

An event ends with an empty line; a line ends with LF, CR LF or CR (https://html.spec.whatwg.org, "event stream
interpretation"). Only events that name a usage are parsed; of the others a look for a few bytes is all. Content can't
feign a usage: a quote in a JSON string is escaped, so that ``"usage"`` with plain quotes is a key or a whole string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from outlay.gateway.wires.spoken import Json

__all__ = ["Events", "Passing", "data_of", "error_event", "error_text", "json_of", "with_data"]

_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LONGEST_END = 4
_MOST_EVENT_BYTES = 32 << 20


class Events:
    """Cuts chunks into whole events; what is not whole yet is kept."""

    __slots__ = ("_kept", "_size")

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._size = 0

    def whole(self, chunk: bytes) -> Sequence[bytes]:
        """The events that a chunk completes, each with the empty line that ends it. Raises :class:`ValueError`."""
        if not self._size and chunk.find(b"\n") == len(chunk) - 2 and chunk.endswith(b"\n\n") and b"\r" not in chunk:
            return (chunk,)  # nearly always: one event of one line
        data = self._joined(chunk)
        found: list[bytes] = []
        start = 0
        while end := _end(data, start):
            found.append(data[start:end])
            start = end
        if start or not self._size:
            self._kept = [data[start:]] if start < len(data) else []
            self._size = len(data) - start
        if self._size > _MOST_EVENT_BYTES:
            raise ValueError("an event is longer than 32 MiB")
        return found

    def rest(self) -> bytes:
        """What came after the last whole event."""
        rest = b"".join(self._kept)
        self._kept, self._size = [], 0
        return rest

    def _joined(self, chunk: bytes) -> bytes:
        """What was kept and this; nothing where together they end no event, so that a long one isn't copied often."""
        if not self._size:
            return chunk
        seam = self._kept[-1][-_LONGEST_END:] if len(self._kept[-1]) >= _LONGEST_END else b"".join(self._kept[-8:])
        self._kept.append(chunk)
        self._size += len(chunk)
        if not _end(seam + chunk, 0):
            return b""
        data = b"".join(self._kept)
        self._kept = [data]
        return data


class Passing:
    """A meter that lets all through and only looks: what its wire must say is what an event tells."""

    __slots__ = ("_error", "_events", "started")

    def __init__(self) -> None:
        self._events = Events()
        self._error: str | None = None
        self.started = False

    def feed(self, chunk: bytes) -> bytes:
        """All of a chunk goes to the caller."""
        for event in self._events.whole(chunk):
            self._look(event)
        return chunk

    def rest(self) -> bytes:
        """Nothing is held back; a last event whose empty line is missing counts."""
        rest = self._events.rest()
        if rest:
            self._look(rest)
        return b""

    @property
    def failed(self) -> str | None:
        """The error that came within the stream."""
        return self._error

    def _look(self, event: bytes) -> None:
        raise NotImplementedError


def _end(data: bytes, start: int) -> int:
    """Where the event ends that begins at ``start``; 0 where it does not end yet."""
    if b"\r" not in data:
        at = data.find(b"\n\n", start)
        return at + 2 if at >= 0 else 0
    found = _END.search(data, start)
    if found is None or (found.end() == len(data) and data.endswith(b"\r")):  # an LF may belong to it
        return 0
    return found.end()


def data_of(event: bytes) -> bytes:
    """The data of an event: its ``data:`` lines, joined."""
    if event.startswith(b"data: ") and event.find(b"\n") >= len(event) - 2 and b"\r" not in event:
        return event[6:]
    return b"\n".join(line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:"))


def json_of(event: bytes) -> Json:
    """The object that an event's data are; empty where they are none."""
    try:
        found: Any = orjson.loads(data_of(event))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def with_data(event: bytes, data: Json) -> bytes:
    """An event with other data, its other lines and the ends of its lines as they were."""
    lines = event.splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if line.startswith(b"data:"))
    end = lines[first][len(lines[first].rstrip(b"\r\n")) :]
    lines[first] = b"data: " + orjson.dumps(data) + end
    return b"".join(line for n, line in enumerate(lines) if n == first or not line.startswith(b"data:"))


def error_event(error: bytes, *, named: bool = False) -> bytes:
    """An error as the last event of a stream that broke; the empty line ends what was broken off in the middle."""
    return b"\n\n" + (b"event: error\n" if named else b"") + b"data: " + error + b"\n\n"


def error_text(error: object) -> str:
    """What an error says, for the event of the call: never more than 500 characters of it."""
    return orjson.dumps(error).decode(errors="replace")[:500]
