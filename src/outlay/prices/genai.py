"""List prices: the data of the ``genai-prices`` package, flattened.

The package (MIT, pydantic/genai-prices) keeps dated prices of some two thousand models and ships them, so nothing is
fetched. Its units are a hierarchy: a price holds for whatever its more specific priced units don't take (``input_mtok``
for cached tokens too where there is no cache price). Meters are exclusive, so a flat row has the price of the *most
specific priced ancestor* of its meter.

Two of its lists are resolved in order: of conditional prices the last active one holds, of variants (batch, priority)
the first that names a price. Both are resolved here by asking the package for each stretch of time between two dates
or hours at which anything changes; the rows of a meter are therefore disjoint.

The traps:

- A provider that resells (``azure``) falls back on the maker's prices; the maker's variants are not known to hold
  there, so they are not applied.
- A price is dated from the day the project noticed it. A variant that is asked for earlier has no row.
- A model may be listed without any price. It is unpriced, not free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from outlay.errors import nearest
from outlay.prices.genai_units import dimensions_of_meters, stand_in, units
from outlay.prices.price_row import PriceRow, per_unit

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, Provider, TieredPrices

__all__ = [
    "MINIMUM_SECONDS",
    "Resolved",
    "Variant",
    "all_rows",
    "context_window",
    "model_rows",
    "models",
    "provider_id",
    "resolve",
    "unknown",
    "variants",
    "version",
]

_PROVIDERS = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "gcp.gen_ai": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "x_ai": "x-ai",
    "ibm.watsonx.ai": "ibm",
    "fireworks_ai": "fireworks",
    "moonshot_ai": "moonshotai",
}
"""OpenTelemetry's ``gen_ai.provider.name`` and LiteLLM's names, where the package's own matching errs or fails."""

MINIMUM_SECONDS = {("groq", "whisper-large-v3"): 10, ("groq", "whisper-large-v3-turbo"): 10}
"""Audio billed at least for so long a request (as genai-prices has it)."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model reference as the price list knows it. ``owner`` is the provider whose list has the model."""

    provider: str
    owner: str
    model: str

    @property
    def resold(self) -> bool:
        """Whether the price is the maker's, and not the provider's own."""
        return self.provider != self.owner


@dataclass(frozen=True, slots=True)
class Variant:
    """A price context that a model has prices for, from ``valid_from`` (None: ever)."""

    when: tuple[tuple[str, str], ...]
    valid_from: datetime | None


@cache
def _snapshot() -> DataSnapshot:
    """The prices that the package ships; whatever an application may have set it to fetch is not used."""
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    return DataSnapshot(providers=providers, from_auto_update=False)


@cache
def version() -> str:
    """What a figure's receipt names: the package and its version."""
    from importlib.metadata import version as installed

    return f"genai-prices {installed('genai-prices')}"


@cache
def _models() -> dict[tuple[str, str], ModelInfo]:
    return {(provider.id, model.id): model for provider in _snapshot().providers for model in provider.models}


@cache
def _owners() -> dict[int, str]:
    return {id(model): provider.id for provider in _snapshot().providers for model in provider.models}


def _provider(name: str) -> Provider | None:
    folded = name.strip().lower()
    try:
        return _snapshot().find_provider(None, _PROVIDERS.get(folded, folded), None)
    except LookupError:
        return None


def provider_id(name: str) -> str | None:
    """The price list's id of a provider, by any name that it is known by; None where it is not."""
    found = _provider(name)
    return None if found is None else found.id


@lru_cache(maxsize=8192)
def resolve(provider: str, model: str) -> Resolved | None:
    """The model that a provider's reference means, by the package's own matching; None when it knows none.

    A provider that resells another's models (Azure, Vertex) finds them at their maker. The last few thousand names are
    kept: whoever calls a gateway may name any.
    """
    found = _provider(provider)
    if found is None:
        return None
    info = found.find_model(model.strip(), all_providers=_snapshot().providers)
    if info is None and "models/" in model:  # Gemini's and Vertex' resource names: publishers/google/models/...
        info = found.find_model(model.strip().rpartition("models/")[2], all_providers=_snapshot().providers)
    return None if info is None else Resolved(found.id, _owners()[id(info)], info.id)


def unknown(provider: str, model: str) -> str:
    """Why ``resolve`` found nothing, with the nearest names."""
    found = _provider(provider)
    if found is None:
        known = [one.id for one in _snapshot().providers]
        return f"no provider '{provider}' in {version()}. {_hint(provider, known)}"
    names = [one.id for one in found.models]
    for other in found.fallback_model_providers or ():
        names += [owned for owner, owned in _models() if owner == other]
    return f"no model '{model}' of {found.id} in {version()}. {_hint(model, names)}"


def _hint(name: str, known: list[str]) -> str:
    """The nearest names; where none is near, what to do, as a list of hundreds helps nobody."""
    hint = nearest(name.lower(), known)
    return hint if hint.startswith("Did") else "Give a price for it with --prices."


def context_window(provider: str, model: str) -> int | None:
    """The most tokens of input that a model takes, by any name that ``resolve`` knows; None where the list has none.

    Of a resold model it is the maker's, and the reseller's may be smaller.
    """
    found = resolve(provider, model)
    return None if found is None else _models()[found.owner, found.model].context_window


def variants(owner: str, model: str) -> tuple[Variant, ...]:
    """The price contexts of a model, in the order in which they are tried."""
    return tuple(
        Variant(tuple(sorted(variant.when.items())), _midnight(_start(variant)))
        for variant in _models()[owner, model].price_variants or ()
    )


@cache
def model_rows(owner: str, model: str) -> tuple[PriceRow, ...]:
    """Every price of a model, flat; empty when it is listed without one."""
    info = _models()[owner, model]
    conditions = [] if not isinstance(info.prices, list) else info.prices
    if not conditions and isinstance(info.prices, list):
        return ()
    stretches = list(_stretches(conditions, info.price_variants or []))
    hours = list(_hours(conditions, info.price_variants or []))
    found: dict[tuple[object, ...], list[PriceRow]] = {}
    for valid_from, valid_to in stretches:
        for time_from, time_to in hours:
            moment = _moment(valid_from, valid_to, time_from)
            for order, when, prices, only in _contexts(info, moment):
                for meter, unit_price, threshold, taken_from in _flat(prices, only):
                    row = PriceRow(
                        provider=owner,
                        model=model,
                        meter=meter,
                        unit_price=unit_price,
                        when=when,
                        input_tokens_above=threshold,
                        time_from=time_from,
                        time_to=time_to,
                        valid_from=_midnight(valid_from),
                        valid_to=_midnight(valid_to),
                        source=version(),
                        version=version(),
                        order=order,
                        taken_from=taken_from,
                    )
                    found.setdefault((order, when, meter, threshold, time_from), []).append(row)
    return tuple(row for rows in found.values() for row in _joined(rows))


def models() -> Iterator[tuple[str, str]]:
    """Every model of the list: whose list it is, and its name."""
    yield from _models()


def all_rows() -> Iterator[PriceRow]:
    """The whole table."""
    for owner, model in _models():
        yield from model_rows(owner, model)


def _joined(rows: list[PriceRow]) -> Iterator[PriceRow]:
    """Rows of one meter in the order of time, those joined that follow each other at one price."""
    last = rows[0]
    for row in rows[1:]:
        same = row.unit_price == last.unit_price and row.taken_from == last.taken_from
        if same and row.valid_from == last.valid_to:
            last = replace(last, valid_to=row.valid_to)
        else:
            yield last
            last = row
    yield last


def _contexts(
    info: ModelInfo, moment: datetime
) -> Iterator[tuple[int, tuple[tuple[str, str], ...], ModelPrice, frozenset[str] | None]]:
    """The prices at a moment: the ordinary ones, then each variant's with the price keys that the variant names."""
    ordinary = info.get_prices(moment)
    yield len(info.price_variants or ()), (), ordinary, None
    for order, variant in enumerate(info.price_variants or ()):
        if variant.constraint is None or variant.constraint.active(moment):
            keys = frozenset(key for key, value in vars(variant.prices).items() if value is not None)
            if keys:
                yield order, tuple(sorted(variant.when.items())), info.get_prices(moment, variant.when), keys


def _flat(prices: ModelPrice, only: frozenset[str] | None) -> Iterator[tuple[str, Decimal, int | None, str | None]]:
    """``(meter, unit price, tier, taken from)`` of meters with a priced ancestor.

    ``only`` keeps those whose price one of these keys gives.
    """
    by_key = units()
    priced = [(by_key[key], value) for key, value in vars(prices).items() if value is not None and key in by_key]
    for meter, dimensions in dimensions_of_meters().items():
        fitting = [(unit, value) for unit, value in priced if unit.dimensions.items() <= dimensions.items()]
        if not fitting:
            continue
        unit, value = max(fitting, key=lambda pair: len(pair[0].dimensions))
        if only is not None and unit.price_key not in only:
            continue
        for threshold, price in _tiers(value):
            yield meter, per_unit(price, unit.per), threshold, stand_in(dimensions, unit.dimensions)


def _tiers(value: Decimal | TieredPrices) -> list[tuple[int | None, Decimal]]:
    if isinstance(value, Decimal):
        return [(None, value)]
    return [(None, value.base), *((tier.start, tier.price) for tier in value.tiers)]


def _start(one: ConditionalPrice | PriceVariant) -> date | None:
    from genai_prices.types import StartDateConstraint

    return one.constraint.start_date if isinstance(one.constraint, StartDateConstraint) else None


def _stretches(
    conditions: list[ConditionalPrice], price_variants: list[PriceVariant]
) -> Iterator[tuple[date | None, date | None]]:
    """The stretches of days in which the same conditions are active."""
    dated = [*map(_start, conditions), *map(_start, price_variants)]
    starts = {start for start in dated if start is not None}
    return pairwise([None, *sorted(starts), None])


def _hours(
    conditions: list[ConditionalPrice], price_variants: list[PriceVariant]
) -> Iterator[tuple[time | None, time | None]]:
    """The parts of a day in which the same conditions are active; one, all day, for nearly every model."""
    from genai_prices.types import TimeOfDateConstraint

    changes: set[time] = set()
    for constraint in (*(one.constraint for one in conditions), *(one.constraint for one in price_variants)):
        if isinstance(constraint, TimeOfDateConstraint):
            changes |= {_utc(constraint.start_time), _utc(constraint.end_time)}
    return pairwise([None, *sorted(changes - {time.min}), None])


def _utc(value: time) -> time:
    if value.tzinfo is None:
        return value
    return datetime.combine(date(2000, 1, 2), value).astimezone(UTC).time()


def _moment(valid_from: date | None, valid_to: date | None, time_from: time | None) -> datetime:
    """A moment inside a stretch of days and a part of the day."""
    day = valid_from or (valid_to - timedelta(days=1) if valid_to else date(2000, 1, 1))
    return datetime.combine(day, time_from or time.min)


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time.min)
