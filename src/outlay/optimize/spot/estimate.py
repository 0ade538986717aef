"""The verdict: does spot pay for this job, on this capacity?

Spot pays if and only if what it bills is less than on-demand:

    price_spot * E[T] < price_on_demand * W,   that is   price_spot / price_on_demand < W / E[T] = break-even ratio

On-demand is taken to run without an interruption and without checkpoints, which is to spot's disadvantage. From a rate
of interruptions the formula of :mod:`checkpoint` decides. From a trace the replay decides, on the mean over its starts,
and the formula stands beside it; with a deadline the safety net's cost decides, on-demand part included.

Where a trace shows no drop, the formula takes the highest rate that so much time up does not exclude, and spot must
win at that rate too: what was not seen may still come.

Times are in seconds; hours, and money that follows from them, are estimates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outlay.errors import UsageError
from outlay.optimize.spot.availability import Capacity, Trace
from outlay.optimize.spot.checkpoint import (
    availability_optimal,
    best_interval,
    first_order_overhead,
    shortest_mtbf,
    stretch,
    young,
)
from outlay.optimize.spot.replay import Replay, even_starts, replay
from outlay.optimize.spot.terms import Terms

__all__ = ["FACTORS", "Estimate", "Formula", "Intervals", "Outcome", "Point", "Spread", "of_rate", "of_trace"]

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the best interval: where the curve of costs is shown."""
Verdict = Literal["spot", "on-demand"]
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and quantiles over the starts of a replay; infinite where jobs were unfinished."""

    mean: float
    p10: float
    p50: float
    p90: float

    @classmethod
    def of(cls, values: _Floats) -> Spread:
        """Of one value a start. Quantiles are observed values."""
        p10, p50, p90 = (float(one) for one in np.quantile(values, (0.1, 0.5, 0.9), method="inverted_cdf"))
        return cls(float(values.mean()), p10, p50, p90)


@dataclass(frozen=True, slots=True)
class Intervals:
    """Work between two saves. ``used`` is the one given or else ``best``, but never more than the work there is."""

    used: float
    best: float | None
    young: float | None
    availability_optimal: float | None


@dataclass(frozen=True, slots=True)
class Formula:
    """Daly's answer at ``mtbf``, which is a bound where the trace shows no drop."""

    mtbf: float
    is_bound: bool
    stretch: float
    first_order_overhead: float

    @property
    def break_even_ratio(self) -> float | None:
        """Spot price over on-demand price below which spot pays; None where the job would never end."""
        return 1 / self.stretch if math.isfinite(self.stretch) else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A replay's figures. ``equivalent`` is the time on-demand that would cost as much; None without both prices."""

    starts: int
    unfinished: int
    wrapped: int
    stretch: Spread
    wall: Spread
    lost: float
    interruptions: float
    on_demand: float
    switched: int
    in_time: int | None
    equivalent: Spread | None
    cheaper: int | None
    break_even_ratio: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """The stretch at ``factor`` times the best interval, by the formula and over the trace."""

    factor: float
    interval: float
    formula: float
    replay: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of one capacity. ``verdict`` is None where ``why`` says what is missing.

    ``net`` is the replay with the safety net, where there is a deadline. ``mtbf_needed`` is the mean time up at which
    spot and on-demand cost the same by the formula; None where the prices are unknown or spot can't win.
    """

    name: str
    terms: Terms
    trace: Trace | None
    capacity: Capacity | None
    intervals: Intervals | None
    formula: Formula | None
    replay: Outcome | None
    net: Outcome | None
    curve: tuple[Point, ...]
    mtbf_needed: float | None
    verdict: Verdict | None
    why: str | None

    @property
    def break_even_ratio(self) -> float | None:
        """Spot price over on-demand price below which spot pays, by what the verdict rests on."""
        decisive = self.net or self.replay or self.formula
        return None if decisive is None else decisive.break_even_ratio

    @property
    def cost(self) -> Decimal | None:
        """What spot costs on average, by what the verdict rests on."""
        decisive = self.net or self.replay
        if decisive is not None:
            return None if decisive.equivalent is None else self.terms.money(decisive.equivalent.mean)
        if self.formula is None or self.terms.ratio is None:
            return None
        return self.terms.money(self.formula.stretch * self.terms.job.work * float(self.terms.ratio))


def of_rate(terms: Terms, mtbf: float) -> Estimate:
    """From a mean time up between interruptions."""
    if terms.deadline is not None:
        raise UsageError(
            "a rate of interruptions does not say how long capacity stays away.",
            where="--deadline",
            hint="Give --trace.",
        )
    if not 1 <= mtbf < math.inf:
        raise UsageError("must be a second or more.", where="--mtbf", hint="Give hours up per interruption.")
    intervals = _intervals(terms, mtbf)
    formula = _formula(terms, mtbf, intervals, is_bound=False)
    name = f"one interruption every {mtbf / 3600:g} h up"
    return _estimate(name, terms, _by_formula(terms, formula), intervals=intervals, formula=formula)


def of_trace(terms: Terms, trace: Trace) -> Estimate:
    """From a trace of capacity: formula and replay side by side."""
    capacity = trace.capacity(terms.instances)
    mtbf = capacity.mtbf or capacity.mtbf_at_least
    if mtbf is None:
        why = terms.no_price
        return _estimate(trace.name, terms, (None if why else "on-demand", why), trace=trace, capacity=capacity)
    intervals = _intervals(terms, mtbf)
    formula = _formula(terms, mtbf, intervals, is_bound=not capacity.drops)
    run = replay(capacity, terms.job, intervals.used, _starts(terms, capacity))
    outcome = _outcome(terms, run)
    net = None
    if terms.deadline is not None:
        kept = replay(capacity, terms.job, intervals.used, _starts(terms, capacity), deadline=terms.deadline)
        net = _outcome(terms, kept)
    return _estimate(
        trace.name,
        terms,
        _by_replay(terms, net or outcome, formula),
        trace=trace,
        capacity=capacity,
        intervals=intervals,
        formula=formula,
        run=outcome,
        net=net,
    )


def _estimate(
    name: str,
    terms: Terms,
    answer: tuple[Verdict | None, str | None],
    *,
    trace: Trace | None = None,
    capacity: Capacity | None = None,
    intervals: Intervals | None = None,
    formula: Formula | None = None,
    run: Outcome | None = None,
    net: Outcome | None = None,
) -> Estimate:
    """With what follows from the rest: the curve of costs, where there is a formula, and the mean time up needed."""
    verdict, why = answer
    return Estimate(
        name=name,
        terms=terms,
        trace=trace,
        capacity=capacity,
        intervals=intervals,
        formula=formula,
        replay=run,
        net=net,
        curve=() if intervals is None or formula is None else _curve(terms, formula.mtbf, intervals, capacity),
        mtbf_needed=_needed(terms),
        verdict=verdict,
        why=why,
    )


def _intervals(terms: Terms, mtbf: float) -> Intervals:
    job = terms.job
    best = None if not job.save else best_interval(job.save, mtbf)
    used = terms.interval or best or best_interval(job.save, mtbf)
    return Intervals(
        used=min(used, job.work),
        best=None if best is None else min(best, job.work),
        young=young(job.save, mtbf) if job.save else None,
        availability_optimal=availability_optimal(job.save, job.restore, mtbf) if job.save else None,
    )


def _formula(terms: Terms, mtbf: float, intervals: Intervals, *, is_bound: bool) -> Formula:
    job = terms.job
    return Formula(
        mtbf=mtbf,
        is_bound=is_bound,
        stretch=stretch(intervals.used, job.save, job.restore, mtbf),
        first_order_overhead=first_order_overhead(intervals.used, job.save, mtbf),
    )


def _outcome(terms: Terms, run: Replay) -> Outcome:
    work, ratio = terms.job.work, terms.ratio
    equivalent = None
    if ratio is not None:
        ends = np.isfinite(run.spot)
        equivalent = np.full(len(ends), math.inf)  # at a price of 0 too
        equivalent[ends] = run.spot[ends] * float(ratio) + run.on_demand[ends]
    spot, on_demand = float(run.spot.mean()), float(run.on_demand.mean())
    return Outcome(
        starts=len(run.wall),
        unfinished=run.unfinished,
        wrapped=int(run.wrapped.sum()),
        stretch=Spread.of(run.spot / work),
        wall=Spread.of(run.wall),
        lost=float(run.lost.mean()),
        interruptions=float(run.interruptions.mean()),
        on_demand=on_demand,
        switched=int(run.switched.sum()),
        in_time=None if terms.deadline is None else int((run.wall <= terms.deadline + 1e-3).sum()),
        equivalent=None if equivalent is None else Spread.of(equivalent),
        cheaper=None if equivalent is None else int((equivalent < work).sum()),
        break_even_ratio=max(0.0, (work - on_demand) / spot) if spot and math.isfinite(spot) else None,
    )


def _starts(terms: Terms, capacity: Capacity) -> _Floats:
    return even_starts(capacity, terms.starts)


def _curve(terms: Terms, mtbf: float, intervals: Intervals, capacity: Capacity | None) -> tuple[Point, ...]:
    if intervals.best is None:
        return ()
    job, points = terms.job, []
    for factor in FACTORS:
        interval = min(factor * intervals.best, job.work)
        run = None if capacity is None else replay(capacity, job, interval, _starts(terms, capacity))
        points.append(
            Point(
                factor,
                interval,
                stretch(interval, job.save, job.restore, mtbf),
                None if run is None else float(run.spot.mean()) / job.work,
            )
        )
    return tuple(points)


def _needed(terms: Terms) -> float | None:
    ratio = terms.ratio
    if not ratio or ratio >= 1 or not (terms.job.save or terms.interval):
        return None
    interval = None if terms.interval is None else min(terms.interval, terms.job.work)
    return shortest_mtbf(float(1 / ratio), terms.job, interval)


def _by_formula(terms: Terms, formula: Formula) -> tuple[Verdict | None, str | None]:
    why = terms.no_price
    if why is not None or terms.ratio is None:
        return None, why
    return ("spot" if float(terms.ratio) * formula.stretch < 1 else "on-demand"), None


def _by_replay(terms: Terms, outcome: Outcome, formula: Formula) -> tuple[Verdict | None, str | None]:
    why = terms.no_price
    if why is not None or outcome.equivalent is None:
        return None, why
    if not outcome.equivalent.mean < terms.job.work:
        return "on-demand", None
    if formula.is_bound and _by_formula(terms, formula)[0] != "spot":
        return None, (
            f"the trace shows no interruption, but it is too short to exclude one every {formula.mtbf / 3600:.1f} h, "
            "and at that rate spot would cost more than on-demand: give a longer trace, or the rate with --mtbf"
        )
    return "spot", None
