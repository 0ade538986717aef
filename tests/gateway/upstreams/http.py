"""The connections of an upstream: plain asyncio and httptools, so that it can break any rule of HTTP when told to.

A framework would hide what these tests are about: the instant at which the other side goes away, an answer that stops
half-way, a kept-alive connection that is closed when the next request comes.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import TypeAlias, cast
from urllib.parse import unquote

import httptools

__all__ = ["Broken", "Connection", "Headers", "Request"]

Headers: TypeAlias = Sequence[tuple[str, str]]


class Broken(Exception):
    """The upstream gives the connection up without another byte."""


class Request:
    """What one request said."""

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "query", "raw_path")

    def __init__(self, method: str, target: bytes, headers: list[tuple[str, str]], body: bytes, keep: bool) -> None:
        url = httptools.parse_url(target)
        self.method = method
        self.raw_path = url.path.decode()
        self.path = unquote(self.raw_path)
        self.query = (url.query or b"").decode()
        self.headers = headers
        self.body = body
        self.keep_alive = keep

    def header(self, name: str) -> str | None:
        """The first of that name, which is in lower case."""
        return next((value for key, value in self.headers if key == name), None)


Handler: TypeAlias = Callable[[Request, "Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One TCP connection; its requests are answered one after another."""

    def __init__(self, handler: Handler) -> None:
        self.gone = asyncio.Event()
        self.stale = False
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: asyncio.Queue[Request] = asyncio.Queue()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._compress: zlib._Compress | None = None
        self._chunked = False
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self.task = asyncio.get_running_loop().create_task(self._work())

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self._may_write.set()
        self._waiting.put_nowait(_END)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.drop()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # httptools

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body = b"", [], []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))
        if name.lower() == b"expect" and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        keep = self._parser.should_keep_alive()
        self._waiting.put_nowait(Request(method, self._target, self._headers, b"".join(self._body), keep))

    # what a handler does

    async def start(self, status: int, headers: Headers, length: int | None, gzip: bool = False) -> None:
        """Head of an answer; without a length its body comes in chunks."""
        self._compress = zlib.compressobj(wbits=31) if gzip else None
        self._chunked = length is None or gzip
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in _STATUSES else 'Overloaded'}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if gzip:
            lines.append("content-encoding: gzip")
        lines.append("transfer-encoding: chunked" if self._chunked else f"content-length: {length}")
        await self._write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def send(self, data: bytes) -> None:
        """Part of a body, flushed through the compression so that the caller sees it now."""
        if self._compress is not None:
            data = self._compress.compress(data) + self._compress.flush(zlib.Z_SYNC_FLUSH)
        if data:
            await self._write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    async def end(self) -> None:
        """Of a body."""
        last = b""
        if self._compress is not None:
            tail = self._compress.flush()
            last = b"%x\r\n%s\r\n" % (len(tail), tail)
        if self._chunked:
            await self._write(last + b"0\r\n\r\n")

    async def left_within(self, seconds: float) -> bool:
        """Waits; True as soon as the caller is seen to have gone."""
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), seconds)
        else:
            await asyncio.sleep(0)  # what has come in is seen
        return self.gone.is_set()

    def drop(self) -> None:
        """Closes without another byte, after what was written has gone out."""
        if self.transport is not None:
            self.transport.close()

    async def _write(self, data: bytes) -> None:
        assert self.transport is not None
        if not self.gone.is_set():
            self.transport.write(data)
            await self._may_write.wait()

    async def _work(self) -> None:
        try:
            while (request := await self._waiting.get()) is not _END:
                if self.stale:
                    break
                await self._handler(request, self)
                if not request.keep_alive:
                    break
        except Broken:
            pass
        finally:
            self.drop()


_END = Request("", b"/", [], b"", keep=False)
_STATUSES = {one.value for one in HTTPStatus}
