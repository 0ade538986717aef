"""The compiler: a query becomes SQL. The only module that imports Ibis.

Ibis writes the SQL of one expression over an unbound table and runs nothing, so the same definitions can be written
for another engine. Compiling takes longer than running a small query, so SQL is kept by the query's shape: times
and values are slots that are filled, as quoted literals, afterwards. The filled SQL needs nothing but the view
``costs``, so anyone can run it by hand.

Each metric gives a column of its numerator, of its denominator for a ratio (never the quotient: it is divided
exactly, later), and for each sum two counts: of rows that carried the column, and of rows that should have and did
not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, reduce
from operator import and_, or_
from typing import Any

from outlay.ledger.engine.duckdb import literal
from outlay.ledger.tables.costs import columns
from outlay.metrics.catalogue import Aggregate, Catalogue, Condition, Conditions, Dimension, Metric, catalogue
from outlay.metrics.query import Query

__all__ = ["CURRENCY", "Compiled", "columns_of", "compile_facts", "compile_query"]

CURRENCY = "currency"
"""The dimension that is added where money is asked for."""

_DIALECT = "duckdb"
_SLOT = re.compile(r"'__outlay_slot_(\d+)__'")
_CACHED_SHAPES = 512


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL over the view ``costs``, and the dimensions and metrics of its columns, in order.

    Columns: the dimensions; then for each metric ``m``: ``m`` (or ``m_numerator``, ``m_denominator``), each
    followed by its ``_with`` and ``_without`` counts if it is a sum.
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
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    since: bool
    until: bool
    where: tuple[tuple[str, int, bool], ...]


def dimensions_of(query: Query, known: Catalogue) -> tuple[str, ...]:
    """The dimensions of the answer: those asked for, and the currency where money is asked for."""
    money = any(known.metric(name).is_money for name in query.metrics)
    return (*query.dimensions, CURRENCY) if money and CURRENCY not in query.dimensions else query.dimensions


def columns_of(query: Query, known: Catalogue) -> set[str]:
    """All columns of ``costs`` that the query's own names read."""
    names = [*dimensions_of(query, known), *(one.dimension for one in query.where)]
    read = {column for name in names for column in known.dimension(name).columns}
    return read.union(*(known.metric(name).columns() for name in query.metrics))


def compile_query(query: Query, known: Catalogue) -> Compiled:
    """The SQL that answers ``query`` (its own window, not the previous one)."""
    shape = _shape(query, known, query.metrics, dimensions_of(query, known))
    return Compiled(_fill(_query_sql(shape), query), shape.dimensions, shape.metrics)


def compile_facts(query: Query, known: Catalogue) -> str:
    """SQL for the receipt, by source, load and currency: rows, first ChargePeriodStart, last ChargePeriodEnd."""
    return _fill(_facts_sql(_shape(query, known, (), ())), query)


def _shape(query: Query, known: Catalogue, metrics: tuple[str, ...], dimensions: tuple[str, ...]) -> _Shape:
    where = tuple((one.dimension, sum(v is not None for v in one.values), None in one.values) for one in query.where)
    return _Shape(known.tags, metrics, dimensions, query.since is not None, query.until is not None, where)


def _fill(sql: str, query: Query) -> str:
    values: list[str] = [_moment(moment) for moment in (query.since, query.until) if moment is not None]
    values += [value for one in query.where for value in one.values if value is not None]
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

    known = catalogue(shape.tags)
    rows = _selected(shape)
    measures: dict[str, Any] = {}
    for name in shape.metrics:
        measures |= _measures(rows, known.metric(name))
    groups = {f"{name}": _value(rows, known.dimension(name)) for name in shape.dimensions}
    grouped = rows.group_by(**groups) if groups else rows
    return str(ibis.to_sql(grouped.aggregate(**measures), dialect=_DIALECT))


@lru_cache(maxsize=_CACHED_SHAPES)
def _facts_sql(shape: _Shape) -> str:
    import ibis

    rows = _selected(shape)
    grouped = rows.group_by(source=rows.x_Source, load=rows.x_LoadId, currency=rows.BillingCurrency)
    expression = grouped.aggregate(
        rows=rows.count(),
        first=rows.ChargePeriodStart.min(),
        # A purchase's charge period is its term, which ends in the future: it says nothing of how fresh the bill is.
        newest=ibis.coalesce(
            rows.ChargePeriodEnd.max(where=~rows.ChargeCategory.identical_to("Purchase")), rows.ChargePeriodStart.max()
        ),
    )
    return str(ibis.to_sql(expression, dialect=_DIALECT))


def _selected(shape: _Shape) -> Any:  # noqa: ANN401 - Ibis ships no types
    """The rows of the window and the filters."""
    import ibis

    table = ibis.table(_schema(shape.tags), name="costs")
    known = catalogue(shape.tags)
    slots = _Slots()
    kept = []
    if shape.since:
        kept.append(table.ChargePeriodStart >= ibis.literal(slots.next()).cast("timestamp"))
    if shape.until:
        kept.append(table.ChargePeriodStart < ibis.literal(slots.next()).cast("timestamp"))
    for name, count, also_none in shape.where:
        value = _value(table, known.dimension(name))
        choices = [value.isin([slots.next() for _ in range(count)])] if count else []
        kept.append(reduce(or_, [*choices, value.isnull()] if also_none else choices))
    return table.filter(*kept) if kept else table


def _schema(tags: tuple[str, ...]) -> Any:  # noqa: ANN401 - Ibis ships no types
    import ibis

    kinds = {"VARCHAR": "string", "BOOLEAN": "boolean", "BIGINT": "int64", "DATE": "date", "TIMESTAMP": "timestamp"}
    return ibis.schema(
        {
            column.name: kinds.get(column.sql_type) or column.sql_type.lower()
            for column in columns(tags)
            if not column.sql_type.startswith("MAP")
        }
    )


def _value(rows: Any, dimension: Dimension) -> Any:  # noqa: ANN401 - Ibis ships no types
    """The dimension's value as text."""
    import ibis

    periods: dict[str, Callable[[Any], Any]] = {
        "day": lambda date: date.strftime("%Y-%m-%d"),
        "week": lambda date: date.truncate("W").strftime("%Y-%m-%d"),
        "month": lambda date: date.strftime("%Y-%m"),
    }
    first = rows[dimension.columns[0]]
    if dimension.period is not None:
        return periods[dimension.period](first)
    if len(dimension.columns) > 1:
        return ibis.coalesce(*(rows[name] for name in dimension.columns))
    return first.cast("string")


def _measures(rows: Any, metric: Metric) -> dict[str, Any]:  # noqa: ANN401 - Ibis ships no types
    if metric.denominator is None:
        return _aggregate(rows, metric.id, metric.numerator)
    numerator = _aggregate(rows, f"{metric.id}_numerator", metric.numerator)
    return numerator | _aggregate(rows, f"{metric.id}_denominator", metric.denominator)


def _aggregate(rows: Any, name: str, aggregate: Aggregate) -> dict[str, Any]:  # noqa: ANN401 - Ibis ships no types
    kept = _holds(rows, aggregate.where)
    if aggregate.column is None:
        return {name: rows.count(where=kept)}
    column = rows[aggregate.column]
    carried = column.notnull() if kept is None else column.notnull() & kept
    expected = _holds(rows, aggregate.where if aggregate.expected is None else aggregate.expected)
    lacking = column.isnull() if expected is None else column.isnull() & expected
    return {
        name: column.sum(where=kept),
        f"{name}_with": rows.count(where=carried),
        f"{name}_without": rows.count(where=lacking),
    }


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
