"""Rows of ``requests`` are priced as ``outlay price`` prices the same calls, estimates included."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from outlay.ledger.tables.requests import REQUESTS, meter_column
from outlay.prices.contract import read_contract
from outlay.prices.request_costs import priced_sql
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise

_FILLED = ("x_PriceStatus", "x_Cost", "x_CostCurrency", "x_CostEstimated", "x_PriceVersion")
_SOL = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "gpt-5.6-sol"}
_LONG = {"gen_ai_usage_input_tokens": 300_000, meter_column("input"): 300_000, meter_column("output"): 100}


def priced(prices: TokenPrices, *rows: dict[str, Any]) -> list[tuple[str | None, Decimal | None, bool | None]]:
    """Status, cost and whether it is an estimate, of rows that have these values and no others."""
    columns = [column for column in REQUESTS.columns([]) if column.name not in _FILLED]
    with duckdb.connect() as connection:
        fields = ", ".join(f'"{column.name}" {column.sql_type}' for column in columns)
        connection.execute(f"CREATE TABLE facts (number BIGINT, {fields})")
        for number, row in enumerate(rows):
            values = {"x_Kind": "call", "start_time": datetime(2026, 11, 1), **row}
            names = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO facts (number, {names}) VALUES ({number}, {marks})", list(values.values()))
        sql = priced_sql(connection, "facts", "number", prices)
        return connection.execute(
            f'SELECT "x_PriceStatus", "x_Cost", "x_CostEstimated" FROM ({sql}) ORDER BY number'
        ).fetchall()


def test_a_bucket_is_priced_as_small_calls() -> None:
    assert priced(TokenPrices(), {**_SOL, **_LONG}, {**_SOL, **_LONG, "x_Kind": "bucket"}) == [
        ("priced", Decimal("2.403"), False),
        ("priced", Decimal("1.202"), True),
    ]


def test_a_bucket_of_one_call_has_the_calls_size() -> None:
    one, none, two = ({**_SOL, **_LONG, "x_Kind": "bucket", "x_Requests": number} for number in (1, None, 2))
    assert priced(TokenPrices(), one, none, two) == [
        ("priced", Decimal("2.403"), False),
        ("priced", Decimal("1.202"), True),
        ("priced", Decimal("1.202"), True),
    ]


def test_a_bucket_of_a_context_window_is_priced_by_it() -> None:
    """claude-sonnet-4-5: a million tokens at $3, at $6 where each call has more than 200,000. One by one alike."""
    claude: dict[str, Any] = {"gen_ai_provider_name": "anthropic", "gen_ai_request_model": "claude-sonnet-4-5"}
    claude |= {"x_Kind": "bucket", "gen_ai_usage_input_tokens": 1_000_000, meter_column("input"): 1_000_000}
    windows = ["0-200k", "200k-1M", "100k-300k", None]
    rows = [{**claude, "x_PriceContext": window and f"context_window={window.lower()}"} for window in windows]
    found = priced(TokenPrices(), *rows)
    assert [[cost, estimated] for _, cost, estimated in found] == [[3, False], [6, False], [3, True], [3, True]]
    usage = normalise("anthropic", {"uncached_input_tokens": 1_000_000}, flavor="anthropic.usage_report")
    alone = [
        TokenPrices().price(
            usage, "anthropic", "claude-sonnet-4-5", datetime(2026, 11, 1), {"context_window": window} if window else {}
        )
        for window in windows
    ]
    assert [(one.cost, one.estimated) for one in alone] == [(cost, estimated) for _, cost, estimated in found]


def test_a_window_within_which_a_price_changes_makes_an_estimate(tmp_path: Path) -> None:
    path = tmp_path / "contract.csv"
    path.write_text(
        "provider,model,meter,unit_price,input_tokens_above\nacme,own,input,1,\nacme,own,input,2,200000\n"
        "acme,own,input,3,500000\n"
    )
    row = {"gen_ai_provider_name": "acme", "gen_ai_request_model": "own", "x_Kind": "bucket", meter_column("input"): 1}
    windows = ["context_window=0-200k", "context_window=200k-1m"]
    found = priced(TokenPrices([read_contract(path)]), *({**row, "x_PriceContext": one} for one in windows))
    assert [[cost, estimated] for _, cost, estimated in found] == [[1, False], [2, True]]


def test_a_count_that_was_not_read_makes_an_estimate() -> None:
    small = {**_SOL, "gen_ai_usage_input_tokens": 1000, meter_column("input"): 1000}
    remarked = [{**small, "x_Remarks": remarks} for remarks in ("total;unread-count", "total", None)]
    assert [one[2] for one in priced(TokenPrices(), *remarked)] == [True, False, False]


def test_what_is_billed_at_a_bound_is_an_estimate_and_unpriced_where_the_bound_is_not_known() -> None:
    small = {**_SOL, "gen_ai_usage_input_tokens": 1000, meter_column("input"): 1000}
    codes = ("billed-at-bound", "billed-as-received;total")
    assert [one[2] for one in priced(TokenPrices(), *({**small, "x_Remarks": code} for code in codes))] == [True, True]
    failed = {**_SOL, "x_Succeeded": 0}
    assert priced(TokenPrices(), failed, {**failed, "x_Remarks": "billed-at-bound;unsettled"}) == [
        ("priced", Decimal(0), True),
        ("unpriced", None, None),
    ]


def test_what_no_provider_saw_has_no_price_and_lacks_none() -> None:
    denied = {**_SOL, "x_Kind": "bucket", "x_Requests": 3, "x_Succeeded": 0, "x_Remarks": "not-sent"}
    assert priced(TokenPrices(), denied) == [(None, None, None)]


def test_audio_by_the_second_too() -> None:
    call: dict[str, Any] = {"gen_ai_provider_name": "groq", "gen_ai_request_model": "whisper-large-v3"}
    call |= {meter_column("audio_seconds"): Decimal(60)}
    found = priced(TokenPrices(), call, {**call, "x_Remarks": "unread-count"})
    assert [(status, estimated) for status, _, estimated in found] == [("priced", False), ("priced", True)]
    assert found[0][1] == found[1][1]


def test_capacity_is_unpriced_and_cached_input_without_a_price_an_estimate() -> None:
    vertex = {"gen_ai_provider_name": "google", "gen_ai_request_model": "gemini-2.5-flash", meter_column("input"): 10}
    mistral = {"gen_ai_provider_name": "mistral", "gen_ai_request_model": "mistral-large-latest"}
    assert priced(
        TokenPrices(),
        {**vertex, "x_PriceContext": "traffic_type=provisioned_throughput"},
        {**mistral, meter_column("cache_read"): 1_000_000},
        {**mistral, meter_column("input"): 1_000_000},
    ) == [("unpriced", None, None), ("priced", Decimal(2), True), ("priced", Decimal(2), False)]


def test_agreed_prices_and_uplifts_hold_in_the_table(tmp_path: Path) -> None:
    path = tmp_path / "agreed.csv"
    path.write_text(
        "provider,model,meter,unit_price,per,when,multiplier\n"
        "openai,gpt-5,input,1.00,1000000,,\nopenai,*,tokens,,,region=eu,1.1\n",
        encoding="utf-8",
    )
    call = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "gpt-5", meter_column("input"): 1_000_000}
    contexts = (None, "processing=batch", "region=eu")
    book = TokenPrices([read_contract(path)])
    assert priced(book, *({**call, "x_PriceContext": context} for context in contexts)) == [
        ("priced", Decimal(1), False),
        ("priced", Decimal("0.625"), True),
        ("priced", Decimal("1.1"), False),
    ]
