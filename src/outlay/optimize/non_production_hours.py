"""Non-production GPUs that run around the clock.

A development or test machine is needed in working hours. The rule looks at each on-demand GPU resource whose
environment tag is a non-production value: when it was billed in at least 95% of the hours between its first and last
hour, over two weeks or more, the cost of the hours outside working time (Monday to Friday 07:00-19:00 UTC unless
configured) is overspend. Training is left out: it may run through the night on purpose. A bill without hourly rows
can't show this, and then nothing is claimed.

The trap is to count rows: a machine with three rows an hour for eight hours a day has as many rows as the day has
hours. Rows give a cheap first test; what passes it is looked up on the bill by distinct hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.ledger.engine.duckdb import identifier
from outlay.money import share
from outlay.optimize.bill_rates import claim, evidence_of
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook
from outlay.sources.canonical import sku_key, telling_columns
from outlay.sources.recognise import SKU_COLUMNS

__all__ = ["NonProductionHours"]

_MIN_DAYS = 14
_MIN_PRESENCE = Decimal("0.95")


class NonProductionHours:
    """One candidate a team and environment."""

    id = "non-production-hours"
    order = 30
    rule = (
        "A non-production GPU resource billed in 95% of all hours for two weeks or more: hours outside working "
        "time are overspend."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Resources that never stop, grouped by team and environment."""
        values = {value.lower() for value in settings.non_production}
        lines = spend.lines(
            "gpu_type IS NOT NULL AND environment IS NOT NULL AND resource IS NOT NULL AND charge_category = 'Usage' "
            "AND pricing_category IN ('Standard', 'Dynamic') AND commitment_status IS NULL AND workload IS DISTINCT "
            "FROM 'training' AND cost > 0"
        )
        resources: dict[str, list[Line]] = {}
        for line in lines:
            if (line.environment or "").lower() in values:
                resources.setdefault(line.resource or "", []).append(line)
        candidates = {resource: found for resource, found in resources.items() if _may_never_stop(found)}
        hours = _billed_hours(spend, candidates)
        groups: dict[tuple[str, str], list[Line]] = {}
        for resource, found in candidates.items():
            if _nearly_always(hours.get(resource, 0), found):
                groups.setdefault((found[0].team or "no team", found[0].environment or ""), []).extend(found)
        start, end = settings.working_hours
        for (team, environment), found in sorted(groups.items()):
            count = len({line.resource for line in found})
            yield Candidate(
                id=f"{self.id}:{team}:{environment}",
                title=f"{count} {environment} GPU {'machine' if count == 1 else 'machines'} of {team} on around the "
                "clock",
                basis=f"cost of the hours outside working days {start:02d}:00-{end:02d}:00 UTC, by the "
                "bill's own hourly rows",
                why=f"Tagged {environment}, yet billed in at least 95% of all hours, nights and weekends included.",
                confidence="medium",
                claims=tuple(claim(line, line.off_hours_cost) for line in found),
                rows=sum(line.rows for line in found),
                cost=sum((line.cost for line in found), Decimal(0)),
                evidence=evidence_of(spend, found),
                facts={"resources": count},
            )


def _may_never_stop(lines: list[Line]) -> bool:
    """Hourly rows for two weeks or more, and enough of them for nearly every hour to have one."""
    if any(line.hourly_rows != line.rows for line in lines):
        return False
    return _span_hours(lines) >= _MIN_DAYS * 24 and _nearly_always(sum(line.rows for line in lines), lines)


def _nearly_always(hours: int, lines: list[Line]) -> bool:
    return share(Decimal(hours), _span_hours(lines)) >= _MIN_PRESENCE


def _span(lines: list[Line]) -> tuple[datetime, datetime]:
    return min(line.first for line in lines), max(line.last for line in lines)


def _span_hours(lines: list[Line]) -> Decimal:
    first, last = _span(lines)
    return share(Decimal(int((last - first).total_seconds())), Decimal(3600))


def _billed_hours(spend: Spend, resources: Mapping[str, list[Line]]) -> dict[str, int]:
    """Distinct hours in which the bill charges for the GPUs of each resource, within the span of its lines.

    One scan of the bill, for these resources only. Rows of a machine that are no GPU (its traffic) say nothing about
    whether it ran, so SKUs are told apart as :mod:`outlay.optimize.rollups` does.
    """
    if not resources:
        return {}
    keys = ", ".join(identifier(name) for name in SKU_COLUMNS)
    telling = telling_columns(spend.connection.execute(f"SELECT DISTINCT {keys} FROM overview").fetchall())
    spans = [_span(lines) for lines in resources.values()]
    rows = spend.connection.execute(
        f"""WITH wanted AS (SELECT unnest(?::VARCHAR[]) AS resource, unnest(?::TIMESTAMP[]) AS first,
            unnest(?::TIMESTAMP[]) AS last)
        SELECT w.resource, count(DISTINCT date_trunc('hour', t."ChargePeriodStart")) FROM ({spend.source.sql}) t
        JOIN wanted w ON t."ResourceId" = w.resource JOIN skus s ON {sku_key("t.", telling)} = s.__sku
        WHERE t.__problem IS NULL AND t."BillingCurrency" = ? AND s.x_GpuType IS NOT NULL
        AND t."ChargePeriodStart" >= w.first AND t."ChargePeriodStart" < w.last
        AND t."ChargeCategory" = 'Usage' AND t."PricingCategory" IN ('Standard', 'Dynamic')
        AND t."CommitmentDiscountStatus" IS NULL AND (t."BilledCost" > 0 OR t."EffectiveCost" > 0) GROUP BY 1""",
        [list(resources), [first for first, _ in spans], [last for _, last in spans], spend.currency],
    ).fetchall()
    return dict(rows)
