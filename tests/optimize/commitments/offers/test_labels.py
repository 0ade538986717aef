"""Each offer has a label of its own: the name where that is enough, else with the terms that differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlay.optimize.commitments.offers.labels import labels
from tests.optimize.commitments.series import offer


def test_a_name_of_its_own_is_the_label() -> None:
    assert labels([offer(name="a"), offer(name="b", term_months=36)]) == ["a", "b"]


def test_the_terms_that_differ_tell_them_apart() -> None:
    found = labels(
        [offer(), offer(payment="all_upfront"), offer(payment="all_upfront", currency="EUR"), offer(name="b")]
    )
    assert found == [
        "1y (no upfront, USD)",
        "1y (all upfront, USD)",
        "1y (all upfront, EUR)",
        "b",
    ]
    assert labels([offer(), offer()]) == ["1y #1", "1y #2"]
    assert labels([offer("1"), offer("1.1")]) == ["1y (at 1)", "1y (at 1.1)"]
    assert labels([offer("1"), offer("1.1", term_months=36)]) == ["1y (12 months)", "1y (36 months)"]
    assert labels([offer(name="1y #1"), offer(), offer()]) == ["1y #1", "1y #2", "1y #3"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([12, 36]), st.sampled_from(["1", "2"])), max_size=8))
def test_no_two_are_alike(terms: list[tuple[str, int, str]]) -> None:
    offers = [offer(price, name=name, term_months=months) for name, months, price in terms]
    assert len(set(labels(offers))) == len(offers)
