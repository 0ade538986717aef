"""From readings of GPUs to hours: busy, idle, not seen, nobody's, in parts that add up to the card.

A *scrape* is what was told of a card at one moment. It stands for the time until the card's next scrape, at most
``max_gap``; what lies beyond is **no telemetry**, never idleness, and the holder's only if the same held it on both
sides. A card is known from its first scrape to its last: nothing is said of the time before and after, nor of a
silence of more than a week, after which a card may have been given back (or a clock was wrong). One metric says whether
a card was busy, the same for a card in the whole file, since two metrics of one card are two different figures.

The arithmetic is exact. Moments are put on a grid of 10^-9 hours (3.6 microseconds) *before* they are subtracted, so
that intervals which touch add up to the interval they make, over files as well; shares of a card are fractions until
the end, and what rounding leaves over is given to the parts with the largest remainder. So for each card and hour

    busy + idle + no telemetry + unallocated = the time it was known

to the last digit. Activity is rounded once for each row and never exceeds the time that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import lcm

from outlay.sources.telemetry.samples import ABSENT, METRICS, PREFERRED, Part, Series, Telemetry
from outlay.sources.telemetry.sharing import NOT_SEEN, Key, RowKey, Share, shares, whole_card

__all__ = ["Row", "Rules", "grid", "roll_up"]

_HOUR = 3_600_000_000  # microseconds
_LEAST_GAP = 60_000_000
_ACTIVITY, _MEMORY, _POWER, _ENERGY = range(4)
_COLUMN = {"memory": _MEMORY, "power": _POWER, "energy": _ENERGY}
_BUSY, _IDLE, _UNSEEN, _FREE = range(4)

_Scrape = dict[int, list[int]]  # by number of the key: activity, memory, power, energy, ABSENT where not told
_Told = tuple[int, ...]  # the keys of a scrape


@dataclass(frozen=True, slots=True)
class Rules:
    """How readings are turned into hours.

    ``idle_below``: activity (0 to 1) under which allocated time is idle. ``max_gap_seconds``: how long a scrape may
    stand for; None is three times the card's median spacing, at least a minute. ``metric`` is one of
    :data:`~outlay.sources.telemetry.samples.METRICS`; None is the first of ``PREFERRED`` that the card has.
    ``last_stands_seconds``: how long the last scrape stands for, where the source says so (averages of a period).
    ``longest_silence_hours`` (at least 2): after a longer one nobody knows that the card was still there.
    """

    idle_below: Decimal = Decimal("0.05")
    max_gap_seconds: int | None = None
    metric: str | None = None
    last_stands_seconds: int | None = None
    longest_silence_hours: int = 7 * 24


@dataclass(slots=True)
class Row:
    """One row of an hour. Times are microseconds since 1970, hours in billionths (10^-9), and exact.

    ``hours`` are busy, idle, no telemetry, unallocated. ``active`` is activity x hours, in billionths of an hour;
    None where nothing was seen. ``memory`` is in byte-microseconds, ``energy`` in picojoules, both unrounded.
    """

    key: RowKey
    card: Part
    start: int
    end: int
    metric: str | None
    hours: tuple[int, int, int, int]
    active: int | None
    memory: Fraction | None
    energy: Fraction | None
    samples: int
    active_while_free: bool


@dataclass(slots=True)
class _Sum:
    """What a row has gathered, times the card's common denominator."""

    hours: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    active: int = 0
    memory: int | None = None
    energy: int | None = None
    samples: int = 0
    active_while_free: bool = False


@dataclass(frozen=True, slots=True)
class _Slot:
    """A share with its whole-number weight: the share times the card's common denominator. Rows and keys by number."""

    row: int
    key: int | None
    weight: int
    memory_weight: int
    free: bool
    unseen: int


def roll_up(telemetry: Telemetry, rules: Rules) -> Iterator[Row]:
    """The rows of all cards, by card, hour, and then in a fixed order. A card with one scrape only gives none."""
    for _, series in telemetry.cards():
        yield from _Card(series, rules).rows()


def grid(at: int) -> int:
    """Microseconds since 1970 as billionths of an hour, the nearest (half up)."""
    return (at * 5 + 9) // 18


class _Card:
    """The scrapes of one card, and the hours they make."""

    def __init__(self, series: Sequence[Series], rules: Rules) -> None:
        self.rules = rules
        self.parts = _canonical_parts(series)
        self.card = whole_card(min(self.parts.values(), key=_fullest))
        self.metric = rules.metric or _metric_of(series)
        self.has_power = any(METRICS[one.metric].kind in ("power", "energy") for one in series)
        self.threshold = int(rules.idle_below * 1_000_000_000)
        self.numbers: dict[Key, int] = {}
        self.scrapes = self._scrapes(series)
        self.times = sorted(self.scrapes)
        self.gap = self._gap()
        self.known: dict[int, list[int]] = {}
        self.rows_by_number: dict[RowKey, int] = {}
        self.sums: dict[int, dict[int, _Sum]] = {}
        keys = list(self.numbers)
        found = {
            told: shares([keys[key] for key in told], self.card)
            for told in {_told(scrape) for scrape in self.scrapes.values()}
        }
        self.whole = lcm(*(share.row.share.denominator * share.holders for one in found.values() for share in one))
        self.slots = {told: [self._slot(share) for share in one] for told, one in found.items()}

    def rows(self) -> Iterator[Row]:
        """The card's rows, hour by hour."""
        silence = max(2, self.rules.longest_silence_hours) * _HOUR
        for at, until in zip(self.times, [*self.times[1:], None], strict=True):
            last = until is None or until - at > silence
            stands_until = at + (self.rules.last_stands_seconds or 0) * 1_000_000 if last else until
            if stands_until is not None and at < stands_until:
                self._take(at, stands_until)
        names = list(self.rows_by_number)
        for hour in sorted(self.sums):
            sums = sorted(((names[row], total) for row, total in self.sums[hour].items()), key=_row_order)
            yield from self._rows_of(sums, *self.known[hour])

    def _scrapes(self, series: Sequence[Series]) -> dict[int, _Scrape]:
        scrapes: dict[int, _Scrape] = {}
        for one in series:
            key = self.numbers.setdefault(Key(self.parts[one.part], one.holder), len(self.numbers))
            column = _COLUMN.get(METRICS[one.metric].kind, _ACTIVITY if one.metric == self.metric else None)
            for at, value in zip(one.times, one.values, strict=True):
                scrape = scrapes.get(at)
                if scrape is None:
                    scrape = scrapes[at] = {}
                reading = scrape.get(key)
                if reading is None:
                    reading = scrape[key] = [ABSENT, ABSENT, ABSENT, ABSENT]
                if column is not None and value > reading[column]:  # told twice: the larger, in whatever order
                    reading[column] = value
        return scrapes

    def _gap(self) -> int:
        if self.rules.max_gap_seconds is not None:
            return self.rules.max_gap_seconds * 1_000_000
        spacings = sorted(until - at for at, until in zip(self.times, self.times[1:], strict=False))
        return max(_LEAST_GAP, 3 * spacings[(len(spacings) - 1) // 2]) if spacings else _LEAST_GAP

    def _slot(self, share: Share) -> _Slot:
        return _Slot(
            row=self._number(share.row),
            key=None if share.key is None else self.numbers[share.key],
            weight=int(share.row.share * self.whole),
            memory_weight=self.whole // share.holders,
            free=share.free,
            unseen=self._number(share.unseen),
        )

    def _number(self, row: RowKey) -> int:
        return self.rows_by_number.setdefault(row, len(self.rows_by_number))

    def _take(self, at: int, until: int) -> None:
        """Book the time from one scrape to the next."""
        scrape = self.scrapes[at]
        slots = self.slots[_told(scrape)]
        seen_until = min(until, at + self.gap)
        power = self._power(at, until, seen=seen_until == until) if self.has_power else ABSENT
        for hour, start, end in _hours(at, until):
            self.known.setdefault(hour, [start, end])[1] = end
            sums = self.sums.get(hour)
            if sums is None:
                sums = self.sums[hour] = {}
            seen_end = min(end, seen_until)
            if start < seen_end:
                self._book(sums, slots, scrape, start, seen_end, power=power)
            if seen_end < end:
                units = grid(end) - grid(max(start, seen_end))
                for row, weight in self._unseen(scrape, slots, until):
                    sums.setdefault(row, _Sum()).hours[_UNSEEN] += units * weight

    def _unseen(self, scrape: _Scrape, slots: Sequence[_Slot], until: int) -> list[tuple[int, int]]:
        """Who has the time that no scrape stands for, with its weight: the holders, if the next scrape has the same."""
        after = self.scrapes.get(until)
        if after is not None and _told(after) == _told(scrape):
            return [(slot.unseen, slot.weight) for slot in slots]
        return [(self._number(RowKey(self.card, None, Fraction(1), NOT_SEEN)), self.whole)]

    def _book(
        self, sums: dict[int, _Sum], slots: Sequence[_Slot], scrape: _Scrape, start: int, end: int, *, power: int
    ) -> None:
        """Book seen time within an hour to the rows that share the card."""
        units = grid(end) - grid(start)
        passed = end - start
        for slot in slots:
            into = sums.get(slot.row)
            if into is None:
                into = sums[slot.row] = _Sum()
            into.samples += 1
            weight = slot.weight
            if power >= 0:
                into.energy = (into.energy or 0) + power * passed * weight
            if slot.key is None:
                into.hours[_FREE if slot.free else _UNSEEN] += units * weight
                continue
            activity, memory, _, _ = scrape[slot.key]
            if memory >= 0:
                into.memory = (into.memory or 0) + memory * passed * slot.memory_weight
            if slot.free:
                into.hours[_FREE] += units * weight
                into.active_while_free |= activity > 0 and activity >= self.threshold
            elif activity == ABSENT:
                into.hours[_UNSEEN] += units * weight
            else:
                into.hours[_BUSY if activity >= self.threshold else _IDLE] += units * weight
                into.active += activity * units * weight

    def _power(self, at: int, until: int, *, seen: bool) -> int:
        """The card's power from one scrape to the next in microwatts: by its energy counter, else its gauge."""
        before = max(reading[_ENERGY] for reading in self.scrapes[at].values())
        if before != ABSENT and seen and until in self.scrapes:
            after = max(reading[_ENERGY] for reading in self.scrapes[until].values())
            if after >= before:  # a counter that fell was reset by the driver
                return (after - before) * 1_000_000_000 // (until - at)
        return max(reading[_POWER] for reading in self.scrapes[at].values())

    def _rows_of(self, known: Sequence[tuple[RowKey, _Sum]], start: int, end: int) -> Iterator[Row]:
        exact = [part for _, total in known for part in total.hours]
        assert sum(exact) == (grid(end) - grid(start)) * self.whole, "parts that do not add up to the card"
        rounded = iter(_apportion(exact, self.whole))
        for row, total in known:
            busy, idle, unseen, free = (next(rounded) for _ in range(4))
            if busy + idle + unseen + free == 0:
                continue
            seen = bool(total.hours[_BUSY] + total.hours[_IDLE])
            active = min(_divide(total.active, self.whole * 1_000_000_000), busy + idle)
            yield Row(
                key=row,
                card=self.card,
                start=start,
                end=end,
                metric=self.metric if seen else None,
                hours=(busy, idle, unseen, free),
                active=active if seen else None,
                memory=None if total.memory is None else Fraction(total.memory, self.whole),
                energy=None if total.energy is None else Fraction(total.energy, self.whole),
                samples=total.samples,
                active_while_free=total.active_while_free,
            )


def _told(scrape: _Scrape) -> _Told:
    return tuple(scrape) if len(scrape) == 1 else tuple(sorted(scrape))


def _hours(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The pieces of an interval by hour: the hour's number since 1970, from, until."""
    while start < end:
        hour = start // _HOUR
        until = min(end, (hour + 1) * _HOUR)
        yield hour, start, until
        start = until


def _metric_of(series: Sequence[Series]) -> str | None:
    told = {one.metric for one in series if METRICS[one.metric].kind == "activity" and any(v >= 0 for v in one.values)}
    return next((name for name in PREFERRED if name in told), None)


def _canonical_parts(series: Sequence[Series]) -> dict[Part, Part]:
    """Each spelling of a part as the fullest one: one exporter gives a card's host or model, another does not."""
    fullest: dict[tuple[str | None, str | None], Part] = {}
    for part in sorted({one.part for one in series}, key=_fullest):
        fullest.setdefault((part.instance, part.profile), part)
    return {one.part: fullest[one.part.instance, one.part.profile] for one in series}


def _fullest(part: Part) -> tuple[int, tuple[str, ...]]:
    told = (part.instance, part.profile, part.host, part.index, part.model)
    return sum(one is None for one in told[2:]), tuple("" if one is None else str(one) for one in told)


def _row_order(item: tuple[RowKey, _Sum]) -> tuple[object, ...]:
    part, holder, share, remark = item[0]
    who = (holder.namespace, holder.name, holder.container, holder.job) if holder else ()
    return part.instance or "", part.profile or "", tuple(one or "" for one in who), holder is None, share, remark or ""


def _divide(above: int, below: int) -> int:
    """The nearest whole number, half to even."""
    return round(Fraction(above, below))


def _apportion(exact: Sequence[int], whole: int) -> list[int]:
    """``exact / whole`` as whole numbers that add up to the whole sum, each off by less than one."""
    floors = [part // whole for part in exact]
    left = sum(exact) // whole - sum(floors)
    by_remainder = sorted(range(len(exact)), key=lambda at: (-(exact[at] % whole), at))
    for at in by_remainder[:left]:
        floors[at] += 1
    return floors
