"""uvicorn's HTTP/1.1 protocol, with limits on what a client may take of a connection before and beside a call.

uvicorn ends connections that idle between requests. It waits for ever for a head or a body that comes byte by byte or
not at all, keeps a head of any length, and keeps an answer for ever that nobody reads. Here each of them has an end:

- a head: 15 seconds, 64 KiB (431);
- a body: 65 seconds, five more than after which the application answers 408; what of it is no content (chunk sizes and
  extensions, trailers) is a small multiple of what is. Trailers are dropped: they would be read as headers;
- an answer: 60 seconds without anything of it being read.

uvicorn also writes the head of an answer and its body apart, each with a system call; here they go as one.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["GuardedProtocol"]

_HEAD_SECONDS = 15
_HEAD_BYTES = 64 << 10
_BODY_SECONDS = 65
_READ_SECONDS = 60
_FRAMING = 16
"""Bytes of framing to a byte of content: a chunk of one byte needs five."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection of a client."""

    _guard: asyncio.TimerHandle | None = None
    _guards_body = False
    _unread: asyncio.TimerHandle | None = None
    _in_body = False
    _came = _content = 0
    """What has come of a head, or of a body, and how much of that is content."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _Joined(transport))
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._let_go()
        self._is_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something has come: of a head, of a body, or of nothing, as empty lines between requests."""
        self._came += len(data)
        super().data_received(data)
        if (self._came or self._in_body) and not self.transport.is_closing():  # a request that is not whole yet
            self._limit()

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        super().on_message_begin()
        self._came = max(self._came, 1)

    def on_headers_complete(self) -> None:
        """The head is whole. What comes of headers from now on are trailers, which go into a list that nobody reads."""
        self._in_body, self._came, self._content = True, 0, 0
        super().on_headers_complete()
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Some of the body has come."""
        self._content += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._in_body, self._came = False, 0
        self._let_go()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """It has read."""
        self._is_read()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """All of an answer is written, and perhaps not read."""
        self._joined().flush()
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._wait_for_reader()

    def _joined(self) -> _Joined:
        return cast("_Joined", self.transport)

    def _limit(self) -> None:
        if self._guard is None or self._guards_body is not self._in_body:
            self._watch()
        if self._in_body:
            if self._came - self._content > _HEAD_BYTES + _FRAMING * self._content:
                self.transport.abort()
        elif self._came > _HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _watch(self) -> None:
        self._let_go()
        self._guards_body = self._in_body
        self._guard = self.loop.call_later(_BODY_SECONDS if self._in_body else _HEAD_SECONDS, self._too_slow)

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None

    def _too_slow(self) -> None:
        self._guard = None
        if self.flow.read_paused:  # it is we who don't read: a request before this one is not answered yet
            self._watch()
        else:
            self.transport.abort()

    def _wait_for_reader(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(_READ_SECONDS, self._not_read)

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _not_read(self) -> None:
        self._unread = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _refuse(self, status: HTTPStatus) -> None:
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.close()


class _Joined:
    """A transport that keeps a head which tells the length of its body until that comes, and writes both at once."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the transport's own
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and b"\r\ncontent-length: " in data:
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write a head whose body does not come: that of an answer to HEAD."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
