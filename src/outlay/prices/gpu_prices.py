"""What an hour of a GPU instance costs, as of a day: the user's price file, refreshed catalogues, the shipped seed.

Three layers answer, the first that knows:

1. the user's price file (:mod:`outlay.prices.rates`, the one that ``outlay overspend --prices`` takes): the contract;
2. the tables of GPU prices (:mod:`outlay.prices.gpu_table`), refreshed from public catalogues and shipped as a small
   dated seed. Of several prices that hold, the one read last.

No layer guesses. A type, region, way to buy or day that none of them has is *unknown*: None, never a usual discount and
never the price of a neighbouring region. Every price carries its source and its age in days.

    price per GPU-hour = price per instance-hour / GPUs in the instance (:mod:`outlay.prices.gpus`)

The trap is the fraction: a ``g6f.large`` holds 1/8 of an L4, so its GPU-hour costs eight times its instance-hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from pathlib import Path

from outlay.errors import UsageError, nearest
from outlay.prices.catalogue_source import opened
from outlay.prices.gpu_table import PURCHASES, Catalogue, ListedPrice, read_table, rounded_price
from outlay.prices.gpus import GpuInstance, gpu_instance, gpu_instances, normal_instance, provider_slug
from outlay.prices.rates import Rate, RateBook

__all__ = [
    "ASKABLE",
    "STALE_AFTER_DAYS",
    "STALE_SPOT_AFTER_DAYS",
    "GpuPrice",
    "GpuPrices",
    "gpu_price",
    "read_catalogues",
    "seed",
]

STALE_AFTER_DAYS = 90
"""List prices change a few times a year. A convention of this product, not a finding."""
STALE_SPOT_AFTER_DAYS = 7
"""Spot prices change within days. A convention too."""

ASKABLE = (*PURCHASES, "committed")
"""The tables' ways to buy, and ``committed``: a user's rate under commitment, which no public list has."""

_OF_USER = ("on_demand", "spot", "committed")
_DIVISION = Context(prec=80)


@dataclass(frozen=True, slots=True)
class GpuPrice:
    """A price that holds on the day that was asked for.

    ``per_gpu_hour`` is None where the instance map does not know the type, ``per_instance_hour`` where a price file
    told a GPU-hour of such a type. ``days_old`` is the age of the source on that day; None for a price of the user's,
    which is as old as they say and never ``stale``. ``region`` None is every region.
    """

    provider: str
    instance_type: str
    region: str | None
    purchase: str
    per_instance_hour: Decimal | None
    per_gpu_hour: Decimal | None
    currency: str
    gpu_type: str | None
    gpu_count: Decimal | None
    valid_from: date | None
    valid_to: date | None
    as_of: date | None
    days_old: int | None
    source: str
    yours: bool = False

    @property
    def stale(self) -> bool:
        """Whether the source is older than prices of its kind stay good for."""
        limit = STALE_SPOT_AFTER_DAYS if self.purchase == "spot" else STALE_AFTER_DAYS
        return self.days_old is not None and self.days_old > limit


@dataclass(frozen=True, slots=True)
class _Known:
    """A price of any layer before it is asked for."""

    listed: ListedPrice
    per_gpu: Decimal | None = None  # as the user's file tells it

    @property
    def yours(self) -> bool:
        return self.per_gpu is not None


class GpuPrices:
    """GPU prices of all layers, looked up by what is bought, where and when."""

    def __init__(self, catalogues: Sequence[Catalogue] = (), rates: RateBook | None = None) -> None:
        """``catalogues`` stand beside the seed; ``rates`` is the user's price file, which wins."""
        self._known: dict[tuple[str, str, str], dict[str | None, list[_Known]]] = {}
        for rate in rates.rates if rates is not None else ():
            if rate.kind in _OF_USER:
                self._add(_of_user(rate))
        for listed in (listed for one in (*catalogues, seed()) for listed in one.prices):
            self._add(_Known(listed))

    def _add(self, known: _Known) -> None:
        listed = known.listed
        regions = self._known.setdefault(_key(listed.provider, listed.instance_type, listed.purchase), {})
        regions.setdefault(_region(listed.region), []).append(known)

    def price(
        self, provider: str, instance_type: str, region: str | None, purchase: str, at: date | datetime
    ) -> GpuPrice | None:
        """The price that holds ``at`` a day (UTC), or None where it is not known.

        ``provider`` is a FOCUS ServiceProviderName, a cloud's slug or any seller's name; ``instance_type`` may be
        spelled as bills do (``ml.p5.48xlarge``). Without a ``region``, only a price for every region is an answer.
        Raises :class:`UsageError` for an unknown ``purchase``.
        """
        if purchase not in ASKABLE:
            raise UsageError(f"unknown purchase '{purchase}'.", hint=nearest(purchase, ASKABLE))
        day = _day(at)
        regions = self._known.get(_key(provider, instance_type, purchase), {})
        told = (known for place in {None, _region(region)} for known in regions.get(place, ()))
        holding = [known for known in told if _holds(known.listed, day)]
        best = max(holding, key=_rank, default=None)
        return None if best is None else _answer(best, day)

    def at(self, at: date | datetime, *, provider: str | None = None) -> list[GpuPrice]:
        """Every price that holds ``at`` a day, the winning one of each, by provider, type, purchase and region."""
        day = _day(at)
        wanted = None if provider is None else _provider(provider)
        found: dict[tuple[str, str, str, str], GpuPrice] = {}
        for (owner, _, purchase), regions in self._known.items():
            if wanted not in (None, owner):
                continue
            for first in (knowns[0].listed for knowns in regions.values()):
                price = self.price(first.provider, first.instance_type, first.region, purchase, day)
                if price is not None:
                    found.setdefault((owner, price.instance_type, purchase, price.region or ""), price)
        return [found[key] for key in sorted(found)]

    def dated(self, gpu_type: str, region: str) -> list[GpuPrice]:
        """Every on-demand price of a GPU in a region, or in all regions, whatever the day; by machine and first day."""
        found = [
            _answer(known, known.listed.valid_from)
            for (_, _, purchase), regions in self._known.items()
            if purchase == "on_demand"
            for place in (None, _region(region))
            for known in regions.get(place, ())
            if known.listed.valid_from is not None
        ]
        of_gpu = [one for one in found if one.gpu_type == gpu_type and one.per_gpu_hour is not None]
        return sorted(of_gpu, key=lambda one: (one.provider, one.instance_type, one.valid_from or date.min, one.source))

    def unpriced(self, at: date | datetime) -> tuple[GpuInstance, ...]:
        """The instance types of the map for which no price at all holds ``at`` a day."""
        day = _day(at)
        priced = {
            key[:2]
            for key, regions in self._known.items()
            if any(_holds(known.listed, day) for knowns in regions.values() for known in knowns)
        }
        return tuple(one for one in gpu_instances() if _key(one.provider, one.instance_type, "")[:2] not in priced)


def gpu_price(
    provider: str,
    instance_type: str,
    region: str | None,
    purchase: str,
    at: date | datetime,
    *,
    prices: GpuPrices | None = None,
) -> GpuPrice | None:
    """What an hour costs: :meth:`GpuPrices.price` of ``prices``, or of the shipped seed alone."""
    return (prices or _of_seed()).price(provider, instance_type, region, purchase, at)


def read_catalogues(paths: Sequence[Path]) -> list[Catalogue]:
    """The tables that ``outlay prices gpus refresh`` wrote. Raises :class:`outlay.errors.UnreadableError`."""
    found = []
    for path in paths:
        with opened(str(path)) as lines:
            found.append(read_table(lines, str(path)))
    return found


@cache
def seed() -> Catalogue:
    """The shipped prices; ``data/README.md`` has their source and licence."""
    text = files("outlay.prices").joinpath("data", "gpu_prices.csv").read_text(encoding="utf-8")
    return read_table(text.splitlines(keepends=True), "gpu_prices.csv")


@cache
def _of_seed() -> GpuPrices:
    return GpuPrices()


def _provider(name: str) -> str:
    return provider_slug(name) or name.strip().casefold()


def _key(provider: str, instance_type: str, purchase: str) -> tuple[str, str, str]:
    return _provider(provider), normal_instance(instance_type), purchase


def _region(name: str | None) -> str | None:
    """One spelling: Azure's ``East US`` is ``eastus``."""
    return None if name is None else name.replace(" ", "").casefold()


def _day(at: date | datetime) -> date:
    return at.date() if isinstance(at, datetime) else at


def _holds(listed: ListedPrice, day: date) -> bool:
    return (listed.valid_from or day) <= day and (listed.valid_to is None or day < listed.valid_to)


def _rank(known: _Known) -> tuple[bool, bool, date, date]:
    """The user's first, this region before all regions, then what was read last and what began last."""
    listed = known.listed
    return known.yours, listed.region is not None, listed.as_of or date.min, listed.valid_from or date.min


def _answer(known: _Known, day: date) -> GpuPrice:
    listed = known.listed
    instance = gpu_instance(listed.provider, listed.instance_type, day)
    share = None if instance is None else _share(instance.gpu_count)
    per_gpu = known.per_gpu
    per_instance: Decimal | None = listed.unit_price
    if per_gpu is not None:
        per_instance = None if share is None else _times(per_gpu, share)
    elif share is not None:
        per_gpu = _times(listed.unit_price, 1 / share)
    return GpuPrice(
        provider=_provider(listed.provider),
        instance_type=listed.instance_type if instance is None else instance.instance_type,
        region=listed.region,
        purchase=listed.purchase,
        per_instance_hour=per_instance,
        per_gpu_hour=per_gpu,
        currency=listed.currency,
        gpu_type=None if instance is None else instance.gpu_type,
        gpu_count=None if instance is None else instance.gpu_count,
        valid_from=listed.valid_from,
        valid_to=listed.valid_to,
        as_of=listed.as_of,
        days_old=None if listed.as_of is None else max(0, (day - listed.as_of).days),
        source=listed.source,
        yours=known.yours,
    )


def _share(count: Decimal) -> Fraction | None:
    """GPUs as a fraction: the table keeps 1/6 to 18 decimals only, and a price times 6 is exact. None for no GPU."""
    exact = Fraction(count).limit_denominator(1000)
    return exact if exact > 0 else None


def _times(price: Decimal, share: Fraction) -> Decimal:
    product = _DIVISION.multiply(price, Decimal(share.numerator))
    return rounded_price(_DIVISION.divide(product, Decimal(share.denominator)))


def _of_user(rate: Rate) -> _Known:
    listed = ListedPrice(
        rate.provider,
        rate.item,
        rate.region,
        rate.kind,
        rate.unit_price,
        rate.currency,
        rate.valid_from,
        rate.valid_to,
        None,
        rate.source or rate.where,
    )
    return _Known(listed, per_gpu=rate.unit_price)
