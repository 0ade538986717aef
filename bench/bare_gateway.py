"""The least that a gateway in Python could be, as a floor to measure against; no product.

Raw ASGI on granian, aiohttp to the upstream, orjson between: a key looked up by its SHA-256, a hold and a settlement
of whole numbers in memory, the usage parsed. Nothing is on a disk, no event is told, no error is translated, and a
stream goes through as it comes. ``python bare_gateway.py PORT UPSTREAM KEY``.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

_UPSTREAM = os.environ.get("BARE_UPSTREAM", "")
_KEYS = {os.environ.get("BARE_KEY", ""): "team"}
_INPUT, _CACHED, _OUTPUT = 150_000_000_000, 75_000_000_000, 600_000_000_000  # 10^-18 dollars a token
_HEADERS = {"content-type": "application/json", "authorization": "Bearer upstream"}
_spent, _held = {"team": 0}, {"team": 0}
_LIMIT = 10**30
_sessions: list[aiohttp.ClientSession] = []


def _settle(team: str, hold: int, usage: dict[str, Any] | None) -> None:
    _held[team] -= hold
    if usage is None:
        _spent[team] += hold
        return
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    cost = (usage["prompt_tokens"] - cached) * _INPUT + cached * _CACHED + usage["completion_tokens"] * _OUTPUT
    _spent[team] += cost


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Send) -> None:
    """One request."""
    if scope["type"] != "http":
        return
    key = dict(scope["headers"]).get(b"authorization", b"")[7:]
    team = _KEYS.get(hashlib.sha256(key).hexdigest())
    if team is None:
        await _refuse(send, 401)
        return
    raw, more = b"", True
    while more:
        message = await receive()
        raw += message.get("body", b"")
        more = message.get("more_body", False)
    body = orjson.loads(raw)
    hold = len(raw) * _INPUT + body.get("max_tokens", 16_384) * _OUTPUT
    if _spent[team] + _held[team] + hold > _LIMIT:
        await _refuse(send, 429)
        return
    _held[team] += hold
    if not _sessions:  # it belongs to the loop, so it is made within
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000), auto_decompress=False))
    usage = None
    async with _sessions[0].post(_UPSTREAM, data=raw, headers=_HEADERS) as answer:
        headers = [(b"content-type", answer.headers["content-type"].encode())]
        if body.get("stream"):
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            tail = b""
            async for chunk in answer.content.iter_any():
                tail = tail[-1024:] + chunk
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            for event in tail.split(b"\n\n"):
                if b'"usage":{' in event:
                    usage = orjson.loads(event[event.index(b"{") :])["usage"]
            _settle(team, hold, usage)
            await send({"type": "http.response.body", "body": b""})
        else:
            content = await answer.read()
            usage = orjson.loads(content)["usage"]
            _settle(team, hold, usage)
            headers.append((b"content-length", str(len(content)).encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    from granian import Granian
    from granian.constants import Interfaces, Loops

    port, os.environ["BARE_UPSTREAM"] = int(sys.argv[1]), sys.argv[2]
    os.environ["BARE_KEY"] = hashlib.sha256(sys.argv[3].encode()).hexdigest()
    Granian(
        "bare_gateway:app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        loop=Loops.uvloop,
        workers=1,
        log_access=False,
        log_enabled=False,
    ).serve()
