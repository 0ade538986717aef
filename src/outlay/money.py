"""Exact money.

A bill is checked against an invoice to the cent, so an amount is a :class:`decimal.Decimal` in Python and
``DECIMAL(38,18)`` in tables: twenty digits before the point, eighteen after, which holds every amount that AWS (10
decimals), Azure (17) and token vendors print. Binary floats never hold money: they are read as the shortest decimal
that names the same float. Sums are taken in one currency only, and rounding happens once, where a person reads it.

The trap that engines set: the product of two decimals needs the sum of both precisions, and past 38 digits DuckDB
raises while Spark rounds without a word. So no stored amount is multiplied as it is: cast it down first (see
``docs/adr/0003``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation

from outlay.errors import UsageError

__all__ = ["MONEY_SCALE", "MONEY_SQL", "Amount", "add_exactly", "percent", "plain", "rounded", "share"]

MONEY_SCALE = 18
"""Decimals that a stored amount keeps."""

MONEY_SQL = f"DECIMAL(38,{MONEY_SCALE})"
"""The SQL type of every amount, unit price and quantity in the ledger."""

_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation])
_DIVISION = Context(prec=34)
_MINOR_UNITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3, "JOD": 3}


def plain(value: Decimal) -> str:
    """``value`` as JSON carries it: exact, no exponent, no trailing zeros. ``Decimal('1.50E+1')`` gives ``'15'``."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def add_exactly(values: Iterable[Decimal]) -> Decimal:
    """The sum, with no digit lost whatever the context of the caller's thread."""
    total = Decimal(0)
    for value in values:
        total = _EXACT.add(total, value)
    return total


def rounded(value: Decimal, currency: str) -> Decimal:
    """``value`` at the minor unit of ``currency`` (cents for USD), half to even. For showing, never for storing."""
    places = _MINOR_UNITS.get(currency, 2)
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


def percent(fraction: Decimal | None, *, to_tenths: bool = False) -> str:
    """``0.0812`` as ``8.1%``, ``0.167`` as ``17%``: one decimal below 10%, none above; None is a dash.

    Rounding never makes a share nothing or the whole when it is not: 0.0002 is ``under 0.1%``, 0.997 is ``99.7%``.
    ``to_tenths`` keeps the decimal above 10% as well, for a figure that is held against a limit.
    """
    if fraction is None:
        return "\N{EN DASH}"
    if fraction == 0:
        return "0%"
    sign, size = ("-" if fraction < 0 else ""), abs(fraction) * 100
    tenths = size.quantize(Decimal("0.1"), rounding=ROUND_HALF_EVEN)
    whole = size.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    if tenths == 0:
        return "under 0.1%" if fraction > 0 else "over -0.1%"
    if size < 100 and tenths == 100:
        return "over 99.9%" if fraction > 0 else "under -99.9%"
    if tenths < 10 or to_tenths or (size < 100 and whole == 100):
        return f"{sign}{tenths:,}%"
    return f"{sign}{whole:,}%"


@dataclass(frozen=True, slots=True, order=False)
class Amount:
    """An exact quantity of one currency. Adding two currencies is an error, not a conversion."""

    value: Decimal
    currency: str

    def __add__(self, other: Amount) -> Amount:
        return Amount(_EXACT.add(self.value, self._same(other).value), self.currency)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(_EXACT.subtract(self.value, self._same(other).value), self.currency)

    def __str__(self) -> str:
        return f"{rounded(self.value, self.currency):,} {self.currency}"

    def _same(self, other: Amount) -> Amount:
        if other.currency != self.currency:
            raise UsageError(
                f"can't add {other.currency} to {self.currency}:",
                hint="amounts are summed in one currency only; filter by BillingCurrency.",
            )
        return other


def share(part: Decimal, whole: Decimal) -> Decimal:
    """``part / whole`` to 34 digits."""
    return _DIVISION.divide(part, whole)
