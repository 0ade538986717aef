"""Envoy's external authorization over HTTP, on the gateway's quotas, and the settlement of what it let through.

Envoy sends every request here first, head and body, under ``/envoy/check``: its key is looked up and its most is held,
by the same code as for the gateway's own calls. 200 lets it through, with the hold in ``x-outlay-hold``; anything else
is what the caller gets. Envoy sends on the very bytes that were checked, so a call under a quota that counts on its
output must name the most of it itself, and a body that says a field twice is refused: providers differ in which they
take. With ``/envoy/check/@ID`` as its prefix the calls go to that upstream of the settings; else their model tells.

``POST /envoy/settle`` takes the provider's answer as it came, with the hold in ``x-outlay-hold`` and the status in
``x-outlay-status``: the usage is read from it by the code that reads it in the gateway. Nothing of the answer is kept.
A call that is not settled counts at its bound when its hold runs out, which is what keeps the limit when Envoy dies.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from outlay.gateway.callers import Caller, Callers
from outlay.gateway.http import Receive, Scope, Send
from outlay.gateway.metering.event import Settled
from outlay.gateway.metering.told import is_charged, plain_body, said_of
from outlay.gateway.paths import KNOWN, WIRES, Path, path_of
from outlay.gateway.peers.api import hold_of, settled_json
from outlay.gateway.peers.granted import Granted, Seal
from outlay.gateway.peers.peers import Outcome, Peers, Wanted
from outlay.gateway.peers.request import answer, body_of, object_of
from outlay.gateway.refusal import Refusal
from outlay.gateway.routes import Routes, Upstream
from outlay.gateway.wires.spoken import Json, Malformed
from outlay.gateway.wires.wire import Beside, Wire
from outlay.operate.quotas.quota import Scope as QuotaScope

__all__ = ["CHECK", "Envoy"]

CHECK = "/envoy/check"
_FREE = ("/v1/models", "/openai/v1/models", "/v1beta/models")
"""Paths that may be read without a hold."""
OWN = "envoy"
"""The status of an answer that Envoy itself made, because no provider's came."""
_NEVER_SENT = (b"no healthy upstream", b"remote connection failure", b"reset reason: connection timeout")
_GIVEN_UP = Outcome("none", sent=False, error="the check was given up")


class Envoy:
    """The check and the settlement."""

    def __init__(self, peers: Peers, seal: Seal, callers: Callers, routes: Routes, most_body: int) -> None:
        self._peers, self._seal, self._callers, self._routes = peers, seal, callers, routes
        self._most_body = most_body

    async def check(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request below ``/envoy/check``; ``path`` is what follows. Raises :class:`Refusal`."""
        upstream, path = self._named(path)
        try:
            found = path_of(path, scope.get("query_string", b""))
        except Malformed as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        if found is None:
            self._read_only(path, scope)
            await answer(send, 200, b"")
            return
        if scope["method"] != "POST":
            raise Refusal(405, "method", "Send it with POST.", headers=((b"allow", b"POST"),))
        wanted = await self._wanted(found, upstream, dict(scope["headers"]), receive)
        granted = await self._peers.hold(wanted)
        gone = asyncio.ensure_future(receive())  # the next message can only be that Envoy gave up
        try:
            await asyncio.wait((gone,), timeout=granted.held.delay / 1000)
            if gone.done():
                self._peers.settle(granted, _GIVEN_UP)
                return
        except asyncio.CancelledError:
            self._peers.settle(granted, _GIVEN_UP)
            raise
        finally:
            gone.cancel()
        await answer(send, 200, b"", (b"x-outlay-hold", self._seal.text(granted).encode()))

    async def settle(self, scope: Scope, receive: Receive) -> Json:
        """Answer ``/envoy/settle``. Raises :class:`Refusal`."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        granted = hold_of(self._seal, headers.get("x-outlay-hold"))
        status = headers.get("x-outlay-status", "")
        content = await body_of(receive, self._most_body)
        if status == OWN:
            outcome = _own(content)
        elif len(status) == 3 and status.isascii() and status.isdigit():
            outcome = _outcome(granted, int(status), headers, content)
        else:
            raise Refusal(400, "invalid_request", "'x-outlay-status' must be the status of the answer, or 'envoy'.")
        return settled_json(granted, self._peers, outcome)

    def _named(self, path: str) -> tuple[Upstream | None, str]:
        """The upstream that a check's prefix names, and the path after it."""
        if not path.startswith("/@"):
            return None, path
        name, _, rest = path[2:].partition("/")
        upstream = self._routes.upstreams.get(name)
        if upstream is None:
            raise Refusal(404, "unknown_upstream", f"'{name[:80]}' is no upstream of the settings.")
        return upstream, f"/{rest}"

    def _read_only(self, path: str, scope: Scope) -> None:
        self._callers.of(dict(scope["headers"]))
        if scope["method"] not in ("GET", "HEAD") or not path.startswith(_FREE):
            message = f"{path[:100]} is not metered, so it is not let through. Known are {', '.join(KNOWN)}."
            raise Refusal(404, "unknown_path", message)

    async def _wanted(
        self, path: Path, upstream: Upstream | None, headers: dict[bytes, bytes], receive: Receive
    ) -> Wanted:
        caller = self._callers.of(headers)
        tags = self._callers.tags(caller, headers)
        raw = await body_of(receive, self._most_body)
        body = object_of(raw)
        _says_all_once(raw)
        try:
            spoken = path.wire.spoken(body, Beside(path.model, headers))
        except Malformed as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        if not 0 < len(spoken.model) <= 256 or not spoken.model.isprintable():
            raise Refusal(400, "invalid_request", "'model' is no name.")
        if not caller.may_call(spoken.model):
            raise Refusal(403, "model_not_allowed", f"this key is not for the model '{spoken.model}'.")
        if upstream is None:
            upstream = self._routes.of(path.wire.name, spoken.model, caller.upstreams)[0].upstream
        elif not _may_use(caller, upstream):
            raise Refusal(403, "upstream_not_allowed", f"this key is not for the upstream '{upstream.id}'.")
        return Wanted(path.wire, spoken, body, len(raw), {"key": caller.key, **tags}, upstream, can_limit=False)


def _may_use(caller: Caller, upstream: Upstream) -> bool:
    return not caller.upstreams or QuotaScope((("upstream", caller.upstreams),)).fits({"upstream": upstream.id})


def _says_all_once(raw: bytes) -> None:
    """Raises :class:`Refusal` for a body that says a field twice, anywhere in it."""

    def once(pairs: list[tuple[str, Any]]) -> Json:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Refusal(400, "invalid_json", "the body says a field twice.")
        return found

    try:
        json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Refusal(400, "invalid_json", "the body is no JSON that every provider reads.") from None


def _own(content: bytes) -> Outcome:
    """How a call ended that Envoy answered itself: not sent, or broken off after a provider had it."""
    if any(one in content for one in _NEVER_SENT):
        return Outcome("none", sent=False, error="no connection")
    return Outcome("bound", error="broke off")


def _outcome(granted: Granted, status: int, headers: Mapping[str, str], content: bytes) -> Outcome:
    """How a call ended, by its answer."""
    wire = WIRES.get(granted.wire)
    if not 200 <= status < 300:
        charged = is_charged(granted.priced_as, status, content)
        return Outcome("bound" if charged else "none", status=status, error=f"http {status}")
    if wire is None:
        return Outcome("bound", status=status, error="no usage")
    if granted.stream and "json" not in headers.get("content-type", ""):
        return _streamed(wire, status, headers, content)
    said = said_of(wire, content, headers)
    if said is None:
        return Outcome("usage", status=status)
    return Outcome("usage", said[0], answered_model=said[1], status=status)


def _streamed(wire: Wire, status: int, headers: Mapping[str, str], content: bytes) -> Outcome:
    meter = wire.meter(False)
    failed: str | None = None
    try:
        meter.feed(plain_body(content, headers))
        meter.rest()
    except ValueError as error:
        failed = f"no stream: {error}"[:200]
    said = meter.said()
    if said is None:
        return Outcome("usage", status=status, error=failed or meter.failed)
    by: Settled = "usage" if meter.whole else "received"
    return Outcome(by, said[0], answered_model=said[1], status=status, error=failed or meter.failed)
