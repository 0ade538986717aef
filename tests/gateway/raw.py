"""Bytes to the gateway and from a provider, as no library would send them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.gateway.harness import KEY, Harness

__all__ = ["AUTH", "BODY", "Server", "answered", "body_of", "exchange", "opened", "post", "provider", "status_of"]

AUTH = f"authorization: Bearer {KEY}\r\n".encode()
BODY = json.dumps(
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Tell me about Oslo."}], "max_tokens": 50}
).encode()


def post(body: bytes = BODY, *headers: bytes, path: bytes = b"/v1/chat/completions", length: bool = True) -> bytes:
    """A request; its headers each without the end of the line."""
    lines = [b"POST " + path + b" HTTP/1.1", b"host: gateway", b"content-type: application/json", *headers]
    if length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n" + AUTH + b"\r\n" + body


async def opened(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to ``http://HOST:PORT`` or ``HOST:PORT``."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port), limit=64 << 20)


async def exchange(address: str, *sent: bytes, seconds: float = 0.5, first: bool = False) -> bytes:
    """All that comes back for some bytes until the other side closes, or is silent for so many seconds.

    The ``first`` answer alone is there as soon as it is whole.
    """
    reader, writer = await opened(address)
    found = b""
    with suppress(ConnectionError, TimeoutError):
        for part in sent:
            writer.write(part)
            await writer.drain()
        while more := await asyncio.wait_for(reader.read(1 << 20), 10 if first else seconds):
            found += more
            if first and _is_whole(found):
                break
    writer.close()
    return found


def _is_whole(answer: bytes) -> bool:
    head, _, content = answer.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), None)
    return len(content) >= length if length is not None else content.endswith(b"0\r\n\r\n")


def status_of(answer: bytes) -> int:
    """Of the first answer; 0 where none came."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def body_of(answer: bytes) -> Any:
    """The JSON of an answer with a length."""
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def answered(gate: Harness, *sent: bytes) -> int:
    """The status of what comes back."""
    return status_of(await exchange(gate.url, *sent, first=True))


@dataclass
class Server:
    """A provider that sends what it was given, whatever is asked. ``came`` is what it read, a connection each."""

    url: str = ""
    came: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def provider(parts: Sequence[bytes | float], *, stay: bool = False) -> AsyncIterator[Server]:
    """Sends ``parts`` when a whole request has come (numbers are seconds to wait) and closes, unless it is to stay."""
    server = Server()
    closing = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(server.came)
        server.came.append(b"")
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            server.came[place] = head + await reader.readexactly(int(lengths[0]))
            for part in parts:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                else:
                    await asyncio.sleep(part)
            if stay:
                await closing.wait()
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    assert urlsplit(server.url).port
    try:
        yield server
    finally:
        closing.set()
        running.close()
