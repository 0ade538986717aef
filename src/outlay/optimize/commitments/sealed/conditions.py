"""Conditions: what must still hold when a purchase is made, each with the figure that it is held against.

A plan rests on a day's view of prices and demand, and is carried out later. So it is checked again at the purchase, by
rules that are fixed when the plan is sealed: whoever carries it out has nothing left to decide. All must hold, else
nothing is bought and the plan is made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from outlay.money import percent, plain
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.optimize.commitments.plan_json import ratio
from outlay.optimize.commitments.sealed.purchase import Purchase

__all__ = ["Condition", "conditions"]

Rule = Literal["at_most", "at_least", "below", "is"]
_SIX = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Condition:
    """``what`` must be ``rule`` ``value``; ``now`` is what it was when the plan was made."""

    what: str
    rule: Rule
    value: str
    now: str | None
    words: str

    def to_json(self) -> dict[str, str | None]:
        """As the plan's document has it."""
        return {"what": self.what, "rule": self.rule, "value": self.value, "now": self.now, "words": self.words}


def conditions(plan: Plan, pool: PoolPlan, purchase: Purchase, valid_until: date) -> tuple[Condition, ...]:
    """What must hold when ``purchase`` of ``pool`` is made."""
    best = pool.verdict.best
    assert best is not None
    rails = plan.settings.guardrails
    last = valid_until.isoformat()
    spike = ratio(pool.evidence.spike)
    return (
        Condition("day", "at_most", last, None, f"The plan is carried out by {last}."),
        *_offer(purchase.offer),
        *_price(purchase.offer, best),
        *_demand(plan, pool),
        Condition(
            "spike",
            "below",
            plain(rails.spike),
            spike,
            f"The last 14 days are less than {percent(rails.spike)} above the last 90.",
        ),
        Condition("verdict", "is", "commit", "commit", "The plan made again still says commit for this pool."),
        Condition(
            "level",
            "at_least",
            plain(gpus(purchase.owned_then)),
            plain(gpus(best.nanos)),
            "The plan made again recommends at least the level that this purchase leads to, with what is owned.",
        ),
        Condition(
            "days_since_last_purchase",
            "at_least",
            str(rails.cooldown_days),
            None,
            f"The last purchase for this pool is at least {rails.cooldown_days} days ago.",
        ),
    )


def _offer(offer: Offer) -> list[Condition]:
    found = []
    if offer.valid_until is not None:
        said = f"The offer ends on {offer.valid_until}."
        found.append(Condition("offer_valid_until", "at_most", offer.valid_until, None, said))
    if not offer.by_money:
        each = plain(offer.unit_gpus)
        said = f"What is bought comes in units of {each} GPUs."
        found.append(Condition("unit_gpus", "is", each, each, said))
    return found


def _price(offer: Offer, best: Option) -> list[Condition]:
    price, on_demand = offer.unit_price, offer.on_demand_price
    assert price is not None
    assert on_demand is not None
    dearest = (
        f"What the plan charges is no more than {plain(price)} of on-demand prices, over the mix of its pools' hours."
        if offer.shares
        else f"The committed price is no higher than {plain(price)} {offer.currency}."
    )
    at_most = Condition("unit_price", "at_most", plain(price), plain(price), dearest)
    if best.worthless_on_demand is None:
        return [at_most]
    worth = best.worthless_on_demand.quantize(_SIX, rounding=ROUND_CEILING)
    least = f"{plain(worth)} of today's prices" if offer.shares else f"{plain(worth)} {offer.currency}"
    said = f"On-demand costs {least} or more: below, this level would not have paid."
    return [at_most, Condition("on_demand_price", "at_least", plain(worth), plain(on_demand), said)]


def _demand(plan: Plan, pool: PoolPlan) -> list[Condition]:
    """The floor that the verdict itself would fall below: a sudden drop against the weeks before this plan."""
    before = pool.evidence.four_weeks_before
    if not before:
        return []
    floor = (before * (1 - plan.settings.max_change)).quantize(_SIX, rounding=ROUND_CEILING)
    said = f"The mean demand of the last seven days is {plain(floor)} or more."
    return [Condition("mean_of_last_7_days", "at_least", plain(floor), ratio(pool.evidence.last_week), said)]
