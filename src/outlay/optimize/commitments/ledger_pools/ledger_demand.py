"""Demand of a ledger, pool by pool: from the bill where it knows the GPUs, else from telemetry; never both added.

The bill is preferred: it knows the region, the kind of work and the price, and it speaks of every GPU that was paid
for. Telemetry sees the same cards, so a type of GPU that the bill knows is not taken from telemetry as well; one that
is on no bill (bought machines, another company's cloud) is. GPUs that telemetry can't name are taken only where there
is no bill of GPUs at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from outlay.ledger.store import Ledger
from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.metrics.relations import COSTS, RELATIONS
from outlay.metrics.views import open_view
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.ledger_pools.bill_demand import bill_demand
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN, LedgerDemand, PoolDemand
from outlay.optimize.commitments.ledger_pools.telemetry_demand import telemetry_demand

if TYPE_CHECKING:
    import duckdb

__all__ = ["ledger_demand"]

_NAMED = 3


def ledger_demand(
    connection: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    tags: Sequence[str] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    as_of: str | None = None,
) -> LedgerDemand:
    """Hourly demand in ``[since, until)``. Raises :class:`outlay.errors.LedgerError` where there is no ledger."""
    costs = open_view(connection, ledger, RELATIONS[COSTS], tags, as_of=as_of)
    usage = open_view(connection, ledger, RELATIONS[GPU_USAGE.name], tags, as_of=as_of)
    billed, left_out = bill_demand(connection, costs.version, since=since, until=until)
    seen = telemetry_demand(connection, usage.version, since=since, until=until)
    on_bill = {one.pool.gpu for one in billed} | ({UNKNOWN} if billed else set())
    twice = [one for one in seen if one.pool.gpu in on_bill]
    notes = (_taken_from_the_bill(twice),) if twice else ()
    pools = [*billed, *(one for one in seen if one.pool.gpu not in on_bill)]
    return LedgerDemand(tuple(sorted(pools, key=lambda one: one.pool)), left_out, notes)


def _taken_from_the_bill(seen: Sequence[PoolDemand]) -> str:
    """One sentence, however many types of GPU telemetry tells beside the bill."""
    names = ["GPUs without a type" if one.pool.gpu == UNKNOWN else one.pool.gpu for one in seen]
    types = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
    hours = gpus(sum(one.demand.total for one in seen))
    return f"Telemetry also tells {hours:,.0f} GPU-hours of {types}: the bill is taken, never both."
