"""Checkpoints: how often to save, and how long a job then takes on capacity that is taken away.

A job of W hours of work saves its state after every ``interval`` of work; a save takes ``save``. At an interruption
the work since the last save is lost; ``restore`` is the time from capacity being back to work going on. ``mtbf`` is the
mean time up between interruptions of the job *as a whole*: of n machines that must all be up and fail on their own, it
is the n-th part of one machine's.

    Young (1974):            interval = sqrt(2 * mtbf * save)
    most available           save + sqrt(2 * (mtbf + restore) * save + save^2)      (arXiv 2410.18124)
    first-order overhead     save / interval + interval / (2 * mtbf)
    Daly (2006), exact for exponential times between interruptions:
                             E[T] / W = mtbf / interval * e^(restore / mtbf) * (e^((interval + save) / mtbf) - 1)

E[T] / W is called the *stretch* here: hours up, and so hours billed, for an hour of work. Daly's follows from one piece
of length L = interval + save: each failure adds a restore, itself begun anew until it succeeds, and begins the piece
anew, which gives mtbf * e^(restore / mtbf) * (e^(L / mtbf) - 1) for each piece. Its smallest value over the interval,
the best interval, solves

    ln(1 - x) + x + save / mtbf = 0,   x = interval / mtbf in (0, 1)

which does not depend on the restore. Young's is its limit for short saves.

Traps: the interval of 2410.18124 counts the save that ends it, the others count work alone. And none of them knows of
time spent waiting for capacity: it costs no money, but it does cost time. All times are in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from outlay.errors import UsageError

__all__ = [
    "LONGEST",
    "MOST_STRETCH",
    "Job",
    "availability_optimal",
    "best_interval",
    "first_order_overhead",
    "shortest_mtbf",
    "stretch",
    "young",
]

MOST_STRETCH = 1e6
"""Hours up for an hour of work beyond which a job is taken never to end."""
LONGEST = 100 * 365.25 * 86400.0
"""A century in seconds: a longer time is a slip of the unit."""


@dataclass(frozen=True, slots=True)
class Job:
    """Work to do, time to save a checkpoint, time to come back after an interruption; in seconds."""

    work: float
    save: float
    restore: float

    def __post_init__(self) -> None:
        _check("work", self.work, positive=True)
        _check("save time", self.save)
        _check("restore time", self.restore)


def young(save: float, mtbf: float) -> float:
    """Young's interval of work between two saves."""
    return math.sqrt(2 * mtbf * save)


def availability_optimal(save: float, restore: float, mtbf: float) -> float:
    """From one save's end to the next one's end, so that the largest share of time goes into work that is kept."""
    return save + math.sqrt(2 * (mtbf + restore) * save + save * save)


def first_order_overhead(interval: float, save: float, mtbf: float) -> float:
    """Time for saves and lost work as a share of the work: a sketch for intervals far below the mtbf."""
    return save / interval + interval / (2 * mtbf)


def stretch(interval: float, save: float, restore: float, mtbf: float) -> float:
    """E[T] / W: expected time up for an hour of work. Infinite beyond ``MOST_STRETCH``."""
    try:
        found = mtbf / interval * math.exp(restore / mtbf) * math.expm1((interval + save) / mtbf)
    except OverflowError:
        return math.inf
    return found if found <= MOST_STRETCH else math.inf


def best_interval(save: float, mtbf: float) -> float:
    """The interval with the smallest :func:`stretch`. Raises :class:`UsageError` for a save that takes no time."""
    if save <= 0:
        raise UsageError(
            "a save that takes no time has no best interval: ever more of them would be better.",
            where="--save",
            hint="Give what a save takes, or the interval with --interval.",
        )
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if math.log1p(-middle) + middle + save / mtbf > 0:
            low = middle
        else:
            high = middle
    # The root is lost to rounding where the save is some 1e-12 of the mtbf; Young's interval is exact there.
    return low * mtbf if low > 1e-5 else young(save, mtbf)


def shortest_mtbf(most: float, job: Job, interval: float | None) -> float | None:
    """The mtbf at which the stretch is ``most``: below it spot costs more than it saves.

    At ``interval``, or at the best interval of each mtbf where it is None. None where no mtbf keeps the stretch so low.
    """

    def of(mtbf: float) -> float:
        return stretch(interval or min(job.work, best_interval(job.save, mtbf)), job.save, job.restore, mtbf)

    low, high = 1e-3, LONGEST
    if not of(high) < most:
        return None
    for _ in range(200):
        middle = math.sqrt(low * high)
        if of(middle) < most:
            high = middle
        else:
            low = middle
        if high / low < 1 + 1e-9:
            break
    return high


def _check(what: str, seconds: float, *, positive: bool = False) -> None:
    if not math.isfinite(seconds) or seconds < 0 or (positive and seconds == 0) or seconds > LONGEST:
        raise UsageError(
            f"the {what} of {seconds:g} seconds can't be used.",
            hint=f"Give {'more than 0' if positive else '0 or more'}, and less than a century.",
        )
