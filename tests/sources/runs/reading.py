"""What the tests of the runs readers share: reading a file, checking rows against the table, and mangling JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from outlay.errors import UnreadableError
from outlay.ledger.tables.runs import RUNS
from outlay.problems import CATALOGUE, Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact, FactReader, Window

__all__ = ["FIXTURES", "mangled", "read", "rows", "survives"]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "runs"

_TYPES: dict[str, tuple[type, ...]] = {
    "VARCHAR": (str,),
    "BIGINT": (int,),
    "BOOLEAN": (bool,),
    "TIMESTAMP": (datetime,),
    "DECIMAL(18,6)": (Decimal,),
    "DECIMAL(38,18)": (Decimal,),
}
_ODD: list[Any] = [
    None, True, False, 0, -1, -(10**40), 10**40, Decimal("1e30"), "", " ", "NaN", "Infinity", "-Infinity", "1e400", "x",
    [], {}, [[]], [{}], [None], {"set": True}, {"number": "x"}, {"number": -5, "set": True}, {"current": {}}, "\ud800",
    "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-13-01T00:00:00Z", 253402300800, "1_000", "١٢",
    "a\x00b", "y" * 5000,
]  # fmt: skip


def read(reader: FactReader, path: Path) -> list[Fact | Window | Problem]:
    """Everything that ``reader`` says of ``path``, which it must recognise."""
    file = open_facts(path)
    assert reader.recognises(file)
    return list(reader.facts(file))


def rows(reader: FactReader, path: Path) -> list[Fact]:
    """The rows of ``path``, checked against the table; there must be no problem."""
    found = read(reader, path)
    assert [one for one in found if not isinstance(one, Fact)] == []
    facts = [one for one in found if isinstance(one, Fact)]
    for fact in facts:
        fits(fact)
    assert len({(fact.source, fact.identity) for fact in facts}) == len(facts)
    return facts


def fits(fact: Fact) -> None:
    """``fact`` is a row of ``runs``: known columns, their types, nothing missing, no negative figure."""
    columns = {column.name: column for column in RUNS.own}
    for name, value in fact.values.items():
        column = columns[name]
        assert value is not None
        assert isinstance(value, _TYPES[column.sql_type]), (name, value)
        assert not column.allowed or value in column.allowed
        if isinstance(value, (int, Decimal)):
            assert value >= 0
        if isinstance(value, Decimal):
            assert value.is_finite()
            exponent = value.as_tuple().exponent
            assert isinstance(exponent, int)
            assert -exponent <= (6 if column.sql_type == "DECIMAL(18,6)" else 18), (name, value)
            assert value < 10 ** (12 if column.sql_type == "DECIMAL(18,6)" else 20), (name, value)
        if column.sql_type == "BIGINT" and isinstance(value, int):
            assert value < 2**63
        if isinstance(value, datetime):
            assert value.tzinfo is None
        if isinstance(value, str):
            value.encode("utf-8")
    for column in RUNS.own:
        assert column.nullable or column.name in fact.values
    tags: dict[Any, Any] = dict(fact.tags)
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in tags.items())
    assert fact.identity


def survives(reader: FactReader, path: Path) -> None:
    """Whatever ``path`` holds, the reader says rows that fit and problems of the catalogue, and raises nothing.

    A file that is no whole JSON document is refused as such by :class:`FactFile`, before any reader.
    """
    file = open_facts(path)
    reader.recognises(file)
    try:
        found = list(reader.facts(file))
    except UnreadableError:
        return
    for one in found:
        if isinstance(one, Fact):
            fits(one)
        elif isinstance(one, Problem):
            assert one.code in CATALOGUE


def mangled(document: Any) -> st.SearchStrategy[Any]:
    """``document`` with up to three places dropped, or replaced by something that does not belong there."""
    change = st.tuples(st.integers(0, 2**32), st.sampled_from(["drop", *range(len(_ODD))]))
    return st.lists(change, min_size=1, max_size=3).map(lambda changes: _apply(copy.deepcopy(document), changes))


def _apply(document: Any, changes: list[tuple[Any, Any]]) -> Any:
    for seed, what in changes:
        random = Random(seed)
        holder = document
        while isinstance(holder, (dict, list)) and holder:
            key = random.choice(list(holder) if isinstance(holder, dict) else list(range(len(holder))))
            if isinstance(holder[key], (dict, list)) and holder[key] and random.random() > 0.15:
                holder = holder[key]
                continue
            if what == "drop":
                del holder[key]
            else:
                holder[key] = copy.deepcopy(_ODD[what])
            break
    return document


def dumps(document: Any) -> str:
    """``document`` as JSON text; Decimals as numbers."""
    return json.dumps(document, default=_number)


def _number(value: Any) -> Any:
    assert isinstance(value, Decimal)
    return int(value)


def written(folder: Path, name: str) -> Callable[[str], Path]:
    """A function that writes text to the same file of ``folder`` again and again."""

    def write(content: str) -> Path:
        path = folder / name
        path.write_text(content, encoding="utf-8", errors="surrogatepass")
        return path

    return write
