"""What a share of strong calls costs, exact, and for resamples as floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

from outlay.money import MONEY_SCALE, add_exactly
from outlay.optimize.routing.curve import Order, Point

__all__ = ["Spending", "average"]

_EXACT = Context(prec=200)
_DIVISION = Context(prec=34)
_SMALLEST = Decimal(1).scaleb(-MONEY_SCALE)


@dataclass(frozen=True, slots=True)
class Spending:
    """The costs of both models over the same rows."""

    weak: tuple[Decimal, ...]
    strong: tuple[Decimal, ...]

    @property
    def more(self) -> NDArray[np.float64]:
        """What the strong model costs more on each row, near enough for an interval."""
        return np.array([float(b - a) for a, b in zip(self.weak, self.strong, strict=True)])

    def at(self, order: Order, point: Point) -> Decimal:
        """The average cost of a call at a place of an order's curve; within a run of equals what is expected."""
        ends = [*order.starts[1:].tolist(), len(order.rows)]
        first, end = int(order.starts[point.run]), int(ends[point.run])
        total = add_exactly(self.weak)
        total = _EXACT.add(total, self._more(order.rows[:first].tolist()))
        part = _EXACT.multiply(self._more(order.rows[first:end].tolist()), Decimal(repr(point.part)))
        return _per_call(_EXACT.add(total, part), len(self.weak))

    def _more(self, rows: Sequence[int]) -> Decimal:
        return add_exactly(_EXACT.subtract(self.strong[row], self.weak[row]) for row in rows)


def average(costs: Sequence[Decimal]) -> Decimal:
    """The average of costs, to the ledger's smallest unit."""
    return _per_call(add_exactly(costs), len(costs))


def _per_call(total: Decimal, calls: int) -> Decimal:
    return _DIVISION.divide(total, Decimal(calls)).quantize(_SMALLEST, context=_EXACT)
