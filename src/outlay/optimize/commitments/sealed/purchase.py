"""A purchase: one step of a pool's ladder with the offer that it is made of, and what it binds.

    hourly = quantity * price per committed hour          total = hourly * hours of the term

Both are exact, and paid whether anything runs or not. ``quantity`` is in GPUs; in a union of pools that a savings plan
serves it is in on-demand money per hour, of which the plan's price is a share (:mod:`~.union`).

The *token* names a purchase so that it is made once, however often it is sent: it is derived from what is bought, for
which pool, by which step of the plan of which day. The same plan made again, in another run or at another hour, asks
for the same purchase and so has the same token; a plan of another day has another. The trap would be a token from the
clock or from chance: a run repeated after a broken connection would buy twice.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal, localcontext
from typing import Any

from outlay.money import plain
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.optimize.commitments.plan_json import moment

__all__ = ["Purchase", "canonical", "purchases"]

_WIDE = Context(prec=60)
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "outlay/commitment-plan/purchase")


def canonical(value: Mapping[str, Any] | list[Any] | str | int | None) -> bytes:
    """JSON in one spelling, the one of RFC 8785: keys in order, no spaces, UTF-8. ``value`` must hold no floats."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Purchase:
    """Step ``step`` of the ladder of ``pool``, counted from 1; ``nanos`` are billionths of the quantity's unit.

    ``planned`` is the day of the plan, or the hour after the last where hours are only counted. ``owned_then`` is the
    level in all once it is bought.
    """

    pool: str
    members: tuple[str, ...]
    by_money: bool
    offer: Offer
    step: int
    month: int
    on: date | None
    nanos: int
    owned_then: int
    why: str
    planned: str | int | None

    @property
    def quantity(self) -> Decimal:
        """In GPUs, or in on-demand money per hour."""
        return gpus(self.nanos)

    @property
    def hourly(self) -> Decimal:
        """What an hour of it costs, used or not, with the premium of a flexible offer.

        Without the cost of capital: that weighs in the choice, and nobody bills it.
        """
        assert self.offer.bound_price is not None
        return _times(self.quantity, self.offer.bound_price)

    @property
    def committed(self) -> Decimal:
        """What the provider itself charges an hour, without another's premium: of money, what it is asked for."""
        assert self.offer.unit_price is not None
        return _times(self.quantity, self.offer.unit_price)

    @property
    def total(self) -> Decimal:
        """What it binds over the term."""
        return _times(self.hourly, Decimal(self.offer.term_hours))

    @property
    def upfront(self) -> Decimal:
        """What the provider takes at the start of the term."""
        return _times(_times(self.committed, Decimal(self.offer.term_hours)), self.offer.upfront)

    @property
    def token(self) -> str:
        """A UUID, the form that every provider's own token may take."""
        offer = self.offer
        named = {
            "planned": self.planned,
            "pool": self.pool,
            "step": self.step,
            "month": self.month,
            "on": None if self.on is None else self.on.isoformat(),
            "quantity": plain(self.quantity),
            "offer": [offer.name, offer.kind, offer.form, offer.provider, offer.region, offer.sku, offer.currency],
            "terms": [offer.term_months, offer.payment, plain(offer.upfront), plain(self.hourly)],
        }
        return str(uuid.uuid5(_NAMESPACE, canonical(named).decode("utf-8", "surrogatepass")))


def purchases(plan: Plan) -> tuple[Purchase, ...]:
    """All purchases of ``plan``, by day; those of one day in the order of its pools."""
    found = [one for pool in plan.pools for one in _of_pool(pool, plan.today)]
    return tuple(sorted(found, key=lambda one: (one.on or date.min, one.month)))


def _of_pool(pool: PoolPlan, today: date | None) -> list[Purchase]:
    best = pool.verdict.best
    if pool.verdict.word != "commit" or best is None:
        return []
    planned = moment(pool.demand.end) if today is None else today.isoformat()
    by_money = pool.union is not None and pool.union.by_money
    return [
        Purchase(
            pool=pool.pool,
            members=pool.members,
            by_money=by_money,
            offer=best.offer,
            step=number,
            month=step.month,
            on=step.on,
            nanos=step.nanos,
            owned_then=step.owned_then,
            why=step.why,
            planned=planned,
        )
        for number, step in enumerate(pool.ladder, start=1)
    ]


def _times(one: Decimal, other: Decimal) -> Decimal:
    with localcontext(_WIDE):
        return one * other
