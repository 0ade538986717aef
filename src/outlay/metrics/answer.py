"""Answering a query from the ledger, with its receipt.

The engine only sums and counts, exactly (:mod:`outlay.metrics.figures` makes figures of it). Metrics of several
relations are asked one relation at a time and brought together (:mod:`outlay.metrics.joining`). Each currency is a row
of its own. With a comparison the same SQL is run for the window before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from outlay.config import Settings
from outlay.errors import UsageError
from outlay.ledger.engine.duckdb import identifier, session
from outlay.ledger.store import Ledger, LoadRecord
from outlay.metrics.allocated import Allocated, allocated, given_tags
from outlay.metrics.catalogue import Catalogue, catalogue_of
from outlay.metrics.compiler import CURRENCY, Part, columns_of, compile_facts, compile_part, parts_of
from outlay.metrics.figures import Figures, Group, Key, aggregates_of, figures_of, sum_of
from outlay.metrics.joining import Before, empty_row, rows_of, together
from outlay.metrics.notices import notices
from outlay.metrics.query import Query
from outlay.metrics.relations import COSTS, RELATIONS
from outlay.metrics.result import (
    Freshness,
    LeftOut,
    Load,
    PartReceipt,
    Prices,
    Receipt,
    Result,
    columns_of_answer,
)
from outlay.metrics.told_twice import TELL_APART, ToldTwice, told_twice
from outlay.metrics.views import View, open_view

if TYPE_CHECKING:
    import duckdb

__all__ = ["Asking", "answer"]

_MAX_GROUPS = 200_000
_REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the receipt needs to know of the selected rows."""

    rows: int
    sources: tuple[str, ...]
    loads: tuple[str, ...]
    currencies: tuple[str, ...]
    oldest: datetime | None
    newest: datetime | None
    prices: Prices


@dataclass(frozen=True, slots=True)
class _Asked:
    """A part of a query with what it gave: groups now, figures of the window before, and what its rows are."""

    part: Part
    view: View
    sql: str
    groups: Sequence[Group]
    before: Mapping[Key, Figures] | str | None
    facts: _Facts


class Asking:
    """Questions to one ledger as of one moment, in one session:

    what one has read, the next ones need not read again.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings, *, as_of: str | None = None
    ) -> None:
        self.connection = connection
        self.settings = settings
        self.known = catalogue_of(settings)
        self._ledger = ledger
        self._as_of = as_of
        self._views: dict[str, View] = {}
        self._columns: dict[str, frozenset[str]] = {}
        self._facts: dict[object, _Facts] = {}
        self._groups: dict[object, tuple[frozenset[str], Sequence[Group]]] = {}
        self._allocated: dict[object, tuple[Allocated, ...]] = {}
        self._told_twice: dict[object, tuple[ToldTwice, ...]] = {}

    def view(self, relation: str) -> View:
        """The open relation."""
        if relation not in self._views:
            found = RELATIONS[relation]
            self._views[relation] = open_view(
                self.connection,
                self._ledger,
                found,
                self.known.tags,
                allocations=self.settings.allocations,
                as_of=self._as_of,
            )
        return self._views[relation]

    def columns(self, relation: str) -> frozenset[str]:
        """The columns of an open relation."""
        if relation not in self._columns:
            found = self.connection.execute(f"DESCRIBE {identifier(relation)}").fetchall()
            self._columns[relation] = frozenset(row[0] for row in found)
        return self._columns[relation]

    def facts(self, query: Query, relation: str) -> _Facts:
        """What the rows in the query's window and filters are."""
        key = (relation, *_selection(query))
        if key not in self._facts:
            self._facts[key] = _facts(self.connection, query, relation, self.known)
        return self._facts[key]

    def groups(self, query: Query, part: Part, sql: str) -> Sequence[Group]:
        """The groups of a part, which may know more metrics than it asks for."""
        key = (part.relation, part.dimensions, *_selection(query))
        metrics, groups = self._groups.get(key, (frozenset(), []))
        if not metrics.issuperset(part.metrics):
            groups = _groups(self.connection, sql, part, self.known)
            self._groups[key] = (frozenset(part.metrics), groups)
        return groups

    def allocated(self, query: Query, parts: Sequence[Part]) -> tuple[Allocated, ...]:
        """What allocations gave to the rows of the parts, of the tags that the parts read."""
        found: list[Allocated] = []
        for relation in dict.fromkeys(part.relation for part in parts):
            read = {name for part in parts if part.relation == relation for name in columns_of(query, part, self.known)}
            tags = given_tags(self.settings, read, self.columns(relation)) if self.settings.allocations else ()
            key = (relation, tags, *_selection(query))
            if tags and key not in self._allocated:
                self._allocated[key] = allocated(self.connection, query, relation, self.known, self.settings, tags=tags)
            found += self._allocated.get(key, ())
        return tuple(found)

    def told_twice(self, query: Query, parts: Sequence[Part]) -> tuple[ToldTwice, ...]:
        """What two sources tell of the requests that the parts add up."""
        apart = TELL_APART & set(query.dimensions)
        if apart or _REQUESTS not in {p.relation for p in parts} or len(self.facts(query, _REQUESTS).sources) < 2:
            return ()
        key = _selection(query)
        if key not in self._told_twice:
            self._told_twice[key] = told_twice(self.connection, query, self.known)
        return self._told_twice[key]

    def prepare(self, query: Query) -> None:
        """Read what ``query`` asks for: questions for some of its metrics are then answered without reading again."""
        for part in parts_of(query, self.known):
            _require_columns(self, query, part)
            self.groups(query, part, compile_part(query, part, self.known).sql)

    def answer(self, query: Query) -> Result:
        """The answer. Raises :class:`UsageError` for unknown names before anything is read."""
        known = self.known
        query.check(known)
        metrics = tuple(known.metric(name) for name in query.metrics)
        notes: list[str] = []
        parts = parts_of(query, known)
        asked = [_ask(self, query, part, notes) for part in parts]
        twice = self.told_twice(query, parts)
        dimensions = tuple(dict.fromkeys([*query.dimensions, *(n for one in asked for n in one.part.dimensions)]))
        figures = [(a.part, {g.key: figures_of(a.part, known, g) for g in a.groups}) for a in asked]
        now = together(dimensions, known, figures)
        rows = rows_of(query, dimensions, known, now, _before(dimensions, known, asked), home=self.settings.currency)
        if not rows and not query.dimensions:
            rows = [empty_row(dimensions, known, metrics)]
        kept = rows[: query.limit]
        left_out = [one for part in asked for one in _missing(part, known)]
        if len(kept) < len(rows):
            left_out.append(LeftOut("limit", len(rows) - len(kept), f"rows beyond --limit {query.limit}"))
        by_relation = {a.part.relation: a for a in asked}
        records = {name: _records(a) for name, a in by_relation.items()}
        quarantined = sum(f["rows_rejected"] for found in records.values() for r in found for f in r.facts["files"])
        if quarantined:
            said = "rows of these loads are in quarantine, whatever they were"
            left_out.append(LeftOut("quarantine", quarantined, said))
        for one in by_relation.values():
            currencies = one.facts.currencies
            if len(currencies) > 1 and any(CURRENCY in a.part.dimensions for a in asked):
                listed = ", ".join(currencies)
                notes.append(f"The rows are billed in {listed}: figures are per currency, never added.")
        if COSTS in by_relation:
            of_costs = [known.base(name) for a in asked if a.part.relation == COSTS for name in a.part.metrics]
            notes += notices(records[COSTS], by_relation[COSTS].facts.sources, of_costs)
        notes += _apart_in_time(list(by_relation.values()))
        receipt = Receipt(
            metrics=metrics,
            parts=tuple(_part_receipt(one, records[one.part.relation], known) for one in asked),
            window=(query.since, query.until),
            previous=query.previous,
            left_out=tuple(left_out),
            notes=tuple(dict.fromkeys([*(one.text for one in twice), *notes])),
            allocations=self.allocated(query, parts),
            told_twice=twice,
        )
        shown = [known.dimension(name) for name in dimensions]
        columns = columns_of_answer(shown, metrics, compare=query.compare is not None)
        return Result(columns, tuple(kept), receipt, query.dimensions)


def answer(ledger: Ledger, query: Query, settings: Settings, *, as_of: str | None = None) -> Result:
    """The answer to one ``query`` from the ledger, now or as of a version or time.

    Raises :class:`UsageError` for unknown names before anything is read, and :class:`outlay.errors.LedgerError`
    where there is none.
    """
    query.check(catalogue_of(settings))
    with session() as connection:
        return Asking(connection, ledger, settings, as_of=as_of).answer(query)


def _selection(query: Query) -> tuple[object, ...]:
    """What of a query selects rows."""
    return (query.since, query.until, query.where)


def _ask(asking: Asking, query: Query, part: Part, notes: list[str]) -> _Asked:
    known = asking.known
    view = _require_columns(asking, query, part)
    compiled = compile_part(query, part, known)
    groups = asking.groups(query, part, compiled.sql)
    facts = asking.facts(query, part.relation)
    before, said = _previous(asking.connection, query, part, known, facts)
    notes += said
    return _Asked(part, view, compiled.sql, groups, before, facts)


def _require_columns(asking: Asking, query: Query, part: Part) -> View:
    """The part's open relation, which has all columns that the part reads."""
    view = asking.view(part.relation)
    lacking = sorted(columns_of(query, part, asking.known) - asking.columns(part.relation))
    if lacking:
        tag = lacking[0].removeprefix("x_Tag_")
        raise UsageError(
            f"the ledger as of version {view.version} has no column for the tag '{tag}'.",
            hint="The tag was configured after the last load: load a bill again, or ask without it.",
        )
    return view


def _groups(connection: duckdb.DuckDBPyConnection, sql: str, part: Part, known: Catalogue) -> list[Group]:
    rows = connection.execute(f"SELECT * FROM ({sql}) LIMIT {_MAX_GROUPS + 1}").fetchall()
    if len(rows) > _MAX_GROUPS:
        raise UsageError(
            f"the answer has more than {_MAX_GROUPS:,} rows.",
            hint="Group by fewer dimensions, or narrow it with --where.",
        )
    metrics = [known.base(name) for name in part.metrics]
    groups = []
    for row in rows:
        cells = iter(row)
        key = tuple(next(cells) for _ in part.dimensions)
        sums = {m.id: tuple(sum_of(cells, one) for one in aggregates_of(m)) for m in metrics}
        groups.append(Group(key, sums, next(cells) if RELATIONS[part.relation].doubt else None))
    return groups


def _before(dimensions: Sequence[str], known: Catalogue, asked: Sequence[_Asked]) -> Before | None:
    """The previous window's figures, and why those of some parts are not known; None if not asked for."""
    found: list[tuple[Part, Mapping[Key, Figures]]] = []
    unknown: dict[str, str] = {}
    for one in asked:
        if one.before is None:
            return None
        if isinstance(one.before, str):
            unknown |= dict.fromkeys(one.part.metrics, one.before)
            found.append((one.part, {group.key: {} for group in one.groups}))  # what stands beside it keeps its place
        else:
            found.append((one.part, one.before))
    return Before(together(dimensions, known, found), unknown)


def _facts(connection: duckdb.DuckDBPyConnection, query: Query, relation: str, known: Catalogue) -> _Facts:
    found = connection.execute(compile_facts(query, relation, known)).fetchall()
    return _Facts(
        rows=sum(row[6] for row in found),
        sources=tuple(sorted({row[0] for row in found})),
        loads=tuple(sorted({row[1] for row in found})),
        currencies=tuple(sorted({row[2] for row in found if row[2] is not None})),
        oldest=min((row[7] for row in found if row[7] is not None), default=None),
        newest=max((row[8] for row in found if row[8] is not None), default=None),
        prices=Prices(
            tuple(sorted({row[3] for row in found if row[3] is not None})),
            sum(row[6] for row in found if row[4] == "unpriced"),
            sum(row[6] for row in found if row[5] == "true"),
        ),
    )


def _previous(
    connection: duckdb.DuckDBPyConnection, query: Query, part: Part, known: Catalogue, facts: _Facts
) -> tuple[Mapping[Key, Figures] | str | None, list[str]]:
    """The previous window's figures by group, or why it has none; and what to know when comparing."""
    period = query.previous
    if period is None:
        return None, []
    window = replace(query, since=period.since, until=period.until, compare=None)
    sources = set(facts.sources) | set(_facts(connection, window, part.relation, known).sources)
    time = RELATIONS[part.relation].time
    found = connection.execute(f'SELECT "x_Source", min("{time}") FROM "{part.relation}" GROUP BY 1').fetchall()
    starts = dict(found)
    word = "charge" if part.relation == COSTS else "row"
    notes = [
        f"{source}: the ledger's first {word} is at {starts[source].isoformat()}Z, after the previous window starts, "
        f"so the change is not like for like."
        for source in sorted(sources)
        if starts[source] > period.since
    ]
    first = min((starts[source] for source in sources), default=None)
    if first is None or first >= period.until:
        return f"the ledger holds no {word}s of these sources before {period.until.isoformat()}Z", notes
    compiled = compile_part(window, part, known)
    groups = _groups(connection, compiled.sql, part, known)
    return {group.key: figures_of(part, known, group) for group in groups}, notes


def _missing(asked: _Asked, known: Catalogue) -> list[LeftOut]:
    found = []
    doubts = "".join(f"; {doubt}" for doubt in sorted({group.doubt for group in asked.groups if group.doubt}))
    for name in asked.part.metrics:
        for place, aggregate in enumerate(aggregates_of(known.base(name))):
            count = sum(group.sums[name][place].lacking for group in asked.groups)
            if count:
                found.append(LeftOut("missing-measure", count, f"rows without {aggregate.column}{doubts}", name))
    return list(dict.fromkeys(found))


def _apart_in_time(asked: Sequence[_Asked]) -> list[str]:
    """A note where what is divided does not reach equally far: the last days of one are missing in the other."""
    ends = {one.part.relation: one.facts.newest for one in asked if one.facts.newest is not None}
    if len(ends) < 2 or (max(ends.values()) - min(ends.values())).total_seconds() < 86_400:
        return []
    said = ", ".join(f"{RELATIONS[name].rows} until {end:%Y-%m-%d %H:%M}" for name, end in sorted(ends.items()))
    return [f"The facts do not reach equally far ({said} UTC): choose a window that all of them cover."]


def _records(asked: _Asked) -> list[LoadRecord]:
    """The loads that the rows came by, newest first; of content loaded twice, the later load."""
    found: dict[str, LoadRecord] = {}
    for record in asked.view.history:
        load_id = str(record.facts.get("load_id"))
        if load_id in asked.facts.loads:
            found.setdefault(load_id, record)
    return list(found.values())


def _part_receipt(asked: _Asked, records: Sequence[LoadRecord], known: Catalogue) -> PartReceipt:
    loads = tuple(_load(record) for record in records)
    relation, facts = RELATIONS[asked.part.relation], asked.facts
    priced = relation.priced and any(known.base(name).is_money for name in asked.part.metrics)
    return PartReceipt(
        relation=asked.part.relation,
        tables=asked.view.tables,
        rows=facts.rows,
        sources=facts.sources,
        loads=loads,
        freshness=Freshness(facts.oldest, facts.newest, max((one.at for one in loads), default=None)),
        sql=asked.sql,
        view=asked.view.sql,
        prices=facts.prices if priced else None,
    )


def _load(record: LoadRecord) -> Load:
    files = tuple(file["path"] for file in record.facts["files"])
    return Load(record.facts["load_id"], record.version, record.at, files)
