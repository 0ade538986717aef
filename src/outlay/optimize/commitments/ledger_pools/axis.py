"""One axis of hours for all pools, so that commitments that serve several of them can be taken hour by hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from outlay.optimize.commitments.holdings.billed import Place
from outlay.optimize.commitments.ledger_pools.hours import hour_of, moment_of
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN, LedgerDemand, Part, PoolDemand, Rate

__all__ = ["Axis", "AxisPool", "axis_of"]


@dataclass(frozen=True, slots=True, eq=False)
class AxisPool:
    """A pool on the axis: its demand is at ``[start, stop)``; ``region`` is None where it is ``-``."""

    name: str
    place: Place
    gpu: str
    region: str | None
    nanos: NDArray[np.int64]
    known: NDArray[np.bool_]
    parts: tuple[Part, ...]
    on_demand: Rate
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """``length`` hours from ``first``, counted from the epoch; the first begins a day."""

    first: int
    length: int
    pools: tuple[AxisPool, ...]
    start: datetime | None
    end: datetime | None

    def place_of(self, gpu: str | None, region: str | None) -> Place:
        """Where a commitment belongs: spelt as the pools are, without region where no pool of the GPU has one."""
        places = {pool.place for pool in self.pools if pool.gpu == gpu}
        if region is None or (places and all(name == UNKNOWN for _, name in places)):
            return gpu or UNKNOWN, UNKNOWN
        spelt = [name for _, name in places if name.casefold() == region.casefold()]
        return gpu or UNKNOWN, spelt[0] if spelt else region


def axis_of(demand: LedgerDemand) -> Axis:
    """From the first day of any pool's demand to the end of the last."""
    edges = [
        (hour_of(one.demand.first), hour_of(one.demand.first) + len(one.demand))
        for one in demand.pools
        if isinstance(one.demand.first, datetime)
    ]
    if not edges:
        return Axis(0, 0, (), None, None)
    start, end = min(edge[0] for edge in edges), max(edge[1] for edge in edges)
    first = start // 24 * 24
    pools = tuple(_laid(one, edge[0] - first, end - first) for one, edge in zip(demand.pools, edges, strict=True))
    return Axis(first, end - first, pools, moment_of(start), moment_of(end))


def _laid(one: PoolDemand, start: int, length: int) -> AxisPool:
    after = length - start - len(one.demand)

    def at(line: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.pad(line, (start, after))

    pool = one.pool
    return AxisPool(
        name=pool.name,
        place=(pool.gpu, pool.region),
        gpu=pool.gpu,
        region=None if pool.region == UNKNOWN else pool.region,
        nanos=at(one.demand.nanos),
        known=np.pad(one.demand.known, (start, after)),
        parts=tuple(
            Part(part.provider, part.instance_type, at(part.nanos), at(part.committed), at(part.named))
            for part in one.parts
        ),
        on_demand=one.on_demand,
        start=start,
        stop=start + len(one.demand),
    )
