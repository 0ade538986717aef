"""Offers from tables of prices: what is for sale for a pool's GPU in its region, with source and age.

Each price of a reservation that :class:`outlay.prices.gpu_prices.GpuPrices` knows becomes an offer: machines of so many
GPUs, price per GPU-hour, and the on-demand price of the same machine. A machine without one is listed as well, with an
empty price, so that the user sees which quote to ask for; the plan has no verdict on it. Rates of savings plans
(:mod:`outlay.prices.aws_savings_plans`, :mod:`outlay.prices.azure_retail`) become offers of money.

A pool has one rate in a savings plan. Where it has several machines, it is the rate of the one that it used most; where
nobody knows which, the dearest per GPU-hour, so that no saving is overstated.

The trap is SageMaker's ``ml.`` machines: they hold the same GPUs, and no reservation of EC2 serves them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

from outlay.money import plain
from outlay.optimize.commitments.ledger_pools.pools import UNKNOWN, PoolDemand
from outlay.optimize.commitments.offers.offer import Offer, Payment
from outlay.prices.aws_savings_plans import PlanRate
from outlay.prices.gpu_prices import GpuPrice, GpuPrices
from outlay.prices.gpu_table import PURCHASES, rounded_price
from outlay.prices.gpus import GpuInstance, gpu_instance, gpu_instances, provider_slug

__all__ = ["Listed", "Wanted", "table_offers", "wanted_of"]

_RESERVED = re.compile(r"reserved_([13])yr_((?:no|partial|all)_upfront)(_convertible)?")
_NINE = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pool to find offers for. ``machines`` are those of its bill, the most used first; ``provider`` None is all."""

    pool: str
    gpu: str
    region: str
    provider: str | None = None
    machines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """The offers, those of them whose price is stale, and what to know."""

    offers: tuple[Offer, ...]
    stale: int = 0
    notes: tuple[str, ...] = ()

    @property
    def unknown(self) -> int:
        """How many have no price."""
        return sum(one.unit_price is None for one in self.offers)

    def to_json(self) -> dict[str, Any]:
        """Prices as exact text."""
        return {
            "unknown": self.unknown,
            "stale": self.stale,
            "notes": list(self.notes),
            "offers": [
                {
                    "pool": one.pool,
                    "offer": one.name,
                    "term_months": one.term_months,
                    "payment": one.payment,
                    "unit_price": None if one.unit_price is None else plain(one.unit_price),
                    "on_demand_price": None if one.on_demand_price is None else plain(one.on_demand_price),
                    "currency": one.currency,
                    "form": one.form,
                    "unit_gpus": plain(one.unit_gpus),
                    "provider": one.provider,
                    "region": one.region,
                    "sku": one.sku,
                    "source": one.source,
                    "why": one.missing,
                }
                for one in self.offers
            ],
        }


def wanted_of(pools: Iterable[PoolDemand], region: str | None = None) -> tuple[list[Wanted], list[str]]:
    """What the pools of a ledger want, and what of them can't be looked up. ``region`` is that of pools without."""
    found, notes = [], []
    for one in pools:
        where = region if one.pool.region == UNKNOWN else one.pool.region
        if one.pool.gpu == UNKNOWN or where is None:
            notes.append(f"{one.pool.name} names no GPU or no region: give --gpu and --region for it.")
            continue
        parts = sorted(one.parts, key=lambda part: -int(part.nanos.sum()))
        machines = [(p.provider, p.instance_type) for p in parts if p.provider is not None and p.instance_type]
        of_sagemaker = [kind for _, kind in machines if kind.startswith("ml.")]
        if of_sagemaker:
            notes.append(
                f"{one.pool.name} runs on {', '.join(sorted(of_sagemaker))}: SageMaker's own plans serve them, no "
                "reservation of EC2 does."
            )
        own = tuple((provider, kind) for provider, kind in machines if not kind.startswith("ml."))
        if own or not machines:
            sellers = {provider for provider, _ in own}
            found.append(Wanted(one.pool.name, one.pool.gpu, where, min(sellers) if len(sellers) == 1 else None, own))
    return found, notes


def table_offers(
    wanted: Sequence[Wanted], prices: GpuPrices, day: date, *, plans: Sequence[PlanRate] = (), currency: str = "USD"
) -> Listed:
    """The offers that hold on ``day``, pool by pool. ``currency`` is that of offers without any price."""
    offers: list[Offer] = []
    stale = 0
    notes: list[str] = []
    now = prices.at(day)
    for one in wanted:
        machines = _machines(one, now)
        if not machines:
            notes.append(
                f"{one.pool}: no machine with {one.gpu} is known" + (f" of {one.provider}." if one.provider else ".")
            )
        for machine in machines:
            on_demand = _price(prices, machine, one.region, "on_demand", day)
            told = [(how, _price(prices, machine, one.region, how, day)) for how in PURCHASES if _RESERVED.match(how)]
            known = [(how, price) for how, price in told if price is not None]
            stale += sum(price.stale for _, price in known)
            asked: list[tuple[str, GpuPrice | None]] = [*known] if known else [
                ("reserved_1yr_no_upfront", None),
                ("reserved_3yr_no_upfront", None),
            ]  # fmt: skip
            offers += [
                _offer(one, machine, how, price=price, on_demand=on_demand, currency=currency) for how, price in asked
            ]
        offers += _plans(one, prices, day, plans)
    return Listed(tuple(offers), stale, tuple(notes))


def _machines(wanted: Wanted, now: Sequence[GpuPrice]) -> list[GpuInstance]:
    """The bill's machines first, then those with a price in the region; else all that the map knows of the seller."""
    slug = _slug(wanted)
    names = [
        *wanted.machines,
        *(
            (one.provider, one.instance_type)
            for one in now
            if one.gpu_type == wanted.gpu and one.region is not None and _same(one.region, wanted.region)
        ),
    ]
    found = [gpu_instance(provider, kind) for provider, kind in names if slug in (None, provider)]
    if not any(found):
        found = [one for one in gpu_instances() if one.gpu_type == wanted.gpu and one.provider == slug]
    return list(dict.fromkeys(one for one in found if one is not None and one.gpu_type == wanted.gpu and one.gpu_count))


def _slug(wanted: Wanted) -> str | None:
    return None if wanted.provider is None else provider_slug(wanted.provider) or wanted.provider


def _price(prices: GpuPrices, machine: GpuInstance, region: str, how: str, day: date) -> GpuPrice | None:
    found = prices.price(machine.provider, machine.instance_type, region, how, day)
    return None if found is None or found.per_gpu_hour is None else found


def _offer(
    wanted: Wanted, machine: GpuInstance, how: str, *, price: GpuPrice | None, on_demand: GpuPrice | None, currency: str
) -> Offer:
    match = _RESERVED.fullmatch(how)
    assert match is not None
    years, payment = int(match[1]), cast("Payment", match[2])
    money = next((one.currency for one in (price, on_demand) if one is not None), currency)
    of_same = on_demand if on_demand is not None and on_demand.currency == money else None
    return Offer(
        pools=(wanted.pool,),
        name=_name(machine.instance_type, years, payment) + (" convertible" if match[3] else ""),
        term_months=12 * years,
        payment=payment,
        unit_price=None if price is None else price.per_gpu_hour,
        on_demand_price=None if of_same is None else of_same.per_gpu_hour,
        currency=money,
        unit_gpus=_unit(machine),
        provider=machine.provider,
        region=wanted.region,
        sku=machine.instance_type,
        source=_source(price, of_same),
    )


def _plans(wanted: Wanted, prices: GpuPrices, day: date, plans: Sequence[PlanRate]) -> list[Offer]:
    slug = _slug(wanted)
    own = [
        one
        for one in plans
        if one.instance.gpu_type == wanted.gpu
        and _same(one.region, wanted.region)
        and slug in (None, one.instance.provider)
    ]
    if not own:
        return []
    priced = {one.instance for one in own}
    used = (gpu_instance(provider, kind) for provider, kind in wanted.machines)
    machine = next((one for one in used if one in priced), None) or max(own, key=_per_gpu).instance
    on_demand = _price(prices, machine, wanted.region, "on_demand", day)
    return [
        Offer(
            pools=(wanted.pool,),
            name=_name(one.plan, one.years, one.payment),
            term_months=12 * one.years,
            payment=cast("Payment", one.payment),
            unit_price=_per_gpu(one),
            on_demand_price=on_demand.per_gpu_hour if on_demand and on_demand.currency == one.currency else None,
            currency=one.currency,
            form="savings_plan",
            provider=machine.provider,
            region=wanted.region,
            sku=one.offering,
            source=f"{one.source}, {machine.instance_type}",
        )
        for one in own
        if one.instance == machine
    ]


def _per_gpu(one: PlanRate) -> Decimal:
    share = Fraction(one.instance.gpu_count).limit_denominator(1000)
    return rounded_price(one.rate * share.denominator / share.numerator)


def _name(what: str, years: int, payment: str) -> str:
    return f"{what} {years} year{'s' if years > 1 else ''} {payment.replace('_', ' ')}"


def _unit(machine: GpuInstance) -> Decimal:
    return machine.gpu_count.quantize(_NINE)


def _source(price: GpuPrice | None, on_demand: GpuPrice | None) -> str:
    told = [
        *(["price unknown: ask for a quote, or give a table"] if price is None else [_where(price)]),
        *([f"on demand: {_where(on_demand)}"] if on_demand is not None else []),
    ]
    return "; ".join(dict.fromkeys(told))


def _where(price: GpuPrice) -> str:
    if price.yours:
        return f"{price.source} (price file)"
    old = f", stale ({price.days_old} days old)" if price.stale else ""
    return f"{price.source}, as of {price.as_of}{old}"


def _same(one: str, other: str) -> bool:
    """Azure's ``East US`` is ``eastus``."""
    return one.replace(" ", "").casefold() == other.replace(" ", "").casefold()
