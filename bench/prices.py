"""Pricing calls: the engine, one call at a time, and ``genai_prices.calc_price``, on the same calls in one run."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from outlay.prices.token_table import price_requests
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise

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


def rate(work: Callable[[], object], count: int, runs: int) -> dict[str, float]:
    """Calls a second of wall and of CPU time: the median run, and the spread of wall time."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {
        "per_wall_s": count / statistics.median(walls),
        "slowest": count / max(walls),
        "fastest": count / min(walls),
        "per_cpu_s": count / statistics.median(cpus),
    }


def main() -> None:
    """Measure and print, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--few", type=int, default=10_000, help="calls for what goes one by one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
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
    few = connection.execute(
        f'SELECT provider, model, context, "at", input, cache_read, output, output_reasoning, cost FROM priced '
        f"WHERE i < {options.few} ORDER BY i"
    ).fetchall()
    ours = [(p, m, ctx(c), at, normalise(p, raw(i, r, o, t))) for p, m, c, at, i, r, o, t, _ in few]
    theirs = [
        (p, m, ctx(c), at, TheirUsage(input_tokens=i + r, cache_read_tokens=r, output_tokens=o + t))
        for p, m, c, at, i, r, o, t, _ in few
    ]
    costs: list[Decimal] = []
    single = rate(lambda: [book.price(u, p, m, at, c) for p, m, c, at, u in ours], len(ours), options.runs)

    def peer() -> None:
        costs[:] = [
            calc_price(u, m, provider_id=p, genai_request_timestamp=at, price_context=c).total_price
            for p, m, c, at, u in theirs
        ]

    calc = rate(peer, len(theirs), options.runs)
    equal = sum(cost == row[-1] for cost, row in zip(costs, few, strict=True))
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
                "one_by_one": single,
                "genai_prices.calc_price": calc,
                "engine_over_calc_price_wall": engine["per_wall_s"] / calc["per_wall_s"],
                "engine_over_calc_price_cpu": engine["per_cpu_s"] / calc["per_cpu_s"],
                "equal_to_calc_price": f"{equal} of {len(few)}",
            },
            indent=2,
        )
    )


def ctx(text: str) -> dict[str, str]:
    """``processing=batch`` as a context."""
    return dict(pair.split("=") for pair in text.split(";") if pair)


def raw(fresh: int, read: int, out: int, reasoning: int) -> dict[str, object]:
    """The call as OpenAI's chat API would report it, for every model alike."""
    return {
        "prompt_tokens": fresh + read,
        "prompt_tokens_details": {"cached_tokens": read},
        "completion_tokens": out + reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


if __name__ == "__main__":
    main()
