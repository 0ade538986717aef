"""The engine prices a table exactly as ``TokenPrices.price`` prices each of its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.ledger.meters import FEE_METERS, INPUT_METERS, METERS
from outlay.prices import genai
from outlay.prices.contract import read_contract
from outlay.prices.token_table import flat_table, price_requests
from outlay.prices.tokens import TokenPrices, context_text
from outlay.prices.usage import Quantity, Remark, Usage, normalise
from tests.prices.true_source import true_source
from tests.shared import shared

_METERS = [meter for meter, unit in METERS.items() if unit != "second"]
_TIMES = [datetime(2025, 5, 1), datetime(2026, 8, 20, 23, 59), datetime(2026, 8, 21), datetime(2026, 11, 1, 3, 30)]
_CONTEXTS: list[dict[str, str]] = [{}, {"processing": "batch"}, {"service_tier": "flex"}]
Row = tuple[str, str, dict[str, str], datetime, Usage]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


def by_engine(
    connection: duckdb.DuckDBPyConnection, rows: list[Row], book: TokenPrices
) -> list[tuple[Decimal | None, str | None, str, bool]]:
    meters = sorted({meter for row in rows for meter in row[4].meters})
    columns: dict[str, Any] = {
        "id": range(len(rows)),
        "provider": [row[0] for row in rows],
        "model": [row[1] for row in rows],
        "context": [context_text({**row[4].context, **row[2]}) for row in rows],
        "at": pa.array([row[3] for row in rows], pa.timestamp("us")),
        "input_tokens": pa.array([row[4].input_tokens for row in rows], pa.int64()),
        "remarks": pa.array([";".join(remark.code for remark in row[4].remarks) for row in rows], pa.string()),
        **{meter: pa.array([row[4].meters.get(meter) for row in rows], pa.int64()) for meter in meters},
    }
    connection.register("requests_arrow", pa.table(columns))
    connection.execute("CREATE OR REPLACE TEMP TABLE requests AS SELECT * FROM requests_arrow")
    sql = price_requests(connection, "requests", book, meters, "contains(r.remarks, 'unread-count')")
    return connection.execute(f"SELECT cost, currency, status, estimated FROM ({sql}) ORDER BY id").fetchall()


def one_by_one(rows: list[Row], book: TokenPrices) -> list[tuple[Decimal | None, str | None, str, bool]]:
    priced = [book.price(usage, provider, model, at, context) for provider, model, context, at, usage in rows]
    return [(one.cost, one.currency, one.status, one.estimated) for one in priced]


def test_equal_on_every_real_payload(connection: duckdb.DuckDBPyConnection) -> None:
    """All but those with inner calls, which are rows of their own in a table."""
    entries = json.loads(shared("data/provider_usage/genai_prices_usages_dataset.json").read_text(encoding="utf-8"))
    rows: list[Row] = []
    for number, entry in enumerate(entries):
        provider, _, model = true_source(entry["body"])
        usage = normalise(provider, entry["body"])
        if not usage.inner:
            rows.append((provider, model, _CONTEXTS[number % 3], _TIMES[number % 4], usage))
    assert len(rows) == 1572
    book = TokenPrices()
    assert by_engine(connection, rows, book) == one_by_one(rows, book)


_CALLS = st.tuples(
    st.sampled_from(
        [
            ("openai", "gpt-5.6-sol"),
            ("anthropic", "claude-sonnet-4-5"),
            ("deepseek", "deepseek-v4-pro"),
            ("azure", "gpt-5"),
            ("google", "gemini-2.5-pro"),
            ("aws", "anthropic.claude-3-opus-20240229-v1:0"),
            ("acme", "own"),
            ("openai", "nothing-like-it"),
        ]
    ),
    st.sampled_from(
        [
            *_CONTEXTS,
            {"service_tier": "priority", "processing": "batch"},
            {"inference_geo": "us"},
            {"inference_geo": "us", "processing": "batch"},
            {"traffic_type": "provisioned_throughput"},
        ]
    ),
    st.one_of(st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)), st.sampled_from(_TIMES)),
    # A call that counts nothing but itself is left out: what it costs without a price of its own is a matter of taste.
    st.dictionaries(st.sampled_from(_METERS), st.integers(1, 300_000), min_size=1, max_size=5).filter(
        lambda counts: set(counts) != {"requests"}
    ),
    st.booleans(),
)
_CONTRACT = """\
provider,model,meter,unit_price,per,currency,when,input_tokens_above,time_from,time_to,valid_from,valid_to,multiplier
openai,gpt-5.6-sol,input,3,1000000,,,,,,2026-03-01T12:30:00,2026-09-15,
openai,gpt-5.6-sol,output,9,1000000,,processing=batch,,,,,,
openai,gpt-5.6-sol,output,20,1000000,,,,,,,,
openai,*,cache_read,0.1,1000000,,,1000,22:00,06:00,,,
openai,*,cache_write_5m,,,,service_tier=flex,,,,,2026-10-01,0.5
anthropic,*,tokens,,,,inference_geo=us,,,,2026-02-01,,1.1
anthropic,*,*,,,,,,,,,,0.9
anthropic,claude-sonnet-4-5,input,2.5,1000000,,,,,,,,
anthropic,claude-sonnet-4-5,output,12,1000000,,inference_geo=us,,,,,,
google,*,input,1,1000000,,*,,,,,,
google,*,output,9,1000000,,,200000,,,,,
google,*,output,7,1000000,,,,,,,,
google,*,cache_read,0,1000000,,traffic_type=provisioned_throughput,,,,,,
acme,own,input,1,1000000,EUR,,,,,,,
acme,own,output,2,1000000,EUR,,200000,,,,,
acme,own,web_searches,0.01,,USD,,,,,,,
acme,*,*,,,,processing=batch,,,,,,0.5
"""


@settings(max_examples=60)
@given(st.lists(_CALLS, min_size=1, max_size=40), st.booleans())
def test_equal_on_anything(
    calls: list[tuple[tuple[str, str], dict[str, str], datetime, dict[str, int], bool]], own: bool
) -> None:
    rows: list[Row] = []
    for (provider, model), context, at, counts, unread in calls:
        known: dict[str, Quantity] = dict(counts)
        size = sum(count for meter, count in counts.items() if meter in INPUT_METERS)
        remarks = (Remark("unread-count", "A count is not known."),) if unread else ()
        rows.append((provider, model, context, at, Usage("made up", size, 0, 0, 0, 0, known, {}, remarks)))
    with duckdb.connect() as connection:
        book = _with_contract() if own else TokenPrices()
        assert by_engine(connection, rows, book) == one_by_one(rows, book)


def _with_contract() -> TokenPrices:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "contract.csv"
        path.write_text(_CONTRACT, encoding="utf-8")
        read = read_contract(path)
    assert read.problems == ()
    return TokenPrices([read])


def test_a_call_is_priced_where_what_it_counts_is_in_one_currency(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A contract in euros for some meters of a listed model, and the list's dollars for the others."""
    lines = [*_CONTRACT.splitlines()[:1], "openai,gpt-4o,input,1,1000000,EUR,,,,,,,"]
    path = tmp_path / "contract.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    counts: list[dict[str, Quantity]] = [{"input": 10}, {"output": 10}, {"input": 10, "output": 10}, {"requests": 1}]
    rows: list[Row] = [
        ("openai", "gpt-4o", {}, datetime(2026, 10, 1), Usage("made up", 10, 0, 0, 0, 0, one, {})) for one in counts
    ]
    book = TokenPrices([read_contract(path)])
    found = by_engine(connection, rows, book)
    assert found == one_by_one(rows, book)
    assert [(cost is None, currency) for cost, currency, *_ in found] == [
        (False, "EUR"), (False, "USD"), (True, None), (False, "USD")
    ]  # fmt: skip


def test_the_flat_table_is_the_list() -> None:
    rows = genai.model_rows("openai", "gpt-5")
    table = flat_table(rows)
    assert table.num_rows == len(rows)
    assert table.column("unit_price").to_pylist() == [row.unit_price for row in rows]
    assert set(table.column("when").to_pylist()) >= {"", "processing=batch", "service_tier=flex"}
    hours = flat_table(genai.model_rows("deepseek", "deepseek-v4-pro"))
    assert time(1) in hours.column("time_from").to_pylist()


def test_a_multiplier_has_no_unit_price_in_the_flat_table(tmp_path: Path) -> None:
    path = tmp_path / "contract.csv"
    path.write_text("provider,model,meter,multiplier,when\nopenai,*,tokens,1.1,*\n", encoding="utf-8")
    (row,) = flat_table(read_contract(path).rows).to_pylist()
    assert (row["unit_price"], row["multiplier"], row["when"]) == (None, Decimal("1.1"), "*")


def test_a_context_is_written_one_way() -> None:
    assert context_text({"service_tier": "Flex", "processing": "batch"}) == "processing=batch;service_tier=flex"
    assert context_text({"service_tier": "standard"}) == ""


@pytest.mark.parametrize("meter", ["audio_seconds", "inptu"])
def test_what_a_table_can_not_price_is_an_error(meter: str, connection: duckdb.DuckDBPyConnection) -> None:
    assert "audio_seconds" in FEE_METERS
    with pytest.raises(UsageError, match=meter):
        price_requests(connection, "requests", TokenPrices(), [meter])
