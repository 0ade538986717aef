"""Risk: what a committed quantity may gain or lose over its term, in the futures that its pool may have.

For each path, week by week,

    saving = sum of (value of the hour x GPU-hours served) - price x committed GPU-hours

where the value of an hour is what it would have cost otherwise (:class:`~.futures.Market`). A flexible commitment adds
what it pays back (:mod:`~outlay.optimize.commitments.offers.flexible`).

These are estimates from simulated paths, so they are floats, rounded to the cent when shown: the tenth, fiftieth and
ninetieth percentile, the share of paths that lose, the worst path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outlay.optimize.commitments.demand import HOURS_A_WEEK
from outlay.optimize.commitments.offers.flexible import flexible_savings, payouts
from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH, Offer
from outlay.optimize.commitments.outlook.futures import Futures, Market, Scenario

__all__ = ["Prospect", "Risk", "Sample", "Waiting", "lock_in", "risk_of", "term_weeks"]

_Floats = NDArray[np.float64]
_DROP = 0.8  # a level below this share of today's is a break: the 20 % rule, downward


@dataclass(frozen=True, slots=True)
class Risk:
    """Savings over the term in the offer's currency, over all paths."""

    p10: float
    p50: float
    p90: float
    mean: float
    worst: float
    loss_probability: float
    paths: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What deciding a month later is worth: losses that it would spare, less the month's saving that it forgoes."""

    spared: float
    forgone: float

    @property
    def value(self) -> float:
        """Above 0: waiting is worth more than buying now."""
        return self.spared - self.forgone


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Future hours, the largest first: their GPUs, and the value of all up to each in today's on-demand prices."""

    gpus: _Floats
    worth: _Floats

    @classmethod
    def of(cls, hours: _Floats, value: _Floats) -> Sample:
        """Of hours (paths x weeks), each worth what its week is."""
        order = np.argsort(hours, axis=None)[::-1]
        return cls(hours.ravel()[order], np.cumsum(np.broadcast_to(value, hours.shape).ravel()[order]))


def term_weeks(offer: Offer) -> int:
    """Weeks that the term reaches into."""
    return math.ceil(offer.term_hours / HOURS_A_WEEK)


def _parts(offer: Offer) -> _Floats:
    """The share of each week that lies in the term: 1, and what is left for the last."""
    weeks = term_weeks(offer)
    part = np.ones(weeks)
    part[-1] = offer.term_hours / HOURS_A_WEEK - (weeks - 1)
    return part


def lock_in(offer: Offer, market: Market, gpus: float) -> float:
    """What ``gpus`` cost over the term above what the market asks by then, used or not; never below 0.

        sum over weeks of max(0, committed price - market value of an hour) x GPUs x hours

    It is the price of being tied while the market falls, not of demand that goes away (:func:`risk_of` has both).
    """
    assert offer.price is not None
    assert offer.on_demand_price is not None
    above = float(offer.price) - market.value(term_weeks(offer)) * float(offer.on_demand_price)
    return float(np.maximum(0.0, above) @ _parts(offer)) * gpus * HOURS_A_WEEK


def risk_of(saving: _Floats) -> Risk:
    """The figures of one array of savings, a path each."""
    p10, p50, p90 = np.percentile(saving, [10, 50, 90])
    return Risk(
        float(p10),
        float(p50),
        float(p90),
        float(saving.mean()),
        float(saving.min()),
        float((saving < 0).mean()),
        len(saving),
    )


class Prospect:
    """A priced offer in the futures of its pool, on a market. Quantities are in GPUs, money in the offer's currency."""

    def __init__(self, futures: Futures, offer: Offer, market: Market) -> None:
        assert offer.price is not None
        assert offer.on_demand_price is not None
        self.futures, self.offer, self.market = futures, offer, market
        self.weeks = term_weeks(offer)
        self._price = float(offer.price)
        self._on_demand = float(offer.on_demand_price)
        self._part = _parts(offer)
        self._value = market.value(self.weeks) * self._on_demand
        self._last: tuple[float, _Floats] | None = None

    def savings(self, gpus: float, futures: Futures | None = None) -> _Floats:
        """The saving of each path when ``gpus`` are committed now."""
        if self.offer.flex is not None:
            return flexible_savings(futures or self.futures, self.offer, gpus, self._value, self._part)
        used = self._used(gpus) if futures is None else futures.used(gpus, 0, self.weeks)
        return used @ (self._value * self._part) - self._price * gpus * self.offer.term_hours

    def struck(self, gpus: float, scenario: Scenario, seed: int) -> Risk:
        """The risk if ``scenario`` certainly struck, at a random week of the term."""
        return risk_of(self.savings(gpus, self.futures.struck(scenario, self.weeks, seed)))

    def best(self, sample: Sample) -> float:
        """The quantity with the largest mean saving, by a sample of future hours.

        It is the newsvendor's quantile again, with the hours weighted by what they will be worth: one more GPU pays
        while the value of the hours above it is more than the price of all hours. What a flexible offer pays back is
        left out, so its quantity is on the safe side.
        """
        count = len(sample.gpus)
        enough = int(np.searchsorted(sample.worth, self._price / self._on_demand * count, side="left"))
        return 0.0 if enough >= count else float(sample.gpus[enough])

    def break_even_month(self, gpus: float) -> int | None:
        """The month up to which the GPUs must be needed for the whole term's cost to be earned; None if never.

        It is the lock-in in one number: if demand vanished after that month, the commitment would have cost as much as
        on-demand. Expected over the paths. A flexible one pays back for the hours after it too, and may be lowered: its
        term is settled anew without demand from then on. 0 where that earns the cost with no demand at all.
        """
        if self.offer.flex is not None:
            return self._flexible_break_even(gpus)
        earned = np.cumsum(self._used(gpus).mean(axis=0) * self._value * self._part)
        owed = self._price * gpus * self.offer.term_hours
        return self._month(earned, np.full(self.weeks, owed), owed)

    def payback_month(self, gpus: float) -> int | None:
        """The first month by whose end what was avoided on demand exceeds what was paid, upfront and since; or None.

        What a flexible one pays back counts when it arrives, which may be after the term.
        """
        assert self.offer.bound_price is not None
        if self.offer.flex is not None:
            flow = payouts(self.futures, self.offer, gpus, self._value, self._part)
            last = max(self.offer.term_hours, *(arrived for arrived, _ in flow.payouts))
            months = range(1, math.ceil(last / HOURS_A_MONTH) + 1)
            return next((month for month in months if flow.earned_by(month * HOURS_A_MONTH)), None)
        total = float(self.offer.bound_price) * gpus * self.offer.term_hours
        upfront = float(self.offer.upfront)
        avoided = np.cumsum(self._used(gpus).mean(axis=0) * self._value * self._part)
        paid = total * (upfront + (1 - upfront) * np.cumsum(self._part) / self._part.sum())
        return self._month(avoided, paid, total * upfront)

    def _flexible_break_even(self, gpus: float) -> int | None:
        """By bisection: more months of demand earn more."""
        starts = np.arange(self.weeks) * HOURS_A_WEEK
        least = -1e-9 * self._price * gpus * self.offer.term_hours

        def earns(months: int) -> bool:
            needed = np.clip((months * HOURS_A_MONTH - starts) / (HOURS_A_WEEK * self._part), 0.0, 1.0)
            saving = flexible_savings(self.futures, self.offer, gpus, self._value, self._part, needed=needed)
            return float(saving.mean()) >= least

        if not earns(self.offer.term_months):
            return None
        if earns(0):
            return 0
        short, enough = 0, self.offer.term_months
        while enough - short > 1:
            middle = (short + enough) // 2
            short, enough = (short, middle) if earns(middle) else (middle, enough)
        return enough

    def _month(self, earned: _Floats, paid: _Floats, at_start: float) -> int | None:
        """The month in which ``earned`` reaches ``paid``, both told at the end of each week; None if never.

        Within that week both are taken to move evenly: a week that reaches into the next month does not decide it.
        """
        back = np.flatnonzero(earned >= paid * (1 - 1e-12))
        if not len(back):
            return None
        week = int(back[0])
        short = at_start if not week else float(paid[week - 1] - earned[week - 1])
        gained = short + float(earned[week] - paid[week])
        hours = (week + (short / gained if gained > 0 else 0.0) * float(self._part[week])) * HOURS_A_WEEK
        month = math.ceil(hours / HOURS_A_MONTH - 1e-9)
        return min(self.offer.term_months, max(1, month))

    def waiting(self, gpus: float, saving: _Floats) -> Waiting:
        """Buying now against looking again in a month, and not buying if demand fell by a fifth meanwhile."""
        month = round(HOURS_A_MONTH / HOURS_A_WEEK)
        broke = self.futures.level[:, month] < _DROP * self.futures.level[:, 0]
        first = self._used(gpus)[:, :month] @ self._value[:month] - self._price * gpus * month * HOURS_A_WEEK
        return Waiting(float(np.where(broke, -saving, 0.0).mean()), float(np.where(broke, 0.0, first).mean()))

    def _used(self, gpus: float) -> _Floats:
        """GPU-hours served, paths x weeks of the term; the last answer is kept, as it is asked for several times."""
        if self._last is None or self._last[0] != gpus:
            self._last = (gpus, self.futures.used(gpus, 0, self.weeks))
        return self._last[1]
