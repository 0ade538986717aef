"""An option: one offer at the quantity that may be recommended, over the history and over its term.

The quantity is the least of several, and which of them bound it is said:

- the optimum of the whole history, and of the last ninety days: what was wanted lately weighs as much as what was
  wanted ever;
- the optimum of the futures: what the falling trend and changes of regime leave of it;
- the cap on coverage, over the whole history and over its last ninety days: a rule of prudence with a price
  (:attr:`PoolPlan.caps`), never the optimum;
- what keeps the probability of a loss under the limit;
- what the offer sells at most.

What is owned already is taken off. The figures over the history are exact; those over the term are estimates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from outlay.config import CommitmentSettings
from outlay.money import percent
from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.offers.flexible import owed_back, paid_back
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.outlook.futures import Futures, Market
from outlay.optimize.commitments.outlook.risk import Prospect, Risk, Sample, Waiting, lock_in, risk_of
from outlay.optimize.commitments.sizing import Levels, Outcome

__all__ = ["History", "Option", "Outlook", "option"]

_HALVINGS = 7
_GRID = 40


@dataclass(frozen=True, slots=True)
class History:
    """A pool's demand in the forms that sizing needs: all of it, and its last days."""

    demand: Demand
    levels: Levels
    recent: Levels

    def outcome(self, offer: Offer, nanos: int) -> Outcome:
        """What ``nanos`` of a priced offer would have done, with what a flexible one pays back."""
        assert offer.price is not None
        assert offer.on_demand_price is not None
        found = self.levels.outcome(nanos, offer.price, offer.on_demand_price)
        return replace(found, returned=paid_back(self.demand, offer, nanos))


class Outlook:
    """A pool's futures on a market, where they can be drawn at all; samples of them are kept."""

    def __init__(self, futures: Futures | None, market: Market, seed: int = 0, *, market_known: bool = True) -> None:
        self.futures, self.market, self.market_known = futures, market, market_known
        self._seed = seed
        self._samples: dict[int, Sample] = {}

    def prospect(self, offer: Offer) -> Prospect | None:
        """A priced offer in these futures; None where there are none."""
        return None if self.futures is None else Prospect(self.futures, offer, self.market)

    def sample(self, weeks: int) -> Sample:
        """A random hour of each path and of each of the next ``weeks`` weeks."""
        assert self.futures is not None
        if weeks not in self._samples:
            self._samples[weeks] = Sample.of(self.futures.hours(weeks, self._seed), self.market.value(weeks))
        return self._samples[weeks]


@dataclass(frozen=True, slots=True)
class Option:
    """An offer's figures. ``why`` says why there are none; ``bound_by`` what kept the quantity down.

    ``optimum`` and ``outcome`` are over the history, the second at ``nanos``, the level in all with what is owned;
    ``buy`` is what of it is to be bought. ``exposure`` is the money that a purchase binds, used or not. The rest is
    over the term; ``lock_in`` is what ``nanos`` would cost above the market, None where nothing is known of prices to
    come. All of the term is of ``buy`` above what is owned: what stands already saves what it saves, whatever is
    bought. ``covered``: a level is wanted, and what is owned reaches it, by whole units of the offer. ``owed_back`` is
    what a flexible offer would have paid back at ``nanos`` over the history, before its fee.
    """

    offer: Offer
    why: str | None = None
    optimum: Outcome | None = None
    outcome: Outcome | None = None
    nanos: int = 0
    buy: int = 0
    bound_by: str = ""
    exposure: Decimal | None = None
    risk: Risk | None = None
    break_even_month: int | None = None
    payback_month: int | None = None
    waiting: Waiting | None = None
    lock_in: float | None = None
    covered: bool = False
    owed_back: Decimal = Decimal(0)

    @property
    def upfront(self) -> Decimal | None:
        """What of the exposure is paid at the start: of the price, not of a premium, which is paid by the hour."""
        if self.exposure is None or self.offer.unit_price is None:
            return None
        return Decimal(self.buy).scaleb(-9) * self.offer.unit_price * self.offer.term_hours * self.offer.upfront

    @property
    def returned(self) -> Decimal:
        """What a flexible offer would have paid back over the history, less its fee; :attr:`saving` has it."""
        return Decimal(0) if self.outcome is None else self.outcome.returned

    @property
    def worthless_price(self) -> Decimal | None:
        """The committed price at which the level would have saved nothing over the history, with what is paid back.

        What is paid back is a share b of the unit price, the rest e of the price (premium, cost of capital) is not:
        ``on-demand x utilisation = unit price (1 - b) + e``. None where the whole unit price is paid back.
        """
        found = self._told
        if found is None:
            return None
        utilization, back, unit, extra = found
        assert self.offer.on_demand_price is not None
        return (self.offer.on_demand_price * utilization - extra) / (1 - back / unit) + extra if back < unit else None

    @property
    def worthless_on_demand(self) -> Decimal | None:
        """The on-demand price at which the same holds."""
        found = self._told
        if found is None:
            return None
        utilization, back, unit, extra = found
        return (unit + extra - back) / utilization

    @property
    def _told(self) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
        """Utilisation, what is paid back per committed hour, the unit price and the rest of the price; None unused."""
        unit, price, outcome = self.offer.unit_price, self.offer.price, self.outcome
        if unit is None or price is None or outcome is None or not outcome.utilization:
            return None
        return outcome.utilization, self.owed_back / outcome.committed, unit, price - unit

    @property
    def saving(self) -> Decimal | None:
        """Over the history, against on-demand alone."""
        return None if self.outcome is None else self.outcome.saving

    @property
    def saving_rate(self) -> Decimal | None:
        """The same as a share of the on-demand cost."""
        return None if self.outcome is None else self.outcome.saving_rate


def option(
    offer: Offer,
    history: History,
    outlook: Outlook,
    settings: CommitmentSettings,
    owned: int,
) -> Option:
    """The figures of ``offer``. ``owned`` is in billionths of a GPU."""
    price, on_demand = offer.price, offer.on_demand_price
    if offer.missing is not None or price is None or on_demand is None:
        return Option(offer, why=offer.missing)
    best = _optimum(offer, history)
    optimum = history.outcome(offer, best)
    if price >= on_demand:
        against = f"{percent(price)} of on-demand prices" if offer.shares else f"{price} against {on_demand}"
        return Option(offer, why=f"it is no cheaper than on-demand ({against})", optimum=optimum)
    prospect = outlook.prospect(offer)
    limits = _limits(offer, history, best, settings, owned)
    if prospect is not None and offer.flex is None:
        limits["the optimum of the simulated futures"] = int(prospect.best(outlook.sample(prospect.weeks)) * NANOS)
    bound_by = min(limits, key=lambda name: limits[name])
    nanos = _whole(limits[bound_by], offer)
    buy = _whole(max(0, nanos - owned), offer)
    covered = nanos > 0 and owned > 0 and buy == 0
    saving = None
    if prospect is not None and buy:
        held, saving = _held(prospect, buy, offer, settings)
        if held < buy:
            nanos, buy, bound_by = owned + held, held, _risk_words(settings)
    if 0 < buy < int(offer.min_gpus * NANOS):
        buy, bound_by = 0, f"the smallest purchase, {offer.min_gpus} GPUs, is more than is wanted"
    if owned and buy:
        nanos = owned + buy
    gpus = buy / NANOS
    told = prospect if buy else None
    return Option(
        offer=offer,
        optimum=optimum,
        outcome=history.outcome(offer, nanos),
        nanos=nanos,
        buy=buy,
        bound_by=bound_by,
        exposure=Decimal(buy).scaleb(-9) * (offer.bound_price or Decimal(0)) * offer.term_hours,
        risk=None if saving is None else risk_of(saving),
        break_even_month=None if told is None else told.break_even_month(gpus),
        payback_month=None if told is None else told.payback_month(gpus),
        waiting=None if told is None or saving is None else told.waiting(gpus, saving),
        lock_in=lock_in(offer, outlook.market, gpus) if outlook.market_known else None,
        covered=covered,
        owed_back=owed_back(history.demand, offer, nanos),
    )


def _limits(offer: Offer, history: History, best: int, settings: CommitmentSettings, owned: int) -> dict[str, int]:
    price, on_demand = offer.price, offer.on_demand_price
    assert price is not None
    assert on_demand is not None
    cap = min(settings.coverage_cap, settings.guardrails.coverage_ceiling)
    limits = {"the optimum of the whole history": best}
    if offer.flex is None:
        limits["the optimum of the last 90 days"] = history.recent.optimum(price, on_demand)
    limits[f"the cap of {percent(cap)} of the demand"] = history.levels.capped(cap)
    limits[f"the cap of {percent(cap)} of the demand of the last 90 days"] = history.recent.capped(cap)
    if offer.max_gpus is not None:
        limits["what is for sale"] = owned + int(offer.max_gpus * NANOS)
    return limits


def _whole(nanos: int, offer: Offer) -> int:
    """Whole units, downward: a recommendation never rounds up."""
    return nanos // offer.unit * offer.unit if offer.unit else nanos


def _optimum(offer: Offer, history: History) -> int:
    """The optimum over the whole history; for a flexible offer the best of forty quantiles with what it pays back."""
    assert offer.price is not None
    assert offer.on_demand_price is not None
    exact = history.levels.optimum(offer.price, offer.on_demand_price, unit=offer.unit)
    if offer.flex is None:
        return exact
    peak = history.levels.peak
    tried = {exact, *(_whole(peak * step // _GRID, offer) for step in range(1, _GRID + 1))}
    return max(sorted(tried), key=lambda nanos: history.outcome(offer, nanos).saving)


def _held(
    prospect: Prospect, nanos: int, offer: Offer, settings: CommitmentSettings
) -> tuple[int, NDArray[np.float64]]:
    """The largest quantity up to ``nanos`` whose probability of a loss is within the limit, and its savings."""
    most = float(settings.max_loss_probability)
    saving = prospect.savings(nanos / NANOS)
    if not nanos or (saving < 0).mean() <= most:
        return nanos, saving
    low, high = 0, nanos
    kept = np.zeros_like(saving)
    for _ in range(_HALVINGS):
        middle = _whole((low + high) // 2, offer)
        if middle in (low, high):
            break
        tried = prospect.savings(middle / NANOS)
        if (tried < 0).mean() <= most:
            low, kept = middle, tried
        else:
            high = middle
    return low, kept


def _risk_words(settings: CommitmentSettings) -> str:
    return f"a probability of a loss of at most {percent(settings.max_loss_probability)}"
