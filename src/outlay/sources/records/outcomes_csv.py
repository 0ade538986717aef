"""Business outcomes from a CSV file: revenue, tickets resolved, users served, by use case and day.

No system exports this: a team writes it, from its warehouse or by hand, because unit economics divides cost by it.
*Long*: one row a measure (``date, use_case, measure, value, unit``). *Wide*: one row a day, and a column for each
measure with its unit in brackets (``revenue [USD]``, ``tickets resolved [tickets]``). Every other column is a tag.

The traps: an empty cell is unknown, and no row; 0 is a figure. Two rows of the same day, use case, measure, unit and
tags are one too many: a column that tells them apart is missing, and adding or choosing would be a guess, so the first
is kept and the others are problems. Amounts of different units are never added.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Literal

from outlay.ledger.tables.outcomes import OUTCOMES
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact, Value
from outlay.sources.reader import Format
from outlay.sources.records.cells import fold, instant, number, text

__all__ = ["OutcomesReader"]

_KEYS = {"date", "use_case"}
_LONG = {"measure", "value", "unit"}
_MEASURE = re.compile(r"(?P<measure>[^\[\]]*[^\[\]\s])\s*\[\s*(?P<unit>[^\[\]]*[^\[\]\s])\s*\]")
_Row = Mapping[str, str | None]


class OutcomesReader:
    """Reads both forms; the columns say which it is."""

    format = Format(
        "outcomes",
        "Business outcomes (CSV): a measure by use case and day",
        "A CSV with date, use_case, measure, value and unit; or date, use_case and columns like `revenue [USD]`.",
    )
    table = OUTCOMES
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """A date, a use case, and either the three columns of the long form or a column with a unit in brackets."""
        if file.kind != "csv":
            return False
        names = {fold(name) for name in file.header}
        if not names >= _KEYS:
            return False
        return names >= _LONG or (not names & {"measure", "value"} and bool(_measures(file.header)))

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """A row a figure; in the wide form several of one line."""
        names = {fold(name): name for name in reversed(file.header)}
        measures = {} if set(names) >= _LONG else _measures(file.header)
        own = {names[key] for key in (_KEYS if measures else _KEYS | _LONG)} | set(measures)
        seen: set[str] = set()
        for found in file.records():
            if isinstance(found, Problem):
                yield found
                continue
            line, row = found
            tags = {name: tag for name in row if name and name not in own and (tag := text(row, name))}
            try:
                day, use_case = _day(row, names["date"]), _needed(row, names["use_case"], "use_case")
                figures = _wide(row, measures) if measures else _long(row, names)
            except Unusable as error:
                yield error.problem(file, line)
                continue
            for figure in figures:
                yield (
                    figure.problem(file, line)
                    if isinstance(figure, Unusable)
                    else _fact(file, line, (day, use_case, *figure), tags, seen)
                )


def _fact(
    file: FactFile, line: int, row: tuple[datetime, str, str, Decimal, str], tags: Mapping[str, str], seen: set[str]
) -> Fact | Problem:
    day, use_case, measure, value, unit = row
    parts = (f"{day:%Y-%m-%d}", use_case, measure, unit, *(f"{key}={tags[key]}" for key in sorted(tags)))
    identity = "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
    if identity in seen:
        message = f"{measure} [{unit}] of {use_case} on {day:%Y-%m-%d} is in the file already"
        return file.problem(line, "repeated-record", message)
    seen.add(identity)
    values: dict[str, Value] = {
        "date": day,
        "x_UseCase": use_case,
        "x_Measure": measure,
        "x_Value": value,
        "x_Unit": unit,
    }
    return Fact(identity, line, values, dict(tags))


def _measures(header: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Columns of the wide form that are measures: name to measure and unit."""
    found = {name: _MEASURE.fullmatch(name.strip()) for name in header}
    return {name: (match["measure"].strip(), match["unit"]) for name, match in found.items() if match}


def _long(row: _Row, names: Mapping[str, str]) -> list[tuple[str, Decimal, str]]:
    value = number(row, names["value"], signed=True)
    if value is None:
        raise Unusable("missing-amount", "the row has no value; leave the row out where it is not known")
    return [(_needed(row, names["measure"], "measure"), value, _needed(row, names["unit"], "unit"))]


def _wide(row: _Row, measures: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, Decimal, str] | Unusable]:
    for name, (measure, unit) in measures.items():
        try:
            value = number(row, name, signed=True)
        except Unusable as error:
            yield error
            continue
        if value is not None:
            yield measure, value, unit


def _day(row: _Row, name: str) -> datetime:
    """A day: an hour has no place here, and which day it belongs to would be a guess."""
    found = instant(row, name)
    if found is None:
        raise Unusable("missing-time", "the row has no date")
    if found.time() != time(0):
        raise Unusable("unparsable-time", f"{row[name]!r} is no day: write it as 2026-10-01")
    return found


def _needed(row: _Row, name: str, column: str) -> str:
    found = text(row, name)
    if found is None:
        raise Unusable("unusable-record", f"{column} is empty")
    return found
