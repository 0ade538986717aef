"""Pools: the GPUs of one kind, in one region, for one kind of work, and what the ledger knows of their demand.

A pool is named ``H100/us-east-1/inference``: the accelerator as :mod:`outlay.prices.gpus` names it (memory is part of
the name: an ``A100-40GB`` is no ``A100-80GB``), the region as the bill writes it, the workload kind of
``x_WorkloadKind``. What a source does not know is ``-``: telemetry names no region, so its pools are ``H100/-/-``. The
provider is no part of the name, since the clouds' names of regions do not clash.

Within a pool, :class:`Part` keeps providers and machines apart, because a commitment to one machine serves no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from outlay.errors import UsageError, nearest
from outlay.money import plain
from outlay.optimize.commitments.demand import Demand, gpus

__all__ = ["UNKNOWN", "LedgerDemand", "LeftOut", "Part", "Pool", "PoolDemand", "Rate", "stamp"]

UNKNOWN = "-"
"""What stands in a pool's name for a part that the source does not know."""

Basis = Literal["bill", "telemetry"]


@dataclass(frozen=True, slots=True, order=True)
class Pool:
    """GPU type, region and workload kind."""

    gpu: str = UNKNOWN
    region: str = UNKNOWN
    workload: str = UNKNOWN

    @property
    def name(self) -> str:
        """``H100/us-east-1/inference``."""
        return f"{self.gpu}/{self.region}/{self.workload}"


@dataclass(frozen=True, slots=True)
class Rate:
    """What a GPU-hour cost: ``amount / gpu_hours`` over the rows of ``[since, until)``; None with a ``why``.

    An amount is in one currency. Where rows are of several, there is no rate, and ``why`` names them.
    """

    unit_price: Decimal | None
    currency: str | None
    amount: Decimal | None
    gpu_hours: Decimal
    rows: int
    since: datetime | None
    until: datetime | None
    why: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Amounts as exact text."""
        return {
            "unit_price": _text(self.unit_price),
            "currency": self.currency,
            "amount": _text(self.amount),
            "gpu_hours": plain(self.gpu_hours),
            "rows": self.rows,
            "since": stamp(self.since),
            "until": stamp(self.until),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that are no demand, with their GPU-hours where they have any; ``pool`` is a name, None where there is none.

    ``reason`` is ``spot``, ``correction``, ``free``, ``unmeasured``, ``too-long``, ``gap`` or ``told-twice``.
    """

    reason: str
    rows: int
    gpu_hours: Decimal | None
    why: str
    pool: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the contract writes absent values."""
        return {
            "reason": self.reason,
            "pool": self.pool,
            "rows": self.rows,
            "gpu_hours": _text(self.gpu_hours),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One provider's machines of one type in a pool; the hours are those of the pool's demand, in billionths of a GPU.

    ``committed`` is what the bill says that commitments served, ``named`` the part of it whose commitment it names.
    Provider and type are None where they are not told.
    """

    provider: str | None
    instance_type: str | None
    nanos: NDArray[np.int64]
    committed: NDArray[np.int64]
    named: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PoolDemand:
    """A pool's hourly demand, what its GPU-hours cost, and the receipt: from which rows, and what was left out.

    ``widest`` is the longest row in hours and ``spread`` the GPU-hours of rows longer than one: they were laid evenly
    over their hours, so peaks inside them are not seen.
    """

    pool: Pool
    demand: Demand
    basis: Basis
    parts: tuple[Part, ...]
    on_demand: Rate
    committed: Rate
    rows: int
    table: str
    version: int | None
    sources: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    widest: int = 1
    spread: Decimal = Decimal(0)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Without the hours: :attr:`demand` has them."""
        return {
            "pool": self.pool.name,
            "basis": self.basis,
            "since": stamp(self.demand.first),
            "until": stamp(self.demand.end),
            "hours": self.demand.hours,
            "gaps": self.demand.gaps,
            "gpu_hours": plain(gpus(self.demand.total)),
            "mean_gpus": plain(self.demand.mean),
            "spread_gpu_hours": plain(self.spread),
            "widest_row_hours": self.widest,
            "on_demand": self.on_demand.to_json(),
            "committed": self.committed.to_json(),
            "receipt": {
                "table": self.table,
                "version": self.version,
                "rows": self.rows,
                "sources": list(self.sources),
                "left_out": [one.to_json() for one in self.left_out],
            },
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, eq=False)
class LedgerDemand:
    """The pools of a ledger in the order of their names, and what is no demand of any of them."""

    pools: tuple[PoolDemand, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    def pool(self, name: str) -> PoolDemand:
        """The pool of that name. Raises :class:`UsageError` where there is none."""
        for one in self.pools:
            if one.pool.name == name:
                return one
        known = [one.pool.name for one in self.pools]
        raise UsageError(f"the ledger has no pool '{name}'.", hint=nearest(name, known) if known else None)

    @property
    def demands(self) -> Sequence[Demand]:
        """The hours alone."""
        return [one.demand for one in self.pools]

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` shows."""
        return {
            "pools": [one.to_json() for one in self.pools],
            "left_out": [one.to_json() for one in self.left_out],
            "notes": list(self.notes),
        }


def stamp(moment: datetime | int | None) -> str | None:
    """ISO 8601 with a Z; a count of hours as a number in text."""
    if moment is None:
        return None
    return f"{moment.isoformat()}Z" if isinstance(moment, datetime) else str(moment)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
