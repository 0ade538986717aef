"""What is owned, as values: places with their days, commitments with what they did, and when they end.

A *place* is a type of GPU in a region. Demand and coverage are of the place whose machines needed them; GPUs owned,
used and unused are of the place that a commitment is bound to (region ``-`` where it is bound to none).

    coverage    = GPU-hours that commitments served / GPU-hours of demand
    utilization = GPU-hours used of what is owned / GPU-hours owned

``basis`` says who tells: ``bill`` its Used and Unused rows, ``computed`` the list of commitments against demand hour by
hour, ``both`` where some of a day's commitments are on the bill and others are not. What can't be told is None, with a
``why``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outlay.money import add_exactly, plain, share
from outlay.optimize.commitments.holdings.held import Unheld
from outlay.optimize.commitments.ledger_pools.pools import LedgerDemand, stamp

__all__ = ["CommitmentUse", "Expiry", "Holding", "Ownership", "Use"]

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Use:
    """A day of a place, or the sum of its days. GPU-hours and money are exact; ``hours`` are those of known demand."""

    hours: int
    demand: Decimal
    covered: Decimal
    owned: Decimal | None
    used: Decimal | None
    unused: Decimal | None
    unused_cost: Decimal | None
    currency: str | None
    basis: str | None
    why: str | None = None

    @property
    def coverage(self) -> Decimal | None:
        """Share of demand; None without any."""
        return share(self.covered, self.demand) if self.demand else None

    @property
    def utilization(self) -> Decimal | None:
        """Share of what is owned; None where nothing is, or that is not known."""
        return share(self.used, self.owned) if self.owned and self.used is not None else None

    def to_json(self) -> dict[str, Any]:
        """Amounts as exact text."""
        return {
            "known_hours": self.hours,
            "demand_gpu_hours": plain(self.demand),
            "covered_gpu_hours": plain(self.covered),
            "owned_gpu_hours": _text(self.owned),
            "used_gpu_hours": _text(self.used),
            "unused_gpu_hours": _text(self.unused),
            "unused_cost": _text(self.unused_cost),
            "currency": self.currency,
            "coverage": _text(self.coverage),
            "utilization": _text(self.utilization),
            "basis": self.basis,
            "why": self.why,
        }


def summed(uses: Sequence[Use]) -> Use:
    """The sum of days: what is not known of one of them is not known of all."""

    def total(name: str) -> Decimal | None:
        values = [getattr(one, name) for one in uses]
        return None if any(value is None for value in values) else add_exactly(values)

    bases = {one.basis for one in uses if one.basis}
    currencies = {one.currency for one in uses if one.currency}
    whys = dict.fromkeys(one.why for one in uses if one.why)
    unknown = sum(1 for one in uses if one.unused_cost is None)
    said = [f"{unknown} of {len(uses)} days are not known in full: {'; '.join(list(whys)[:3])}"] if whys else []
    if len(currencies) > 1:
        said.append(f"in several currencies, never added: {', '.join(sorted(currencies))}")
    return Use(
        hours=sum(one.hours for one in uses),
        demand=total("demand") or _ZERO,
        covered=total("covered") or _ZERO,
        owned=total("owned"),
        used=total("used"),
        unused=total("unused"),
        unused_cost=None if len(currencies) > 1 else total("unused_cost"),
        currency=currencies.pop() if len(currencies) == 1 else None,
        basis=bases.pop() if len(bases) == 1 else "both" if bases else None,
        why="; ".join(said) or None,
    )


@dataclass(frozen=True, slots=True)
class Holding:
    """A place: its pools, the commitments that are bound to it, and its days."""

    gpu: str
    region: str
    pools: tuple[str, ...]
    commitments: tuple[str, ...]
    days: Mapping[date, Use]

    @property
    def total(self) -> Use:
        """All days."""
        return summed(tuple(self.days.values()))

    def to_json(self) -> dict[str, Any]:
        """With its days."""
        return {
            "gpu": self.gpu,
            "region": self.region,
            "pools": list(self.pools),
            "commitments": list(self.commitments),
            "total": self.total.to_json(),
            "days": [{"date": day.isoformat()} | one.to_json() for day, one in self.days.items()],
        }


@dataclass(frozen=True, slots=True)
class CommitmentUse:
    """A commitment, who tells of it, and what it did in the window: as the bill says, and as computed where it doesn't.

    ``unused_at_least``: some of it was computed from rows of more than an hour, spread evenly. Of demand that comes and
    goes within them less was served than of even demand, so what was used is at most, and what went unused at least as
    said. ``told_by`` is ``list``, ``bill`` or ``both``. ``other_cost`` is what other things than GPUs used of it. For a
    commitment of money ``unused_cost`` is the whole of what it left over, whatever for.
    """

    id: str
    name: str | None
    kind: str | None
    category: str | None
    provider: str | None
    gpu: str | None
    region: str | None
    instance_type: str | None
    gpus: Decimal | None
    since: datetime | None
    until: datetime | None
    status: str | None
    hourly_cost: Decimal | None
    currency: str | None
    told_by: str
    sources: tuple[str, ...]
    basis: str | None
    used: Decimal | None
    unused: Decimal | None
    used_cost: Decimal | None
    unused_cost: Decimal | None
    other_cost: Decimal
    rows: int
    why: str | None
    unused_at_least: bool = False

    @property
    def utilization(self) -> Decimal | None:
        """By money, as FOCUS has it; None where its use is not known."""
        if self.used_cost is None or self.unused_cost is None:
            return None
        used = add_exactly((self.used_cost, self.other_cost))
        whole = add_exactly((used, self.unused_cost))
        return share(used, whole) if whole else None

    def to_json(self) -> dict[str, Any]:
        """Amounts as exact text."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "category": self.category,
            "provider": self.provider,
            "gpu": self.gpu,
            "region": self.region,
            "instance_type": self.instance_type,
            "gpus": _text(self.gpus),
            "since": stamp(self.since),
            "until": stamp(self.until),
            "status": self.status,
            "hourly_cost": _text(self.hourly_cost),
            "currency": self.currency,
            "told_by": self.told_by,
            "sources": list(self.sources),
            "basis": self.basis,
            "used_gpu_hours": _text(self.used),
            "unused_gpu_hours": _text(self.unused),
            "used_cost": _text(self.used_cost),
            "unused_cost": _text(self.unused_cost),
            "unused_at_least": self.unused_at_least,
            "other_cost": plain(self.other_cost),
            "utilization": _text(self.utilization),
            "rows": self.rows,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Expiry:
    """A commitment in force, and when it ends."""

    at: datetime
    days: int
    id: str
    gpu: str | None
    region: str | None
    gpus: Decimal | None
    hourly_cost: Decimal | None
    currency: str | None

    def to_json(self) -> dict[str, Any]:
        """Amounts as exact text."""
        return {
            "at": stamp(self.at),
            "days": self.days,
            "id": self.id,
            "gpu": self.gpu,
            "region": self.region,
            "gpus": _text(self.gpus),
            "hourly_cost": _text(self.hourly_cost),
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Ownership:
    """What is owned in ``[since, until)``, as of ``at``.

    ``hourly`` has for each pool the GPUs that commitments put at its disposal, by the hours of its demand and in
    billionths: those that served it, and for the largest pool of a place also those that nobody used.
    """

    since: datetime | None
    until: datetime | None
    at: datetime | None
    demand: LedgerDemand
    holdings: tuple[Holding, ...]
    commitments: tuple[CommitmentUse, ...]
    expiries: tuple[Expiry, ...]
    left_out: tuple[Unheld, ...]
    hourly: Mapping[str, NDArray[np.int64]]
    tables: Mapping[str, int]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """What ``outlay commit owned --json`` shows; the hours stay out of it."""
        return {
            "since": stamp(self.since),
            "until": stamp(self.until),
            "at": stamp(self.at),
            "places": [one.to_json() for one in self.holdings],
            "commitments": [one.to_json() for one in self.commitments],
            "expiries": [one.to_json() for one in self.expiries],
            "left_out": [{"id": one.id, "why": one.why, "sources": list(one.sources)} for one in self.left_out],
            "pools": [one.to_json() for one in self.demand.pools],
            "not_demand": [one.to_json() for one in self.demand.left_out],
            "receipt": {"tables": dict(self.tables)},
            "notes": [*self.notes, *self.demand.notes],
        }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
