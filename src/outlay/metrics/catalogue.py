"""The catalogue: every metric and dimension by its id, read from ``definitions/``.

A metric is one aggregate (a sum or a count over the rows of a relation that satisfy conditions), a ratio of two, or
one metric over another, whose relations may differ: what was paid over what it bought. Ratios are divided after
aggregation: the average of ratios weighs a one-token day like a billion-token day, so it is nobody's unit cost.
Definitions are data in a form too small to hold anything but columns, constants and these few conditions; no text of
them reaches SQL unparsed.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

from outlay.config import Settings
from outlay.errors import ConfigError, UsageError, nearest
from outlay.ledger.tables.table import tag_column
from outlay.metrics.own import ALWAYS_APART, check_names, check_types
from outlay.metrics.relations import COSTS, RELATIONS

__all__ = [
    "Aggregate",
    "Catalogue",
    "Condition",
    "Conditions",
    "Dimension",
    "Metric",
    "Quotient",
    "catalogue",
    "catalogue_of",
]

_RESERVED = {"why"}  # the answer's own column
_UNTAGGED = "untagged"
_NONE = "(none)"
_TAG = "{tag}"
_METRIC_KEYS = {
    "id", "name", "unit", "formula", "source", "table", "apart", "numerator", "denominator", "scale", "complement",
    "for_each_tag",
}  # fmt: skip
_DIMENSION_KEYS = {"id", "name", "meaning", "columns", "period", "missing", *RELATIONS} - {COSTS}
_KINDS = ("sum", "count", "distinct", "quantile")
_AGGREGATE_KEYS = {*_KINDS, "of", "or", "where", "expected"}


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
    """One figure over the rows of ``where``.

    ``sum`` adds up ``over`` (of several columns their sum, or with ``first`` the first that is set), ``count`` counts
    the rows, ``distinct`` the values of ``over``, ``quantile`` is the ``level`` quantile of ``over``, interpolated.
    Rows of ``expected`` (by default those of ``where``) whose column is empty are counted as left out.
    """

    kind: Literal["sum", "count", "distinct", "quantile"]
    over: tuple[str, ...] = ()
    where: Conditions = ()
    expected: Conditions | None = None
    level: float = 0.0
    first: bool = False

    @property
    def column(self) -> str | None:
        """The column it is over, the first of several; None for a count of rows."""
        return self.over[0] if self.over else None

    def columns(self) -> set[str]:
        """All columns it reads."""
        read = {one.column for branch in self.where + (self.expected or ()) for one in branch}
        return read | set(self.over)


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of one relation: a numerator and, for a ratio, a denominator; ``formula`` says it in words.

    ``apart`` are dimensions that it is always told by, because adding over them means nothing (a utilisation by two
    telemetry metrics).
    """

    id: str
    name: str
    unit: str
    formula: str
    source: str
    numerator: Aggregate
    denominator: Aggregate | None = None
    scale: int = 1
    complement: bool = False
    table: str = COSTS
    apart: tuple[str, ...] = ()

    @property
    def is_money(self) -> bool:
        """Whether money is in it, even where it cancels out: a share of cost can't mix currencies either."""
        return bool(self.columns() & RELATIONS[self.table].money)

    @property
    def needs(self) -> tuple[str, ...]:
        """The metrics that it is made of: itself."""
        return (self.id,)

    @property
    def is_ratio(self) -> bool:
        """Whether it keeps a numerator and a denominator."""
        return self.denominator is not None

    def columns(self) -> set[str]:
        """All columns it reads."""
        return self.numerator.columns() | (self.denominator.columns() if self.denominator else set())


@dataclass(frozen=True, slots=True)
class Quotient:
    """One metric over another, of whatever tables: what was paid over what it bought."""

    id: str
    name: str
    unit: str
    formula: str
    source: str
    over: str
    under: str
    scale: int = 1
    is_ratio: bool = True
    complement: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The metrics that it is made of."""
        return (self.over, self.under)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One way to group and filter.

    ``on`` has, for each relation, the columns of which the first that is set is the value, or the column of which it
    is the ``period``.
    """

    id: str
    name: str
    meaning: str
    on: Mapping[str, tuple[str, ...]]
    period: Literal["day", "week", "month"] | None = None
    missing: str = _NONE


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that can be asked for, given the configured tags and ``own``, the user's metrics as JSON."""

    tags: tuple[str, ...]
    own: str
    metrics: Mapping[str, Metric | Quotient]
    dimensions: Mapping[str, Dimension]
    unavailable: Mapping[str, str]

    def metric(self, name: str) -> Metric | Quotient:
        """The metric called ``name``; :class:`UsageError` with the nearest names otherwise."""
        if name in self.metrics:
            return self.metrics[name]
        if name in self.unavailable:
            raise UsageError(
                f"the metric '{name}' needs the tag '{self.unavailable[name]}'.",
                hint="Add it to [tags] required in outlay.toml.",
            )
        raise UsageError(f"there is no metric '{name}'.", hint=nearest(name, self.metrics))

    def base(self, name: str) -> Metric:
        """A metric of one relation."""
        found = self.metric(name)
        if not isinstance(found, Metric):
            raise ValueError(f"metrics.toml: {name} is a quotient, and quotients are of metrics of one table")
        return found

    def dimension(self, name: str) -> Dimension:
        """The dimension called ``name``; :class:`UsageError` with the nearest names otherwise."""
        if name not in self.dimensions:
            raise UsageError(f"there is no dimension '{name}'.", hint=nearest(name, self.dimensions))
        return self.dimensions[name]


def catalogue_of(settings: Settings) -> Catalogue:
    """The catalogue for settings. Raises :class:`ConfigError` for a metric of theirs that can't be one."""
    return catalogue(tuple(settings.tags.required), json.dumps(settings.metrics, sort_keys=True))


@cache
def catalogue(tags: tuple[str, ...], own: str = "[]") -> Catalogue:
    """The catalogue for the configured allocation ``tags`` and the user's metrics, a JSON list of definitions."""
    types = {name: relation.columns(tags) for name, relation in RELATIONS.items()}
    known = {name: set(columns) for name, columns in types.items()}
    metrics: dict[str, Metric | Quotient] = {}
    unavailable: dict[str, str] = {}
    for entry in _definitions("metrics"):
        for tag in tags if entry.get("for_each_tag") else ("",):
            metric = _metric(_fill(entry, tag))
            lacking = sorted(metric.columns() - known[metric.table]) if isinstance(metric, Metric) else []
            if lacking and isinstance(metric, Metric):
                if not lacking[0].startswith(tag_column("")):
                    raise ValueError(f"metrics.toml: {metric.id} reads '{lacking[0]}', no column of {metric.table}")
                unavailable[metric.id] = lacking[0].removeprefix(tag_column(""))
            else:
                metrics[metric.id] = metric
    for entry in json.loads(own):
        metric = _own_metric(entry, metrics, types)
        metrics[metric.id] = metric
    found = Catalogue(tags, own, metrics, _dimensions(tags, known, set(metrics) | _RESERVED), unavailable)
    for metric in metrics.values():
        for name in metric.needs:
            found.base(name)
        for name in metric.apart if isinstance(metric, Metric) else ():
            if isinstance(metric, Metric) and metric.table not in found.dimension(name).on:
                raise ConfigError(f"'{metric.table}' does not tell '{name}'.", where=f"[[metrics]] {metric.id} apart")
    return found


def _own_metric(
    entry: dict[str, Any], taken: Mapping[str, Metric | Quotient], types: Mapping[str, Mapping[str, str]]
) -> Metric | Quotient:
    """A metric of outlay.toml. What is wrong with it is the user's to mend, and said so."""
    where = f"[[metrics]] {entry.get('id', '(no id)')}"
    missing = [key for key in ("id", "name", "unit", "formula", "numerator") if key not in entry]
    if missing:
        raise ConfigError(f"has no '{missing[0]}'.", where=where, hint="docs/reference/metrics.md has an example.")
    if entry["id"] in taken:
        raise ConfigError("is the id of a metric that there is already.", where=where, hint="Give it another id.")
    try:
        check_names(entry, _names_of_dimensions() | _RESERVED)
        for key in ("numerator", "denominator"):
            if key in entry and not isinstance(entry["numerator"], str) and entry.get("table", COSTS) in types:
                check_types(entry[key], types[entry.get("table", COSTS)])
        metric = _told_apart(_metric({"source": "outlay.toml", **entry}))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        text = str(error).removeprefix("metrics.toml: ")
        raise ConfigError(
            f"can't be read: {text}.", where=where, hint="docs/reference/metrics.md has an example."
        ) from None
    if isinstance(metric, Quotient):
        wrong = [name for name in metric.needs if not isinstance(taken.get(name), Metric)]
        if wrong:
            raise ConfigError(
                f"is over '{wrong[0]}', which is no metric of one table.", where=where, hint=nearest(wrong[0], taken)
            )
        return metric
    lacking = sorted(metric.columns() - set(types[metric.table]))
    if lacking:
        raise ConfigError(
            f"reads '{lacking[0]}', which is no column of {metric.table}.",
            where=where,
            hint=nearest(lacking[0], types[metric.table]),
        )
    return metric


def _told_apart(metric: Metric | Quotient) -> Metric | Quotient:
    if isinstance(metric, Quotient):
        return metric
    apart = [name for column, names in ALWAYS_APART.items() if column in metric.columns() for name in names]
    return replace(metric, apart=tuple(dict.fromkeys([*metric.apart, *apart])))


@cache
def _names_of_dimensions() -> set[str]:
    return {entry["id"] for entry in _definitions("dimensions")}


def _dimensions(tags: Sequence[str], known: Mapping[str, set[str]], taken: set[str]) -> dict[str, Dimension]:
    found: dict[str, Dimension] = {}
    for entry in _definitions("dimensions"):
        _only(entry, _DIMENSION_KEYS, "dimensions.toml")
        period = entry.get("period")
        on = {name: tuple(entry[name]) for name in RELATIONS if name in entry}
        if "columns" in entry:
            on[COSTS] = tuple(entry["columns"])
        for name, relation in RELATIONS.items():
            if period is not None:
                on.setdefault(name, (relation.time,))
        present: dict[str, tuple[str, ...]] = {}
        for name, listed in on.items():
            absent = [one for one in listed if one not in known[name] and not one.startswith(tag_column(""))]
            if absent:
                raise ValueError(f"dimensions.toml: {entry['id']} reads '{absent[0]}', no column of {name}")
            if kept := tuple(one for one in listed if one in known[name]):
                present[name] = kept
        found[entry["id"]] = Dimension(
            entry["id"], entry["name"], entry["meaning"], present, period, entry.get("missing", _NONE)
        )
    for tag in tags:
        name = f"tag_{tag}" if tag in found or tag in taken else tag
        on = {one.name: (one.own_tags.get(tag, tag_column(tag)),) for one in RELATIONS.values()}
        found[name] = Dimension(name, f"Tag '{tag}'", f"allocation tag '{tag}'", on, None, _UNTAGGED)
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


def _metric(entry: dict[str, Any]) -> Metric | Quotient:
    _only(entry, _METRIC_KEYS, "metrics.toml")
    said = (entry["id"], entry["name"], entry["unit"], entry["formula"], entry["source"])
    numerator, denominator = entry["numerator"], entry.get("denominator")
    if isinstance(numerator, str):
        if not isinstance(denominator, str):
            raise ValueError(f"metrics.toml: {entry['id']} is a metric over something else")
        return Quotient(*said, numerator, denominator, entry.get("scale", 1), complement=entry.get("complement", False))
    table = entry.get("table", COSTS)
    if table not in RELATIONS:
        raise ValueError(f"metrics.toml: {entry['id']} is of '{table}'. {nearest(table, RELATIONS)}")
    return Metric(
        *said,
        _aggregate(numerator),
        _aggregate(denominator) if denominator else None,
        entry.get("scale", 1),
        entry.get("complement", False),
        table,
        tuple(entry.get("apart", ())),
    )


def _aggregate(entry: dict[str, Any]) -> Aggregate:
    _only(entry, _AGGREGATE_KEYS, "metrics.toml")
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1:
        raise ValueError(f"metrics.toml: an aggregate is one of {', '.join(_KINDS)}: {entry}")
    kind = kinds[0]
    expected = _conditions(entry["expected"]) if "expected" in entry else None
    where = _conditions(entry.get("where", []))
    if kind == "count":
        return Aggregate("count", (), where, expected)
    if kind == "quantile":
        return Aggregate("quantile", (entry["of"],), where, expected, entry["quantile"])
    if "or" in entry:
        return Aggregate("sum", (entry["sum"], entry["or"]), where, expected, first=True)
    over = entry[kind]
    columns = (over,) if isinstance(over, str) else tuple(over)
    return Aggregate("sum" if kind == "sum" else "distinct", columns, where, expected)


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
