"""The counts of a usage object by what they mean: which shape it has, what it tells, and what in it was not understood.

The object is walked once along a tree of the names that its shape knows, so the work grows with the object and not with
the dozens of aliases that providers have for a count: a gateway reads thousands of these a second.

The trap: several names of one count are one number, so the largest is taken, and never the sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from outlay.errors import UsageError, nearest
from outlay.prices.usage_shape import Path, Shape, Where
from outlay.prices.usage_shapes import FLAVORS, NOT_COUNTS, SHAPES

__all__ = ["Facts", "Quantity", "read_facts", "shape_of"]

Quantity = int | Decimal
"""Tokens, searches and pages are whole; seconds need not be."""

_BY_NAME = {shape.name: shape for shape in SHAPES}
_COUNT_ENDS = ("tokens", "count", "requests", "calls", "searches", "units", "seconds", "pages", "executions")
_MARKS: dict[str, list[tuple[int, str]]] = {}
"""By key of a usage object: the shapes that it marks, by their place, and the key inside it that must be there too."""
_STARTS: dict[str, int] = {}
"""Beginnings of keys, and the place of the shape that they mark."""
for _place, _shape in enumerate(SHAPES):
    for _mark in _shape.marks:
        if _mark.endswith("*"):
            _STARTS[_mark[:-1]] = _place
        else:
            _head, _, _tail = _mark.partition(".")
            _MARKS.setdefault(_head, []).append((_place, _tail))
_ANY_START = tuple(_STARTS)


@dataclass(frozen=True, slots=True)
class Facts:
    """``counts`` by fact in the shape's order; names of one count that differ; where numbers stand that are unread."""

    counts: dict[str, Quantity]
    differing: list[str]
    unread: list[str]


@dataclass(slots=True)
class _Step:
    """A name that a shape knows: the numbers of the facts that stand right there, and the names within it."""

    numbers: tuple[int, ...] = ()
    within: dict[str, _Step] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a shape is read. ``told``: by number the fact, its path, and how many names lead to it or to a list."""

    steps: dict[str, _Step]
    told: list[tuple[str, Path, int]]
    known: frozenset[str]
    only_counts: bool


def shape_of(usage: Mapping[str, Any], flavor: str | None) -> Shape:
    """The shape that ``flavor`` names or that the keys tell, the first that any key marks."""
    if flavor is not None and flavor != "default":
        name = FLAVORS.get(flavor, flavor)
        if name not in _BY_NAME:
            raise UsageError(f"unknown usage flavor '{flavor}'.", hint=nearest(flavor, [*FLAVORS, *_BY_NAME]))
        return _BY_NAME[name]
    first = len(SHAPES)
    for key, value in usage.items():
        for place, inside in _MARKS.get(key, ()):
            if place < first and (isinstance(value, Mapping) and inside in value if inside else value is not None):
                first = place
        if key.startswith(_ANY_START):
            first = min(first, *(place for start, place in _STARTS.items() if key.startswith(start)))
    if first < len(SHAPES):
        return SHAPES[first]
    raise UsageError(
        f"the usage object has none of the counts of a known provider; its keys are {', '.join(usage) or 'none'}.",
        hint="Give the object that the provider returns under 'usage' or 'usageMetadata'.",
    )


def read_facts(usage: Mapping[str, Any], shape: Shape) -> Facts:
    """What a usage object of a shape tells. Raises :class:`UsageError` for counts that are negative or not whole."""
    plan = _plan(shape.name)
    found: dict[int, object] = {}
    unread: list[str] = []
    _walk(usage, plan.steps, plan, "", found, unread)
    counts: dict[str, Quantity] = {}
    aliases: dict[str, list[tuple[Path, Quantity]]] = {}
    last: Path = ()
    for number in sorted(found):
        fact, path, names = plan.told[number]
        value = found[number] if names == len(path) else _look(found[number], path, names)
        if value is None:
            continue
        count = value if type(value) is int and value >= 0 else _count(value, path, fact)
        if fact in counts:
            aliases.setdefault(fact, [(last, counts[fact])]).append((path, count))
        else:
            counts[fact] = count
        last = path
    differing = []
    for fact, told in aliases.items():
        counts[fact] = max(count for _, count in told)
        if len({count for _, count in told if count}) > 1:
            differing.append(", ".join(f"{_spelled(path)} {count}" for path, count in told))
    return Facts(counts, differing, unread)


@cache
def _plan(name: str) -> _Plan:
    shape = _BY_NAME[name]
    steps: dict[str, _Step] = {}
    told: list[tuple[str, Path, int]] = []
    for fact, paths in shape.paths.items():
        for path in paths:
            names = next((depth for depth, step in enumerate(path) if isinstance(step, Where)), len(path))
            within = steps
            for step in path[:names]:
                last = within.setdefault(str(step), _Step())
                within = last.within
            last.numbers += (len(told),)
            told.append((fact, path, names))
    known = {step for paths in shape.paths.values() for path in paths for step in path if isinstance(step, str)}
    return _Plan(steps, told, frozenset(known | NOT_COUNTS), shape.only_counts)


def _walk(  # noqa: PLR0917 - the innermost loop
    inside: Mapping[str, Any],
    steps: Mapping[str, _Step],
    plan: _Plan,
    where: str,
    found: dict[int, object],
    unread: list[str],
) -> None:
    """Puts what stands under known names into ``found``, and into ``unread`` where other whole numbers are.

    A new count must not vanish unseen.
    """
    for key, value in inside.items():
        step = steps.get(key)
        if step is not None and value is not None:
            for number in step.numbers:
                found[number] = value
        if isinstance(value, (int, float, str)):
            if step is not None or key in plan.known or not value or not isinstance(value, int) or value is True:
                continue
            if plan.only_counts or key.lower().endswith(_COUNT_ENDS):
                unread.append(f"{where}{key}")
        elif isinstance(value, (dict, Mapping)):
            if key not in NOT_COUNTS:
                _walk(value, step.within if step else {}, plan, f"{where}{key}.", found, unread)
            elif step is not None:
                _walk(value, step.within, plan, "", found, [])


def _look(value: object, path: Path, start: int) -> object:
    """What stands under the steps of ``path`` from ``start`` on; the counts of items of a list are added."""
    for depth in range(start, len(path)):
        step = path[depth]
        if isinstance(step, Where):
            if not isinstance(value, Sequence) or isinstance(value, str):
                return None
            fitting = [item for item in value if isinstance(item, Mapping) and item.get(step.key) in step.values]
            found = [one for item in fitting if (one := _look(item, path, depth + 1)) is not None]
            return sum(_count(one, path, "") for one in found) if found else None
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _count(value: object, path: Path, fact: str) -> Quantity:
    timed = fact.endswith("_seconds")
    if timed and isinstance(value, float) and math.isfinite(value):
        value = Decimal(str(value))
    if not isinstance(value, (int, Decimal)) or isinstance(value, bool) or (isinstance(value, Decimal) and not timed):
        raise UsageError(
            f"{value!r} is not a whole number.", where=_spelled(path), hint="Counts are integers, such as 1200."
        )
    if value < 0:
        raise UsageError(f"{value} is negative.", where=_spelled(path), hint="A call uses zero tokens or more.")
    return value


def _spelled(path: Path) -> str:
    return ".".join(step if isinstance(step, str) else "|".join(step.values) for step in path)
