"""Rows of ``requests`` priced as of their time: the five columns that say what a call cost and how that is known.

A row's provider and the model that answered (or was asked for, where the answer does not say) select the price. A
bucket adds calls up, so its size says nothing of theirs: it is priced as small calls are, and is an estimate where the
model has prices that depend on a call's size. A bucket of one call has that call's size, and one whose context window
is told has calls of that window's sizes.
"""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.meters import METERS
from outlay.ledger.tables.requests import meter_column
from outlay.money import MONEY_SQL
from outlay.prices.call import CONTEXT_WINDOWS, smallest
from outlay.prices.token_table import MIXED_CALLS, price_requests
from outlay.prices.tokens import FREE_UNLESS_PRICED, UNREAD, TokenPrices
from outlay.prices.usage import Remark, Usage

if TYPE_CHECKING:
    import duckdb

__all__ = ["AS_RECEIVED", "AT_BOUND", "NOT_SENT", "notes_of_pricing", "priced_sql"]

AT_BOUND, AS_RECEIVED = "billed-at-bound", "billed-as-received"
"""Remarks on a call that counts at the most that it could have used, and on one of which that is so of its output."""
NOT_SENT = "not-sent"
"""The remark on calls that no provider saw: there is nothing to be priced."""

_ADDS_UP = """coalesce("x_Kind" = 'bucket' AND "x_Requests" IS DISTINCT FROM 1, false)"""
_SMALLEST = " ".join(
    [
        "CASE",
        *(
            f"WHEN contains(context, 'context_window={window}') THEN {smallest(sizes)}"
            for window, sizes in CONTEXT_WINDOWS.items()
        ),
        "ELSE 0 END",
    ]
)
_ASKED = ("provider", "model", "context", "at", "input_tokens")


def _remarked(row: str, *codes: str) -> str:
    """SQL of whether a row has one of these remarks."""
    has = " OR ".join(f'contains({row}."x_Remarks", {literal(code)})' for code in codes)
    return f"coalesce({has}, false)"


_DOUBTED = _remarked("r", UNREAD, AT_BOUND, AS_RECEIVED)
_TIMED = tuple(meter for meter, unit in METERS.items() if unit == "second")
_COUNTED = tuple(meter for meter, unit in METERS.items() if unit != "second")


def priced_sql(
    connection: duckdb.DuckDBPyConnection, relation: str, key: str, prices: TokenPrices, *, at: datetime | None = None
) -> str:
    """A SELECT of ``relation`` (rows of ``requests`` without their prices, ``key`` unique in them) with their prices.

    Each is priced as of its own time, or all as of ``at`` (naive UTC). Temporary tables that it needs are made in the
    session.
    """
    any_timed, *used = connection.execute(
        f"SELECT coalesce(bool_or({_is_timed()}), false), "
        f"{', '.join(f'bool_or({identifier(meter_column(m))} IS NOT NULL)' for m in _COUNTED)} FROM {relation}"
    ).fetchall()[0]
    meters = [meter for meter, is_used in zip(_COUNTED, used, strict=True) if is_used or meter in FREE_UNLESS_PRICED]
    asked = f"""SELECT r.*, coalesce(gen_ai_provider_name, '') AS provider,
        coalesce(gen_ai_response_model, gen_ai_request_model, '') AS model, coalesce("x_PriceContext", '') AS context,
        {"start_time" if at is None else f"TIMESTAMP {literal(at.isoformat(sep=' '))}"} AS at,
        CASE WHEN {_ADDS_UP} THEN {_SMALLEST} ELSE coalesce(gen_ai_usage_input_tokens, 0) END AS input_tokens
        {"".join(f", {identifier(meter_column(m))} AS {m}" for m in meters)} FROM {relation} r"""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW requests_to_price AS {asked}")
    statement = price_requests(connection, "requests_to_price", prices, meters, _DOUBTED)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE sized_prices AS SELECT provider, model, context FROM price_cells "
        "WHERE sized GROUP BY ALL"
    )
    dropped = ", ".join(map(identifier, (*_ASKED, *meters, "cost", "currency", "price_version", "status", "estimated")))
    sized = f"""{_ADDS_UP} AND p.status = 'priced' AND (provider, model, context) IN
        (SELECT (provider, model, context) FROM sized_prices)"""
    untold = " AND ".join(
        ["gen_ai_usage_input_tokens IS NULL", "gen_ai_usage_output_tokens IS NULL"]
        + [f"p.{identifier(meter_column(meter))} IS NULL" for meter in meters if meter not in FREE_UNLESS_PRICED]
    )
    # What was used is not told: of a call that failed nothing as far as one knows, of another nobody knows.
    unknown = f'("x_Succeeded" IS DISTINCT FROM 0 OR {_remarked("p", AT_BOUND)})'
    not_sent = _remarked("p", NOT_SENT)
    priced = f"p.status = 'priced' AND NOT ({untold} AND {unknown}) AND NOT {not_sent}"
    values = {
        "x_PriceStatus": f"CASE WHEN {priced} THEN 'priced' WHEN NOT {not_sent} THEN 'unpriced' END",
        "x_Cost": f"CASE WHEN {priced} THEN p.cost END",
        "x_CostCurrency": f"CASE WHEN {priced} THEN p.currency END",
        "x_CostEstimated": f"CASE WHEN {priced} THEN p.estimated OR ({sized}) OR ({untold}) END",
        "x_PriceVersion": f"CASE WHEN {priced} THEN p.price_version END",
    }
    joined = ""
    if any_timed:
        _price_timed(connection, key, prices)
        joined = f"LEFT JOIN timed_prices d ON d.key = p.{identifier(key)}"
        values = {name: f"CASE WHEN d.key IS NULL THEN {sql} ELSE d.{name} END" for name, sql in values.items()}
    values["x_Cost"] = f"CAST({values['x_Cost']} AS {MONEY_SQL})"
    fields = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in values.items())
    return f"SELECT p.* EXCLUDE ({dropped}), {fields} FROM ({statement}) p {joined}"


def notes_of_pricing(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Why rows that :func:`priced_sql` saw last have no price, where a price list of the user's is the reason."""
    return [
        f"{calls:,} {'row of' if calls == 1 else 'rows of'} {model} {'is' if calls == 1 else 'are'} unpriced: what is "
        f"counted has prices in {currencies}, which can't be added. Give all prices of the model in one currency with "
        "--prices or [prices]."
        for model, currencies, calls in connection.execute(f"FROM {MIXED_CALLS} ORDER BY ALL").fetchall()
    ]


def _is_timed() -> str:
    return " OR ".join(f"{identifier(meter_column(meter))} IS NOT NULL" for meter in _TIMED)


def _price_timed(connection: duckdb.DuckDBPyConnection, key: str, prices: TokenPrices) -> None:
    """Table ``timed_prices``: rows billed by the second, some of which have a least number of seconds a call."""
    import pyarrow as pa

    every = ", ".join(identifier(meter_column(meter)) for meter in METERS)
    names = ", ".join(map(identifier, (key, *_ASKED)))
    rows = connection.execute(
        f"SELECT {names}, coalesce(gen_ai_usage_output_tokens, 0), {_ADDS_UP}, {_DOUBTED}, "
        f"{every} FROM requests_to_price r WHERE {_is_timed()}"
    ).fetchall()
    found = []
    for number, provider, model, context, at, input_tokens, output_tokens, bucket, unread, *quantities in rows:
        meters = {m: q for m, q in zip(METERS, quantities, strict=True) if q}
        usage = Usage(
            "row",
            input_tokens,
            output_tokens,
            0,
            0,
            0,
            MappingProxyType(meters),
            MappingProxyType({}),
            (Remark(UNREAD, "A count is not known and was not read."),) if unread else (),
            bucket=bucket,
        )
        asked = dict(pair.split("=", 1) for pair in context.split(";") if pair)
        priced = prices.price(usage, provider, model, at, asked)
        known = priced.cost is not None
        found.append(
            {
                "key": number,
                "x_PriceStatus": priced.status,
                "x_Cost": priced.cost,
                "x_CostCurrency": priced.currency,
                "x_CostEstimated": priced.estimated if known else None,
                "x_PriceVersion": priced.price_version if known else None,
            }
        )
    schema = pa.schema(
        [
            ("key", pa.int64()),
            ("x_PriceStatus", pa.string()),
            ("x_Cost", pa.decimal128(38, 18)),
            ("x_CostCurrency", pa.string()),
            ("x_CostEstimated", pa.bool_()),
            ("x_PriceVersion", pa.string()),
        ]
    )
    connection.register("timed_prices_arrow", pa.Table.from_pylist(found, schema=schema))
    connection.execute("CREATE OR REPLACE TEMP TABLE timed_prices AS SELECT * FROM timed_prices_arrow")
    connection.unregister("timed_prices_arrow")
