"""One weak and one strong model: what each way of routing between them needs to recover the gap in quality.

- ``random`` sends a share of the calls to the strong model, whichever they are;
- ``length`` sends the longest prompts there: free, and hard to beat, so it always stands beside the classifier;
- ``classifier`` sends those that the local guess, made without having seen them, takes for hard;
- ``oracle`` knows the scores. It is the limit of any router, and none reaches it.

``saved`` is against sending every call to the strong model, at the prompts' own costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from outlay.money import share as quotient
from outlay.optimize.routing.classifier import LEAST_OF_A_KIND, Seen, fitted, folds_of, judged
from outlay.optimize.routing.curve import Curve, Floats, Order, Point, curve, order_by, pareto
from outlay.optimize.routing.guess import Guess
from outlay.optimize.routing.logged import Logged
from outlay.optimize.routing.resampling import FEWEST, SURE, Interval, draws, interval
from outlay.optimize.routing.spending import Spending, average

__all__ = ["CLASSIFIER", "LENGTH", "ORACLE", "RANDOM", "TARGETS", "Pair", "Setting", "Target", "Way", "paired"]

TARGETS = (0.5, 0.8, 0.95)
"""Parts of the gap to recover. RouteLLM prints 20, 50 and 80%."""
RANDOM, LENGTH, CLASSIFIER, ORACLE = "random", "length", "classifier", "oracle"
_STEPS = 10
_UNSURE_GAP = "the gap itself is not sure: in more than 5% of the resamples there is none."


@dataclass(frozen=True, slots=True)
class Target:
    """What recovering a part of the gap takes. ``threshold``: what needs at least this goes to the strong model.

    Costs are averages a call, exact but for what is drawn among equals; ``saved_share`` is of the strong model's cost.
    """

    recovered: float
    share: float
    share_interval: Interval | None
    threshold: float
    cost: Decimal | None
    saved: Decimal | None
    saved_share: Decimal | None
    saved_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Way:
    """One way of routing; without targets where ``why`` says so.

    ``above_length`` is the interval of its APGR less that of the prompt-length baseline.
    """

    name: str
    apgr: float | None = None
    apgr_interval: Interval | None = None
    targets: tuple[Target, ...] = ()
    above_length: Interval | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A point of the frontier: this share of strong calls by this way of routing gives this quality at this cost."""

    way: str
    share: float
    quality: float
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair, measured over ``rows``. ``why`` is what to know of it: left out rows, no gap, no interval.

    ``guess`` is the classifier fitted to all rows, for use on others.
    """

    weak: str
    strong: str
    rows: int
    weak_quality: float
    strong_quality: float
    gap_interval: Interval | None
    weak_cost: Decimal | None
    strong_cost: Decimal | None
    ways: tuple[Way, ...]
    frontier: tuple[Setting, ...]
    why: tuple[str, ...]
    guess: Guess | None = None

    @property
    def gap(self) -> float:
        """How much better the strong model is."""
        return self.strong_quality - self.weak_quality

    def way(self, name: str) -> Way:
        """A way of routing by its name."""
        return next(one for one in self.ways if one.name == name)


def paired(logged: Logged, weak: str, strong: str, features: Seen, *, resamples: int, seed: int) -> Pair | None:
    """Measure a pair over the rows that have both scores; None where there is none.

    ``features`` are those of all rows, zeros where a row has no prompt.
    """
    one, two = logged.model(weak), logged.model(strong)
    known = ~np.isnan(one.scores) & ~np.isnan(two.scores)
    why: list[str] = []
    missing = int((~known).sum())
    lengths = logged.chars[known]
    if (lengths >= 0).any() and (lengths < 0).any():
        known &= logged.chars >= 0
        why.append(f"{int((lengths < 0).sum()):,} prompts without a text or length are left out.")
    if missing:
        why.append(f"{missing:,} prompts lack a score of one of the two and are left out.")
    rows = np.flatnonzero(known)
    if not len(rows):
        return None
    ids = rows.tolist()
    gains = two.scores[rows] - one.scores[rows]
    spending, unpriced = _spending(logged, weak, strong, ids)
    if unpriced is not None:
        why.append(unpriced)
    groups = np.unique(logged.groups[rows], return_inverse=True)[1]
    weak_quality = math.fsum(one.scores[rows]) / len(rows)
    strong_quality = math.fsum(two.scores[rows]) / len(rows)
    weak_cost = strong_cost = None
    if spending is not None:
        weak_cost, strong_cost = average(spending.weak), average(spending.strong)
    if float(gains.sum()) <= 1e-12 * len(rows):
        why.append(f"'{strong}' is not better than '{weak}' on these prompts: there is no gap to recover.")
        return Pair(
            weak, strong, len(rows), weak_quality, strong_quality, None, weak_cost, strong_cost, (), (), tuple(why)
        )
    folds = folds_of(groups, np.random.default_rng(seed))
    orders, reasons, guess = _orders(logged, rows, gains, features.of(known), folds)
    distinct = int(groups.max()) + 1
    enough = distinct >= FEWEST
    drawn = draws(groups, resamples if enough else 0, np.random.default_rng(seed))
    samples, gaps = _sampled(orders, gains, spending, drawn)
    if not enough:
        why.append(f"{distinct} distinct prompts are too few for an interval: {FEWEST} or more are needed.")
    elif sum(gap <= 0 for gap in gaps) > (1 - SURE) * len(gaps):
        why.append(_UNSURE_GAP)
    curves = {name: curve(order, gains) for name, order in orders.items()}
    ways = tuple(
        _way(name, orders[name], curves[name], samples, spending) if name in orders else Way(name, why=reasons)
        for name in (RANDOM, LENGTH, CLASSIFIER, ORACLE)
        if name in orders or name in (LENGTH, CLASSIFIER)
    )
    return Pair(
        weak,
        strong,
        len(rows),
        weak_quality,
        strong_quality,
        interval(gaps),
        weak_cost,
        strong_cost,
        ways,
        _frontier(orders, curves, spending, weak_quality),
        tuple(why),
        guess,
    )


def _spending(logged: Logged, weak: str, strong: str, rows: list[int]) -> tuple[Spending | None, str | None]:
    told = []
    for name in (weak, strong):
        model = logged.model(name)
        costs = tuple(cost for row in rows if (cost := model.costs[row]) is not None)
        if len(costs) < len(rows):
            lacking = f"{len(rows) - len(costs):,} of {len(rows):,} prompts have no cost of '{name}'."
            return None, f"costs are unknown: {model.why or lacking}"
        told.append(costs)
    return Spending(told[0], told[1]), None


def _orders(
    logged: Logged,
    rows: NDArray[np.int64],
    gains: Floats,
    features: Seen,
    folds: NDArray[np.int64],
) -> tuple[dict[str, Order], str | None, Guess | None]:
    orders = {RANDOM: order_by(np.zeros(len(rows))), ORACLE: order_by(gains)}
    lengths = logged.chars[rows]
    if (lengths < 0).any():
        return orders, "the file has no prompts.", None
    orders[LENGTH] = order_by(lengths.astype(np.float64))
    if any(logged.prompts[row] is None for row in rows.tolist()):
        return orders, "the file has lengths of prompts and no prompts.", None
    needs = gains > 0
    chances = judged(features, needs, folds)
    if chances is None:
        why = f"too few prompts to learn from: {LEAST_OF_A_KIND} that need the strong model, and as many that don't."
        return orders, why, None
    orders[CLASSIFIER] = order_by(chances)
    return orders, None, fitted(features, needs)


@dataclass(frozen=True, slots=True)
class _Samples:
    """One way's figures in each resample."""

    apgr: list[float | None]
    shares: tuple[list[float | None], ...]
    saved: tuple[list[float | None], ...]


def _sampled(
    orders: dict[str, Order], gains: Floats, spending: Spending | None, drawn: Iterable[Floats]
) -> tuple[dict[str, _Samples], list[float]]:
    """Every way's figures, in the same resamples, and the gap in each."""
    found = {name: _Samples([], tuple([] for _ in TARGETS), tuple([] for _ in TARGETS)) for name in orders}
    gaps: list[float] = []
    more = None if spending is None else spending.more
    strong = None if spending is None else np.array([float(cost) for cost in spending.strong])
    for weights in drawn:
        gaps.append(float(weights @ gains / weights.sum()))
        for name, order in orders.items():
            line = curve(order, gains, weights)
            found[name].apgr.append(line.apgr)
            points = [line.recovers(part) for part in TARGETS]
            for number, point in enumerate(points):
                found[name].shares[number].append(None if point is None else point.share)
            if more is not None and strong is not None:
                runs = np.concatenate([[0.0], np.cumsum(order.sums(weights * more))])
                for number, point in enumerate(points):
                    found[name].saved[number].append(_saved(runs, point, float(weights @ strong)))
    return found, gaps


def _saved(runs: Floats, point: Point | None, whole: float) -> float | None:
    if point is None or whole <= 0:
        return None
    to_strong = runs[point.run] + point.part * (runs[point.run + 1] - runs[point.run])
    return float((runs[-1] - to_strong) / whole)


def _way(
    name: str,
    order: Order,
    line: Curve,
    samples: dict[str, _Samples],
    spending: Spending | None,
) -> Way:
    mine = samples[name]
    strong_cost = None if spending is None else average(spending.strong)
    above = None
    if name == CLASSIFIER:
        pairs = zip(mine.apgr, samples[LENGTH].apgr, strict=True)
        above = interval([None if a is None or b is None else a - b for a, b in pairs])
    targets = []
    for number, part in enumerate(TARGETS):
        point = line.recovers(part)
        assert point is not None, "a pair without a gap has no ways"
        cost = None if spending is None else spending.at(order, point)
        saved = None if cost is None or strong_cost is None else strong_cost - cost
        targets.append(
            Target(
                part,
                point.share,
                interval(mine.shares[number]),
                float(order.needs[point.run]),
                cost,
                saved,
                None if saved is None or not strong_cost else quotient(saved, strong_cost),
                interval(mine.saved[number]),
            )
        )
    return Way(name, line.apgr, interval(mine.apgr), tuple(targets), above)


def _frontier(
    orders: dict[str, Order], curves: dict[str, Curve], spending: Spending | None, weak_quality: float
) -> tuple[Setting, ...]:
    """What can be had: the settings of every way but the oracle that no other one beats."""
    settings: list[Setting] = []
    for name in (RANDOM, LENGTH, CLASSIFIER):
        if name in orders:
            for step in range(_STEPS + 1):
                point: Point = curves[name].at(step / _STEPS)
                cost = None if spending is None else spending.at(orders[name], point)
                settings.append(Setting(name, step / _STEPS, weak_quality + point.lift, cost))
    costs = [one.share if one.cost is None else float(one.cost) for one in settings]
    return tuple(settings[one] for one in pareto(costs, [round(one.quality, 12) for one in settings]))
