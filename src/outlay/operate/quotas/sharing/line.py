"""The line to Redis: one connection that all calls of a gateway share.

Commands are written as they come and answered in that order, so that sixty calls at a time cost one another no round
trip and no connection. An answer that does not come within ``patience`` seconds breaks the line, for every later answer
would be taken for another's; who was waiting is told that its command may have been carried out. While Redis is away
a call is told so at once, and one attempt at a time is made to reach it again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import NoScriptError, RedisError, ResponseError

from outlay.errors import ConfigError, LedgerError
from outlay.operate.quotas.sharing.scripts import Script

__all__ = ["Line", "Unreachable", "packed", "reached"]

Greet = Callable[[AbstractConnection], Awaitable[None]]
_TRIED_EVERY = 0.5


class Unreachable(Exception):
    """Redis gave no answer. ``sent``: it may have done what it was asked to."""

    def __init__(self, why: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(why)


@contextmanager
def reached() -> Iterator[None]:
    """Say it as an error for a person where Redis is away or refuses. Raises :class:`LedgerError`."""
    try:
        yield
    except (Unreachable, ResponseError) as error:
        raise LedgerError(f"{error}.", where="[gateway] state", hint="Is Redis running?") from None


def packed(words: Iterable[bytes]) -> bytes:
    """A command as it is written to Redis."""
    said = [b"$%d\r\n%b\r\n" % (len(one), one) for one in words]
    return b"*%d\r\n%b" % (len(said), b"".join(said))


class Line:
    """The connection to the Redis at ``url``, made when it is needed. To be used from one event loop.

    ``greet`` is what is said first on each new connection. Raises :class:`ConfigError`.
    """

    def __init__(self, url: str, greet: Greet, *, patience: float) -> None:
        try:
            settings: dict[str, Any] = {**parse_url(url), "protocol": 2, "client_name": "outlay"}
            self._made = settings.pop("connection_class", Connection)
            self._settings = {**settings, "socket_timeout": None, "socket_connect_timeout": patience}
            self._made(**self._settings)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"no Redis can be called by it: {error}.", where="[gateway] state") from None
        self.wrong: str | None = None
        self._away = False
        self._greet, self._patience = greet, patience
        self._connection: AbstractConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._closing: set[asyncio.Task[None]] = set()
        self._not_before = 0.0
        self._out: list[bytes] = []
        self._writable = asyncio.Event()
        self._waiting: deque[asyncio.Future[object]] = deque()

    async def run(self, script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> object:
        """What a script answers. Raises :class:`Unreachable`, and Redis' own errors."""
        command = [b"EVALSHA", script.sha, str(len(keys)).encode(), *keys, *words]
        try:
            return await self.ask(command)
        except NoScriptError:  # somebody had it forget all scripts
            await self.ask([b"SCRIPT", b"LOAD", script.text])
            return await self.ask(command)

    async def ask(self, command: Sequence[bytes]) -> object:
        """The answer to a command. Raises :class:`Unreachable`, and Redis' own errors."""
        if self._connection is None:
            await self._connected()
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._out.append(packed(command))
        self._writable.set()
        try:
            async with asyncio.timeout(self._patience):
                return await answer
        except TimeoutError:
            why = f"Redis did not answer within {self._patience:g} s"
            self._break(why, away=True)
            raise Unreachable(why, sent=True) from None

    async def close(self) -> None:
        """Let go of the connection; who waits is told."""
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
        self._break("the line to Redis was closed", away=True)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connected(self) -> None:
        """Return when there is a connection; while Redis is known to be away, leave that to others."""
        if self._connecting is None and asyncio.get_running_loop().time() >= self._not_before:
            self._connecting = asyncio.create_task(self._connect())
        if not self._away and self._connecting is not None:
            await asyncio.shield(self._connecting)
        if self._connection is None:
            raise Unreachable(self.wrong or "Redis is away", sent=False)

    async def _connect(self) -> None:
        connection: AbstractConnection = self._made(**self._settings)
        wrong: str | None = f"Redis did not answer within {self._patience:g} s"
        try:
            async with asyncio.timeout(self._patience):
                await connection.connect()  # type: ignore[no-untyped-call]
                await self._greet(connection)
            wrong = None
        except TimeoutError:
            pass
        except (RedisError, OSError) as error:
            wrong = f"Redis can't be used: {error}"
        finally:
            self._connecting = None
            self._not_before = asyncio.get_running_loop().time() + _TRIED_EVERY
            self.wrong, self._away = wrong, wrong is not None
            if wrong is not None:
                with suppress(RedisError, OSError):
                    await connection.disconnect(nowait=True)
        if wrong is None:
            self._connection = connection
            self._out, self._writable = [], asyncio.Event()
            self._tasks = (asyncio.create_task(self._read(connection)), asyncio.create_task(self._write(connection)))

    async def _read(self, connection: AbstractConnection) -> None:
        try:
            while True:
                try:
                    said: object = await connection.read_response(disable_decoding=True)
                except ResponseError as error:
                    said = error
                answer = self._waiting.popleft()
                if answer.done():  # whoever asked is gone
                    continue
                if isinstance(said, ResponseError):
                    answer.set_exception(said)
                else:
                    answer.set_result(said)
        except (RedisError, OSError) as error:
            self._break(f"Redis went away: {error}", away=False)

    async def _write(self, connection: AbstractConnection) -> None:
        try:
            while True:
                await self._writable.wait()
                self._writable.clear()
                out, self._out = b"".join(self._out), []
                await connection.send_packed_command(out, check_health=False)
        except (RedisError, OSError) as error:
            self._break(f"Redis went away: {error}", away=False)

    def _break(self, why: str, *, away: bool) -> None:
        """Give the connection up. Unless Redis is known to be ``away``, the next call may wait for another one."""
        connection, self._connection = self._connection, None
        self.wrong, self._away = why, away
        self._not_before = 0.0
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._tasks = ()
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(Unreachable(why, sent=True))
        if connection is not None:
            task = asyncio.create_task(connection.disconnect(nowait=True))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
