"""Figures as the plan's JSON has them: ratios with six decimals, estimates in cents, hours and days in ISO 8601.

Exact amounts and quantities are :func:`outlay.money.plain`'s.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from outlay.money import plain

__all__ = ["cents", "moment", "ratio"]

_SIX = Decimal("0.000001")
_CENT = Decimal("0.01")


def ratio(value: Decimal | None) -> str | None:
    """A ratio with six decimals."""
    return None if value is None else plain(value.quantize(_SIX))


def cents(value: float) -> str:
    """An estimate, rounded to the hundredth."""
    return plain(Decimal(repr(float(value))).quantize(_CENT))


def moment(at: datetime | date | int | None) -> str | int | None:
    """An hour or a day as JSON has it; hours that are only counted stay numbers."""
    if isinstance(at, datetime):
        return f"{at.isoformat()}Z"
    return at.isoformat() if isinstance(at, date) else at
