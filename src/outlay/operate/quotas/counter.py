"""How much of one quota is spent and held, apart, by the bucket in which each call was admitted."""

from __future__ import annotations

from outlay.operate.quotas.quota import Quota

__all__ = ["Counter"]


class Counter:
    """The count of a quota, or of one value of it.

    ``key`` names it for good, across restarts; the buckets that it forgets are added to ``gone``.
    """

    __slots__ = ("_begins", "_buckets", "_ends", "_gone", "_next", "_paced", "held", "key", "measure", "quota", "spent")

    def __init__(self, quota: Quota, key: str, gone: list[tuple[str, int]]) -> None:
        self.quota, self.key = quota, key
        self.measure = quota.limit.measure
        self._gone = gone
        self.spent = self.held = 0
        self._buckets: dict[int, list[int]] = {}  # begins -> spent, held
        self._ends = 0
        self._begins = self._next = 0  # of the bucket that was last counted in: nearly all calls are of the same
        self._paced = 0

    def roll(self, now: int) -> None:
        """Forget what is no longer in the window."""
        if now < self._ends or not self._buckets:
            return
        window = self.quota.limit.window
        for begins in [one for one in self._buckets if window.ends(one) <= now]:
            spent, held = self._buckets.pop(begins)
            self.spent -= spent
            self.held -= held
            self._gone.append((self.key, begins))
        self._ends = min(map(window.ends, self._buckets), default=0)

    def room(self, now: int) -> int:
        """What is left: the limit without what is spent and held; below 0 where a limit was lowered."""
        self.roll(now)
        return self.quota.limit.amount - self.spent - self.held

    def hold(self, at: int, amount: int) -> None:
        """Count ``amount`` as held, for a call admitted at ``at``."""
        self._bucket(at)[1] += amount
        self.held += amount

    def settle(self, at: int, held: int, spent: int, now: int) -> int | None:
        """Turn what was held into what was spent; returns what its bucket has spent, None where that is gone."""
        bucket = self._add(at, spent, -held, now)
        return None if bucket is None else bucket[0]

    def restore(self, begins: int, spent: int) -> None:
        """What a bucket had spent, as it was kept."""
        self._bucket(begins)[0] += spent
        self.spent += spent

    def resets(self, now: int, needed: int) -> int | None:
        """When there is room for ``needed`` more if nothing else is asked for; None where the limit never has."""
        if needed > self.quota.limit.amount:
            return None
        window = self.quota.limit.window
        left = self.room(now)
        for begins in sorted(self._buckets):
            left += sum(self._buckets[begins])
            if left >= needed:
                return window.ends(begins)
        return window.ends(window.bucket(now))

    def delay(self, now: int, amount: int) -> int:
        """For how many milliseconds a call that was just held waits, so that what is left lasts until the window ends.

        Calls queue behind each other, as long as the quota's ``slowest`` lets them.
        """
        begins_at = self.quota.throttle_from
        if begins_at is None or self.spent + self.held <= begins_at:
            return 0
        window = self.quota.limit.window
        rest = window.length if window.kind == "sliding" else window.ends(window.bucket(now)) - now
        left = max(self.room(now), 1)
        self._paced = min(max(self._paced, now) + amount * rest // left, now + self.quota.slowest)
        return self._paced - now

    def empty(self, now: int) -> bool:
        """Whether it counts nothing, so that it can be forgotten."""
        self.roll(now)
        return not self._buckets

    def buckets(self) -> list[tuple[str, int]]:
        """Its key with the beginning of each bucket."""
        return [(self.key, begins) for begins in self._buckets]

    def bucket_of(self, at: int) -> int:
        """When the bucket of a moment begins."""
        if not self._begins <= at < self._next:
            window = self.quota.limit.window
            self._begins = window.bucket(at)
            self._next = window.next(self._begins)
        return self._begins

    def _bucket(self, at: int) -> list[int]:
        begins = self.bucket_of(at)
        bucket = self._buckets.get(begins)
        if bucket is None:
            bucket = self._buckets[begins] = [0, 0]
            ends = self.quota.limit.window.ends(begins)
            self._ends = min(self._ends, ends) if self._ends else ends
        return bucket

    def _add(self, at: int, spent: int, held: int, now: int) -> list[int] | None:
        self.roll(now)
        bucket = self._buckets.get(self.bucket_of(at))
        if bucket is None:
            return None
        bucket[0] += spent
        bucket[1] += held
        self.spent += spent
        self.held += held
        return bucket
