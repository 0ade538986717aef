"""What the user agreed with a provider, laid over the list: which row holds for a call, and what is left to the list.

A row without ``when`` is the price of an ordinary call. Where the list has a price of its own for a call's context
(batch, priority) or size (above 272,000 tokens) and no row names that context or size, the list's price holds, and the
figure is an estimate: an agreement on the ordinary price says nothing of the others. ``when=*`` is for every context
and size.

A row with a ``multiplier`` multiplies the price that holds without it: a regional uplift, a discount on the list. Only
the most telling one does, and none where a unit price of the user's already names its context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from outlay.ledger.meters import TOKEN_METERS
from outlay.prices.call import Call
from outlay.prices.contract import ALL_METERS, ALL_TOKENS, Contract
from outlay.prices.price_row import EVERY, PriceRow, active, per_unit, versions

__all__ = ["AgreedPrices", "Found"]

_Ranked = tuple[int, PriceRow]


@dataclass(frozen=True, slots=True)
class Found:
    """The price of a meter that holds for a call, and why it may not be the one it should have; both may be None."""

    row: PriceRow | None
    doubt: str | None = None


class AgreedPrices:
    """The rows of price files; of several files the last one given wins."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        self._rows: dict[tuple[str, str, str], list[_Ranked]] = {}
        for rank, contract in enumerate(contracts):
            for row in contract.rows:
                self._rows.setdefault((row.provider, row.model, row.meter), []).append((rank, row))

    def candidates(self, call: Call, meter: str) -> list[_Ranked]:
        """Every row that a call of these names may have, whatever its size, time and context."""
        if not self._rows:
            return []
        providers = {call.provider.strip().lower(), *([call.found.provider] if call.found else [])}
        models = {call.model.strip().lower(), *([call.found.model.lower()] if call.found else []), "*"}
        meters = (meter, ALL_METERS, *([ALL_TOKENS] if meter in TOKEN_METERS else []))
        return [
            ranked
            for provider in sorted(providers)
            for model in sorted(models)
            for name in meters
            for ranked in self._rows.get((provider, model, name), ())
        ]

    def price(self, call: Call, meter: str, listed: PriceRow | None) -> Found:
        """The price of a meter, given the list's."""
        every = self.candidates(call, meter)
        if not every:
            return Found(listed)
        unit, unit_left = _best(call, [one for one in every if one[1].multiplier is None], listed)
        factor, factor_left = _best(call, [one for one in every if one[1].multiplier is not None], listed)
        if unit and factor and (factor.when == EVERY or set(factor.when) <= set(unit.when)):
            factor = None
        base = unit or listed
        if base is not None and factor is not None:
            return Found(_multiplied(base, factor))
        left = unit is None and (unit_left or factor_left)
        return Found(
            base, f"no agreed price of {meter} for {_circumstance(listed)}: the list's is used" if left else None
        )


def _best(call: Call, ranked: list[_Ranked], listed: PriceRow | None) -> tuple[PriceRow | None, bool]:
    """The most telling row, and whether there are only such as leave this call to the list."""
    fitting = [
        one for one in ranked if active(one[1], call.at, call.input_tokens, call.context) and _applies(call, one[1])
    ]
    for rank, row in sorted(fitting, key=lambda one: _telling(call, one), reverse=True):
        if not _left_to_list(rank, row, ranked, listed):
            return row, False
    return None, bool(fitting)


def _applies(call: Call, row: PriceRow) -> bool:
    return not call.by_capacity or row.when == EVERY or any(key == "traffic_type" for key, _ in row.when)


def _telling(call: Call, ranked: _Ranked) -> tuple[object, ...]:
    """The context before the model, the model before all models, the meter before all meters, then tier and date."""
    rank, row = ranked
    named = () if row.when == EVERY else row.when
    return (
        rank,
        bool(named),
        row.model != "*",
        row.meter not in (ALL_METERS, ALL_TOKENS),
        len(named),
        (row.when == EVERY) == bool(call.context),  # of two that name no context the one that was meant
        -1 if row.input_tokens_above is None else row.input_tokens_above,
        row.valid_from or datetime.min,
        row.order,
    )


def _left_to_list(rank: int, row: PriceRow, ranked: list[_Ranked], listed: PriceRow | None) -> bool:
    """Whether the list has a price of its own for what the row does not name."""
    if listed is None or row.when == EVERY:
        return False
    if not row.when and listed.when:
        return True
    if listed.input_tokens_above is None or (row.multiplier is not None and row.when):
        return False
    same = (rank, row.model, row.meter, row.when)
    return not any(
        one.input_tokens_above is not None and (other, one.model, one.meter, one.when) == same for other, one in ranked
    )


def _circumstance(listed: PriceRow | None) -> str:
    if listed is None:
        return "it"
    parts = [f"{key}={value}" for key, value in listed.when]
    if listed.input_tokens_above is not None:
        parts.append(f"more than {listed.input_tokens_above:,} tokens of input")
    return " and ".join(parts)


def _multiplied(base: PriceRow, factor: PriceRow) -> PriceRow:
    assert factor.multiplier is not None
    starts = [start for start in (base.valid_from, factor.valid_from) if start is not None]
    named = set() if factor.when == EVERY else set(factor.when)
    return replace(
        base,
        unit_price=per_unit(base.unit_price * factor.multiplier, 1),
        when=base.when if base.when == EVERY else tuple(sorted({*base.when, *named})),
        valid_from=max(starts, default=None),
        source=f"{base.source} x {factor.multiplier.normalize():f} ({factor.source})",
        version=versions([base, factor]),
    )
