"""Quotas that several gateways share, kept in one Redis.

They are those of :class:`outlay.operate.quotas.book.Book`, to the last unit: who is denied and with which figures, who
is slowed and how long, what shadows tell, when a window ends. One script does the whole of a hold in one round trip, so
that no replica comes between what is left and what is taken of it. Where it differs from the book:

- Amounts are exact up to a billion of a currency a call or a limit, and nine billion a window. What is more counts as a
  billion; no limit can be above that. More than 10^9 units of output are not chosen for a caller who named no number.
- A hold counts, until it is settled, in the quotas that the gateway had that made it: a quota that is added begins at
  nothing, with calls admitted from then on. Replicas may differ in limits for a while; their counts are one.
- Moments are those of the gateways, so their clocks must agree. The one ahead decides when a window ends, for all: a
  call of one behind counts in the newest window that was seen. A clock that is hours ahead ends windows hours early.
- ``settle`` says False only of what this gateway settled lately itself. Redis settles once whoever says it how often.

What survives. A call goes when Redis has its hold, so its own settings decide what a crash *of Redis* loses, and
``caution`` tells which they are. ``appendonly yes`` with ``appendfsync always``: nothing, as Redis answers after the
sync, and no ``WAITAOF`` is needed. ``everysec``: nothing when Redis alone is killed, the last second or two of holds
and settlements when its machine is. ``appendonly no``: all since its last snapshot, so budgets that were spent look
unspent. A failover to a replica may lose what was not copied yet. A ``maxmemory-policy`` other than ``noeviction`` may
drop counts and holds while all is well. Redis Cluster is not supported: all keys would be in one slot of it.

A gateway may be killed at any instant: its holds run out and count at their bound, seen to by any other replica, and
its settlements are on its own disk before Redis hears of them (:mod:`outlay.operate.quotas.sharing.outbox`). While
Redis can't be reached nothing is let through (``unavailable``, at once or within two time-outs); settlements and events
wait on the disk. An attempt to hold whose answer never came is withdrawn, by its own number, before or after Redis
comes to it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

from outlay.errors import ConfigError, MissingExtraError
from outlay.operate.quotas.ask import SHARE_OF_ROOM, Amounts, Ask, Denied, Held
from outlay.operate.quotas.book import REMEMBERED, OnExpiry, Standing, Stop
from outlay.operate.quotas.journal import Relay
from outlay.operate.quotas.limit import Measure
from outlay.operate.quotas.quota import EACH, Attributes, Quota, distinct
from outlay.operate.quotas.sharing import wire
from outlay.operate.quotas.sharing.outbox import Leaving, Outbox
from outlay.operate.quotas.sharing.scripts import HOLD, LOOK, SETTLE, SWEEP
from outlay.operate.quotas.store import Unsettled

try:
    from redis.exceptions import ResponseError

    from outlay.operate.quotas.sharing.greeting import Greeting
    from outlay.operate.quotas.sharing.line import Line, Unreachable, reached
    from outlay.operate.quotas.sharing.stops import Stops
except ImportError:
    raise MissingExtraError(
        "quotas that gateways share need the package redis.", hint="Run: pip install 'outlay[gateway]'"
    ) from None

__all__ = ["SharedQuotas"]

Tell = Callable[[Held], bytes | None]
_SHARE = str(SHARE_OF_ROOM).encode()
_SWEPT_AT_ONCE = 200
_LEASED = 60_000
_SETTLED_LATELY = 16_384
_TRIES = 5
_LOOKED_AT_ONCE = 200
_SCANNED = b"500"


class SharedQuotas:
    """The quotas kept in the Redis at ``url``; one object a gateway process, to be used from one event loop.

    ``path`` is this gateway's own journal. ``relay`` takes the events over, from another thread, every ``relay_every``
    seconds; ``ran_out`` makes the event of a hold that nobody settled. ``prefix`` keeps apart what shares a Redis, and
    ``patience`` is how many seconds one answer may take. Raises :class:`ConfigError`,
    :class:`outlay.errors.LedgerError` and :class:`outlay.errors.SpoolError`; Redis need not be there yet.
    """

    def __init__(
        self,
        url: str,
        path: Path,
        quotas: Sequence[Quota],
        *,
        on_expiry: OnExpiry = "charge",
        relay: Relay | None = None,
        relay_every: float = 1.0,
        ran_out: Tell = lambda _: None,
        prefix: str = "outlay",
        patience: float = 1.0,
    ) -> None:
        if not prefix.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"'{prefix}' can't begin the keys in Redis.", hint="Use letters, digits, '-' and '_'.")
        self._prefix = f"{{{prefix}}}:"
        self._quotas = distinct(quotas)
        self._shapes = {quota.identity: wire.Shape(quota) for quota in self._quotas}
        self._names = tuple(sorted({name for quota in self._quotas for name in quota.scope.names}))
        self._rows: dict[tuple[str, ...], tuple[wire.Row, ...]] = {}
        self._expired = b"C" if on_expiry == "charge" else b"R"
        self._ran_out = ran_out
        self._expiries, self._untold, self._index, stops, born = (
            f"{self._prefix}{name}".encode() for name in ("expiries", "ran-out", "counts", "stops", "born")
        )
        self._me, self._attempts = os.urandom(6).hex(), count()
        self._settled: dict[str, None] = {}
        self._patience = patience
        self._greeting = Greeting(born)
        self._line = Line(url, self._greeting.say, patience=patience)
        self._stops = Stops(self._line, stops, self._me)
        self._outbox = Outbox(path, relay, relay_every, self._send)

    @property
    def wrong(self) -> str | None:
        """Why holds can't be kept; None while they can."""
        return self._line.wrong or self._outbox.wrong

    @property
    def caution(self) -> str | None:
        """What the settings of Redis leave to luck, in words for an operator; None where they leave nothing."""
        return self._greeting.caution

    async def hold(self, ask: Ask, now: int) -> Held | Denied:
        """Let a call through when Redis has its hold, or say which quota has no room, or that Redis is away.

        Where the caller is cancelled meanwhile, or no answer comes, the hold is let go.
        """
        if ask.id in self._outbox:
            return _unavailable(f"what was told of '{ask.id}' before has not come to Redis yet")
        if self._outbox.not_kept is not None:
            return _unavailable(self._outbox.not_kept)
        attempt = f"{self._me}-{next(self._attempts)}"
        try:
            found = await self._held(ask, attempt, now)
        except asyncio.CancelledError:
            self._withdraw(ask.id, attempt, now)
            raise
        except Unreachable as error:
            if error.sent:
                self._withdraw(ask.id, attempt, now)
            return self._stops.denied(ask.attributes) or _unavailable(str(error))
        except ResponseError as error:
            return _unavailable(f"Redis says: {error}")
        if isinstance(found, Held):
            self._settled.pop(ask.id, None)
        return found

    def measures(self, attributes: Attributes) -> set[Measure]:
        """What is limited of calls with these attributes."""
        return {row.quota.limit.measure for row in self._matching(attributes) if row.quota.mode == "enforce"}

    def settle(self, id: str, used: Amounts, now: int, event: bytes | None = None) -> bool:
        """Replace a hold by what its call used, and keep the event that tells of it, as one."""
        if id in self._settled or id in self._outbox:
            return False
        self._settled[id] = None
        if len(self._settled) > _SETTLED_LATELY:
            del self._settled[next(iter(self._settled))]
        self._outbox.add(Leaving(id, used, now), event)
        return True

    def tell(self, event: bytes) -> None:
        """Keep an event that belongs to no hold."""
        self._outbox.tell(event)

    async def sweep(self, now: int) -> None:
        """See to holds whose time ran out, of any gateway; find Redis again; send what waits for it."""
        self._outbox.start()
        if self._outbox.not_kept is not None:
            await self._outbox.kept()
        keys = (self._expiries, self._untold, self._index)
        words = [self._expired, _number(_SWEPT_AT_ONCE), _number(_LEASED), _number(REMEMBERED)]
        try:
            while True:
                said = await self._line.run(SWEEP, keys, [_number(now), *words])
                assert isinstance(said, list)
                told = said[::2]
                for text in said[1::2]:
                    if (event := self._ran_out(wire.Kept(text, self._shapes, self._prefix).held)) is not None:
                        self._outbox.tell(event)
                if told and await self._outbox.kept() is None:
                    await self._line.ask([b"ZREM", self._untold, *told])
                if len(told) < _SWEPT_AT_ONCE:
                    return
        except (Unreachable, ResponseError):
            return  # `wrong` says so; the next sweep sees to it

    async def standings(self, now: int) -> list[Standing]:
        """What is spent and held of every quota. Raises :class:`outlay.errors.LedgerError` where Redis is away."""
        with reached():
            keys = await self._line.ask([b"ZRANGE", self._index, b"0", b"-1"])
        assert isinstance(keys, list)
        rows = [row for key in keys if (row := wire.row_of(key, self._shapes, self._prefix)) is not None]
        known = {row.quota.id for row in rows}
        for quota in self._quotas:
            if quota.id not in known and not any(values == (EACH,) for _, values in quota.scope.wanted):
                rows.append(wire.Row(self._shapes[quota.identity], (), self._prefix))
        found = []
        for start in range(0, len(rows), _LOOKED_AT_ONCE):
            some = rows[start : start + _LOOKED_AT_ONCE]
            with reached():
                said = await self._line.run(LOOK, [row.key for row in some], [_number(now)])
            assert isinstance(said, list)
            found += [_standing(row, text, now) for row, text in zip(some, said, strict=True)]
        places = {quota.id: place for place, quota in enumerate(self._quotas)}
        return sorted(found, key=lambda one: (places[one.quota.id], one.values))

    async def unsettled(self) -> list[Unsettled]:
        """The holds that are not settled, of any gateway. Raises :class:`outlay.errors.LedgerError`."""
        found: list[Unsettled] = []
        cursor = b"0"
        while True:
            with reached():
                said = await self._line.ask([b"SCAN", cursor, b"MATCH", self._key("*"), b"COUNT", _SCANNED])
                assert isinstance(said, list)
                cursor, keys = said
                texts = await self._line.ask([b"MGET", *keys]) if keys else []
            assert isinstance(texts, list)
            for text in texts:
                if text is not None and text[:1] in (b"L", b"C", b"R"):  # else it was settled meanwhile, or withdrawn
                    held = wire.Kept(text, self._shapes, self._prefix).held
                    if held.id not in self._outbox:
                        found.append(Unsettled(held, "under way" if text[:1] == b"L" else "ran out"))
            if cursor == b"0":
                return sorted({one.held.id: one for one in found}.values(), key=lambda one: (one.held.at, one.held.id))

    async def stops(self) -> Mapping[str, Stop]:
        """The kill switches that are on. Raises :class:`outlay.errors.LedgerError` where Redis is away."""
        return await self._stops.read()

    async def stop(self, stop: Stop) -> None:
        """Deny all calls of a scope from now on, at every gateway. Raises :class:`outlay.errors.LedgerError`."""
        await self._stops.change(lambda stops: stops.update({stop.id: stop}))

    async def resume(self, id: str) -> bool:
        """Take a stop back. Raises :class:`outlay.errors.LedgerError`."""
        if id not in await self._stops.read():
            return False
        await self._stops.change(lambda stops: stops.pop(id, None))
        return True

    async def close(self) -> None:
        """Send what waits if Redis is there, hand the events on, and let go; what is left is sent the next time."""
        await self._outbox.close(self._patience)
        await self._line.close()

    async def _held(self, ask: Ask, attempt: str, now: int) -> Held | Denied:
        rows = self._matching(ask.attributes)
        quotas = [row.quota for row in rows]
        call = wire.call(ask, rows, now)
        key = self._key(ask.id)
        keys = [key, self._expiries, self._stops.key, self._index, *(row.key for row in rows)]
        expires = now + ask.lives
        for _ in range(_TRIES):
            denied = self._stops.denied(ask.attributes)
            first = [_number(now), attempt.encode(), _number(expires), self._stops.version, b"1" if denied else b"0"]
            said = await self._line.run(HOLD, keys, [*first, call.most, call.least, _SHARE, call.body, *call.asked])
            assert isinstance(said, bytes)
            kind = said[:1]
            if kind == b"H":
                return wire.granted(said[2:].split(), ask, quotas, units=call.units, at=now, expires=expires)
            if kind == b"D":
                words = said.split()
                units = int(words[1]) if call.units is None else call.units
                refused = wire.refused(words[2:], ask, quotas, ask.bound(units))
                assert refused is not None, "every counter that was asked has a quota"
                return refused
            if kind == b"K":
                return wire.Kept(said[2:], self._shapes, self._prefix).held
            if kind == b"S":
                assert denied is not None, "it was told to be stopped"
                return denied
            if kind == b"X":
                break
            self._stops.take(said[2:])
        return _unavailable("the stops changed too often, or the attempt was withdrawn")

    async def _send(self, batch: Sequence[Leaving]) -> bool:
        keys = [self._expiries, self._untold, *(self._key(one.id) for one in batch)]
        said = [
            " ".join([str(one.now), one.attempt or "-", *(f"{name} {wire.pair(n)}" for name, n in one.used.items())])
            for one in batch
        ]
        try:
            await self._line.run(SETTLE, keys, [_number(REMEMBERED), *(one.encode() for one in said)])
        except (Unreachable, ResponseError):
            return False
        return True

    def _withdraw(self, id: str, attempt: str, now: int) -> None:
        self._outbox.add(Leaving(id, {}, now, attempt))

    def _key(self, id: str) -> bytes:
        return f"{self._prefix}hold:{id}".encode("utf-8", "surrogatepass")

    def _matching(self, attributes: Attributes) -> tuple[wire.Row, ...]:
        seen = tuple(attributes.get(name, "") for name in self._names)
        found = self._rows.get(seen)
        if found is None:
            if len(self._rows) >= 10_000:
                self._rows.clear()
            found = self._rows[seen] = wire.matching(attributes, list(self._shapes.values()), self._prefix)
        return found


def _standing(row: wire.Row, text: bytes, now: int) -> Standing:
    sh, sl, hh, hl = text.split()
    window = row.quota.limit.window
    spent, held = wire.whole(sh, sl), wire.whole(hh, hl)
    return Standing(row.quota, row.values, spent, held, window.ends(window.bucket(now)))


def _unavailable(why: str) -> Denied:
    return Denied("unavailable", f"the hold can't be kept, so the call was not sent: {why}.")


def _number(number: int) -> bytes:
    return str(number).encode()
