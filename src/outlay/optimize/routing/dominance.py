"""Whether one model is at least as good as all others and no dearer: then there is nothing to route, only to switch.

Compared on the prompts for which every model has a score and a cost, because averages over different prompts are no
comparison. ``confidence`` is the share of resamples in which it holds too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from outlay.money import add_exactly
from outlay.optimize.routing.logged import Logged, Model
from outlay.optimize.routing.resampling import FEWEST, SURE, Interval, draws, interval
from outlay.optimize.routing.spending import average

__all__ = ["Dominance", "Standing", "dominance"]

_NEAR = 1e-12
"""Sums of floats that are equal may differ by so much."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A model alone: its average score and cost over the rows compared. ``dominated_by`` is a model to switch to."""

    name: str
    quality: float
    interval: Interval | None
    cost: Decimal | None
    dominated_by: str | None = None


@dataclass(frozen=True, slots=True)
class Dominance:
    """``model`` dominates all others, if any does; ``why`` says why that can't be told, or is not sure."""

    rows: int
    standings: tuple[Standing, ...]
    model: str | None = None
    confidence: float | None = None
    why: str | None = None

    @property
    def shown(self) -> bool:
        """Whether a model dominates in 95% of the resamples or more."""
        return self.model is not None and self.confidence is not None and self.confidence >= SURE


@dataclass(frozen=True, slots=True)
class _Compared:
    name: str
    scores: np.ndarray[tuple[int], np.dtype[np.float64]]
    quality: float
    costs: tuple[Decimal, ...] | None

    def beats(self, other: _Compared) -> bool:
        """At least as good at no more cost, and better in one of the two."""
        if self.costs is None or other.costs is None:
            return False
        mine, its = add_exactly(self.costs), add_exactly(other.costs)
        return self.quality >= other.quality and mine <= its and (self.quality > other.quality or mine < its)


def dominance(logged: Logged, resamples: int, rng: np.random.Generator) -> Dominance:
    """Compare all models on the rows that they have in common."""
    priced = all(any(cost is not None for cost in model.costs) for model in logged.models)
    common = np.logical_and.reduce([_known(model, with_costs=priced) for model in logged.models])
    rows = np.flatnonzero(common)
    if not len(rows):
        return Dominance(0, (), why="No prompt has a score of every model" + (" and a cost." if priced else "."))
    compared = [_compared(model, rows.tolist(), with_costs=priced) for model in logged.models]
    groups = np.unique(logged.groups[rows], return_inverse=True)[1]
    scores = np.array([one.scores for one in compared])
    spent = np.array([[float(cost) for cost in one.costs or [Decimal(0)] * len(rows)] for one in compared])
    count = resamples if int(groups.max()) + 1 >= FEWEST else 0
    drawn = [(scores @ one / one.sum(), spent @ one) for one in draws(groups, count, rng)]
    standings = tuple(
        Standing(
            one.name,
            one.quality,
            interval([float(means[number]) for means, _ in drawn]),
            None if one.costs is None else average(one.costs),
            next((other.name for other in compared if other.beats(one)), None),
        )
        for number, one in enumerate(compared)
    )
    if not priced:
        unpriced = next(model for model in logged.models if not any(cost is not None for cost in model.costs))
        lacking = unpriced.why or f"'{unpriced.name}' has no costs."
        why = f"Whether one model dominates can't be told: {lacking}"
        return Dominance(len(rows), standings, why=why)
    if len(compared) == 1:
        return Dominance(len(rows), standings, why="There is one model only, and nothing to compare it with.")
    winner = next(
        (n for n, one in enumerate(compared) if all(one.beats(two) for two in compared if two is not one)), None
    )
    if winner is None:
        return Dominance(len(rows), standings)
    name = compared[winner].name
    if not drawn:
        return Dominance(len(rows), standings, name, why=f"{FEWEST} distinct prompts are needed to say how sure.")
    held = [
        bool(np.all(means <= means[winner] + _NEAR)) and bool(np.all(costs >= costs[winner] * (1 - _NEAR)))
        for means, costs in drawn
    ]
    return Dominance(len(rows), standings, name, sum(held) / len(held))


def _known(model: Model, *, with_costs: bool) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    known: np.ndarray[tuple[int], np.dtype[np.bool_]] = ~np.isnan(model.scores)
    if with_costs:
        known &= np.array([cost is not None for cost in model.costs])
    return known


def _compared(model: Model, rows: list[int], *, with_costs: bool) -> _Compared:
    scores = model.scores[rows]
    costs = tuple(cost for row in rows if (cost := model.costs[row]) is not None) if with_costs else None
    return _Compared(model.name, scores, math.fsum(scores) / len(rows), costs)
