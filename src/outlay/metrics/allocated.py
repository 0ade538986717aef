"""How much of an answer rests on allocations: the rows, and their cost, that each entry of outlay.toml gave a tag to.

Asked over the rows of the answer, and only where the answer reads a tag that an entry gives: a total by model owes
nothing to whose key it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from outlay.config import Settings
from outlay.ledger.tables.table import tag_column
from outlay.metrics.allocation import allocated_by
from outlay.metrics.catalogue import Catalogue
from outlay.metrics.compiler import compile_allocated
from outlay.metrics.query import Query
from outlay.money import add_exactly, plain, rounded

if TYPE_CHECKING:
    import duckdb

__all__ = ["Allocated", "allocated", "given_tags"]


@dataclass(frozen=True, slots=True)
class Allocated:
    """What one entry of outlay.toml gave one tag to: rows of a relation, and their cost by currency."""

    entry: int
    when: Mapping[str, tuple[str, ...]]
    tag: str
    value: str
    relation: str
    rows: int
    costs: Mapping[str, Decimal]

    @property
    def text(self) -> str:
        """``team=search by allocation 1 of outlay.toml (api_key key_abc): 12 rows of requests, 3.40 USD``."""
        when = ", ".join(f"{name} {' or '.join(values)}" for name, values in self.when.items())
        costs = "".join(f", {rounded(value, name):,} {name}" for name, value in self.costs.items())
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'} of {self.relation}"
        return f"{self.tag}={self.value} by allocation {self.entry} of outlay.toml ({when}): {rows}{costs}"

    def to_json(self) -> dict[str, Any]:
        """Amounts as exact strings."""
        return {
            "entry": self.entry,
            "when": {name: list(values) for name, values in self.when.items()},
            "tag": self.tag,
            "value": self.value,
            "relation": self.relation,
            "rows": self.rows,
            "costs": {name: plain(value) for name, value in self.costs.items()},
        }


def given_tags(settings: Settings, read: Set[str], present: Set[str]) -> tuple[str, ...]:
    """The tags among the columns ``read`` that entries may have given, in a relation that has ``present``."""
    wanted = dict.fromkeys(tag for one in settings.allocations for tag in one.set if tag_column(tag) in read)
    return tuple(tag for tag in wanted if allocated_by(tag) in present)


def allocated(
    connection: duckdb.DuckDBPyConnection,
    query: Query,
    relation: str,
    known: Catalogue,
    settings: Settings,
    *,
    tags: tuple[str, ...],
) -> tuple[Allocated, ...]:
    """What each entry gave each of ``tags`` to, among the selected rows; entries that gave nothing are left out."""
    rows = connection.execute(compile_allocated(query, relation, known, tags)).fetchall()
    counts: dict[tuple[int, str], int] = {}
    costs: dict[tuple[int, str], dict[str, list[Decimal]]] = {}
    for *entries, currency, count, cost in rows:
        for tag, entry in zip(tags, entries, strict=True):
            if entry is None:
                continue
            counts[entry, tag] = counts.get((entry, tag), 0) + count
            if cost is not None and currency is not None:
                costs.setdefault((entry, tag), {}).setdefault(currency, []).append(cost)
    return tuple(
        Allocated(
            entry,
            settings.allocations[entry - 1].when.given,
            tag,
            settings.allocations[entry - 1].set[tag],
            relation,
            counts[entry, tag],
            {name: add_exactly(found) for name, found in sorted(costs.get((entry, tag), {}).items())},
        )
        for entry, tag in sorted(counts)
    )
