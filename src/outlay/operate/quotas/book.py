"""The book of all quotas: what is spent, what is held, and whether one more call fits them all.

It is arithmetic alone: it reads no clock, keeps nothing on a disk and waits for nobody, so that it can be run through
every interleaving. One thread asks it. A call is let through by all quotas that it falls under or by none: nothing is
held until all have room. What it holds is a true upper bound, so spent + held never passes a limit, whatever the order
in which calls come, go, fail or are forgotten.

A hold that nobody settles in time counts as spent at its bound (``charge``), because the provider may have billed it,
or as nothing (``release``). A settlement that comes late replaces that, in each counter by what it had counted there:
quotas may have been changed since, and one that never counted the hold has nothing to give back.

Moments never go back. Where the clock is set back, calls count at the latest moment that was seen until it has caught
up: a window that has ended would begin anew otherwise, as if nothing had been spent in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import Literal

from outlay.operate.quotas.ask import SHARE_OF_ROOM, Amounts, Ask, Denied, Held
from outlay.operate.quotas.counter import Counter
from outlay.operate.quotas.limit import Measure, is_money
from outlay.operate.quotas.quota import Attributes, Quota, Scope, distinct

__all__ = ["REMEMBERED", "Book", "Change", "Late", "OnExpiry", "Standing", "Stop", "stopped"]

OnExpiry = Literal["charge", "release"]
REMEMBERED = 35 * 86_400_000
"""For how long, in milliseconds, a hold that ran out can still be settled: until a month's invoice is there."""
_TIDY_EVERY = 60_000
_MOST_SETTLED = 1_000
"""So many settled holds, and as many as live ones, may wait among the expiries for their time to come."""
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Stop:
    """A kill switch: every call of its scope is denied until it is taken back."""

    id: str
    scope: Scope
    why: str = ""


def stopped(stops: Iterable[Stop], attributes: Attributes) -> Denied | None:
    """The denial of a call with these attributes by the first stop that means it; None where none does."""
    for stop in stops:
        if stop.scope.fits(attributes):
            why = f"calls with {stop.scope} are stopped" + (f": {stop.why}" if stop.why else "")
            return Denied("stopped", f"{why.rstrip('.')}.", stop.id)
    return None


@dataclass(frozen=True, slots=True)
class Change:
    """What a bucket of a counter has spent now: what must be kept."""

    counter: str
    bucket: int
    spent: int


@dataclass(frozen=True, slots=True)
class Late:
    """A hold that ran out and can still be settled; ``counted`` is what of it counts as spent, by counter."""

    held: Held
    counted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Standing:
    """One counter as it stands. ``values`` are those that count by themselves; amounts are in the quota's measure."""

    quota: Quota
    values: tuple[str, ...]
    spent: int
    held: int
    resets: int


class Book:
    """All counters of all quotas, and the holds that count in them."""

    def __init__(self, quotas: Sequence[Quota], *, on_expiry: OnExpiry = "charge") -> None:
        self.quotas = distinct(quotas)
        self.stops: dict[str, Stop] = {}
        self._on_expiry = on_expiry
        self._names = tuple(sorted({name for quota in self.quotas for name in quota.scope.names}))
        self._counters: dict[str, Counter] = {}
        self._matches: dict[tuple[str, ...], tuple[tuple[Quota, str], ...]] = {}
        self._holds: dict[str, Held] = {}
        self._expiries: list[tuple[int, str]] = []
        self._late: dict[str, Late] = {}
        self._gone: list[tuple[str, int]] = []
        self._tidied = 0
        self._latest = 0

    @property
    def holds(self) -> Mapping[str, Held]:
        """The holds that are neither settled nor run out, by id."""
        return self._holds

    @property
    def late(self) -> Mapping[str, Late]:
        """The holds that ran out and can still be settled, by id."""
        return self._late

    def hold(self, ask: Ask, now: int) -> Held | Denied:
        """Hold the most that a call can use, if every quota that it falls under has room; else say which has none.

        Asking again with the id of a live hold returns that hold: nothing is held twice.
        """
        if (known := self._holds.get(ask.id)) is not None:
            return known
        if self.stops and (denied := stopped(self.stops.values(), ask.attributes)) is not None:
            return denied
        now = self._not_before(now)
        counters = self._counting(ask.attributes)
        units = self._units(ask, counters, now)
        bound = ask.bound(units)
        shadowed = []
        for counter in counters:
            denied = self._denied(ask, counter, bound, now)
            if denied is None:
                continue
            if counter.quota.mode == "enforce":
                return denied
            shadowed.append(denied)
        for counter in counters:
            counter.hold(now, bound.get(counter.measure, 0))
        delay, slowed_by = self._delay(counters, bound, now)
        held = Held(ask.id, ask.attributes, now, now + ask.lives, bound, units, delay, slowed_by, tuple(shadowed))
        self._keep(held)
        return held

    def settle(self, id: str, used: Amounts, now: int) -> list[Change] | None:
        """Replace a hold by what the call used; what changed. None where it is settled already, or was never held."""
        held = self._holds.pop(id, None)
        if held is not None:
            return self._move(held, held.bound, used, now)
        late = self._late.pop(id, None)
        return None if late is None else self._move(late.held, {}, used, now, late.counted)

    def expire(self, now: int) -> list[tuple[Late, list[Change]]]:
        """The holds whose time has run out, and what changed by it."""
        found = []
        now = self._not_before(now)
        while self._expiries and self._expiries[0][0] <= now:
            _, id = heappop(self._expiries)
            held = self._holds.pop(id, None)
            if held is not None:
                found.append(self._run_out(held, now))
        return found

    def tidy(self, now: int) -> tuple[list[tuple[str, int]], list[str]]:
        """Forget what no window holds any more: the buckets by counter, and the holds too old to be settled."""
        if now - self._tidied >= _TIDY_EVERY:
            self._tidied = now
            for key in [one.key for one in self._counters.values() if one.empty(now)]:
                del self._counters[key]
        old = [id for id, one in self._late.items() if one.held.expires + REMEMBERED <= now]
        for id in old:
            del self._late[id]
        gone, self._gone[:] = list(self._gone), []
        return gone, old

    def buckets(self) -> set[tuple[str, int]]:
        """Every bucket that counts, by its counter."""
        return {one for counter in self._counters.values() for one in counter.buckets()}

    def restore(self, changes: Iterable[Change], holds: Iterable[Held], late: Iterable[Late] = ()) -> None:
        """Begin with what another process kept: what is spent, the holds under way and those that ran out.

        Counters of quotas that are no more are left out.
        """
        by_identity = {quota.identity: quota for quota in self.quotas}
        for change in changes:
            quota = by_identity.get(change.counter.partition("\0")[0])
            if quota is not None:
                self._counter(quota, change.counter).restore(change.bucket, change.spent)
        for held in holds:
            for counter in self._counting(held.attributes):
                counter.hold(held.at, held.bound.get(counter.measure, 0))
            self._keep(held)
        self._late.update((one.held.id, one) for one in late)

    def standings(self, now: int) -> list[Standing]:
        """Every quota with what is spent and held of it now, by value where values count by themselves."""
        found = []
        now = self._not_before(now)
        for quota in self.quotas:
            counters = [one for one in self._counters.values() if one.quota is quota]
            if not counters and not any(values == ("*",) for _, values in quota.scope.wanted):
                counters = [Counter(quota, quota.identity, [])]
            for counter in sorted(counters, key=lambda one: one.key):
                counter.roll(now)
                values = tuple(counter.key.split("\0")[1:])
                window = quota.limit.window
                found.append(Standing(quota, values, counter.spent, counter.held, window.ends(window.bucket(now))))
        return found

    def counting(self, attributes: Attributes) -> list[Counter]:
        """The counters that a call with these attributes falls under."""
        return self._counting(attributes)

    def measures(self, attributes: Attributes) -> set[Measure]:
        """What the quotas limit that a call with these attributes falls under; those in shadow mode limit nothing."""
        return {quota.limit.measure for quota, _ in self._matching(attributes) if quota.mode == "enforce"}

    def _units(self, ask: Ask, counters: list[Counter], now: int) -> int:
        """How many units of output: as many as wanted, or fewer where the choice is ours and less is left."""
        units = ask.most
        for counter in counters:
            rate = ask.each.get(counter.measure, 0)
            if rate and counter.quota.mode == "enforce":
                fixed = ask.fixed.get(counter.measure, 0)
                units = min(units, (counter.room(now) // SHARE_OF_ROOM - fixed) // rate)
        return max(ask.least, min(units, ask.most))

    def _denied(self, ask: Ask, counter: Counter, bound: Amounts, now: int) -> Denied | None:
        quota = counter.quota
        measure = quota.limit.measure
        needed = bound.get(measure)
        if needed is None:
            if is_money(measure) and ask.may_be_unpriced:
                return None
            return Denied.boundless(quota, ask.unbounded)
        if needed <= counter.room(now):
            return None
        return Denied.over(quota, counter.spent, counter.held, needed, counter.resets(now, needed))

    def _delay(self, counters: list[Counter], bound: Amounts, now: int) -> tuple[int, str | None]:
        longest, slowed_by = 0, None
        for counter in counters:
            if counter.quota.throttle_at is not None and counter.quota.mode == "enforce":
                delay = counter.delay(now, bound.get(counter.measure, 0))
                if delay > longest:
                    longest, slowed_by = delay, counter.quota.id
        return longest, slowed_by

    def _run_out(self, held: Held, now: int) -> tuple[Late, list[Change]]:
        charged = held.bound if self._on_expiry == "charge" else {}
        counted = {one.key: charged.get(one.measure, 0) for one in self._counting(held.attributes)}
        late = self._late[held.id] = Late(held, counted)
        return late, self._move(held, held.bound, charged, now)

    def _move(
        self, held: Held, bound: Amounts, used: Amounts, now: int, counted: Mapping[str, int] = _NOTHING
    ) -> list[Change]:
        changes = []
        now = self._not_before(now)
        for counter in self._counting(held.attributes):
            measure = counter.measure
            more = used.get(measure, 0) - counted.get(counter.key, 0)
            spent = counter.settle(held.at, bound.get(measure, 0), more, now)
            if spent is not None:
                changes.append(Change(counter.key, counter.bucket_of(held.at), spent))
        return changes

    def _not_before(self, now: int) -> int:
        """``now``, or the latest moment that was seen where the clock was set back."""
        self._latest = max(self._latest, now)
        return self._latest

    def _keep(self, held: Held) -> None:
        self._holds[held.id] = held
        heappush(self._expiries, (held.expires, held.id))
        if len(self._expiries) > 2 * len(self._holds) + _MOST_SETTLED:
            self._expiries = [(one.expires, one.id) for one in self._holds.values()]
            heapify(self._expiries)

    def _matching(self, attributes: Attributes) -> tuple[tuple[Quota, str], ...]:
        """The quotas that count calls with these attributes, each with the key of its counter."""
        seen = tuple(attributes.get(name, "") for name in self._names)
        found = self._matches.get(seen)
        if found is None:
            if len(self._matches) >= 10_000:
                self._matches.clear()
            found = tuple(
                (one, "\0".join((one.identity, *one.scope.apart(attributes))))
                for one in self.quotas
                if one.scope.fits(attributes)
            )
            self._matches[seen] = found
        return found

    def _counting(self, attributes: Attributes) -> list[Counter]:
        counters = self._counters
        return [counters.get(key) or self._counter(quota, key) for quota, key in self._matching(attributes)]

    def _counter(self, quota: Quota, key: str) -> Counter:
        found = self._counters.get(key)
        if found is None:
            found = self._counters[key] = Counter(quota, key, self._gone)
        return found
