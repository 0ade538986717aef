"""Futures: thousands of ways in which a pool's demand may go on, drawn from its own history.

A commitment is paid for a term that is longer than the history it rests on, so the question is not what it would have
saved but what it may. Each path goes on from the last full week:

1. *level*: week-over-week changes (in logarithms) are drawn from the history in circular blocks of consecutive weeks,
   their mean taken off, so that a rise that was followed by a fall comes back with its fall (block bootstrap);
2. *trend*: the Theil-Sen slope of the last 13 weekly means, halved every 8 weeks; a falling one is counted, a rising
   one is not: growth is nothing to commit on;
3. *regime*: what no history of weeks shows. Each :class:`Scenario` (the model is replaced, the team halves, traffic
   doubles) strikes a path at a random week and scales its level from then on. How often a year is an *assumption*, the
   user's to set, and is printed with every figure that rests on it;
4. *shape*: the 168 hours of the week that the level's change came from.

The value of an hour served is what it would have cost otherwise: on-demand, as it gets cheaper month by month, or the
successor hardware for the same work once that is for sale. A commitment's price does not fall with them; that is the
lock-in. Seeds are fixed by the pool's name: the same input gives the same figures.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from outlay.optimize.commitments.demand import HOURS_A_WEEK, NANOS, Demand, Week
from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH

__all__ = ["ASSUMED", "Futures", "Market", "Scenario", "draw", "seed_of"]

_BLOCK_WEEKS = 8
_TREND_WEEKS = 13
_HALF_LIFE_WEEKS = 8
_LEAST_WEEKS = 4
_WEEKS_A_YEAR = 8760 / HOURS_A_WEEK
_PATHS = 0
"""The stream of chance that paths are drawn from."""
_WIDTH = 256.0  # more than the largest hour of a week whose mean is 1 (168)

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A change of regime: the level is scaled by ``factor`` from a random week on, ``per_year`` times a year."""

    name: str
    factor: float
    per_year: float


ASSUMED: tuple[Scenario, ...] = (
    Scenario("model replaced", 0.2, 0.10),
    Scenario("team halves", 0.5, 0.10),
    Scenario("traffic doubles", 2.0, 0.10),
)
"""Assumptions, not findings: one chance in ten a year each, until the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Market:
    """What an hour on the market costs as time goes, as a share of today's on-demand price.

    ``monthly_decline`` is the share by which on-demand falls a month. A successor is for sale from ``successor_month``
    on and does the same work for ``successor_price`` (a share of today's on-demand price of this GPU), which falls by
    ``successor_decline`` a month from today.
    """

    monthly_decline: float = 0.0
    successor_month: int | None = None
    successor_price: float = 1.0
    successor_decline: float = 0.0

    def value(self, weeks: int) -> _Floats:
        """Of each week from now on."""
        months = (np.arange(weeks) + 0.5) * HOURS_A_WEEK / HOURS_A_MONTH
        value: _Floats = (1 - self.monthly_decline) ** months
        if self.successor_month is not None:
            successor = self.successor_price * (1 - self.successor_decline) ** months
            value = np.where(months >= self.successor_month, np.minimum(value, successor), value)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Futures:
    """Paths of weekly levels in GPUs (``level``, paths x weeks) and the week of the history that shapes each.

    ``owned`` GPUs serve first: :meth:`used` counts what a purchase would add to them.
    """

    level: _Floats
    shape: _Ints
    profile: _Floats
    _keys: _Floats
    _below: _Floats
    owned: float = 0.0

    @property
    def paths(self) -> int:
        """How many."""
        return int(self.level.shape[0])

    @property
    def weeks(self) -> int:
        """How long."""
        return int(self.level.shape[1])

    def used(self, quantity: _Floats | float, start: int, stop: int) -> _Floats:
        """GPU-hours that committed GPUs would serve in the weeks ``[start, stop)``: paths x weeks.

        ``quantity`` is one number for all, or a column of one a path. What is owned serves first: these are the hours
        that a purchase adds.
        """
        served = self._served(self.owned + quantity, start, stop)
        return served - self._served(self.owned, start, stop) if self.owned else served

    def above(self, owned: float) -> Futures:
        """The same futures, of which ``owned`` GPUs serve the first part, through the whole term."""
        return replace(self, owned=owned)

    def _served(self, quantity: _Floats | float, start: int, stop: int) -> _Floats:
        level, shape = self.level[:, start:stop], self.shape[:, start:stop]
        share = np.minimum(quantity / level, _WIDTH - 1)
        inside = np.searchsorted(self._keys, shape * _WIDTH + share, side="right") - shape * HOURS_A_WEEK
        served: _Floats = level * (self._below[shape, inside] + share * (HOURS_A_WEEK - inside))
        return served

    def struck(self, scenario: Scenario, within_weeks: int, seed: int) -> Futures:
        """The same paths, each struck by ``scenario`` at a random week of the next ``within_weeks``."""
        weeks = np.random.default_rng(seed).integers(0, max(1, within_weeks), size=(self.paths, 1))
        factor = np.where(np.arange(self.weeks) >= weeks, scenario.factor, 1.0)
        return replace(self, level=self.level * factor)

    def hours(self, weeks: int, seed: int) -> _Floats:
        """One random hour of each path and week, in GPUs: a sample of what demand will be (paths x weeks)."""
        hour = np.random.default_rng(seed).integers(0, HOURS_A_WEEK, size=(self.paths, weeks))
        sample: _Floats = self.level[:, :weeks] * self.profile[self.shape[:, :weeks], hour]
        return sample


def draw(
    demand: Demand,
    weeks: int,
    paths: int,
    scenarios: Sequence[Scenario] = ASSUMED,
    *,
    volatility: float = 1.0,
    missing: int = 0,
) -> Futures | None:
    """``paths`` futures of ``weeks`` weeks. None where fewer than four weekly changes with demand are known.

    ``volatility`` scales the drawn changes: 2.0 is a pool that moves twice as much as it did. A week counts that lacks
    at most ``missing`` of its hours.
    """
    history = [week for week in demand.weeks(missing) if week.nanos > 0]
    pairs = [
        (n + 1, np.log(later.whole / earlier.whole))
        for n, (earlier, later) in enumerate(itertools.pairwise(history))
        if later.number == earlier.number + 1
    ]
    if len(pairs) < _LEAST_WEEKS:
        return None
    seed = np.random.default_rng(seed_of(demand.pool, _PATHS))
    changes = np.array([change for _, change in pairs])
    changes = (changes - changes.mean()) * volatility
    drawn = _blocks(seed, len(pairs), weeks, paths)
    logs = np.cumsum(changes[drawn], axis=1) + _trend(history[-_TREND_WEEKS:], weeks)
    for scenario in scenarios:
        logs += _strikes(seed, scenario, weeks, paths)
    level = history[-1].whole / NANOS / HOURS_A_WEEK * np.exp(np.minimum(logs, np.log(1e6)))
    profile = np.array([_profile(demand, demand.position(week.start)) for week in history])
    profile.sort(axis=1)
    keys = (profile + np.arange(len(history))[:, None] * _WIDTH).ravel()
    below = np.concatenate([np.zeros((len(history), 1)), np.cumsum(profile, axis=1)], axis=1)
    return Futures(level, np.array([week for week, _ in pairs])[drawn], profile, keys, below)


def _profile(demand: Demand, start: int) -> _Floats:
    """The 168 hours of a week against their mean. Hours that are missing are drawn from its known ones, by rank."""
    week = slice(start, start + HOURS_A_WEEK)
    hours = demand.nanos[week][demand.known[week]].astype(np.float64)
    if len(hours) < HOURS_A_WEEK:
        ranks = (np.arange(HOURS_A_WEEK) + 0.5) * len(hours) / HOURS_A_WEEK
        hours = np.sort(hours)[ranks.astype(np.int64)]
    shape: _Floats = hours / hours.mean()
    return shape


def _blocks(seed: np.random.Generator, changes: int, weeks: int, paths: int) -> _Ints:
    """Positions of changes, paths x weeks, in circular blocks of consecutive weeks."""
    length = max(1, min(_BLOCK_WEEKS, changes // 3))
    starts = seed.integers(0, changes, size=(paths, -(-weeks // length), 1))
    positions: _Ints = ((starts + np.arange(length)) % changes).reshape(paths, -1)[:, :weeks]
    return positions


def _trend(weeks: Sequence[Week], ahead: int) -> _Floats:
    """Logarithm of the level that the falling trend leaves in each week ahead; 0 for a rising one."""
    means = np.log([week.whole for week in weeks])
    times = np.array([week.number for week in weeks])
    later, earlier = np.triu_indices(len(means), k=1)[::-1]
    slope = min(0.0, float(np.median((means[later] - means[earlier]) / (times[later] - times[earlier]))))
    damped: _Floats = slope * np.cumsum(0.5 ** (np.arange(ahead) / _HALF_LIFE_WEEKS))
    return damped


def _strikes(seed: np.random.Generator, scenario: Scenario, weeks: int, paths: int) -> _Floats:
    if scenario.per_year <= 0:
        return np.zeros((1, weeks))
    first = seed.exponential(_WEEKS_A_YEAR / scenario.per_year, size=(paths, 1))
    struck: _Floats = np.where(np.arange(weeks) >= first, np.log(scenario.factor), 0.0)
    return struck


def seed_of(pool: str, stream: int) -> int:
    """The seed of a pool's chance, the same whenever it is planned; each ``stream`` (0 to 3) is another."""
    return int.from_bytes(hashlib.sha256(pool.encode()).digest()[8 * stream : 8 * stream + 8])
