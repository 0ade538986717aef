"""Reading a log of calls in a test, checking its rows against the table, and spoiling it in every place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from outlay.ledger.meters import METERS, TOKEN_METERS
from outlay.ledger.tables.requests import REQUESTS, meter_column
from outlay.ledger.tables.table import PROVENANCE
from outlay.problems import CATALOGUE, Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact, FactReader, Window

__all__ = ["FIXTURES", "check", "read", "read_all", "spoilt", "spoilt_cells", "total"]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "usage"

_COLUMNS = {column.name: column for column in REQUESTS.own}
_PYTHON = {"VARCHAR": str, "BIGINT": int, "TIMESTAMP": datetime, "BOOLEAN": bool}
_LOADER = {"x_PriceStatus", "x_Cost", "x_CostCurrency", "x_CostEstimated", "x_PriceVersion"}
_PARTS = {
    "gen_ai_usage_input_tokens": [m for m in TOKEN_METERS if not m.startswith("output")],
    "gen_ai_usage_output_tokens": [m for m in TOKEN_METERS if m.startswith("output")],
}


def read_all(reader: FactReader, path: Path) -> list[Fact | Window | Problem]:
    """Everything that a reader says of a file which it must recognise."""
    file = open_facts(path)
    assert reader.recognises(file), f"{reader.format.id} does not recognise {path.name}"
    found = list(reader.facts(file))
    for one in found:
        check(one)
    return found


def read(reader: FactReader, path: Path) -> tuple[list[Fact], list[Problem]]:
    """The rows and the problems of a file."""
    found = read_all(reader, path)
    return [one for one in found if isinstance(one, Fact)], [one for one in found if isinstance(one, Problem)]


def total(facts: list[Fact], column: str) -> Any:
    """The sum of a column over rows."""
    return sum(fact.values.get(column) or 0 for fact in facts)


def check(one: Fact | Window | Problem) -> None:
    """A row fits its table, and its meters add up to its totals."""
    if isinstance(one, Problem):
        assert one.code in CATALOGUE
        assert len(one.message.encode()) < 600
        return
    if isinstance(one, Window):
        assert one.start < one.end
        return
    assert one.identity
    assert not _LOADER & set(one.values)
    assert not {column.name for column in PROVENANCE} & set(one.values)
    for name, value in one.values.items():
        column = _COLUMNS[name]
        assert value is not None, name
        assert not column.allowed or value in column.allowed
        wanted = _PYTHON.get(column.sql_type, (Decimal, int))
        assert isinstance(value, wanted), (name, value)
        assert not isinstance(value, bool) or column.sql_type == "BOOLEAN"
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, datetime):
            assert value.tzinfo is None
        elif name not in ("x_ReportedCost", "x_RouteSaved", "x_CacheSaved"):
            assert 0 <= value < 2**63, (name, value)
    for name, value in one.tags.items():
        assert isinstance(name, str)
        assert isinstance(value, str)
    for whole, parts in _PARTS.items():
        if whole in one.values:
            assert one.values[whole] == sum(one.values.get(meter_column(part), 0) for part in parts)  # type: ignore[misc]
    shadow = one.values.get("x_RouteOutcome") == "shadow"  # the provider had a request that nobody made
    assert shadow or one.values.get(meter_column("requests")) in (None, one.values.get("x_Requests"))
    assert set(METERS)


_HOSTILE: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    10**30,
    -1.5,
    1e300,
    "",
    " ",
    "NaN",
    "Infinity",
    "1e400",
    "-5",
    "text",
    "9" * 30,
    "\ud800",
    "2026-13-45T99:99:99Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    {"": []},
]


def _places(node: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from _places(inner, (*here, key))
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from _places(inner, (*here, index))


def spoilt(document: Any) -> st.SearchStrategy[Any]:
    """A JSON document with one to three of its places replaced by something hostile, or taken out."""

    @st.composite
    def one(draw: st.DrawFn) -> Any:
        found = copy.deepcopy(document)
        for _ in range(draw(st.integers(1, 3))):
            places = [place for place in _places(found) if place]
            if not places:
                break
            *way, last = draw(st.sampled_from(places))
            node = found
            for step in way:
                node = node[step]
            if draw(st.integers(0, 4)) == 0:
                del node[last]
            else:
                node[last] = copy.deepcopy(draw(st.sampled_from(_HOSTILE)))
        return found

    return one()


def spoilt_cells(rows: list[list[str]]) -> st.SearchStrategy[list[list[str]]]:
    """CSV rows, the header kept, with one to three cells replaced."""
    texts = [value if isinstance(value, str) else json.dumps(value) for value in _HOSTILE if value != "\ud800"]

    @st.composite
    def one(draw: st.DrawFn) -> list[list[str]]:
        found = [list(row) for row in rows]
        for _ in range(draw(st.integers(1, 3))):
            row = draw(st.integers(1, len(found) - 1))
            found[row][draw(st.integers(0, len(found[row]) - 1))] = draw(st.sampled_from(texts))
        return found

    return one()
