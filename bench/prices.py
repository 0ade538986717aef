"""Pricing calls: the engine, and one by one Outlay, ``genai_prices.calc_price`` and LiteLLM's ``cost_per_token``.

The same calls in one run, one process each, one after another (``bench/price_peers.py``). LiteLLM is measured where
``--litellm-python`` names the Python of an environment that has it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from price_peers import rate

from outlay.prices.token_table import price_requests
from outlay.prices.tokens import TokenPrices

MODELS = [
    ("openai", "gpt-5.6-sol"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-flash"),
    ("deepseek", "deepseek-v4-pro"),
]
METERS = [
    "input",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "output_reasoning",
    "web_searches",
]
FIRST = datetime(2026, 6, 1)


def requests_sql(rows: int) -> str:
    """Synthetic calls: four models, six months, a seventh of them batch, mostly cached prompts."""
    providers, models = ([pair[i] for pair in MODELS] for i in (0, 1))
    return f"""CREATE TABLE requests AS SELECT i, {providers}[1 + i % 4] AS provider, {models}[1 + i % 4] AS model,
        CASE WHEN i % 7 = 0 THEN 'processing=batch' ELSE '' END AS context,
        TIMESTAMP '{FIRST}' + INTERVAL ((i * 7919) % 15000000) SECOND AS at,
        (hash(i) % 5000)::BIGINT AS input, (hash(i + 1) % 20000)::BIGINT AS cache_read,
        0::BIGINT AS cache_write, 0::BIGINT AS cache_write_5m, 0::BIGINT AS cache_write_1h,
        (hash(i + 3) % 2000)::BIGINT AS output,
        (hash(i + 4) % 500)::BIGINT AS output_reasoning, 0::BIGINT AS web_searches,
        (input + cache_read + cache_write)::BIGINT AS input_tokens
        FROM range({rows}) AS t(i)"""


def main() -> None:
    """Measure and print, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--few", type=int, default=10_000, help="calls for what goes one by one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--litellm-python", help="the Python of an environment that has litellm")
    options = parser.parse_args()
    connection = duckdb.connect(config={"threads": options.threads})
    connection.execute(requests_sql(options.rows))
    book = TokenPrices()
    started = time.perf_counter()
    sql = price_requests(connection, "requests", book, METERS)
    cells_s = time.perf_counter() - started
    made = "CREATE OR REPLACE TABLE priced AS"
    engine = rate(lambda: connection.execute(f"{made} {sql}"), options.rows, options.runs)
    copy = rate(lambda: connection.execute(f"{made} SELECT * FROM requests"), options.rows, options.runs)

    connection.execute(f"{made} {sql}")
    calls = few(connection, options.few)
    connection.close()
    pythons = {"outlay": sys.executable, "genai_prices": sys.executable}
    pythons |= {"litellm": options.litellm_python} if options.litellm_python else {}
    rates, equal = {}, {}
    for peer, python in pythons.items():
        told = apart(peer, python, calls, options.runs)
        rates[peer] = told["rates"]
        # A float sum of LiteLLM's is the same price if it is the same to a billionth of a dollar.
        equal[peer] = sum(
            same(cost, call["cost"], exact=peer != "litellm") for cost, call in zip(told["costs"], calls, strict=True)
        )
    peers = [peer for peer in rates if peer != "outlay"]
    print(
        json.dumps(
            {
                "rows": options.rows,
                "threads": options.threads,
                "load_average": os.getloadavg(),
                "cells_s": cells_s,
                "until": str(FIRST + timedelta(seconds=15_000_000)),
                "engine": engine,
                "engine_copying_only": copy,
                "one_by_one": rates,
                "engine_over_peer_wall": {peer: engine["per_wall_s"] / rates[peer]["per_wall_s"] for peer in peers},
                "engine_over_peer_cpu": {peer: engine["per_cpu_s"] / rates[peer]["per_cpu_s"] for peer in peers},
                "equal_to_the_engine": {peer: f"{count} of {len(calls)}" for peer, count in equal.items()},
            },
            indent=2,
        )
    )


def few(connection: duckdb.DuckDBPyConnection, count: int) -> list[dict[str, Any]]:
    """The first calls of the priced table, for those who price one by one."""
    names = ("provider", "model", "context", "at", "input", "cache_read", "output", "output_reasoning", "cost")
    rows = connection.execute(
        f"SELECT {', '.join(names)} FROM priced WHERE i < {count} ORDER BY i".replace(" at,", ' "at",')
    ).fetchall()
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [
        {**one, "at": one["at"].isoformat(), "cost": str(one["cost"]), "context": ctx(one["context"])} for one in found
    ]


def apart(peer: str, python: str, calls: list[dict[str, Any]], runs: int) -> dict[str, Any]:
    """One peer in a process of its own, after whatever ran before has ended."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.json"
        path.write_text(json.dumps(calls), encoding="utf-8")
        done = subprocess.run(
            [python, str(Path(__file__).with_name("price_peers.py")), peer, str(path), str(runs)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def same(cost: str | None, engine: str, *, exact: bool) -> bool:
    """Whether a peer's cost is the engine's."""
    if cost is None:
        return engine == "None"
    return Decimal(cost) == Decimal(engine) if exact else abs(Decimal(cost) - Decimal(engine)) < Decimal("1e-9")


def ctx(text: str) -> dict[str, str]:
    """``processing=batch`` as a context."""
    return dict(pair.split("=") for pair in text.split(";") if pair)


if __name__ == "__main__":
    main()
