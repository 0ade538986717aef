"""Token prices for many calls at once: the flat table in Arrow, and one SQL statement that prices all rows of a table.

Calls that share provider, model and context share a small table of *cells*: stretches of time, parts of the day and
sizes of input in which no price changes, with a column a meter. Cells are filled by the very code that prices one call
(:mod:`outlay.prices.tokens`), so the two can't disagree, and they are disjoint, so a call meets at most one. What is
left to the engine is a join and a sum of products, exact: DECIMAL(18,0) x DECIMAL(20,18) is DECIMAL(38,18).

A contract may be in another currency than the list: a call is priced where the meters that it counts are in one.

The trap: a call without a cell, or with a count whose price is NULL, has no cost. The sum is NULL then and never the
part of it that could be priced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise, product
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from outlay.errors import UsageError, nearest
from outlay.ledger.meters import METERS
from outlay.prices import genai
from outlay.prices.call import circumstances
from outlay.prices.price_row import EVERY, PriceRow, versions
from outlay.prices.tokens import (
    FREE_UNLESS_PRICED,
    Call,
    TokenPrices,
    context_text,
    doubted_out_of_context,
)

__all__ = ["MIXED_CALLS", "cells", "flat_table", "price_requests", "price_sql"]

_EVER, _NEVER = datetime(1, 1, 1), datetime(9999, 12, 31)
_NO_LIMIT = 2**62
_UNIT_PRICE = pa.decimal128(20, 18)
_LARGEST = Decimal(100)
MIXED_CALLS = "calls_in_several_currencies"


def flat_table(rows: Iterable[PriceRow] | None = None) -> pa.Table:
    """The rows as Arrow, one column a field of :class:`PriceRow`; the whole list unless rows are given.

    A row that multiplies another price has no ``unit_price``.
    """
    listed = list(genai.all_rows() if rows is None else rows)
    types = {
        "unit_price": pa.decimal128(38, 18),
        "when": pa.string(),
        "input_tokens_above": pa.int64(),
        "time_from": pa.time64("us"),
        "time_to": pa.time64("us"),
        "valid_from": pa.timestamp("us"),
        "valid_to": pa.timestamp("us"),
        "order": pa.int32(),
        "multiplier": pa.decimal128(38, 18),
    }
    columns: dict[str, list[Any]] = {one.name: [getattr(row, one.name) for row in listed] for one in fields(PriceRow)}
    columns["unit_price"] = [row.unit_price if row.multiplier is None else None for row in listed]
    columns["when"] = ["*" if when == EVERY else context_text(dict(when)) for when in columns["when"]]
    return pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()})


@dataclass(frozen=True, slots=True)
class _Cell:
    valid_from: datetime
    valid_to: datetime
    time_from: time
    time_to: time | None
    above: int
    up_to: int
    sample: datetime


def cells(prices: TokenPrices, calls: Iterable[tuple[str, str, str]], meters: Sequence[str]) -> pa.Table:
    """The prices of each ``(provider, model, context)``: a row a cell, two columns a meter.

    ``p_<meter>`` is its price, ``d_<meter>`` whether that price makes an estimate of a call that counts the meter,
    ``c_<meter>`` its currency. ``currency`` is that of all of them, None where there are several; ``sized`` whether
    calls of such sizes as are told may differ in price by their size.
    """
    columns: dict[str, list[Any]] = {name: [] for name in _schema(meters).names}
    for provider, model, context in calls:
        asked = dict(pair.split("=", 1) for pair in context.split(";") if pair)
        special, window = circumstances(asked)
        call = Call(provider, model, genai.resolve(provider, model), _EVER, 0, special, window)
        sized = prices.sized(call)
        candidates = [row for meter in METERS for row in prices.candidates(call, meter)]
        for cell in _cells(candidates):
            here = Call(provider, model, call.found, cell.sample, cell.above + 1, call.context)
            all_found = {meter: prices.found(here, meter) for meter in meters}
            found = {meter: one.row for meter, one in all_found.items()}
            rows = [row for row in found.values() if row is not None]
            currencies = {row.currency for row in rows} or {"USD"}
            if not rows and call.found is None:
                continue  # a listed model without a price of these meters still has its free ones, as one call has
            if max((row.unit_price for row in rows), default=Decimal(0)) >= _LARGEST:
                raise UsageError(f"a unit price of {model} is 100 or more.", hint="Price such calls one by one.")
            unmet = bool(prices.unmet(here, rows))
            hour = prices.row(here, "cache_write_1h")
            write = found.get("cache_write")
            values = {
                "provider": provider,
                "model": model,
                "context": context,
                "valid_from": cell.valid_from,
                "valid_to": cell.valid_to,
                "time_from": cell.time_from,
                "time_to": cell.time_to or time.max,
                "to_midnight": cell.time_to is None,
                "above": cell.above,
                "up_to": cell.up_to,
                "sized": sized,
                "currency": currencies.pop() if len(currencies) == 1 else None,
                "price_version": versions(rows) or genai.version(),
                "two_write_prices": hour is not None and write is not None and hour.unit_price != write.unit_price,
                **{
                    f"p_{meter}": row.unit_price if row else (Decimal(0) if meter in FREE_UNLESS_PRICED else None)
                    for meter, row in found.items()
                },
                **{
                    f"d_{meter}": one.row is not None
                    and (one.doubt is not None or (unmet and doubted_out_of_context(one.row)))
                    for meter, one in all_found.items()
                },
                **{f"c_{meter}": row.currency if row else None for meter, row in found.items()},
            }
            for name, value in values.items():
                columns[name].append(value)
    return pa.table(columns, schema=_schema(meters))


def _schema(meters: Sequence[str]) -> pa.Schema:
    return pa.schema(
        [
            ("provider", pa.string()),
            ("model", pa.string()),
            ("context", pa.string()),
            ("valid_from", pa.timestamp("us")),
            ("valid_to", pa.timestamp("us")),
            ("time_from", pa.time64("us")),
            ("time_to", pa.time64("us")),
            ("to_midnight", pa.bool_()),
            ("above", pa.int64()),
            ("up_to", pa.int64()),
            ("sized", pa.bool_()),
            ("currency", pa.string()),
            ("price_version", pa.string()),
            ("two_write_prices", pa.bool_()),
            *((f"p_{meter}", _UNIT_PRICE) for meter in meters),
            *((f"d_{meter}", pa.bool_()) for meter in meters),
            *((f"c_{meter}", pa.string()) for meter in meters),
        ]
    )


def _cells(rows: Sequence[PriceRow]) -> Iterator[_Cell]:
    """The disjoint boxes of time, hour and size that the rows' limits cut."""
    days = sorted({moment for row in rows for moment in (row.valid_from, row.valid_to) if moment is not None})
    limits = {limit for row in rows for limit in (row.time_from, row.time_to) if limit is not None}
    hours = [time.min, *sorted(limits - {time.min})]
    sizes = sorted({row.input_tokens_above for row in rows if row.input_tokens_above is not None})
    stretches = pairwise([_EVER, *days, _NEVER])
    parts: list[tuple[time, time | None]] = [*pairwise(hours), (hours[-1], None)]
    tiers = pairwise([-1, *sizes, _NO_LIMIT])
    for (start, end), (time_from, time_to), (above, up_to) in product(stretches, parts, tiers):
        first = end - timedelta(days=1) if start == _EVER else start
        sample = datetime.combine(first.date(), time_from)
        if sample < start:
            inside = time_to is None or start.time() < time_to
            sample = start if inside and start.time() >= time_from else sample + timedelta(days=1)
        if sample < end:
            yield _Cell(start, end, time_from, time_to, above, up_to, sample)


def price_sql(
    requests: str,
    cells_table: str,
    meters: Sequence[str],
    doubted: Sequence[str] | None = None,
    unread: str = "false",
    *,
    several_currencies: bool = True,
) -> str:
    """The statement: each row of ``requests`` with cost, currency, price_version, status and estimated.

    ``requests`` has ``provider``, ``model``, ``context`` (``context_text``), ``at`` (TIMESTAMP, UTC),
    ``input_tokens`` and a BIGINT column a meter, NULL for none. A row that counts requests alone, of a model whose
    requests have no price, costs nothing where the table has a cell for its model, and is unpriced elsewhere.
    ``doubted`` are the meters that make an estimate in any cell, all unless told; ``unread`` is a condition on a row
    ``r``: whether it has counts that were not understood, so that its cost is an estimate. ``several_currencies``:
    whether a cell may have several.
    """
    known = " AND ".join(f"(c.p_{meter} IS NOT NULL OR coalesce(r.{meter}, 0) = 0)" for meter in meters)
    total = " + ".join(f"coalesce(CAST(r.{meter} AS DECIMAL(18,0)) * c.p_{meter}, 0)" for meter in meters)
    doubts = [f"(c.d_{meter} AND coalesce(r.{meter}, 0) > 0)" for meter in (meters if doubted is None else doubted)]
    doubts += ["(c.two_write_prices AND coalesce(r.cache_write, 0) > 0)"] if "cache_write" in meters else []
    estimated = " OR ".join([*doubts, f"({unread})"])
    currency = "c.currency"
    if several_currencies:
        known += f" AND (c.currency IS NOT NULL OR len({_currencies(meters)}) <= 1)"
        currency = f"coalesce(c.currency, {_currencies(meters)}[1], 'USD')"
    return f"""
SELECT r.*,
  CASE WHEN c.provider IS NOT NULL AND {known} THEN {total} END AS cost,
  CASE WHEN cost IS NOT NULL THEN {currency} END AS currency,
  c.price_version,
  CASE WHEN cost IS NULL THEN 'unpriced' ELSE 'priced' END AS status,
  coalesce(cost IS NOT NULL AND ({estimated}), false) AS estimated
FROM {requests} AS r LEFT JOIN {cells_table} AS c {_ON}
"""


_ON = """ON r.provider = c.provider AND r.model = c.model AND r.context = c.context
  AND r.at >= c.valid_from AND r.at < c.valid_to
  AND r.input_tokens > c.above AND r.input_tokens <= c.up_to
  AND CAST(r.at AS TIME) >= c.time_from AND (c.to_midnight OR CAST(r.at AS TIME) < c.time_to)"""


def _currencies(meters: Sequence[str]) -> str:
    """SQL of the currencies of what a row ``r`` counts, by its cell ``c``."""
    counted = ", ".join(f"CASE WHEN coalesce(r.{meter}, 0) <> 0 THEN c.c_{meter} END" for meter in meters)
    return f"list_sort(list_distinct([{counted}]))"


def mixed_sql(requests: str, cells_table: str, meters: Sequence[str]) -> str:
    """The statement: model, currencies and number of the rows that can't be priced because they count in several."""
    return f"""
SELECT r.model, array_to_string({_currencies(meters)}, ' and ') AS currencies, count(*) AS calls
FROM {requests} AS r JOIN {cells_table} AS c {_ON}
WHERE c.currency IS NULL AND len({_currencies(meters)}) > 1 GROUP BY 1, 2
"""


def price_requests(
    connection: duckdb.DuckDBPyConnection,
    requests: str,
    prices: TokenPrices,
    meters: Sequence[str],
    unread: str = "false",
) -> str:
    """Puts the cells that the table ``requests`` needs into ``price_cells``; returns the statement that prices it.

    What can't be priced because it counts in several currencies is in :data:`MIXED_CALLS`, see :func:`mixed_sql`.

    Meters billed by the second are left to :meth:`TokenPrices.price`: some have a least number a call. ``unread`` is
    as in :func:`price_sql`.
    """
    for meter in meters:
        if meter not in METERS or METERS[meter] == "second":
            raise UsageError(f"'{meter}' can't be priced in a table.", hint=nearest(meter, METERS))
    calls = connection.execute(f"SELECT DISTINCT provider, model, context FROM {requests} ORDER BY ALL").fetchall()
    found = cells(prices, calls, meters)
    connection.register("price_cells_arrow", found)
    connection.execute("CREATE OR REPLACE TEMP TABLE price_cells AS SELECT * FROM price_cells_arrow")
    connection.unregister("price_cells_arrow")
    doubted = [meter for meter in meters if pc.any(found.column(f"d_{meter}")).as_py()]
    several = found.column("currency").null_count > 0
    mixed = f"{mixed_sql(requests, 'price_cells', meters)} LIMIT {'ALL' if several else '0'}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {MIXED_CALLS} AS {mixed}")
    return price_sql(requests, "price_cells", meters, doubted, unread, several_currencies=several)
