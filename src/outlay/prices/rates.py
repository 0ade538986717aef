"""Unit rates that the bill itself does not show: the user's price file for ``outlay overspend --prices``.

A detector takes a rate from the bill's own rows first (what this company really pays) unless the file names one, which
always wins: it is the user's contract. There is no built-in discount tier: a rate that neither knows is *unknown*, and
the finding says so.

The file is CSV with the header ``provider,item,rate,unit_price,currency`` and optionally
``region,valid_from,valid_to,source``:

- ``item``: an instance type (``p5.48xlarge``) or a model id (``gpt-4o-mini``);
- ``rate``: ``committed``, ``spot`` or ``on_demand`` (per GPU-hour), or ``batch_input``, ``batch_output``,
  ``cache_read`` (per 1,000,000 tokens);
- ``provider``: who sells it, as the bill's ServiceProviderName has it or under a usual other name (``AWS`` and
  ``Amazon Web Services``, ``Microsoft`` and ``Azure``, ``Google`` and ``Google Cloud`` are each one). The trap is that
  two providers sell one model at two prices: a rate prices what its own provider bills and nothing else;
- ``valid_to`` is exclusive; empty means open.

A line that priced nothing is most often a slip of the pen, so the book remembers what it was asked for and says which
lines fitted no question, and what kept them from it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from outlay.errors import UnreadableError, nearest
from outlay.prices.gpus import provider_slug

__all__ = ["RATE_KINDS", "Rate", "RateBook", "read_rates"]

RATE_KINDS = ("committed", "spot", "on_demand", "batch_input", "batch_output", "cache_read")
_REQUIRED = ("provider", "item", "rate", "unit_price", "currency")
_OPTIONAL = ("region", "valid_from", "valid_to", "source")


@dataclass(frozen=True, slots=True)
class Rate:
    """One price: per GPU-hour for hardware, per 1,000,000 tokens for models. ``where`` is its file and line."""

    provider: str
    item: str
    kind: str
    unit_price: Decimal
    currency: str
    region: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    source: str = ""
    where: str = ""


class RateBook:
    """The rates of a price file, looked up by what they price and when."""

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self._rates = tuple(rates)
        self._obstacles: dict[int, str] = {}
        self._fitted: set[int] = set()

    @property
    def rates(self) -> tuple[Rate, ...]:
        """Every rate, in the order of the file."""
        return self._rates

    def find(
        self,
        kind: str,
        item: str | None,
        *,
        provider: str | None,
        currency: str,
        region: str | None = None,
        on: date | None = None,
    ) -> Rate | None:
        """The rate of ``item`` as ``provider`` sells it (a ServiceProviderName), valid ``on`` a day.

        One for the region before one for all regions, the latest valid one first.
        """
        fitting = []
        for number, rate in enumerate(self._rates):
            if rate.kind != kind or item is None or rate.item.casefold() != item.strip().casefold():
                continue
            obstacle = _obstacle(rate, provider=provider, currency=currency, region=region, on=on)
            if obstacle:
                self._obstacles.setdefault(number, obstacle)
            else:
                self._fitted.add(number)
                fitting.append(rate)
        return max(fitting, key=lambda rate: (rate.region is not None, rate.valid_from or date.min), default=None)

    def unused(self) -> tuple[str, ...]:
        """A sentence for each rate that has fitted no question so far: which, and why as far as that is known."""
        return tuple(
            f"{rate.where or 'price file'}: the {rate.kind} rate of {rate.provider} {rate.item} was not used: "
            + self._obstacles.get(number, f"no finding asked for a {rate.kind} rate of '{rate.item}'")
            for number, rate in enumerate(self._rates)
            if number not in self._fitted
        )


def _obstacle(rate: Rate, *, provider: str | None, currency: str, region: str | None, on: date | None) -> str:
    """Why a rate of the right kind and item prices nothing here; empty when it does."""
    if not _same_provider(rate.provider, provider):
        return f"{rate.item} is billed by {provider or 'no named provider'}"
    if rate.currency != currency:
        return f"the bill is in {currency}, the rate in {rate.currency}"
    if rate.region not in (None, region):
        return f"{rate.item} was needed in {region or 'no named region'}, not in {rate.region}"
    if on is not None and rate.valid_from is not None and on < rate.valid_from:
        return f"the bill ends on {on}, before the rate is valid"
    if on is not None and rate.valid_to is not None and rate.valid_to <= on:
        return f"the bill ends on {on}, when the rate is no longer valid"
    return ""


def _same_provider(one: str, other: str | None) -> bool:
    """Whether two names are one seller's; a row without a provider is nobody's."""
    if other is None:
        return False
    return (provider_slug(one) or one.strip().casefold()) == (provider_slug(other) or other.strip().casefold())


def read_rates(path: Path | None) -> RateBook:
    """The price file, or an empty book for None. A bad line is an :class:`UnreadableError` that names it."""
    if path is None:
        return RateBook()
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            header = tuple(reader.fieldnames or ())
            for name in header:
                if name not in _REQUIRED + _OPTIONAL:
                    raise UnreadableError(
                        f"unknown column '{name}'.", where=str(path), hint=nearest(name, _REQUIRED + _OPTIONAL)
                    )
            for name in _REQUIRED:
                if name not in header:
                    raise UnreadableError(
                        f"has no column '{name}'.", where=str(path), hint=f"The header is {','.join(_REQUIRED)}."
                    )
            return RateBook([_rate(row, path, reader.line_num) for row in reader])
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(f"can't be read: {error}.", where=str(path), hint="Check --prices.") from None


def _rate(row: dict[str, str | None], path: Path, line: int) -> Rate:
    where = f"{path}:{line}"
    kind = (row["rate"] or "").strip()
    if kind not in RATE_KINDS:
        raise UnreadableError(f"unknown rate '{kind}'.", where=where, hint=nearest(kind, RATE_KINDS))
    try:
        price = Decimal((row["unit_price"] or "").strip())
    except InvalidOperation:
        raise UnreadableError(f"'{row['unit_price']}' is not a price.", where=where, hint="Write 12.34.") from None
    if not price.is_finite() or price < 0:
        raise UnreadableError(f"{price} can't be a price.", where=where, hint="Prices are zero or more.")
    return Rate(
        (row["provider"] or "").strip(),
        (row["item"] or "").strip(),
        kind,
        price,
        (row["currency"] or "").strip().upper(),
        (row.get("region") or "").strip() or None,
        _day(row.get("valid_from"), where),
        _day(row.get("valid_to"), where),
        (row.get("source") or "").strip(),
        f"{path.name}:{line}",
    )


def _day(text: str | None, where: str) -> date | None:
    if not (text or "").strip():
        return None
    try:
        return date.fromisoformat(str(text).strip())
    except ValueError:
        raise UnreadableError(f"'{text}' is not a date.", where=where, hint="Write 2026-10-01.") from None
