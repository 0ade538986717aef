"""What is owned and what became of it: commitments against demand, by the bill first, computed where it is silent.

Each commitment and each day has one teller. Where the bill has Used or Unused rows of the commitment on that day, they
are the truth. Where it has none, and the list of commitments says which GPUs are held, use is computed hour by hour
from demand that no commitment on the bill served (:mod:`outlay.optimize.commitments.holdings.serving`).

Nothing is computed in hours whose demand nobody knows, for GPUs of which the ledger has no demand at all, and for a
commitment that is on no bill while the bill names others of the same GPUs that the list does not have: it may be one of
them under another id, and would be counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from outlay.ledger.store import Ledger
from outlay.ledger.tables.commitments import COMMITMENTS
from outlay.optimize.commitments.holdings.billed import Billed, Place, billed_commitments, unused_by_hour
from outlay.optimize.commitments.holdings.held import Held, Unheld, held_commitments, same_commitment
from outlay.optimize.commitments.holdings.owned_days import commitment_uses, holdings
from outlay.optimize.commitments.holdings.ownership import Expiry, Ownership
from outlay.optimize.commitments.holdings.serving import Computed, PlanRate, compute
from outlay.optimize.commitments.ledger_pools.axis import Axis, axis_of
from outlay.optimize.commitments.ledger_pools.ledger_demand import ledger_demand

if TYPE_CHECKING:
    import duckdb

__all__ = ["owned"]

_DAY = timedelta(days=1)


def owned(
    connection: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    tags: Sequence[str] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    at: datetime | None = None,
    rates: Mapping[str, Mapping[str, PlanRate]] | None = None,
    as_of: str | None = None,
) -> Ownership:
    """What was owned in ``[since, until)``; what ends is told as of ``at``, the end of demand unless given.

    ``rates`` are those of commitments of money, by commitment and pool. Raises
    :class:`outlay.errors.LedgerError` where there is no ledger.
    """
    demand = ledger_demand(connection, ledger, tags, since=since, until=until, as_of=as_of)
    version = ledger.register_facts(connection, COMMITMENTS, tags, as_of=as_of)
    billed = billed_commitments(connection, since=since, until=until)
    listed, left_out = held_commitments(connection)
    matched = {one.id: tuple(b for b in billed if same_commitment(one.id, b.id)) for one in listed}
    held = tuple(_from_bill(one, matched[one.id]) for one in listed)
    why = "neither the list nor the bill says which GPUs it holds"
    left_out += tuple(Unheld(one.id, why, one.sources) for one in held if one.gpu is None and not one.by_money)
    held = tuple(one for one in held if one.gpu is not None or one.by_money)
    axis = axis_of(demand)
    computed = compute(held, matched, billed, axis, rates or {})
    unused = unused_by_hour(connection, axis.first, axis.length)
    end = at or axis.end or until
    told = [day for one in billed for days in one.days.values() for day in days]
    first = min((one for one in (axis.start, *map(_midnight, told)) if one is not None), default=None)
    last = max((one for one in (axis.end, *(_midnight(day + _DAY) for day in told)) if one is not None), default=None)
    spread = frozenset(one.pool.name for one in demand.pools if one.widest > 1)
    tables = {one.table: one.version for one in demand.pools if one.version is not None}
    return Ownership(
        since=since or first,
        until=until or last,
        at=end,
        demand=demand,
        holdings=holdings(axis, held, billed, computed),
        commitments=commitment_uses(held, matched, billed, computed, axis, spread=spread),
        expiries=_expiries(held, end),
        left_out=left_out,
        hourly=_hourly(axis, held, computed, unused),
        tables=tables | ({COMMITMENTS.name: version} if version is not None else {}),
        notes=_notes(version, held),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _from_bill(one: Held, billed: Sequence[Billed]) -> Held:
    """The GPU and the region of a commitment that the list does not tell, where the bill has it in one place."""
    places = {place for b in billed for place in b.places}
    if one.gpu is not None or one.by_money or len(places) != 1:
        return one
    gpu, region = places.pop()
    return replace(one, gpu=gpu, region=one.region or region)


def _expiries(held: Sequence[Held], at: datetime | None) -> tuple[Expiry, ...]:
    """Commitments in force at ``at``, the first to end first."""
    return tuple(
        Expiry(one.until, (one.until - at).days, one.id, one.gpu, one.region, one.gpus, one.hourly_cost, one.currency)
        for one in held
        if at is not None and one.since <= at < one.until
    )


def _hourly(
    axis: Axis, held: Sequence[Held], computed: Computed, unused: Mapping[Place, NDArray[np.int64]]
) -> dict[str, NDArray[np.int64]]:
    """GPUs by pool and hour of its demand. What nobody used is the largest pool's: it changes no sum of the place."""
    idle = {place: line.copy() for place, line in unused.items()}
    for one in held:
        if not one.by_money and (served := computed.served.get(one.id)) is not None:
            place = axis.place_of(one.gpu, one.region)
            idle[place] = idle.get(place, np.zeros(axis.length, dtype=np.int64)) + served.held - served.used
    largest: dict[Place, str] = {}
    for pool in sorted(axis.pools, key=lambda pool: int(pool.nanos.sum())):
        largest[pool.place] = pool.name
    found = {}
    for pool in axis.pools:
        line = computed.covered[pool.name].copy()
        if largest[pool.place] == pool.name and pool.place in idle:
            line += idle[pool.place]
        found[pool.name] = np.where(pool.known, line, 0)[pool.start : pool.stop]
    return found


def _notes(version: int | None, held: Sequence[Held]) -> tuple[str, ...]:
    notes = []
    if version is None:
        notes.append(
            "No list of commitments is loaded: terms, ends and prices are not known beyond what the bill shows. "
            "Load one with `outlay load` (docs/sources: aws-commitments, azure-reservations, gcp-commitments, "
            "focus-commitments)."
        )
    if stateless := sum(one.status is None for one in held):
        notes.append(
            f"The state of {stateless} listed commitments is not told: they are taken as in force by their term."
        )
    return tuple(notes)
