"""uvicorn's HTTP/1.1 protocol with a limit on how long a request's head may take.

uvicorn ends connections that idle between requests, and waits for ever for one whose head comes byte by byte.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["GuardedProtocol"]

_HEAD_SECONDS = 15


class GuardedProtocol(HttpToolsProtocol):
    """Ends a connection whose head is not there within 15 seconds of its first byte, or of the connection."""

    _guard: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._guard = self.loop.call_later(_HEAD_SECONDS, self._too_slow)

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        super().on_message_begin()
        if self._guard is None:
            self._guard = self.loop.call_later(_HEAD_SECONDS, self._too_slow)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._let_go()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._let_go()
        super().connection_lost(exc)

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None

    def _too_slow(self) -> None:
        self._guard = None
        if not self.transport.is_closing():
            self.transport.close()
