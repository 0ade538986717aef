"""An offer: what is for sale, for how long, at which price, and what else it binds to.

Prices are per GPU-hour, so that a reservation of machines, a savings plan and a committed-use discount stand side by
side. ``unit_price`` is what a committed GPU-hour costs over the whole term, used or not, with what is paid upfront
spread over the term's hours; ``on_demand_price`` what the same hour costs without. The discount is

    d = 1 - unit_price / on_demand_price

Forms differ in what is promised, and so in what is left over:

- ``reservation``: so many units (GPUs, or machines of ``unit_gpus`` GPUs) in every hour; whole units only.
- ``savings_plan``: money per hour at the plan's own rates, spent on the usage with the highest discount first, on any
  pool that the plan serves.
- ``cud``: a committed-use discount on resources: GPUs in every hour, like a reservation.
- ``cud_spend``: money per hour as well. Google sold it by the usage that it covers at on-demand prices; since 21
  January 2026 what is committed is the discounted spend, as with a savings plan, and all accounts are on that model
  (docs.cloud.google.com/docs/cuds-multiprice). So both are counted alike here.

``kind = "flex"`` is a commitment that pays back a part of what was not used (:mod:`flexible`). What a vendor says of it
is a claim of the vendor's, and is shown as one.

A price that is not known is None and stays unknown: no usual discount, no neighbouring region.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Context, Decimal, localcontext
from typing import Literal

from outlay.optimize.commitments.demand import NANOS

__all__ = ["FORMS", "HOURS_A_MONTH", "KINDS", "PAYMENTS", "Flex", "Form", "Kind", "Offer", "Payment"]

HOURS_A_MONTH = 730
"""8,760 hours a year over 12: what AWS, Azure and Google price a month of commitment as."""

Payment = Literal["no_upfront", "partial_upfront", "all_upfront"]
Form = Literal["reservation", "savings_plan", "cud", "cud_spend"]
Kind = Literal["standard", "flex"]

PAYMENTS: dict[Payment, Decimal] = {
    "no_upfront": Decimal(0),
    "partial_upfront": Decimal("0.5"),
    "all_upfront": Decimal(1),
}
"""The share of the term's cost that is paid at its start, unless the offer says otherwise."""
FORMS: tuple[Form, ...] = ("reservation", "savings_plan", "cud", "cud_spend")
KINDS: tuple[Kind, ...] = ("standard", "flex")
_BY_MONEY: tuple[Form, ...] = ("savings_plan", "cud_spend")
_WIDE = Context(prec=50)


@dataclass(frozen=True, slots=True)
class Flex:
    """What an insured or cash-back commitment adds: a put on demand, with its price and its strings.

    ``premium`` is per committed GPU-hour; ``fee_share`` a share of the saving. ``cashback`` is the share of the
    unused part's cost that is paid back, once the unused share of a settlement period passes ``trigger``, at most
    ``cap`` of what that period cost, ``payout_lag_days`` after it. ``adjust_months`` is how often the committed
    quantity may be lowered; None never. ``counterparty`` owes the payout: not the cloud.
    ``worth_of_payout`` is what a payout is worth that comes late, as a share (:meth:`Offer.financed`).
    """

    premium: Decimal = Decimal(0)
    fee_share: Decimal = Decimal(0)
    cashback: Decimal = Decimal(1)
    trigger: Decimal = Decimal(0)
    cap: Decimal = Decimal(1)
    payout_lag_days: int = 0
    settle_months: int = 1
    adjust_months: int | None = None
    counterparty: str | None = None
    claim: str | None = None
    worth_of_payout: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer for one pool, or for ``pools`` together. Where it was read is in ``where``.

    ``paid_by_bill``: it told no on-demand price, and has the one that the bill paid of late.
    ``shares``: it promises money to several pools, so what stands as its prices are shares of what their usage costs on
    demand, which is 1 (:mod:`~.union`). ``lacking`` says what must be provided of which pool before it has figures.
    """

    pools: tuple[str, ...]
    name: str
    term_months: int
    payment: Payment
    unit_price: Decimal | None
    on_demand_price: Decimal | None
    currency: str
    kind: Kind = "standard"
    form: Form = "reservation"
    upfront_share: Decimal | None = None
    unit_gpus: Decimal = Decimal(1)
    min_gpus: Decimal = Decimal(0)
    max_gpus: Decimal | None = None
    provider: str | None = None
    region: str | None = None
    sku: str | None = None
    valid_until: str | None = None
    source: str | None = None
    flex: Flex | None = None
    carrying: Decimal = Decimal(0)
    valid_from: str | None = None
    paid_by_bill: bool = False
    shares: bool = False
    lacking: str | None = None
    where: str = ""

    @property
    def pool(self) -> str:
        """The pool, or the pools that it serves together: ``A10|A100``."""
        return "|".join(self.pools)

    @property
    def by_money(self) -> bool:
        """Whether money per hour is promised, not units."""
        return self.form in _BY_MONEY

    @property
    def unit(self) -> int:
        """The smallest step of a purchase in billionths of a GPU; 0 for money, which has none to speak of."""
        return 0 if self.by_money else int(self.unit_gpus * NANOS)

    @property
    def bound_price(self) -> Decimal | None:
        """What a committed GPU-hour binds: its price, and the premium of a flexible one; None where unknown."""
        if self.unit_price is None:
            return None
        return self.unit_price + (self.flex.premium if self.flex else 0)

    @property
    def price(self) -> Decimal | None:
        """What it costs: :attr:`bound_price`, and what the money paid upfront would earn elsewhere (``carrying``)."""
        return None if self.bound_price is None else self.bound_price + self.carrying

    @property
    def discount(self) -> Decimal | None:
        """``1 - price / on demand``; None where one of them is unknown."""
        if self.price is None or not self.on_demand_price:
            return None
        with localcontext(_WIDE):
            return 1 - self.price / self.on_demand_price

    @property
    def price_ratio(self) -> Decimal | None:
        """The price as a share of on-demand: the break-even utilisation before anything is paid back."""
        return None if self.discount is None else 1 - self.discount

    @property
    def break_even_utilization(self) -> Decimal | None:
        """The utilisation from which on it costs no more than on-demand, with what a flexible one pays back.

        At an even utilisation x, price p, unit price u, on-demand o, cashback c, cap k and a payout worth w,

            x o = p - w u min(c (1 - x), k)     where the unused part 1 - x is above the trigger

        The fee is of a saving, so there is none at break-even. Where the payout stops before it is earned without one,
        that is the price's share of on-demand: between, the offer may pay at less, but not at all from there on.
        """
        plain, flex = self.price_ratio, self.flex
        if plain is None or flex is None or self.price is None or self.unit_price is None or not self.on_demand_price:
            return plain
        if 1 - plain <= flex.trigger:
            return plain
        with localcontext(_WIDE):
            worth = self.unit_price * flex.worth_of_payout
            whole = worth * flex.cashback
            found = (self.price - whole) / (self.on_demand_price - whole)
            if flex.cashback * (1 - found) > flex.cap:
                found = (self.price - worth * flex.cap) / self.on_demand_price
        return found

    @property
    def upfront(self) -> Decimal:
        """The share of the term's cost that is paid at its start."""
        return PAYMENTS[self.payment] if self.upfront_share is None else self.upfront_share

    def financed(self, cost_of_capital: Decimal) -> Offer:
        """The offer with what money costs that is paid early or comes late, at a rate a year.

        What is paid upfront is bound for half the term on average, a payout comes after its lag:

            carrying = unit price x upfront share x rate x years / 2
            worth of a payout = 1 / (1 + rate x lag in years)
        """
        if self.unit_price is None or not cost_of_capital:
            return self
        carrying = self.unit_price * self.upfront * cost_of_capital * self.term_months / 24
        flex = self.flex
        if flex is not None:
            with localcontext(_WIDE):
                worth = 1 / (1 + cost_of_capital * flex.payout_lag_days / 365)
            flex = replace(flex, worth_of_payout=round(worth, 12))
        return replace(self, carrying=round(carrying, 12), flex=flex)

    @property
    def term_hours(self) -> int:
        """Hours of the term, 730 a month."""
        return self.term_months * HOURS_A_MONTH

    def not_for_sale(self, today: date | None) -> str | None:
        """Why it can't be bought on a day, in words; None where it can, and where the day is not known."""
        if today is None:
            return None
        if self.valid_until is not None and self.valid_until < today.isoformat():
            return f"ended on {self.valid_until}"
        if self.valid_from is not None and self.valid_from > today.isoformat():
            return f"begins on {self.valid_from}"
        return None

    @property
    def missing(self) -> str | None:
        """What must be provided before anything can be said of this offer; None when nothing is."""
        if self.lacking is not None:
            return self.lacking
        if self.unit_price is None:
            return "its price is unknown: give unit_price (per GPU-hour over the term) from a quote or the price list"
        if self.on_demand_price is None:
            return "the on-demand price is unknown: give on_demand_price (per GPU-hour)"
        return None
