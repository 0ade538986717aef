"""Every error belongs to one tree and says what, where and what to do; unknown names offer the nearest."""

from __future__ import annotations

import pytest

import outlay.errors
from outlay.errors import OutlayError, UnreadableError, UsageError, nearest

ERRORS = [getattr(outlay.errors, name) for name in outlay.errors.__all__ if name != "nearest"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_an_outlay_error(error: type[OutlayError]) -> None:
    assert issubclass(error, OutlayError)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_tree_in_the_module_names_every_error(error: type[OutlayError]) -> None:
    assert error.__name__ in (outlay.errors.__doc__ or "")


def test_a_message_says_where_what_and_what_to_do() -> None:
    error = UnreadableError("is empty.", where="bill.csv", hint="Export it again.")

    assert str(error) == "bill.csv: is empty. Export it again."
    assert (error.what, error.where, error.hint) == ("is empty.", "bill.csv", "Export it again.")


def test_a_message_needs_neither_place_nor_hint() -> None:
    assert str(UsageError("no bill given.")) == "no bill given."


def test_a_misspelt_name_gets_the_nearest() -> None:
    assert nearest("tema", ["team", "model", "use_case"]) == "Did you mean 'team'?"


def test_a_name_like_nothing_gets_the_whole_list() -> None:
    assert nearest("zzz", ["team", "model"]) == "Known: model, team."


def test_two_near_names_are_both_offered() -> None:
    assert nearest("budget", ["budgets", "budget_id"]) == "Did you mean 'budgets' or 'budget_id'?"
