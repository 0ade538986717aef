"""Demand by the hour from telemetry: GPUs that somebody held, seen at work or not.

    GPUs in an hour = sum of x_AllocatedHours of the hour

An allocated card is demand though it idles: it was taken, and no one else could have it. Telemetry names no region and
no kind of workload, so its pools are ``H100/-/-``. An hour in which no GPU at all was sampled is a gap: a dead exporter
is not an empty cluster.

The trap is the card that two collectors see. The hours of one card are taken once, from the source that tells most of
them. The first and the last hour of telemetry count what was seen of them.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from outlay.optimize.commitments.demand import Demand, gpus
from outlay.optimize.commitments.ledger_pools.hours import HOUR_SQL, moment_of, nanos_sql
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN, LeftOut, Part, Pool, PoolDemand, Rate

if TYPE_CHECKING:
    import duckdb

__all__ = ["telemetry_demand"]

_NO_PRICE = Rate(None, None, None, Decimal(0), 0, None, None, "telemetry has no prices")


def telemetry_demand(
    connection: duckdb.DuckDBPyConnection,
    version: int | None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[PoolDemand, ...]:
    """Pools of the view ``gpu_usage``, one a type of GPU."""
    window = " AND ".join(
        [
            *([f"start_time < TIMESTAMP '{until}'"] if until else []),
            *([f"start_time >= TIMESTAMP '{since}'"] if since else []),
        ]
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE card_hours AS SELECT any_value(gpu) AS gpu, hour, card, max(held) AS held,
            sum(held) - max(held) AS again, sum(rows)::BIGINT AS rows, sum(seen) > 0 AS seen,
            list(DISTINCT source) AS sources
            FROM (SELECT coalesce(max("x_GpuType"), '{UNKNOWN}') AS gpu, {HOUR_SQL.format("start_time")} AS hour,
                "x_Card" AS card, "x_Source" AS source, sum("x_AllocatedHours") AS held, count(*) AS rows,
                sum(coalesce("x_Samples", 1)) AS seen FROM gpu_usage WHERE {window or "true"}
                GROUP BY hour, card, source)
            GROUP BY hour, card"""
    )
    columns: Any = connection.execute(
        f"""SELECT gpu, hour, {nanos_sql("sum(held)")} AS nanos, {nanos_sql("sum(again)")} AS again,
            sum(rows)::BIGINT AS rows FROM card_hours GROUP BY ALL"""
    ).fetchnumpy()
    seen = connection.execute("SELECT DISTINCT hour FROM card_hours WHERE seen").fetchnumpy()["hour"].astype(np.int64)
    if not len(seen):
        return ()
    first, length = int(seen.min()), int(seen.max() - seen.min()) + 1
    known = np.zeros(length, dtype=np.bool_)
    known[seen - first] = True
    told = dict(
        connection.execute(
            "SELECT gpu, list_sort(list(DISTINCT source)) FROM (SELECT gpu, unnest(sources) AS source FROM card_hours) "
            "GROUP BY gpu ORDER BY gpu"
        ).fetchall()
    )
    found = []
    for gpu, sources in told.items():
        rows = np.flatnonzero(columns["gpu"] == gpu)
        at = columns["hour"][rows].astype(np.int64) - first
        inside = (at >= 0) & (at < length)
        nanos = np.zeros(length, dtype=np.int64)
        np.add.at(nanos, at[inside], columns["nanos"][rows][inside].astype(np.int64))
        nanos[~known] = 0
        pool, none = Pool(gpu), np.zeros(length, dtype=np.int64)
        again = int(columns["again"][rows].astype(np.int64).sum())
        why = "hours of cards that several sources tell: counted once"
        found.append(
            PoolDemand(
                pool=pool,
                demand=Demand(pool.name, moment_of(first), nanos, known, f"telemetry (gpu_usage, version {version})"),
                basis="telemetry",
                parts=(Part(None, None, nanos, none, none),),
                on_demand=_NO_PRICE,
                committed=_NO_PRICE,
                rows=int(columns["rows"][rows].sum()),
                table="gpu_usage",
                version=version,
                sources=tuple(sources),
                left_out=(LeftOut("told-twice", 0, gpus(again), why, pool.name),) if again else (),
            )
        )
    return tuple(found)
