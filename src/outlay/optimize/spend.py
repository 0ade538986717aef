"""The evidence of a bill: what was spent, rolled up to what detectors look at.

Two passes over the rows. The first groups by SKU and gives the totals, and each distinct SKU is recognised once. The
second keeps only AI rows (and unused commitments) and rolls them up three ways in one scan:

- ``lines``: rows alike in SKU, price category, commitment, region, allocation tags and (for GPUs and provisioned
  throughput) resource; detectors claim savings on lines, so that no dollar is claimed twice;
- ``hours``: on-demand GPU hours of a pool (provider, region, instance type) by hour;
- ``days``: AI cost by day, for the pictures.

The cost basis is EffectiveCost, which spreads commitments over what they covered; a provider whose effective costs are
unusable in this bill (see ``degenerate-effective-cost``) is counted by BilledCost instead, and the report says so.
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
from outlay.optimize.rollups import ROW_BITS, AiRows, cost_sql, roll_up
from outlay.problems import Problem, summarise
from outlay.sources.canonical import register_skus, sku_key, telling_columns
from outlay.sources.degenerate import degenerate_providers
from outlay.sources.in_place import InPlace, open_in_place
from outlay.sources.reader import Found
from outlay.sources.recognise import SKU_COLUMNS
from outlay.sources.twice import delivered_twice, distinct_names
from outlay.sources.typed import bad_tags_text

if TYPE_CHECKING:
    import duckdb

__all__ = ["Line", "Spend", "Totals", "read_spend"]

_TWINS_UP_TO_ROWS = 2_000_000
_WORST = 3
"""Kinds of problems that an error names, the most frequent first."""
_COLUMNS = (
    *SKU_COLUMNS,
    "BillingCurrency",
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ChargeCategory",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "PricingCategory",
    "PricingQuantity",
    "ConsumedQuantity",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
    "CapacityReservationStatus",
    "RegionId",
    "ResourceId",
    "Tags",
)


@dataclass(frozen=True, slots=True)
class Totals:
    """Money of the whole bill in its reporting currency.

    ``since`` and ``until`` are of its usage: a fee paid upfront covers years to come, which are not on the bill.
    ``others`` are the other currencies' billed costs, never added.
    """

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
    """Bill rows alike; cost is in the report's basis and currency.

    Names as in the ledger's ``costs`` table, in snake case.
    """

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
    "line, provider, service, category, workload, model, direction, cache_action, tier, instance_type, gpu_type, "
    "region, pricing_category, charge_category, commitment_id, commitment_status, capacity_status, resource, team, "
    "use_case, environment, interruptible, latency, is_ai, rows, cost, billed, tokens, gpu_hours, hourly_rows, "
    "off_hours_cost, first, last, days, example"
)


class Spend:
    """The rollups, in temporary tables of one DuckDB session: ``lines``, ``hours``, ``days``."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: InPlace,
        totals: Totals,
        basis: str,
        problems: Sequence[Problem],
    ) -> None:
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
        return self.source.files[example >> ROW_BITS].name, example & ((1 << ROW_BITS) - 1)

    def days(self) -> list[tuple[date, str, Decimal]]:
        """AI cost by day and kind: the AI category, and the accelerator where there is one."""
        return self.connection.execute("SELECT day, kind, cost FROM days ORDER BY day, kind").fetchall()


def read_spend(
    connection: duckdb.DuckDBPyConnection,
    bills: Sequence[Found],
    settings: Settings,
    spill: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Spend:
    """Read bills in place and roll them up. Raises :class:`UnreadableError` when no row of them can be used."""
    source = open_in_place(connection, bills, _COLUMNS, spill, progress=progress)
    progress("summing up by SKU")
    _overview(connection, source)
    problems = list(source.notices)
    rejected = _scalar(connection, "SELECT coalesce(sum(rows) FILTER (NOT good), 0) FROM overview")
    if rejected:
        problems += source.problems(connection)
    currency, others = _currency(connection, settings, source, problems)
    degenerate = _degenerate(connection, source)
    problems += [
        Problem(
            _whole(source),
            None,
            "degenerate-effective-cost",
            f"{name}: EffectiveCost is a whole number on every row while BilledCost is not",
        )
        for name in degenerate
    ]
    problems += _twins(connection, source)
    problems += _stand_ins(connection, source, currency, {problem.code for problem in problems})
    keys = ", ".join(identifier(name) for name in SKU_COLUMNS)
    skus = connection.execute(f"SELECT DISTINCT {keys} FROM overview").fetchall()
    telling = telling_columns(skus)
    register_skus(connection, "skus", skus, telling)
    _commitments(connection, currency, telling)
    progress("rolling up AI rows")
    usable = [f't."BillingCurrency" = {literal(currency)}'] if others else []
    usable += ["t.__problem IS NULL"] if rejected else []
    rows = AiRows(
        source,
        telling,
        " AND ".join(usable) or "true",
        cost_sql(degenerate, 't."BilledCost"', 't."EffectiveCost"', 't."ServiceProviderName"'),
    )
    bad_tags = roll_up(connection, rows, settings)
    if bad_tags:
        problems.append(Problem(_whole(source), None, "bad-tags", f"of the AI rows, {bad_tags_text(bad_tags)}"))
    totals = _totals(connection, degenerate, currency, others)
    basis = "EffectiveCost" + (f" (BilledCost for {', '.join(degenerate)})" if degenerate else "")
    return Spend(connection, source, totals, basis, problems)


def _scalar(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchall()[0]
    return int(row[0]) if row[0] is not None else 0


def _overview(connection: duckdb.DuckDBPyConnection, source: InPlace) -> None:
    """Sums by SKU, currency and commitment. Grouped by 64-bit hashes, as in :mod:`outlay.optimize.rollups`."""
    texts = {name: identifier(name) for name in SKU_COLUMNS}
    texts |= {
        "currency": '"BillingCurrency"',
        "commitment_id": '"CommitmentDiscountId"',
        "commitment_status": '"CommitmentDiscountStatus"',
    }
    named = ", ".join(f"any_value({sql}) AS {identifier(name)}" for name, sql in texts.items())
    end = 'coalesce("ChargePeriodEnd", "ChargePeriodStart")'
    usage = "WHERE coalesce(\"ChargeCategory\", 'Usage') = 'Usage'"
    # A usage row covers hours, days or a month; an end years ahead stands for "open", and is no day of the bill.
    used_until = f'least({end}, "ChargePeriodStart" + INTERVAL 1 YEAR)'
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE overview AS SELECT * EXCLUDE (texts) FROM (SELECT "
        f"hash({', '.join(texts.values())}) AS texts, __problem IS NULL AS good, {named}, count(*) AS rows, "
        f'sum("BilledCost") AS billed, sum("EffectiveCost") AS effective, '
        f'sum(coalesce("EffectiveCost", "BilledCost")) AS effective_or_billed, '
        f'count("EffectiveCost") AS effective_rows, '
        f'min("ChargePeriodStart") AS first, max({end}) AS last, '
        f'max(least({end}, "ChargePeriodStart" + INTERVAL 1 DAY)) AS last_day, '
        f'min("ChargePeriodStart") FILTER ({usage}) AS first_used, max({used_until}) FILTER ({usage}) AS last_used '
        f"FROM ({source.sql}) GROUP BY texts, good)"
    )


def _currency(
    connection: duckdb.DuckDBPyConnection, settings: Settings, source: InPlace, problems: Sequence[Problem]
) -> tuple[str, tuple[tuple[str, int, Decimal], ...]]:
    """The reporting currency: the one that was configured, if the bill has it, else the one with the most rows."""
    found = connection.execute(
        "SELECT currency, sum(rows)::BIGINT, sum(billed) FROM overview WHERE good GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    if not found:
        worst = [one for one in summarise(problems) if one.rejects][:_WORST]
        worst = [one for one in summarise(problems) if one.rejects][:_WORST]
        said = "; ".join(f"{one.message}: {one.count:,} row{'s' if one.count > 1 else ''}" for one in worst)
        raise UnreadableError(
            f"has no row that can be used ({said}).",
            where=", ".join(p.name for p in source.files[:5]),
            hint=" ".join(dict.fromkeys(one.hint for one in worst)) or "Export it again.",
        )
    names = [row[0] for row in found]
    configured = settings.currency if "currency" in settings.model_fields_set else None
    chosen: str = configured if configured is not None and configured in names else names[0]
    return chosen, tuple((row[0], row[1], row[2]) for row in found if row[0] != chosen)


def _stand_ins(connection: duckdb.DuckDBPyConnection, source: InPlace, currency: str, said: set[str]) -> list[Problem]:
    """The notice that BilledCost stands in where a row has no EffectiveCost, unless a reader has said so."""
    missing, rows = connection.execute(
        f"SELECT coalesce(sum(rows - effective_rows), 0), coalesce(sum(rows), 0) FROM overview "
        f"WHERE good AND currency = {literal(currency)}"
    ).fetchall()[0]
    if not missing or "effective-cost-unknown" in said:
        return []
    text = f"{int(missing):,} of {int(rows):,} rows have no effective cost: their billed cost stands in"
    return [Problem(_whole(source), None, "effective-cost-unknown", text)]


def _twins(connection: duckdb.DuckDBPyConnection, source: InPlace) -> list[Problem]:
    """Files that hold the same rows. Asked of bills of ordinary size only: it is a scan of its own."""
    rows = _scalar(connection, "SELECT coalesce(sum(rows), 0) FROM overview")
    if len(source.files) < 2 or rows > _TWINS_UP_TO_ROWS:
        return []
    columns = ", ".join(f"t.{identifier(name)}" for name in _COLUMNS)
    return delivered_twice(connection, f"({source.sql}) t", columns, distinct_names(source.files), rows)


def _whole(source: InPlace) -> str:
    return source.files[0].name if len(source.files) == 1 else "the bill"


def _degenerate(connection: duckdb.DuckDBPyConnection, source: InPlace) -> list[str]:
    groups = 'SELECT "ServiceProviderName" AS provider, billed, effective, effective_rows FROM overview WHERE good'
    return degenerate_providers(connection, groups, lambda: source.sql)


def _commitments(connection: duckdb.DuckDBPyConnection, currency: str, telling: Sequence[str]) -> None:
    """Table ``commitments``: what each commitment covered, and how much of that was AI."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE commitments AS SELECT commitment_id, "
        f"coalesce(sum(effective_or_billed) FILTER (commitment_status = 'Used'), 0) AS used, "
        f"coalesce(sum(effective_or_billed) FILTER (commitment_status = 'Used' AND s.x_IsAi), 0) AS used_ai, "
        f"coalesce(sum(effective_or_billed) FILTER (commitment_status = 'Unused'), 0) AS unused "
        f"FROM overview o LEFT JOIN skus s ON {sku_key('o.', telling)} = s.__sku "
        f"WHERE good AND commitment_id IS NOT NULL AND currency = {literal(currency)} GROUP BY 1"
    )


def _totals(
    connection: duckdb.DuckDBPyConnection,
    degenerate: Sequence[str],
    currency: str,
    others: tuple[tuple[str, int, Decimal], ...],
) -> Totals:
    row = connection.execute(
        "SELECT sum(rows)::BIGINT, coalesce(min(first_used), min(first)), coalesce(max(last_used), max(last)), "
        "sum(billed), sum(effective) FROM overview WHERE good AND "
        f"currency = {literal(currency)}"
    ).fetchall()[0]
    ai = connection.execute(
        "SELECT coalesce(sum(cost), 0), coalesce(sum(rows), 0)::BIGINT FROM lines WHERE is_ai"
    ).fetchall()[0]
    return Totals(currency, row[0], row[1], row[2], row[3], row[4], ai[0], ai[1], others)
