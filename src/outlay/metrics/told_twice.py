"""Requests that two sources tell: a provider's report in buckets, and the same calls one by one from traces or a log.

Each source on its own is right, and both in one ledger count every call twice. Nothing in a row says so: a bucket has
no call's id. What can be seen is that one provider's requests of the same model and day come from two sources, one of
which counts in buckets and one call by call. That is a strong hint and no proof, as an application may well be in
one of them only; so nothing is left out, and the answer says first what it rests on.

The trap: models. A report says gpt-4o-mini-2024-07-18 where a trace says gpt-4o-mini; both are taken to the price
list's model. A report that was not asked by model tells of any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from outlay.metrics.catalogue import Catalogue
from outlay.metrics.compiler import compile_tellers
from outlay.metrics.providers import price_provider
from outlay.metrics.query import Query
from outlay.prices import genai

if TYPE_CHECKING:
    import duckdb

__all__ = ["TELL_APART", "ToldTwice", "told_twice"]

TELL_APART = frozenset({"source", "format"})
"""Dimensions by which the two are apart in the answer: nothing is added up then."""

_BUCKET = "bucket"
_Cell = tuple[str, date]


@dataclass(frozen=True, slots=True)
class ToldTwice:
    """A provider's requests that sources in buckets and sources call by call both tell, of the same models and days.

    ``in_buckets`` and ``by_call`` are source -> requests of those models and days; None where they are not told.
    """

    provider: str
    since: date
    until: date
    days: int
    in_buckets: tuple[tuple[str, int | None], ...]
    by_call: tuple[tuple[str, int | None], ...]

    @property
    def text(self) -> str:
        """What to know and what to do."""
        last = self.until - timedelta(days=1)
        span = f"on {self.since}" if self.days == 1 else f"on {self.days:,} days from {self.since} to {last}"
        return (
            f"Requests of {self.provider} {span} may be counted twice: a report in buckets "
            f"({_listed(self.in_buckets)}) and records call by call ({_listed(self.by_call)}) tell of the same models. "
            "Where they are the same calls, every figure of requests, their tokens and their cost has them twice, and "
            "cost per inference is too low. Load one of the two, or name each source to count, those of bills too: "
            "--where source=NAME."
        )

    def to_json(self) -> dict[str, Any]:
        """``until`` is exclusive."""
        return {
            "provider": self.provider,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "days": self.days,
            "in_buckets": [{"source": name, "requests": count} for name, count in self.in_buckets],
            "by_call": [{"source": name, "requests": count} for name, count in self.by_call],
            "message": self.text,
        }


@dataclass(frozen=True, slots=True)
class _Told:
    """What one source tells of a model of a provider on a day; ``requests`` None where it does not say how many."""

    source: str
    bucket: bool
    model: str | None
    requests: int | None


def told_twice(connection: duckdb.DuckDBPyConnection, query: Query, known: Catalogue) -> tuple[ToldTwice, ...]:
    """What two kinds of source tell of the selected requests, a provider each.

    Two questions: by source, which is quick and mostly the end of it; by model and day only where both kinds are there.
    """
    kinds = connection.execute(compile_tellers(query, known, finely=False)).fetchall()
    buckets = {row[0] for row in kinds if row[1] == _BUCKET and row[-1] != 0}
    calls = {row[0] for row in kinds if row[1] != _BUCKET and row[-1] != 0}
    if not any(one != other for one in buckets for other in calls):
        return ()
    cells: dict[_Cell, list[_Told]] = {}
    for source, kind, provider, model, day, requests in connection.execute(
        compile_tellers(query, known, finely=True)
    ).fetchall():
        if provider is not None and requests != 0:
            told = _Told(source, kind == _BUCKET, _meant(provider, model), None if requests is None else int(requests))
            cells.setdefault((provider, day), []).append(told)
    by_provider: dict[str, dict[date, list[_Told]]] = {}
    for (provider, day), listed in cells.items():
        if both := _both(listed):
            by_provider.setdefault(provider, {})[day] = both
    return tuple(_of(provider, by_provider[provider]) for provider in sorted(by_provider))


def _both(listed: Sequence[_Told]) -> list[_Told]:
    """Those that another source of the other kind tells as well."""
    return [
        one
        for one in listed
        if any(
            one.bucket != other.bucket
            and one.source != other.source
            and (one.model == other.model or None in (one.model, other.model))
            for other in listed
        )
    ]


def _of(provider: str, days: dict[date, list[_Told]]) -> ToldTwice:
    sides: tuple[dict[str, int | None], dict[str, int | None]] = ({}, {})
    for told in days.values():
        for one in told:
            side = sides[0 if one.bucket else 1]
            before = side.get(one.source, 0)
            side[one.source] = None if one.requests is None or before is None else before + one.requests
    in_buckets, by_call = (tuple(sorted(side.items())) for side in sides)
    return ToldTwice(provider, min(days), max(days) + timedelta(days=1), len(days), in_buckets, by_call)


@cache
def _meant(provider: str, model: str | None) -> str | None:
    if model is None:
        return None
    found = genai.resolve(price_provider(provider), model)
    return model.lower() if found is None else found.model


def _listed(sources: Iterable[tuple[str, int | None]]) -> str:
    counts = ((name, "requests not told" if count is None else f"{count:,} requests") for name, count in sources)
    return ", ".join(f"{name}: {count}" for name, count in counts)
