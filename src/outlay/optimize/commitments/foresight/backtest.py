"""The backtest: what following the plan would have cost on the real history, between those who knew all and nothing.

At the start and then every so many hours the plan is made again from what was known by then, never from what came
after, and what it advises is bought. Four others buy over the same demand at the same prices:

- on demand alone;
- the *break-even rule*, which knows nothing of the future and costs at most twice the clairvoyant (:mod:`pooled`);
- the *clairvoyant*, who knew all of it: no purchases of this offer can cost less;
- the best *static* commitment in hindsight, held through the whole history and paid for its hours only.

All but the last pay every term that they begin to its end, also where that passes the last hour: ``owed_after`` is
that part. An offer's term is often longer than the history; its terms are then scaled, to 28 days unless told
otherwise, and the result says so. The plan decides as for the real term all the same, and buys all at once: a ladder of
months makes no sense in a term of one. By level (:mod:`online`) the rule and the clairvoyant are shown too, as the
literature counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from outlay.config import CommitmentSettings
from outlay.errors import UsageError
from outlay.money import plain
from outlay.optimize.commitments.demand import HOURS_A_WEEK, Demand, gpus
from outlay.optimize.commitments.foresight import online, pooled
from outlay.optimize.commitments.foresight.online import Bought
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.offers.offer import HOURS_A_MONTH, Offer
from outlay.optimize.commitments.plan import plan
from outlay.optimize.commitments.plan_json import moment, outcome_json, ratio
from outlay.optimize.commitments.sizing import Levels, Outcome

__all__ = ["SCALED_TERM_HOURS", "Backtest", "Decision", "backtest", "nothing_to_test"]

SCALED_TERM_HOURS = 4 * HOURS_A_WEEK
"""What terms are scaled to where the history is shorter than two of them."""
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
    """One pool and one offer."""

    demand: Demand
    offer: Offer
    term_hours: int
    every_hours: int
    decisions: tuple[Decision, ...]
    followed: Bought
    clairvoyant: Bought
    break_even: Bought
    level_clairvoyant: Bought
    level_break_even: Bought
    static: Outcome

    @property
    def scaled(self) -> bool:
        """Whether the term is not the offer's own."""
        return self.term_hours != self.offer.term_hours

    def owed_after(self, bought: Bought) -> Decimal:
        """What of a cost is for hours after the history's last."""
        assert self.offer.price is not None
        inside = gpus(int(bought.reserved.sum()))
        return (bought.committed - inside) * self.offer.price

    def to_json(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {
            "pool": self.demand.pool,
            "offer": self.offer.name,
            "currency": self.offer.currency,
            "term_hours": self.term_hours,
            "term_scaled": self.scaled,
            "every_hours": self.every_hours,
            "on_demand": {"cost": plain(self.followed.on_demand_cost)},
            "followed": self._bought(self.followed, self.clairvoyant),
            "break_even_rule": {**self._bought(self.break_even, self.clairvoyant), "bound": online.BOUND},
            "clairvoyant": self._bought(self.clairvoyant, self.clairvoyant),
            "by_level": {
                "break_even_rule": {
                    **self._bought(self.level_break_even, self.level_clairvoyant),
                    "bound": online.BOUND,
                },
                "clairvoyant": self._bought(self.level_clairvoyant, self.level_clairvoyant),
            },
            "static_in_hindsight": outcome_json(self.static),
            "decisions": [
                {
                    "at": moment(self.demand.at(one.position)),
                    "verdict": one.word,
                    "bought": plain(gpus(one.nanos)),
                    "reason": one.reason,
                }
                for one in self.decisions
            ],
        }

    def _bought(self, bought: Bought, optimum: Bought) -> dict[str, Any]:
        return {
            "cost": plain(bought.cost),
            "of_on_demand": ratio(bought.share),
            "of_clairvoyant": ratio(bought.ratio(optimum)),
            "reservations": plain(bought.reservations),
            "owed_after": plain(self.owed_after(bought)),
        }


def backtest(
    demand: Demand,
    offers: Sequence[Offer],
    settings: CommitmentSettings,
    *,
    term_hours: int | None = None,
    every_hours: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """The plan of ``demand`` followed with the one of ``offers`` that would have saved most.

    Raises :class:`UsageError` where no offer for the pool has a price below on-demand.
    """
    offer = _best(demand, offers)
    price, on_demand = offer.price, offer.on_demand_price
    assert price is not None
    assert on_demand is not None
    term = term_hours or (offer.term_hours if len(demand) >= 2 * offer.term_hours else SCALED_TERM_HOURS)
    scaled = term != offer.term_hours
    every = every_hours or (min(term, HOURS_A_MONTH) if scaled else HOURS_A_MONTH)
    rules = settings.model_copy(update={"ladder_months": 1}) if scaled else settings
    decisions, bought = [], np.zeros(len(demand), dtype=np.int64)
    for position in range(every, len(demand), every):
        progress(f"{demand.pool}: deciding {position // every} of {(len(demand) - 1) // every}")
        standing = int(bought[max(0, position - term + 1) : position].sum())
        (found,) = plan(
            [demand.part(0, position)], [offer], rules, owned={demand.pool: [Owned(standing, None)]}, paths=_PATHS
        ).pools
        now = sum(step.nanos for step in found.ladder if step.month == 0)
        bought[position] = now
        decisions.append(Decision(position, found.verdict.word, now, found.verdict.reasons[-1]))
    progress(f"{demand.pool}: the clairvoyant")
    levels = Levels(demand)
    return Backtest(
        demand=demand,
        offer=offer,
        term_hours=term,
        every_hours=every,
        decisions=tuple(decisions),
        followed=pooled.purchased(demand, price, on_demand, term, bought),
        clairvoyant=pooled.clairvoyant(demand, price, on_demand, term),
        break_even=pooled.break_even(demand, price, on_demand, term),
        level_clairvoyant=online.clairvoyant(demand, price, on_demand, term),
        level_break_even=online.break_even(demand, price, on_demand, term),
        static=levels.outcome(levels.optimum(price, on_demand, unit=offer.unit), price, on_demand),
    )


def nothing_to_test(demand: Demand, offers: Sequence[Offer]) -> str | None:
    """Why ``demand`` can't be tested; None where it can."""
    if _cheaper(demand, offers):
        return None
    return f"no standard offer for {demand.pool} has a known price below on-demand, so there is nothing to test."


def _best(demand: Demand, offers: Sequence[Offer]) -> Offer:
    """The offer of this pool with the lowest price, which would have saved most."""
    why = nothing_to_test(demand, offers)
    if why is not None:
        hint = "Give unit_price and on_demand_price of at least one."
        raise UsageError(why, where="--offers", hint=hint)
    return max(_cheaper(demand, offers), key=lambda one: one.discount or Decimal(0))


def _cheaper(demand: Demand, offers: Sequence[Offer]) -> list[Offer]:
    """Standard ones: what a flexible offer pays back depends on terms that none of the rules here has."""
    own = [one for one in offers if one.pools in ((demand.pool,), ("*",)) and one.flex is None]
    return [one for one in own if one.discount is not None and one.discount > 0]
