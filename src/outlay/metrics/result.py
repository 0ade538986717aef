"""An answer and its receipt.

A figure nobody can check is an opinion. So each answer says what was computed, from which rows of whose bills, how
fresh they are, what was left out and why, and the SQL that gives the same numbers again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import Any, Literal

from outlay.metrics.allocated import Allocated
from outlay.metrics.catalogue import Dimension, Metric, Quotient
from outlay.metrics.told_twice import ToldTwice
from outlay.money import MONEY_SCALE, plain
from outlay.periods import Period

__all__ = [
    "Figure",
    "Freshness",
    "LeftOut",
    "Load",
    "PartReceipt",
    "Prices",
    "Receipt",
    "Result",
    "ResultColumn",
    "Row",
    "columns_of_answer",
    "divided",
]

Role = Literal["dimension", "metric", "numerator", "denominator", "previous", "delta", "why"]

_DIVISION = Context(prec=80)
_QUANTUM = Decimal(1).scaleb(-MONEY_SCALE)


def divided(metric: Metric | Quotient, numerator: Decimal, denominator: Decimal) -> Decimal:
    """The ratio of two exact sums, rounded half to even at 18 decimals. ``denominator`` is not 0."""
    ratio = _DIVISION.divide(_DIVISION.multiply(numerator, Decimal(metric.scale)), denominator)
    return (1 - ratio if metric.complement else ratio).quantize(_QUANTUM, ROUND_HALF_EVEN, _DIVISION)


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one row.

    ``value`` is None with a ``why`` when it can't be computed. Ratios keep both their sums.
    """

    value: Decimal | None
    why: str | None = None
    numerator: Decimal | None = None
    denominator: Decimal | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether it is 0, or a ratio of 0 to 0. An unknown sum is not nothing."""
        return self.value == 0 or (self.value is None and self.numerator == 0 and self.denominator == 0)


@dataclass(frozen=True, slots=True)
class Row:
    """One group: its dimension values (None where missing) and its figures, now and in the window before."""

    dimensions: Mapping[str, str | None]
    figures: Mapping[str, Figure]
    previous: Mapping[str, Figure] | None = None

    def delta(self, metric: str) -> Decimal | None:
        """This window's value less the previous one's; None if either is unknown."""
        if self.previous is None:
            return None
        now, before = self.figures[metric].value, self.previous[metric].value
        return None if now is None or before is None else _DIVISION.subtract(now, before)

    @property
    def is_nothing(self) -> bool:
        """Whether every figure is 0, or a ratio of 0 to 0, in this window and the one before."""
        return all(figure.is_nothing for figure in (*self.figures.values(), *(self.previous or {}).values()))


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of the answer: its key in JSON rows, what it holds, and its unit if it is a figure."""

    name: str
    role: Role
    title: str
    unit: str | None = None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows (or groups, for ``limit``) that are not in the figures, and why."""

    reason: Literal["missing-measure", "quarantine", "limit"]
    count: int
    message: str
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """A load that rows of the answer came from: its id, the ledger version it made, when (naive UTC), and its files."""

    id: str
    version: int
    at: datetime
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Freshness:
    """First start, last end (not of purchases: theirs is a term's end), and latest load."""

    oldest_charge: datetime | None
    newest_charge: datetime | None
    loaded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Prices:
    """Which price lists the rows of an answer were priced by, and how many rows no price is known or certain for."""

    versions: tuple[str, ...]
    unpriced: int
    estimated: int


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """Where the figures of one relation came from.

    ``tables`` are the ledger's tables that it rests on, with their versions. ``view`` is the SQL that makes the
    relation what it was, for running ``sql`` by hand.
    """

    relation: str
    tables: tuple[tuple[Path, int], ...]
    rows: int
    sources: tuple[str, ...]
    loads: tuple[Load, ...]
    freshness: Freshness
    sql: str
    view: str
    prices: Prices | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an answer came from: a part for each relation that its metrics read.

    ``notes`` begin with those of ``told_twice``.
    """

    metrics: tuple[Metric | Quotient, ...]
    parts: tuple[PartReceipt, ...]
    window: tuple[datetime | None, datetime | None]
    previous: Period | None
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    allocations: tuple[Allocated, ...] = ()
    told_twice: tuple[ToldTwice, ...] = ()

    @property
    def other_notes(self) -> tuple[str, ...]:
        """The notes that are not about what is told twice, which a terminal shows first."""
        return self.notes[len(self.told_twice) :]

    @property
    def formula(self) -> str:
        """The formula in words; of several metrics, each with its id."""
        if len(self.metrics) == 1:
            return self.metrics[0].formula
        return "; ".join(f"{metric.id}: {metric.formula}" for metric in self.metrics)

    @property
    def rows(self) -> int:
        """Rows in the window and filters, of all relations: two parts of one relation read the same rows."""
        return sum({part.relation: part.rows for part in self.parts}.values())

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of all parts."""
        return tuple(sorted({source for part in self.parts for source in part.sources}))

    @property
    def loads(self) -> tuple[Load, ...]:
        """Loads of all relations."""
        by_relation = {part.relation: part.loads for part in self.parts}
        return tuple(load for loads in by_relation.values() for load in loads)

    @property
    def freshness(self) -> Freshness:
        """Of all parts: the oldest start, the newest end, the latest load."""
        found = [part.freshness for part in self.parts]
        return Freshness(
            min((one.oldest_charge for one in found if one.oldest_charge), default=None),
            max((one.newest_charge for one in found if one.newest_charge), default=None),
            max((one.loaded_at for one in found if one.loaded_at), default=None),
        )

    @property
    def version(self) -> int | None:
        """The version of the first table."""
        tables = [table for part in self.parts for table in part.tables]
        return tables[0][1] if tables else None

    @property
    def sql(self) -> str:
        """The SQL of the parts, one statement each."""
        return ";\n\n".join(part.sql for part in self.parts)

    def to_json(self, *, with_view: bool = False) -> dict[str, Any]:
        """As the contract has it. ``with_view`` adds the SQL of the views, which names every file."""
        return {
            "formula": self.formula,
            "metrics": [
                {"id": m.id, "name": m.name, "unit": m.unit, "formula": m.formula, "source": m.source}
                for m in self.metrics
            ],
            "tables": [
                {
                    "table": path.name,
                    "path": str(path),
                    "version": version,
                    "relation": part.relation,
                    "rows": part.rows,
                    **({"view": part.view} if with_view else {}),
                }
                for part in self.parts
                for path, version in part.tables
            ],
            "rows": self.rows,
            "since": _moment(self.window[0]),
            "until": _moment(self.window[1]),
            "previous": None
            if self.previous is None
            else {"since": _moment(self.previous.since), "until": _moment(self.previous.until)},
            "sources": list(self.sources),
            "loads": [
                {"load_id": one.id, "version": one.version, "at": _moment(one.at), "files": list(one.files)}
                for one in self.loads
            ],
            "prices": self._prices(),
            "freshness": {
                "oldest_charge": _moment(self.freshness.oldest_charge),
                "newest_charge": _moment(self.freshness.newest_charge),
                "loaded_at": _moment(self.freshness.loaded_at),
                "why": None if self.rows else "no rows were selected",
            },
            "left_out": [
                {"reason": one.reason, "count": one.count, "metric": one.metric, "message": one.message}
                for one in self.left_out
            ],
            "notes": list(self.notes),
            "told_twice": [one.to_json() for one in self.told_twice],
            "allocations": [one.to_json() for one in self.allocations],
            "sql": self.sql,
            "version": self.version,
        }

    def _prices(self) -> dict[str, Any]:
        used = [part.prices for part in self.parts if part.prices is not None]
        if not used:
            return {"version": None, "why": "the amounts are the bills' own; no price book was used"}
        versions = sorted({version for one in used for version in one.versions})
        return {
            "version": "; ".join(versions) or None,
            "versions": versions,
            "unpriced_rows": sum(one.unpriced for one in used),
            "estimated_rows": sum(one.estimated for one in used),
            "why": None if versions else "no row is priced",
        }


@dataclass(frozen=True, slots=True)
class Result:
    """Columns, rows and the receipt. ``asked`` are the dimensions of the question; the answer may have one more."""

    columns: tuple[ResultColumn, ...]
    rows: tuple[Row, ...]
    receipt: Receipt
    asked: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the contract has it: each row an object by column name, amounts as exact strings."""
        return {
            "columns": [{"name": c.name, "role": c.role, "title": c.title, "unit": c.unit} for c in self.columns],
            "rows": [self._row(row) for row in self.rows],
            "receipt": self.receipt.to_json(),
        }

    def _row(self, row: Row) -> dict[str, Any]:
        said: dict[str, Any] = dict(row.dimensions)
        why: dict[str, str | None] = {}
        for metric in self.receipt.metrics:
            figure = row.figures[metric.id]
            said[metric.id] = _number(figure.value)
            if figure.value is None:
                why[metric.id] = figure.why
            if metric.is_ratio:
                said[f"{metric.id}_numerator"] = _number(figure.numerator)
                said[f"{metric.id}_denominator"] = _number(figure.denominator)
            if row.previous is not None:
                before = row.previous[metric.id]
                said[f"{metric.id}_previous"] = _number(before.value)
                said[f"{metric.id}_delta"] = _number(row.delta(metric.id))
                if before.value is None:
                    why[f"{metric.id}_previous"] = before.why
                if row.delta(metric.id) is None:
                    why[f"{metric.id}_delta"] = "one of the two windows has no value"
        return {**said, "why": why or None}


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat() + "Z"


def columns_of_answer(
    dimensions: Sequence[Dimension], metrics: Sequence[Metric | Quotient], *, compare: bool
) -> tuple[ResultColumn, ...]:
    """The columns of an answer, in order."""
    found = [ResultColumn(d.id, "dimension", d.name, missing=d.missing) for d in dimensions]
    for m in metrics:
        found.append(ResultColumn(m.id, "metric", m.name, m.unit))
        if m.is_ratio:
            found.append(ResultColumn(f"{m.id}_numerator", "numerator", f"{m.name}: numerator"))
            found.append(ResultColumn(f"{m.id}_denominator", "denominator", f"{m.name}: denominator"))
        if compare:
            found.append(ResultColumn(f"{m.id}_previous", "previous", f"{m.name}, previous", m.unit))
            found.append(ResultColumn(f"{m.id}_delta", "delta", f"{m.name}, change", m.unit))
    found.append(ResultColumn("why", "why", "Why a value is missing"))
    return tuple(found)
