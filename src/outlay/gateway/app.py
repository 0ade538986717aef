"""The callers' surface: an ASGI application with the paths of OpenAI's and Anthropic's APIs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from outlay.config.gateway import GatewaySettings
from outlay.gateway.call import Sender
from outlay.gateway.callers import Caller, Callers
from outlay.gateway.http import Receive, Scope, Send
from outlay.gateway.ids import Ids
from outlay.gateway.incoming import Call
from outlay.gateway.meters import Meters
from outlay.gateway.paths import KNOWN, Path, like, path_of
from outlay.gateway.refusal import Refusal
from outlay.gateway.routes import Routes
from outlay.gateway.wires.spoken import Json, Malformed
from outlay.gateway.wires.wire import Beside, Wire

if TYPE_CHECKING:
    from outlay.gateway.repeats import Repeats
    from outlay.gateway.rules.rules import Rules
    from outlay.gateway.rules.shadows import Shadows

__all__ = ["Gateway"]

_logger = logging.getLogger(__name__)
_BODY_SECONDS = 60
_LONGEST_MODEL = 256
_JSON = (b"content-type", b"application/json")


class Gateway:
    """The application: who calls, what for, and whether it may go."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        callers: Callers,
        routes: Routes,
        sender: Sender | Repeats,
        meters: Meters,
        ids: Ids,
        clock: Callable[[], int],
        wrong: Callable[[], str | None] = lambda: None,
        rules: Rules | None = None,
        shadows: Shadows | None = None,
    ) -> None:
        self._settings = settings
        self._callers = callers
        self._routes = routes
        self._rules = rules
        self._shadows = shadows
        self._sender = sender
        self._meters = meters
        self._ids = ids
        self._clock = clock
        self._wrong = wrong
        self._most_body = settings.max_body_mib << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        wire = like(path)
        state = _State()
        try:
            found = _found(path, scope.get("query_string", b""))
            if found is None:
                await self._other(path, scope, send)
            elif scope["method"] != "POST":
                raise Refusal(405, "method", "Send it with POST.", headers=((b"allow", b"POST"),))
            else:
                wire = found.wire
                await self._call(found, scope, receive=receive, send=send, state=state)
        except Refusal as refusal:
            self._meters.refused(refusal.kind)
            if not state.answering():
                await _refuse(wire, refusal, send)
        except _Gone:
            return
        except asyncio.CancelledError:  # the gateway ends, and the call is settled: an answer that broke off ends here
            if not state.answering():
                await _refuse(wire, Refusal(503, "stopping", "the gateway is stopping.", close=True), send)
        except Exception:
            _logger.exception("an error in Outlay; the call was refused or counts at its bound")
            if not state.answering():
                await _refuse(wire, Refusal(500, "internal_error", "an error in Outlay."), send)

    async def _call(
        self,
        path: Path,
        scope: Scope,
        *,
        receive: Receive,
        send: Send,
        state: _State,
    ) -> None:
        began = time.perf_counter_ns()
        listed: list[tuple[bytes, bytes]] = scope["headers"]
        headers = dict(listed)
        caller = self._callers.of(headers)
        tags = self._callers.tags(caller, headers)
        raw = await _body(headers, receive, self._most_body)
        body = _object(raw)
        wire = path.wire
        try:
            spoken = wire.spoken(body, Beside(path.model, headers))
        except Malformed as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        if len(spoken.model) > _LONGEST_MODEL or not spoken.model.isprintable():
            raise Refusal(400, "invalid_request", "'model' is no name.")  # it is kept, counted under and told of
        if not caller.may_call(spoken.model):
            raise Refusal(403, "model_not_allowed", f"this key is not for the model '{spoken.model}'.")
        routes = self._routes.of(wire.name, spoken.model, caller.upstreams)
        now = self._clock()
        attributes = {"key": caller.key, **tags}
        state.call = Call(
            self._ids.next(now), wire, spoken, body, raw, listed, attributes, routes, receive, send, began
        )
        if self._rules is None:
            await self._sender.answer(state.call)
        else:
            await self._by_rules(self._rules, state.call, caller, headers)

    async def _by_rules(self, rules: Rules, call: Call, caller: Caller, headers: dict[bytes, bytes]) -> None:
        """Let the rules choose where a call goes, and whether it has a shadow."""
        decision, shadow = rules.decide(call, caller, headers, self._clock())
        if decision is not None:
            call.decision = decision
            call.routes = (*decision.routes, *call.routes)
            self._meters.routed(decision.rule, decision.outcome)
        await self._sender.answer(call)
        if call.turned_back is not None and decision is not None:
            rules.answered(call, self._clock())
            self._meters.routed(decision.rule, "fell_back")
        if shadow is not None and self._shadows is not None and call.answered is not None:
            self._shadows.cast(call, shadow, self._ids.next(self._clock()))

    async def _other(self, path: str, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise Refusal(404, "unknown_path", f"the gateway has no {path[:100]}. It has {', '.join(KNOWN)}.")
        if path == "/healthz":
            wrong = self._wrong()
            document: Json = {"status": "failing", "why": wrong} if wrong else {"status": "ok"}
            await _send(send, 503 if wrong else 200, orjson.dumps(document))
            return
        caller = self._callers.of(dict(scope["headers"]))
        models = [(name, upstream) for name, upstream in self._routes.models() if caller.may_call(name)]
        if path in ("/v1/models", "/openai/v1/models"):
            listed = [_model(name, upstream) for name, upstream in models]
            ends = {"has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]} if listed else {}
            await _send(send, 200, orjson.dumps({"object": "list", "data": listed, **ends}))
            return
        name = path.removeprefix("/v1/models/")
        found = next((_model(*one) for one in models if one[0] == name), None)
        if name == path or found is None:
            raise Refusal(404, "unknown_path", f"the gateway has no {path[:100]}.")
        await _send(send, 200, orjson.dumps(found))


class _Gone(Exception):
    """The caller went away in the middle of its request."""


class _State:
    """How far a request has come."""

    __slots__ = ("call",)

    def __init__(self) -> None:
        self.call: Call | None = None

    def answering(self) -> bool:
        return self.call is not None and self.call.answering


async def _body(headers: dict[bytes, bytes], receive: Receive, most: int) -> bytes:
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refusal(415, "encoding", "Send the body as it is, not compressed.", close=True)
    said = headers.get(b"content-length", b"")
    if said.isdigit() and int(said) > most:
        raise _too_long(most)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Gone
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    chunks, size = [body], len(body)
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while message.get("more_body"):
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > most:
                    raise _too_long(most)
    except TimeoutError:
        raise Refusal(408, "slow_body", f"the body took more than {_BODY_SECONDS} seconds.", close=True) from None
    return b"".join(chunks)


def _too_long(most: int) -> Refusal:
    return Refusal(413, "too_large", f"the body is longer than {most:,} bytes.", close=True)


def _object(raw: bytes) -> Json:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "invalid_json", f"the body is no JSON: {error}.") from None
    if not isinstance(body, dict):
        raise Refusal(400, "invalid_json", "the body is no JSON object.")
    return body


def _model(name: str, upstream: str) -> Json:
    return {
        "id": name,
        "object": "model",
        "type": "model",
        "display_name": name,
        "created": 0,
        "created_at": "1970-01-01T00:00:00Z",
        "owned_by": upstream,
    }


def _found(path: str, query: bytes) -> Path | None:
    try:
        return path_of(path, query)
    except Malformed as error:
        raise Refusal(400, "invalid_request", str(error)) from None


async def _refuse(wire: Wire, refusal: Refusal, send: Send) -> None:
    content = wire.error(refusal.status, refusal.kind, refusal.message, dict(refusal.details))
    headers = [*refusal.headers, *([(b"connection", b"close")] if refusal.close else [])]
    await _send(send, refusal.status, content, *headers)


async def _send(send: Send, status: int, content: bytes, *headers: tuple[bytes, bytes]) -> None:
    every = [_JSON, (b"content-length", str(len(content)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": content})
