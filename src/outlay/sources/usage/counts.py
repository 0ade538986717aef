"""What the results of all providers' usage reports have in common: counts, group keys, and an identity of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from outlay.sources.fact_file import Json, Unusable
from outlay.sources.facts import Value

__all__ = ["Identities", "attributes", "refuse_too_large", "text", "whole"]

_MOST = (1 << 63) - 1  # what a BIGINT holds


def whole(result: Mapping[str, Json], name: str) -> int | None:
    """The count under ``name``, None where it is not told. Raises :class:`Unusable` for anything but a count."""
    value = result.get(name)
    if value is None or (type(value) is int and 0 <= value <= _MOST):  # nearly always
        return value
    if isinstance(value, Decimal) and value.is_finite() and abs(value) <= _MOST and value == value.to_integral_value():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value > _MOST:
        raise Unusable("unparsable-amount", f"{name} is not a whole number of at most 64 bits")
    if value < 0:
        raise Unusable("negative-quantity", f"{name} is negative")
    return value


def text(value: Json) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None


def attributes(result: Mapping[str, Json], but: Collection[str]) -> dict[str, str]:
    """The plain values of a result other than the keys ``but``, as texts."""
    found: dict[str, str] = {}
    for key, value in result.items():
        if key in but or value is None or isinstance(value, (dict, list)):
            continue
        if said := _said(value):
            found[key] = said
    return found


def _said(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def refuse_too_large(values: Mapping[str, Value]) -> None:
    """Raise where a sum of counts is more than the table can hold."""
    for name, value in values.items():
        if isinstance(value, int) and value > _MOST:
            raise Unusable("unparsable-amount", f"{name} is more than 64 bits hold")


class Identities:
    """Names the results of one bucket by their group keys, one after the other where these do not tell them apart."""

    def __init__(self, *bucket: str) -> None:
        self._bucket = bucket
        self._seen: Counter[str] = Counter()

    def of(self, groups: Mapping[str, Json]) -> str:
        """``completions|2024-11-01T00:00:00|model=gpt-4o``: each group key that has a value."""
        told = sorted((key, _said(value)) for key, value in groups.items() if isinstance(value, (str, bool)))
        name = _joined((*self._bucket, *(f"{key}={value}" for key, value in told)))
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name}|#{self._seen[name]}"


def _joined(parts: Iterable[str]) -> str:
    """Parts as one text that no other parts give."""
    return "|".join(
        part.replace("\\", "\\\\").replace("|", "\\|") if "|" in part or "\\" in part else part for part in parts
    )
