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

      minimise   sum of fee[t] * (reserved in t) + sum of on-demand price[t] * rent[t]
      such that  bought[t] - bought[t - term] + rent[t] >= demand[t],   bought rises, from 0

Bound: online <= 2 * clairvoyant, where one price holds all the time and terms are paid whole. Gaps, units and prices
are as in :mod:`online`.

**The end of the history.** A term that passes the last hour is paid whole, and only a part of it can serve the history:
beside on-demand, which pays for the history alone, whoever bought looks dear. So there are two footings. *Whole terms*
is that of the theory and of the bound. *Within the history* counts each term by its hours in it, as a bill amortises
it; perfect foresight has an optimum of its own there, since ``fee[t] = price * min(term, hours left)``.

**Prices that change** (:mod:`tariff`) are in the programme as they are. The rule then reserves when the *rent* of the
trailing term, not its hours, reaches the fee of the present hour; no bound is proven for it.

**Exactness.** The rule is computed on whole billionths. The programme is solved in floats; its purchases are taken
to billionths and settled exactly, so that the cost is what these purchases would have cost to the last digit. That
they are the cheapest is checked by the dual: no purchases whatever cost less than it, and the result must lie within
:data:`TOLERANCE` of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil

import highspy
import numpy as np
from numpy.typing import NDArray

from outlay.errors import OutlayError, UsageError
from outlay.optimize.commitments.demand import Demand, gpus
from outlay.optimize.commitments.foresight.online import Bought, fee_hours, in_units
from outlay.optimize.commitments.foresight.tariff import Tariff, flat

__all__ = [
    "MOST_HOURS", "TOLERANCE", "break_even", "break_even_at", "clairvoyant", "clairvoyant_at", "purchased", "settle",
]  # fmt: skip

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


def break_even_at(demand: Demand, tariff: Tariff, term: int) -> Bought:
    """The online rule where prices change; where they do not, :func:`break_even`."""
    first = tariff.periods[0]
    if tariff.constant and first.price is not None:
        return break_even(demand, first.price, first.on_demand, term)
    unit = _common(one for period in tariff.periods for one in (period.price, period.on_demand) if one is not None)
    rent = np.zeros(len(demand), dtype=object)
    fees: list[int | None] = []
    for start, end, one in tariff.stretches():
        rent[start:end] = int(one.on_demand / unit)
        fees += [None if one.price is None else int(one.price / unit) * term] * (end - start)
    bought = np.zeros(len(demand), dtype=np.int64)
    short = demand.nanos.copy()
    for hour, fee in enumerate(fees):
        if fee is None or short[hour] <= 0:
            continue
        since = max(0, hour - term + 1)
        at = since + np.flatnonzero(short[since : hour + 1] > 0)
        order = at[np.argsort(-short[at], kind="stable")]
        paid = np.cumsum(rent[order])
        if paid[-1] >= max(fee, 1):
            # What fell due while nobody could buy, or at a fee that fell, is bought where it is still needed.
            more = min(int(short[hour]), int(short[order[np.argmax(paid >= max(fee, 1))]]))
            bought[hour] = more
            short[since : hour + term] -= more
    return settle(demand, tariff, term, bought)


def clairvoyant(demand: Demand, price: Decimal, on_demand: Decimal, term: int, *, unit: int = 0) -> Bought:
    """The cheapest purchases that there could have been; arguments and errors as in :func:`online.break_even`.

    Raises :class:`UsageError` for more than :data:`MOST_HOURS` hours too.
    """
    fee_hours(price, on_demand, term)
    demand = in_units(demand, unit)
    return clairvoyant_at(demand, flat(len(demand), price, on_demand), term)


def clairvoyant_at(demand: Demand, tariff: Tariff, term: int, *, within: bool = False) -> Bought:
    """The same at prices that may change; with ``within``, the purchases whose cost within the history is the least."""
    if len(demand) > MOST_HOURS:
        raise UsageError(
            f"the history of {demand.pool} has {len(demand):,} hours, too many to find its optimum (at most "
            f"{MOST_HOURS:,}).",
            hint="Give a shorter history.",
        )
    bought = np.zeros(len(demand), dtype=np.int64)
    dearest = max(one.on_demand for one in tariff.periods)
    if demand.nanos.any() and any(one.price is not None and one.price < dearest for one in tariff.periods):
        bought = _cheapest(demand, _Costs.of(tariff, term, within=within), term)
    return settle(demand, tariff, term, bought)


def purchased(demand: Demand, price: Decimal, on_demand: Decimal, term: int, bought: NDArray[np.int64]) -> Bought:
    """What the purchases of each hour, in billionths of a GPU, cost beside on-demand: any rule's, settled alike."""
    return settle(demand, flat(len(demand), price, on_demand), term, bought)


def settle(demand: Demand, tariff: Tariff, term: int, bought: NDArray[np.int64]) -> Bought:
    """The same at the prices of the hours: of a purchase those of its first, of rent those of its own."""
    reserved = _reserved(bought, term)
    short = np.maximum(0, demand.nanos - reserved)
    cost = on_demand = owed = Decimal(0)
    with localcontext(prec=100):
        for start, end, one in tariff.stretches():
            cost += gpus(int(short[start:end].sum())) * one.on_demand
            on_demand += gpus(int(demand.nanos[start:end].sum())) * one.on_demand
            at = start + np.flatnonzero(bought[start:end])
            if not len(at):
                continue
            assert one.price is not None
            cost += gpus(int(bought[at].sum()) * term) * one.price
            owed += gpus(sum(int(bought[hour]) * max(0, int(hour) + term - len(demand)) for hour in at)) * one.price
    started = int(bought.sum())
    return Bought(
        cost=cost,
        on_demand_cost=on_demand,
        reservations=gpus(started),
        rented=gpus(int(short.sum())),
        committed=gpus(started * term),
        reserved=reserved,
        owed_after=owed,
    )


def _common(prices: Iterable[Decimal]) -> Decimal:
    """A unit that all prices are whole multiples of."""
    return Decimal(1).scaleb(min(0, *(int(one.as_tuple().exponent) for one in prices)))


def _reserved(bought: NDArray[np.int64], term: int) -> NDArray[np.int64]:
    """What of the purchases of each hour is there in each hour."""
    reserved = np.cumsum(bought)
    if term < len(bought):
        reserved[term:] -= np.cumsum(bought)[:-term]
    return reserved


@dataclass(frozen=True, slots=True)
class _Costs:
    """Of each hour, in hours of the dearest on-demand: a reservation from it on, its rent, and whether one can buy."""

    fee: NDArray[np.float64]
    rent: NDArray[np.float64]
    for_sale: NDArray[np.bool_]

    @classmethod
    def of(cls, tariff: Tariff, term: int, *, within: bool) -> _Costs:
        dearest = Fraction(max(one.on_demand for one in tariff.periods))
        hours = np.minimum(term, tariff.length - np.arange(tariff.length)) if within else np.full(tariff.length, term)
        fee, rent = np.zeros(tariff.length), np.zeros(tariff.length)
        for_sale = np.zeros(tariff.length, dtype=np.bool_)
        for start, end, one in tariff.stretches():
            rent[start:end] = float(Fraction(one.on_demand) / dearest)
            if one.price is not None:
                price = Fraction(one.price) / dearest
                fee[start:end] = [float(price * int(number)) for number in hours[start:end]]
                for_sale[start:end] = True
        return cls(fee, rent, for_sale)


def _cheapest(demand: Demand, costs: _Costs, term: int) -> NDArray[np.int64]:
    """Billionths to buy in each hour, from the linear programme."""
    # A power of two keeps the digits, and brings demand to where the solver's absolute tolerances are small.
    scale = 2.0 ** (10 - int(demand.nanos.max()).bit_length())
    needed: NDArray[np.float64] = demand.nanos.astype(np.float64) * scale
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(_programme(needed, costs, term))
    solver.run()
    hours = len(needed)
    solution = solver.getSolution()
    if solver.getModelStatus() == highspy.HighsModelStatus.kOptimal:
        level = np.rint(np.asarray(solution.col_value)[:hours] / scale).astype(np.int64)
        bought = np.where(costs.for_sale, np.maximum(0, np.diff(np.maximum.accumulate(level), prepend=0)), 0)
        rent = np.maximum(0, demand.nanos - _reserved(bought, term))
        cost = (float(costs.fee @ bought) + float(costs.rent @ rent)) * scale
        if cost <= _least(needed, np.asarray(solution.row_dual)[:hours], costs, term) * (1 + TOLERANCE):
            return bought
    raise OutlayError(
        f"no purchases were proven to be the cheapest; the solver says: "
        f"{solver.modelStatusToString(solver.getModelStatus())}.",
        where=demand.pool,
        hint="Please report it with the demand and the offer.",
    )


def _least(needed: NDArray[np.float64], worth: NDArray[np.float64], costs: _Costs, term: int) -> float:
    """What no purchases can fall below: each hour's demand at a worth of at most its rent, and of a fee per term."""
    worth = np.clip(worth, 0, costs.rent)
    total = np.concatenate([[0.0], np.cumsum(worth)])
    terms = total[np.minimum(np.arange(len(worth)) + term, len(worth))] - total[:-1]
    asked = costs.for_sale & (terms > 0)
    part = float((costs.fee[asked] / terms[asked]).min()) if asked.any() else 1.0
    return float(needed @ worth) * min(1.0, part)


def _programme(needed: NDArray[np.float64], costs: _Costs, term: int) -> highspy.HighsLp:
    """Columns: what was bought up to each hour, then its rent. Rows: each hour's demand, then that bought rises."""
    hours = len(needed)
    t = np.arange(hours)
    later, rises = t[term:], t[1:]
    row = np.concatenate([t, t, later, hours - 1 + rises, hours - 1 + rises])
    column = np.concatenate([t, hours + t, later - term, rises, rises - 1])
    value = np.repeat([1.0, 1.0, -1.0, 1.0, -1.0], [hours, hours, len(later), len(rises), len(rises)])
    order = np.lexsort((column, row))
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = 2 * hours, 2 * hours - 1
    # What is bought in an hour is the rise from the hour before: its fee is on the one, and comes off the other.
    model.col_cost_ = np.concatenate([costs.fee - np.append(costs.fee[1:], 0.0), costs.rent])
    model.col_lower_ = np.zeros(2 * hours)
    upper = np.full(2 * hours, highspy.kHighsInf)
    upper[0] = highspy.kHighsInf if costs.for_sale[0] else 0.0
    model.col_upper_ = upper
    model.row_lower_ = np.concatenate([needed, np.zeros(hours - 1)])
    model.row_upper_ = np.concatenate(
        [np.full(hours, highspy.kHighsInf), np.where(costs.for_sale[1:], highspy.kHighsInf, 0.0)]
    )
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.searchsorted(row[order], np.arange(2 * hours)).astype(np.int32)
    model.a_matrix_.index_ = column[order].astype(np.int32)
    model.a_matrix_.value_ = value[order]
    return model
