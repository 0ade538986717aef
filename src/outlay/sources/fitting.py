"""What a value must be to stand in a column: of the column's type, within its range, one of the allowed values.

A value is never bent to fit. A source tells thousands of values of a column that all fit, so they are looked at
together first, by their types and by Arrow, which refuses what its own column can't hold. Only where that says no is
each looked at alone, to find which one it is and to say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any

from outlay.ledger.tables.table import Column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EXACT", "Fitting", "Unfit"]

EXACT = Context(prec=120)
"""Wide enough for sums of any column: the context of the thread would round at 28 digits."""
_INT64 = 1 << 63
_TYPES = {"VARCHAR": str, "BIGINT": int, "BOOLEAN": bool, "TIMESTAMP": datetime, "DATE": date}


class Unfit(ValueError):
    """A value that its column can't hold; the message says why."""


class Fitting:
    """Puts values into ``column``, whose type in Arrow is ``kind``."""

    def __init__(self, column: Column, kind: pa.DataType) -> None:
        self._kind = kind
        self._plain = {_TYPES.get(column.sql_type, Decimal)}
        self._allowed = frozenset((*column.allowed, None)) if column.allowed else None
        self.one: Callable[[Any, str], Any] = _fitting(column)
        """What one value must go through, and the column's name: the value as it is stored, or :class:`Unfit`."""

    def all(self, values: Sequence[Any]) -> pa.Array | None:
        """All ``values``, None among them, where each of them plainly fits as it is; otherwise None."""
        import pyarrow as pa

        types = set(map(type, values))
        types.discard(type(None))
        if types - self._plain or (self._allowed is not None and not self._allowed.issuperset(values)):
            return None
        if datetime in types and any(value is not None and value.tzinfo is not None for value in values):
            return None
        try:
            return pa.array(values, self._kind)
        except (ValueError, OverflowError):
            return None


def _fitting(column: Column) -> Callable[[Any, str], Any]:
    """What a value must go through to stand in ``column``: it raises :class:`Unfit`."""
    fit = _fit(column.sql_type)
    if not column.allowed:
        return fit
    allowed = frozenset(column.allowed)

    def one_of(value: Any, name: str) -> Any:  # noqa: ANN401
        found = fit(value, name)
        if found not in allowed:
            raise Unfit(f"{name} is {value!r}, not one of {', '.join(sorted(allowed))}")
        return found

    return one_of


def _fit(sql_type: str) -> Callable[[Any, str], Any]:
    if sql_type.startswith("DECIMAL"):
        precision, scale = (int(n) for n in sql_type.removeprefix("DECIMAL(").removesuffix(")").split(","))
        return _decimal(precision, scale)
    return {"VARCHAR": _text, "BIGINT": _whole, "BOOLEAN": _truth, "TIMESTAMP": _time, "DATE": _day}[sql_type]


def _decimal(precision: int, scale: int) -> Callable[[Any, str], Decimal]:
    unit, limit = Decimal(1).scaleb(-scale), Decimal(10) ** (precision - scale)

    def fit(value: Any, name: str) -> Decimal:  # noqa: ANN401
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise Unfit(f"{name} is {value!r}, not a number")
        number = Decimal(value)
        if not number.is_finite() or number.copy_abs() >= limit:
            raise Unfit(f"{name} is {value}, which is not below {limit}")
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # it is finite
        if -exponent > scale:
            number = number.quantize(unit, ROUND_HALF_UP, EXACT)
            if number.copy_abs() == limit:
                raise Unfit(f"{name} is {value}, which is not below {limit} when rounded")
        return number

    return fit


def _whole(value: Any, name: str) -> int:  # noqa: ANN401
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or value != int(value):
        raise Unfit(f"{name} is {value!r}, not a whole number")
    if not -_INT64 <= value < _INT64:
        raise Unfit(f"{name} is {value}, which no column holds")
    return int(value)


def _text(value: Any, name: str) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise Unfit(f"{name} is {value!r}, not text")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unfit(f"{name} holds half of a character") from None
    return value


def _truth(value: Any, name: str) -> bool:  # noqa: ANN401
    if not isinstance(value, bool):
        raise Unfit(f"{name} is {value!r}, neither true nor false")
    return value


def _time(value: Any, name: str) -> datetime:  # noqa: ANN401
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise Unfit(f"{name} is {value!r}, not a time in UTC")
    return value


def _day(value: Any, name: str) -> date:  # noqa: ANN401
    if not isinstance(value, date):
        raise Unfit(f"{name} is {value!r}, not a date")
    return value.date() if isinstance(value, datetime) else value
