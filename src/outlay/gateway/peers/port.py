"""The port for other gateways: quotas over HTTP, and Envoy's check. It is never the callers'.

Every request must carry the gateways' secret in ``x-outlay-peer``; ``authorization`` is the caller's, whose request
Envoy sends here as it came. Without a secret the port is not opened: whoever reaches it can hold and settle.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
from collections.abc import Callable

import orjson

from outlay.gateway.http import Receive, Scope, Send
from outlay.gateway.meters import Meters
from outlay.gateway.paths import like
from outlay.gateway.peers.api import QuotaApi
from outlay.gateway.peers.envoy import CHECK, Envoy
from outlay.gateway.peers.request import answer
from outlay.gateway.refusal import Refusal
from outlay.gateway.wires.openai_chat import CHAT
from outlay.gateway.wires.wire import Wire

__all__ = ["HEADER", "PeerPort"]

HEADER = b"x-outlay-peer"
_logger = logging.getLogger(__name__)


class PeerPort:
    """The application."""

    def __init__(
        self, api: QuotaApi, envoy: Envoy, secret: str, meters: Meters, wrong: Callable[[], str | None]
    ) -> None:
        self._api, self._envoy, self._meters, self._wrong = api, envoy, meters, wrong
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        checked = path[len(CHECK) :] if path.startswith(f"{CHECK}/") else None
        wire: Wire = CHAT if checked is None else like(_bare(checked))
        try:
            if not hmac.compare_digest(dict(scope["headers"]).get(HEADER, b""), self._secret):
                raise Refusal(401, "not_a_peer", "Send the gateways' secret in the header x-outlay-peer.")
            if checked is not None:
                await self._envoy.check(checked, scope, receive, send)
            else:
                await self._answer(scope, receive, send)
        except Refusal as no:
            self._meters.refused(no.kind)
            await _refuse(wire, no, send)
        except Exception:
            _logger.exception("an error in Outlay; the call was refused, or counts at its bound")
            await _refuse(wire, Refusal(500, "internal_error", "an error in Outlay."), send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/healthz":
            wrong = self._wrong()
            await answer(send, 503 if wrong else 200, orjson.dumps({"status": wrong or "ok"}))
            return
        if path not in ("/quotas/hold", "/quotas/settle", "/envoy/settle"):
            message = "nothing is here; see /quotas/hold, /quotas/settle, /envoy/check and /envoy/settle."
            raise Refusal(404, "unknown_path", message)
        if method != "POST":
            raise Refusal(405, "method", "Send it with POST.", headers=((b"allow", b"POST"),))
        if path == "/quotas/hold":
            found = await self._api.hold(receive)
        elif path == "/quotas/settle":
            found = await self._api.settle(receive)
        else:
            found = await self._envoy.settle(scope, receive)
        await answer(send, 200, orjson.dumps(found))


def _bare(path: str) -> str:
    return f"/{path[2:].partition('/')[2]}" if path.startswith("/@") else path


async def _refuse(wire: Wire, no: Refusal, send: Send) -> None:
    headers = [*no.headers, *([(b"connection", b"close")] if no.close else [])]
    content = wire.error(no.status, no.kind, no.message, dict(no.details))
    with contextlib.suppress(OSError, RuntimeError):  # it went away, or the answer has begun
        await answer(send, no.status, content, *headers)
