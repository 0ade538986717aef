"""What a user's metric may say: checked before it is read, so that what can't be answered is refused and says why.

A definition that is ignored in part is worse than one that is refused: ``scale`` on a sum, a count of a column, a sum
over amounts in several currencies would all give a figure, and a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["ALWAYS_APART", "check_names", "check_types"]

ALWAYS_APART = {
    "x_ReportedCost": ("reported_currency",),
    "x_RouteSaved": ("reported_currency",),
    "x_CacheSaved": ("reported_currency",),
    "x_Value": ("measure", "outcome_unit"),
    "x_ActiveHours": ("utilization_metric",),
}
"""Columns that mean nothing added up over these dimensions: what sums one is always told by them."""

_ID = re.compile(r"[a-z][a-z0-9_]*")
_SUFFIXES = ("_numerator", "_denominator", "_previous", "_delta", "_with", "_without")
_NUMBERS = ("DECIMAL", "BIGINT", "DOUBLE", "INTEGER")


def check_names(entry: Mapping[str, Any], taken: set[str]) -> None:
    """Raise ValueError for texts that are none, and an id that no column of an answer could have."""
    for key in ("id", "name", "unit", "formula", "source", "table"):
        value = entry.get(key, "-")
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"'{key}' is no text")
    if not _ID.fullmatch(entry["id"]) or entry["id"].endswith(_SUFFIXES):
        raise ValueError(f"the id is not of a-z, 0-9 and _, or ends in one of {', '.join(_SUFFIXES)}")
    if entry["id"] in taken:
        raise ValueError("a dimension or a column of the answer has that name")
    scale = entry.get("scale", 1)
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
        raise ValueError("'scale' is no whole number of 1 or more")
    if not isinstance(entry.get("complement", False), bool):
        raise ValueError("'complement' is neither true nor false")
    if "for_each_tag" in entry:
        raise ValueError("'for_each_tag' is for the metrics that Outlay brings")
    if not entry.get("denominator") and ("denominator" in entry or "scale" in entry or "complement" in entry):
        raise ValueError("'scale' and 'complement' are of a ratio, and there is no denominator")
    if isinstance(entry["numerator"], str) and "apart" in entry:
        raise ValueError("'apart' is of a metric of one table")
    apart = entry.get("apart", [])
    if not isinstance(apart, list) or not all(isinstance(name, str) for name in apart):
        raise ValueError("'apart' is no list of dimensions")


def check_types(aggregate: Mapping[str, Any], columns: Mapping[str, str]) -> None:
    """Raise ValueError for an aggregate that its columns (SQL type by name) can't give."""
    if not isinstance(aggregate, dict):
        raise ValueError(f"{aggregate!r} is no aggregate, such as {{ sum = COLUMN }}")
    if "count" in aggregate and aggregate["count"] != "rows":
        raise ValueError('a count is { count = "rows" }; conditions say which rows')
    if "quantile" in aggregate:
        level = aggregate["quantile"]
        if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 <= level <= 1:
            raise ValueError("a quantile is a number from 0 to 1")
    listed = aggregate.get("sum", [])
    added = [*(listed if isinstance(listed, list) else [listed]), *([aggregate["or"]] if "or" in aggregate else [])]
    if "sum" in aggregate and (not added or not all(isinstance(name, str) for name in added)):
        raise ValueError("a sum is of a column or a list of columns")
    for key in ("of", "distinct"):
        if key in aggregate and not isinstance(aggregate[key], str):
            raise ValueError(f"'{key}' is no column")
    for name in (*added, *([aggregate["of"]] if "of" in aggregate else [])):
        if name in columns and not columns[name].startswith(_NUMBERS):
            raise ValueError(f"'{name}' is no number")
    _check_conditions(aggregate, columns)


def _check_conditions(aggregate: Mapping[str, Any], columns: Mapping[str, str]) -> None:
    for key in ("where", "expected"):
        branches = aggregate.get(key, {"-": True})
        for branch in branches if isinstance(branches, list) else [branches]:
            if not isinstance(branch, dict) or not branch:
                raise ValueError(f"'{key}' is no table of conditions")
            for name, wanted in branch.items():
                _check_condition(name, wanted, columns.get(name))


def _check_condition(name: str, wanted: Any, sql_type: str | None) -> None:  # noqa: ANN401 - any value that TOML can hold
    if isinstance(wanted, dict):
        if set(wanted) == {"present"} and isinstance(wanted["present"], bool):
            return
        if set(wanted) != {"not"} or isinstance(wanted["not"], dict):
            raise ValueError(f"the condition on '{name}' is no value, list, {{ not = value }} or {{ present = true }}")
        wanted = wanted["not"]
    values = wanted if isinstance(wanted, list) else [wanted]
    if not values:
        raise ValueError(f"the condition on '{name}' has no value")
    if sql_type is None:
        return
    for value in values:
        if sql_type.startswith(_NUMBERS):
            fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        else:
            fits = isinstance(value, {"BOOLEAN": bool, "VARCHAR": str}.get(sql_type, ()))
        if not fits:
            raise ValueError(f"'{name}' is {sql_type}, and {value!r} can't be compared with it")
