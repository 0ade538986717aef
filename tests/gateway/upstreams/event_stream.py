"""AWS' event stream (``application/vnd.amazon.eventstream``): how Bedrock frames what it streams.

A message is, in big endian: its length, the length of its headers, CRC-32 of these eight bytes, the headers, the
payload, CRC-32 of all before. A header is a length, a name, a type and a value; of strings the type is 7. Source: the
page "Event stream encoding" of Amazon's documentation (Lex, Transcribe), whose overhead of 16 bytes this has.
"""

from __future__ import annotations

import struct
from zlib import crc32

__all__ = ["encoded"]


def encoded(headers: dict[str, str], payload: bytes) -> bytes:
    """One message with headers that are strings."""
    block = b"".join(
        struct.pack(">B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", len(block) + len(payload) + 16, len(block))
    message = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return message + struct.pack(">I", crc32(message))
