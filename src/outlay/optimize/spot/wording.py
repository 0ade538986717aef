"""The verdict on spot in words: what it is, and what stands behind it."""

from __future__ import annotations

import math
from decimal import Decimal

from outlay.money import percent, rounded
from outlay.optimize.spot.availability import FEWEST_SPELLS, Capacity
from outlay.optimize.spot.estimate import Estimate, Outcome, Point
from outlay.optimize.spot.terms import Terms

__all__ = ["about", "job_line", "money", "sentences", "span", "times", "verdict_line"]


def span(seconds: float | None) -> str:
    """A time as a person says it: ``300 s``, ``25 min``, ``10.5 h``."""
    if seconds is None or not math.isfinite(seconds):
        return "no end"
    if seconds < 600:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def job_line(terms: Terms) -> str:
    """What was asked."""
    gpus = f"{terms.gpus:,} GPU{'s' if terms.gpus > 1 else ''}"
    machines = f" in {terms.instances:,} instances" if terms.instances > 1 else ""
    return (
        f"{terms.job.work / 3600:,g} h of work on {gpus}{machines}, {span(terms.job.save)} to save a checkpoint, "
        f"{span(terms.job.restore)} to restore."
    )


def verdict_line(one: Estimate) -> str:
    """Spot or on-demand and what each costs, or why that can't be said."""
    terms = one.terms
    if one.verdict is None:
        return f"No verdict: {one.why}."
    on_demand, cost = terms.on_demand_cost, one.cost
    assert on_demand is not None
    there = money(on_demand, terms)
    if one.capacity is not None and not one.capacity.up:
        return f"On-demand, for {there}: the trace never has {_instances(terms.instances)} up at once."
    if cost is None:
        return f"On-demand, for {there}: on spot the job may never end."
    less, spot = percent(abs(1 - cost / on_demand)), f"about {about(cost)} {terms.currency}"
    if one.verdict == "spot":
        return f"Spot: {spot} instead of {there} on-demand, {less} less."
    return f"On-demand: {there}; spot would cost {spot}, {less} more."


def sentences(one: Estimate) -> list[str]:
    """What stands behind the verdict, the most telling first."""
    said = [*_stretches(one), *_break_even(one), *_interval(one)]
    if one.capacity is not None:
        said += _memory(one.capacity)
    if one.replay is not None:
        said += _time(one, one.replay)
    if one.net is not None and one.replay is not None:
        said += _net(one, one.net, one.replay)
    return said


def _stretches(one: Estimate) -> list[str]:
    if one.formula is None:
        return []
    said, at = [], ""
    if one.formula.is_bound:
        assert one.capacity is not None
        rate = f"one every {span(one.formula.mtbf)}"
        said.append(
            f"The trace shows no interruption in {span(one.capacity.up)} up. That excludes more than {rate} (at 95%), "
            "and nothing rarer."
        )
        at = f" at {rate}"
    if math.isfinite(one.formula.stretch):
        text = f"By the formula the job is up, and billed, {times(one.formula.stretch)} its hours of work{at}"
    else:
        text = f"By the formula the job never ends{at}"
    if one.replay is not None:
        found = one.replay.stretch
        text += f"; by the replay of {one.replay.starts:,} starts {times(found.mean)}"
        if math.isfinite(found.mean):
            text += f" (p10 {times(found.p10)}, p90 {times(found.p90)})"
    return [*said, text + "."]


def _break_even(one: Estimate) -> list[str]:
    terms, said = one.terms, []
    decisive = one.net or one.replay
    ratio = one.break_even_ratio
    if ratio is not None:
        share = percent(_number(ratio, 4), to_tenths=True)
        text = f"{'With the safety net, spot' if one.net else 'Spot'} pays below {share} of the on-demand price"
        if terms.on_demand is not None:
            text += f", about {ratio * float(terms.on_demand):,.3g} {terms.currency} a GPU-hour"
        if terms.ratio is not None:
            text += f"; it is offered at {percent(_number(float(terms.ratio), 4), to_tenths=True)}"
        said.append(text + ".")
    if one.mtbf_needed is not None:
        here = "" if one.formula is None or one.formula.is_bound else f"; here it is every {span(one.formula.mtbf)}"
        said.append(
            f"At these prices the formula lets spot win down to one interruption every {span(one.mtbf_needed)} up"
            f"{here}."
        )
    if decisive is not None and decisive.cheaper is not None and 0 < decisive.cheaper < decisive.starts:
        said.append(f"Spot is the cheaper one from {decisive.cheaper:,} of {decisive.starts:,} starts.")
    return said


def _interval(one: Estimate) -> list[str]:
    if one.intervals is None or not one.curve or not math.isfinite(one.curve[0].formula):
        return []
    by_factor = {point.factor: point for point in one.curve}
    best, half, double = by_factor[1.0], by_factor[0.5], by_factor[2.0]
    assert one.intervals.best is not None
    text = (
        f"Best saved after every {span(one.intervals.best)} of work; half of that costs {_dearer(half, best)} more, "
        f"double {_dearer(double, best)}, by the formula."
    )
    if one.terms.interval is not None and one.formula is not None and math.isfinite(one.formula.stretch):
        more = percent(_number(one.formula.stretch / best.formula - 1, 4))
        text += f" At the {span(one.intervals.used)} given it is {more} more."
    said = [text]
    replayed = [point for point in one.curve if point.replay is not None and math.isfinite(point.replay)]
    if replayed:
        cheapest = min(replayed, key=lambda point: point.replay or 0)
        if cheapest.factor != 1:
            less = percent(_number(1 - (cheapest.replay or 0) / (best.replay or math.inf), 4))
            said.append(
                f"Over the trace, {span(cheapest.interval)} does best of those tried, with {less} less time up."
            )
    return said


def _memory(capacity: Capacity) -> list[str]:
    memoryless = capacity.memoryless()
    if memoryless is None:
        if not capacity.up:
            return []
        few = f"{len(capacity.spells)} whole times up are too few (under {FEWEST_SPELLS})"
        return [f"{few} to see how they are distributed."]
    if memoryless:
        return ["The times up pass for memoryless (Kolmogorov-Smirnov, 5%), as the formula assumes."]
    whole, fit = capacity.quantiles((0.5,)), capacity.exponential((0.5,))
    assert whole is not None
    assert fit is not None
    return [
        f"The times up are not memoryless as the formula assumes: half of them end within {span(whole[0])}, half of "
        f"the exponential fit's within {span(fit[0])}."
    ]


def _time(one: Estimate, outcome: Outcome) -> list[str]:
    assert one.capacity is not None
    wall = outcome.wall
    text = f"Capacity was there {percent(_number(one.capacity.availability, 4), to_tenths=True)} of the time"
    if math.isfinite(wall.p90):
        text += (
            f": half of the starts end within {span(wall.p50)}, nine in ten within {span(wall.p90)}, waiting included"
        )
    said = [f"{text}; on-demand takes {span(one.terms.job.work)}."]
    if outcome.unfinished:
        said.append(f"From {outcome.unfinished:,} of {outcome.starts:,} starts the job never ends on spot.")
    if outcome.wrapped:
        many = f"{outcome.wrapped:,} of {outcome.starts:,} starts"
        said.append(f"{many} ran past the end of the trace ({span(one.capacity.length)}) and went on at its beginning.")
    return said


def _net(one: Estimate, net: Outcome, plain_spot: Outcome) -> list[str]:
    assert one.terms.deadline is not None
    text = (
        f"Spot alone ends within the deadline of {span(one.terms.deadline)} from {plain_spot.in_time or 0:,} of "
        f"{plain_spot.starts:,} starts."
    )
    if net.switched:
        text += (
            f" With the safety net, {net.switched:,} go over to on-demand, where they spend "
            f"{span(net.on_demand * net.starts / net.switched)} on average; the verdict is on its cost."
        )
    return [text]


def _number(value: float | None, places: int) -> Decimal | None:
    return None if value is None or not math.isfinite(value) else Decimal(f"{value:.{places}f}")


def times(value: float, places: int = 2) -> str:
    """Hours up for an hour of work: ``1.19x``."""
    return f"{value:,.{places}f}x" if math.isfinite(value) else "no end"


def _dearer(point: Point, best: Point) -> str:
    return percent(_number(point.formula / best.formula - 1, 4))


def _instances(count: int) -> str:
    return "an instance" if count == 1 else f"{count:,} instances"


def about(value: Decimal) -> str:
    """An estimate of money: four digits at most say something."""
    return f"{value:,.0f}" if value >= 1000 else f"{float(value):,.4g}"


def money(value: Decimal, terms: Terms) -> str:
    """An amount that is exact, to the minor unit."""
    return f"{rounded(value, terms.currency):,} {terms.currency}"
