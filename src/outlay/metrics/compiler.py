"""The compiler: a query becomes SQL. The only module that imports Ibis.

Ibis writes the SQL of one expression over an unbound table and runs nothing, so the same definitions can be written
for another engine. Compiling takes longer than running a small query, so SQL is kept by the query's shape: times
and values are slots that are filled, as quoted literals, afterwards. The filled SQL needs nothing but the view that
it names, so anyone can run it by hand.

The metrics of a query are of one relation or of several: each relation is a :class:`Part` with its own SQL, grouped
by the same dimensions and, beside them, by what its metrics must be told apart by (the currency of money). Each metric
gives a column of its numerator, of its denominator for a ratio (never the quotient: it is divided exactly, later),
and for each sum two counts: of rows that carried the column, and of rows that should have and did not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, reduce
from operator import add, and_, or_
from typing import Any

from outlay.ledger.engine.duckdb import literal
from outlay.metrics.allocation import allocated_by
from outlay.metrics.catalogue import Aggregate, Catalogue, Condition, Conditions, Dimension, Metric, catalogue
from outlay.metrics.providers import value_of
from outlay.metrics.query import Query
from outlay.metrics.relations import COSTS, RELATIONS

__all__ = [
    "CURRENCY",
    "PRICED_BY",
    "Compiled",
    "Part",
    "columns_of",
    "compile_allocated",
    "compile_facts",
    "compile_part",
    "compile_tellers",
    "parts_of",
]

CURRENCY = "currency"
"""The dimension that is added where money is asked for."""

PRICED_BY = {"version": "x_PriceVersion", "status": "x_PriceStatus", "estimated": "x_CostEstimated"}
"""What a receipt tells of the prices of rows that a price book priced."""

_DIALECT = "duckdb"
_DOUBT = "__doubt"
_SLOT = re.compile(r"'__outlay_slot_(\d+)__'")
_CACHED_SHAPES = 512


@dataclass(frozen=True, slots=True)
class Part:
    """The metrics of a query that are of one relation; ``dimensions`` are those of the query and what is told apart."""

    relation: str
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL over the relation's view, and the dimensions and metrics of its columns, in order.

    Columns: the dimensions; then for each metric ``m``: ``m`` (or ``m_numerator``, ``m_denominator``), each
    followed by its ``_with`` and ``_without`` counts if it is over a column; last, of a relation that tells why rows
    have no price, one such reason.
    """

    sql: str
    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of a query decides the text of its SQL.

    ``where``: dimension, number of values, whether None is among them.
    """

    tags: tuple[str, ...]
    own: str
    relation: str
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    since: bool
    until: bool
    where: tuple[tuple[str, int, bool], ...]


def parts_of(query: Query, known: Catalogue) -> tuple[Part, ...]:
    """The parts of a query, in the order in which its metrics name their relations."""
    wanted = dict.fromkeys(one for name in query.metrics for one in known.metric(name).needs)
    found: dict[tuple[str, bool, tuple[str, ...]], list[Metric]] = {}
    for name in wanted:
        metric = known.base(name)
        # A bill row always has a currency. A call without a known price has none, and its tokens count all the same:
        # what is no money is not told by currency there.
        by_currency = metric.table == COSTS or metric.is_money
        found.setdefault((metric.table, by_currency, metric.apart), []).append(metric)
    parts = []
    for (relation, _, apart), metrics in found.items():
        money = [CURRENCY] if any(metric.is_money for metric in metrics) else []
        dimensions = tuple(dict.fromkeys([*query.dimensions, *money, *apart]))
        parts.append(Part(relation, tuple(metric.id for metric in metrics), dimensions))
    return tuple(parts)


def columns_of(query: Query, part: Part, known: Catalogue) -> set[str]:
    """All columns of its relation that a part reads."""
    names = [*part.dimensions, *(one.dimension for one in query.where)]
    read = {column for name in names for column in known.dimension(name).on[part.relation]}
    return read.union(*(known.base(name).columns() for name in part.metrics))


def compile_part(query: Query, part: Part, known: Catalogue) -> Compiled:
    """The SQL that answers a part of ``query`` (in its own window, not the previous one)."""
    shape = _shape(query, known, part.relation, part.metrics, part.dimensions)
    return Compiled(_fill(_query_sql(shape), query), shape.dimensions, shape.metrics)


def compile_facts(query: Query, relation: str, known: Catalogue) -> str:
    """SQL for the receipt, by source, load, currency and :data:`PRICED_BY`: rows, first start, last end."""
    return _fill(_facts_sql(_shape(query, known, relation, (), ())), query)


def compile_allocated(query: Query, relation: str, known: Catalogue, tags: Sequence[str]) -> str:
    """SQL of the rows that allocations gave some of ``tags`` to: the entry of each tag, currency, rows, cost."""
    return _fill(_allocated_sql(_shape(query, known, relation, (), ()), tuple(tags)), query)


def compile_tellers(query: Query, known: Catalogue, *, finely: bool) -> str:
    """SQL of who tells of requests, and how: source, kind; ``finely`` by provider, model and day too. Requests last."""
    return _fill(_tellers_sql(_shape(query, known, "requests", (), ()), finely=finely), query)


def _shape(query: Query, known: Catalogue, relation: str, metrics: Sequence[str], dimensions: Sequence[str]) -> _Shape:
    where = tuple((one.dimension, sum(v is not None for v in one.values), None in one.values) for one in query.where)
    window = (query.since is not None, query.until is not None)
    return _Shape(known.tags, known.own, relation, tuple(metrics), tuple(dimensions), *window, where)


def _fill(sql: str, query: Query) -> str:
    values: list[str] = [_moment(moment) for moment in (query.since, query.until) if moment is not None]
    values += [value_of(one.dimension, value) for one in query.where for value in one.values if value is not None]
    # One pass: a value that looks like a slot is not filled again.
    return _SLOT.sub(lambda match: literal(values[int(match[1])]), sql)


def _moment(moment: datetime) -> str:
    return moment.isoformat(sep=" ")


class _Slots:
    """Placeholders in the order in which :func:`_fill` has the values."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> str:
        self._count += 1
        return f"__outlay_slot_{self._count - 1}__"


@lru_cache(maxsize=_CACHED_SHAPES)
def _query_sql(shape: _Shape) -> str:
    import ibis

    known = catalogue(shape.tags, shape.own)
    rows = _selected(shape)
    measures: dict[str, Any] = {}
    for name in shape.metrics:
        measures |= _measures(rows, known.base(name))
    if (doubt := RELATIONS[shape.relation].doubt) is not None:
        measures[_DOUBT] = rows[doubt].max()
    groups = {f"{name}": _value(rows, known.dimension(name), shape.relation) for name in shape.dimensions}
    grouped = rows.group_by(**groups) if groups else rows
    return str(ibis.to_sql(grouped.aggregate(**measures), dialect=_DIALECT))


@lru_cache(maxsize=_CACHED_SHAPES)
def _facts_sql(shape: _Shape) -> str:
    import ibis

    rows = _selected(shape)
    relation = RELATIONS[shape.relation]
    start, end = rows[relation.time], rows[relation.until]
    newest = ibis.coalesce(end.max(), start.max())
    if shape.relation == COSTS:
        # A purchase's charge period is its term, which ends in the future: it says nothing of how fresh the bill is.
        newest = ibis.coalesce(end.max(where=~rows.ChargeCategory.identical_to("Purchase")), start.max())
    nothing = ibis.null("string")
    groups = {"source": rows.x_Source, "load": rows.x_LoadId}
    groups["currency"] = rows[relation.currency] if relation.currency else nothing
    for name, column in PRICED_BY.items():
        groups[name] = rows[column].cast("string") if relation.priced else nothing
    expression = rows.group_by(**groups).aggregate(rows=rows.count(), first=start.min(), newest=newest)
    return str(ibis.to_sql(expression, dialect=_DIALECT))


@lru_cache(maxsize=_CACHED_SHAPES)
def _allocated_sql(shape: _Shape, tags: tuple[str, ...]) -> str:
    import ibis

    rows = _selected(shape)
    relation = RELATIONS[shape.relation]
    entries = {tag: rows[allocated_by(tag)] for tag in tags}
    given = rows.filter(reduce(or_, [entry.notnull() for entry in entries.values()]))
    currency = given[relation.currency] if relation.currency else ibis.null("string")
    cost = given[relation.cost].sum() if relation.cost else ibis.null("decimal(38,18)")
    grouped = given.group_by(
        **{f"by_{place}": given[allocated_by(tag)] for place, tag in enumerate(tags)}, in_=currency
    )
    return str(ibis.to_sql(grouped.aggregate(rows=given.count(), cost=cost), dialect=_DIALECT))


@lru_cache(maxsize=_CACHED_SHAPES)
def _tellers_sql(shape: _Shape, *, finely: bool) -> str:
    import ibis

    rows = _selected(shape)
    groups = {"source": rows.x_Source, "kind": rows.x_Kind}
    if finely:
        model = ibis.coalesce(rows.gen_ai_response_model, rows.gen_ai_request_model)
        groups |= {"provider": rows.x_Provider, "model": model, "day": rows.start_time.date()}
    return str(ibis.to_sql(rows.group_by(**groups).aggregate(requests=rows.x_Requests.sum()), dialect=_DIALECT))


def _selected(shape: _Shape) -> Any:  # noqa: ANN401 - Ibis ships no types
    """The rows of the window and the filters."""
    import ibis

    table = ibis.table(_schema(shape.relation, shape.tags), name=shape.relation)
    known = catalogue(shape.tags, shape.own)
    moment = table[RELATIONS[shape.relation].time]
    slots = _Slots()
    kept = []
    if shape.since:
        kept.append(moment >= ibis.literal(slots.next()).cast("timestamp"))
    if shape.until:
        kept.append(moment < ibis.literal(slots.next()).cast("timestamp"))
    for name, count, also_none in shape.where:
        value = _value(table, known.dimension(name), shape.relation)
        choices = [value.isin([slots.next() for _ in range(count)])] if count else []
        kept.append(reduce(or_, [*choices, value.isnull()] if also_none else choices))
    return table.filter(*kept) if kept else table


def _schema(relation: str, tags: tuple[str, ...]) -> Any:  # noqa: ANN401 - Ibis ships no types
    import ibis

    kinds = {"VARCHAR": "string", "BOOLEAN": "boolean", "BIGINT": "int64", "DATE": "date", "TIMESTAMP": "timestamp"}
    columns = RELATIONS[relation].columns(tags) | {allocated_by(tag): "BIGINT" for tag in tags}
    return ibis.schema({name: kinds.get(sql_type) or sql_type.lower() for name, sql_type in columns.items()})


def _value(rows: Any, dimension: Dimension, relation: str) -> Any:  # noqa: ANN401 - Ibis ships no types
    """The dimension's value as text."""
    import ibis

    periods: dict[str, Callable[[Any], Any]] = {
        "day": lambda date: date.strftime("%Y-%m-%d"),
        "week": lambda date: date.truncate("W").strftime("%Y-%m-%d"),
        "month": lambda date: date.strftime("%Y-%m"),
    }
    names = dimension.on[relation]
    if dimension.period is not None:
        return periods[dimension.period](rows[names[0]])
    if len(names) > 1:
        return ibis.coalesce(*(rows[name] for name in names))
    return rows[names[0]].cast("string")


def _measures(rows: Any, metric: Metric) -> dict[str, Any]:  # noqa: ANN401 - Ibis ships no types
    if metric.denominator is None:
        return _aggregate(rows, metric.id, metric.numerator)
    numerator = _aggregate(rows, f"{metric.id}_numerator", metric.numerator)
    return numerator | _aggregate(rows, f"{metric.id}_denominator", metric.denominator)


def _aggregate(rows: Any, name: str, aggregate: Aggregate) -> dict[str, Any]:  # noqa: ANN401 - Ibis ships no types
    kept = _holds(rows, aggregate.where)
    if aggregate.kind == "count":
        return {name: rows.count(where=kept)}
    column = _over(rows, aggregate)
    carried = column.notnull() if kept is None else column.notnull() & kept
    expected = _holds(rows, aggregate.where if aggregate.expected is None else aggregate.expected)
    lacking = column.isnull() if expected is None else column.isnull() & expected
    figures = {
        "sum": lambda: column.sum(where=kept),
        "distinct": lambda: column.nunique(where=kept),
        "quantile": lambda: column.quantile(aggregate.level, where=kept),
    }
    return {
        name: figures[aggregate.kind](),
        f"{name}_with": rows.count(where=carried),
        f"{name}_without": rows.count(where=lacking),
    }


def _over(rows: Any, aggregate: Aggregate) -> Any:  # noqa: ANN401 - Ibis ships no types
    """The column; of several the first that is set, or their sum: an empty one adds nothing where another is set."""
    import ibis

    columns = [rows[name] for name in aggregate.over]
    if len(columns) == 1:
        return columns[0]
    if aggregate.first:
        return ibis.coalesce(*columns)
    any_set = reduce(or_, [column.notnull() for column in columns])
    return any_set.ifelse(reduce(add, [column.fill_null(0) for column in columns]), None)


def _holds(rows: Any, conditions: Conditions) -> Any:  # noqa: ANN401 - Ibis ships no types
    """The conditions as an expression; None when every row satisfies them."""
    if not conditions:
        return None
    return reduce(or_, [reduce(and_, [_test(rows, one) for one in branch]) for branch in conditions])


def _test(rows: Any, condition: Condition) -> Any:  # noqa: ANN401 - Ibis ships no types
    column = rows[condition.column]
    if condition.test == "present":
        return column.notnull()
    if condition.test == "absent":
        return column.isnull()
    if condition.test == "not":
        return reduce(and_, [~column.identical_to(value) for value in condition.values])
    return column.isin(condition.values) if len(condition.values) > 1 else column == condition.values[0]
