"""Where the prices of calls of two names (provider, model) change: at which moments, hours of the day, sizes of input.

Between two neighbouring cuts no price changes, so what was found for one call holds for every other there. A cut is any
limit of any price row that such a call may meet, of the list or of a contract, whether or not the price differs across
it: one cut too many costs a look-up, one too few a wrong price.

The trap: a variant (batch, priority) of the list starts on a day of its own, which the reason of an estimate names even
where the variant brings no row that a call could meet. Those days are cuts too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TypeVar

from outlay.errors import UsageError
from outlay.prices import genai
from outlay.prices.call import Call
from outlay.prices.price_row import PriceRow

__all__ = ["EVER", "NEVER", "Cuts", "Recent", "cuts", "without_zone"]

EVER, NEVER = datetime.min, datetime.max
_DAY = timedelta(days=1)
_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Cuts:
    """The limits, ascending; ``hours`` are of every day, midnight among them where there is any."""

    moments: tuple[datetime, ...] = ()
    hours: tuple[time, ...] = ()
    sizes: tuple[int, ...] = ()

    def bracket(self, input_tokens: int) -> int:
        """How many of the sizes an input is above."""
        return bisect_left(self.sizes, input_tokens)

    def around(self, at: datetime) -> tuple[datetime, datetime]:
        """From when to when, half-open, the prices of ``at`` hold."""
        place = bisect_right(self.moments, at)
        since = self.moments[place - 1] if place else EVER
        until = self.moments[place] if place < len(self.moments) else NEVER
        if self.hours:
            turn = bisect_right(self.hours, at.time())
            since = max(since, datetime.combine(at.date(), self.hours[turn - 1]))
            if turn < len(self.hours):
                until = min(until, datetime.combine(at.date(), self.hours[turn]))
            elif at.date() < NEVER.date():
                until = min(until, datetime.combine(at.date() + _DAY, time.min))
        return since, until


def cuts(call: Call, rows: Iterable[PriceRow]) -> Cuts:
    """The cuts of calls named like ``call``, which may meet ``rows``."""
    moments: set[datetime | None] = {None}
    hours: set[time | None] = {None}
    sizes: set[int | None] = {None}
    for row in rows:
        moments |= {row.valid_from, row.valid_to}
        hours |= {row.time_from, row.time_to}
        sizes.add(row.input_tokens_above)
    if call.found is not None:
        moments |= {variant.valid_from for variant in genai.variants(call.found.owner, call.found.model)}
    turns = {one for one in hours if one is not None}
    return Cuts(
        tuple(sorted(one for one in moments if one is not None)),
        tuple(sorted({*turns, time.min})) if turns else (),
        tuple(sorted(one for one in sizes if one is not None)),
    )


def without_zone(at: datetime) -> datetime:
    """``at``, which is naive UTC; raises :class:`UsageError` where it has a zone."""
    if at.tzinfo is not None:
        raise UsageError("the time has a zone.", where="at", hint="Convert it to UTC and drop the zone.")
    return at


class Recent(OrderedDict[_K, _V]):
    """A dictionary of the last ``most`` things asked for: names come from clients, and memory must not grow."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def recall(self, key: _K) -> _V | None:
        """What is kept under ``key``, which becomes the last to be dropped."""
        found = self.get(key)
        if found is not None:
            self.move_to_end(key)
        return found

    def keep(self, key: _K, value: _V) -> _V:
        """Keep ``value``, dropping what was not asked for the longest."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
        return value
