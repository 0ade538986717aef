"""Quality by the share of calls that the strong model gets, for one way of choosing them.

Prompts are put into an order, the one that seems to need the strong model most first, and the strong model gets the
first so many. The measures are RouteLLM's (Ong et al., 2024), over every share and not over ten bins:

- gap recovered at a share = (quality - weak alone) / (strong alone - weak alone);
- CPT(p), call performance threshold: the least share of strong calls that recovers p of the gap, between two prompts by
  interpolation;
- APGR: the gap recovered, averaged over all shares. Random routing has 0.5.

Prompts that an order can't tell apart are drawn among evenly, so the curve is straight over them; random routing is the
order that tells none apart. APGR passes 1 where the weak model is right, the strong one wrong, and the
order knows.

The trap: a gap that is 0 or below. Nothing can be recovered of it, and there is no measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "Order", "Point", "curve", "order_by", "pareto"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Order:
    """Rows, those that most need the strong model first; ``starts`` is where each run of equals begins in ``rows``.

    ``needs`` is what each run was ordered by.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    needs: Floats

    def sums(self, values: Floats) -> Floats:
        """The sum of the rows' values over each run."""
        found: Floats = np.add.reduceat(values[self.rows], self.starts)
        return found


@dataclass(frozen=True, slots=True)
class Point:
    """A place on a curve: ``part`` of run ``run`` goes to the strong model, and all runs before it."""

    run: int
    part: float
    share: float
    lift: float


@dataclass(frozen=True, slots=True)
class Curve:
    """``lifts`` are quality above that of the weak model alone, at ``shares`` of strong calls; both begin at 0."""

    shares: Floats
    lifts: Floats

    @property
    def gap(self) -> float:
        """The strong model's quality above the weak one's."""
        return float(self.lifts[-1])

    @property
    def apgr(self) -> float | None:
        """The gap recovered, averaged over all shares; None without a gap."""
        if self.gap <= 0:
            return None
        area = np.sum(np.diff(self.shares) * (self.lifts[1:] + self.lifts[:-1])) / 2
        return float(area) / self.gap

    def at(self, share: float) -> Point:
        """The place at a share of strong calls."""
        run = int(np.searchsorted(self.shares, share, side="left")) - 1
        if run < 0:
            return Point(0, 0.0, 0.0, 0.0)
        width = float(self.shares[run + 1] - self.shares[run])
        part = (share - float(self.shares[run])) / width
        lift = float(self.lifts[run]) + part * float(self.lifts[run + 1] - self.lifts[run])
        return Point(run, part, share, lift)

    def recovers(self, part_of_gap: float) -> Point | None:
        """The first place that recovers a part of the gap; None without a gap."""
        if self.gap <= 0:
            return None
        target = part_of_gap * self.gap
        run = int(np.argmax(self.lifts >= target)) - 1
        low, high = float(self.lifts[run]), float(self.lifts[run + 1])
        part = (target - low) / (high - low)
        share = float(self.shares[run]) + part * float(self.shares[run + 1] - self.shares[run])
        return Point(run, part, share, target)


def order_by(needs: Floats) -> Order:
    """The order by how much each row seems to need the strong model."""
    rows = np.argsort(-needs, kind="stable")
    sorted_needs = needs[rows]
    starts = np.flatnonzero(np.concatenate([[True], sorted_needs[1:] != sorted_needs[:-1]]))
    return Order(rows, starts, sorted_needs[starts])


def curve(order: Order, gains: Floats, weights: Floats | None = None) -> Curve:
    """The curve of an order; ``gains`` are the strong model's scores above the weak one's, ``weights`` how often a row
    counts."""
    weights = np.ones(len(gains)) if weights is None else weights
    total = float(weights.sum())
    shares = np.concatenate([[0.0], np.cumsum(order.sums(weights))]) / total
    lifts = np.concatenate([[0.0], np.cumsum(order.sums(weights * gains))]) / total
    return Curve(shares, lifts)


def pareto(costs: list[float], qualities: list[float]) -> list[int]:
    """Which points no other one beats, by cost: each next one costs more and is better."""
    found: list[int] = []
    best = -np.inf
    for one in sorted(range(len(costs)), key=lambda one: (costs[one], -qualities[one], one)):
        if qualities[one] > best:
            best = qualities[one]
            found.append(one)
    return found
