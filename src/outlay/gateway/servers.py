"""The HTTP servers of the gateway's ports, all of a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from outlay.gateway.http import Receive, Scope, Send
from outlay.gateway.protocol import GuardedProtocol

__all__ = ["server_of"]

_CALLS_END = 30
_KEEP_ALIVE = 75


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the holds under way have to be settled too


def server_of(app: Callable[[Scope, Receive, Send], object], most: int) -> uvicorn.Server:
    """A server with ``most`` connections at a time; told to end, it lets calls under way end first, for a while."""
    return _Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            limit_concurrency=most,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_CALLS_END,
        )
    )
