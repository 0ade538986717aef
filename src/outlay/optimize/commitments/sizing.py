"""Sizing: the quantity that a history would have wanted, exactly, and what a cap on it costs.

A commitment of Q GPUs at the price r of a GPU-hour, beside on-demand at the price o, would have cost

    cost(Q) = r Q T + o * sum over the T hours of max(0, demand - Q)

which is convex in Q: one more GPU pays while the share of hours that need it is above r / o. So the optimum is a
quantile of hourly demand, the newsvendor's (arXiv 1305.5608 and the SAC'16 inventory paper have the theory):

    Q* = F^-1(d),   d = 1 - r / o     (the smallest demand that at least d of all hours stay within)

Demand is taken as it is, not rounded to whole GPUs. Where commitments are sold in units, the better of the two
neighbouring multiples is taken. Gaps take part in nothing: T counts known hours.

    utilization = used / committed, coverage = used / demand, used = sum of min(demand, Q)

All of it is arithmetic on whole billionths of a GPU and on exact prices: no float, no rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from outlay.optimize.commitments.demand import Demand, gpus

__all__ = ["Levels", "Outcome"]

_WIDE = Context(prec=50)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a committed quantity would have done over a history. Quantity in GPUs, used and committed in GPU-hours.

    ``coverage`` is None without demand, ``utilization`` without a commitment, ``saving_rate`` where on-demand would
    have cost nothing. A negative ``saving`` is a loss. ``returned`` is what a flexible commitment would have paid
    back of ``cost``, less its fee.
    """

    quantity: Decimal
    used: Decimal
    committed: Decimal
    demand: Decimal
    cost: Decimal
    on_demand_cost: Decimal
    returned: Decimal = Decimal(0)

    @property
    def coverage(self) -> Decimal | None:
        """Share of demand that the commitment served."""
        return self.used / self.demand if self.demand else None

    @property
    def utilization(self) -> Decimal | None:
        """Share of the commitment that demand used."""
        return self.used / self.committed if self.committed else None

    @property
    def saving(self) -> Decimal:
        """Money, against on-demand alone."""
        return self.on_demand_cost - self.cost + self.returned

    @property
    def saving_rate(self) -> Decimal | None:
        """As a share of the cost on demand."""
        return self.saving / self.on_demand_cost if self.on_demand_cost else None


class Levels:
    """The hours of a history by size: answers any quantity in a binary search."""

    __slots__ = ("_below", "_sorted", "hours", "total")

    def __init__(self, demand: Demand) -> None:
        self._sorted: NDArray[np.int64] = np.sort(demand.nanos[demand.known])
        self._below = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self._sorted)])
        self.hours = len(self._sorted)
        self.total = int(self._below[-1])

    @property
    def peak(self) -> int:
        """Largest demand, in billionths of a GPU."""
        return int(self._sorted[-1]) if self.hours else 0

    def used(self, nanos: int) -> int:
        """Billionths of a GPU-hour that a commitment of ``nanos`` would have served."""
        inside = int(np.searchsorted(self._sorted, nanos, side="right"))
        return int(self._below[inside]) + nanos * (self.hours - inside)

    def optimum(self, price: Decimal, on_demand: Decimal, *, unit: int = 0) -> int:
        """Q* in billionths of a GPU; a multiple of ``unit`` where given. 0 where the commitment is no cheaper."""
        if not self.hours or price >= on_demand:
            return 0
        share = 1 - Fraction(price) / Fraction(on_demand)
        rank = -((-share.numerator * self.hours) // share.denominator)
        best = int(self._sorted[max(1, rank) - 1])
        if not unit or best % unit == 0:
            return best
        low, high = best // unit * unit, (best // unit + 1) * unit
        return low if self._cost(low, price, on_demand) <= self._cost(high, price, on_demand) else high

    def capped(self, coverage: Decimal, *, unit: int = 0) -> int:
        """The largest quantity that covers at most that share of demand, in billionths of a GPU."""
        if coverage >= 1:
            return self.peak
        wanted = Fraction(coverage) * self.total
        # used() is concave and rises by the hours above it: find the step in which it passes `wanted`.
        ranks = np.arange(self.hours, dtype=np.int64)
        served = self._below[:-1] + self._sorted * (self.hours - ranks)
        step = int(np.searchsorted(served, float(wanted), side="right"))
        while step > 0 and int(served[step - 1]) > wanted:
            step -= 1
        while step < self.hours and int(served[step]) <= wanted:
            step += 1
        if step >= self.hours:
            return self.peak
        quantity = int((wanted - int(self._below[step])) / (self.hours - step))
        return quantity if not unit else quantity // unit * unit

    def outcome(self, nanos: int, price: Decimal, on_demand: Decimal) -> Outcome:
        """What ``nanos`` committed at ``price`` would have done beside ``on_demand``, in their currency."""
        with localcontext(_WIDE):
            return Outcome(
                quantity=gpus(nanos),
                used=gpus(self.used(nanos)),
                committed=gpus(nanos * self.hours),
                demand=gpus(self.total),
                cost=self._cost(nanos, price, on_demand),
                on_demand_cost=gpus(self.total) * on_demand,
            )

    def _cost(self, nanos: int, price: Decimal, on_demand: Decimal) -> Decimal:
        with localcontext(_WIDE):
            return gpus(nanos * self.hours) * price + gpus(self.total - self.used(nanos)) * on_demand
