"""Which offer a backtest follows, at which prices, and which it leaves out and why.

Entries of one offer (pool, name, terms and currency) are its prices one after another; one offer is followed, the one
with the largest discount when it was for sale last. The others are named with their reason, so that no comparison is
missed in silence. Flexible ones are left out: what they pay back hangs on how each settlement period went, while the
break-even rule, its bound and perfect foresight are of a commitment whose price is fixed when it is bought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from outlay.optimize.commitments.demand import Demand
from outlay.optimize.commitments.foresight.tariff import Period, Tariff, tariff_of
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.offers.offer_file import EVERY_POOL
from outlay.optimize.commitments.outlook.price_decline import DatedPrice

__all__ = ["Followed", "LeftOut", "choose"]

_FLEX = (
    "it is flexible: what it pays back hangs on each settlement period, and the rules beside it know fixed prices "
    "alone; `outlay commit plan` has what it would have paid back over this history"
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An offer that is not followed."""

    offer: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """With its reason."""
        return {"offer": self.offer, "why": self.why}


@dataclass(frozen=True, slots=True)
class Followed:
    """The offer by its last entry, and its prices over the history."""

    offer: Offer
    tariff: Tariff

    @property
    def discount(self) -> Decimal | None:
        """When it was for sale last and was cheaper than on-demand; None where it never was."""
        found = [_discount(one) for one in self.tariff.periods]
        return next((one for one in reversed(found) if one is not None and one > 0), None)


def choose(
    demand: Demand, offers: Sequence[Offer], billed: Sequence[DatedPrice]
) -> tuple[Followed | None, tuple[LeftOut, ...]]:
    """The offer to follow, None where none was ever cheaper than on-demand, and the others of the pool."""
    groups: dict[tuple[object, ...], list[Offer]] = {}
    for one in offers:
        if demand.pool in one.pools or one.pools == (EVERY_POOL,):
            own = (one.pools, one.name, one.term_months, one.payment, one.form, one.kind, one.currency)
            groups.setdefault(own, []).append(one)
    left: list[LeftOut] = []
    fit: list[Followed] = []
    for entries in groups.values():
        found = _priced(demand, entries, billed)
        if isinstance(found, str):
            left.append(LeftOut(entries[-1].name, found))
        else:
            fit.append(found)
    best = max(fit, key=lambda one: one.discount or Decimal(0), default=None)
    for other in fit:
        if best is not None and other is not best:
            left.append(LeftOut(other.offer.name, f"{best.offer.name} is cheaper, and one offer is followed"))
    return best, tuple(left)


def _priced(demand: Demand, entries: Sequence[Offer], billed: Sequence[DatedPrice]) -> Followed | str:
    """With its prices, or why it is left out."""
    last = entries[-1]
    if last.flex is not None:
        return _FLEX
    if len(last.pools) > 1:
        return "it serves several pools together, and one pool is followed at a time"
    if all(one.missing for one in entries):
        return str(last.missing)
    tariff = tariff_of(demand, entries, billed)
    if tariff is None:
        return "it was not for sale at a known price in this history"
    found = Followed(last, tariff)
    return found if found.discount is not None else "it is no cheaper than on-demand"


def _discount(one: Period) -> Decimal | None:
    return None if one.price is None or not one.on_demand else 1 - one.price / one.on_demand
