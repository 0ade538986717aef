"""Demand by the hour from the bill: GPU-hours that were used, whoever served them.

    GPUs in an hour = sum of x_GpuHours of the usage rows of that hour

What was used on demand and what commitments served is demand alike: a commitment that ends leaves its demand behind.
No demand, and told apart: spot (it is bought because it may be taken away), corrections and refunds of either sign
(money moves; whether the machine ran is not said), on-demand usage that cost nothing (no commitment makes it cheaper),
and the unused part of commitments (it used nothing; it has no GPU-hours to begin with).

The trap is the hour without a row. It is zero only where the bill speaks of it: the source has other rows on that day,
and the hour lies between its first and its last. A day without any row is unknown. Where several sources tell a pool,
an hour is known when all of them speak of it; else a bill that is not loaded yet would look like a fall in demand. A
row of a month says that its source speaks of that month only where the source has no finer rows in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from outlay.errors import UsageError
from outlay.ledger.engine.duckdb import literal
from outlay.money import percent, share
from outlay.optimize.commitments.demand import Demand, gpus
from outlay.optimize.commitments.ledger_pools.hours import (
    HOUR_SQL,
    LONGEST,
    hour_of,
    laid,
    moment_of,
    nanos_sql,
    span_sql,
)
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN, LeftOut, Part, Pool, PoolDemand, Rate
from outlay.prices.gpus import provider_slug

if TYPE_CHECKING:
    import duckdb

__all__ = ["COST_SQL", "KIND_SQL", "PRICE_DAYS", "USAGE_SQL", "bill_demand"]

PRICE_DAYS = 30
"""Days before the end of the bill whose rows say what a GPU-hour costs now."""

_COUNTED = ("on_demand", "committed", "other")
_WHY = {
    "spot": "spot usage: bought because it may be taken away, no demand that a commitment serves",
    "correction": "corrections and refunds: money that moves, not machines that ran",
    "free": "on-demand usage that cost nothing: no commitment makes it cheaper",
    "unmeasured": "usage that names a GPU but has no GPU-hours: an unknown machine, or CPU and memory sold apart",
    "too-long": f"rows of more than {LONGEST} hours: they say nothing of an hour",
}
_START, _END = '"ChargePeriodStart"', '"ChargePeriodEnd"'
COST_SQL = 'coalesce("EffectiveCost", "BilledCost")'
_SPAN = span_sql(_START, _END)
KIND_SQL = f"""CASE WHEN coalesce("x_GpuHours", 0) = 0 THEN 'unmeasured'
    WHEN "ChargeClass" = 'Correction' OR "x_GpuHours" < 0 OR {COST_SQL} < 0 THEN 'correction'
    WHEN "PricingCategory" = 'Dynamic' THEN 'spot'
    WHEN {_SPAN} > {LONGEST} THEN 'too-long'
    WHEN "CommitmentDiscountStatus" = 'Used' OR "PricingCategory" = 'Committed' THEN 'committed'
    WHEN {COST_SQL} = 0 THEN 'free'
    WHEN "PricingCategory" = 'Standard' AND "CommitmentDiscountId" IS NULL AND {COST_SQL} > 0 THEN 'on_demand'
    ELSE 'other' END"""
USAGE_SQL = (
    "\"ChargeCategory\" = 'Usage' AND \"CommitmentDiscountStatus\" IS DISTINCT FROM 'Unused' "
    "AND \"CapacityReservationStatus\" IS DISTINCT FROM 'Unused' "
    'AND ("x_GpuHours" IS NOT NULL OR "x_GpuType" IS NOT NULL)'
)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Spoken:
    """The hours that a source speaks of: days, and the first and the last hour (exclusive)."""

    days: frozenset[int]
    first: int
    end: int

    def mask(self, first: int, length: int) -> NDArray[np.bool_]:
        hours = np.arange(first, first + length)
        known = np.isin(hours // 24, np.fromiter(self.days, dtype=np.int64))
        return known & (hours >= self.first) & (hours < self.end)


def bill_demand(
    connection: duckdb.DuckDBPyConnection,
    version: int | None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[tuple[PoolDemand, ...], tuple[LeftOut, ...]]:
    """Pools of the view ``costs``, and what it has of pools that have no demand. Raises where numbers are absurd."""
    _gather(connection, _overlapping(since, until))
    pools = [Pool(*row) for row in connection.execute(_POOLS).fetchall()]
    if not pools:
        return (), tuple(_left_out(connection).get(None, ()))
    # Rows beside the window say how far a source speaks: a window must not end where its last row of a GPU does.
    beside = timedelta(hours=LONGEST)
    spoken = _spoken(connection, _overlapping(since and since - beside, until and until + beside))
    first = max([min(one.first for one in spoken.values()), *([hour_of(since)] if since else [])])
    end = min([max(one.end for one in spoken.values()), *([hour_of(until)] if until else [])])
    if end <= first:
        return (), tuple(_left_out(connection).get(None, ()))
    hours = _Hours(connection, first, end - first)
    rates = _rates(connection, moment_of(end))
    left = _left_out(connection)
    found: list[PoolDemand] = []
    for number, pool in enumerate(pools):
        told = left.get(number, ())
        found += _pool(
            connection, number, pool, hours=hours, spoken=spoken, rates=rates, left_out=told, version=version
        )
    return tuple(found), tuple(left.get(None, ()))


def _overlapping(since: datetime | None, until: datetime | None) -> str:
    """The condition that a row reaches into ``[since, until)``."""
    conditions = [
        *([f"{_START} < TIMESTAMP '{until}'"] if until else []),
        *([f"coalesce({_END}, {_START} + INTERVAL 1 DAY) > TIMESTAMP '{since}'"] if since else []),
    ]
    return " AND ".join(conditions) or "true"


_POOLS = """SELECT gpu, region, workload FROM pool_slots GROUP BY ALL ORDER BY min(pool)"""


def _gather(connection: duckdb.DuckDBPyConnection, window: str) -> None:
    """``pool_rows``: the rows summed by all that matters; ``pool_slots``: pools and their parts, numbered."""
    counted = ", ".join(map(literal, _COUNTED))
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE pool_rows AS SELECT coalesce("x_GpuType", '{UNKNOWN}') AS gpu,
            coalesce("RegionId", '{UNKNOWN}') AS region, coalesce("x_WorkloadKind", '{UNKNOWN}') AS workload,
            "ServiceProviderName" AS provider, "x_InstanceType" AS instance_type, "x_Source" AS source,
            {KIND_SQL} AS kind, "CommitmentDiscountId" IS NOT NULL AND "CommitmentDiscountStatus" = 'Used' AS named,
            "BillingCurrency" AS currency, {HOUR_SQL.format(_START)} AS hour, {_SPAN} AS span,
            sum("x_GpuHours") AS gpu_hours, sum({COST_SQL}) AS cost, count(*) AS rows
            FROM costs WHERE {USAGE_SQL} AND {window} GROUP BY ALL"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE pool_slots AS SELECT *, row_number() OVER (ORDER BY pool, provider,
            instance_type) - 1 AS slot FROM (SELECT DISTINCT gpu, region, workload, provider, instance_type,
            dense_rank() OVER (ORDER BY gpu, region, workload) - 1 AS pool FROM pool_rows
            WHERE kind IN ({counted}))"""
    )


class _Hours:
    """The hours of all parts from ``first`` on: used, served by commitments, and by commitments with a name."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, first: int, length: int) -> None:
        self.first, self.length = first, length
        self.slots = connection.execute(
            "SELECT slot, pool, provider, instance_type FROM pool_slots ORDER BY slot"
        ).fetchall()
        self.all, self.committed, self.named = (
            self._of(connection, where)
            for where in (
                f"kind IN ({', '.join(map(literal, _COUNTED))})",
                "kind = 'committed'",
                "kind = 'committed' AND named",
            )
        )

    def _of(self, connection: duckdb.DuckDBPyConnection, where: str) -> NDArray[np.int64]:
        columns: Mapping[str, Any] = connection.execute(
            f"""SELECT s.slot, r.hour, r.span, {nanos_sql("sum(r.gpu_hours)")} AS nanos
                FROM pool_rows r JOIN pool_slots s ON r.gpu = s.gpu AND r.region = s.region AND r.workload = s.workload
                AND r.provider IS NOT DISTINCT FROM s.provider
                AND r.instance_type IS NOT DISTINCT FROM s.instance_type WHERE {where} GROUP BY ALL"""
        ).fetchnumpy()
        if np.ma.is_masked(columns["nanos"]):
            raise UsageError(
                "the bill has more than 999,999,999 GPU-hours of one machine type in an hour.",
                where="costs",
                hint="A PricingQuantity must be wrong: look with `outlay query gpu_hours --by instance_type`.",
            )
        return laid(columns, len(self.slots), self.first, self.length)

    def of(self, pool: int) -> list[tuple[int, str | None, str | None]]:
        """Slot, provider and instance type of a pool's parts."""
        return [(slot, provider_slug(name) or name, kind) for slot, number, name, kind in self.slots if number == pool]


def _spoken(connection: duckdb.DuckDBPyConnection, window: str) -> dict[str, _Spoken]:
    """What each source that tells a pool speaks of, by all of its rows, not only those of GPUs."""
    last = f"greatest(coalesce({_END}, {_START} + INTERVAL 1 DAY) - INTERVAL 1 MICROSECOND, {_START})"
    rows = connection.execute(
        f"""SELECT "x_Source", "x_BillingMonth", {HOUR_SQL.format(_START)} // 24 AS first_day,
            {HOUR_SQL.format(last)} // 24 AS last_day, {_SPAN} > 24 AS wide,
            min({HOUR_SQL.format(_START)}) AS first_hour,
            max({HOUR_SQL.format(_START)} + {_SPAN}) AS end_hour,
            bool_or("x_GpuHours" > 0 AND {USAGE_SQL}) AS own
            FROM costs WHERE {window} AND {_SPAN} <= {LONGEST}
            AND "x_Source" IN (SELECT DISTINCT source FROM pool_rows) GROUP BY ALL"""
    ).fetchall()
    fine = {(source, month) for source, month, _, _, wide, *_ in rows if not wide}
    days: dict[str, set[int]] = defaultdict(set)
    edges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for source, month, first_day, last_day, wide, first, end, own in rows:
        if not wide or own or (source, month) not in fine:
            days[source].update(range(first_day, last_day + 1))
            edges[source].append((first, end))
    return {
        source: _Spoken(frozenset(days[source]), min(one[0] for one in at), max(one[1] for one in at))
        for source, at in edges.items()
    }


def _pool(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    pool: Pool,
    *,
    hours: _Hours,
    spoken: Mapping[str, _Spoken],
    rates: Mapping[tuple[int, str], Rate],
    left_out: Sequence[LeftOut],
    version: int | None,
) -> Iterable[PoolDemand]:
    """The pool, unless nothing of it lies in the window."""
    counted = ", ".join(map(literal, _COUNTED))
    rows, widest, spread, sources = connection.execute(
        f"""SELECT sum(rows)::BIGINT, max(span), coalesce(sum(gpu_hours) FILTER (WHERE span > 1), 0),
            list_sort(list(DISTINCT source)) FROM pool_rows WHERE kind IN ({counted}) AND gpu = ? AND region = ?
            AND workload = ?""",
        [pool.gpu, pool.region, pool.workload],
    ).fetchall()[0]
    known = np.logical_and.reduce([spoken[name].mask(hours.first, hours.length) for name in sources])
    at = np.flatnonzero(known)
    if not len(at):
        return
    cut, parts = slice(int(at[0]), int(at[-1]) + 1), hours.of(number)
    total = hours.all[[slot for slot, _, _ in parts]].sum(axis=0)
    lost = int(total[~known].sum())
    total[~known] = 0
    notes, more = [], list(left_out)
    if lost:
        why = "hours of which one of the pool's sources says nothing: unknown, not the part that the others tell"
        more.append(LeftOut("gap", 0, gpus(lost), why, pool.name))
        notes.append(f"{gpus(lost):f} GPU-hours lie in {why} ({', '.join(sources)}).")
    if widest > 1:
        used = gpus(int(total.sum()))
        part = percent(min(share(spread, used), Decimal(1))) if used else "All"
        notes.append(
            f"{part} of its GPU-hours are billed in rows of "
            f"up to {widest} hours and spread evenly over them: peaks inside them are not seen."
        )
    first = moment_of(hours.first + cut.start)
    yield PoolDemand(
        pool=pool,
        demand=Demand(pool.name, first, total[cut], known[cut], f"the bill (costs, version {version})"),
        basis="bill",
        parts=tuple(
            Part(
                provider,
                instance_type,
                *(np.where(known, found[slot], 0)[cut] for found in (hours.all, hours.committed, hours.named)),
            )
            for slot, provider, instance_type in parts
        ),
        on_demand=rates[number, "on_demand"],
        committed=rates[number, "committed"],
        rows=rows,
        table="costs",
        version=version,
        sources=tuple(sources),
        left_out=tuple(more),
        widest=widest,
        spread=spread,
        notes=tuple(notes),
    )


def _rates(connection: duckdb.DuckDBPyConnection, end: datetime) -> dict[tuple[int, str], Rate]:
    """What each pool's GPU-hours cost on demand, and with commitments, in the last days before ``end``."""
    since = end - PRICE_DAYS * _DAY
    found: dict[tuple[int, str], list[tuple[str, Decimal, Decimal, int]]] = defaultdict(list)
    for pool, kind, *told in connection.execute(
        f"""SELECT s.pool, r.kind, r.currency, sum(r.cost), sum(r.gpu_hours), sum(r.rows)::BIGINT FROM pool_rows r
            JOIN (SELECT DISTINCT pool, gpu, region, workload FROM pool_slots) s USING (gpu, region, workload)
            WHERE r.kind IN ('on_demand', 'committed') AND r.cost IS NOT NULL AND r.hour < {hour_of(end)}
            AND r.hour + r.span > {hour_of(since)} GROUP BY ALL ORDER BY ALL"""
    ).fetchall():
        found[pool, kind].append(tuple(told))
    pools = connection.execute("SELECT DISTINCT pool FROM pool_slots").fetchall()
    return {
        (pool, kind): _rate(found.get((pool, kind), []), words, since, end)
        for (pool,) in pools
        for kind, words in (("on_demand", "on demand"), ("committed", "by commitments"))
    }


def _rate(told: Sequence[tuple[str, Decimal, Decimal, int]], words: str, since: datetime, end: datetime) -> Rate:
    if not told:
        why = f"no GPU-hours {words} in the {PRICE_DAYS} days to {end:%Y-%m-%d}"
        return Rate(None, None, None, Decimal(0), 0, since, end, why)
    hours, rows = sum((one[2] for one in told), Decimal(0)), sum(one[3] for one in told)
    if len(told) > 1:
        each = ", ".join(f"{share(cost, used):f} {currency}" for currency, cost, used, _ in told)
        return Rate(None, None, None, hours, rows, since, end, f"billed in several currencies, never added: {each}")
    currency, cost, _, _ = told[0]
    return Rate(share(cost, hours), currency, cost, hours, rows, since, end)


def _left_out(connection: duckdb.DuckDBPyConnection) -> dict[int | None, list[LeftOut]]:
    """By the number of the pool; None for pools without demand."""
    found: dict[int | None, list[LeftOut]] = defaultdict(list)
    for pool, reason, rows, hours, *name in connection.execute(
        f"""SELECT s.pool, r.kind, sum(r.rows)::BIGINT, sum(r.gpu_hours), r.gpu, r.region, r.workload FROM pool_rows r
            LEFT JOIN (SELECT DISTINCT pool, gpu, region, workload FROM pool_slots) s USING (gpu, region, workload)
            WHERE r.kind NOT IN ({", ".join(map(literal, _COUNTED))}) GROUP BY ALL ORDER BY ALL"""
    ).fetchall():
        found[pool].append(LeftOut(reason, rows, hours or None, _WHY[reason], Pool(*name).name))
    return found
