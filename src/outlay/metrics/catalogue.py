"""The catalogue: every metric and dimension by its id, read from ``definitions/``.

A metric is one aggregate (a sum or a count over the bill rows that satisfy conditions) or a ratio of two. Ratios
are divided after aggregation: the average of ratios weighs a one-token day like a billion-token day, so it is
nobody's unit cost. Definitions are data in a form too small to hold anything but columns, constants and these few
conditions; no text of them reaches SQL unparsed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from outlay.errors import UsageError, nearest
from outlay.ledger.tables.costs import columns, tag_column

__all__ = [
    "MONEY_COLUMNS",
    "Aggregate",
    "Catalogue",
    "Condition",
    "Conditions",
    "Dimension",
    "Metric",
    "catalogue",
]

MONEY_COLUMNS = frozenset({"BilledCost", "EffectiveCost", "ListCost", "ContractedCost"})
"""Columns in BillingCurrency. A metric that sums one of them is answered per currency."""

_RESERVED = {"why"}  # the answer's own column
_UNTAGGED = "untagged"
_NONE = "(none)"
_TAG = "{tag}"
_METRIC_KEYS = {
    "id", "name", "unit", "formula", "source", "numerator", "denominator", "scale", "complement", "for_each_tag",
}  # fmt: skip
_DIMENSION_KEYS = {"id", "name", "meaning", "columns", "period", "missing"}
_AGGREGATE_KEYS = {"sum", "count", "where", "expected"}


@dataclass(frozen=True, slots=True)
class Condition:
    """What one column must be. ``not`` holds for an empty column too."""

    column: str
    test: Literal["is", "not", "present", "absent"]
    values: tuple[str | bool, ...] = ()


Conditions = tuple[tuple[Condition, ...], ...]
"""Any of these, each of which is all of those. Empty: every row."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The sum of ``column`` over the rows of ``where``; the number of those rows if ``column`` is None.

    Rows of ``expected`` (by default those of ``where``) whose column is empty are counted as left out.
    """

    column: str | None
    where: Conditions = ()
    expected: Conditions | None = None

    def columns(self) -> set[str]:
        """All columns it reads."""
        read = {one.column for branch in self.where + (self.expected or ()) for one in branch}
        return read | ({self.column} if self.column else set())


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure: a numerator and, for a ratio, a denominator; ``formula`` says it in words."""

    id: str
    name: str
    unit: str
    formula: str
    source: str
    numerator: Aggregate
    denominator: Aggregate | None = None
    scale: int = 1
    complement: bool = False

    @property
    def is_money(self) -> bool:
        """Whether money is in it, even where it cancels out: a share of cost can't mix currencies either."""
        return bool(self.columns() & MONEY_COLUMNS)

    def columns(self) -> set[str]:
        """All columns it reads."""
        return self.numerator.columns() | (self.denominator.columns() if self.denominator else set())


@dataclass(frozen=True, slots=True)
class Dimension:
    """One way to group and filter: the first of ``columns`` that is set, or the ``period`` of a date column."""

    id: str
    name: str
    meaning: str
    columns: tuple[str, ...]
    period: Literal["day", "week", "month"] | None = None
    missing: str = _NONE


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that can be asked for, given the configured tags."""

    tags: tuple[str, ...]
    metrics: Mapping[str, Metric]
    dimensions: Mapping[str, Dimension]
    unavailable: Mapping[str, str]

    def metric(self, name: str) -> Metric:
        """The metric called ``name``; :class:`UsageError` with the nearest names otherwise."""
        if name in self.metrics:
            return self.metrics[name]
        if name in self.unavailable:
            raise UsageError(
                f"the metric '{name}' needs the tag '{self.unavailable[name]}'.",
                hint="Add it to [tags] required in outlay.toml.",
            )
        raise UsageError(f"there is no metric '{name}'.", hint=nearest(name, self.metrics))

    def dimension(self, name: str) -> Dimension:
        """The dimension called ``name``; :class:`UsageError` with the nearest names otherwise."""
        if name not in self.dimensions:
            raise UsageError(f"there is no dimension '{name}'.", hint=nearest(name, self.dimensions))
        return self.dimensions[name]


@cache
def catalogue(tags: tuple[str, ...]) -> Catalogue:
    """The catalogue for the configured allocation ``tags``."""
    known = {column.name for column in columns(tags)}
    metrics: dict[str, Metric] = {}
    unavailable: dict[str, str] = {}
    for entry in _definitions("metrics"):
        for tag in tags if entry.get("for_each_tag") else ("",):
            metric = _metric(_fill(entry, tag))
            lacking = sorted(metric.columns() - known)
            if lacking:
                if not lacking[0].startswith(tag_column("")):
                    raise ValueError(f"metrics.toml: {metric.id} reads '{lacking[0]}', which is no column of costs")
                unavailable[metric.id] = lacking[0].removeprefix(tag_column(""))
            else:
                metrics[metric.id] = metric
    return Catalogue(tags, metrics, _dimensions(tags, known, set(metrics) | _RESERVED), unavailable)


def _dimensions(tags: Sequence[str], known: set[str], taken: set[str]) -> dict[str, Dimension]:
    found: dict[str, Dimension] = {}
    for entry in _definitions("dimensions"):
        _only(entry, _DIMENSION_KEYS, "dimensions.toml")
        present = tuple(name for name in entry["columns"] if name in known)
        absent = [name for name in entry["columns"] if name not in known and not name.startswith(tag_column(""))]
        if absent:
            raise ValueError(f"dimensions.toml: {entry['id']} reads '{absent[0]}', which is no column of costs")
        found[entry["id"]] = Dimension(
            entry["id"], entry["name"], entry["meaning"], present, entry.get("period"), entry.get("missing", _NONE)
        )
    for tag in tags:
        name = f"tag_{tag}" if tag in found or tag in taken else tag
        found[name] = Dimension(name, f"Tag '{tag}'", f"allocation tag '{tag}'", (tag_column(tag),), None, _UNTAGGED)
    return found


def _definitions(name: str) -> list[dict[str, Any]]:
    text = resources.files(__package__).joinpath(f"definitions/{name}.toml").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = tomllib.loads(text)[name]
    return entries


def _fill(value: Any, tag: str) -> Any:  # noqa: ANN401 - any value that TOML can hold
    """``value`` with ``{tag}`` filled in, in keys too."""
    if isinstance(value, dict):
        return {key.replace(_TAG, tag): _fill(inner, tag) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, tag) for inner in value]
    return value.replace(_TAG, tag) if isinstance(value, str) else value


def _metric(entry: dict[str, Any]) -> Metric:
    _only(entry, _METRIC_KEYS, "metrics.toml")
    denominator = entry.get("denominator")
    return Metric(
        entry["id"], entry["name"], entry["unit"], entry["formula"], entry["source"],
        _aggregate(entry["numerator"]), _aggregate(denominator) if denominator else None,
        entry.get("scale", 1), entry.get("complement", False),
    )  # fmt: skip


def _aggregate(entry: dict[str, Any]) -> Aggregate:
    _only(entry, _AGGREGATE_KEYS, "metrics.toml")
    if ("sum" in entry) == ("count" in entry):
        raise ValueError(f"metrics.toml: an aggregate has either sum or count: {entry}")
    expected = _conditions(entry["expected"]) if "expected" in entry else None
    return Aggregate(entry.get("sum"), _conditions(entry.get("where", [])), expected)


def _conditions(entry: dict[str, Any] | list[dict[str, Any]]) -> Conditions:
    branches = entry if isinstance(entry, list) else [entry]
    return tuple(tuple(_condition(column, wanted) for column, wanted in branch.items()) for branch in branches)


def _condition(column: str, wanted: Any) -> Condition:  # noqa: ANN401 - any value that TOML can hold
    if isinstance(wanted, dict):
        if set(wanted) == {"present"}:
            return Condition(column, "present" if wanted["present"] else "absent")
        _only(wanted, {"not"}, "metrics.toml")
        return Condition(column, "not", (wanted["not"],))
    return Condition(column, "is", tuple(wanted) if isinstance(wanted, list) else (wanted,))


def _only(entry: Mapping[str, object], allowed: set[str], file: str) -> None:
    for key in entry:
        if key not in allowed:
            raise ValueError(f"{file}: unknown key '{key}'. {nearest(key, allowed)}")
