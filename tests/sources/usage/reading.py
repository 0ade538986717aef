"""How the tests of usage readers read a file, and how they break one."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from outlay.ledger.tables.requests import REQUESTS
from outlay.problems import CATALOGUE, Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact, FactReader, Window

__all__ = ["FIXTURES", "JUNK", "Told", "broken", "is_sound", "read", "written"]

FIXTURES = Path(__file__).parents[2] / "fixtures" / "usage"
_ZONED = "0001-01-01T00:00:00+14:00"
_SCALARS = (None, True, -1, 0, 2**63, 10**30, 1.5, 1e300, "", "NaN", "1e9999", "\u0000", _ZONED)
JUNK: st.SearchStrategy[Any] = st.sampled_from((*_SCALARS, [], {}, [[]], [None], {"a": {}}, ["x", {}])).map(
    copy.deepcopy
)


class Told:
    """What a reader said of a file, sorted by what it is."""

    def __init__(self, said: Iterable[Fact | Window | Problem]) -> None:
        self.all = list(said)
        self.facts = [one for one in self.all if isinstance(one, Fact)]
        self.windows = [one for one in self.all if isinstance(one, Window)]
        self.problems = [one for one in self.all if isinstance(one, Problem)]

    @property
    def codes(self) -> list[str]:
        """The problems' codes."""
        return [problem.code for problem in self.problems]


def read(reader: FactReader, path: Path) -> Told:
    """Everything that ``reader`` says of a file that it recognises."""
    file = open_facts(path)
    assert reader.recognises(file)
    return Told(reader.facts(file))


def written(folder: Path, *documents: Any, name: str = "report.json") -> Path:
    """One document as JSON, several as JSON lines."""
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")
    return path


@st.composite
def broken(draw: st.DrawFn, document: Any) -> Any:
    """``document`` with one to three of its values replaced by junk, or taken away."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        place, key = found, None
        while isinstance(place, (dict, list)) and place:
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            inside = place[key]
            if not isinstance(inside, (dict, list)) or not inside or draw(st.booleans()) is False:
                break
            place = inside
        if key is None or not isinstance(place, (dict, list)):
            continue
        if draw(st.booleans()):
            place[key] = draw(JUNK)
        else:
            del place[key]
    return found


_TYPES: dict[str, tuple[type, ...]] = {
    "BIGINT": (int,),
    "VARCHAR": (str,),
    "BOOLEAN": (bool,),
    "DECIMAL": (Decimal, int),
}


def is_sound(told: Told) -> None:
    """Whatever a file held, what was said of it fits the table."""
    columns = {column.name: column for column in REQUESTS.own}
    for fact in told.facts:
        assert set(fact.values) <= set(columns)
        for name, value in fact.values.items():
            if value is None:
                assert columns[name].nullable, name
                continue
            if (kinds := _TYPES.get(columns[name].sql_type.split("(")[0])) is not None:
                assert isinstance(value, kinds), (name, value)
            if isinstance(value, int):
                assert 0 <= value < 2**63, (name, value)
        assert fact.values["start_time"] < fact.values["end_time"]  # type: ignore[operator]
        assert {type(text) for tag in fact.tags.items() for text in tag} <= {str}
        assert any(
            window.start == fact.values["start_time"] and window.kind == fact.kind and window.source == fact.source
            for window in told.windows
        )
    assert all(problem.code in CATALOGUE for problem in told.problems)
    named = [(fact.source, fact.identity) for fact in told.facts]
    assert len(named) == len(set(named))
