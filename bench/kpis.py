"""Every KPI over ten million requests, beside one hand-written statement over the same rows. See README.md."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from outlay.config import Settings
from outlay.ledger.engine.duckdb import identifier, literal, session
from outlay.ledger.facts import Arrivals, merge, write_arrivals
from outlay.ledger.store import Ledger, Scope
from outlay.ledger.tables.requests import REQUESTS
from outlay.metrics.answer import answer
from outlay.metrics.kpis import kpi_report
from outlay.metrics.query import Query

TAGS = Settings().tags.required
BY = ("team", "model")


def fill(ledger: Ledger, rows: int) -> None:
    """``rows`` calls of October 2026: twelve teams, eight models, durations, tokens, prices."""
    folder = ledger.facts(REQUESTS)
    folder.create(REQUESTS.columns(TAGS))
    known = {
        "start_time": "TIMESTAMP '2026-10-01' + to_microseconds(CAST(i::HUGEINT * 2678400000000 // {rows} AS BIGINT))",
        "x_Kind": "'call'",
        "x_Requests": "1",
        "x_Succeeded": "CASE WHEN h % 50 = 0 THEN 0 ELSE 1 END",
        "gen_ai_operation_name": "'chat'",
        "gen_ai_provider_name": "'openai'",
        "gen_ai_response_model": "'gpt-4o-mini-' || (h % 8)",
        "gen_ai_usage_input_tokens": "100 + h % 4000",
        "gen_ai_usage_cache_read_input_tokens": "h % 100",
        "gen_ai_usage_output_tokens": "10 + h % 500",
        "x_Meter_input": "h % 4000",
        "x_Meter_output": "10 + h % 500",
        "x_DurationSeconds": "CAST((200000 + h % 9000000) AS DECIMAL(18,0)) / 1000000",
        "x_Cost": "CAST(h % 1000000 AS DECIMAL(18,0)) * 0.000000001",
        "x_CostCurrency": "'USD'",
        "x_CostEstimated": "false",
        "x_PriceStatus": "'priced'",
        "x_PriceVersion": "'bench'",
        "x_Tag_team": "'team-' || (h % 12)",
        "x_RowId": "format('{{:016x}}', h)",
        "x_Format": "'otlp'",
        "x_SourceFile": "'bench'",
        "x_LoadId": "'bench'",
        "x_Source": "'bench'",
        "x_Month": "'2026-10'",
    }
    fields = ", ".join(
        f"CAST({known.get(c.name, 'NULL').format(rows=rows)} AS {c.sql_type}) AS {identifier(c.name)}"
        for c in REQUESTS.columns(TAGS)
    )
    with session() as connection:
        source = f"(SELECT {fields} FROM (SELECT range AS i, hash(range) % 1000000007 AS h FROM range({rows})))"
        files = write_arrivals(connection, folder, source, "bench")
        connection.execute('CREATE TABLE identities ("x_Source" VARCHAR, "x_RowId" VARCHAR)')
        connection.execute(
            "CREATE TABLE windows (source VARCHAR, format VARCHAR, report VARCHAR, since TIMESTAMP, until TIMESTAMP)"
        )
        scopes = frozenset({Scope("bench", "2026-10")})
        arrivals = Arrivals(REQUESTS, "bench", files, "identities", "windows", scopes, frozenset({"bench"}))
        merge(connection, folder, arrivals, {"load_id": "bench", "files": [], "replaced": []}, again=True)


def hand_written(ledger: Ledger) -> int:
    """What all of it comes to in one statement over the files."""
    folder = ledger.facts(REQUESTS)
    listed = ", ".join(literal(str(folder.path / file.path)) for file in folder.live())
    with session() as connection:
        return len(
            connection.execute(
                f"""SELECT "x_Tag_team", gen_ai_response_model, "x_CostCurrency", sum("x_Requests"), sum("x_Succeeded"),
                sum(gen_ai_usage_input_tokens), sum(gen_ai_usage_cache_read_input_tokens),
                sum(gen_ai_usage_output_tokens), sum("x_Cost"), quantile_cont("x_DurationSeconds", 0.95)
                FROM read_parquet([{listed}]) GROUP BY ALL"""
            ).fetchall()
        )


def timed(run: Callable[[], object], runs: int) -> float:
    """Median wall seconds."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    """Print each KPI's time, that of the whole command, and of the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--data", type=Path, help="keep the ledger here")
    given = parser.parse_args()
    data = given.data or Path(tempfile.mkdtemp(prefix="outlay-bench-"))
    ledger = Ledger(data / f"requests-{given.rows}")
    if not ledger.facts(REQUESTS).exists():
        print("filling ...", file=sys.stderr)
        fill(ledger, given.rows)
    settings = Settings()
    print(f"load average {os.getloadavg()[0]:.1f}")
    peer = timed(lambda: hand_written(ledger), given.runs)
    print(f"one hand-written statement           {peer:6.2f} s")
    for name in (
        "usage_cost_per_1k_tokens",
        "cost_per_request",
        "successful_requests",
        "p95_latency",
        "latency_per_dollar",
    ):
        seconds = timed(lambda name=name: answer(ledger, Query((name,), BY), settings), given.runs)
        print(f"{name:<36} {seconds:6.2f} s  ratio {seconds / peer:5.2f}")
    whole = timed(lambda: kpi_report(ledger, settings, by=BY), given.runs)
    print(f"all KPIs and what stands beside them {whole:6.2f} s  ratio {whole / peer:5.2f}")


if __name__ == "__main__":
    main()
