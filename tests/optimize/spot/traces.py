"""Traces and jobs that the tests of spot share, and a replay that walks second by second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from outlay.optimize.spot.availability import Trace
from outlay.optimize.spot.checkpoint import Job

__all__ = ["FIXTURES", "Walked", "trace_of", "walk"]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "spot_traces"


def trace_of(counts: list[int], gap: float = 1.0) -> Trace:
    times = np.arange(len(counts), dtype=np.float64) * gap
    return Trace("made up", times, np.array(counts, dtype=np.int64), len(counts) * gap, "made up")


@dataclass(frozen=True, slots=True)
class Walked:
    """What one start came to, in seconds."""

    wall: float
    spot: float
    on_demand: float
    lost: int
    interruptions: int


def walk(up: list[bool], job: Job, interval: int, start: int, deadline: float | None) -> Walked:
    """The rules of a replay, one second after the other; whole seconds only.

    What has not saved a second of work within a round of the trace and a piece never will, and is infinite.
    """
    work, save, restore = int(job.work), int(job.save), int(job.restore)
    saved = progress = saving = to_restore = spot = lost = interruptions = 0
    running = ran = False
    most = (work + 3) * (len(up) + restore + interval + save) + int(deadline or 0)
    for now in range(start, start + most):
        here = up[now % len(up)]
        if running and not here:
            interruptions, lost, running = interruptions + 1, lost + progress, False
        if deadline is not None and now >= max(start, start + deadline - (work - saved) - restore):
            left = work - saved + (restore if ran else 0)
            return Walked(now - start + left, spot, left, lost + (progress if running else 0), interruptions)
        if not here:
            continue
        if not running:
            to_restore, progress, saving, running = (restore if ran else 0), 0, 0, True
            ran = True
        spot += 1
        if to_restore:
            to_restore -= 1
            continue
        piece = min(interval, work - saved)
        if progress < piece:
            progress += 1
        else:
            saving += 1
        if progress == piece and saving == save:
            saved, progress, saving = saved + piece, 0, 0
            if saved == work:
                return Walked(now + 1 - start, spot, 0, lost, interruptions)
    return Walked(math.inf, math.inf, 0, lost, interruptions)
