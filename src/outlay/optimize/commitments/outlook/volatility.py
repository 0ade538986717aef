"""Volatility: at which restlessness of demand a flexible commitment is worth its premium, and below which it is not.

A put is worth more the more its underlying moves. So the same futures are drawn again with the weekly changes of the
history scaled, from none to four times as large, and each option is asked what it saves on average, per month of its
term. Where the best one changes, the weekly volatility between (the standard deviation of weekly changes) is told: "up
to 7 % a week the reservation, above it the insured one". All are asked for one level, the smallest that the plan gives
any of them: the forms are compared, not their sizes. Changes of regime strike as in the plan, at every volatility.

Savings are money, so only offers in one currency are compared: the first in which there are flexible and standard ones.
Each has a label of its own (:mod:`~outlay.optimize.commitments.offers.labels`), as two offers may share a name.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.offers.labels import labels
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.outlook.futures import Market, Scenario, draw
from outlay.optimize.commitments.outlook.risk import Prospect, term_weeks

__all__ = ["Point", "Volatility", "volatility"]

_SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
_PATHS = 400


@dataclass(frozen=True, slots=True)
class Point:
    """At a weekly volatility: the mean saving of each option per month of its term, by the offers' labels."""

    weekly: float
    savings: dict[str, float]

    @property
    def best(self) -> str:
        """The offer that saves most."""
        return max(self.savings, key=lambda label: self.savings[label])


@dataclass(frozen=True, slots=True)
class Volatility:
    """``now`` is the pool's own weekly volatility; ``points`` are in rising order, in ``currency``.

    ``offers`` are those that are compared, each with its label.
    ``why`` says which offers are not in them, or why there are none.
    """

    now: float
    points: tuple[Point, ...]
    offers: tuple[tuple[str, Offer], ...] = ()
    currency: str | None = None
    why: str | None = None

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
    if not _both_forms(asked):
        return None
    now = _weekly(demand, missing)
    named = list(zip(labels([one.offer for one in asked]), asked, strict=True))
    currencies = dict.fromkeys(one.offer.currency for one in asked)
    currency = next((one for one in currencies if _both_forms(_priced_in(one, asked))), None)
    compared = [(label, one.offer) for label, one in named if one.offer.currency == currency]
    others = ", ".join(f"{label} in {one.offer.currency}" for label, one in named if one.offer.currency != currency)
    if currency is None:
        why = f"no currency has both flexible and standard offers, and amounts of two are never compared: {others}"
        return Volatility(now, (), why=why)
    level = min(one.nanos for one in _priced_in(currency, asked)) / NANOS
    weeks = max(term_weeks(offer) for _, offer in compared)
    points = []
    for scale in _SCALES:
        futures = draw(demand, weeks, _PATHS, scenarios, volatility=scale, missing=missing)
        if futures is None:
            return None
        savings = {
            label: float(Prospect(futures, offer, market).savings(level).mean()) / offer.term_months
            for label, offer in compared
        }
        points.append(Point(now * scale, savings))
    left_out = f"compared in {currency} alone, as amounts of two currencies never are; left out: {others}"
    return Volatility(now, tuple(points), tuple(compared), currency, left_out if others else None)


def _priced_in(currency: str, options: Sequence[Option]) -> list[Option]:
    return [one for one in options if one.offer.currency == currency]


def _both_forms(options: Sequence[Option]) -> bool:
    return len({one.offer.flex is None for one in options}) > 1


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
