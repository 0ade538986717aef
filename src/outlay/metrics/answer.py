"""Answering a query from the ledger, with its receipt.

The engine only sums and counts, exactly; ratios are divided here, in Decimal. A sum over rows that exist but lack
the column is unknown, not 0; a sum over no rows is 0, because nothing was billed; a ratio over nothing is unknown.
Each currency is a row of its own. With a comparison the same SQL is run for the window before.

Metrics of several relations are asked one relation at a time and brought together by the dimensions that they share: a
number of requests has no currency, so it stands beside the cost of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from outlay.config import Settings
from outlay.errors import UsageError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger, LoadRecord
from outlay.metrics.catalogue import Aggregate, Catalogue, Metric, Quotient, catalogue_of
from outlay.metrics.compiler import CURRENCY, Part, columns_of, compile_facts, compile_part, parts_of
from outlay.metrics.notices import notices
from outlay.metrics.query import GRAINS, Query
from outlay.metrics.relations import COSTS, RELATIONS
from outlay.metrics.result import (
    Figure,
    Freshness,
    LeftOut,
    Load,
    PartReceipt,
    Prices,
    Receipt,
    Result,
    Row,
    columns_of_answer,
    divided,
)
from outlay.metrics.views import View, open_view

if TYPE_CHECKING:
    import duckdb

__all__ = ["Asking", "answer"]

_MAX_GROUPS = 200_000
_WORDS = {
    "x_Tokens": "tokens",
    "x_GpuHours": "GPU-hours",
    "x_Requests": "requests",
    "x_Succeeded": "successful requests",
}

_Key = tuple[str | None, ...]
_Figures = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class _Sum:
    """One aggregate of one group: its value, how many rows carried the column, and how many lacked it."""

    value: Decimal
    carried: int
    lacking: int


@dataclass(frozen=True, slots=True)
class _Group:
    key: _Key
    sums: Mapping[str, tuple[_Sum, ...]]


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
class _Before:
    """Figures of the previous window by group, and for metrics of tables that do not reach back to it, why."""

    figures: Mapping[_Key, _Figures]
    unknown: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A part of a query with what it gave: groups now, figures of the window before, and what its rows are."""

    part: Part
    view: View
    sql: str
    groups: Sequence[_Group]
    before: Mapping[_Key, _Figures] | str | None
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
        self._facts: dict[object, _Facts] = {}
        self._groups: dict[object, tuple[frozenset[str], Sequence[_Group]]] = {}

    def view(self, relation: str) -> View:
        """The open relation."""
        if relation not in self._views:
            found = RELATIONS[relation]
            self._views[relation] = open_view(self.connection, self._ledger, found, self.known.tags, as_of=self._as_of)
        return self._views[relation]

    def facts(self, query: Query, relation: str) -> _Facts:
        """What the rows in the query's window and filters are."""
        key = (relation, *_selection(query))
        if key not in self._facts:
            self._facts[key] = _facts(self.connection, query, relation, self.known)
        return self._facts[key]

    def groups(self, query: Query, part: Part, sql: str) -> Sequence[_Group]:
        """The groups of a part, which may know more metrics than it asks for."""
        key = (part.relation, part.dimensions, *_selection(query))
        metrics, groups = self._groups.get(key, (frozenset(), []))
        if not metrics.issuperset(part.metrics):
            groups = _groups(self.connection, sql, part, self.known)
            self._groups[key] = (frozenset(part.metrics), groups)
        return groups

    def prepare(self, query: Query) -> None:
        """Read what ``query`` asks for: questions for some of its metrics are then answered without reading again."""
        for part in parts_of(query, self.known):
            self.view(part.relation)
            _require_columns(self.connection, query, part, self.known, self.view(part.relation))
            self.groups(query, part, compile_part(query, part, self.known).sql)

    def answer(self, query: Query) -> Result:
        """The answer. Raises :class:`UsageError` for unknown names before anything is read."""
        known = self.known
        query.check(known)
        metrics = tuple(known.metric(name) for name in query.metrics)
        notes: list[str] = []
        asked = [_ask(self, query, part, notes) for part in parts_of(query, known)]
        dimensions = tuple(dict.fromkeys([*query.dimensions, *(n for one in asked for n in one.part.dimensions)]))
        figures = [(a.part, {g.key: _figures(a.part, known, g) for g in a.groups}) for a in asked]
        now = _together(dimensions, known, figures)
        rows = _rows(query, dimensions, known, now, _before(dimensions, known, asked), home=self.settings.currency)
        if not rows and not query.dimensions:
            rows = [_empty_row(dimensions, known, metrics)]
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
            notes=tuple(dict.fromkeys(notes)),
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
    view = asking.view(part.relation)
    _require_columns(asking.connection, query, part, known, view)
    compiled = compile_part(query, part, known)
    groups = asking.groups(query, part, compiled.sql)
    facts = asking.facts(query, part.relation)
    before, said = _previous(asking.connection, query, part, known, facts)
    notes += said
    return _Asked(part, view, compiled.sql, groups, before, facts)


def _require_columns(
    connection: duckdb.DuckDBPyConnection, query: Query, part: Part, known: Catalogue, view: View
) -> None:
    present = {row[0] for row in connection.execute(f'DESCRIBE "{part.relation}"').fetchall()}
    lacking = sorted(columns_of(query, part, known) - present)
    if lacking:
        tag = lacking[0].removeprefix("x_Tag_")
        raise UsageError(
            f"the ledger as of version {view.version} has no column for the tag '{tag}'.",
            hint="The tag was configured after the last load: load a bill again, or ask without it.",
        )


def _groups(connection: duckdb.DuckDBPyConnection, sql: str, part: Part, known: Catalogue) -> list[_Group]:
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
        groups.append(_Group(key, {m.id: tuple(_sum(cells, one) for one in _aggregates(m)) for m in metrics}))
    return groups


def _aggregates(metric: Metric) -> tuple[Aggregate, ...]:
    return (metric.numerator,) if metric.denominator is None else (metric.numerator, metric.denominator)


def _sum(cells: Iterator[Any], aggregate: Aggregate) -> _Sum:
    value = next(cells)
    if aggregate.kind == "count":
        return _Sum(Decimal(value), value, 0)
    exact = Decimal(0) if value is None else value if isinstance(value, Decimal) else Decimal(str(value))
    return _Sum(exact, next(cells), next(cells))


def _known(total: _Sum, aggregate: Aggregate) -> tuple[Decimal | None, str | None]:
    """The figure, or why it is unknown."""
    if aggregate.kind == "quantile" and total.carried == 0:
        return None, f"no {_WORDS.get(aggregate.column or '', aggregate.column)}: no row carries it"
    if total.carried == 0 and total.lacking > 0:
        assert aggregate.column is not None
        word = _WORDS.get(aggregate.column, aggregate.column)
        return None, f"no {word}: {_rows_said(total.lacking)} should carry {aggregate.column}, and none does"
    return total.value, None


def _rows_said(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _figure(metric: Metric, sums: Sequence[_Sum]) -> Figure:
    numerator, why = _known(sums[0], metric.numerator)
    if metric.denominator is None:
        return Figure(numerator, why)
    denominator, why_not = _known(sums[1], metric.denominator)
    word = _WORDS.get(metric.denominator.column or "", metric.denominator.column or "rows")
    return _ratio(metric, Figure(numerator, why), Figure(denominator, why_not), word)


def _ratio(metric: Metric | Quotient, numerator: Figure, denominator: Figure, word: str) -> Figure:
    if numerator.value is None or denominator.value is None:
        return Figure(None, numerator.why or denominator.why, numerator.value, denominator.value)
    if denominator.value == 0:
        why = f"nothing to divide by: the denominator, in {word}, is 0"
        return Figure(None, why, numerator.value, denominator.value)
    value = divided(metric, numerator.value, denominator.value)
    return Figure(value, None, numerator.value, denominator.value)


_NOTHING = _Sum(Decimal(0), 0, 0)


def _figures(part: Part, known: Catalogue, group: _Group | None) -> dict[str, Figure]:
    """The figures of a group; of one that has no rows in the window, where ``group`` is None."""
    metrics = [known.base(name) for name in part.metrics]
    return {
        m.id: _figure(m, group.sums[m.id] if group is not None else [_NOTHING] * len(_aggregates(m))) for m in metrics
    }


def _together(
    dimensions: Sequence[str], known: Catalogue, parts: Sequence[tuple[Part, Mapping[_Key, _Figures]]]
) -> dict[_Key, dict[str, Figure]]:
    """The figures of all parts by the key over all dimensions; metrics of a part without such a group are absent.

    A part that is not told apart by a dimension (a count by currency) stands beside every value of it that another
    part has for the same rest. Money without a currency (of rows without a known price) has a row of its own only where
    there is no other: what it lacks is counted as left out.
    """
    given: list[tuple[Part, dict[_Key, _Figures]]] = []
    for part, found in parts:
        told = dict(found)
        if CURRENCY in part.dimensions:
            place = part.dimensions.index(CURRENCY)
            rest = {key[:place] + key[place + 1 :] for key in told if key[place] is not None}
            told = {k: v for k, v in told.items() if k[place] is not None or k[:place] + k[place + 1 :] not in rest}
        apart = {name for metric in part.metrics for name in known.base(metric).apart}
        places = [part.dimensions.index(name) for name in apart]
        empty = [
            k for k, v in told.items() if all(k[p] is None for p in places) and all(f.is_nothing for f in v.values())
        ]
        if places and len(empty) < len(told):
            told = {k: v for k, v in told.items() if k not in empty}
        given.append((part, told))
    keys: list[dict[str, str | None]] = []
    for place, (part, found) in enumerate(given):
        own = [dict(zip(part.dimensions, key, strict=True)) for key in found]
        keys = _joined(keys, own, set(part.dimensions), first=place == 0)
    together: dict[_Key, dict[str, Figure]] = {}
    for whole in keys:
        figures: dict[str, Figure] = {}
        for part, found in given:
            figures |= found.get(tuple(whole.get(name) for name in part.dimensions), {})
        together[tuple(whole.get(name) for name in dimensions)] = figures
    return together


def _joined(
    keys: Sequence[dict[str, str | None]], more: Sequence[dict[str, str | None]], names: set[str], *, first: bool
) -> list[dict[str, str | None]]:
    """Each of ``keys`` with each of ``more`` that says the same of what both tell; those without a match too."""
    if first:
        return list(more)
    shared = sorted(names & {name for key in keys for name in key})
    by_shared: dict[_Key, list[dict[str, str | None]]] = {}
    for one in more:
        by_shared.setdefault(tuple(one[name] for name in shared), []).append(one)
    joined: list[dict[str, str | None]] = []
    matched: set[_Key] = set()
    for key in keys:
        place = tuple(key.get(name) for name in shared)
        matched.add(place)
        joined += [key | one for one in by_shared.get(place, [{}])]
    return joined + [one for place, found in by_shared.items() if place not in matched for one in found]


def _before(dimensions: Sequence[str], known: Catalogue, asked: Sequence[_Asked]) -> _Before | None:
    """The previous window's figures, and why those of some parts are not known; None if not asked for."""
    found: list[tuple[Part, Mapping[_Key, _Figures]]] = []
    unknown: dict[str, str] = {}
    for one in asked:
        if one.before is None:
            return None
        if isinstance(one.before, str):
            unknown |= dict.fromkeys(one.part.metrics, one.before)
            found.append((one.part, {group.key: {} for group in one.groups}))  # what stands beside it keeps its place
        else:
            found.append((one.part, one.before))
    return _Before(_together(dimensions, known, found), unknown)


def _asked_figures(known: Catalogue, query: Query, figures: _Figures) -> dict[str, Figure]:
    """The figures that were asked for, quotients made of the others.

    A sum over no rows is 0. What has no rows on one side can't be divided: nobody knows that it cost nothing.
    """
    found = {}
    for name in query.metrics:
        metric = known.metric(name)
        if isinstance(metric, Metric):
            found[name] = figures.get(name) or _figure(metric, [_NOTHING] * len(_aggregates(metric)))
            continue
        absent = [need for need in metric.needs if need not in figures]
        if absent:
            relation = RELATIONS[known.base(absent[0]).table]
            sides = [figures[need].value if need in figures else None for need in metric.needs]
            found[name] = Figure(None, f"no {relation.rows} of this group. {relation.bring_in}", *sides)
        else:
            found[name] = _ratio(metric, figures[metric.over], figures[metric.under], known.base(metric.under).name)
    return found


def _rows(
    query: Query,
    dimensions: Sequence[str],
    known: Catalogue,
    now: Mapping[_Key, _Figures],
    before: _Before | None,
    *,
    home: str,
) -> list[Row]:
    """The rows in order:

    by period, then by currency (``home`` first, those with nothing but zeros last), then by size.
    """
    keys = list(now) if before is None else [*now, *(key for key in before.figures if key not in now)]
    rows = []
    for key in keys:
        previous: _Figures | None = None
        if before is not None:
            whys = {name: [before.unknown.get(one) for one in known.metric(name).needs] for name in query.metrics}
            unknown = {name: Figure(None, next(filter(None, why))) for name, why in whys.items() if any(why)}
            previous = _asked_figures(known, query, before.figures.get(key, {})) | unknown
        figures = _asked_figures(known, query, now.get(key, {}))
        rows.append(Row(dict(zip(dimensions, key, strict=True)), figures, previous))
    first = query.metrics[0]
    spent = {row.dimensions.get(CURRENCY) for row in rows if not row.is_nothing}

    def order(row: Row) -> tuple[Any, ...]:
        currency = row.dimensions.get(CURRENCY)
        value = row.figures[first].value
        periods = [row.dimensions[name] or "" for name in dimensions if name in GRAINS]
        others = [(text is None, text or "") for text in row.dimensions.values()]
        money = (currency not in spent, currency != home, currency or "")
        return (*periods, *money, value is None, -(value or Decimal(0)), *others)

    return sorted(rows, key=order)


def _empty_row(dimensions: Sequence[str], known: Catalogue, metrics: Sequence[Metric | Quotient]) -> Row:
    """The one row of an ungrouped question about nothing: a count is 0, everything else is unknown."""
    figures = {}
    for m in metrics:
        counted = isinstance(m, Metric) and m.numerator.kind == "count" and m.denominator is None
        table = known.base(m.needs[-1]).table
        relation = RELATIONS[table]
        why = "no rows were selected" if table == COSTS else f"no {relation.rows} were selected. {relation.bring_in}"
        figures[m.id] = Figure(Decimal(0)) if counted else Figure(None, why)
    return Row(dict.fromkeys(dimensions), figures)


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
) -> tuple[Mapping[_Key, _Figures] | str | None, list[str]]:
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
    return {group.key: _figures(part, known, group) for group in groups}, notes


def _missing(asked: _Asked, known: Catalogue) -> list[LeftOut]:
    found = []
    for name in asked.part.metrics:
        for place, aggregate in enumerate(_aggregates(known.base(name))):
            count = sum(group.sums[name][place].lacking for group in asked.groups)
            if count:
                found.append(LeftOut("missing-measure", count, f"rows without {aggregate.column}", name))
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
