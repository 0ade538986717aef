"""Reading a file with one reader, and breaking files at random."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from outlay.ledger.tables.table import FactTable
from outlay.problems import CATALOGUE, Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact, FactReader

__all__ = ["FIXTURES", "broken_csv", "broken_json", "check_rows", "read", "written"]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "records"

_JUNK: list[Any] = [
    None,
    True,
    "",
    " ",
    "NaN",
    "-Infinity",
    "1e999999",
    "1e-999999",
    "-1",
    -1,
    0,
    10**30,
    1e300,
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "not a date",
    "2026-02-30",
    "1_000",
    "1,234",
    "\u0661",
    {},
    [],
    [[]],
    [None],
    {"": {}},
    "x" * 5000,
]


def read(reader: FactReader, path: Path) -> tuple[list[Fact], list[Problem]]:
    """What ``reader`` says of a file that it must recognise; each row and problem checked against its table."""
    file = open_facts(path)
    assert reader.recognises(file)
    told: list[object] = list(reader.facts(file))
    facts = [one for one in told if isinstance(one, Fact)]
    problems = [one for one in told if isinstance(one, Problem)]
    check_rows(reader.table, facts)
    assert all(problem.code in CATALOGUE and problem.source == path.name for problem in problems)
    assert len(facts) + len(problems) == len(told)
    return facts, problems


def check_rows(table: FactTable, facts: list[Fact]) -> None:
    """Every value has a column, and every column that must not be null has a value."""
    columns = {column.name: column for column in table.own}
    for fact in facts:
        assert fact.identity
        assert set(fact.values) <= set(columns)
        for column in columns.values():
            value = fact.values.get(column.name)
            assert column.nullable or value is not None, f"{column.name} is null"
            assert not column.allowed or value is None or value in column.allowed
            assert not isinstance(value, float)
        assert {type(part) for tag in fact.tags.items() for part in tag} <= {str}


def written(folder: Path, name: str, content: str) -> Path:
    """A file of ``content``."""
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def _places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        inner = list(document.items())
    elif isinstance(document, list):
        inner = list(enumerate(document))
    return [found for key, value in inner for found in [(*path, key), *_places(value, (*path, key))]]


@st.composite
def broken_json(draw: Callable[[Any], Any], document: Any) -> str:
    """``document`` with up to four places replaced by junk or taken out."""
    broken = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        places = _places(broken)
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        holder = broken
        for step in way:
            holder = holder[step]
        junk = draw(st.sampled_from([..., *_JUNK]))
        if junk is ...:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(junk)
    return json.dumps(broken)


@st.composite
def broken_csv(draw: Callable[[Any], Any], content: str) -> str:
    """``content`` with the header kept and up to four cells below it replaced by junk."""
    header, *rows = [line.split(",") for line in content.strip().splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        row = draw(st.sampled_from(rows))
        cell = draw(st.integers(0, len(row) - 1))
        row[cell] = str(draw(st.sampled_from([*_JUNK, '"', "a,b", "80 %"])))
    return "\n".join(",".join(row) for row in [header, *rows]) + "\n"
