"""What metrics read: the ledger's tables, and a few of them with what must be worked out beside them.

A run's cost is not in any source: it is the GPU hours it held times what such a GPU-hour cost in that month, by the
bill, discounts and commitments spread over the hours they covered. So ``run_costs`` is ``runs`` with that rate and its
basis beside each attempt; where the bill has no such GPU, or the bills have it in two currencies, the cost is unknown,
not 0: nobody knows on which of the bills the run is. ``alert_clocks`` is ``alerts`` with the hours from the crossing to
the corrective action. Both are views, so the receipt shows how they are made. The tables themselves are read with what
:mod:`outlay.metrics.views` lays over them: providers by one name, allocations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from outlay.ledger.tables.alerts import ALERTS
from outlay.ledger.tables.costs import columns as cost_columns
from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.ledger.tables.outcomes import OUTCOMES
from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.runs import RUNS
from outlay.ledger.tables.table import Column, FactTable
from outlay.money import MONEY_SQL

__all__ = ["COSTS", "RELATIONS", "Relation"]

COSTS = "costs"
_HOURS = "DECIMAL(18,9)"
_PROVIDER = Column("x_Provider", "VARCHAR")  # by its one name; the views add it (outlay.metrics.views)


@dataclass(frozen=True, slots=True)
class Relation:
    """A view that metrics read.

    ``tables`` are the ledger's tables that it rests on; ``sql`` makes it of them (None: it is the one table). ``time``
    is the column that windows and periods select by, ``until`` the one that freshness is told by. ``currency`` is the
    column of the currency of its ``money`` columns, ``priced``: a price book priced its rows. ``doubt`` is the column
    that says why a row has no price. ``own_tags`` has the tags that are a column of its own. ``cost`` is the amount
    that tells how much a row is. ``rows`` says what a row is, ``bring_in`` how to get some.
    """

    name: str
    tables: tuple[str, ...]
    time: str
    until: str
    rows: str
    bring_in: str
    own: Callable[[tuple[str, ...]], tuple[Column, ...]]
    currency: str | None = None
    money: frozenset[str] = frozenset()
    sql: str | None = None
    priced: bool = False
    doubt: str | None = None
    own_tags: Mapping[str, str] = field(default_factory=dict)
    cost: str | None = None

    def columns(self, tags: tuple[str, ...]) -> dict[str, str]:
        """Column -> SQL type, maps left out."""
        return {c.name: c.sql_type for c in self.own(tags) if not c.sql_type.startswith("MAP")}


def _of(table: FactTable, *more: Column) -> Callable[[tuple[str, ...]], tuple[Column, ...]]:
    return lambda tags: (*table.columns(tags), *more)


# The nearest of what the bill says that such a GPU-hour cost: this instance type or this GPU, in this month or at any
# time. A rate is rounded to nine decimals.
_RUN_COSTS = """
WITH rates AS (
  SELECT "x_InstanceType", "x_GpuType", "x_BillingMonth", "BillingCurrency",
    sum("EffectiveCost") AS cost, sum("x_GpuHours") AS hours
  FROM costs WHERE "x_GpuHours" > 0 AND "EffectiveCost" IS NOT NULL GROUP BY ALL
), known AS (
  SELECT 1 AS rank, "x_InstanceType" AS item, "x_BillingMonth" AS month, "BillingCurrency" AS currency,
    sum(cost) AS cost, sum(hours) AS hours, 'instance type, month' AS basis
  FROM rates WHERE "x_InstanceType" IS NOT NULL GROUP BY ALL
  UNION ALL SELECT 2, "x_GpuType", "x_BillingMonth", "BillingCurrency", sum(cost), sum(hours), 'GPU type, month'
  FROM rates WHERE "x_GpuType" IS NOT NULL GROUP BY ALL
  UNION ALL SELECT 3, "x_InstanceType", NULL, "BillingCurrency", sum(cost), sum(hours), 'instance type, all months'
  FROM rates WHERE "x_InstanceType" IS NOT NULL GROUP BY ALL
  UNION ALL SELECT 4, "x_GpuType", NULL, "BillingCurrency", sum(cost), sum(hours), 'GPU type, all months'
  FROM rates WHERE "x_GpuType" IS NOT NULL GROUP BY ALL
), wanted AS (
  SELECT DISTINCT "x_InstanceType", "x_GpuType", "x_Month" FROM runs
), nearest AS (
  SELECT w.*, k.cost, k.hours, k.currency, k.basis FROM wanted w JOIN known k
    ON ((k.rank IN (1, 3) AND k.item = w."x_InstanceType") OR (k.rank IN (2, 4) AND k.item = w."x_GpuType"))
    AND (k.month IS NULL OR k.month = w."x_Month")
  QUALIFY rank() OVER (PARTITION BY w."x_InstanceType", w."x_GpuType", w."x_Month" ORDER BY k.rank) = 1
), chosen AS (
  SELECT "x_InstanceType", "x_GpuType", "x_Month",
    CASE WHEN count(*) = 1 THEN CAST(any_value(cost) / any_value(hours) AS DECIMAL(18,9)) END AS rate,
    CASE WHEN count(*) = 1 THEN any_value(currency) END AS currency,
    CASE WHEN count(*) = 1 THEN any_value(basis) END AS basis,
    CASE WHEN count(*) > 1 THEN 'their GPUs are billed in ' || string_agg(currency, ' and ' ORDER BY currency)
      || ', and no run tells in which' END AS doubt
  FROM nearest GROUP BY 1, 2, 3
)
SELECT r.*, r."x_Source" || '/' || r."x_RunId" AS "x_Run", coalesce(r.start_time, r.submit_time) AS "x_At",
  CAST(try_cast(r."x_GpuHours" AS DECIMAL(20,9)) * c.rate AS DECIMAL(38,18)) AS "x_Cost",
  CAST(try_cast(r."x_LostGpuHours" AS DECIMAL(20,9)) * c.rate AS DECIMAL(38,18)) AS "x_LostCost",
  c.currency AS "x_CostCurrency", c.rate AS "x_Rate", c.basis AS "x_RateBasis", c.doubt AS "x_RateDoubt"
FROM runs r LEFT JOIN chosen c ON c."x_InstanceType" IS NOT DISTINCT FROM r."x_InstanceType"
  AND c."x_GpuType" IS NOT DISTINCT FROM r."x_GpuType" AND c."x_Month" = r."x_Month"
"""
_ALERT_CLOCKS = """
SELECT *, CAST(date_diff('second', crossed_at, acted_at) / 3600.0 AS DECIMAL(18,9)) AS "x_ResponseHours",
  regexp_replace(CAST("x_Threshold" * 100 AS VARCHAR), '\\.?0+$', '') || '%' AS "x_ThresholdText" FROM alerts
"""
_OUTCOME_DAYS = 'SELECT *, CAST("date" AS TIMESTAMP) AS "x_At" FROM outcomes'

RELATIONS: dict[str, Relation] = {
    one.name: one
    for one in (
        Relation(
            COSTS,
            ("costs",),
            "ChargePeriodStart",
            "ChargePeriodEnd",
            "bill rows",
            "Load a bill: `outlay load BILL`.",
            lambda tags: (*cost_columns(tags), _PROVIDER),
            "BillingCurrency",
            frozenset({"BilledCost", "EffectiveCost", "ListCost", "ContractedCost"}),
            cost="EffectiveCost",
        ),
        Relation(
            "requests",
            ("requests",),
            "start_time",
            "end_time",
            "calls and buckets of calls",
            "Load usage: a provider's usage report, a gateway's log, or traces (docs/sources).",
            _of(REQUESTS, _PROVIDER),
            "x_CostCurrency",
            frozenset({"x_Cost"}),
            priced=True,
            cost="x_Cost",
        ),
        Relation(
            "gpu_usage",
            ("gpu_usage",),
            "start_time",
            "end_time",
            "GPU hours by card and holder",
            "Load telemetry: DCGM exporter scrapes or Prometheus (docs/sources/dcgm.md).",
            _of(GPU_USAGE),
        ),
        Relation(
            "run_costs",
            ("runs", "costs"),
            "x_At",
            "end_time",
            "attempts of runs",
            "Load runs: Slurm, MLflow, SageMaker, Kubernetes, … (docs/sources).",
            _of(
                RUNS,
                Column("x_Run", "VARCHAR"),  # two clusters may both have a job 4101
                Column("x_At", "TIMESTAMP"),
                Column("x_Cost", MONEY_SQL),
                Column("x_LostCost", MONEY_SQL),
                Column("x_CostCurrency", "VARCHAR"),
                Column("x_Rate", _HOURS),
                Column("x_RateBasis", "VARCHAR"),
                Column("x_RateDoubt", "VARCHAR"),
            ),
            "x_CostCurrency",
            frozenset({"x_Cost", "x_LostCost"}),
            _RUN_COSTS,
            doubt="x_RateDoubt",
            cost="x_Cost",
        ),
        Relation(
            "alert_clocks",
            ("alerts",),
            "crossed_at",
            "acted_at",
            "budget alerts",
            "Load the record of alerts as CSV (docs/sources/alerts.md).",
            _of(ALERTS, Column("x_ResponseHours", _HOURS), Column("x_ThresholdText", "VARCHAR")),
            sql=_ALERT_CLOCKS,
        ),
        Relation(
            "outcome_days",
            ("outcomes",),
            "x_At",
            "x_At",
            "business outcomes",
            "Load outcomes as CSV (docs/sources/outcomes.md).",
            _of(OUTCOMES, Column("x_At", "TIMESTAMP")),
            sql=_OUTCOME_DAYS,
            own_tags={"use_case": "x_UseCase"},
        ),
    )
}
"""By name: what ``table`` in a metric's definition may say."""
