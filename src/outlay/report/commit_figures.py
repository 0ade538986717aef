"""Numbers of a commitment plan as HTML: each with the name of its metric and its exact value.

What a reader sees is rounded; ``data-value`` is what ``--json`` says, with all digits. An estimate has cents, since
more would look as if it were known. What is not known is a dash with an empty ``data-value``.
"""

from __future__ import annotations

from decimal import Decimal

from markupsafe import Markup

from outlay.money import percent, plain
from outlay.optimize.commitments.plan_json import cents
from outlay.report.page import unbroken
from outlay.report.wording import about, amount, clean, currency_symbol

__all__ = [
    "chance",
    "estimate",
    "figure",
    "gpu_price",
    "level",
    "level_in",
    "level_text",
    "money",
    "points",
    "share",
    "unknown",
    "whole",
]

_LARGE = 1000
_MOST_DIGITS = 6
_DASH = "\N{EN DASH}"
_KNOWN = Markup(
    '<data class="number" value="{exact}" data-metric="{metric}" data-value="{exact}" title="{title}">{shown}</data>'
)
_UNKNOWN = Markup('<span class="number" data-metric="{metric}" data-value="">{dash}</span>')


def figure(metric: str, exact: str, shown: str, unit: str = "") -> Markup:
    """One number; pointed at, it shows its exact value."""
    title = clean(f"{exact} {unit}".strip())
    return _KNOWN.format(metric=metric, exact=exact, shown=unbroken(clean(shown)), title=title)


def unknown(metric: str) -> Markup:
    """A number that is not known."""
    return _UNKNOWN.format(metric=metric, dash=_DASH)


def money(metric: str, value: Decimal | None, currency: str, *, large: bool = False) -> Markup:
    """An exact amount, to the cent; ``large``: whole units from 1,000 on."""
    if value is None:
        return unknown(metric)
    return figure(metric, plain(value), (about if large else amount)(value, currency), currency)


def estimate(metric: str, value: float | None, currency: str) -> Markup:
    """An amount that is an estimate, in whole units."""
    if value is None:
        return unknown(metric)
    exact = cents(value)
    return figure(metric, exact, about(Decimal(exact), currency), f"{currency}, an estimate")


def share(metric: str, value: Decimal | None, *, to_tenths: bool = False) -> Markup:
    """A ratio as a percentage."""
    return unknown(metric) if value is None else figure(metric, plain(value), percent(value, to_tenths=to_tenths))


def chance(metric: str, value: float | None) -> Markup:
    """A probability that is an estimate."""
    if value is None:
        return unknown(metric)
    exact = round(value, 4)
    return figure(metric, str(exact), percent(Decimal(str(exact))), "an estimate")


def points(metric: str, value: Decimal) -> Markup:
    """A difference of two ratios in percentage points."""
    exact = value * 100
    return figure(metric, plain(exact), f"{exact:,.1f} points")


def level(metric: str, value: Decimal | None, unit: str) -> Markup:
    """A quantity of GPUs, or of money per hour."""
    return unknown(metric) if value is None else figure(metric, plain(value), level_text(value), unit)


def level_in(metric: str, value: Decimal, unit: str, short: str) -> Markup:
    """A quantity in a column of several units: GPUs as they are, others with ``short`` behind: ``15,022 USD/h``."""
    if not short:
        return level(metric, value, unit)
    return figure(metric, plain(value), f"{level_text(value)} {short}", unit)


def level_text(value: Decimal) -> str:
    """``1,658``, ``12.5``, ``0.125``: whole from 1,000 on."""
    if value == value.to_integral_value() or abs(value) >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1 else f"{value:.3g}"


def whole(metric: str, value: int | None, prefix: str = "") -> Markup:
    """A count."""
    return unknown(metric) if value is None else figure(metric, str(value), f"{prefix}{value:,}")


def gpu_price(metric: str, value: Decimal | None, currency: str) -> Markup:
    """A price per GPU-hour, with two digits to six."""
    if value is None:
        return unknown(metric)
    exact = plain(value)
    digits = min(_MOST_DIGITS, max(2, len(exact.partition(".")[2])))
    return figure(metric, exact, f"{currency_symbol(currency)}{value:,.{digits}f}", currency)
