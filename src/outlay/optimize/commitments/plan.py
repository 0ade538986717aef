"""The plan: for each pool a verdict, and behind it every option, the curve and the figures.

From hourly demand and offers to commit, wait or never. A pool is planned by its own offers; where a savings plan serves
several pools, their union is planned too, with what all offers together would best be (:mod:`~.programme`). Nothing is
bought here: the plan is a document that :mod:`sealed` seals, and carrying it out is another step.

The *optimum* of a pool is over the whole history given and of the offer that would have saved most; it ignores what is
owned. The *recommended* purchase is what the user's risk leaves of it, less what is owned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from multiprocessing import get_context

from outlay.config import CommitmentSettings, PoolSettings
from outlay.errors import UsageError, nearest
from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.ladder import Owned, Step, ladder, stands
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.offers.offer_file import EVERY_POOL
from outlay.optimize.commitments.option import History, Option, Outlook, option
from outlay.optimize.commitments.outlook.futures import ASSUMED, Scenario, draw, seed_of
from outlay.optimize.commitments.outlook.market import PoolMarket, falling_most, pool_market
from outlay.optimize.commitments.outlook.price_history import PriceHistory
from outlay.optimize.commitments.outlook.risk import Risk, term_weeks
from outlay.optimize.commitments.outlook.volatility import Volatility, volatility
from outlay.optimize.commitments.served import served_by
from outlay.optimize.commitments.sizing import Levels, Outcome
from outlay.optimize.commitments.union import Union, unions
from outlay.optimize.commitments.verdict import Evidence, Verdict, evidence, judge

__all__ = ["PATHS", "Cap", "Plan", "PoolPlan", "plan", "scenarios_of", "today_of"]

PATHS = 1000
"""Simulated futures of a pool."""
_MANY_POOLS = 50
_FEWER_PATHS = 200
_RECENT_DAYS = 90
_CAPS = (Decimal("0.60"), Decimal("0.70"), Decimal("0.80"))
_CURVE_POINTS = 100
_SAMPLES = 1
"""The stream of chance that hours and strikes are drawn from; paths have another."""


@dataclass(frozen=True, slots=True)
class Cap:
    """What a cap on coverage would have cost over the history: points of saving forgone against the optimum."""

    coverage: Decimal
    outcome: Outcome
    price: Decimal


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One pool. ``curve`` is the best offer's outcome at rising quantities, for a chart and for anyone's own choice.

    ``ladder`` has refills alone where what is owned covers what is wanted; it is empty where nothing is wanted.
    """

    demand: Demand
    members: tuple[str, ...]
    evidence: Evidence
    verdict: Verdict
    options: tuple[Option, ...]
    optimum: Option | None
    caps: tuple[Cap, ...]
    curve: tuple[Outcome, ...]
    ladder: tuple[Step, ...]
    owned: tuple[Owned, ...]
    scenarios: Mapping[str, Risk]
    market: PoolMarket
    volatility: Volatility | None = None
    union: Union | None = None

    @property
    def pool(self) -> str:
        """Its name."""
        return self.demand.pool


@dataclass(frozen=True, slots=True)
class Plan:
    """All pools, in the order of the demand, unions last; what the figures rest on."""

    pools: tuple[PoolPlan, ...]
    settings: CommitmentSettings
    today: date | None
    paths: int
    scenarios: tuple[Scenario, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Task:
    demand: Demand
    offers: tuple[Offer, ...]
    owned: tuple[Owned, ...]
    market: PoolMarket
    union: Union | None = None


def plan(
    demands: Sequence[Demand],
    offers: Sequence[Offer],
    settings: CommitmentSettings,
    *,
    owned: Mapping[str, Sequence[Owned]] | None = None,
    histories: Mapping[str, PriceHistory] | None = None,
    today: date | None = None,
    paths: int | None = None,
    notes: Sequence[str] = (),
    parallel: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """The plan of ``demands`` with ``offers``. ``today`` dates the ladder; offers of unknown pools are a UsageError.

    ``histories`` are what is known of each pool's prices; the settings win over them.
    Many pools are shared out to processes, unless not ``parallel``: the figures are the same.
    """
    names = [one.pool for one in demands]
    _check(offers, names)
    offers = [one.financed(settings.cost_of_capital) for one in offers]
    standing = {name: tuple(one for one in held if stands(one, today)) for name, held in (owned or {}).items()}
    tasks = []
    for one in demands:
        alone = tuple(_own_offers(offers, one.pool))
        market = pool_market(_said_of(one.pool, settings), (histories or {}).get(one.pool), alone, today)
        tasks.append(_Task(one, alone, standing.get(one.pool, ()), market))
    markets = {task.demand.pool: task.market for task in tasks}
    owned_now = {name: sum(one.nanos for one in held) for name, held in standing.items()}
    for union in unions(demands, [one for one in offers if one.not_for_sale(today) is None], owned_now):
        held = tuple(_worth_of(held, union, name) for name in union.members for held in standing.get(name, ()))
        said = _said_of(union.demand.pool, settings)
        if said.pool == union.demand.pool and said.price_decline is not None:
            market = pool_market(said, None, (), today)
        else:
            market = falling_most([(name, markets[name]) for name in union.members])
        tasks.append(_Task(union.demand, union.offers, held, market, union))
    many = len(tasks) > _MANY_POOLS
    count = paths or (_FEWER_PATHS if many else PATHS)
    work = partial(_pool_plan, settings=settings, today=today, paths=count, compare=not many)
    if many and parallel and (os.cpu_count() or 1) > 1:
        progress(f"planning {len(tasks)} pools")
        with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), mp_context=get_context("spawn")) as workers:
            found = list(workers.map(work, tasks, chunksize=8))
    else:
        found = []
        for task in tasks:
            progress(f"planning {task.demand.pool}")
            found.append(work(task))
    found = _pointed(found)
    not_now = [(one, why) for one in offers if (why := one.not_for_sale(today))]
    told = [*notes, *(f"{one.where or one.pool}: the offer '{one.name}' {why}." for one, why in not_now)]
    if many and paths is None:
        told.append(
            f"{len(tasks)} pools: {count} simulated futures each instead of {PATHS}. --paths sets another number."
        )
    return Plan(tuple(found), settings, today, count, scenarios_of(settings), tuple(told))


def _pointed(found: Sequence[PoolPlan]) -> list[PoolPlan]:
    """Pools that only a union serves point to its verdict."""
    unions = [one for one in found if one.members]
    return [
        one
        if one.members
        else replace(
            one,
            verdict=served_by(
                one.verdict,
                one.options,
                {union.pool: union.verdict for union in unions if one.pool in union.members},
            ),
        )
        for one in found
    ]


def _worth_of(held: Owned, union: Union, pool: str) -> Owned:
    """What is owned of a member as the union counts: in GPUs, or in what they would cost on demand."""
    if not union.by_money:
        return held
    return replace(held, nanos=int(held.nanos * union.on_demand.get(pool, Decimal(0))))


def scenarios_of(settings: CommitmentSettings) -> tuple[Scenario, ...]:
    """The changes of regime to reckon with: the user's, else the assumed ones."""
    if settings.scenarios is None:
        return ASSUMED
    return tuple(Scenario(one.name, float(one.factor), float(one.per_year)) for one in settings.scenarios)


def _check(offers: Sequence[Offer], pools: Sequence[str]) -> None:
    for offer in offers:
        for name in offer.pools:
            if name != EVERY_POOL and name not in pools:
                raise UsageError(
                    f"the offer '{offer.name}' is for the pool '{name}', of which there is no demand.",
                    where=offer.where,
                    hint=nearest(name, pools),
                )


def _own_offers(offers: Sequence[Offer], pool: str) -> list[Offer]:
    """The offers that serve this pool alone; one for every pool becomes this pool's."""
    alone = [offer for offer in offers if offer.pools in ((pool,), (EVERY_POOL,))]
    return [replace(offer, pools=(pool,)) for offer in alone]


def _pool_plan(
    task: _Task, *, settings: CommitmentSettings, today: date | None, paths: int, compare: bool = True
) -> PoolPlan:
    demand = task.demand
    history = History(demand, Levels(demand), Levels(demand.last(_RECENT_DAYS * 24)))
    said = _said_of(demand.pool, settings)
    seen = evidence(demand, said.workload or _workload_in(demand.pool), settings)
    weeks = max((term_weeks(offer) for offer in task.offers if offer.missing is None), default=0)
    scenarios = scenarios_of(settings)
    missing = settings.week_missing_hours
    futures = draw(demand, weeks, paths, scenarios, missing=missing) if weeks else None
    held = sum(one.nanos for one in task.owned)
    above = None if futures is None else futures.above(held / NANOS)
    outlook = Outlook(above, task.market.market, seed_of(demand.pool, _SAMPLES), market_known=task.market.known)
    options = tuple(
        Option(offer, why=f"the offer {why}: ask for one that holds")
        if (why := offer.not_for_sale(today))
        else option(offer, history, outlook, settings, held)
        for offer in task.offers
    )
    verdict = judge(seen, options, settings)
    best = max((one for one in options if one.optimum is not None), key=_saved, default=None)
    chosen = verdict.best
    steps: tuple[Step, ...] = ()
    if chosen is not None and (verdict.word == "commit" or verdict.covered):
        least = int(chosen.offer.min_gpus * NANOS)
        steps = ladder(
            chosen.nanos, task.owned, months=settings.ladder_months, unit=chosen.offer.unit, today=today, least=least
        )
    return PoolPlan(
        demand=demand,
        members=() if task.union is None else task.union.members,
        evidence=seen,
        verdict=verdict,
        options=options,
        optimum=best,
        caps=() if best is None else _caps(history, best, settings),
        curve=() if best is None else _curve(history, best),
        ladder=steps,
        owned=task.owned,
        scenarios=_struck(outlook, chosen, scenarios),
        market=task.market,
        volatility=volatility(demand, options, outlook.market, scenarios, missing=missing) if compare else None,
        union=task.union,
    )


def _saved(one: Option) -> Decimal:
    assert one.optimum is not None
    return one.optimum.saving_rate or Decimal(0)


def _caps(history: History, best: Option, settings: CommitmentSettings) -> tuple[Cap, ...]:
    offer, optimum = best.offer, best.optimum
    assert optimum is not None
    found = []
    for coverage in sorted({*_CAPS, settings.coverage_cap}):
        nanos = min(history.levels.capped(coverage, unit=offer.unit), int(optimum.quantity * NANOS))
        outcome = history.outcome(offer, nanos)
        found.append(Cap(coverage, outcome, (optimum.saving_rate or Decimal(0)) - (outcome.saving_rate or Decimal(0))))
    return tuple(found)


def _curve(history: History, best: Option) -> tuple[Outcome, ...]:
    """Outcomes at a hundred steps from nothing to the peak of the demand."""
    peak = history.levels.peak
    return tuple(history.outcome(best.offer, peak * step // _CURVE_POINTS) for step in range(_CURVE_POINTS + 1))


def _struck(outlook: Outlook, chosen: Option | None, scenarios: Sequence[Scenario]) -> dict[str, Risk]:
    if chosen is None or not chosen.buy:
        return {}
    prospect = outlook.prospect(chosen.offer)
    if prospect is None:
        return {}
    return {one.name: prospect.struck(chosen.buy / NANOS, one, n) for n, one in enumerate(scenarios)}


def _said_of(pool: str, settings: CommitmentSettings) -> PoolSettings:
    """What the settings say of a pool: its own entry, else the one for every pool."""
    own = [one for one in settings.pools if one.pool == pool]
    every = [one for one in settings.pools if one.pool == EVERY_POOL]
    return (own or every or [PoolSettings(pool=pool)])[0]


def _workload_in(pool: str) -> str | None:
    """``H100/us-east-1/training`` is a pool for training; a name of one part says nothing."""
    return pool.rsplit("/", 1)[1].casefold() if "/" in pool else None


def today_of(demands: Sequence[Demand]) -> date | None:
    """The day after the last hour of dated demand; None where hours are only counted."""
    ends = [one.end for one in demands]
    return max((end.date() for end in ends if isinstance(end, datetime)), default=None)
