"""Settlements on their way to Redis, on the disk of the gateway until they are there.

A settlement and the event that tells of it are one transaction of the gateway's journal; only what is on the disk is
said to Redis, and what Redis has taken is removed. A gateway that is killed in between says it again when it starts:
a hold is settled once. Should its disk not take it, the hold stays, runs out, and counts at its bound: never for
nothing. The journal keeps a settlement as what it knows already, a hold that ran out, whose bound is what was used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from outlay.errors import LedgerError
from outlay.operate.quotas.ask import Amounts, Held
from outlay.operate.quotas.book import Late
from outlay.operate.quotas.journal import Journal, Relay

__all__ = ["Leaving", "Outbox"]

_SENT_AT_ONCE = 200
_TRIED_EVERY = 0.5
_MOMENT = 0.01
"""What is settled within so many seconds goes as one: until it has gone, the hold counts."""
_ATTEMPT = "attempt"


@dataclass(frozen=True, slots=True)
class Leaving:
    """A settlement; or the withdrawal of the ``attempt`` to hold whose answer never came."""

    id: str
    used: Amounts
    now: int
    attempt: str | None = None


Send = Callable[[Sequence[Leaving]], Awaitable[bool]]


class Outbox:
    """The settlements that wait, and the events. ``send`` has Redis take some of them: it raises where it does not.

    To be used from one event loop. Raises :class:`LedgerError` and :class:`outlay.errors.SpoolError`.
    """

    def __init__(self, path: Path, relay: Relay | None, relay_every: float, send: Send) -> None:
        self._journal = Journal(path, relay, relay_every=relay_every)
        kept = self._journal.kept
        if kept.live or kept.changes or kept.stops:
            self._journal.close()
            raise LedgerError(
                "it has the holds of quotas that were not shared.",
                where=str(path),
                hint="Name another file for the journal of a gateway whose quotas Redis keeps.",
            )
        self._send = send
        self._waiting = {
            one.id: Leaving(one.id, one.bound, one.at, one.attributes.get(_ATTEMPT))
            for one in (late.held for late in kept.late)
        }
        self._pump: asyncio.Task[None] | None = None
        self.not_kept: str | None = None

    @property
    def wrong(self) -> str | None:
        """Why the disk does not take settlements, or events can't be handed on; None while all is well."""
        return self.not_kept or self._journal.wrong

    def __contains__(self, id: str) -> bool:
        return id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, one: Leaving, event: bytes | None = None) -> None:
        """Keep a settlement with its event, and see that it gets to Redis."""
        self._waiting[one.id] = one
        said = {} if one.attempt is None else {_ATTEMPT: one.attempt}
        self._journal.ran_out(Late(Held(one.id, said, one.now, 0, one.used), {}), (), event)
        self.start()

    def tell(self, event: bytes) -> None:
        """Keep an event that belongs to no hold."""
        self._journal.tell(event)

    def start(self) -> None:
        """Send what waits, unless that is under way."""
        if self._waiting and (self._pump is None or self._pump.done()):
            self._pump = asyncio.create_task(self._run())

    async def kept(self) -> str | None:
        """Return when all that was told is on the disk: None, or why it can't be."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str | None] = loop.create_future()

        def told(wrong: str | None) -> None:
            loop.call_soon_threadsafe(_answer, done, wrong)

        self._journal.when_kept(told)
        self.not_kept = await done
        return self.not_kept

    async def close(self, patience: float) -> None:
        """Send what waits if Redis takes it, and let go of the file; the rest goes when it is opened again."""
        if self._pump is not None:
            await asyncio.wait([self._pump], timeout=patience)
            self._pump.cancel()
        await asyncio.to_thread(self._journal.close)

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(_MOMENT)
            batch = list(islice(self._waiting.values(), _SENT_AT_ONCE))
            if await self.kept() is None and await self._send(batch):
                for one in batch:
                    del self._waiting[one.id]
                    self._journal.settle(one.id, ())
            else:
                await asyncio.sleep(_TRIED_EVERY)


def _answer(done: asyncio.Future[str | None], wrong: str | None) -> None:
    if not done.done():
        done.set_result(wrong)
