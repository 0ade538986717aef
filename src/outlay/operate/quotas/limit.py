"""A limit as it is written: ``900 USD/day``, ``2M tokens/hour``, ``600 requests/minute``, ``50 USD/30 days``.

Amounts are whole numbers everywhere below: money in the ledger's smallest unit (10 to the -18 of the currency), so that
a hold, a settlement and what is left are exact, tokens and requests as they are counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from outlay.errors import ConfigError, nearest
from outlay.money import MONEY_SCALE, plain
from outlay.operate.quotas.window import UNITS, Kind, Window

__all__ = ["REQUESTS", "TOKENS", "Limit", "Measure", "in_unit", "is_money", "parse_limit", "shown", "whole"]

Measure = str
"""``tokens``, ``requests`` or a currency such as ``USD``."""

TOKENS: Measure = "tokens"
REQUESTS: Measure = "requests"

_WRITTEN = re.compile(
    r"(?P<amount>\d[\d_,]*(?:\.\d+)?)\s*(?P<scale>[kMB]?)\s+(?P<measure>[A-Za-z]+)\s*"
    r"(?:/|\sper\s)\s*(?P<count>\d*)\s*(?P<unit>[A-Za-z]+)"
)
_SCALES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
_SLIDING = ("second", "minute", "hour")
_HINT = "Write for example '900 USD/day', '2M tokens/hour' or '600 requests/minute'."


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` of ``measure`` within ``window``; money in 10 to the -18 of its currency."""

    measure: Measure
    amount: int
    window: Window

    def __str__(self) -> str:
        length = self.window.unit if self.window.count == 1 else f"{self.window.count} {self.window.unit}s"
        return f"{shown(self.amount, self.measure)}/{length}"


def is_money(measure: Measure) -> bool:
    """Whether a measure is a currency."""
    return measure not in (TOKENS, REQUESTS)


def whole(value: Decimal) -> int:
    """Money as a whole number of its smallest unit, exact: prices have no more decimals than the ledger keeps."""
    scaled = value.scaleb(MONEY_SCALE)
    found = int(scaled)
    if found != scaled:
        raise ValueError(f"{value} has more than {MONEY_SCALE} decimals")
    return found


def shown(amount: int, measure: Measure) -> str:
    """An amount for a person, exact: ``0.0035 USD``, ``1,200 tokens``."""
    if is_money(measure):
        return f"{plain(in_unit(amount, measure))} {measure}"
    return f"{amount:,} {measure}"


def parse_limit(text: str, kind: Kind | None = None) -> Limit:
    """A limit as it is written. Raises :class:`ConfigError`.

    Windows of a day and longer follow the calendar and shorter ones slide, unless ``kind`` says otherwise.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"'{text}' is no limit.", hint=_HINT)
    unit = match["unit"].lower().removesuffix("s")
    if unit not in UNITS:
        raise ConfigError(f"'{match['unit']}' in '{text}' is no window.", hint=nearest(unit, UNITS))
    count = int(match["count"] or 1)
    amount = Decimal(match["amount"].replace(",", "").replace("_", "")) * _SCALES[match["scale"]]
    measure = _measure(match["measure"], text)
    if kind == "calendar" and count != 1:
        raise ConfigError(f"'{text}' can't follow the calendar: only one {unit} can.", hint="Leave out window.")
    chosen: Kind = kind or ("sliding" if unit in _SLIDING or count != 1 else "calendar")
    if count == 0 or amount <= 0:
        raise ConfigError(f"'{text}' lets nothing through.", hint="To stop a scope: outlay quotas stop team=search")
    try:
        quantity = whole(amount) if is_money(measure) else int(amount)
    except ValueError as error:
        raise ConfigError(f"'{text}': {error}.", hint=_HINT) from None
    if not is_money(measure) and quantity != amount:
        raise ConfigError(f"'{text}' is no whole number of {measure}.", hint=_HINT)
    return Limit(measure, quantity, Window(unit, count, chosen))


def _measure(name: str, text: str) -> Measure:
    lowered = name.lower()
    for known in (TOKENS, REQUESTS):
        if lowered in (known, known.removesuffix("s")):
            return known
    if len(name) == 3 and name.isupper():
        return name
    raise ConfigError(f"'{name}' in '{text}' is nothing that can be counted.", hint=_HINT)


def in_unit(amount: int, measure: Measure) -> Decimal:
    """An amount in the currency itself, or in tokens or requests."""
    return Decimal(amount).scaleb(-MONEY_SCALE) if is_money(measure) else Decimal(amount)
