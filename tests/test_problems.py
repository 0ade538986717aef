"""The catalogue of problems is whole, each with a way out, and summaries count by file, code and message."""

from __future__ import annotations

import pytest

from outlay.problems import CATALOGUE, Problem, summarise


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_kind_has_a_meaning_and_a_hint(code: str) -> None:
    kind = CATALOGUE[code]

    assert kind.code == code
    assert kind.meaning
    assert kind.hint.endswith(".")


def test_a_problem_takes_its_hint_and_weight_from_the_catalogue() -> None:
    bad = Problem("bill.csv", 7, "missing-currency", "BillingCurrency is missing")
    notice = Problem("bill.csv", None, "period-derived", "no billing period")

    assert bad.rejects
    assert not notice.rejects
    assert bad.hint == CATALOGUE["missing-currency"].hint


def test_a_summary_groups_counts_and_names_the_first_line() -> None:
    def amount(file: str, line: int) -> Problem:
        return Problem(file, line, "unparsable-amount", "BilledCost is not a number")

    summaries = summarise(
        [
            Problem("b.csv", None, "period-derived", "no billing period"),
            amount("b.csv", 9),
            amount("b.csv", 4),
            amount("a.csv", 12),
        ]
    )

    assert [(s.source, s.code, s.count, s.first_line, s.rejects) for s in summaries] == [
        ("b.csv", "unparsable-amount", 2, 4, True),
        ("a.csv", "unparsable-amount", 1, 12, True),
        ("b.csv", "period-derived", 1, None, False),
    ]


def test_no_problems_make_no_summary() -> None:
    assert summarise([]) == []
