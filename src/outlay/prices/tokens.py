"""The token price book: what one call cost, by its meters, as of its time.

cost = sum over meters of quantity x unit price; the unit price is the user's where a row of the contract holds for the
call's meter, size, context and time, else the list's. Nothing is assumed: a model or a meter without a price makes the
call *unpriced*, with a why, and never 0.

``estimated`` says that a figure stands on less than it was asked for: a variant (batch, priority) was asked for and no
price for it is known at that date, so the ordinary price was used; the user's file has an ordinary price only and the
list another for this call; the list has no price for cached input, so that of input was used; the time to live of cache
writes is not told though it has two prices; a count was not understood; the sizes of added-up calls are not told though
prices depend on them; or the provider made inner calls that it may or may not bill.

The trap: list prices of variants begin on the day someone noticed them, so a batch request of an earlier day *looks*
priced at the full rate. Here it is marked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal
from functools import partial
from typing import Literal

from outlay.errors import UsageError
from outlay.ledger.meters import METERS, MODALITIES
from outlay.money import add_exactly, plain
from outlay.prices import genai
from outlay.prices.agreed import AgreedPrices, Found
from outlay.prices.call import Call, circumstances, context_text, smallest
from outlay.prices.contract import Contract
from outlay.prices.genai import Resolved
from outlay.prices.price_row import EVERY, PriceRow, above, active, versions
from outlay.prices.usage import Quantity, Usage

__all__ = [
    "FREE_UNLESS_PRICED",
    "UNREAD",
    "Call",
    "Priced",
    "PricedLine",
    "TokenPrices",
    "context_text",
    "doubted_out_of_context",
]

_EXACT = Context(prec=200)
FREE_UNLESS_PRICED = frozenset({"requests"})
"""Meters that every call has and few price lists charge."""
UNREAD = "unread-count"
"""The remark on a count that was not understood, and so is in no figure."""
_KINDS = {
    "cache_read": "cache reads",
    "cache_write": "cache writes",
    "cache_write_5m": "5-minute cache writes",
    "cache_write_1h": "1-hour cache writes",
}
_BY_CAPACITY = (
    "traffic_type=provisioned_throughput: capacity served the call, and its fee is billed apart. "
    "Give a price for it with --prices, when=traffic_type=provisioned_throughput."
)


@dataclass(frozen=True, slots=True)
class PricedLine:
    """One meter of a call. ``unit_price`` and ``amount`` are None where no price is known.

    ``call`` is None, or the kind of the inner call that the line belongs to; ``source`` names where the price is from.
    """

    meter: str
    quantity: Quantity
    unit_price: Decimal | None
    amount: Decimal | None
    model: str
    call: str | None = None
    source: str | None = None
    valid_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """What a call cost, or why that can't be said. ``cost`` is the sum of the lines' amounts, None if unpriced."""

    status: Literal["priced", "unpriced"]
    cost: Decimal | None
    currency: str | None
    lines: tuple[PricedLine, ...]
    price_version: str
    estimated: bool
    why: str | None

    def to_json(self) -> dict[str, object]:
        """The document of ``outlay price --json``."""
        return {
            "status": self.status,
            "cost": None if self.cost is None else plain(self.cost),
            "currency": self.currency,
            "lines": [
                {
                    "meter": line.meter,
                    "quantity": line.quantity if isinstance(line.quantity, int) else plain(line.quantity),
                    "unit_price": None if line.unit_price is None else plain(line.unit_price),
                    "amount": None if line.amount is None else plain(line.amount),
                    "model": line.model,
                    "call": line.call,
                    "source": line.source,
                    "valid_from": None if line.valid_from is None else line.valid_from.isoformat() + "Z",
                }
                for line in self.lines
            ],
            "price_version": self.price_version,
            "estimated": self.estimated,
            "why": self.why,
        }


class TokenPrices:
    """List prices with contracts laid over them; of several contracts the last one given wins.

    ``version`` names the lists that any price here may be from.
    """

    def __init__(self, contracts: Sequence[Contract] = ()) -> None:
        self._agreed = AgreedPrices(contracts)
        self._list: dict[tuple[str, str], dict[str, list[PriceRow]]] = {}
        self._contracts = tuple(contracts)
        self.version = "; ".join([genai.version(), *(contract.version for contract in contracts)])

    def lists(self) -> list[tuple[str, str, Callable[[], Iterable[PriceRow]]]]:
        """Name, version and rows of each list: the package's, then the contracts'. Names and versions suit a folder."""
        package, number = genai.version().rsplit(" ", 1)
        found: list[tuple[str, str, Callable[[], Iterable[PriceRow]]]] = [(package, number, genai.all_rows)]
        for contract in self._contracts:
            name, digest = contract.version.rsplit(" ", 1)
            found.append((re.sub(r"[^A-Za-z0-9._-]+", "-", name), digest, partial(iter, contract.rows)))
        return found

    def price(
        self, usage: Usage, provider: str, model: str, at: datetime, context: Mapping[str, str] | None = None
    ) -> Priced:
        """The cost of one call at ``at``, naive UTC.

        ``context`` (``{"processing": "batch"}``) wins over what the payload itself tells; an ordinary value
        (``standard``) takes that back. Raises :class:`UsageError` if ``at`` has a time zone.
        """
        if at.tzinfo is not None:
            raise UsageError("the time has a zone.", where="at", hint="Convert it to UTC and drop the zone.")
        asked, window = circumstances({**usage.context, **(context or {})})
        unknown: list[str] = []
        doubts: list[str] = []
        rows: list[PriceRow] = []
        size = smallest(window) if usage.bucket else usage.input_tokens
        call = Call(provider, model, genai.resolve(provider, model), at, size, asked, window)
        lines = self._lines(usage, call, unknown, doubts, rows)
        for inner in usage.inner:
            name = inner.model or model
            call = Call(provider, name, genai.resolve(provider, name), at, inner.usage.input_tokens, asked)
            found = self._lines(inner.usage, call, unknown, doubts, rows)
            lines += [replace(line, call=inner.kind) for line in found if line.meter != "requests"]
            doubts.append(f"an inner call ({inner.kind}) is priced; whether the provider bills it is not verified")
        currencies = {row.currency for row in rows}
        if len(currencies) > 1:
            unknown.append(f"its prices are in {' and '.join(sorted(currencies))}, which can't be added.")
        version = versions(rows) or genai.version()
        if unknown:
            why = " ".join(dict.fromkeys(unknown))
            return Priced("unpriced", None, None, tuple(lines), version, False, why)
        cost = add_exactly(line.amount for line in lines if line.amount is not None)
        why_estimated = "; ".join(dict.fromkeys(doubts)) or None
        currency = currencies.pop() if currencies else "USD"
        return Priced("priced", cost, currency, tuple(lines), version, bool(doubts), why_estimated)

    def _lines(
        self, usage: Usage, call: Call, unknown: list[str], doubts: list[str], rows: list[PriceRow]
    ) -> list[PricedLine]:
        name = call.found.model if call.found else call.model
        lines, used, missing, found_doubts = [], [], [], []
        for meter, quantity in usage.meters.items():
            found = self.found(call, meter)
            row = found.row
            if row is None:
                if meter not in FREE_UNLESS_PRICED:
                    missing.append(meter)
                    lines.append(PricedLine(meter, quantity, None, None, name))
                continue
            used.append(row)
            found_doubts += [found.doubt] if found.doubt else []
            amount = _EXACT.multiply(Decimal(_billed(call.found, meter, quantity)), row.unit_price)
            lines.append(PricedLine(meter, quantity, row.unit_price, amount, name, None, row.source, row.valid_from))
        if missing and call.by_capacity:
            unknown.append(_BY_CAPACITY)
        elif call.found is None and (missing or not used):
            unknown.append(genai.unknown(call.provider, call.model))
        elif missing:
            listed = ", ".join(missing)
            unknown.append(f"no price for {listed} of {name} at {call.at.isoformat()}Z. Give one with --prices.")
        rows += used
        doubts += [*found_doubts, *self._doubts(call, usage, used)]
        return lines

    def row(self, call: Call, meter: str) -> PriceRow | None:
        """The price of a meter that holds for a call."""
        return self.found(call, meter).row

    def found(self, call: Call, meter: str) -> Found:
        """The price of a meter that holds for a call, and why it makes an estimate."""
        found = self._agreed.price(call, meter, None if call.by_capacity else self._list_row(call, meter))
        if found.doubt is None and found.row is not None and found.row.taken_from is not None:
            instead = _words(found.row.taken_from)
            return Found(found.row, f"no price for {_words(meter)} of {found.row.model}: taken as {instead}")
        return found

    def unmet(self, call: Call, used: Iterable[PriceRow] = ()) -> list[tuple[str, str]]:
        """What of a call's context no meter has a price for; ``used`` are rows already found for it."""
        left = [pair for pair in call.context.items() if not any(pair in row.when for row in used)]
        if left:  # a variant need not price every meter: batch has no price of its own for a search
            rows = [row for meter in METERS if (row := self.row(call, meter)) is not None]
            left = [pair for pair in left if not any(pair in row.when for row in rows)]
        return left

    def candidates(self, call: Call, meter: str) -> list[PriceRow]:
        """Every price of a meter that a call of these names may have, whatever its size, time and context."""
        return [*(row for _, row in self._agreed.candidates(call, meter)), *self._listed(call, meter)]

    def sized(self, call: Call) -> bool:
        """Whether calls of these names may have prices that differ by size, within the sizes that are told of them."""
        tiers = (row.input_tokens_above for meter in METERS for row in self.candidates(call, meter))
        window = call.window
        return any(tier is not None and (window is None or window[0] < tier < window[1]) for tier in tiers)

    def _listed(self, call: Call, meter: str) -> list[PriceRow]:
        if call.found is None:
            return []
        key = (call.found.owner, call.found.model)
        if key not in self._list:
            by_meter: dict[str, list[PriceRow]] = {}
            for row in genai.model_rows(*key):
                by_meter.setdefault(row.meter, []).append(row)
            self._list[key] = by_meter
        return self._list[key].get(meter, [])

    def _list_row(self, call: Call, meter: str) -> PriceRow | None:
        """Of the active rows those of the first context that fits, and of these the highest tier."""
        context = {} if call.found is None or call.found.resold else call.context
        fitting = [row for row in self._listed(call, meter) if active(row, call.at, call.input_tokens, context)]
        first = min((row.order for row in fitting), default=0)
        return above(row for row in fitting if row.order == first)

    def _doubts(self, call: Call, usage: Usage, used: list[PriceRow]) -> list[str]:
        """Why the figure is an estimate: contexts without a price, and writes of unknown time to live."""
        doubts = []
        counted = any(doubted_out_of_context(row) for row in used)
        for key, value in self.unmet(call, used) if counted else ():
            doubts.append(
                f"{key}={value} was asked for and {_not_priced(call, key, value)}: the ordinary price is used"
            )
        if "cache_write" in usage.meters:
            prices = [row.unit_price for row in used if row.meter == "cache_write"]
            hour = self.row(call, "cache_write_1h")
            if hour is not None and prices and prices != [hour.unit_price]:
                doubts.append("the time to live of its cache writes is not told: priced as five minutes")
        if usage.bucket and self.sized(call):
            doubts.append("it adds up calls whose sizes are not told: priced as small calls")
        doubts += [remark.message.rstrip(".") for remark in usage.remarks if remark.code == UNREAD]
        return doubts


def _words(meter: str) -> str:
    kind = next((meter.removesuffix(f"_{one}") for one in MODALITIES if meter.endswith(f"_{one}")), meter)
    return _KINDS.get(kind, kind)


def doubted_out_of_context(row: PriceRow) -> bool:
    """Whether a price is an estimate where nothing is priced for what the call was asked for."""
    return row.meter not in FREE_UNLESS_PRICED and row.when != EVERY


def _billed(found: Resolved | None, meter: str, quantity: Quantity) -> Quantity:
    """The quantity that is charged: some bill a least number of seconds."""
    if found is None or not meter.endswith("audio_seconds"):
        return quantity
    return max(quantity, genai.MINIMUM_SECONDS.get((found.owner, found.model), 0))


def _not_priced(call: Call, key: str, value: str) -> str:
    if call.found is None:
        return "has no price"
    if call.found.resold:
        return f"the prices of {call.found.owner} for it are not known to hold at {call.found.provider}"
    starts = [
        variant.valid_from
        for variant in genai.variants(call.found.owner, call.found.model)
        if (key, value) in variant.when
    ]
    later = [start for start in starts if start is not None and start > call.at]
    if later:
        return f"is priced only from {min(later).date().isoformat()} on"
    return "has no price for this model"
