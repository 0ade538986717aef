"""From exact sums to figures: what is known, what is not and why, and ratios divided once.

The engine only sums and counts. A sum over rows that exist but lack the column is unknown, not 0; a sum over no rows
is 0, because nothing was billed; a ratio over nothing is unknown, and so is one metric over another in a group that one
of them does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from outlay.metrics.catalogue import Aggregate, Catalogue, Metric, Quotient
from outlay.metrics.compiler import Part
from outlay.metrics.query import Query
from outlay.metrics.relations import RELATIONS
from outlay.metrics.result import Figure, divided

__all__ = ["Figures", "Group", "Key", "Sum", "aggregates_of", "asked_figures", "figures_of", "sum_of"]

_WORDS = {
    "x_Tokens": "tokens",
    "x_GpuHours": "GPU-hours",
    "x_Requests": "requests",
    "x_Succeeded": "successful requests",
    "x_Cost": "known price",
    "x_DurationSeconds": "durations",
    "x_FirstTokenSeconds": "times to the first token",
    "x_ActiveHours": "telemetry",
    "gen_ai_usage_input_tokens": "token counts",
}
Key = tuple[str | None, ...]
"""The dimension values of a group."""

Figures = Mapping[str, Figure]
"""Figures by metric."""


@dataclass(frozen=True, slots=True)
class Sum:
    """One aggregate of one group: its value, how many rows carried the column, and how many lacked it."""

    value: Decimal
    carried: int
    lacking: int


@dataclass(frozen=True, slots=True)
class Group:
    """A row of a part's answer: its dimension values, and the sums of each metric, the denominator's second.

    ``doubt`` is why some of its rows have no price where the relation tells it.
    """

    key: Key
    sums: Mapping[str, tuple[Sum, ...]]
    doubt: str | None = None


def aggregates_of(metric: Metric) -> tuple[Aggregate, ...]:
    """What a metric sums: one aggregate, or a ratio's two."""
    return (metric.numerator,) if metric.denominator is None else (metric.numerator, metric.denominator)


def sum_of(cells: Iterator[Any], aggregate: Aggregate) -> Sum:
    """An aggregate's sum from the columns that the compiler gives it."""
    value = next(cells)
    if aggregate.kind == "count":
        return Sum(Decimal(value), value, 0)
    exact = Decimal(0) if value is None else value if isinstance(value, Decimal) else Decimal(str(value))
    return Sum(exact, next(cells), next(cells))


def _known(total: Sum, aggregate: Aggregate, doubt: str | None) -> tuple[Decimal | None, str | None]:
    """The figure, or why it is unknown."""
    if aggregate.kind == "quantile" and total.carried == 0:
        return None, f"no {_WORDS.get(aggregate.column or '', aggregate.column)}: no row carries it"
    if total.carried == 0 and total.lacking > 0:
        assert aggregate.column is not None
        word = _WORDS.get(aggregate.column, aggregate.column)
        why = f"no {word}: {_rows_said(total.lacking)} should carry {aggregate.column}, and none does"
        return None, f"{why}; {doubt}" if doubt else why
    return total.value, None


def _rows_said(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def figure_of(metric: Metric, sums: Sequence[Sum], doubt: str | None = None) -> Figure:
    numerator, why = _known(sums[0], metric.numerator, doubt)
    if metric.denominator is None:
        return Figure(numerator, why)
    denominator, why_not = _known(sums[1], metric.denominator, doubt)
    word = _WORDS.get(metric.denominator.column or "", metric.denominator.column or "rows")
    return _ratio(metric, Figure(numerator, why), Figure(denominator, why_not), word)


def _ratio(metric: Metric | Quotient, numerator: Figure, denominator: Figure, word: str) -> Figure:
    if numerator.value is None or denominator.value is None:
        return Figure(None, numerator.why or denominator.why, numerator.value, denominator.value)
    if denominator.value == 0:
        why = f"nothing to divide by: the denominator, in {word}, is 0"
        return Figure(None, why, numerator.value, denominator.value)
    value = divided(metric, numerator.value, denominator.value)
    return Figure(value, None, numerator.value, denominator.value)


NOTHING = Sum(Decimal(0), 0, 0)


def figures_of(part: Part, known: Catalogue, group: Group | None) -> dict[str, Figure]:
    """The figures of a group; of one that has no rows in the window, where ``group`` is None."""
    metrics = [known.base(name) for name in part.metrics]
    doubt = group.doubt if group is not None else None
    return {
        m.id: figure_of(m, group.sums[m.id] if group is not None else [NOTHING] * len(aggregates_of(m)), doubt)
        for m in metrics
    }


def asked_figures(
    known: Catalogue, query: Query, figures: Figures, unfit: Mapping[str, str] | None = None
) -> dict[str, Figure]:
    """The figures that were asked for, quotients made of the others; ``unfit`` are those whose sides do not fit, and
    why.

    A sum over no rows is 0. What has no rows on one side can't be divided: nobody knows that it cost nothing.
    """
    found = {}
    for name in query.metrics:
        metric = known.metric(name)
        if isinstance(metric, Metric):
            found[name] = figures.get(name) or figure_of(metric, [NOTHING] * len(aggregates_of(metric)))
            continue
        absent = [need for need in metric.needs if need not in figures]
        if absent:
            relation = RELATIONS[known.base(absent[0]).table]
            sides = [figures[need].value if need in figures else None for need in metric.needs]
            found[name] = Figure(None, f"no {relation.rows} of this group. {relation.bring_in}", *sides)
        elif unfit and name in unfit:
            found[name] = Figure(None, unfit[name], figures[metric.over].value, figures[metric.under].value)
        else:
            found[name] = _ratio(metric, figures[metric.over], figures[metric.under], known.base(metric.under).name)
    return found
