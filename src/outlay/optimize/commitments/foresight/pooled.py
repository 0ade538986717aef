"""Buying month by month where GPUs are alike: the break-even rule and the clairvoyant over a whole pool.

:mod:`online` ties each reservation to a level of demand. In a pool any reserved GPU serves any need, so that

    rented = sum over hours of max(0, demand - reserved)

and reservations that follow each other upstairs can serve a bottom hour between them. The clairvoyant of the pool is
therefore never above that of the levels, and it alone is below every plan that there could have been: a plan may cost
less than the optimum of the levels. And twice that optimum is no bound for the rule by levels, but it is for the rule
of Wang, Li and Liang (arXiv 1305.5608, algorithm 1) as they stated it, for the pool:

- online: let the shortfall of an hour be its demand less what served it. When, for one more GPU, the hours of the
  trailing term with a shortfall reach the fee, reserve it for a term from the present hour on, and take it off the
  shortfall of the trailing term too, as if it had been there: what was counted once is not counted again. Over
  quantities at once: reserve the n-th largest shortfall of the trailing term, n = ceil(fee).
- clairvoyant: a linear programme, whose rows are runs of hours, so that its vertices are as whole as demand:

      minimise   fee * (reserved in all) + sum of rent[t]
      such that  bought[t] - bought[t - term] + rent[t] >= demand[t],   bought rises, from 0

Bound: online <= 2 * clairvoyant. Gaps, whole terms past the last hour, units and prices are as in :mod:`online`.

**Exactness.** The rule is computed on whole billionths. The programme is solved in floats; its purchases are taken
to billionths and settled exactly, so that the cost is what these purchases would have cost to the last digit. That
they are the cheapest is checked by the dual: no purchases whatever cost less than it, and the result must lie within
:data:`TOLERANCE` of it.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil

import highspy
import numpy as np
from numpy.typing import NDArray

from outlay.errors import OutlayError, UsageError
from outlay.optimize.commitments.demand import Demand
from outlay.optimize.commitments.foresight.online import Bought, fee_hours, in_units, settled

__all__ = ["MOST_HOURS", "TOLERANCE", "break_even", "clairvoyant", "purchased"]

TOLERANCE = 1e-6
"""By how much of its cost a clairvoyant's purchases may miss the proven optimum."""
MOST_HOURS = 30_000
"""Hours of the clairvoyant's programme: three years have 26,280 and take some 5 to 7 seconds of CPU time."""


def break_even(demand: Demand, price: Decimal, on_demand: Decimal, term: int, *, unit: int = 0) -> Bought:
    """The online rule of a pool; arguments and errors as in :func:`online.break_even`."""
    fee = fee_hours(price, on_demand, term)
    demand = in_units(demand, unit)
    bought = np.zeros(len(demand), dtype=np.int64)
    enough = max(1, ceil(fee))
    short = demand.nanos.copy()
    for hour in range(len(short) if fee < term else 0):
        window = short[max(0, hour - term + 1) : hour + 1]
        if window[-1] > 0 and len(window) >= enough:
            at = len(window) - enough
            more = int(np.partition(window, at)[at])
            if more > 0:
                bought[hour] = more
                short[max(0, hour - term + 1) : hour + term] -= more
    return purchased(demand, price, on_demand, term, bought)


def clairvoyant(demand: Demand, price: Decimal, on_demand: Decimal, term: int, *, unit: int = 0) -> Bought:
    """The cheapest purchases that there could have been; arguments and errors as in :func:`online.break_even`.

    Raises :class:`UsageError` for more than :data:`MOST_HOURS` hours too.
    """
    fee = fee_hours(price, on_demand, term)
    demand = in_units(demand, unit)
    if len(demand) > MOST_HOURS:
        raise UsageError(
            f"the history of {demand.pool} has {len(demand):,} hours, too many to find its optimum (at most "
            f"{MOST_HOURS:,}).",
            hint="Give a shorter history.",
        )
    bought = np.zeros(len(demand), dtype=np.int64)
    if demand.nanos.any() and fee < term:
        bought = _cheapest(demand, fee, term)
    return purchased(demand, price, on_demand, term, bought)


def purchased(demand: Demand, price: Decimal, on_demand: Decimal, term: int, bought: NDArray[np.int64]) -> Bought:
    """What the purchases of each hour, in billionths of a GPU, cost beside on-demand: any rule's, settled alike."""
    reserved = _reserved(bought, term)
    rented = int(np.maximum(0, demand.nanos - reserved).sum())
    started = int(bought.sum())
    return settled(demand, price, on_demand, term, rented=rented, started=started, reserved=reserved)


def _reserved(bought: NDArray[np.int64], term: int) -> NDArray[np.int64]:
    """What of the purchases of each hour is there in each hour."""
    reserved = np.cumsum(bought)
    if term < len(bought):
        reserved[term:] -= np.cumsum(bought)[:-term]
    return reserved


def _cheapest(demand: Demand, fee: Fraction, term: int) -> NDArray[np.int64]:
    """Billionths to buy in each hour, from the linear programme."""
    # A power of two keeps the digits, and brings demand to where the solver's absolute tolerances are small.
    scale = 2.0 ** (10 - int(demand.nanos.max()).bit_length())
    needed: NDArray[np.float64] = demand.nanos.astype(np.float64) * scale
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(_programme(needed, float(fee), term))
    solver.run()
    hours = len(needed)
    solution = solver.getSolution()
    if solver.getModelStatus() == highspy.HighsModelStatus.kOptimal:
        level = np.rint(np.asarray(solution.col_value)[:hours] / scale).astype(np.int64)
        bought = np.maximum(0, np.diff(np.maximum.accumulate(level), prepend=0))
        rent = np.maximum(0, demand.nanos - _reserved(bought, term)).sum()
        cost = (float(fee) * float(bought.sum()) + float(rent)) * scale
        if cost <= _least(needed, np.asarray(solution.row_dual)[:hours], float(fee), term) * (1 + TOLERANCE):
            return bought
    raise OutlayError(
        f"no purchases were proven to be the cheapest; the solver says: "
        f"{solver.modelStatusToString(solver.getModelStatus())}.",
        where=demand.pool,
        hint="Please report it with the demand and the offer.",
    )


def _least(needed: NDArray[np.float64], worth: NDArray[np.float64], fee: float, term: int) -> float:
    """What no purchases can fall below: each hour's demand at a worth of at most 1, and of at most a fee per term."""
    worth = np.clip(worth, 0, 1)
    total = np.concatenate([[0.0], np.cumsum(worth)])
    most = float((total[np.minimum(np.arange(len(worth)) + term, len(worth))] - total[:-1]).max())
    return float(needed @ worth) * (min(1.0, fee / most) if most else 1.0)


def _programme(needed: NDArray[np.float64], fee: float, term: int) -> highspy.HighsLp:
    """Columns: what was bought up to each hour, then its rent. Rows: each hour's demand, then that bought rises."""
    hours = len(needed)
    t = np.arange(hours)
    later, rises = t[term:], t[1:]
    row = np.concatenate([t, t, later, hours - 1 + rises, hours - 1 + rises])
    column = np.concatenate([t, hours + t, later - term, rises, rises - 1])
    value = np.repeat([1.0, 1.0, -1.0, 1.0, -1.0], [hours, hours, len(later), len(rises), len(rises)])
    order = np.lexsort((column, row))
    cost = np.ones(2 * hours)
    cost[:hours] = 0
    cost[hours - 1] = fee
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = 2 * hours, 2 * hours - 1
    model.col_cost_ = cost
    model.col_lower_ = np.zeros(2 * hours)
    model.col_upper_ = np.full(2 * hours, highspy.kHighsInf)
    model.row_lower_ = np.concatenate([needed, np.zeros(hours - 1)])
    model.row_upper_ = np.full(2 * hours - 1, highspy.kHighsInf)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.searchsorted(row[order], np.arange(2 * hours)).astype(np.int32)
    model.a_matrix_.index_ = column[order].astype(np.int32)
    model.a_matrix_.value_ = value[order]
    return model
