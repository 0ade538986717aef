"""Reading a file of telemetry as a load does, and checks that hold for every row."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.problems import CATALOGUE, Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact, FactReader

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "telemetry"
_COLUMNS = {column.name: column for column in GPU_USAGE.own}
PARTS = ("x_BusyHours", "x_IdleHours", "x_NoTelemetryHours", "x_UnallocatedHours")


def read(reader: FactReader, path: Path) -> tuple[list[Fact], list[Problem]]:
    """Rows and problems of a file, the rows checked against the table."""
    found = list(reader.facts(open_facts(path)))
    facts = [one for one in found if isinstance(one, Fact)]
    problems = [one for one in found if isinstance(one, Problem)]
    assert len(facts) + len(problems) == len(found)
    assert all(problem.code in CATALOGUE for problem in problems)
    check(facts)
    return facts, problems


def check(facts: list[Fact]) -> None:
    """Identities are distinct, columns known and filled, and no card has more hours than the time it was known."""
    assert len({fact.identity for fact in facts}) == len(facts)
    known: dict[tuple[Any, Any], Decimal] = defaultdict(Decimal)
    for fact in facts:
        values: dict[str, Any] = dict(fact.values)
        assert values.keys() <= _COLUMNS.keys()
        assert all(values.get(name) is not None for name, column in _COLUMNS.items() if not column.nullable)
        busy, idle, unseen, free = (values[name] for name in PARTS)
        assert values["x_AllocatedHours"] == busy + idle + unseen
        assert values["start_time"] < values["end_time"]
        assert (values["start_time"].hour - (values["end_time"]).hour) in (0, -1, 23)
        known[values["x_Card"], values["start_time"]] += busy + idle + unseen + free
        for value in values.values():
            assert not isinstance(value, (float, bool))
            if isinstance(value, Decimal):
                exponent = value.as_tuple().exponent
                assert isinstance(exponent, int)
                assert exponent >= -9
    assert all(0 < hours <= 1 for hours in known.values())


def by(facts: list[Fact], *names: str) -> dict[Any, dict[str, Any]]:
    """Rows by the values of columns."""
    found = {}
    for fact in facts:
        key = tuple(fact.values.get(name) for name in names)
        assert key not in found
        found[key if len(names) > 1 else key[0]] = dict(fact.values)
    return found
