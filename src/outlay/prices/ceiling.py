"""The dearest that a call may be billed at, told before it is made, so that a hold is a true upper bound.

    bound = input_upper x dearest input price + max_output x dearest output price + request fee + fees of its tools

The dearest price of a direction is the largest over its meters (an input token may turn out fresh, read from a cache or
written to one for an hour), over the circumstances that the call may be served in (service tiers, speed, region), and
over the sizes that it may reach: a tier above 200,000 tokens moves the whole request, output too. Each of these prices
is found by the code that prices one call (:mod:`outlay.prices.tokens`), contracts included, so a call that stays within
its bounds never costs more, as of the same time.

A circumstance is left out only where the request or the upstream rules it out. What rules out nothing: ``auto`` and a
missing ``service_tier`` leave the choice to the project's settings; whoever asks for a variant may be served without
it (OpenAI says so of ``flex`` and ``priority``), so asking for flex doesn't rule the ordinary price out.

Who asks to be served in a place is served there, at its uplift: without a price for that there is no ceiling.

What is not bounded here: calls that a provider makes within a call on another model (an advisor). Ask for their ceiling
by their own model. Tokens that the provider's own tools put into the prompt belong into ``input_upper``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, product
from types import MappingProxyType
from typing import Any

from outlay.errors import UsageError
from outlay.ledger.meters import FEE_METERS, INPUT_METERS, METERS, MODALITIES, OUTPUT_METERS, modal
from outlay.prices import genai
from outlay.prices.call import BY_CAPACITY, Call, context_text, special
from outlay.prices.cuts import Cuts, Recent, cuts, without_zone
from outlay.prices.price_row import EVERY, PriceRow, versions, whole_price
from outlay.prices.tokens import FREE_UNLESS_PRICED, TokenPrices

__all__ = ["Ceiling", "Ceilings", "Only", "Options", "Unbounded", "asked", "ceiling"]

Only = tuple[tuple[str, tuple[str, ...]], ...]
"""The values that keys of a price context may have, sorted; ``""`` is the ordinary price."""
_Found = Mapping[str, list[tuple[Call, PriceRow | None]]]
"""The price of each meter in each circumstance and size."""

_PLAIN = ("",)
_GEO = "inference_geo"
_TELLING = frozenset({"service_tier", "serviceTier", "speed", _GEO})
_NOTHING_ASKED = (("processing", _PLAIN), ("speed", _PLAIN))
"""What a request leaves possible that tells none of these, as nearly all."""
_MOST_CIRCUMSTANCES = 2000
_OTHER = {"any other": "circumstance"}
"""A circumstance that no price names. It still makes a call special, for which a price for every context may hold."""
_TIERS = {
    "default": _PLAIN,
    "standard": _PLAIN,
    "standard_only": _PLAIN,
    "on_demand": _PLAIN,
    "flex": ("", "flex"),
    "priority": ("", "priority"),
}
"""What a request's ``service_tier`` leaves possible; any other word leaves everything."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is known of a call before it is made, beside its size.

    ``only``: a key of the price context that is not named there may have any value (see :func:`asked`). ``modalities``
    are what its input may hold beside text, ``output_modalities`` its output. ``fees``: meters of the tools that it may
    run. ``output`` is false where it has none (embeddings).
    """

    only: Only = ()
    modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    fees: tuple[str, ...] = ()
    output: bool = True


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The dearest unit prices, in 10 to the -18 of ``currency``; ``output`` None: output has no price.

    They hold from ``since`` to before ``until`` for calls of at most ``up_to`` tokens of input (None: of any size).
    """

    input: int
    output: int | None
    request: int
    fees: Mapping[str, int]
    currency: str
    price_version: str
    up_to: int | None
    since: datetime
    until: datetime

    def bound(self, input_tokens: int, output_tokens: int = 0, fees: Mapping[str, int] | None = None) -> int:
        """The most that a call costs with at most so many tokens of each and so many of what its tools charge."""
        total = self.request + self.input * input_tokens
        if self.up_to is not None and input_tokens > self.up_to:
            raise UsageError(f"this ceiling holds up to {self.up_to:,} tokens.", hint="Ask for one of that size.")
        if output_tokens:
            if self.output is None:
                raise UsageError("output has no price here.", hint="Ask for a ceiling with output.")
            total += self.output * output_tokens
        for meter, quantity in (fees or {}).items():
            if meter not in self.fees:
                raise UsageError(f"'{meter}' is no fee of this ceiling.", hint="Name it when you ask for the ceiling.")
            total += self.fees[meter] * quantity
        return total


@dataclass(frozen=True, slots=True)
class Unbounded:
    """No ceiling, and why; so from ``since`` to before ``until``."""

    why: str
    since: datetime
    until: datetime


def asked(
    request: Mapping[str, Any], context: Mapping[str, str] | None = None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What a request leaves possible, for :attr:`Options.only`; ``context`` is what is certain whatever it says.

    Give :meth:`TokenPrices.price` the same ``context`` at the settlement. A live call is no batch, and no provider
    serves one fast that didn't ask for it.
    """
    if not context and _TELLING.isdisjoint(request):
        return _NOTHING_ASKED
    only: dict[str, tuple[str, ...]] = {"processing": _PLAIN}
    tier = request.get("service_tier", request.get("serviceTier"))
    tier = tier.get("type") if isinstance(tier, Mapping) else tier  # Bedrock: {"type": "flex"}
    if isinstance(tier, str) and (values := _TIERS.get(tier.strip().lower())):
        only["service_tier"] = values
    speed = request.get("speed")
    if speed is None or speed == "standard":
        only["speed"] = _PLAIN
    where = request.get(_GEO)
    if isinstance(where, str):
        only[_GEO] = tuple(sorted({"", *special({"": where}).values()}))
    known = special(context or {})
    only |= {key: (known.get(key, ""),) for key in context or {}}
    return tuple(sorted(only.items()))


class Ceilings:
    """Ceilings by name, bracket of size and options, the last ``most`` of them, each until its prices change."""

    def __init__(self, prices: TokenPrices, most: int = 4096) -> None:
        self._prices = prices
        self._cuts: Recent[tuple[str, str], Cuts] = Recent(most)
        self._kept: Recent[tuple[str, str, int, Options], Ceiling | Unbounded] = Recent(most)

    def ceiling(
        self, provider: str, model: str, at: datetime, input_upper: int, options: Options = Options()
    ) -> Ceiling | Unbounded:
        """The ceiling of a call at ``at``, naive UTC, whose input is at most ``input_upper`` tokens."""
        found = self._cuts.recall((provider, model))
        if found is None:
            call = Call(provider, model, genai.resolve(provider, model), without_zone(at), 0, {})
            found = self._cuts.keep((provider, model), cuts(call, _rows(self._prices, call)))
        key = (provider, model, found.bracket(input_upper), options)
        kept = self._kept.recall(key)
        if kept is not None and kept.since <= without_zone(at) < kept.until:
            return kept
        return self._kept.keep(key, ceiling(self._prices, provider, model, at, input_upper, options=options))


def ceiling(
    prices: TokenPrices, provider: str, model: str, at: datetime, input_upper: int, *, options: Options = Options()
) -> Ceiling | Unbounded:
    """As :meth:`Ceilings.ceiling`, found anew."""
    plain = Call(provider, model, genai.resolve(provider, model), without_zone(at), 0, {})
    rows = _rows(prices, plain)
    limits = cuts(plain, rows)
    since, until = limits.around(at)
    for place in dict(options.only).get(_GEO, ()):
        if place and not any(row.when == EVERY or (_GEO, place) in row.when for row in rows):
            dearer = f"{_GEO}={place} is dearer, and has no price for {model}. Give one with --prices, or leave it out."
            return Unbounded(dearer, since, until)
    contexts = list(islice(_contexts(rows, dict(options.only)), _MOST_CIRCUMSTANCES + 1))
    if len(contexts) > _MOST_CIRCUMSTANCES:
        return Unbounded(f"the prices of {model} differ by too many circumstances to look at each.", since, until)
    reached = limits.sizes[: limits.bracket(input_upper)]
    calls = [
        Call(provider, model, plain.found, at, size, context)
        for context in contexts
        for size in (0, *(above + 1 for above in reached))
    ]
    found = {meter: [(call, prices.row(call, meter)) for call in calls] for meter in _meters(options)}
    used = [row for pairs in found.values() for _, row in pairs if row is not None]
    if why := _why_not(plain, found, used, options):
        return Unbounded(why, since, until)
    dearest = {
        meter: max(whole_price(row.unit_price) for _, row in pairs if row is not None)
        for meter, pairs in found.items()
        if any(row is not None for _, row in pairs)
    }
    return Ceiling(
        input=max(price for meter, price in dearest.items() if meter in INPUT_METERS),
        output=max((price for meter, price in dearest.items() if meter in OUTPUT_METERS), default=None),
        request=dearest.get("requests", 0),
        fees=MappingProxyType({fee: dearest[fee] for fee in options.fees}),
        currency=used[0].currency,
        price_version=versions(used),
        up_to=limits.sizes[len(reached)] if len(reached) < len(limits.sizes) else None,
        since=since,
        until=until,
    )


def _rows(prices: TokenPrices, call: Call) -> list[PriceRow]:
    return [row for meter in METERS for row in prices.candidates(call, meter)]


def _meters(options: Options) -> list[str]:
    """The meters that the call may count."""
    for modality in (*options.modalities, *options.output_modalities):
        if modality not in MODALITIES:
            raise UsageError(f"'{modality}' is no modality.", hint=f"Known are {', '.join(MODALITIES)}.")
    for fee in options.fees:
        if fee in FREE_UNLESS_PRICED or FEE_METERS.get(fee, "second") == "second":
            raise UsageError(f"'{fee}' is no tool's fee.", hint="Name what a tool counts, such as web_searches.")
    left_out = [one for one in MODALITIES if one not in options.modalities]
    inputs = [meter for meter in INPUT_METERS if not any(meter.endswith(f"_{one}") for one in left_out)]
    outputs = ["output", "output_reasoning", *(modal("output", one) for one in options.output_modalities)]
    return [*inputs, *outputs, "requests", *options.fees]


def _contexts(rows: list[PriceRow], only: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    """Every circumstance that tells prices apart and is not ruled out."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for key, value in [BY_CAPACITY] if row.when == EVERY else row.when:
            values.setdefault(key, {""}).add(value)
    values |= {key: set(told) for key, told in only.items()}
    for combination in product(*(sorted(values[key]) for key in sorted(values))):
        context = special(dict(zip(sorted(values), combination, strict=True)))
        yield context
        if not context:
            yield dict(_OTHER)


def _why_not(plain: Call, found: _Found, used: list[PriceRow], options: Options) -> str | None:
    for meter in ("input", *(("output",) if options.output else ()), *options.fees):
        bare = next((call for call, row in found[meter] if row is None and not call.by_capacity), None)
        if bare is None:
            continue
        if plain.found is None:
            return genai.unknown(plain.provider, plain.model)
        served = "" if bare.context in ({}, _OTHER) else f" with {context_text(bare.context)}"
        return f"no price for {meter} of {plain.found.model}{served}. Give one with --prices."
    currencies: dict[str, set[str]] = {}
    for row in used:
        currencies.setdefault(row.currency, set()).add(row.meter)
    if len(currencies) > 1:
        listed = " and ".join(f"{currency} ({', '.join(sorted(of))})" for currency, of in sorted(currencies.items()))
        return f"its prices are in {listed}, which can't be added. Give all in one currency with --prices."
    return None
