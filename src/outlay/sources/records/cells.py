"""Cells of a record: what a reader takes out of one, checked.

Each function gives a value, None where the record has none, or raises :class:`Unusable`, which a reader turns into
a problem of that record. So a figure is exact or absent, never a guess, and one bad record stops no other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from outlay.money import MONEY_SCALE
from outlay.sources.fact_file import Json, Unusable
from outlay.sources.facts import amount, epoch, moment

__all__ = [
    "currency",
    "fold",
    "hours_of",
    "instant",
    "number",
    "pairs",
    "period",
    "product",
    "text",
    "times_hours",
    "whole",
]

_EXACT = Context(prec=120)
_PLACES = Decimal(1).scaleb(-MONEY_SCALE)
_BOUND = Decimal(10) ** 19
_CURRENCY = re.compile(r"[A-Z]{3}")
_HOUR = timedelta(hours=1)
_MICROSECONDS = 3_600_000_000


def fold(name: str) -> str:
    """One spelling of a column's name: ``Use Case`` and ``use-case`` give ``use_case``."""
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def text(record: Mapping[str, Json], *keys: str) -> str | None:
    """The first of ``keys`` that holds a text that is not blank, or a whole number (an id), stripped."""
    for key in keys:
        value = record.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def number(record: Mapping[str, Json], key: str, *, signed: bool = False) -> Decimal | None:
    """An amount; None where there is none. Raises where it is no number, too large, or (unless ``signed``) below 0."""
    value = record.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = amount(value)
    if found is None or found.adjusted() > 18 or (found and found.adjusted() < -40):
        raise Unusable("unparsable-amount", f"{key} is no usable amount: {_shown(value)}")
    if found < 0 and not signed:
        raise Unusable("unusable-record", f"{key} is negative: {_shown(value)}")
    return found if found else Decimal(0)


def whole(record: Mapping[str, Json], key: str) -> int | None:
    """A count; None where the record has none. Raises where it is no whole number from 0."""
    found = number(record, key)
    if found is None:
        return None
    if found != found.to_integral_value():
        raise Unusable("unparsable-amount", f"{key} is no whole number: {_shown(record[key])}")
    if found >= _BOUND // 10:
        raise Unusable("unparsable-amount", f"{key} is too large: {_shown(record[key])}")
    return int(found)


def instant(record: Mapping[str, Json], *keys: str) -> datetime | None:
    """The first of ``keys`` that is set, as naive UTC: ISO 8601 text or seconds since 1970. Raises for all else."""
    for key in keys:
        value = record.get(key)
        if value is None or value == "":
            continue
        found = moment(value) if isinstance(value, str) else epoch(value)
        if found is None:
            raise Unusable("unparsable-time", f"{key} is no time: {_shown(value)}")
        return found
    return None


def period(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Both ends of a term. Raises where one is missing or the end is not after the start."""
    if start is None or end is None:
        raise Unusable("missing-time", f"the commitment has no {'start' if start is None else 'end'}")
    if end <= start:
        raise Unusable("period-reversed", f"the commitment ends ({end}) before it starts ({start})")
    return start, end


def currency(record: Mapping[str, Json], key: str, *amounts: Decimal | None) -> str | None:
    """An ISO 4217 code; raises for anything else, and where one of ``amounts`` is known without it."""
    found = text(record, key)
    if found is None:
        if any(one is not None for one in amounts):
            raise Unusable("missing-currency", f"an amount is given, and no {key}")
        return None
    if not _CURRENCY.fullmatch(found):
        raise Unusable("bad-currency", f"{key} is no ISO 4217 code: {_shown(found)}")
    return found


def hours_of(start: datetime, end: datetime, stated: timedelta | None, slack: timedelta = _HOUR) -> Decimal:
    """Hours of a term: as ``stated`` where the period agrees within ``slack``, else those of the period.

    Providers end a term a second early, or a few minutes late; a term cut short is off by far more.
    """
    length = end - start
    if stated is not None and abs(length - stated) <= slack:
        length = stated
    return _EXACT.divide(Decimal(length // timedelta(microseconds=1)), Decimal(_MICROSECONDS))


def times_hours(rate: Decimal, hours: Decimal) -> Decimal:
    """``rate`` an hour over ``hours``, at the scale of the ledger."""
    return product(rate, hours)


def product(one: Decimal, other: Decimal | int) -> Decimal:
    """A product, exact up to the 18 decimals that the ledger keeps. Raises where it is too large for it."""
    found = _EXACT.multiply(one, Decimal(other))
    if found.adjusted() > 18:
        raise Unusable("unparsable-amount", f"{one} x {other} is too large")
    return found.quantize(_PLACES, rounding=ROUND_HALF_EVEN, context=_EXACT).normalize(_EXACT)


def pairs(found: Json) -> dict[str, str]:
    """Tags from ``{key: value}`` or ``[{"Key": …, "Value": …}]``; what is neither is left out."""
    if isinstance(found, Mapping):
        return {str(key): value for key, value in found.items() if isinstance(value, str)}
    tags = {}
    for one in found if isinstance(found, list) else []:
        if isinstance(one, Mapping) and isinstance(one.get("Key"), str) and isinstance(one.get("Value"), str):
            tags[one["Key"]] = one["Value"]
    return tags


def _shown(value: Json) -> str:
    shown = str(value) if isinstance(value, (str, int, Decimal)) else type(value).__name__
    return repr(shown[:60] + ("…" if len(shown) > 60 else ""))
