"""A closed loop of chat completions over kept-alive connections, in a process of its own: what loads a gateway.

It takes one command a line (JSON, see :func:`_run`) and answers each with one: how many were answered well, how long
each took, what was wrong. Each connection sends its next request when the last is answered in full, a stream up to its
``[DONE]``. It parses no JSON of an answer, so that it takes as little as it can of the cores that the gateway runs on.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, repeat
from typing import Any, cast

import httptools
import uvloop

PROMPT = "You are a helpful assistant. " * 40 + "Say hello"
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "gpt-5", "gpt-5-nano")
_numbers = count()


@dataclass
class Plan:
    """What one connection does: ``left`` requests, or as many as go before ``until``.

    Every ``leave_every``-th request of all connections is left in the middle of its answer, for a new connection.
    """

    requests: Iterator[bytes]
    stream: bool
    until: float
    left: int
    leave_every: int
    took: list[float]
    statuses: Counter[str]
    sent: Iterator[int]


@dataclass
class Client(asyncio.Protocol):
    """One connection."""

    plan: Plan
    over: asyncio.Future[bool]
    """Done when the connection is; False where its plan is not."""
    _transport: asyncio.Transport | None = None
    _parser: httptools.HttpResponseParser = field(init=False)
    _sent: float = 0.0
    _tail: bytes = b""
    _whole: bool = False
    _leaves: bool = False

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._ends = b"[DONE]" if self.plan.stream else b'"usage"'

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None and not self.over.done():
            self.plan.statuses["the connection ended"] += 1
            self._end(True)

    def leave(self, done: bool = True) -> None:
        """Go away without waiting for the answer."""
        if not self.over.done() and self._transport is not None:
            self.plan.statuses["left"] += 1
            transport, self._transport = self._transport, None
            transport.abort()
            self._end(done)

    def on_body(self, body: bytes) -> None:
        if self._leaves:
            self.plan.left -= 1
            self.leave(done=self._is_done(time.perf_counter()))
        elif not self._whole:
            seen = self._tail + body
            self._whole = self._ends in seen
            self._tail = seen[-8:]

    def on_message_complete(self) -> None:
        if self._transport is None:
            return
        plan, now = self.plan, time.perf_counter()
        status = self._parser.get_status_code()
        if status == 200 and self._whole:
            plan.took.append(now - self._sent)
        else:
            plan.statuses[str(status) if status != 200 else "200, not whole"] += 1
        plan.left -= 1
        keep = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if self._is_done(now):
            self._end(True)
        elif keep:
            self._next()
        else:
            plan.statuses["the connection was not kept"] += 1
            self._end(True)

    def _is_done(self, now: float) -> bool:
        return self.plan.left <= 0 or now >= self.plan.until

    def _next(self) -> None:
        assert self._transport is not None
        plan = self.plan
        self._leaves = plan.leave_every > 0 and next(plan.sent) % plan.leave_every == 0
        self._tail, self._whole = b"", False
        self._sent = time.perf_counter()
        self._transport.write(next(plan.requests))

    def _end(self, done: bool) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        if not self.over.done():
            self.over.set_result(done)


def request(
    port: int,
    key: str,
    *,
    stream: bool,
    max_tokens: int | None = 64,
    prompt: str = PROMPT,
    model: str = "gpt-4o-mini",
    tags: str = "feature=summary",
) -> bytes:
    """A request as an SDK would send it, with fewer headers; gateways that know no ``tags`` ignore them."""
    said: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    if max_tokens is not None:
        said["max_tokens"] = max_tokens
    if stream:
        said["stream"] = True
    body = json.dumps(said, separators=(",", ":")).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: */*\r\nuser-agent: bench\r\n"
        f"authorization: Bearer {key}\r\nx-outlay-tags: {tags}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def mixed(port: int, key: str, *, stream: bool) -> Iterator[bytes]:
    """Requests of all models by turns, each with a tag value that no other request has."""
    for number in _numbers:
        model = MODELS[number % len(MODELS)]
        yield request(port, key, stream=stream, model=model, tags=f"feature=f{number},customer=c{number % 997}")


async def _run(
    port: int,
    key: str,
    connections: int,
    *,
    stream: bool = False,
    seconds: float = 3600,
    each: int = sys.maxsize,
    mix: bool = False,
    leave_every: int = 0,
    leave_after: float | None = None,
    **asked: Any,  # noqa: ANN401 - those of request
) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    took: list[float] = []
    statuses: Counter[str] = Counter()
    sent = mixed(port, key, stream=stream) if mix else repeat(request(port, key, stream=stream, **asked))
    began = time.perf_counter()
    clients: dict[int, Client] = {}
    numbers = count(1)

    async def connected(number: int) -> None:
        plan = Plan(sent, stream, began + seconds, each, leave_every, took, statuses, numbers)
        done = False
        while not done:
            over: asyncio.Future[bool] = loop.create_future()
            clients[number] = client = Client(plan, over)
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
            done = await over

    tasks = [asyncio.create_task(connected(number)) for number in range(connections)]
    if leave_after is not None:
        await asyncio.sleep(leave_after)
        for client in clients.values():
            client.leave()
    await asyncio.gather(*tasks)
    wall = time.perf_counter() - began
    took.sort()
    return {
        "done": len(took),
        "left": statuses.pop("left", 0),
        "wall": wall,
        "p50_ms": took[len(took) // 2] * 1000 if took else None,
        "p99_ms": took[int(len(took) * 0.99)] * 1000 if took else None,
        "wrong": dict(statuses),
    }


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await _run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve())
