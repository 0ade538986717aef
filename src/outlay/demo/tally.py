"""Sums of the synthetic bills by line, and what they cost.

A line has one price for each of its costs, so what it cost is its count of units times that price: exact, and
without a look at the files. Costs are computed in the caller's decimal context, which must be wide enough
(:func:`outlay.demo.truth.tell` sees to it).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from outlay.demo.constants import price_of
from outlay.demo.lines import Line
from outlay.demo.rows import Sum
from outlay.ledger.tables.costs import COST_MEASURES
from outlay.money import plain

__all__ = ["Tally", "count_of", "is_used", "units_of"]


class Tally:
    """Sums by line and month, and what they cost."""

    def __init__(self, lines: Sequence[Line], sums: Iterable[Sum]) -> None:
        self.lines = lines
        self.sums = tuple(sums)
        self._by_label: dict[str, list[Sum]] = defaultdict(list)
        for found in self.sums:
            for label in lines[found.line].labels:
                self._by_label[label].append(found)

    def labelled(self, *labels: str) -> list[Sum]:
        """Sums of the lines planted under any of ``labels``."""
        return [found for label in labels for found in self._by_label[label]]

    def where(self, keep: Callable[[Line], bool]) -> list[Sum]:
        """Sums of the lines that ``keep`` accepts."""
        return [found for found in self.sums if keep(self.lines[found.line])]

    def cost(self, sums: Iterable[Sum], measure: str = "EffectiveCost") -> Decimal:
        """USD: units x price, exactly."""
        return self._times_price(sums, measure, lambda found: found.units)

    def cost_outside(self, sums: Iterable[Sum]) -> Decimal:
        """USD of effective cost outside working hours; hourly lines only."""
        return self._times_price(sums, "EffectiveCost", lambda found: found.units_outside)

    def _times_price(self, sums: Iterable[Sum], measure: str, units: Callable[[Sum], int]) -> Decimal:
        total = Decimal(0)
        for found in sums:
            line = self.lines[found.line]
            total += units(found) * line.sku.per_unit * price_of(line, measure)
        return total

    def totals(self, sums: Sequence[Sum]) -> dict[str, str | int]:
        """The three costs that loads are reconciled by, and the rows."""
        costs: dict[str, str | int] = {measure: plain(self.cost(sums, measure)) for measure in COST_MEASURES}
        return {**costs, "rows": count_of(sums)}


def count_of(sums: Iterable[Sum]) -> int:
    """Rows."""
    return sum(found.rows for found in sums)


def units_of(sums: Iterable[Sum]) -> int:
    """Counted units: hours, tokens, thousandths of a GB."""
    return sum(found.units for found in sums)


def is_used(line: Line) -> bool:
    """Usage, and not the unused part of a commitment."""
    return line.charge_category == "Usage" and line.commitment_status != "Unused"
