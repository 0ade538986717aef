"""What the bill says of commitments: which of them served GPUs, and what of them went unused.

FOCUS marks usage that a commitment served with ``CommitmentDiscountStatus`` Used, and its idle part with Unused; their
EffectiveCost is what was paid for either. Corrections of these rows are netted. The bill is the truth where it speaks.

    unused GPU-hours = unused hours of instances x x_GpuCount

The hours are CommitmentDiscountQuantity where its unit is hours, else PricingQuantity. A row in another unit (AWS'
normalised hours, money of a savings plan) has unused money and no GPU-hours.

A row of several days is parted over them by its hours, the last day taking what is left, so that the days add up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from outlay.ledger.units import parse_unit
from outlay.money import MONEY_SCALE, add_exactly
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.ledger_pools.hours import HOUR_SQL, laid, span_sql
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN
from outlay.prices.gpus import provider_slug

if TYPE_CHECKING:
    import duckdb

__all__ = ["Billed", "BilledDay", "Place", "billed_commitments", "unused_by_hour"]

Place = tuple[str, str]
"""GPU type and region, ``-`` where unknown."""

_WIDE = Context(prec=80)
_STEP = Decimal(1).scaleb(-MONEY_SCALE)
_HOUR = timedelta(hours=1)
_ZERO = Decimal(0)


@dataclass(slots=True)
class BilledDay:
    """A commitment's day on the bill. ``unused_hours`` is None where some unused rows do not say how many GPUs."""

    used_hours: Decimal = _ZERO
    used_cost: Decimal = _ZERO
    unused_cost: Decimal = _ZERO
    unused_hours: Decimal | None = _ZERO
    rows: int = 0

    def add(self, other: BilledDay) -> None:
        """Another part of the same day."""
        self.used_hours = add_exactly((self.used_hours, other.used_hours))
        self.used_cost = add_exactly((self.used_cost, other.used_cost))
        self.unused_cost = add_exactly((self.unused_cost, other.unused_cost))
        unknown = self.unused_hours is None or other.unused_hours is None
        self.unused_hours = None if unknown else add_exactly((self.unused_hours or _ZERO, other.unused_hours or _ZERO))
        self.rows += other.rows


@dataclass(slots=True)
class Billed:
    """A commitment as the bill has it, by place and day; the place without a GPU has what other things used of it."""

    id: str
    name: str | None
    kind: str | None
    category: str | None
    provider: str | None
    currency: str
    days: dict[Place, dict[date, BilledDay]] = field(default_factory=dict)

    @property
    def places(self) -> list[Place]:
        """Where it served GPUs, or could have."""
        return [place for place in self.days if place[0] != UNKNOWN]

    def total(self, *, of_gpus: bool) -> BilledDay:
        """All days of the places with GPUs, or of what has none."""
        found = BilledDay()
        for place, days in self.days.items():
            if (place[0] != UNKNOWN) == of_gpus:
                for one in days.values():
                    found.add(one)
        return found

    def settle(self) -> None:
        """Unused rows that name no GPU are those of the one kind of GPU that a commitment to machines served."""
        unnamed = [place for place in self.days if place[0] == UNKNOWN]
        if self.category == "Spend" or len(self.places) != 1:
            return
        if any(one.used_cost or one.used_hours for place in unnamed for one in self.days[place].values()):
            return
        (only,) = self.places
        for place in unnamed:
            for day, one in self.days.pop(place).items():
                self.days[only][day].add(one)


def billed_commitments(
    connection: duckdb.DuckDBPyConnection, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[Billed, ...]:
    """Commitments of the view ``costs`` that served a GPU, or whose unused rows name one, in the order of their ids.

    One that is billed in several currencies is found once for each.
    """
    start, end = '"ChargePeriodStart"', '"ChargePeriodEnd"'
    last = f"greatest(coalesce({end}, {start} + INTERVAL 1 DAY) - INTERVAL 1 MICROSECOND, {start})"
    within = f"CAST({start} AS DATE) = CAST({last} AS DATE)"
    window = " AND ".join(
        [
            '"ChargeCategory" = \'Usage\' AND "CommitmentDiscountId" IS NOT NULL',
            "\"CommitmentDiscountStatus\" IN ('Used', 'Unused') AND \"EffectiveCost\" IS NOT NULL",
            *([f"{start} < TIMESTAMP '{until}'"] if until else []),
            *([f"{last} >= TIMESTAMP '{since}'"] if since else []),
        ]
    )
    rows = connection.execute(
        f"""SELECT "CommitmentDiscountId", "BillingCurrency", "CommitmentDiscountStatus", "x_GpuType",
            coalesce("RegionId", '-'), CASE WHEN {within} THEN date_trunc('day', {start}) ELSE {start} END AS begin,
            CASE WHEN {within} THEN 0 ELSE {span_sql(start, end)} END AS span, "PricingUnit", "CommitmentDiscountUnit",
            "x_GpuCount", any_value("CommitmentDiscountName"), any_value("CommitmentDiscountType"),
            any_value("CommitmentDiscountCategory"), any_value("ServiceProviderName"), sum("EffectiveCost"),
            sum("x_GpuHours"), sum("PricingQuantity"), sum("CommitmentDiscountQuantity"), count(*)
            FROM costs WHERE {window} AND "CommitmentDiscountId" IN (SELECT DISTINCT "CommitmentDiscountId" FROM costs
                WHERE {window} AND "x_GpuType" IS NOT NULL)
            GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    found: dict[tuple[str, str], Billed] = {}
    for identity, currency, status, gpu, region, begin, span, *rest in rows:
        units, about, sums = rest[:3], rest[3:7], rest[7:]
        name, kind, category, provider = about
        slug = provider_slug(provider) or provider
        one = found.setdefault((identity, currency), Billed(identity, name, kind, category, slug, currency))
        whole = _day(status, tuple(units), sums)
        days = one.days.setdefault((gpu or UNKNOWN, region), defaultdict(BilledDay))
        for day, part in _parted(whole, begin, span):
            if (since is None or day >= since.date()) and (until is None or day < _day_after(until)):
                days[day].add(part)
    for one in found.values():
        one.settle()
    return tuple(found[key] for key in sorted(found))


def unused_by_hour(connection: duckdb.DuckDBPyConnection, first: int, length: int) -> dict[Place, NDArray[np.int64]]:
    """Unused GPUs by the hour from ``first`` on, in billionths, of rows that say how many; corrections are left out."""
    start, end = '"ChargePeriodStart"', '"ChargePeriodEnd"'
    rows = connection.execute(
        f"""SELECT "x_GpuType", coalesce("RegionId", '-'), {HOUR_SQL.format(start)} AS hour,
            {span_sql(start, end)} AS span, "PricingUnit", "CommitmentDiscountUnit", "x_GpuCount",
            sum("PricingQuantity"),
            sum("CommitmentDiscountQuantity") FROM costs WHERE "ChargeCategory" = 'Usage' AND "x_GpuType" IS NOT NULL
            AND "CommitmentDiscountStatus" = 'Unused' AND "EffectiveCost" >= 0
            AND "ChargeClass" IS DISTINCT FROM 'Correction' GROUP BY ALL"""
    ).fetchall()
    slots: dict[Place, int] = {}
    told = []
    for gpu, region, hour, span, *units, quantity, discount_quantity in rows:
        hours = _unused_hours((units[0], units[1], units[2]), quantity, discount_quantity)
        if hours is not None and first - span < hour < first + length:
            told.append((slots.setdefault((gpu, region), len(slots)), hour, span, int(hours * NANOS)))
    columns = np.array(told, dtype=np.int64).reshape(-1, 4).T
    named = dict(zip(("slot", "hour", "span", "nanos"), columns, strict=True))
    return dict(zip(slots, laid(named, len(slots), first, length), strict=True))


def _day_after(until: datetime) -> date:
    return (until - timedelta(microseconds=1)).date() + timedelta(days=1)


def _day(status: str, units: tuple[str | None, str | None, Decimal | None], sums: list[Decimal | None]) -> BilledDay:
    cost, gpu_hours, quantity, discount_quantity, rows = sums
    assert cost is not None
    count = int(rows or 0)
    if status == "Used":
        return BilledDay(used_hours=gpu_hours or _ZERO, used_cost=cost, rows=count)
    hours = _unused_hours(units, quantity, discount_quantity)
    return BilledDay(unused_cost=cost, unused_hours=hours, rows=count)


def _unused_hours(
    units: tuple[str | None, str | None, Decimal | None], quantity: Decimal | None, discount_quantity: Decimal | None
) -> Decimal | None:
    pricing_unit, discount_unit, gpus = units
    told, unit = (discount_quantity, discount_unit) if discount_quantity is not None else (quantity, pricing_unit)
    if told is None or unit is None or gpus is None:
        return None
    factor = _gpu_hours_a_unit(unit, gpus)
    return None if factor is None else _WIDE.multiply(told, factor)


@lru_cache(maxsize=256)
def _gpu_hours_a_unit(unit: str, gpus: Decimal) -> Decimal | None:
    found = parse_unit(unit)
    if found.kind == "gpu_hours":
        return found.hours
    return None if found.kind != "hours" or found.hours is None else found.hours * gpus


def _parted(whole: BilledDay, begin: datetime, span: int) -> Iterator[tuple[date, BilledDay]]:
    """A row's quantities by day, in proportion to its hours in each."""
    if not span:
        yield begin.date(), whole
        return
    hours: dict[date, int] = {}
    for number in range(span):
        day = (begin + number * _HOUR).date()
        hours[day] = hours.get(day, 0) + 1
    parts = {name: _shares(getattr(whole, name), hours, span) for name in ("used_hours", "used_cost", "unused_cost")}
    unused = None if whole.unused_hours is None else _shares(whole.unused_hours, hours, span)
    for number, day in enumerate(hours):
        said: Mapping[str, Decimal] = {name: values[number] for name, values in parts.items()}
        rows = whole.rows if number == 0 else 0
        yield day, BilledDay(**said, unused_hours=None if unused is None else unused[number], rows=rows)


def _shares(total: Decimal, hours: Mapping[date, int], span: int) -> list[Decimal]:
    """``total`` in proportion to ``hours``, each at 18 decimals, adding up to it."""
    found, given, passed = [], _ZERO, 0
    for count in hours.values():
        passed += count
        upto = total
        if passed < span:
            upto = _WIDE.divide(_WIDE.multiply(total, Decimal(passed)), Decimal(span)).quantize(
                _STEP, ROUND_HALF_EVEN, _WIDE
            )
        found.append(_WIDE.subtract(upto, given))
        given = upto
    return found
