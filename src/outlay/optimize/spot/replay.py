"""Replay: the same job, run over a trace of real capacity from many starts.

What happens is what the formula assumes, with the trace in the place of the exponential: the job waits until enough
instances are there, runs, saves after every interval of work and once more when the work is done, loses what it had
not saved when capacity drops, waits again, and restores first when it comes back. Time up is billed, whatever it was
spent on; waiting is not. No formula is used here, so the two can be held against each other.

The starts are spread evenly over the trace. A job that runs past its end goes on at its beginning, as if the trace
were a circle (the circular block bootstrap of Politis and Romano, 1992): every hour of the trace then weighs the same,
and no start is left out because little of the trace follows it. The price is one seam that never was; how many starts
crossed it is said. A job that can't save anything any more, or has not ended after ``MOST_SPELLS`` spells, is
*unfinished*: its time counts as infinite, never as missing.

With a deadline, a simple safety net: the job leaves spot for good, for on-demand, at the last moment at which what is
not saved yet, and a restore, still fit before the deadline. On-demand is not interrupted and saves nothing more, so the
deadline is always kept. It gives up a piece that is under way, and spot that is up; finer policies exist (*Can't Be
Late*, NSDI'24).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outlay.optimize.spot.availability import Capacity
from outlay.optimize.spot.checkpoint import Job

__all__ = ["MOST_SPELLS", "Replay", "even_starts", "replay"]

MOST_SPELLS = 10_000
"""Spells of capacity that one start goes through before it counts as unfinished."""
_EPSILON = 1e-6  # seconds: what sums of gaps are off by, so that a save that ends with its spell is a save

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """One figure a start, in seconds: ``wall`` time, time billed on ``spot`` and ``on_demand``, and work ``lost``.

    ``wall`` and ``spot`` are infinite where the job was unfinished. ``switched`` tells who left spot for the deadline.
    """

    wall: _Floats
    spot: _Floats
    on_demand: _Floats
    lost: _Floats
    interruptions: NDArray[np.int64]
    switched: NDArray[np.bool_]
    wrapped: NDArray[np.bool_]

    @property
    def unfinished(self) -> int:
        """Starts from which the job never ended."""
        return int(np.isinf(self.wall).sum())


def even_starts(capacity: Capacity, count: int) -> _Floats:
    """``count`` moments, spread evenly over the trace from its first."""
    return np.arange(count, dtype=np.float64) * (capacity.length / count)


def replay(capacity: Capacity, job: Job, interval: float, starts: _Floats, *, deadline: float | None = None) -> Replay:
    """Run ``job`` from each start, with the work between two saves and, where given, the seconds to the deadline."""
    return _Run(capacity, job, interval, starts, math.inf if deadline is None else deadline).result()


class _Run:
    """All starts at once, one spell of capacity at a time."""

    def __init__(self, capacity: Capacity, job: Job, interval: float, starts: _Floats, deadline: float) -> None:
        self._job, self._interval, self._starts = job, min(interval, job.work), starts
        self._circle = _Circle(capacity)
        self._pieces = max(1, math.ceil((job.work - _EPSILON) / self._interval))
        self._last = job.work - (self._pieces - 1) * self._interval
        self._deadline = starts + deadline
        count = len(starts)
        self._saved = np.zeros(count)  # pieces, whole numbers
        self._now = starts.copy()
        self._spot, self._on_demand, self._lost = np.zeros(count), np.zeros(count), np.zeros(count)
        self._wall = np.full(count, math.inf)
        self._spells = np.zeros(count, dtype=np.int64)
        self._interruptions = np.zeros(count, dtype=np.int64)
        self._switched = np.zeros(count, dtype=np.bool_)

    def result(self) -> Replay:
        live = np.arange(len(self._starts))
        if not len(self._circle):
            live = self._without_capacity(live)
        spell = self._circle.first_after(self._starts) if len(live) else np.zeros(0, dtype=np.int64)
        round_before: tuple[int, float] | None = None
        for number in range(MOST_SPELLS):
            if not len(live):
                break
            go_on = self._one_spell(live, *self._circle.spell(spell))
            live, spell = live[go_on], spell[go_on] + 1
            if number % len(self._circle) == 0:
                # A round in which nobody saved or ended is what all the following ones will be like.
                so_far = (len(live), float(self._saved.sum()))
                if so_far == round_before and math.isinf(self._deadline[0]):
                    break
                round_before = so_far
        self._spot[live] = math.inf
        return Replay(
            wall=self._wall,
            spot=self._spot,
            on_demand=self._on_demand,
            lost=self._lost,
            interruptions=self._interruptions,
            switched=self._switched,
            wrapped=self._starts + self._wall > self._circle.length,
        )

    def _one_spell(self, live: NDArray[np.int64], start: _Floats, end: _Floats) -> NDArray[np.bool_]:
        """Take the jobs in ``live`` through one spell each; tells which of them go on to the next."""
        job, piece = self._job, self._interval + self._job.save
        begin = np.maximum(start, self._starts[live])
        ready = begin + np.where(self._spells[live] > 0, job.restore, 0.0)
        left = self._pieces - 1 - self._saved[live]  # before the last one, which may be shorter
        leave = self._leave(live, self._saved[live])
        waiting = leave <= begin

        fit = np.floor((end - ready + _EPSILON) / piece)
        safe = self._safe(leave - ready, piece)
        ends = ready + left * piece + self._last + job.save
        done = (
            ~waiting
            & (ends <= end + _EPSILON)
            & (safe >= left)
            & (leave - ready - left * job.save >= self._last + job.save - _EPSILON)
        )
        saved = np.where(waiting, 0.0, np.clip(np.minimum(fit, safe), 0.0, left))
        leave += saved * self._interval
        leaving = ~done & (waiting | (leave < end))
        stop = np.where(done, ends, np.where(leaving, np.maximum(leave, self._now[live]), end))
        up = np.where(waiting, 0.0, stop - begin)
        unsaved = np.clip(stop - ready - saved * piece, 0.0, np.where(saved == left, self._last, self._interval))

        self._saved[live] += saved
        self._spot[live] += up
        self._lost[live] += np.where(done | waiting, 0.0, unsaved)
        self._now[live] = stop
        self._spells[live] += ~waiting
        go_on: NDArray[np.bool_] = ~done & ~leaving
        self._interruptions[live] += go_on
        self._wall[live[done]] = stop[done] - self._starts[live[done]]
        self._to_on_demand(live[leaving])
        return go_on

    def _leave(self, live: NDArray[np.int64], saved: _Floats) -> _Floats:
        """The last moment at which on-demand, after a restore, still makes the deadline."""
        leave: _Floats = self._deadline[live] - (self._job.work - saved * self._interval) - self._job.restore
        return leave

    def _safe(self, slack: _Floats, piece: float) -> _Floats:
        """Pieces that can be begun and saved before that moment: each uses up the time of its save."""
        if not self._job.save:
            return np.where(slack >= piece - _EPSILON, math.inf, 0.0)
        safe: _Floats = np.maximum(np.floor((slack - piece + _EPSILON) / self._job.save) + 1, 0.0)
        return safe

    def _to_on_demand(self, leaving: NDArray[np.int64]) -> None:
        restore = np.where(self._spells[leaving] > 0, self._job.restore, 0.0)
        time = restore + self._job.work - self._saved[leaving] * self._interval
        self._on_demand[leaving] = time
        self._switched[leaving] = True
        self._wall[leaving] = self._now[leaving] + time - self._starts[leaving]

    def _without_capacity(self, live: NDArray[np.int64]) -> NDArray[np.int64]:
        """Nothing ever came up: wait until the deadline forces on-demand, or for ever."""
        if math.isinf(self._deadline[0]):
            self._spot[live] = math.inf
            return live[:0]
        self._now = np.maximum(self._leave(live, self._saved), self._starts)
        self._to_on_demand(live)
        return live[:0]


class _Circle:
    """The spells of a trace whose end is joined to its beginning, numbered on over as many rounds as needed."""

    def __init__(self, capacity: Capacity) -> None:
        starts, ends, self.length = capacity.starts.copy(), capacity.ends.copy(), capacity.length
        if len(starts) and starts[0] == 0 and ends[-1] == self.length:
            # What is up at the end and at the beginning is one spell: no drop was seen between them.
            if len(starts) == 1:
                ends[0] = math.inf
            else:
                ends[-1] += ends[0]
                starts, ends = starts[1:], ends[1:]
        self._starts, self._ends = starts, ends

    def __len__(self) -> int:
        return len(self._starts)

    def first_after(self, moments: _Floats) -> NDArray[np.int64]:
        """The first spell that ends after each moment of the first round; -1 where one reaches over from before it."""
        found = np.searchsorted(self._ends, moments, side="right")
        return np.where(moments + self.length < self._ends[-1], -1, found).astype(np.int64)

    def spell(self, number: NDArray[np.int64]) -> tuple[_Floats, _Floats]:
        """Start and end of numbered spells."""
        rounds, index = np.divmod(number, len(self))
        shift = rounds * self.length
        return self._starts[index] + shift, self._ends[index] + shift
