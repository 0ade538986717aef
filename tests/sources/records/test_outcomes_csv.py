"""Outcomes are read as written: long or wide, exact, nothing made up for an empty cell, nothing counted twice."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.sources.fact_file import open_facts
from outlay.sources.records.outcomes_csv import OutcomesReader
from tests.sources.records.reading import FIXTURES, broken_csv, read, written

_READER = OutcomesReader()
_LONG = (FIXTURES / "outcomes_long.csv").read_text()
_WIDE = (FIXTURES / "outcomes_wide.csv").read_text()


def test_the_long_form() -> None:
    facts, problems = read(_READER, FIXTURES / "outcomes_long.csv")
    assert problems == []
    assert [fact.line for fact in facts] == [2, 3, 4, 5, 6]
    assert facts[0].values == {
        "date": datetime(2026, 10, 1),
        "x_UseCase": "support-assistant",
        "x_Measure": "tickets resolved",
        "x_Value": Decimal(412),
        "x_Unit": "tickets",
    }
    assert facts[0].tags == {"team": "support", "channel": "web"}
    assert facts[2].tags == {"team": "platform"}, "an empty cell is no tag"
    assert facts[3].values["x_Value"] == Decimal("-20"), "a refund"
    assert facts[4].values["x_Value"] == 0
    assert len({fact.identity for fact in facts}) == 5


def test_the_wide_form() -> None:
    facts, problems = read(_READER, FIXTURES / "outcomes_wide.csv")
    assert problems == []
    told = [
        (f.line, f.values["x_UseCase"], f.values["x_Measure"], f.values["x_Value"], f.values["x_Unit"]) for f in facts
    ]
    assert told == [
        (2, "support-assistant", "tickets resolved", Decimal(508), "tickets"),
        (3, "code-review", "revenue", Decimal("1250.75"), "USD"),
        (4, "support-assistant", "revenue", Decimal(0), "USD"),
        (4, "support-assistant", "tickets resolved", Decimal("37.5"), "tickets"),
    ]
    assert all(set(fact.tags) == {"team"} for fact in facts)


def test_a_figure_told_again_has_the_same_identity_in_both_forms(tmp_path: Path) -> None:
    long = "date,use_case,measure,value,unit,team\n2026-10-01,code-review,revenue,1300,USD,platform\n"
    (corrected,), _ = read(_READER, written(tmp_path, "a.csv", long))
    assert corrected.identity in {fact.identity for fact in read(_READER, FIXTURES / "outcomes_wide.csv")[0]}


def test_parts_of_an_identity_do_not_run_together(tmp_path: Path) -> None:
    rows = "date,use_case,measure,value,unit\n2026-10-01,a|b,c,1,x\n2026-10-01,a,b|c,2,x\n"
    facts, problems = read(_READER, written(tmp_path, "a.csv", rows))
    assert (len(facts), problems) == (2, [])


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("2026-10-01,code-review,revenue,9,USD,platform,", "repeated-record"),
        ("2026-10-03,code-review,revenue,,USD,,", "missing-amount"),
        ("2026-10-03,code-review,revenue,n/a,USD,,", "unparsable-amount"),
        ('2026-10-03,code-review,revenue,"1,250",USD,,', "unparsable-amount"),
        ("2026-10-03,code-review,revenue,1,,,", "unusable-record"),
        ("2026-10-03,,revenue,1,USD,,", "unusable-record"),
        ("2026-10-03,code-review,,1,USD,,", "unusable-record"),
        (",code-review,revenue,1,USD,,", "missing-time"),
        ("3.10.2026,code-review,revenue,1,USD,,", "unparsable-time"),
        ("2026-10-03T14:00:00Z,code-review,revenue,1,USD,,", "unparsable-time"),
        ("2026-10-03,code-review", "ragged-row"),
    ],
)
def test_a_bad_row_is_a_problem_and_the_others_load(tmp_path: Path, row: str, code: str) -> None:
    facts, problems = read(_READER, written(tmp_path, "a.csv", f"{_LONG}{row}\n"))
    assert len(facts) == 5
    assert [(problem.code, problem.line) for problem in problems] == [(code, 7)]


def test_a_bad_cell_of_the_wide_form_keeps_its_neighbours(tmp_path: Path) -> None:
    facts, problems = read(_READER, written(tmp_path, "a.csv", f"{_WIDE}2026-10-03,code-review,,many,12\n"))
    assert facts[-1].values["x_Value"] == Decimal(12)
    assert [(problem.code, problem.line) for problem in problems] == [("unparsable-amount", 5)]


@pytest.mark.parametrize(
    "header",
    [
        "date,use_case,revenue",
        "date,use_case,revenue_usd,team",
        "date,use_case,measure,value",
        "date,measure,value,unit",
        "use_case,revenue [USD]",
        "BilledCost,ChargePeriodStart,BillingCurrency",
        "alert_id,budget,threshold,crossed_at",
    ],
)
def test_what_is_ambiguous_is_not_taken(tmp_path: Path, header: str) -> None:
    assert not _READER.recognises(open_facts(written(tmp_path, "a.csv", f"{header}\n")))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(broken_csv(_LONG), broken_csv(_WIDE)))
def test_broken_rows_never_raise(tmp_path: Path, content: str) -> None:
    read(_READER, written(tmp_path, "a.csv", content))
