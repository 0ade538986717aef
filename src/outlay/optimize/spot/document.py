"""The verdict on spot as ``--json`` prints it.

Hours, ratios and the money that follows from them are estimates, so they are rounded here: ratios to four decimals,
hours to three, money to the currency's minor unit. What has no end (a job that is never done) is null.
"""

from __future__ import annotations

import math
from decimal import Decimal

from outlay.money import plain, rounded
from outlay.optimize.spot.availability import QUANTILES, Capacity
from outlay.optimize.spot.estimate import Estimate, Formula, Intervals, Outcome, Point, Spread
from outlay.optimize.spot.terms import Terms
from outlay.optimize.spot.wording import sentences, verdict_line

__all__ = ["document"]

Json = dict[str, object]


def document(one: Estimate) -> Json:
    """One offer of ``--json``. Numbers are strings of decimals; counts are numbers."""
    terms, capacity = one.terms, one.capacity
    cost = one.cost
    on_demand = terms.on_demand_cost
    decisive = one.net or one.replay
    return {
        "name": one.name,
        "source": None if one.trace is None else one.trace.source,
        "verdict": one.verdict,
        "why": one.why,
        "needs": list(terms.missing),
        "basis": "formula" if decisive is None and one.formula else "replay" if decisive else None,
        "cost": None if cost is None else plain(rounded(cost, terms.currency)),
        "on_demand_cost": None if on_demand is None else plain(rounded(on_demand, terms.currency)),
        "break_even": {
            "price_ratio": _text(one.break_even_ratio, 4),
            "mtbf_hours": _hours(one.mtbf_needed),
        },
        "interval": None if one.intervals is None else _intervals(one.intervals),
        "formula": None if one.formula is None else _formula(one.formula),
        "trace": None if capacity is None else _capacity(capacity),
        "replay": None if one.replay is None else _outcome(one.replay, terms),
        "safety_net": None if one.net is None else _outcome(one.net, terms),
        "curve": [_point(point) for point in one.curve],
        "notes": [verdict_line(one), *sentences(one)],
    }


def _intervals(found: Intervals) -> Json:
    return {
        "used_seconds": _text(found.used, 1),
        "best_seconds": _text(found.best, 1),
        "young_seconds": _text(found.young, 1),
        "availability_optimal_seconds": _text(found.availability_optimal, 1),
    }


def _formula(found: Formula) -> Json:
    return {
        "mtbf_hours": _hours(found.mtbf),
        "mtbf_is_lower_bound": found.is_bound,
        "stretch": _text(found.stretch, 4),
        "first_order_overhead": _text(found.first_order_overhead, 4),
        "break_even_ratio": _text(found.break_even_ratio, 4),
    }


def _capacity(found: Capacity) -> Json:
    whole, fit = found.quantiles(), found.exponential()
    return {
        "days": _text(found.length / 86400, 2),
        "availability": _text(found.availability, 4),
        "hours_up": _hours(found.up),
        "drops": found.drops,
        "hours_up_per_drop": _hours(found.mtbf),
        "whole_spells": len(found.spells),
        "memoryless": found.memoryless(),
        "spell_hours": None if whole is None else _quantiles(whole),
        "exponential_hours": None if fit is None else _quantiles(fit),
    }


def _outcome(found: Outcome, terms: Terms) -> Json:
    costs = None
    if found.equivalent is not None:
        amounts = {name: terms.money(getattr(found.equivalent, name)) for name in ("mean", "p10", "p50", "p90")}
        costs = {name: None if one is None else plain(rounded(one, terms.currency)) for name, one in amounts.items()}
    return {
        "starts": found.starts,
        "unfinished": found.unfinished,
        "wrapped": found.wrapped,
        "in_time": found.in_time,
        "switched": found.switched,
        "stretch": _spread(found.stretch, 1, 4),
        "wall_hours": _spread(found.wall, 3600, 3),
        "on_demand_hours": _hours(found.on_demand),
        "lost_hours": _hours(found.lost),
        "interruptions": _text(found.interruptions, 2),
        "cost": costs,
        "cheaper": found.cheaper,
        "break_even_ratio": _text(found.break_even_ratio, 4),
    }


def _point(point: Point) -> Json:
    return {
        "factor": _text(point.factor, 2),
        "interval_seconds": _text(point.interval, 1),
        "formula": _text(point.formula, 4),
        "replay": _text(point.replay, 4),
    }


def _spread(found: Spread, unit: float, places: int) -> Json:
    return {name: _text(getattr(found, name) / unit, places) for name in ("mean", "p10", "p50", "p90")}


def _quantiles(values: tuple[float, ...]) -> Json:
    return {f"p{round(100 * share)}": _hours(value) for share, value in zip(QUANTILES, values, strict=True)}


def _text(value: float | None, places: int) -> str | None:
    return None if value is None or not math.isfinite(value) else plain(Decimal(f"{value:.{places}f}"))


def _hours(seconds: float | None) -> str | None:
    return None if seconds is None else _text(seconds / 3600, 3)
