"""One row of the token price table: what one unit of a meter costs, for whom and when.

``unit_price`` is per single unit (one token, one search, one second), so that a cost is ``quantity x unit_price``
whatever the price list's own unit. Windows are half-open and UTC. A row holds for requests whose whole input is
*more* than ``input_tokens_above`` tokens: such tiers are cliffs, all tokens of the request move to the new price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal

from outlay.money import MONEY_SCALE

__all__ = ["EVERY", "PriceRow", "above", "active", "per_unit", "versions", "whole_price"]

_EXACT = Context(prec=200)
EVERY = (("*", "*"),)
"""``when`` of a row that holds in every context."""


@dataclass(frozen=True, slots=True)
class PriceRow:
    """``when`` is the price context that selects the row, as sorted pairs; () is the ordinary price, EVERY any.

    ``multiplier`` is of rows that multiply another price, whose ``unit_price`` says nothing. ``taken_from`` names the
    meter whose price stands in for one that the list does not have, such as ``input`` for ``cache_read``.

    ``time_from`` to ``time_to`` is a time of day (``time_to`` None: midnight); both None is all day. ``order`` breaks
    ties between rows of several contexts: the lower wins.
    """

    provider: str
    model: str
    meter: str
    unit_price: Decimal
    when: tuple[tuple[str, str], ...] = ()
    input_tokens_above: int | None = None
    time_from: time | None = None
    time_to: time | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    currency: str = "USD"
    source: str = ""
    version: str = ""
    order: int = 0
    multiplier: Decimal | None = None
    taken_from: str | None = None


def versions(rows: Iterable[PriceRow]) -> str:
    """What a receipt names of several rows; empty for none."""
    return "; ".join(sorted({one for row in rows for one in row.version.split("; ")}))


def per_unit(price: Decimal, per: int) -> Decimal:
    """The price of one unit at the ledger's 18 decimals: exact for tokens, rounded for seconds of an hourly price."""
    return (price / per).quantize(Decimal(1).scaleb(-MONEY_SCALE), rounding=ROUND_HALF_EVEN)


def whole_price(unit_price: Decimal) -> int:
    """A unit price in 10 to the -18 of its currency: exact, since :func:`per_unit` left it no more decimals."""
    return int(_EXACT.scaleb(unit_price, MONEY_SCALE))


def active(row: PriceRow, at: datetime, input_tokens: int, context: Mapping[str, str]) -> bool:
    """Whether the row holds for a request of this size, time and context."""
    return (
        (row.valid_from is None or row.valid_from <= at)
        and (row.valid_to is None or at < row.valid_to)
        and (row.input_tokens_above is None or input_tokens > row.input_tokens_above)
        and (row.when == EVERY or all(context.get(key) == value for key, value in row.when))
        and _within(row, at.time())
    )


def _within(row: PriceRow, now: time) -> bool:
    start, end = row.time_from or time.min, row.time_to
    if end is None:
        return start <= now
    return start <= now < end if start <= end else now >= start or now < end


def above(rows: Iterable[PriceRow]) -> PriceRow | None:
    """Of active rows that differ by tier, the highest."""
    return max(rows, key=lambda row: -1 if row.input_tokens_above is None else row.input_tokens_above, default=None)
