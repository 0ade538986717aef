"""Price history: what an hour of a pool's GPU, and of what could take its place, cost on which day.

From the *bill*, what the on-demand hours of a machine cost in each month, amount / GPU-hours, dated to its first day;
from the user's *price file*, the rates with a ``valid_from``; from *tables* of prices, the first day of a price,
and the day on which it was read and still held. :mod:`~.price_decline` makes a decline of them.

Newer hardware (:attr:`outlay.prices.gpus.Gpu.successors`) has prices of its own. How much more work it does in an hour
is not known here: memory bandwidth is shown as a prior and used for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from outlay.ledger.engine.duckdb import literal
from outlay.money import share
from outlay.optimize.commitments.ledger_pools.bill_demand import COST_SQL, KIND_SQL, USAGE_SQL
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN
from outlay.optimize.commitments.outlook.price_decline import DatedPrice, Kind
from outlay.prices.gpu_prices import GpuPrice, GpuPrices
from outlay.prices.gpus import gpu, provider_slug

if TYPE_CHECKING:
    import duckdb

__all__ = ["BillPrices", "Candidate", "PriceHistory", "bill_prices", "place_of", "price_history"]

BillPrices = Mapping[tuple[str, str], Sequence[DatedPrice]]
"""By GPU and region."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A newer GPU that is for sale in the region: its cheapest price that holds, and how that fell."""

    gpu: str
    price: DatedPrice
    prices: tuple[DatedPrice, ...]
    bandwidth_ratio: Decimal | None


@dataclass(frozen=True, slots=True)
class PriceHistory:
    """All dated prices of a pool's GPU in its region, and of what could take its place; ``why`` there are none."""

    prices: tuple[DatedPrice, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    why: str | None = None


def place_of(pool: str) -> tuple[str, str] | str:
    """GPU and region of a pool's name (``H100/us-east-1/inference``), or why it has none."""
    parts = pool.split("/")
    if len(parts) != 3 or UNKNOWN in parts[:2]:
        return "the pool's name tells no GPU and region (H100/us-east-1/inference does)"
    if gpu(parts[0]) is None:
        return f"'{parts[0]}' is no GPU that the price tables know by this name"
    return parts[0], parts[1]


def price_history(
    pool: str, bill: BillPrices, tables: GpuPrices, today: date | None, also: Sequence[str] = ()
) -> PriceHistory:
    """What is known of the pool's GPU by ``today``. ``also`` names GPUs that the user holds for successors."""
    place = place_of(pool)
    if isinstance(place, str):
        return PriceHistory(why=place)
    name, region = place
    card = gpu(name)
    known = _Known(region, bill, tables, today)
    newer = dict.fromkeys((*(card.successors if card is not None else ()), *also))
    candidates = (known.candidate(other, name) for other in newer if other != name)
    return PriceHistory(known.prices(name), tuple(one for one in candidates if one is not None))


@dataclass(frozen=True, slots=True)
class _Known:
    """The prices of a region as far as they were known on a day."""

    region: str
    bill: BillPrices
    tables: GpuPrices
    today: date | None

    def prices(self, name: str) -> tuple[DatedPrice, ...]:
        listed = (one for price in self.tables.dated(name, self.region) for one in _dates(price))
        told = (*self.bill.get((name, self.region), ()), *listed)
        return tuple(one for one in told if self.today is None or one.on <= self.today)

    def candidate(self, name: str, of: str) -> Candidate | None:
        """None where it has no price. What the bill shows last wins over tables; else the cheapest that holds."""
        prices = self.prices(name)
        billed = [one for one in prices if one.kind == "bill"]
        last = max((one.on for one in billed), default=None)
        holding = [one for one in billed if one.on == last] or self._holding(name, prices)
        best = min(holding, key=lambda one: one.price, default=None)
        return None if best is None else Candidate(name, best, prices, _bandwidth(name, of))

    def _holding(self, name: str, prices: Sequence[DatedPrice]) -> list[DatedPrice]:
        day = self.today or max((one.on for one in prices), default=date.min)
        machines = sorted({(one.provider, one.instance_type) for one in self.tables.dated(name, self.region)})
        asked = (self.tables.price(provider, kind, self.region, "on_demand", day) for provider, kind in machines)
        return [
            _dated(one, one.as_of or one.valid_from or day) for one in asked if one is not None and one.per_gpu_hour
        ]


def _dates(price: GpuPrice) -> Iterable[DatedPrice]:
    """A table's price on its first day, and on the day it was read if it still held."""
    days = {price.valid_from}
    if price.as_of is not None and (price.valid_to is None or price.as_of < price.valid_to):
        days.add(price.as_of)
    told = sorted(one for one in days if one is not None and one >= (price.valid_from or one))
    # A rate of nothing has no logarithm, and nothing to fall from.
    return (_dated(price, day) for day in told if price.per_gpu_hour)


def _dated(price: GpuPrice, day: date) -> DatedPrice:
    assert price.per_gpu_hour is not None
    kind: Kind = "price file" if price.yours else "catalogue"
    machine = f"{price.provider} {price.instance_type}"
    everywhere = price.region is None
    return DatedPrice(day, price.per_gpu_hour, price.currency, kind, price.source, machine, price.stale, everywhere)


def _bandwidth(name: str, of: str) -> Decimal | None:
    one, other = gpu(name), gpu(of)
    if one is None or other is None or not one.memory_bandwidth_gb_s or not other.memory_bandwidth_gb_s:
        return None
    return round(Decimal(one.memory_bandwidth_gb_s) / other.memory_bandwidth_gb_s, 2)


def bill_prices(
    connection: duckdb.DuckDBPyConnection, until: datetime | None = None
) -> dict[tuple[str, str], list[DatedPrice]]:
    """What on-demand GPU-hours of the view ``costs`` cost, by GPU and region: one price a machine and month."""
    before = "true" if until is None else f'"ChargePeriodStart" < {literal(str(until))}::TIMESTAMP'
    found: dict[tuple[str, str], list[DatedPrice]] = {}
    for name, region, provider, machine, currency, month, cost, hours in connection.execute(
        f"""SELECT "x_GpuType", "RegionId", "ServiceProviderName", "x_InstanceType", "BillingCurrency",
            date_trunc('month', "ChargePeriodStart")::DATE AS month, sum({COST_SQL}), sum("x_GpuHours")
            FROM costs WHERE {USAGE_SQL} AND {before} AND {KIND_SQL} = 'on_demand' AND "x_GpuType" IS NOT NULL
            AND "RegionId" IS NOT NULL AND "x_InstanceType" IS NOT NULL GROUP BY ALL ORDER BY ALL"""
    ).fetchall():
        sold = f"{provider_slug(provider) or provider} {machine}"
        told = DatedPrice(month, share(cost, hours), currency, "bill", "costs", sold)
        found.setdefault((name, region), []).append(told)
    return found
