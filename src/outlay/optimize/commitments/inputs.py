"""What a plan is made of: demand, offers, what is owned; from files, or from the ledger where no file is given.

From the ledger, a pool's demand is what the bill (else telemetry) says was in use, what is owned is what the bill and
the list of commitments say, and an offer that leaves out the on-demand price takes what the pool's on-demand hours of
the last thirty days cost on the bill: what is really paid, never a list. An offer in another currency takes none.

A commitment serves a GPU type in a region, whatever the work; so of each one a pool has the part that its demand used
in the last week.

Dated prices (:mod:`~.outlook.price_history`) come from tables, and from the bills of a ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from outlay.config import CommitmentSettings
from outlay.errors import UsageError, nearest
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.optimize.commitments.demand import HOURS_A_WEEK, NANOS, Demand
from outlay.optimize.commitments.demand_file import read_demand
from outlay.optimize.commitments.holdings.owned import owned
from outlay.optimize.commitments.holdings.ownership import Expiry, Ownership
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN, LedgerDemand
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.offers.offer_file import EVERY_POOL, read_offers
from outlay.optimize.commitments.outlook.price_decline import DatedPrice
from outlay.optimize.commitments.outlook.price_history import (
    BillPrices,
    PriceHistory,
    bill_prices,
    place_of,
    price_history,
)
from outlay.optimize.commitments.plan import Plan, plan, today_of
from outlay.periods import parse_day
from outlay.prices.gpu_prices import GpuPrices
from outlay.problems import Problem

__all__ = ["Inputs", "NoGpuHoursError", "Tables", "inputs_from_files", "inputs_from_ledger", "owned_by_pool", "plan_of"]

_LAG_HOURS = 48
_STEADY_HOURS = 4 * HOURS_A_WEEK
_STEADY = 0.95
"""Share of the hours in which a pool is in use that is nearly always so, as a continuous pipeline is."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Demand a pool, the offers, what is owned and what was paid by pool, and what to know of them.

    ``names`` are all pools that the demand has, also those that were not asked for.
    """

    demands: tuple[Demand, ...]
    offers: tuple[Offer, ...]
    owned: Mapping[str, Sequence[Owned]]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    histories: Mapping[str, PriceHistory] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    billed: Mapping[str, Sequence[DatedPrice]] = field(default_factory=dict)
    """What the bill paid on demand in each month, by pool: of those whose GPUs are of one machine."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables of dated prices, and the GPUs that the settings name as successors."""

    prices: GpuPrices
    successors: tuple[str, ...] = ()

    @classmethod
    def of(cls, prices: GpuPrices, settings: CommitmentSettings) -> Tables:
        """With the successors that the settings name."""
        return cls(prices, tuple(one.successor for one in settings.pools if one.successor is not None))


def plan_of(
    given: Inputs,
    settings: CommitmentSettings,
    *,
    paths: int | None = None,
    parallel: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """The plan of all inputs as of the end of their demand: what is shown, and what stands."""
    return plan(
        given.demands,
        given.offers,
        settings,
        owned=given.owned,
        histories=given.histories,
        today=today_of(given.demands),
        paths=paths,
        notes=given.notes,
        parallel=parallel,
        progress=progress,
    )


class NoGpuHoursError(UsageError):
    """The ledger knows of no GPU that was ever used."""


def inputs_from_files(
    demand: Path,
    offers: Path | None,
    *,
    pools: Sequence[str] = (),
    as_of: str | None = None,
    tables: Tables | None = None,
) -> Inputs:
    """Of ``--demand`` and ``--offers``; nothing is owned."""
    file = read_demand(demand, pools)
    cut = tuple(_until(one, as_of) for one in file.pools)
    read = read_offers(offers) if offers is not None else ()
    if pools:
        left_out = {name for name in file.names if name not in pools}
        read = tuple(one for one in read if not left_out.intersection(one.pools))
    return Inputs(cut, read, {}, file.problems, histories=_histories(cut, {}, tables), names=file.names)


def inputs_from_ledger(
    ledger: Ledger,
    tags: Sequence[str],
    offers: Path | None,
    *,
    pools: Sequence[str] = (),
    as_of: str | None = None,
    tables: Tables | None = None,
) -> Inputs:
    """Of the ledger's bills, telemetry and commitments. Raises :class:`NoGpuHoursError` where it knows none."""
    until = None if as_of is None else parse_day(as_of, name="--as-of")
    with session() as connection:
        found = owned(connection, ledger, tags, until=until, at=until)
        paid = bill_prices(connection, until)
    known = [one.pool.name for one in found.demand.pools]
    if not known:
        raise NoGpuHoursError(
            "the ledger knows no GPU-hours" + (f" before {as_of}." if as_of else "."),
            where=str(ledger.path),
            hint="Load a bill or telemetry with GPUs, or give --demand FILE.",
        )
    for name in pools:
        if name not in known:
            raise UsageError(f"the ledger has no pool '{name}'.", where="--pool", hint=nearest(name, known))
    cut = [_without_lag(one.demand) for one in found.demand.pools if not pools or one.pool.name in pools]
    chosen = tuple(demand for demand, _ in cut)
    read = read_offers(offers) if offers is not None else ()
    asked = [_for(read, name) for name in known if not pools or name in pools]
    shared = [offer for offer in read if len(offer.pools) > 1 and set(offer.pools) <= {one.pool for one in chosen}]
    priced = tuple(_priced(offer, found.demand) for listed in asked for offer in listed)
    return Inputs(
        chosen,
        (*priced, *shared),
        owned_by_pool(found),
        notes=(*_unused(read, known), *(note for _, note in cut if note), *found.demand.notes, *found.notes),
        histories=_histories(chosen, paid, tables),
        names=tuple(known),
        billed={one.pool: _of_one_machine(one.pool, paid) for one in chosen},
    )


def _without_lag(demand: Demand) -> tuple[Demand, str]:
    """Without the last hours that nobody used, of a pool that was nearly always in use; and a note of it.

    A bill's services come in at their own pace, a day or two late: storage of yesterday is there before the machines
    are. Taken for zero, two such days are a drop by 29 % that withdraws what stands. Work that did end is seen as soon
    as the stretch is longer than a bill lags.
    """
    used = np.flatnonzero(demand.nanos)
    idle = len(demand) - 1 - int(used[-1]) if len(used) else 0
    if not 0 < idle <= _LAG_HOURS:
        return demand, ""
    cut = demand.part(0, len(demand) - idle)
    before = cut.last(_STEADY_HOURS)
    if int(np.count_nonzero(before.nanos)) < _STEADY * before.hours:
        return demand, ""
    return cut, (
        f"{demand.pool}: nothing was used in the last {idle} hours that the bill speaks of, and nearly always before. "
        "Bills lag by a day or two, so these hours are taken as unknown."
    )


def _of_one_machine(pool: str, paid: BillPrices) -> Sequence[DatedPrice]:
    """None where the pool's GPUs are of several machines: their mean falls when work moves, which is no price."""
    place = place_of(pool)
    found = [] if isinstance(place, str) else paid.get(place, [])
    if len({(one.machine, one.currency) for one in found}) != 1:
        return []
    return [replace(one, price=round(one.price, 12)) for one in found]


def _unused(offers: Sequence[Offer], known: Sequence[str]) -> list[str]:
    """A sentence for each offer that no pool of the ledger can use: most often a slip of the pen."""
    return [
        f"{one.where}: the offer '{one.name}' for {one.pool} is not used, the ledger has no such pool. "
        + nearest(next(name for name in one.pools if name not in (*known, EVERY_POOL)), known)
        for one in offers
        if any(name not in (*known, EVERY_POOL) for name in one.pools)
    ]


def _histories(demands: Sequence[Demand], paid: BillPrices, tables: Tables | None) -> dict[str, PriceHistory]:
    """What was known of prices at the end of the demand."""
    if tables is None:
        return {}
    today = today_of(demands)
    return {one.pool: price_history(one.pool, paid, tables.prices, today, tables.successors) for one in demands}


def _until(demand: Demand, as_of: str | None) -> Demand:
    if as_of is None:
        return demand
    moment: datetime | int = int(as_of) if as_of.isdecimal() else parse_day(as_of, name="--as-of")
    cut = demand.before(moment)
    if not len(cut):
        raise UsageError(
            f"nothing is known of {demand.pool} before {as_of}.", where="--as-of", hint=f"It begins at {demand.first}."
        )
    return cut


def _for(offers: Sequence[Offer], pool: str) -> list[Offer]:
    """The offers of one pool, those for every pool made its own."""
    return [replace(one, pools=(pool,)) for one in offers if one.pools in ((pool,), (EVERY_POOL,))]


def _priced(offer: Offer, demand: LedgerDemand) -> Offer:
    """With the on-demand price that the bill shows, where the offer tells none."""
    if offer.on_demand_price is not None:
        return offer
    rate = demand.pool(offer.pool).on_demand
    if rate.unit_price is None or rate.currency != offer.currency:
        return offer
    since, until = (f"{moment:%Y-%m-%d}" if moment else "?" for moment in (rate.since, rate.until))
    said = f"on-demand: paid by the bill, {since} to {until}"
    return replace(
        offer,
        on_demand_price=round(rate.unit_price, 12),
        paid_by_bill=True,
        source=f"{offer.source}; {said}" if offer.source else said,
    )


def owned_by_pool(found: Ownership) -> dict[str, list[Owned]]:
    """What stands now, by pool: each commitment split by who used it in the last week, and what only the bill tells."""
    last: dict[str, int] = {
        one.pool.name: int(found.hourly[one.pool.name][-HOURS_A_WEEK:].sum())
        // max(1, min(HOURS_A_WEEK, len(one.demand)))
        for one in found.demand.pools
    }
    result: dict[str, list[Owned]] = {name: [] for name in last}
    for expiry in found.expiries:
        for name, share in _shares(expiry, found, last).items():
            nanos = int((expiry.gpus or Decimal(0)) * NANOS * share)
            if nanos:
                result[name].append(Owned(nanos, expiry.at.date(), expiry.id))
    for name, level in last.items():
        more = level - sum(one.nanos for one in result[name])
        if more > 0:
            result[name].append(Owned(more, None, "told by the bill alone"))
    return result


def _shares(expiry: Expiry, found: Ownership, last: Mapping[str, int]) -> dict[str, Decimal]:
    fits = [
        one.pool.name
        for one in found.demand.pools
        if one.pool.gpu == expiry.gpu and (expiry.region is None or one.pool.region in (expiry.region, UNKNOWN))
    ]
    total = sum(last[name] for name in fits)
    if total:
        return {name: Decimal(last[name]) / total for name in fits}
    largest = max(fits, key=lambda name: found.demand.pool(name).demand.total, default=None)
    return {} if largest is None else {largest: Decimal(1)}
