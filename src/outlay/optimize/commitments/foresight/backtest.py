"""The backtest: what following the plan would have cost on the real history, between those who knew all and nothing.

At the start and then every so many hours the plan is made again from what was known by then, never from what came
after: demand, prices (:mod:`tariff`) and how they had fallen. What it advises is bought. Four others buy over the same
demand at the same prices:

- on demand alone;
- the *break-even rule*, which knows nothing of the future and costs at most twice the clairvoyant (:mod:`pooled`);
- the *clairvoyant*, who knew all of it: no purchases of this offer can cost less;
- the best *static* commitment in hindsight, held through the whole history and paid for its hours only.

**Terms that pass the end.** Whoever buys late in the history pays for hours that lie after it, and on-demand does not.
So costs *within the history* count of each term, of whichever buyer, the hours in it, and are what the answer rests
on. Beside them stand *whole terms*, paid to their end, as the theory counts and as the bound of 2 is proven;
``owed_after`` is the difference. Perfect foresight is the cheapest on either footing, by purchases of its own.

An offer's term is often longer than the history; its terms are then scaled, to 28 days unless told otherwise, and the
result says so. The plan decides as for the real term all the same, and buys all at once: a ladder of months makes no
sense in a term of one. By level (:mod:`online`) the rule and the clairvoyant are shown too, as the literature counts
them, where one price holds all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np

from outlay.config import CommitmentSettings
from outlay.errors import UsageError
from outlay.money import plain
from outlay.optimize.commitments.demand import HOURS_A_WEEK, Demand, gpus
from outlay.optimize.commitments.foresight import online, pooled
from outlay.optimize.commitments.foresight.followed import Followed, LeftOut, choose
from outlay.optimize.commitments.foresight.online import Bought
from outlay.optimize.commitments.foresight.tariff import Tariff
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH, Offer
from outlay.optimize.commitments.outlook.price_decline import DatedPrice
from outlay.optimize.commitments.outlook.price_history import PriceHistory
from outlay.optimize.commitments.plan import plan
from outlay.optimize.commitments.plan_json import moment, outcome_json, ratio
from outlay.optimize.commitments.sizing import Levels, Outcome

__all__ = ["SCALED_TERM_HOURS", "Backtest", "Decision", "backtest", "nothing_to_test"]

SCALED_TERM_HOURS = 4 * HOURS_A_WEEK
"""What terms are scaled to where the history is shorter than two of them."""
NOT_PROVEN = "the bound is proven for one price that holds all the time; here prices change, or nobody can buy"
_PATHS = 200


@dataclass(frozen=True, slots=True)
class Decision:
    """What the plan said at the ``position`` of an hour, and what was bought: billionths of a GPU."""

    position: int
    word: str
    nanos: int
    reason: str


@dataclass(frozen=True, slots=True)
class Backtest:
    """One pool and one offer. ``demand`` is what is tested: the hours whose prices are known.

    ``clairvoyant`` is the cheapest by whole terms, ``best_within`` within the history. The figures by level and
    ``static`` are None where prices change.
    """

    demand: Demand
    offer: Offer
    tariff: Tariff
    term_hours: int
    every_hours: int
    decisions: tuple[Decision, ...]
    followed: Bought
    clairvoyant: Bought
    best_within: Bought
    break_even: Bought
    level_clairvoyant: Bought | None
    level_break_even: Bought | None
    static: Outcome | None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def scaled(self) -> bool:
        """Whether the term is not the offer's own."""
        return self.term_hours != self.offer.term_hours

    @property
    def bound(self) -> int | None:
        """What the rule costs at most by whole terms, as a multiple of the clairvoyant; None where none is proven."""
        return online.BOUND if self.tariff.constant else None

    def to_json(self) -> dict[str, Any]:
        """The contract's JSON."""
        levels = None
        if self.level_break_even is not None and self.level_clairvoyant is not None:
            levels = {
                "break_even_rule": {
                    **_bought(self.level_break_even, self.level_clairvoyant),
                    "bound": online.BOUND,
                },
                "clairvoyant": _bought(self.level_clairvoyant, self.level_clairvoyant),
            }
        why = None if self.bound is not None else NOT_PROVEN
        return {
            "pool": self.demand.pool,
            "offer": self.offer.name,
            "currency": self.offer.currency,
            "since": moment(self.demand.first),
            "until": moment(self.demand.end),
            "term_hours": self.term_hours,
            "term_scaled": self.scaled,
            "every_hours": self.every_hours,
            "prices": self.tariff.to_json(self.demand),
            "on_demand": {"cost": plain(self.followed.on_demand_cost)},
            "followed": self._told(self.followed),
            "break_even_rule": {**self._told(self.break_even), "bound": self.bound, "bound_why": why},
            "clairvoyant": {
                **_bought(self.clairvoyant, self.clairvoyant),
                "within": self._within(self.best_within),
            },
            "by_level": levels,
            "static_in_hindsight": None if self.static is None else outcome_json(self.static),
            "decisions": [
                {
                    "at": moment(self.demand.at(one.position)),
                    "verdict": one.word,
                    "bought": plain(gpus(one.nanos)),
                    "reason": one.reason,
                }
                for one in self.decisions
            ],
            "left_out": [one.to_json() for one in self.left_out],
        }

    def _told(self, bought: Bought) -> dict[str, Any]:
        return {**_bought(bought, self.clairvoyant), "within": self._within(bought)}

    def _within(self, bought: Bought) -> dict[str, Any]:
        saved = bought.on_demand_cost - bought.within
        return {
            "cost": plain(bought.within),
            "saved": plain(saved),
            "of_on_demand": ratio(bought.within / bought.on_demand_cost if bought.on_demand_cost else None),
            "of_clairvoyant": ratio(bought.within / self.best_within.within if self.best_within.within else None),
        }


def _bought(bought: Bought, optimum: Bought) -> dict[str, Any]:
    return {
        "cost": plain(bought.cost),
        "of_on_demand": ratio(bought.share),
        "of_clairvoyant": ratio(bought.ratio(optimum)),
        "reservations": plain(bought.reservations),
        "owed_after": plain(bought.owed_after),
    }


def backtest(
    demand: Demand,
    offers: Sequence[Offer],
    settings: CommitmentSettings,
    *,
    term_hours: int | None = None,
    every_hours: int | None = None,
    billed: Sequence[DatedPrice] = (),
    history: PriceHistory | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """The plan of ``demand`` followed with the one of ``offers`` that would have saved most.

    ``billed`` are the bill's on-demand prices by the month, for offers that leave them to it; ``history`` has dated
    prices, of which each decision knows those of its day. Raises :class:`UsageError` where no offer for the pool has a
    price below on-demand.
    """
    chosen, left_out = choose(demand, offers, billed)
    if chosen is None:
        raise UsageError(
            _nothing(demand), where="--offers", hint="Give unit_price and on_demand_price of at least one."
        )
    offer, tariff = chosen.offer, chosen.tariff
    tested = demand.part(tariff.skipped, len(demand))
    term = term_hours or (offer.term_hours if len(tested) >= 2 * offer.term_hours else SCALED_TERM_HOURS)
    scaled = term != offer.term_hours
    every = every_hours or (min(term, HOURS_A_MONTH) if scaled else HOURS_A_MONTH)
    rules = settings.model_copy(update={"ladder_months": 1}) if scaled else settings
    decisions, bought = [], np.zeros(len(tested), dtype=np.int64)
    for known in range(every, len(demand), every):
        position = known - tariff.skipped
        if position < 0:
            continue
        progress(f"{demand.pool}: deciding {known // every} of {(len(demand) - 1) // every}")
        standing = int(bought[max(0, position - term + 1) : position].sum())
        decision = _decided(demand.part(0, known), chosen, position, standing, rules=rules, history=history)
        bought[position] = decision.nanos
        decisions.append(decision)
    progress(f"{demand.pool}: the clairvoyant")
    first, by_level, static = tariff.periods[0], None, None
    if tariff.constant and first.price is not None:
        price, on_demand, levels = first.price, first.on_demand, Levels(tested)
        by_level = [one(tested, price, on_demand, term) for one in (online.break_even, online.clairvoyant)]
        static = levels.outcome(levels.optimum(price, on_demand, unit=offer.unit), price, on_demand)
    return Backtest(
        demand=tested,
        offer=offer,
        tariff=tariff,
        term_hours=term,
        every_hours=every,
        decisions=tuple(decisions),
        followed=pooled.settle(tested, tariff, term, bought),
        clairvoyant=pooled.clairvoyant_at(tested, tariff, term),
        best_within=pooled.clairvoyant_at(tested, tariff, term, within=True),
        break_even=pooled.break_even_at(tested, tariff, term),
        level_break_even=None if by_level is None else by_level[0],
        level_clairvoyant=None if by_level is None else by_level[1],
        static=static,
        left_out=left_out,
    )


def nothing_to_test(demand: Demand, offers: Sequence[Offer], billed: Sequence[DatedPrice] = ()) -> str | None:
    """Why ``demand`` can't be tested; None where it can."""
    return _nothing(demand) if choose(demand, offers, billed)[0] is None else None


def _nothing(demand: Demand) -> str:
    return f"no standard offer for {demand.pool} has a known price below on-demand, so there is nothing to test."


def _decided(
    known: Demand,
    chosen: Followed,
    position: int,
    standing: int,
    *,
    rules: CommitmentSettings,
    history: PriceHistory | None,
) -> Decision:
    """What the plan says of what is known by then, and what it buys."""
    at = chosen.tariff.at(position)
    if at.price is None or at.offer is None:
        return Decision(position, "wait", 0, "the offer was not for sale at a known price")
    today = known.end.date() if isinstance(known.end, datetime) else None
    (found,) = plan(
        [known],
        [replace(at.offer, on_demand_price=at.on_demand)],
        rules,
        owned={known.pool: [Owned(standing, None)]},
        histories=None if history is None or today is None else {known.pool: _known_by(history, today)},
        today=today,
        paths=_PATHS,
    ).pools
    bought = sum(step.nanos for step in found.ladder if step.month == 0)
    return Decision(position, found.verdict.word, bought, found.verdict.reasons[-1])


def _known_by(history: PriceHistory, today: date) -> PriceHistory:
    """Prices that were known on a day; what a month of the bill cost is known when the month is over.

    Newer hardware is left out: what was for sale then is not kept.
    """
    month = today.replace(day=1)
    told = tuple(one for one in history.prices if one.on < (month if one.kind == "bill" else today))
    return replace(history, prices=told, candidates=())
