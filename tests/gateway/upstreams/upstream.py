"""A pretended provider: takes calls, does with each what its script says, and keeps its own account of them.

It stops a stream at the instant at which it sees that the caller has gone and bills what it had made until then, unless
told to finish. A call without streaming is worked on to its end and billed in full, whether or not the caller waits.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from tests.gateway.upstreams.answer import Answer, Call, Frame, Provider, Refused, compact
from tests.gateway.upstreams.http import Broken, Connection, Request
from tests.gateway.upstreams.log import Entry, Log
from tests.gateway.upstreams.script import HEADER, ORDINARY, Script, of_call

__all__ = ["Upstream"]


class Upstream:
    """One server on a port of its own. ``url`` is known once it runs; ``secret`` is what it wants as a key."""

    def __init__(self, provider: Provider, default: Script = ORDINARY) -> None:
        self.provider = provider
        self.secret = provider.secret
        self.default = default
        self.log = Log()
        self.url = ""
        self.failures: list[Exception] = []
        self._queue: deque[Script] = deque()
        self._models: dict[str, Script] = {}
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    # what a test says

    def next(self, *scripts: Script, **behaviour: Any) -> None:
        """Script the next calls, one each; keywords alone are one."""
        self._queue.extend(scripts or (Script.of(behaviour),))

    def for_model(self, model: str, **behaviour: Any) -> None:
        """Script all calls of a model that say nothing themselves."""
        self._models[model] = Script.of(behaviour)

    def reset(self) -> None:
        """Forget scripts and the log."""
        self._queue.clear()
        self._models.clear()
        self.log.entries.clear()

    # running

    async def start(self, port: int = 0) -> str:
        """Listen on loopback; the address."""
        self._server = await asyncio.get_running_loop().create_server(self._connected, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self.url

    async def stop(self) -> None:
        """End it, and every connection with it, as a machine that loses power would."""
        assert self._server is not None
        self._server.close()
        for entry in self.log.entries:
            if not entry.done:
                entry.dropped = "stopped"
        ending = [one.task for one in self._connections if one.task is not None and not one.task.done()]
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.abort()
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.sleep(0)
        for entry in self.log.entries:
            entry.done = True

    @contextmanager
    def in_thread(self, port: int = 0) -> Iterator[Upstream]:
        """Run beside synchronous code."""
        ready, over = Event(), Event()

        async def run() -> None:
            await self.start(port)
            ready.set()
            await asyncio.to_thread(over.wait)
            await self.stop()

        thread = Thread(target=asyncio.run, args=(run(),), name=f"upstream {self.provider.name}")
        thread.start()
        assert ready.wait(10), "the upstream did not start"
        try:
            yield self
        finally:
            over.set()
            thread.join()
        if self.failures:
            raise self.failures[0]

    def _connected(self) -> Connection:
        self._connections = {one for one in self._connections if not one.gone.is_set()}
        connection = Connection(self._serve)
        self._connections.add(connection)
        self.log.connections += 1
        return connection

    # a call

    async def _serve(self, request: Request, connection: Connection) -> None:
        if request.path.startswith("/_"):
            return await self._told(request, connection)
        began = time.monotonic()
        entry = self._entered(request)
        try:
            script = self._script(request, entry)
            if script.drop == "at_once":
                entry.dropped = script.drop
                raise Broken
            answer = self._answered(request, entry, script)
            await self._deliver(answer, script, entry, request, connection)
            connection.stale = script.stale
        except Broken:
            raise
        except Exception as mistake:
            self.failures.append(mistake)
            raise Broken from mistake
        finally:
            if connection.gone.is_set() and entry.dropped is None:
                entry.left_after_s = time.monotonic() - began
            entry.done = True
        return None

    def _entered(self, request: Request) -> Entry:
        try:
            body = json.loads(request.body) if request.body else None
        except ValueError:
            body = request.body.decode("latin-1")
        number = len(self.log.entries) + 1
        entry = Entry(
            id=f"{self.provider.name}-{number:06d}",
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=body,
            at=time.time(),
            model=self.provider.model_of(request, body),
        )
        self.log.entries.append(entry)
        return entry

    def _script(self, request: Request, entry: Entry) -> Script:
        if not self.provider.scripted(request):
            return self.default
        if self._queue:
            return self._queue.popleft()
        return of_call(request.header(HEADER), request.body) or self._models.get(entry.model or "", self.default)

    def _answered(self, request: Request, entry: Entry, script: Script) -> Answer:
        try:
            if script.status is not None:
                raise Refused(script.status, f"scripted: {script.status}", script.retry_after)
            answer = self.provider.answer(Call(request, entry, script, self.secret))
        except Refused as refused:
            return self.provider.refusal(refused, entry)
        entry.service_tier = answer.service_tier
        entry.worked = answer.worked
        if script.huge and answer.frames is None and isinstance(answer.body, dict):
            answer.body["padding"] = "x" * script.huge
        return answer

    async def _deliver(
        self, answer: Answer, script: Script, entry: Entry, request: Request, connection: Connection
    ) -> None:
        entry.stream = answer.frames is not None
        entry.billed = answer.meters.having(0, 0) if entry.stream else answer.meters
        if script.start_s:
            left = await connection.left_within(script.start_s)
            if left and entry.stream and script.when_left == "stop":
                return
        if script.drop == "before_headers":
            entry.dropped, entry.billed = script.drop, answer.meters
            raise Broken
        entry.status = answer.status
        headers = list(answer.headers)
        if script.close:
            headers.append(("connection", "close"))
            request.keep_alive = False
        gzip = script.gzip and "gzip" in (request.header("accept-encoding") or "")
        if answer.frames is None:
            await self._body(answer, script, entry, connection, headers=headers, gzip=gzip)
        else:
            headers.append(("content-type", answer.content_type))
            await connection.start(answer.status, headers, None, gzip)
            await self._stream(answer, answer.frames, script, entry, connection)

    async def _body(
        self,
        answer: Answer,
        script: Script,
        entry: Entry,
        connection: Connection,
        *,
        headers: list[tuple[str, str]],
        gzip: bool,
    ) -> None:
        data = compact(answer.body).encode()
        if script.garbage:
            data = data[: len(data) // 2]
        headers.append(("content-type", "application/json"))
        await connection.start(answer.status, headers, len(data), gzip)
        if script.drop is not None:
            entry.dropped = script.drop
            await connection.send(data[: len(data) // 2])
            raise Broken
        await connection.send(data)
        await connection.end()
        entry.told_usage = answer.worked and script.usage and not connection.gone.is_set()

    async def _stream(
        self, answer: Answer, frames: list[Frame], script: Script, entry: Entry, connection: Connection
    ) -> None:
        contents = [at for at, one in enumerate(frames) if one.kind == "content"]
        middle = contents[len(contents) // 2] if contents else 0
        usage = next((at for at, one in enumerate(frames) if one.kind in ("usage", "end")), len(frames))
        drops = {"mid_stream": middle, "before_usage": usage}.get(script.drop or "")
        huge_at = contents[0] if contents and script.huge else None
        for at, frame in enumerate(frames):
            if at == drops:
                entry.dropped = script.drop
                raise Broken
            if script.stream_error and at == middle:
                await self._send(answer, answer.failure, connection)
                await connection.end()
                return
            # A turn of the loop for each frame, so that a caller's leaving is seen between two of them.
            if await connection.left_within(script.chunk_s) and script.when_left == "stop":
                return
            entry.billed = answer.meters.having(frame.output, frame.reasoning)
            payload = {**frame.payload, "padding": "x" * script.huge} if at == huge_at else frame.payload
            text = compact(payload)
            if script.garbage and at == middle:
                text = text[: len(text) // 2]
            await connection.send(answer.framing(frame.event, text))
            if not connection.gone.is_set():
                entry.frames += 1
                entry.told_usage = entry.told_usage or (frame.kind == "usage" and script.usage)
        await connection.end()

    async def _send(self, answer: Answer, frames: list[Frame], connection: Connection) -> None:
        for frame in frames:
            await connection.send(answer.framing(frame.event, compact(frame.payload)))

    # from another process

    async def _told(self, request: Request, connection: Connection) -> None:
        told: Any = {}
        if request.path == "/_log":
            told = {"entries": [one.as_json() for one in self.log.entries], "connections": self.log.connections}
        elif request.path == "/_next":
            self.next(*(Script.of(one) for one in json.loads(request.body)))
        elif request.path == "/_model":
            for name, behaviour in json.loads(request.body).items():
                self.for_model(name, **behaviour)
        elif request.path == "/_reset":
            self.reset()
        data = compact(told).encode()
        await connection.start(200, [("content-type", "application/json")], len(data))
        await connection.send(data)
        await connection.end()
