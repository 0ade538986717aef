"""The admin's surface, on its own port: metrics, how quotas stand, kill switches, late settlements.

``GET /metrics`` (Prometheus), ``GET /quotas``, ``GET /stops``, ``POST /stops`` with ``{"id", "scope", "why"}``,
``DELETE /stops/ID``, ``GET /holds`` (those that nobody has settled), ``POST /holds/ID`` (:mod:`outlay.gateway.holds`).
With a token in the environment every request must carry it; without one the port is loopback's.

A browser on the same machine reaches loopback too, on behalf of any page that it shows. So a request that a page sent
(it has an ``Origin``) changes nothing, a change is ``application/json``, which no page may send elsewhere unasked, and
without a token the host must be this machine by name: a foreign name that was bent to 127.0.0.1 is not.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from outlay.errors import OutlayError
from outlay.gateway.holds import hold_json, settle
from outlay.gateway.http import Receive, Scope, Send
from outlay.gateway.meters import Meters
from outlay.gateway.refusal import Refusal
from outlay.money import plain
from outlay.operate.quotas.book import Standing, Stop
from outlay.operate.quotas.limit import in_unit
from outlay.operate.quotas.quota import Scope as QuotaScope
from outlay.operate.quotas.store import QuotaStore
from outlay.operate.quotas.window import moment

__all__ = ["Admin", "standing_json"]

_MOST_BODY = 1 << 16
_HERE = re.compile(r"(localhost|127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\[::1\])(:[0-9]{1,5})?")
_STOP_HINT = 'send {"id": "...", "scope": {"team": "search"}, "why": "..."}; the scope of all calls is {"key": "*"}'


class _No(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Admin:
    """The application; ``token`` empty: whoever reaches the port."""

    def __init__(
        self, quotas: QuotaStore, meters: Meters, token: str, clock: Callable[[], int], wrong: Callable[[], str | None]
    ) -> None:
        self._quotas, self._meters, self._clock, self._wrong = quotas, meters, clock, wrong
        self._token = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            said = dict(scope["headers"]).get(b"authorization", b"")
            if self._token and not hmac.compare_digest(said, self._token):
                raise _No(401, "send the header: Authorization: Bearer TOKEN")
            _no_page(scope["method"], dict(scope["headers"]), bool(self._token))
            status, kind, content = await self._answer(scope["method"], scope["path"], receive)
        except _No as no:
            status, kind, content = no.status, b"application/json", orjson.dumps({"error": no.message})
        except Refusal as no:
            status, kind, content = no.status, b"application/json", orjson.dumps({"error": no.message})
        except OutlayError as error:  # Redis is away
            status, kind, content = 503, b"application/json", orjson.dumps({"error": error.what.rstrip(".")})
        headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, method: str, path: str, receive: Receive) -> tuple[int, bytes, bytes]:
        if (method, path) == ("GET", "/metrics"):
            return 200, b"text/plain; version=0.0.4; charset=utf-8", await self._exposition()
        if (method, path) == ("GET", "/healthz"):
            wrong = self._wrong()
            return 503 if wrong else 200, b"application/json", orjson.dumps({"status": wrong or "ok"})
        if (method, path) == ("GET", "/quotas"):
            standings = await self._quotas.standings(self._clock())
            return 200, b"application/json", orjson.dumps({"quotas": [standing_json(one) for one in standings]})
        if (method, path) == ("GET", "/stops"):
            return 200, b"application/json", orjson.dumps({"stops": await self._stops()})
        if (method, path) == ("POST", "/stops"):
            await self._quotas.stop(_stop(await _body(receive)))
            return 200, b"application/json", orjson.dumps({"stops": await self._stops()})
        if method == "DELETE" and path.startswith("/stops/"):
            if not await self._quotas.resume(path.removeprefix("/stops/")):
                raise _No(404, "there is no such stop")
            return 200, b"application/json", orjson.dumps({"stops": await self._stops()})
        if (method, path) == ("GET", "/holds"):
            holds = await self._quotas.unsettled()
            return 200, b"application/json", orjson.dumps({"holds": [hold_json(one) for one in holds]})
        if method == "POST" and path.startswith("/holds/"):
            settled = await settle(self._quotas, path.removeprefix("/holds/"), await _body(receive), self._clock())
            return 200, b"application/json", orjson.dumps(settled)
        raise _No(404, "nothing is here; see /metrics, /quotas, /stops and /holds")

    async def _exposition(self) -> bytes:
        from prometheus_client.exposition import generate_latest
        from prometheus_client.registry import Collector

        try:
            standings = await self._quotas.standings(self._clock())
        except OutlayError:  # the metrics must tell that quotas can't be read, then of all times
            standings = []
        found = list(self._meters.metrics(standings, self._wrong()))

        class Counted(Collector):
            def collect(self) -> Any:  # noqa: ANN401 - as the library has it
                return found

        return generate_latest(Counted())

    async def _stops(self) -> list[dict[str, Any]]:
        found = await self._quotas.stops()
        return [{"id": one.id, "scope": dict(one.scope.wanted), "why": one.why} for one in found.values()]


def standing_json(one: Standing) -> dict[str, Any]:
    """How a quota stands, for programs."""
    measure = one.quota.limit.measure
    return {
        "id": one.quota.id,
        "scope": {name: list(values) for name, values in one.quota.scope.wanted},
        "values": list(one.values),
        "measure": measure,
        "window": str(one.quota.limit.window),
        "mode": one.quota.mode,
        "limit": plain(in_unit(one.quota.limit.amount, measure)),
        "spent": plain(in_unit(one.spent, measure)),
        "held": plain(in_unit(one.held, measure)),
        "resets_at": moment(one.resets).isoformat(timespec="seconds") + "Z",
    }


def _no_page(method: str, headers: Mapping[bytes, bytes], named: bool) -> None:
    """Let nothing through that a page in a browser sent. ``named``: it said who it is, which no page can."""
    if not named and not _HERE.fullmatch(headers.get(b"host", b"").decode("latin-1").lower()):
        raise _No(403, "ask for this machine by its own name: localhost, 127.0.0.1 or [::1]")
    if method in ("GET", "HEAD"):
        return
    if b"origin" in headers:
        raise _No(403, "a page in a browser can't change anything here")
    if method == "POST" and headers.get(b"content-type", b"").partition(b";")[0].strip() != b"application/json":
        raise _No(415, "send it as content-type: application/json")


def _stop(content: bytes) -> Stop:
    try:
        said = orjson.loads(content)
        scope = said["scope"]
        if not isinstance(scope, dict) or not scope or not isinstance(said["id"], str) or not said["id"]:
            raise _No(400, _STOP_HINT)
        found = QuotaScope.of(scope)
        if not all(values and all(isinstance(one, str) for one in values) for _, values in found.wanted):
            raise _No(400, _STOP_HINT)
        return Stop(said["id"], found, str(said.get("why", "")))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise _No(400, _STOP_HINT) from None


async def _body(receive: Receive) -> bytes:
    found = b""
    while True:
        message = await receive()
        more: bytes = message.get("body", b"")
        found += more
        if len(found) > _MOST_BODY:
            raise _No(413, "that is too long")
        if not message.get("more_body"):
            return found
