"""AWS' event stream (``application/vnd.amazon.eventstream``), in which Bedrock streams.

A message is, in big endian: its length, the length of its headers, the CRC-32 of these eight bytes, the headers, the
payload, the CRC-32 of all before. A header is the length of its name, the name, a type and a value; 7 is a string, with
its length in two bytes before it. Source: Amazon's page "Event stream encoding" (Transcribe, Lex).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

import orjson

from outlay.gateway.wires.spoken import Json

__all__ = ["Frame", "Frames", "exception"]

_PRELUDE = struct.Struct(">III")
_LEAST_FRAME_BYTES = 16
_MOST_FRAME_BYTES = 32 << 20
_STRING = 7
_WIDTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes that values of the other types take; 6 and 7 tell their own length."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. ``head`` are its headers as they came."""

    head: bytes
    payload: bytes

    def headers(self) -> dict[str, str]:
        """The headers that are strings. Raises :class:`ValueError` where they end in the middle of one."""
        found: dict[str, str] = {}
        at = 0
        while at < len(self.head):
            end = at + 1 + self.head[at]
            name, kind = self.head[at + 1 : end], self.head[end : end + 1]
            if not kind or (kind[0] not in _WIDTHS and kind[0] not in (6, _STRING)):
                raise ValueError("the headers of an event can't be read")
            at = end + 1 + _WIDTHS.get(kind[0], 2)
            if kind[0] not in _WIDTHS:
                size = int.from_bytes(self.head[at - 2 : at], "big")
                if kind[0] == _STRING:
                    found[name.decode(errors="replace")] = self.head[at : at + size].decode(errors="replace")
                at += size
        return found

    def json(self) -> Json:
        """The object that its payload is; empty where it is none."""
        try:
            found = orjson.loads(self.payload)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


class Frames:
    """Cuts chunks into whole messages; what is not whole yet is kept."""

    __slots__ = ("_kept", "cut")

    def __init__(self) -> None:
        self._kept = bytearray()
        self.cut = b""
        """The bytes of the messages that the last chunk completed."""

    def whole(self, chunk: bytes) -> list[Frame]:
        """The messages that a chunk completes. Raises :class:`ValueError` for what is none."""
        self._kept += chunk
        found: list[Frame] = []
        at = 0
        while len(self._kept) - at >= _PRELUDE.size:
            total, head, told = _PRELUDE.unpack_from(self._kept, at)
            if crc32(self._kept[at : at + 8]) != told or not head + _LEAST_FRAME_BYTES <= total <= _MOST_FRAME_BYTES:
                raise ValueError("what came is no event stream")
            if len(self._kept) - at < total:
                break
            start = at + _PRELUDE.size
            found.append(
                Frame(bytes(self._kept[start : start + head]), bytes(self._kept[start + head : at + total - 4]))
            )
            at += total
        self.cut = bytes(self._kept[:at])
        del self._kept[:at]
        return found


def exception(name: str, message: str) -> bytes:
    """A message that says why a stream ends."""
    told = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    head = b"".join(
        bytes((len(key),)) + key.encode() + bytes((_STRING,)) + struct.pack(">H", len(value)) + value.encode()
        for key, value in told.items()
    )
    payload = orjson.dumps({"message": message})
    prelude = struct.pack(">II", len(head) + len(payload) + _LEAST_FRAME_BYTES, len(head))
    whole = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return whole + struct.pack(">I", crc32(whole))
