"""The time buckets of a provider's usage report, and which of them speak.

Providers answer in pages of buckets, each with the results of a stretch of time; OpenAI's reports and Anthropic's
differ in names only. A report is a statement about *all* usage in its buckets, so a bucket is a
:class:`~outlay.sources.facts.Window`.

The trap: a file often holds a bucket twice, because each day's answer was appended to it while today was not over yet,
or because the same time was asked hourly and again daily. Added up, usage doubles. Of buckets that overlap, the last in
the file is read, and a notice says so.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json, Unusable

__all__ = ["Bucket", "GoesOn", "Place", "Scope", "Survey", "period"]

Scope = tuple[str, str]
"""Kind of report and source, empty where not told: buckets of different scopes never overlap."""


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of time that is told. ``telling`` numbers a file's statements: a later one has a higher number."""

    scope: Scope
    start: datetime
    end: datetime
    telling: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch of time and its results as the file has them. ``line`` is that of its page.

    ``flat``: the page has rows that each carry their period, gathered here, and other pages may have more of it.
    """

    place: Place
    line: int
    results: Sequence[Json]
    page: Mapping[str, Json]
    flat: bool = False


@dataclass(frozen=True, slots=True)
class GoesOn:
    """A page ends at ``end`` and says that there are more."""

    scope: Scope
    end: datetime


def period(
    row: Json, since: str, until: str, time: Callable[[Json], datetime | None], written: str
) -> tuple[datetime, datetime]:
    """The stretch that a bucket tells in its keys ``since`` and ``until``, ``written`` as ``time`` reads it.

    Raises :class:`Unusable`.
    """
    if not isinstance(row, dict):
        raise Unusable("not-usage", "a bucket that is no JSON object")
    if row.get(since) is None or row.get(until) is None:
        raise Unusable("missing-time", f"a bucket without {since} or {until}")
    start, end = time(row[since]), time(row[until])
    if start is None or end is None:
        raise Unusable("unparsable-time", f"{since} or {until} is not {written}")
    if end <= start:
        raise Unusable("period-reversed", f"{until} is not after {since}")
    return start, end


class Survey:
    """A first look at all of a file's buckets: which of them speak, and whether pages are missing."""

    def __init__(self, told: Iterable[Place | GoesOn]) -> None:
        goes_on: list[GoesOn] = []
        last: dict[tuple[Scope, datetime, datetime], int] = {}
        self._overruled: Counter[Scope] = Counter()
        nameless: set[datetime] = set()  # where buckets without results begin, which don't tell their report
        for place in told:
            if isinstance(place, GoesOn):
                goes_on.append(place)
                continue
            if not place.scope[0]:
                nameless.add(place.start)
                continue
            key = (place.scope, place.start, place.end)
            if last.get(key, place.telling) != place.telling:
                self._overruled[place.scope] += 1
            last[key] = place.telling
        starts = {(scope, start) for scope, start, _ in last}
        anywhere = nameless | {start for _, start in starts}
        ends: dict[Scope, datetime] = {}
        for page in goes_on:
            here = (page.scope, page.end) in starts if page.scope[0] else page.end in anywhere
            if not here and page.end not in nameless:
                ends[page.scope] = max(page.end, ends.get(page.scope, page.end))
        self._ends = ends
        places_told = [Place(*key, telling) for key, telling in last.items()]
        self._spoken = set(_speaking(places_told))
        for place in places_told:
            self._overruled[place.scope] += place not in self._spoken

    def speaks(self, place: Place) -> bool:
        """Whether its report is told, and nothing later in the file tells of the same time."""
        return place in self._spoken

    def notices(self, file: FactFile) -> Iterator[Problem]:
        """What a reader of the figures should know of the file as a whole."""
        for (kind, _), count in sorted(self._overruled.items()):
            if count:
                message = f"buckets of the {kind} report that overlap later ones in the file, which are used: {count}"
                yield file.problem(None, "bucket-twice", message)
        for (kind, _), end in sorted(self._ends.items()):
            message = (
                f"the {kind or 'usage'} report goes on after {end.isoformat()}Z in a page that is not in this file"
            )
            yield file.problem(None, "more-pages", message)


def _speaking(places: Sequence[Place]) -> Iterator[Place]:
    """Those that overlap none of a later telling that speaks itself."""
    together: list[Place] = []
    reach = datetime.min
    for place in sorted(places, key=lambda one: (one.scope, one.start)):
        if together and (place.scope != together[0].scope or place.start >= reach):
            yield from _latest(together)
            together, reach = [], datetime.min
        together.append(place)
        reach = max(reach, place.end)
    yield from _latest(together)


def _latest(together: list[Place]) -> list[Place]:
    """Of places that hang together those that speak; nearly always there is just one."""
    if len(together) == 1:
        return together
    kept: list[Place] = []
    spans: list[tuple[datetime, datetime, int]] = []
    for place in sorted(together, key=lambda one: one.telling, reverse=True):
        at = bisect_left(spans, (place.start,))
        near = spans[max(0, at - 1) : at + 1]
        if all(place.end <= start or end <= place.start or telling == place.telling for start, end, telling in near):
            insort(spans, (place.start, place.end, place.telling))
            kept.append(place)
    return kept
