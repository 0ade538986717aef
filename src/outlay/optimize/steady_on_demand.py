"""Steady on-demand GPU hours that a commitment would cover.

The highest-stakes call gets the strictest rule. A pool (provider, region, instance type) is steady when the weekly
means of its hourly on-demand GPU count, over the last nine full weeks (63 days; configurable), never changed by 20% or
more week over week. Its base is what ran in *every* hour of those weeks: a commitment of that size would have been used
to 100%, so no demand risk is assumed away. The saving is the base's hours on this bill at the difference between their
on-demand rate and the committed rate that this bill pays for the same instance type (or the price file's). No committed
rate: "rate unknown", never a generic discount tier. A bill that is shorter, not steady, or without hourly rows shows no
candidate or one to confirm.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.money import percent
from outlay.optimize.bill_rates import claim, evidence_of, gpu_rate, share
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["SteadyOnDemand"]

_HOURS_A_WEEK = 168


@dataclass(frozen=True, slots=True)
class _Pool:
    provider: str | None
    region: str | None
    instance_type: str
    hours: dict[datetime, Decimal]
    hourly: bool


class SteadyOnDemand:
    """One candidate a pool with a steady base."""

    id = "steady-on-demand"
    order = 60
    rule = (
        "On-demand GPU-hours below the lowest hour of nine steady weeks (< 20% week over week), at the committed rate."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Pools by provider, region and instance type."""
        for pool in _pools(spend):
            weeks = _weekly_means(pool.hours, settings.stable_weeks)
            if weeks is None or _largest_change(weeks) >= settings.stable_change:
                continue
            base = _base(pool.hours, settings.stable_weeks)
            if base <= 0:
                continue
            lines = spend.lines(
                "gpu_hours > 0 AND pricing_category = 'Standard' AND commitment_status IS NULL AND "
                "charge_category = 'Usage' AND cost > 0 "
                f"AND provider IS NOT DISTINCT FROM {_text(pool.provider)} "
                f"AND region IS NOT DISTINCT FROM {_text(pool.region)} AND instance_type = {_text(pool.instance_type)}"
            )
            if _mostly_non_production(lines, settings):
                continue
            yield self._candidate(spend, rates, pool, base, weeks=weeks, lines=lines)

    def _candidate(
        self, spend: Spend, rates: RateBook, pool: _Pool, base: Decimal, *, weeks: list[Decimal], lines: list[Line]
    ) -> Candidate:
        covered = sum((min(base, quantity) for quantity in pool.hours.values()), Decimal(0))
        total = sum((line.gpu_hours or Decimal(0) for line in lines), Decimal(0))
        cost = sum((line.cost for line in lines), Decimal(0))
        own = share(cost, total)
        rate = gpu_rate(spend, rates, "committed", pool.instance_type, pool.region)
        part = share(covered, total)
        claims = (
            ()
            if rate is None
            else tuple(
                claim(line, (line.cost - (line.gpu_hours or Decimal(0)) * rate.unit_price) * part) for line in lines
            )
        )
        needs = "" if pool.hourly else "that the daily quantities hold in every hour (this bill has no hourly rows)"
        if rate is None:
            needs = f"a committed rate for {pool.instance_type} (give it with --prices)"
        change = _largest_change(weeks)
        return Candidate(
            id=f"{self.id}:{pool.instance_type}:{pool.region or 'any'}",
            title=f"Steady on-demand {pool.instance_type}" + (f" in {pool.region}" if pool.region else ""),
            basis=(
                f"{covered:.0f} GPU-hours of the base of {base:.1f} GPUs, at {own:.4f} less the committed "
                f"{rate.unit_price:.4f} a GPU-hour "
                f"({rate.origin})"
                if rate
                else "rate unknown: no committed rows of this type on the bill"
            ),
            why=(
                f"At least {base:.1f} GPUs ran on demand in every hour of the last {len(weeks)} full weeks; "
                f"week over week the mean {_moved(change)}."
            ),
            confidence="high" if pool.hourly else "low",
            claims=claims,
            rows=sum(line.rows for line in lines),
            cost=cost,
            evidence=evidence_of(spend, lines),
            needs=needs,
            amount_known=rate is not None,
            facts={"base_gpus": base, "covered_gpu_hours": covered, "max_week_over_week": change, "weeks": len(weeks)},
        )


def _mostly_non_production(lines: list[Line], settings: OverspendSettings) -> bool:
    """Machines that should be off at night are not what one commits to."""
    values = {value.lower() for value in settings.non_production}
    part = sum((line.cost for line in lines if (line.environment or "").lower() in values), Decimal(0))
    return part * 2 > sum((line.cost for line in lines), Decimal(0))


def _text(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def _pools(spend: Spend) -> list[_Pool]:
    pools: dict[tuple[str | None, str | None, str], tuple[dict[datetime, Decimal], list[int]]] = {}
    for provider, region, item, hour, quantity, rows, hourly in spend.connection.execute(
        "SELECT provider, region, instance_type, hour, gpu_hours, rows, hourly_rows FROM hours WHERE instance_type IS "
        "NOT NULL "
        "ORDER BY provider, region, instance_type, hour"
    ).fetchall():
        series, counts = pools.setdefault((provider, region, item), ({}, [0, 0]))
        series[hour] = quantity
        counts[0] += rows
        counts[1] += hourly
    return [
        _Pool(provider, region, item, series if counts[0] == counts[1] else _spread(series), counts[0] == counts[1])
        for (provider, region, item), (series, counts) in pools.items()
    ]


def _spread(days: dict[datetime, Decimal]) -> dict[datetime, Decimal]:
    """Daily quantities laid evenly over their 24 hours: all that a daily bill can show."""
    return {day + timedelta(hours=hour): quantity / 24 for day, quantity in days.items() for hour in range(24)}


def _full_weeks(hours: dict[datetime, Decimal], count: int) -> list[list[Decimal]] | None:
    """The last ``count`` weeks of 168 hours that end with the series; a missing hour is an hour without demand."""
    end = max(hours) + timedelta(hours=1)
    start = end - timedelta(hours=_HOURS_A_WEEK * count)
    if start < min(hours):
        return None
    nothing = Decimal(0)
    return [
        [hours.get(start + timedelta(hours=_HOURS_A_WEEK * week + hour), nothing) for hour in range(_HOURS_A_WEEK)]
        for week in range(count)
    ]


def _weekly_means(hours: dict[datetime, Decimal], count: int) -> list[Decimal] | None:
    weeks = _full_weeks(hours, count)
    return None if weeks is None else [sum(week, Decimal(0)) / _HOURS_A_WEEK for week in weeks]


def _largest_change(means: list[Decimal]) -> Decimal:
    """Largest |week-over-week change| of the weekly means; a week without demand counts as a change of 100%."""
    return max(
        (
            abs(share(later - earlier, earlier)) if earlier > 0 else Decimal(1)
            for earlier, later in itertools.pairwise(means)
        ),
        default=Decimal(1),
    )


def _base(hours: dict[datetime, Decimal], count: int) -> Decimal:
    weeks = _full_weeks(hours, count)
    return min((min(week) for week in weeks), default=Decimal(0)) if weeks else Decimal(0)


def _moved(change: Decimal) -> str:
    """``moved by at most 3.4%``, and in words what a percentage would round to nothing."""
    if change == 0:
        return "did not move"
    said = percent(change, to_tenths=True)
    return f"moved by {said}" if said.startswith("under") else f"moved by at most {said}"
