"""The linear programme: how much of each of several offers that share pools, solved exactly by HiGHS.

One pool and one offer need no solver, the optimum is a quantile (:mod:`~.sizing`). Where a savings plan may serve
several pools at different rates, beside reservations that serve one each at a better rate, the quantities depend on
each other hour by hour:

    minimise   sum over offers k of cost_k Q_k T + sum over pools p and hours t of od_p y_pt
    such that  y_pt + sum over k of s_kpt >= D_pt      what is not served is bought on demand
               sum over p of w_kp s_kpt <= Q_k          an offer serves no more than was committed, in each hour
               0 <= Q_k <= most_k, y >= 0, s >= 0

``w_kp`` is the plan's rate where money is committed (Q in money per hour), and 1 where units are. An offer that serves
one pool only needs no ``s``: its Q stands in the pool's own row. AWS spends a savings plan on the usage with the
highest discount first; the optimum does so too, as the last dollar of a plan is worth most there.

The trap is in what a committed unit costs. A seller spends a commitment at its own rates and bills Q, no more. What
money costs that is paid early, and a premium, weigh in ``cost_k`` alone (1 and the surcharge, where money is
committed). Were they in the rates, Q would be larger than what the seller is to be asked for.

What is owned of a pool serves it first and is paid already: ``D_pt`` is what it leaves. Only hours that every pool
knows take part. The solver works in floats; what it returns is a quantity and an estimate of its cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import highspy
import numpy as np
from numpy.typing import NDArray

from outlay.errors import OutlayError, UsageError
from outlay.optimize.commitments.demand import NANOS, Demand

__all__ = ["MOST_CELLS", "Mix", "Part", "Shared", "solve"]

MOST_CELLS = 100_000
"""Variables of one programme: six pools of 26 weeks with one plan over all have 53,000 and take some 7 seconds."""


@dataclass(frozen=True, slots=True)
class Shared:
    """An offer as the programme sees it: what a GPU-hour of it is billed at in each pool that it serves.

    ``surcharge`` is what it costs beyond, as a share of that: the cost of capital, and a premium.
    """

    name: str
    rates: Mapping[str, Decimal]
    by_money: bool
    most: Decimal | None = None
    surcharge: Decimal = Decimal(0)

    @property
    def cost(self) -> Decimal:
        """What a committed unit costs an hour: a GPU, or 1.00 of the seller's money."""
        return (Decimal(1) if self.by_money else next(iter(self.rates.values()))) * (1 + self.surcharge)


@dataclass(frozen=True, slots=True)
class Part:
    """What to commit of one offer: GPUs, or ``by_money`` what the seller bills an hour."""

    name: str
    pools: tuple[str, ...]
    by_money: bool
    quantity: float


@dataclass(frozen=True, slots=True)
class Mix:
    """The optimum: what to commit of each offer, and its cost in floats of the solver, beside what is owned."""

    parts: tuple[Part, ...]
    cost: float
    on_demand_cost: float
    hours: int

    @property
    def quantities(self) -> dict[str, float]:
        """By the offer's name."""
        return {one.name: one.quantity for one in self.parts}

    @property
    def saving(self) -> float:
        """Money, against on-demand alone."""
        return self.on_demand_cost - self.cost

    @property
    def saving_rate(self) -> float:
        """Share of the on-demand cost."""
        return 1 - self.cost / self.on_demand_cost if self.on_demand_cost else 0.0


def solve(
    demands: Sequence[Demand],
    on_demand: Mapping[str, Decimal],
    offers: Sequence[Shared],
    owned: Mapping[str, int] | None = None,
) -> Mix:
    """The cheapest quantities of ``offers`` for the history of ``demands``; ``on_demand`` is per pool and GPU-hour.

    All demands cover the same hours. ``owned`` has billionths of a GPU by pool. Raises :class:`UsageError` for a
    programme of more than :data:`MOST_CELLS` variables.
    """
    pools = [one.pool for one in demands]
    known = np.logical_and.reduce([one.known for one in demands])
    held = owned or {}
    needed = np.array([np.maximum(one.nanos[known] - held.get(one.pool, 0), 0) / NANOS for one in demands])
    rows = _Programme(pools, needed, [float(on_demand[pool]) for pool in pools], offers)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("solver", "ipm" if len(pools) > 1 else "simplex")
    solver.passModel(rows.model())
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise OutlayError(
            f"the solver found no optimum: {solver.modelStatusToString(solver.getModelStatus())}.",
            where="|".join(pools),
            hint="Please report it with the demand and the offers.",
        )
    values = np.asarray(solver.getSolution().col_value)[: len(offers)]
    return Mix(
        tuple(
            Part(offer.name, tuple(offer.rates), offer.by_money, max(0.0, float(value)))
            for offer, value in zip(offers, values, strict=True)
        ),
        float(solver.getInfo().objective_function_value),
        float(needed.sum(axis=1) @ np.array(rows.on_demand)),
        needed.shape[1],
    )


class _Programme:
    """Columns: a quantity an offer, on-demand by pool and hour, then what shared offers serve by pool and hour."""

    def __init__(
        self, pools: Sequence[str], needed: NDArray[np.float64], on_demand: Sequence[float], offers: Sequence[Shared]
    ) -> None:
        self.on_demand = on_demand
        self._needed, self._offers = needed, offers
        self._place = {pool: number for number, pool in enumerate(pools)}
        self._shared = [(k, pool) for k, one in enumerate(offers) if len(one.rates) > 1 for pool in one.rates]
        self._hours = needed.shape[1]
        self._columns = len(offers) + (len(pools) + len(self._shared)) * self._hours
        if self._columns > MOST_CELLS:
            raise UsageError(
                f"{len(pools)} pools of {self._hours} hours with {len(offers)} offers are too many to solve together "
                f"({self._columns:,} variables, at most {MOST_CELLS:,}).",
                hint="Plan fewer pools together.",
            )

    def model(self) -> highspy.HighsLp:
        """The programme in the solver's form, by rows."""
        hours, offers = self._hours, self._offers
        t = np.arange(hours)
        cells: list[tuple[NDArray[np.int64], NDArray[np.int64], float]] = []
        for place in range(len(self._needed)):
            cells.append((place * hours + t, len(offers) + place * hours + t, 1.0))
        for k, offer in enumerate(offers):
            if len(offer.rates) == 1:
                (pool, rate), *_ = offer.rates.items()
                row = self._place[pool] * hours + t
                cells.append((row, np.full(hours, k), 1 / float(rate) if offer.by_money else 1.0))
        base = len(offers) + len(self._needed) * hours
        capacity = len(self._needed) * hours
        limits = {k: capacity + n * hours for n, k in enumerate(dict.fromkeys(k for k, _ in self._shared))}
        for n, (k, pool) in enumerate(self._shared):
            served = base + n * hours + t
            cells.append((self._place[pool] * hours + t, served, 1.0))
            cells.append((limits[k] + t, served, float(offers[k].rates[pool]) if offers[k].by_money else 1.0))
        cells.extend((limits[k] + t, np.full(hours, k), -1.0) for k in limits)
        return self._filled(cells, capacity + len(limits) * hours)

    def _filled(
        self, cells: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], float]], rows: int
    ) -> highspy.HighsLp:
        hours, offers, infinite = self._hours, self._offers, highspy.kHighsInf
        row = np.concatenate([r for r, _, _ in cells])
        column = np.concatenate([c for _, c, _ in cells])
        value = np.concatenate([np.full(len(r), v) for r, _, v in cells])
        order = np.lexsort((column, row))
        capacity = self._needed.size
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = self._columns, rows
        cost = np.zeros(self._columns)
        cost[: len(offers)] = [hours * float(one.cost) for one in offers]
        cost[len(offers) : len(offers) + capacity] = np.repeat(self.on_demand, hours)
        upper = np.full(self._columns, infinite)
        upper[: len(offers)] = [infinite if one.most is None else float(one.most) for one in offers]
        model.col_cost_, model.col_lower_, model.col_upper_ = cost, np.zeros(self._columns), upper
        model.row_lower_ = np.concatenate([self._needed.ravel(), np.full(rows - capacity, -infinite)])
        model.row_upper_ = np.concatenate([np.full(capacity, infinite), np.zeros(rows - capacity)])
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.searchsorted(row[order], np.arange(rows + 1)).astype(np.int32)
        model.a_matrix_.index_ = column[order].astype(np.int32)
        model.a_matrix_.value_ = value[order]
        return model
