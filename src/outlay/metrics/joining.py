"""Bringing the parts of an answer together: by the dimensions that they share, in an order that people read.

A part that is not told apart by a dimension (a count by currency) stands beside every value of it that another part
has for the same rest. Dividing there would be wrong: the calls beside each of two currencies are the calls of both
bills, so a quotient of such sides is unknown where there is more than one currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from outlay.metrics.catalogue import Catalogue, Metric, Quotient
from outlay.metrics.compiler import CURRENCY, Part, parts_of
from outlay.metrics.figures import Figures, Key, asked_figures
from outlay.metrics.query import GRAINS, Query
from outlay.metrics.relations import COSTS, RELATIONS
from outlay.metrics.result import Figure, Row

__all__ = ["Before", "empty_row", "rows_of", "together"]


def together(
    dimensions: Sequence[str], known: Catalogue, parts: Sequence[tuple[Part, Mapping[Key, Figures]]]
) -> dict[Key, dict[str, Figure]]:
    """The figures of all parts by the key over all dimensions; metrics of a part without such a group are absent.

    A part that is not told apart by a dimension (a count by currency) stands beside every value of it that another
    part has for the same rest. Money without a currency (of rows without a known price) has a row of its own only where
    there is no other: what it lacks is counted as left out.
    """
    given: list[tuple[Part, dict[Key, Figures]]] = []
    for part, found in parts:
        told = dict(found)
        if CURRENCY in part.dimensions:
            place = part.dimensions.index(CURRENCY)
            rest = {key[:place] + key[place + 1 :] for key in told if key[place] is not None}
            told = {k: v for k, v in told.items() if k[place] is not None or k[:place] + k[place + 1 :] not in rest}
        apart = {name for metric in part.metrics for name in known.base(metric).apart}
        places = [part.dimensions.index(name) for name in apart]
        empty = [
            k for k, v in told.items() if all(k[p] is None for p in places) and all(f.is_nothing for f in v.values())
        ]
        if places and len(empty) < len(told):
            told = {k: v for k, v in told.items() if k not in empty}
        given.append((part, told))
    keys: list[dict[str, str | None]] = []
    for place, (part, found) in enumerate(given):
        own = [dict(zip(part.dimensions, key, strict=True)) for key in found]
        keys = _joined(keys, own, set(part.dimensions), first=place == 0)
    together: dict[Key, dict[str, Figure]] = {}
    for whole in keys:
        figures: dict[str, Figure] = {}
        for part, found in given:
            figures |= found.get(tuple(whole.get(name) for name in part.dimensions), {})
        together[tuple(whole.get(name) for name in dimensions)] = figures
    return together


def _joined(
    keys: Sequence[dict[str, str | None]], more: Sequence[dict[str, str | None]], names: set[str], *, first: bool
) -> list[dict[str, str | None]]:
    """Each of ``keys`` with each of ``more`` that says the same of what both tell; those without a match too."""
    if first:
        return list(more)
    shared = sorted(names & {name for key in keys for name in key})
    by_shared: dict[Key, list[dict[str, str | None]]] = {}
    for one in more:
        by_shared.setdefault(tuple(one[name] for name in shared), []).append(one)
    joined: list[dict[str, str | None]] = []
    matched: set[Key] = set()
    for key in keys:
        place = tuple(key.get(name) for name in shared)
        matched.add(place)
        joined += [key | one for one in by_shared.get(place, [{}])]
    return joined + [one for place, found in by_shared.items() if place not in matched for one in found]


@dataclass(frozen=True, slots=True)
class Before:
    """Figures of the previous window by group, and for metrics of tables that do not reach back to it, why."""

    figures: Mapping[Key, Figures]
    unknown: Mapping[str, str]


def rows_of(
    query: Query,
    dimensions: Sequence[str],
    known: Catalogue,
    now: Mapping[Key, Figures],
    before: Before | None,
    *,
    home: str,
) -> list[Row]:
    """The rows in order:

    by period, then by currency (``home`` first, those with nothing but zeros last), then by size.
    """
    unfit = _of_several_currencies(query, dimensions, known, now)
    unfit_before = _of_several_currencies(query, dimensions, known, before.figures) if before is not None else {}
    keys = list(now) if before is None else [*now, *(key for key in before.figures if key not in now)]
    rows = []
    for key in keys:
        previous: Figures | None = None
        if before is not None:
            whys = {name: [before.unknown.get(one) for one in known.metric(name).needs] for name in query.metrics}
            unknown = {name: Figure(None, next(filter(None, why))) for name, why in whys.items() if any(why)}
            previous = asked_figures(known, query, before.figures.get(key, {}), unfit_before.get(key)) | unknown
        figures = asked_figures(known, query, now.get(key, {}), unfit.get(key))
        rows.append(Row(dict(zip(dimensions, key, strict=True)), figures, previous))
    first = query.metrics[0]
    spent = {row.dimensions.get(CURRENCY) for row in rows if not row.is_nothing}

    def order(row: Row) -> tuple[Any, ...]:
        currency = row.dimensions.get(CURRENCY)
        value = row.figures[first].value
        periods = [row.dimensions[name] or "" for name in dimensions if name in GRAINS]
        others = [(text is None, text or "") for text in row.dimensions.values()]
        money = (currency not in spent, currency != home, currency or "")
        return (*periods, *money, value is None, -(value or Decimal(0)), *others)

    return sorted(rows, key=order)


def _of_several_currencies(
    query: Query, dimensions: Sequence[str], known: Catalogue, figures: Mapping[Key, Figures]
) -> Mapping[Key, Mapping[str, str]]:
    """Why quotients can't be told in groups of several currencies: one side is by currency, the other is not."""
    if CURRENCY not in dimensions:
        return {}
    place = dimensions.index(CURRENCY)
    by_currency = {name for part in parts_of(query, known) if CURRENCY in part.dimensions for name in part.metrics}
    found: dict[Key, dict[str, str]] = {}
    for metric in map(known.metric, query.metrics):
        if isinstance(metric, Metric):
            continue
        sides = [known.base(name) for name in metric.needs]
        told = [one for one in sides if one.id in by_currency]
        alike = len({one.table for one in sides}) == 1 or all(one.is_money for one in sides)
        if not told or (len(told) == len(sides) and alike):
            continue
        told = [one for one in told if one.is_money] or told
        other = next(one for one in sides if one is not told[0])
        currencies: dict[Key, set[str]] = {}
        for key, group in figures.items():
            if (code := key[place]) and any(one.id in group and group[one.id].value != 0 for one in told):
                currencies.setdefault(key[:place] + key[place + 1 :], set()).add(code)
        for key in figures:
            several = sorted(currencies.get(key[:place] + key[place + 1 :], ()))
            if len(several) > 1:
                found.setdefault(key, {})[metric.id] = (
                    f"{told[0].name.lower()} is in {' and '.join(several)}, and {other.name.lower()} does not tell of "
                    "which: ask by a dimension that tells them apart, as provider or month"
                )
    return found


def empty_row(dimensions: Sequence[str], known: Catalogue, metrics: Sequence[Metric | Quotient]) -> Row:
    """The one row of an ungrouped question about nothing: a count is 0, everything else is unknown."""
    figures = {}
    for m in metrics:
        counted = isinstance(m, Metric) and m.numerator.kind == "count" and m.denominator is None
        table = known.base(m.needs[-1]).table
        relation = RELATIONS[table]
        why = "no rows were selected" if table == COSTS else f"no {relation.rows} were selected. {relation.bring_in}"
        figures[m.id] = Figure(Decimal(0)) if counted else Figure(None, why)
    return Row(dict.fromkeys(dimensions), figures)
