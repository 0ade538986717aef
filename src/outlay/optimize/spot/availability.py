"""Availability: when capacity was there, how long it stayed, and whether that looks memoryless.

A trace says how many instances could be had, from one moment to the next. A job that needs n of them runs while at
least n are there; one *spell* is an unbroken time up, and it ends in a *drop*:

    availability  = time up / time seen
    hours up per drop = time up / drops     (the exponential fit: its mean is the only thing that is fitted)

The formulas of :mod:`checkpoint` assume that a spell's end does not depend on its age. Real preemption often does (a
bathtub on machines with a 24 h limit: arXiv 1911.05160), so the spells' own quantiles stand beside the exponential's,
with a test of the difference: the Kolmogorov-Smirnov distance to an exponential of the spells' own mean, against the 5%
point that Stephens (1974) gives for a mean that was fitted,

    (D - 0.2 / n) * (sqrt(n) + 0.26 + 0.5 / sqrt(n)) > 1.094

Traps. A trace is made of pings: what came and went between two of them is not in it, and a drop in capacity is only a
proxy for an instance being taken away. The first and the last spell may be cut off by the trace: they count as time
up, not as whole spells. And no drop at all does not mean that none will come: after t hours up without one, a rate
above 3 / t is excluded at 95% (-ln 0.05 = 3.0), and no more than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outlay.errors import UsageError

__all__ = ["FEWEST_SPELLS", "QUANTILES", "Capacity", "Trace"]

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the spells, beside those of the exponential fit."""
FEWEST_SPELLS = 10
"""Whole spells below which nothing is said of their distribution."""
_STEPHENS_5_PERCENT = 1.094
_UNSEEN = -math.log(0.05)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """How many instances could be had: ``counts[i]`` from ``times[i]`` to the next or to ``end``.

    In seconds; the first is 0.
    """

    name: str
    times: NDArray[np.float64]
    counts: NDArray[np.int64]
    end: float
    source: str

    def __post_init__(self) -> None:
        assert len(self.times) == len(self.counts) > 0
        assert self.times[0] == 0
        assert bool(np.all(np.diff(self.times) > 0))
        assert self.end > self.times[-1]

    @property
    def most(self) -> int:
        """The most instances that were there at once."""
        return int(self.counts.max())

    @property
    def mean(self) -> float:
        """Instances on average over time."""
        return float(np.average(self.counts, weights=np.diff(np.append(self.times, self.end))))

    def capacity(self, needed: int) -> Capacity:
        """When at least ``needed`` instances were there."""
        if needed < 1:
            raise UsageError(f"a job can't need {needed} instances.", where="--instances", hint="Give 1 or more.")
        up = np.concatenate([[False], self.counts >= needed, [False]])
        edges = np.flatnonzero(up[1:] != up[:-1])
        moments = np.append(self.times, self.end)[edges]
        return Capacity(moments[0::2], moments[1::2], self.end)


@dataclass(frozen=True, slots=True, eq=False)
class Capacity:
    """The spells in which a job could run: seconds at which they start and end, in order, within ``[0, length)``."""

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    length: float

    @property
    def up(self) -> float:
        """Seconds up in all."""
        return float((self.ends - self.starts).sum())

    @property
    def availability(self) -> float:
        """Share of the time seen."""
        return self.up / self.length

    @property
    def drops(self) -> int:
        """Spells whose end was seen."""
        return int((self.ends < self.length).sum())

    @property
    def mtbf(self) -> float | None:
        """Seconds up per drop; None without a drop."""
        return self.up / self.drops if self.drops else None

    @property
    def mtbf_at_least(self) -> float | None:
        """Without a drop: the mean time up below which so long a time up would have been seen in under 5% of cases."""
        return None if self.drops or not self.up else self.up / _UNSEEN

    @property
    def spells(self) -> NDArray[np.float64]:
        """Lengths of the spells that were seen from start to end, in seconds, ascending."""
        whole = (self.starts > 0) & (self.ends < self.length)
        return np.sort((self.ends - self.starts)[whole])

    def quantiles(self, of: Sequence[float] = QUANTILES) -> tuple[float, ...] | None:
        """Seconds that this share of the whole spells lasted at most; observed lengths. None with too few spells."""
        spells = self.spells
        if len(spells) < FEWEST_SPELLS:
            return None
        return tuple(float(one) for one in np.quantile(spells, of, method="inverted_cdf"))

    def exponential(self, of: Sequence[float] = QUANTILES) -> tuple[float, ...] | None:
        """The same of an exponential with the trace's hours up per drop. None without a drop."""
        return None if self.mtbf is None else tuple(-math.log1p(-one) * self.mtbf for one in of)

    def memoryless(self) -> bool | None:
        """Whether an exponential distribution passes the test at 5%. None with too few spells to say."""
        spells = self.spells
        n = len(spells)
        if n < FEWEST_SPELLS:
            return None
        fit = -np.expm1(-spells / spells.mean())
        rank = np.arange(1, n + 1)
        distance = float(max((rank / n - fit).max(), (fit - (rank - 1) / n).max()))
        return (distance - 0.2 / n) * (math.sqrt(n) + 0.26 + 0.5 / math.sqrt(n)) <= _STEPHENS_5_PERCENT
