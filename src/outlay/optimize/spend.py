"""The evidence of a bill: what was spent, rolled up to what detectors look at.

Two passes over the rows. The first groups by SKU and gives the totals, and each distinct SKU is recognised once. The second keeps
only AI rows (and unused commitments) and rolls them up three ways in one scan:

- ``lines``: rows alike in SKU, price category, commitment, region, allocation tags and (for GPUs and provisioned throughput)
  resource; detectors claim savings on lines, so that no dollar is claimed twice;
- ``hours``: on-demand GPU hours of a pool (provider, region, instance type) by hour;
- ``days``: AI cost by day, for the pictures.

The cost basis is EffectiveCost, which spreads commitments over what they covered; a provider whose effective costs are unusable in
this bill (see ``degenerate-effective-cost``) is counted by BilledCost instead, and the report says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.config import Settings
from outlay.errors import UnreadableError
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.money import MONEY_SQL
from outlay.problems import Problem
from outlay.sources.canonical import TagSpelling, register_skus, sku_key, tag_sql, tokens_sql, gpu_hours_sql, workload_sql
from outlay.sources.in_place import InPlace, open_in_place
from outlay.sources.recognise import SKU_COLUMNS
from outlay.sources.survey import spellings

if TYPE_CHECKING:
    import duckdb

__all__ = ["Line", "Spend", "Totals", "read_spend"]

_COLUMNS = (
    *SKU_COLUMNS, "BillingCurrency", "BilledCost", "EffectiveCost", "ListCost", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd",
    "PricingCategory", "PricingQuantity", "ConsumedQuantity", "CommitmentDiscountId", "CommitmentDiscountStatus",
    "CapacityReservationStatus", "RegionId", "ResourceId", "Tags",
)
_INTERRUPTIBLE_KEYS = ("interruptible", "preemptible", "spot_ok", "checkpointed")
_LATENCY_KEYS = ("latency", "latency_class", "batch")
_TRUE = ("true", "yes", "1", "on", "y")
_DEGENERATE_FROM = 5


@dataclass(frozen=True, slots=True)
class Totals:
    """Money of the whole bill in its reporting currency; ``others`` are the other currencies' billed costs, never added."""

    currency: str
    rows: int
    since: datetime
    until: datetime
    billed_cost: Decimal
    effective_cost: Decimal | None
    ai_cost: Decimal
    ai_rows: int
    others: tuple[tuple[str, int, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """Bill rows alike; cost is in the report's basis and currency. Names as in the ledger's ``costs`` table, in snake case."""

    line: int
    provider: str | None
    service: str | None
    category: str | None
    workload: str | None
    model: str | None
    direction: str | None
    cache_action: str | None
    tier: str | None
    instance_type: str | None
    gpu_type: str | None
    region: str | None
    pricing_category: str | None
    charge_category: str | None
    commitment_id: str | None
    commitment_status: str | None
    capacity_status: str | None
    resource: str | None
    team: str | None
    use_case: str | None
    environment: str | None
    interruptible: bool
    latency: str | None
    is_ai: bool
    rows: int
    cost: Decimal
    billed: Decimal
    tokens: Decimal | None
    gpu_hours: Decimal | None
    hourly_rows: int
    off_hours_cost: Decimal
    first: datetime
    last: datetime
    days: int
    example: int


_LINE_SQL = (
    "line, provider, service, category, workload, model, direction, cache_action, tier, instance_type, gpu_type, region, "
    "pricing_category, charge_category, commitment_id, commitment_status, capacity_status, resource, team, use_case, environment, "
    "interruptible, latency, is_ai, rows, cost, billed, tokens, gpu_hours, hourly_rows, off_hours_cost, first, last, days, example"
)
_ROW_BITS = 40


class Spend:
    """The rollups, in temporary tables of one DuckDB session: ``lines``, ``hours``, ``days``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: InPlace, totals: Totals, basis: str, problems: Sequence[Problem]) -> None:
        self.connection = connection
        self.source = source
        self.totals = totals
        self.basis = basis
        self.problems = tuple(problems)

    @property
    def currency(self) -> str:
        """The currency all figures are in."""
        return self.totals.currency

    def lines(self, where: str = "true", order: str = "cost DESC, line") -> list[Line]:
        """Lines that satisfy a SQL condition over the line columns."""
        rows = self.connection.execute(f"SELECT {_LINE_SQL} FROM lines WHERE {where} ORDER BY {order}").fetchall()
        return [Line(*row) for row in rows]

    def place(self, example: int) -> tuple[str, int]:
        """File name and row that a line's ``example`` stands for."""
        return self.source.files[example >> _ROW_BITS].name, example & ((1 << _ROW_BITS) - 1)

    def days(self) -> list[tuple[date, str, Decimal]]:
        """AI cost by day and kind (category / workload)."""
        return self.connection.execute("SELECT day, kind, cost FROM days ORDER BY day, kind").fetchall()


def read_spend(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], settings: Settings, spill: Path, *,
    format_id: str | None = None, progress: Callable[[str], None] = lambda _: None,
) -> Spend:
    """Read bills in place and roll them up. Raises :class:`UnreadableError` when no row of them can be used."""
    source = open_in_place(connection, paths, _COLUMNS, spill, format_id=format_id, progress=progress)
    progress("summing up by SKU")
    _overview(connection, source)
    problems = list(source.notices)
    if _scalar(connection, "SELECT coalesce(sum(rows) FILTER (NOT good), 0) FROM overview"):
        problems += source.problems(connection)
    currency, others = _currency(connection, settings, source)
    degenerate = _degenerate(connection)
    problems += [
        Problem(source.files[0].name if len(source.files) == 1 else "the bill", None, "degenerate-effective-cost",
                f"{name}: EffectiveCost is a whole number on every row while BilledCost is not")
        for name in degenerate
    ]
    keys = ", ".join(identifier(name) for name in SKU_COLUMNS)
    register_skus(connection, "skus", connection.execute(f"SELECT DISTINCT {keys} FROM overview").fetchall())
    _commitments(connection, degenerate, currency)
    progress("rolling up AI rows")
    tags = _tags(connection, settings, source)
    _roll_up(connection, source, settings, tags, degenerate, currency)
    totals = _totals(connection, degenerate, currency, others)
    basis = "EffectiveCost" + (f" (BilledCost for {', '.join(degenerate)})" if degenerate else "")
    return Spend(connection, source, totals, basis, problems)


def _scalar(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchall()[0]
    return int(row[0]) if row[0] is not None else 0


def _overview(connection: duckdb.DuckDBPyConnection, source: InPlace) -> None:
    keys = ", ".join(identifier(name) for name in SKU_COLUMNS)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE overview AS SELECT {keys}, \"BillingCurrency\" AS currency, __problem IS NULL AS good, "
        f'"CommitmentDiscountId" AS commitment_id, "CommitmentDiscountStatus" AS commitment_status, count(*) AS rows, '
        f'sum("BilledCost") AS billed, sum("EffectiveCost") AS effective, sum("ListCost") AS list, '
        f'sum(coalesce("EffectiveCost", "BilledCost")) AS effective_or_billed, '
        f'count_if("BilledCost" <> round("BilledCost", 0)) AS billed_fractional, '
        f'count_if("EffectiveCost" <> round("EffectiveCost", 0)) AS effective_fractional, count("EffectiveCost") AS effective_rows, '
        f'min("ChargePeriodStart") AS first, max(coalesce("ChargePeriodEnd", "ChargePeriodStart")) AS last '
        f"FROM ({source.sql}) GROUP BY ALL"
    )


def _currency(connection: duckdb.DuckDBPyConnection, settings: Settings, source: InPlace) -> tuple[str, tuple[tuple[str, int, Decimal], ...]]:
    """The reporting currency: the configured one if the bill has it, else the one with the most rows."""
    found = connection.execute(
        "SELECT currency, sum(rows)::BIGINT, sum(billed) FROM overview WHERE good GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    if not found:
        raise UnreadableError(
            "has no row that can be used.", where=", ".join(p.name for p in source.files[:5]),
            hint="Every row lacks an amount, a currency or a charge period; `outlay load` lists them by line.",
        )
    names = [row[0] for row in found]
    chosen = settings.currency if settings.currency in names else names[0]
    return chosen, tuple((row[0], row[1], row[2]) for row in found if row[0] != chosen)


def _degenerate(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "SELECT coalesce(\"ServiceProviderName\", '(no provider)') FROM overview WHERE good GROUP BY 1 "
        f"HAVING sum(billed_fractional) >= {_DEGENERATE_FROM} AND sum(effective_rows) > 0 AND sum(effective_fractional) = 0 ORDER BY 1"
    ).fetchall()
    return [row[0] for row in rows]


def _cost_sql(degenerate: Sequence[str], billed: str, effective: str, provider: str) -> str:
    if not degenerate:
        return f"coalesce({effective}, {billed})"
    names = ", ".join(literal(name) for name in degenerate)
    return f"CASE WHEN coalesce({provider}, '(no provider)') IN ({names}) THEN {billed} ELSE coalesce({effective}, {billed}) END"


def _commitments(connection: duckdb.DuckDBPyConnection, degenerate: Sequence[str], currency: str) -> None:
    """Table ``commitments``: what each commitment covered, and how much of that was AI."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE commitments AS SELECT commitment_id, "
        f"coalesce(sum(effective_or_billed) FILTER (commitment_status = 'Used'), 0) AS used, "
        f"coalesce(sum(effective_or_billed) FILTER (commitment_status = 'Used' AND s.x_IsAi), 0) AS used_ai, "
        f"coalesce(sum(effective_or_billed) FILTER (commitment_status = 'Unused'), 0) AS unused "
        f"FROM overview o LEFT JOIN skus s ON {sku_key('o.')} = s.__sku "
        f"WHERE good AND commitment_id IS NOT NULL AND currency = {literal(currency)} GROUP BY 1"
    )


def _tags(connection: duckdb.DuckDBPyConnection, settings: Settings, source: InPlace) -> dict[str, TagSpelling]:
    keys = tuple(
        row[0] for row in connection.execute(
            f"SELECT DISTINCT unnest(map_keys(\"Tags\")) FROM ({source.sql})"
        ).fetchall() if row[0] is not None
    )
    allocation, workload = spellings(settings.tags, keys)
    found = {spelling.tag: spelling for spelling in allocation}
    folded = {key: "".join(c for c in key.lower() if c.isalnum()) for key in keys}

    def named(tag: str, names: Sequence[str]) -> TagSpelling:
        wanted = ["".join(c for c in name if c.isalnum()) for name in names]
        return TagSpelling(tag, tuple(sorted(k for k in keys if folded[k] in wanted)))

    for tag in ("team", "use_case", "environment"):
        found.setdefault(tag, named(tag, (tag,)))
    found["workload"] = workload
    found["interruptible"] = named("interruptible", _INTERRUPTIBLE_KEYS)
    found["latency"] = named("latency", _LATENCY_KEYS)
    return found


def _roll_up(
    connection: duckdb.DuckDBPyConnection, source: InPlace, settings: Settings, tags: dict[str, TagSpelling],
    degenerate: Sequence[str], currency: str,
) -> None:
    cost = _cost_sql(degenerate, 't."BilledCost"', 't."EffectiveCost"', 't."ServiceProviderName"')
    hour = 't."ChargePeriodStart"'
    hourly = f't."ChargePeriodEnd" <= {hour} + INTERVAL 1 HOUR'
    days = ", ".join(str(day) for day in settings.overspend.working_days) or "0"
    start, end = settings.overspend.working_hours
    working = f"(isodow({hour}) IN ({days}) AND hour({hour}) >= {start} AND hour({hour}) < {end})"
    truths = ", ".join(literal(value) for value in _TRUE)
    tag = {name: tag_sql(spelling, 't."Tags"') for name, spelling in tags.items()}
    stated = workload_sql(tags["workload"], 't."Tags"')
    rows = f"""
        SELECT s.__sku AS sku, t."PricingCategory" AS pricing_category, t."ChargeCategory" AS charge_category,
            t."CommitmentDiscountId" AS commitment_id, t."CommitmentDiscountStatus" AS commitment_status,
            t."CapacityReservationStatus" AS capacity_status, t."RegionId" AS region,
            CASE WHEN s.x_GpuType IS NOT NULL OR s.x_AiCategory = 'provisioned_throughput' THEN t."ResourceId" END AS resource,
            {tag['team']} AS team, {tag['use_case']} AS use_case, {tag['environment']} AS environment,
            CASE WHEN s.x_IsAi THEN coalesce({stated}, s.x_SkuWorkload, 'other') END AS workload,
            coalesce(lower({tag['interruptible']}) IN ({truths}), false) AS interruptible, lower({tag['latency']}) AS latency,
            s.x_AiCategory AS category, s.x_IsAi AS is_ai, s.x_InstanceType AS instance_type,
            t."ServiceProviderName" AS provider,
            {cost} AS cost, t."BilledCost" AS billed, {tokens_sql()} AS tokens, {gpu_hours_sql()} AS gpu_hours,
            {hour} AS hour, t."ChargePeriodEnd" AS ended, ({hourly}) AS hourly, ({hourly} AND NOT {working}) AS off_hours,
            (t.__file::BIGINT << {_ROW_BITS}) + t.__row AS place,
            CASE WHEN t."PricingCategory" = 'Standard' AND t."ChargeCategory" = 'Usage' AND s.x_GpuType IS NOT NULL
                 AND t."CommitmentDiscountStatus" IS NULL THEN date_trunc('hour', {hour}) END AS pool_hour,
            CASE WHEN s.x_IsAi THEN CAST({hour} AS DATE) END AS day
        FROM ({source.sql}) t JOIN skus s ON {sku_key('t.')} = s.__sku
        WHERE t.__problem IS NULL AND t."BillingCurrency" = {literal(currency)}
          AND (s.x_IsAi OR t."CommitmentDiscountStatus" = 'Unused')
    """
    keys = (
        "sku, pricing_category, charge_category, commitment_id, commitment_status, capacity_status, region, resource, team, use_case, "
        "environment, workload, interruptible, latency"
    )
    pool = "provider, region, instance_type, pool_hour"
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE rolled AS SELECT {keys}, provider, instance_type, pool_hour, day, category,
            grouping(sku, pool_hour, day) AS rollup, count(*) AS rows, sum(cost) AS cost, sum(billed) AS billed,
            CAST(sum(tokens) AS {MONEY_SQL}) AS tokens, CAST(sum(gpu_hours) AS {MONEY_SQL}) AS gpu_hours,
            count_if(hourly) AS hourly_rows, coalesce(sum(cost) FILTER (off_hours), 0) AS off_hours_cost,
            min(hour) AS first, max(coalesce(ended, hour)) AS last, min(place) AS example
            FROM ({rows}) GROUP BY GROUPING SETS (({keys}), ({pool}), (day, category, workload))"""
    )
    by_line, by_pool, by_day = 0b011, 0b101, 0b110
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE lines AS SELECT row_number() OVER (ORDER BY r.cost DESC, r.example) AS line,
            k."ServiceProviderName" AS provider, k."ServiceName" AS service, s.x_AiCategory AS category, r.workload, s.x_ModelId AS model,
            s.x_TokenDirection AS direction, s.x_TokenCacheAction AS cache_action, s.x_ServiceTier AS tier,
            s.x_InstanceType AS instance_type, s.x_GpuType AS gpu_type, r.region, r.pricing_category, r.charge_category, r.commitment_id,
            r.commitment_status, r.capacity_status, r.resource, r.team, r.use_case, r.environment, r.interruptible, r.latency,
            coalesce(s.x_IsAi, false) AS is_ai, r.rows, r.cost, r.billed, r.tokens, r.gpu_hours, r.hourly_rows, r.off_hours_cost, r.first,
            r.last, date_diff('day', r.first, r.last) + 1 AS days, r.example
            FROM rolled r JOIN skus s ON r.sku = s.__sku
            JOIN (SELECT DISTINCT {sku_key()} AS __sku, "ServiceProviderName", "ServiceName" FROM overview) k ON r.sku = k.__sku
            WHERE r.rollup = {by_line}"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE hours AS SELECT provider, region, instance_type, pool_hour AS hour, gpu_hours, cost, rows, hourly_rows
            FROM rolled WHERE rollup = {by_pool} AND pool_hour IS NOT NULL AND gpu_hours IS NOT NULL"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE days AS SELECT day, category, coalesce(workload, 'other') AS workload,
            category || CASE WHEN category = 'gpu_compute' THEN ' / ' || coalesce(workload, 'other') ELSE '' END AS kind, sum(cost) AS cost
            FROM rolled WHERE rollup = {by_day} AND day IS NOT NULL GROUP BY ALL"""
    )
    connection.execute("DROP TABLE rolled")


def _totals(
    connection: duckdb.DuckDBPyConnection, degenerate: Sequence[str], currency: str, others: tuple[tuple[str, int, Decimal], ...]
) -> Totals:
    row = connection.execute(
        f"SELECT sum(rows)::BIGINT, min(first), max(last), sum(billed), sum(effective) FROM overview WHERE good AND currency = {literal(currency)}"
    ).fetchall()[0]
    ai = connection.execute("SELECT coalesce(sum(cost), 0), coalesce(sum(rows), 0)::BIGINT FROM lines WHERE is_ai").fetchall()[0]
    return Totals(currency, row[0], row[1], row[2], row[3], row[4], ai[0], ai[1], others)
