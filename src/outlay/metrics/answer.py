"""Answering a query from the ledger, with its receipt.

The engine only sums and counts, exactly; ratios are divided here, in Decimal. A sum over rows that exist but lack
the column is unknown, not 0; a sum over no rows is 0, because nothing was billed; a ratio over nothing is unknown.
Each currency is a row of its own. With a comparison the same SQL is run for the window before.
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
from outlay.metrics.catalogue import Aggregate, Catalogue, Metric, catalogue
from outlay.metrics.compiler import CURRENCY, Compiled, columns_of, compile_facts, compile_query
from outlay.metrics.notices import notices
from outlay.metrics.query import GRAINS, Query
from outlay.metrics.result import (
    Figure,
    Freshness,
    LeftOut,
    Load,
    Receipt,
    Result,
    Row,
    columns_of_answer,
    divided,
)

if TYPE_CHECKING:
    import duckdb

__all__ = ["answer"]

_MAX_GROUPS = 200_000
_WORDS = {"x_Tokens": "tokens", "x_GpuHours": "GPU-hours"}

_Key = tuple[str | None, ...]


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


def answer(ledger: Ledger, query: Query, settings: Settings, *, as_of: str | None = None) -> Result:
    """The answer to ``query`` from the ledger, now or as of a version or time.

    Raises :class:`UsageError` for unknown names before anything is read, and :class:`outlay.errors.LedgerError`
    where there is none.
    """
    known = catalogue(tuple(settings.tags.required))
    query.check(known)
    metrics = tuple(known.metric(name) for name in query.metrics)
    with session() as connection:
        version = ledger.register(connection, as_of=as_of)
        _require_columns(connection, query, known, version)
        compiled = compile_query(query, known)
        groups = _groups(connection, compiled, metrics)
        facts = _facts(connection, query, known)
        before, notes = _previous(connection, query, known, metrics, facts)
        view = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'costs'").fetchall()[0][0]
    rows = _rows(query, compiled, metrics, groups, before, home=settings.currency)
    if not rows and not query.dimensions:
        rows = [_empty_row(compiled, metrics)]
    kept = rows[: query.limit]
    left_out = _missing(metrics, groups)
    if len(kept) < len(rows):
        left_out.append(LeftOut("limit", len(rows) - len(kept), f"rows beyond --limit {query.limit}"))
    records = _records(ledger, facts.loads, version)
    loads = tuple(_load(record) for record in records)
    quarantined = sum(file["rows_rejected"] for record in records for file in record.facts["files"])
    if quarantined:
        left_out.append(LeftOut("quarantine", quarantined, "rows of these loads are in quarantine, whatever they were"))
    money = any(metric.is_money for metric in metrics)
    if money and len(facts.currencies) > 1:
        notes.append(f"The rows are billed in {', '.join(facts.currencies)}: figures are per currency, never added.")
    receipt = Receipt(
        metrics=metrics,
        table=ledger.costs_path,
        version=version,
        rows=facts.rows,
        sources=facts.sources,
        loads=loads,
        freshness=Freshness(facts.oldest, facts.newest, max((one.at for one in loads), default=None)),
        window=(query.since, query.until),
        previous=query.previous,
        left_out=tuple(left_out),
        notes=(*notes, *notices(records, facts.sources, metrics)),
        sql=compiled.sql,
        view=view,
    )
    dimensions = [known.dimension(name) for name in compiled.dimensions]
    columns = columns_of_answer(dimensions, metrics, compare=query.compare is not None)
    return Result(columns, tuple(kept), receipt, query.dimensions)


def _require_columns(connection: duckdb.DuckDBPyConnection, query: Query, known: Catalogue, version: int) -> None:
    present = {row[0] for row in connection.execute("DESCRIBE costs").fetchall()}
    lacking = sorted(columns_of(query, known) - present)
    if lacking:
        tag = lacking[0].removeprefix("x_Tag_")
        raise UsageError(
            f"the ledger as of version {version} has no column for the tag '{tag}'.",
            hint="The tag was configured after the last load: load a bill again, or ask without it.",
        )


def _groups(connection: duckdb.DuckDBPyConnection, compiled: Compiled, metrics: Sequence[Metric]) -> list[_Group]:
    rows = connection.execute(f"SELECT * FROM ({compiled.sql}) LIMIT {_MAX_GROUPS + 1}").fetchall()
    if len(rows) > _MAX_GROUPS:
        raise UsageError(
            f"the answer has more than {_MAX_GROUPS:,} rows.",
            hint="Group by fewer dimensions, or narrow it with --where.",
        )
    groups = []
    for row in rows:
        cells = iter(row)
        key = tuple(next(cells) for _ in compiled.dimensions)
        groups.append(_Group(key, {m.id: tuple(_sum(cells, one) for one in _aggregates(m)) for m in metrics}))
    return groups


def _aggregates(metric: Metric) -> tuple[Aggregate, ...]:
    return (metric.numerator,) if metric.denominator is None else (metric.numerator, metric.denominator)


def _sum(cells: Iterator[Any], aggregate: Aggregate) -> _Sum:
    value = next(cells)
    if aggregate.column is None:
        return _Sum(Decimal(value), value, 0)
    return _Sum(Decimal(0) if value is None else value, next(cells), next(cells))


def _known(total: _Sum, aggregate: Aggregate) -> tuple[Decimal | None, str | None]:
    """The sum, or why it is unknown."""
    if total.carried == 0 and total.lacking > 0:
        assert aggregate.column is not None
        word = _WORDS.get(aggregate.column, aggregate.column)
        return None, f"no {word}: {total.lacking:,} rows should carry {aggregate.column}, and none does"
    return total.value, None


def _figure(metric: Metric, sums: Sequence[_Sum]) -> Figure:
    numerator, why = _known(sums[0], metric.numerator)
    if metric.denominator is None:
        return Figure(numerator, why)
    denominator, why_not = _known(sums[1], metric.denominator)
    if numerator is None or denominator is None:
        return Figure(None, why or why_not, numerator, denominator)
    if denominator == 0:
        word = _WORDS.get(metric.denominator.column or "", metric.denominator.column or "rows")
        return Figure(None, f"nothing to divide by: the denominator, in {word}, is 0", numerator, denominator)
    return Figure(divided(metric, numerator, denominator), None, numerator, denominator)


_NOTHING = _Sum(Decimal(0), 0, 0)


def _figures(metrics: Sequence[Metric], group: _Group | None) -> dict[str, Figure]:
    """The figures of a group; of one that has no rows in the window, where ``group`` is None."""
    return {
        m.id: _figure(m, group.sums[m.id] if group is not None else [_NOTHING] * len(_aggregates(m))) for m in metrics
    }


def _rows(
    query: Query,
    compiled: Compiled,
    metrics: Sequence[Metric],
    groups: Sequence[_Group],
    before: Mapping[_Key, Mapping[str, Figure]] | str | None,
    *,
    home: str,
) -> list[Row]:
    """The rows in order: by period, then by currency (``home`` first, those with nothing but zeros last), then by size.

    ``before``: the previous window's figures by group, or why there are none, or None if not asked for.
    """
    now = {group.key: group for group in groups}
    keys = [*now, *(key for key in before if key not in now)] if isinstance(before, Mapping) else list(now)
    rows = []
    for key in keys:
        previous: Mapping[str, Figure] | None = None
        if isinstance(before, Mapping):
            previous = before.get(key) or _figures(metrics, None)
        elif before is not None:
            previous = {m.id: Figure(None, before) for m in metrics}
        figures = _figures(metrics, now.get(key))
        rows.append(Row(dict(zip(compiled.dimensions, key, strict=True)), figures, previous))
    first = query.metrics[0]
    spent = {row.dimensions.get(CURRENCY) for row in rows if not row.is_nothing}

    def order(row: Row) -> tuple[Any, ...]:
        currency = row.dimensions.get(CURRENCY)
        value = row.figures[first].value
        periods = [row.dimensions[name] or "" for name in compiled.dimensions if name in GRAINS]
        others = [(text is None, text or "") for text in row.dimensions.values()]
        money = (currency not in spent, currency != home, currency or "")
        return (*periods, *money, value is None, -(value or Decimal(0)), *others)

    return sorted(rows, key=order)


def _empty_row(compiled: Compiled, metrics: Sequence[Metric]) -> Row:
    """The one row of an ungrouped question about nothing: a count is 0, everything else is unknown."""
    figures = {
        m.id: Figure(Decimal(0)) if m.numerator.column is None else Figure(None, "no rows were selected")
        for m in metrics
    }
    return Row(dict.fromkeys(compiled.dimensions), figures)


def _facts(connection: duckdb.DuckDBPyConnection, query: Query, known: Catalogue) -> _Facts:
    found = connection.execute(compile_facts(query, known)).fetchall()
    return _Facts(
        rows=sum(row[3] for row in found),
        sources=tuple(sorted({row[0] for row in found})),
        loads=tuple(sorted({row[1] for row in found})),
        currencies=tuple(sorted({row[2] for row in found})),
        oldest=min((row[4] for row in found), default=None),
        newest=max((row[5] for row in found if row[5] is not None), default=None),
    )


def _previous(
    connection: duckdb.DuckDBPyConnection, query: Query, known: Catalogue, metrics: Sequence[Metric], facts: _Facts
) -> tuple[Mapping[_Key, Mapping[str, Figure]] | str | None, list[str]]:
    """The previous window's figures by group, or why it has none; and what to know when comparing."""
    period = query.previous
    if period is None:
        return None, []
    window = replace(query, since=period.since, until=period.until, compare=None)
    sources = set(facts.sources) | set(_facts(connection, window, known).sources)
    starts = dict(connection.execute('SELECT "x_Source", min("ChargePeriodStart") FROM costs GROUP BY 1').fetchall())
    notes = [
        f"{source}: the ledger's first charge is at {starts[source].isoformat()}Z, after the previous window starts, "
        f"so the change is not like for like."
        for source in sorted(sources)
        if starts[source] > period.since
    ]
    first = min((starts[source] for source in sources), default=None)
    if first is None or first >= period.until:
        return f"the ledger holds no charges of these sources before {period.until.isoformat()}Z", notes
    compiled = compile_query(window, known)
    return {group.key: _figures(metrics, group) for group in _groups(connection, compiled, metrics)}, notes


def _missing(metrics: Sequence[Metric], groups: Sequence[_Group]) -> list[LeftOut]:
    found = []
    for metric in metrics:
        for place, aggregate in enumerate(_aggregates(metric)):
            count = sum(group.sums[metric.id][place].lacking for group in groups)
            if count:
                found.append(LeftOut("missing-measure", count, f"rows without {aggregate.column}", metric.id))
    return list(dict.fromkeys(found))


def _records(ledger: Ledger, ids: Sequence[str], version: int) -> list[LoadRecord]:
    """The loads that the rows came by, newest first; of content loaded twice, the later load."""
    found: dict[str, LoadRecord] = {}
    for record in ledger.history():
        load_id = str(record.facts.get("load_id"))
        if record.version <= version and load_id in ids:
            found.setdefault(load_id, record)
    return list(found.values())


def _load(record: LoadRecord) -> Load:
    files = tuple(file["path"] for file in record.facts["files"])
    return Load(record.facts["load_id"], record.version, record.at, files)
