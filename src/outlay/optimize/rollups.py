"""The rollups of a bill's AI rows, each one scan of the columns it needs.

Only what must be is computed a row: sums, first and last. Whatever is linear (tokens = quantity x block) or a function
of the group (the workload a tag states) is computed once a group, afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outlay.config import OverspendSettings, Settings
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.money import MONEY_SQL
from outlay.sources.canonical import TagSpelling, gpu_hours_sql, sku_key, tag_sql, tokens_sql, workload_value_sql
from outlay.sources.commitments import MOSTLY_AI_SQL
from outlay.sources.in_place import TAGS_GIVEN, InPlace
from outlay.sources.survey import spellings

if TYPE_CHECKING:
    import duckdb

__all__ = ["ROW_BITS", "AiRows", "cost_sql", "roll_up"]

ROW_BITS = 40
"""A row's place is ``file << 40 | row``: a million files of a trillion rows."""

_TRUE = ("true", "yes", "1", "on", "y")
_TAGS = ("team", "use_case", "environment", "workload", "interruptible", "latency")
_OTHER_SPELLINGS = {
    "team": ("team",),
    "use_case": ("use_case",),
    "environment": ("environment",),
    "interruptible": ("interruptible", "preemptible", "spot_ok", "checkpointed"),
    "latency": ("latency", "latency_class", "batch"),
}
_TEXT_COLUMNS = (
    "PricingCategory",
    "ChargeCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
    "CapacityReservationStatus",
    "RegionId",
    "ResourceId",
)
"""What tells lines of one SKU apart, beside tags; the resource only where it is a machine."""


@dataclass(frozen=True, slots=True)
class AiRows:
    """The rows to roll up: AI rows and unused commitments of one currency. ``cost`` is the cost basis over ``t``.

    ``usable`` is the condition that keeps out rejected rows and other currencies; the overview knows when there are
    none.
    """

    source: InPlace
    telling: tuple[str, ...]
    usable: str
    cost: str

    def sql(self, fields: str, condition: str = "true") -> str:
        """SELECT of ``fields`` over rows ``t`` and their SKU ``s``."""
        return (
            f"SELECT {fields} FROM ({self.source.sql}) t JOIN skus s ON {sku_key('t.', self.telling)} = s.__sku "
            f"WHERE {self.usable} AND ({condition})"
        )


def cost_sql(degenerate: Sequence[str], billed: str, effective: str, provider: str) -> str:
    """The cost basis of a row: EffectiveCost, BilledCost where there is none or where the provider's is unusable."""
    if not degenerate:
        return f"coalesce({effective}, {billed})"
    names = ", ".join(literal(name) for name in degenerate)
    return (
        f"CASE WHEN coalesce({provider}, '(no provider)') IN ({names}) THEN {billed} "
        f"ELSE coalesce({effective}, {billed}) END"
    )


def roll_up(connection: duckdb.DuckDBPyConnection, rows: AiRows, settings: Settings) -> int:
    """Create the tables ``lines``, ``hours`` and ``days`` from the table ``skus`` and the bills.

    Returns the number of rows whose tags can't be read.
    """
    _alike(connection, rows, settings)
    _lines(connection, settings)
    bad_tags = connection.execute("SELECT sum(bad_tags)::BIGINT FROM alike").fetchall()[0][0]
    connection.execute("DROP TABLE alike")
    _claim_for_ai(connection)
    _times(connection, rows)
    return bad_tags or 0


def _claim_for_ai(connection: duckdb.DuckDBPyConnection) -> None:
    """Unused rows of a commitment of which AI took most are AI cost too.

    Otherwise the overspend would not be part of the AI cost.
    """
    connection.execute(
        "UPDATE lines SET is_ai = true, category = 'ai_other', workload = 'other' WHERE NOT is_ai AND "
        f"commitment_status = 'Unused' AND commitment_id IN ({MOSTLY_AI_SQL})"
    )


def _alike(connection: duckdb.DuckDBPyConnection, rows: AiRows, settings: Settings) -> None:
    """Table ``alike``: rows of one SKU with the same categories, commitment, region, resource and tags, summed.

    Rows are told apart by 64-bit hashes of their text columns (engines hash a dictionary once and compare numbers
    faster than texts); that two of one SKU share a hash by chance is one in 2^64 a pair, and would move cost between
    two lines, never change a sum. Tags go in whole and are looked at afterwards, once a group. Where they differ row by
    row (a tag per pod, say) the groups may not fit in memory: then only the tags that matter are read.
    """
    import duckdb

    try:
        _group_alike(connection, rows, settings.overspend, 't."Tags"')
    except duckdb.OutOfMemoryException:
        keys = sorted({key for spelling in _spelt(settings, rows.source.tag_keys(connection)) for key in spelling.keys})
        names = ", ".join(literal(key) for key in keys)
        values = ", ".join(f't."Tags"[{literal(key)}]' for key in keys)
        _group_alike(connection, rows, settings.overspend, f"MAP([{names}]::VARCHAR[], [{values}]::VARCHAR[])")


def _group_alike(connection: duckdb.DuckDBPyConnection, rows: AiRows, settings: OverspendSettings, tags: str) -> None:
    start, end = settings.working_hours
    days = ", ".join(str(day) for day in settings.working_days) or "0"
    hour = 't."ChargePeriodStart"'
    hourly = f't."ChargePeriodEnd" <= {hour} + INTERVAL 1 HOUR'
    working = f"isodow({hour}) IN ({days}) AND hour({hour}) >= {start} AND hour({hour}) < {end}"
    off_hours = f"CASE WHEN s.x_GpuType IS NOT NULL AND {hourly} AND NOT ({working}) THEN {rows.cost} END"
    by_resource = "s.x_GpuType IS NOT NULL OR s.x_AiCategory = 'provisioned_throughput'"
    texts = {name: f"t.{identifier(name)}" for name in _TEXT_COLUMNS}
    texts["ResourceId"] = f'CASE WHEN {by_resource} THEN t."ResourceId" END'
    fields = f"""s.__sku AS sku, hash({", ".join(texts.values())}) AS texts, hash({tags}) AS tags_hash,
        t."ConsumedQuantity" IS NULL AS no_consumed,
        {", ".join(f"any_value({sql}) AS {identifier(name)}" for name, sql in texts.items())},
        any_value({tags}) AS tags, count(*) AS rows, sum({rows.cost}) AS cost, sum(t."BilledCost") AS billed,
        sum(t."PricingQuantity") AS "PricingQuantity", sum(t."ConsumedQuantity") AS "ConsumedQuantity",
        count(*) FILTER (WHERE {hourly}) AS hourly_rows, coalesce(sum({off_hours}), 0) AS off_hours_cost,
        count(*) FILTER (WHERE t.{TAGS_GIVEN} AND t."Tags" IS NULL) AS bad_tags,
        min({hour}) AS first, max(coalesce(t."ChargePeriodEnd", {hour})) AS last,
        min((t.__file::BIGINT << {ROW_BITS}) + t.__row) AS example"""
    grouped = rows.sql(fields, "s.x_IsAi OR t.\"CommitmentDiscountStatus\" = 'Unused'")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE alike AS {grouped} GROUP BY sku, texts, tags_hash, no_consumed")


def _spelt(settings: Settings, keys: Sequence[str]) -> list[TagSpelling]:
    """How the bill spells each of :data:`_TAGS`."""
    allocation, workload = spellings(settings.tags, keys)
    spelt = {spelling.tag: spelling for spelling in allocation} | {"workload": workload}
    for tag, names in _OTHER_SPELLINGS.items():
        wanted = [_fold(name) for name in names]
        spelt.setdefault(tag, TagSpelling(tag, tuple(sorted(key for key in keys if _fold(key) in wanted))))
    return [spelt[tag] for tag in _TAGS]


def _fold(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def _lines(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Table ``lines`` from ``alike``: the tags that matter by name, and groups that they do not tell apart as one."""
    keys = connection.execute("SELECT DISTINCT unnest(map_keys(tags)) FROM alike").fetchall()
    spelt = _spelt(settings, sorted(row[0] for row in keys))
    truths = ", ".join(literal(value) for value in _TRUE)
    tags = ", ".join(f"{tag_sql(spelling, 'tags')} AS tag_{spelling.tag}" for spelling in spelt)
    texts = ", ".join(identifier(name) for name in _TEXT_COLUMNS)
    merged = f"""SELECT sku, {texts}, {tags}, no_consumed, sum(rows)::BIGINT AS rows, sum(cost) AS cost,
        sum(billed) AS billed, sum("PricingQuantity") AS "PricingQuantity",
        sum("ConsumedQuantity") AS "ConsumedQuantity", sum(hourly_rows)::BIGINT AS hourly_rows,
        sum(off_hours_cost) AS off_hours_cost, min(first) AS first, max(last) AS last, min(example) AS example
        FROM alike GROUP BY ALL"""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE lines AS SELECT row_number() OVER (ORDER BY t.cost DESC, t.example) AS line,
            s."ServiceProviderName" AS provider, s."ServiceName" AS service, s.x_AiCategory AS category,
            CASE WHEN s.x_IsAi THEN coalesce({workload_value_sql("tag_workload")}, s.x_SkuWorkload, 'other') END
            AS workload,
            s.x_ModelId AS model, s.x_TokenDirection AS direction, s.x_TokenCacheAction AS cache_action,
            s.x_ServiceTier AS tier, s.x_InstanceType AS instance_type, s.x_GpuType AS gpu_type,
            t."RegionId" AS region, t."PricingCategory" AS pricing_category, t."ChargeCategory" AS charge_category,
            t."CommitmentDiscountId" AS commitment_id, t."CommitmentDiscountStatus" AS commitment_status,
            t."CapacityReservationStatus" AS capacity_status, t."ResourceId" AS resource, tag_team AS team,
            tag_use_case AS use_case, tag_environment AS environment,
            coalesce(lower(tag_interruptible) IN ({truths}), false) AS interruptible, lower(tag_latency) AS latency,
            coalesce(s.x_IsAi, false) AS is_ai, t.rows, t.cost, t.billed,
            {tokens_sql()} AS tokens, {gpu_hours_sql()} AS gpu_hours,
            t.hourly_rows, t.off_hours_cost, t.first, t.last, date_diff('day', t.first, t.last) + 1 AS days, t.example
            FROM ({merged}) t JOIN skus s ON t.sku = s.__sku"""
    )


def _times(connection: duckdb.DuckDBPyConnection, rows: AiRows) -> None:
    """``hours`` and ``days`` (AI cost by day), from one scan.

    ``hours``: on-demand GPU-hours of a pool that were paid for (``paid_rows``; refunds are in ``cost`` alone), by the
    hour they begin in and the hours they span.
    """
    pool = (
        "s.x_GpuType IS NOT NULL AND s.x_GpuHoursPerUnit IS NOT NULL AND t.\"PricingCategory\" = 'Standard' "
        'AND t."ChargeCategory" = \'Usage\' AND t."CommitmentDiscountStatus" IS NULL '
        "AND t.\"CapacityReservationStatus\" IS DISTINCT FROM 'Unused'"
    )
    claimed = f't."CommitmentDiscountStatus" = \'Unused\' AND t."CommitmentDiscountId" IN ({MOSTLY_AI_SQL})'
    start, end = 't."ChargePeriodStart"', 't."ChargePeriodEnd"'
    hourly = f"{end} <= {start} + INTERVAL 1 HOUR"
    span = f"""CASE WHEN {end} IS NULL THEN 24 WHEN {hourly} THEN 1
        ELSE greatest(date_diff('hour', {start}, {end}), 1) END"""
    fields = f"""s.__sku AS sku, ({pool}) AS pool, CASE WHEN {pool} THEN t."RegionId" END AS region,
        CASE WHEN {pool} THEN {span} END AS span,
        CASE WHEN {pool} THEN date_trunc('hour', {start}) ELSE date_trunc('day', {start}) END AS moment,
        sum({rows.cost}) AS cost, sum(t."PricingQuantity") FILTER (WHERE {rows.cost} > 0) AS paid_quantity,
        count(*) FILTER (WHERE {rows.cost} > 0) AS paid_rows, count(*) AS rows,
        count(*) FILTER (WHERE {hourly}) AS hourly_rows"""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE times AS SELECT t.*, s.* EXCLUDE (__sku)
            FROM ({rows.sql(fields, f"s.x_IsAi OR {claimed}")} GROUP BY ALL) t JOIN skus s ON t.sku = s.__sku"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE hours AS SELECT "ServiceProviderName" AS provider, region,
            x_InstanceType AS instance_type, moment AS hour, span::BIGINT AS span,
            coalesce(CAST(sum(try_cast(paid_quantity AS DECIMAL(26,12)) * x_GpuHoursPerUnit) AS {MONEY_SQL}), 0)
            AS gpu_hours, sum(cost) AS cost, sum(paid_rows)::BIGINT AS paid_rows, sum(rows)::BIGINT AS rows,
            sum(hourly_rows)::BIGINT AS hourly_rows FROM times WHERE pool GROUP BY ALL"""
    )
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE days AS SELECT CAST(moment AS DATE) AS day,
            coalesce(x_AiCategory, 'ai_other') || coalesce(' / ' || x_GpuType, '') AS kind, sum(cost) AS cost
            FROM times GROUP BY ALL"""
    )
    connection.execute("DROP TABLE times")
