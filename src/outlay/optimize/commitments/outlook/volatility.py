"""Volatility: at which restlessness of demand a flexible commitment is worth its premium, and below which it is not.

A put is worth more the more its underlying moves. So the same futures are drawn again with the weekly changes of the
history scaled, from none to four times as large, and each option is asked what it saves on average, per month of its
term. Where the best one changes, the weekly volatility between (the standard deviation of weekly changes) is told: "up
to 7 % a week the reservation, above it the insured one". All are asked for one level, the smallest that the plan gives
any of them: the forms are compared, not their sizes. Changes of regime strike as in the plan, at every volatility.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.outlook.futures import Market, Scenario, draw
from outlay.optimize.commitments.outlook.risk import Prospect, term_weeks

__all__ = ["Point", "Volatility", "volatility"]

_SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
_PATHS = 400


@dataclass(frozen=True, slots=True)
class Point:
    """At a weekly volatility: the mean saving of each option per month of its term, by the offers' names."""

    weekly: float
    savings: dict[str, float]

    @property
    def best(self) -> str:
        """The offer that saves most."""
        return max(self.savings, key=lambda name: self.savings[name])


@dataclass(frozen=True, slots=True)
class Volatility:
    """``now`` is the pool's own weekly volatility; ``points`` are in rising order."""

    now: float
    points: tuple[Point, ...]

    @property
    def turns(self) -> tuple[tuple[float, str, str], ...]:
        """Where the best option changes: the volatility between (by straight lines), the one below, the one above."""
        found = []
        for below, above in itertools.pairwise(self.points):
            if below.best != above.best:
                found.append((_crossing(below, above), below.best, above.best))
        return tuple(found)


def volatility(
    demand: Demand, options: Sequence[Option], market: Market, scenarios: Sequence[Scenario], *, missing: int = 0
) -> Volatility | None:
    """Of options with a level; None where flexible or standard ones are missing, or no future can be drawn.

    A week counts that lacks at most ``missing`` of its hours.
    """
    asked = [one for one in options if one.nanos]
    if not any(one.offer.flex for one in asked) or all(one.offer.flex for one in asked):
        return None
    level = min(one.nanos for one in asked) / NANOS
    weeks = max(term_weeks(one.offer) for one in asked)
    now = _weekly(demand, missing)
    points = []
    for scale in _SCALES:
        futures = draw(demand, weeks, _PATHS, scenarios, volatility=scale, missing=missing)
        if futures is None:
            return None
        savings = {
            one.offer.name: float(Prospect(futures, one.offer, market).savings(level).mean()) / one.offer.term_months
            for one in asked
        }
        points.append(Point(now * scale, savings))
    return Volatility(now, tuple(points))


def _weekly(demand: Demand, missing: int) -> float:
    """Standard deviation of weekly changes, in logarithms: about the share by which a week moves."""
    changes = [
        np.log(later.whole / earlier.whole)
        for earlier, later in itertools.pairwise(demand.weeks(missing))
        if later.number == earlier.number + 1 and earlier.nanos and later.nanos
    ]
    return float(np.std(changes, ddof=1)) if len(changes) > 1 else 0.0


def _crossing(below: Point, above: Point) -> float:
    """Where the lines of the two best cross."""
    one, other = below.best, above.best
    before = below.savings[one] - below.savings[other]
    after = above.savings[one] - above.savings[other]
    return below.weekly + (above.weekly - below.weekly) * before / (before - after)
