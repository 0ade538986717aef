"""Quotas of one process, kept in a file beside it: the default.

The book in memory decides, at once and alone; the journal has the hold on the disk before the call may go. A process
that is killed at any instant leaves a journal from which the next begins: what is spent as far as it was settled, and
every other hold at its bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from outlay.operate.quotas.ask import Amounts, Ask, Denied, Held
from outlay.operate.quotas.book import Book, OnExpiry, Standing, Stop
from outlay.operate.quotas.journal import Journal, Relay
from outlay.operate.quotas.limit import Measure
from outlay.operate.quotas.quota import Attributes, Quota
from outlay.operate.quotas.store import Unsettled

__all__ = ["EmbeddedQuotas"]

Tell = Callable[[Held], bytes | None]


class EmbeddedQuotas:
    """The quotas of the one process that has ``path`` open. To be used from one event loop.

    ``relay`` takes the events over, from another thread, every ``relay_every`` seconds; ``ran_out`` makes the event of
    a hold that nobody settled. Raises :class:`outlay.errors.LedgerError` and :class:`outlay.errors.SpoolError`.
    """

    def __init__(
        self,
        path: Path,
        quotas: Sequence[Quota],
        *,
        now: int,
        on_expiry: OnExpiry = "charge",
        relay: Relay | None = None,
        relay_every: float = 1.0,
        ran_out: Tell = lambda _: None,
    ) -> None:
        self._book = Book(quotas, on_expiry=on_expiry)
        self._journal = Journal(path, relay, relay_every=relay_every)
        self._ran_out = ran_out
        kept = self._journal.kept
        self._book.restore(kept.changes, kept.live, kept.late)
        self._left = {held.id for held in kept.live}
        self._book.stops.update((stop.id, stop) for stop in kept.stops)
        self._sweep(now)
        known = self._book.buckets()
        self._journal.forget(one for change in kept.changes if (one := (change.counter, change.bucket)) not in known)

    @property
    def wrong(self) -> str | None:
        """Why holds can't be kept; None while they can."""
        return self._journal.wrong

    async def hold(self, ask: Ask, now: int) -> Held | Denied:
        """Let a call through when its hold is on the disk, or say which quota has no room.

        Where the caller is cancelled meanwhile the hold is let go.
        """
        known = ask.id in self._book.holds
        held = self._book.hold(ask, now)
        if known or isinstance(held, Denied):
            return held
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[str | None] = loop.create_future()

        def told(wrong: str | None) -> None:
            loop.call_soon_threadsafe(_answer, stored, wrong)

        self._journal.hold(held, told)
        try:
            wrong = await stored
        except asyncio.CancelledError:
            self.settle(held.id, {}, now)
            raise
        if wrong is not None:
            self.settle(held.id, {}, now)  # an error may come after it was written: the file must not keep it
            return Denied("unavailable", f"the hold can't be kept, so the call was not sent: {wrong}.")
        return held

    def measures(self, attributes: Attributes) -> set[Measure]:
        """What is limited of calls with these attributes."""
        return self._book.measures(attributes)

    def settle(self, id: str, used: Amounts, now: int, event: bytes | None = None) -> bool:
        """Replace a hold by what its call used, and keep the event that tells of it, as one."""
        changes = self._book.settle(id, used, now)
        if changes is None:
            return False
        self._journal.settle(id, changes, event)
        return True

    def tell(self, event: bytes) -> None:
        """Keep an event that belongs to no hold."""
        self._journal.tell(event)

    async def sweep(self, now: int) -> None:
        """See to holds whose time ran out, and forget what no window holds any more."""
        self._sweep(now)

    async def standings(self, now: int) -> list[Standing]:
        """What is spent and held of every quota."""
        return self._book.standings(now)

    async def unsettled(self) -> list[Unsettled]:
        """The holds that are not settled; those that a process before this one left are told apart."""
        live = [Unsettled(one, "left" if one.id in self._left else "under way") for one in self._book.holds.values()]
        late = [Unsettled(one.held, "ran out") for one in self._book.late.values()]
        return sorted([*late, *live], key=lambda one: (one.held.at, one.held.id))

    async def stops(self) -> Mapping[str, Stop]:
        """The kill switches that are on."""
        return dict(self._book.stops)

    async def stop(self, stop: Stop) -> None:
        """Deny all calls of a scope from now on, after a restart too."""
        self._book.stops[stop.id] = stop
        self._journal.stop(stop)
        await asyncio.to_thread(self._journal.flush, 10)

    async def resume(self, id: str) -> bool:
        """Take a stop back."""
        found = self._book.stops.pop(id, None)
        if found is None:
            return False
        self._journal.resume(id)
        await asyncio.to_thread(self._journal.flush, 10)
        return True

    async def close(self) -> None:
        """Keep what is under way, hand the events on, and let go of the file."""
        await asyncio.to_thread(self._journal.close)

    def _sweep(self, now: int) -> None:
        for late, changes in self._book.expire(now):
            self._journal.ran_out(late, changes, self._ran_out(late.held))
        gone, old = self._book.tidy(now)
        if gone:
            self._journal.forget(gone)
        for id in old:
            self._journal.settle(id, ())


def _answer(stored: asyncio.Future[str | None], wrong: str | None) -> None:
    if not stored.done():
        stored.set_result(wrong)
