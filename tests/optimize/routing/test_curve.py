"""Curves and their measures, by hand, by brute force over every share, and what must hold for any prompts."""

from __future__ import annotations

import itertools
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.optimize.routing.curve import curve, order_by, pareto
from outlay.optimize.routing.spending import Spending

GAINS = np.array([1.0, 0.0, 1.0, -1.0, 1.0])
SCORES = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 5)), min_size=1, max_size=30)


def test_a_curve_by_hand() -> None:
    # In the order b, a, e, d, c the gains are 0, 1, 1, -1, 1: gap 2/5.
    found = curve(order_by(np.array([4.0, 5.0, 1.0, 2.0, 3.0])), GAINS)
    assert found.shares == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert found.lifts == pytest.approx([0, 0, 0.2, 0.4, 0.2, 0.4])
    assert found.gap == pytest.approx(0.4)
    # The area: 0, 0.02, 0.06, 0.06, 0.06, so 0.2 over a gap of 0.4.
    assert found.apgr == pytest.approx(0.5)
    half = found.recovers(0.5)
    assert half is not None
    assert half.share == pytest.approx(0.4)
    most = found.recovers(0.95)
    assert most is not None
    assert most.share == pytest.approx(0.4 + 0.2 * 0.9)


def test_random_routing_recovers_what_it_sends() -> None:
    found = curve(order_by(np.zeros(5)), GAINS)
    assert found.apgr == pytest.approx(0.5)
    for part in (0.5, 0.8, 0.95):
        point = found.recovers(part)
        assert point is not None
        assert point.share == pytest.approx(part)


def test_the_oracle_by_hand() -> None:
    found = curve(order_by(GAINS), GAINS)
    assert max(found.lifts) == pytest.approx(0.6)
    half = found.recovers(0.5)
    assert half is not None
    assert half.share == pytest.approx(0.2)  # one of five calls gains half of the gap of 2/5
    assert found.apgr == pytest.approx((0.02 + 0.06 + 0.1 + 0.12 + 0.1) / 0.4)


@pytest.mark.parametrize("gains", [np.zeros(4), np.array([-1.0, 0, 0, 0])])
def test_without_a_gap_nothing_is_measured(gains: np.ndarray) -> None:
    found = curve(order_by(np.arange(4.0)), gains)
    assert found.apgr is None
    assert found.recovers(0.5) is None


@given(SCORES)
def test_no_way_passes_the_oracle_and_random_is_straight(rows: list[tuple[int, int, int]]) -> None:
    weak, strong, needs = (np.array(one, dtype=float) for one in zip(*rows, strict=True))
    gains = (strong - weak) / 8
    oracle = curve(order_by(gains), gains)
    other = curve(order_by(needs), gains)
    random = curve(order_by(np.zeros(len(gains))), gains)
    for share in np.linspace(0, 1, 11):
        assert other.at(share).lift <= oracle.at(share).lift + 1e-9
        assert random.at(share).lift == pytest.approx(share * gains.mean())
        assert random.at(share).lift <= oracle.at(share).lift + 1e-9
    if random.gap > 1e-9:
        for part in (0.5, 0.8, 0.95):
            points = [one.recovers(part) for one in (oracle, other, random)]
            shares = [one.share for one in points if one is not None]
            assert len(shares) == 3
            assert all(0 <= one <= 1 + 1e-9 for one in shares)
            assert shares[0] <= min(shares[1:]) + 1e-9


@given(SCORES)
def test_equals_count_as_if_drawn_among_in_every_order(rows: list[tuple[int, int, int]]) -> None:
    few = rows[:6]
    gains = np.array([strong - weak for weak, strong, _ in few], dtype=float)
    needs = np.array([need for _, _, need in few], dtype=float)
    expected = [Fraction(0)] * (len(few) + 1)
    orders = [one for one in itertools.permutations(range(len(few))) if _descending([needs[n] for n in one])]
    for one in orders:
        for count in range(len(few) + 1):
            expected[count] += Fraction(int(sum(gains[n] for n in one[:count])), len(orders) * len(few))
    found = curve(order_by(needs), gains)
    told = [found.at(count / len(few)).lift for count in range(len(few) + 1)]
    assert told == pytest.approx([float(one) for one in expected], abs=1e-9)


def _descending(values: list[float]) -> bool:
    return all(a >= b for a, b in itertools.pairwise(values))


@given(SCORES)
def test_a_weight_is_a_prompt_that_counts_so_often(rows: list[tuple[int, int, int]]) -> None:
    gains = np.array([strong - weak for weak, strong, _ in rows], dtype=float)
    weights = np.array([need for _, _, need in rows], dtype=float)
    if weights.sum() == 0:
        return
    needs = np.arange(len(rows), dtype=float)
    repeated = np.repeat(np.arange(len(rows)), weights.astype(int))
    weighted = curve(order_by(needs), gains, weights)
    written_out = curve(order_by(needs[repeated]), gains[repeated])
    for share in np.linspace(0, 1, 7):
        assert weighted.at(share).lift == pytest.approx(written_out.at(share).lift, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25))
def test_the_frontier_rises_and_nothing_beats_it(points: list[tuple[int, int]]) -> None:
    costs, qualities = [float(a) for a, _ in points], [float(b) for _, b in points]
    found = pareto(costs, qualities)
    for a, b in itertools.pairwise(found):
        assert costs[a] < costs[b]
        assert qualities[a] < qualities[b]
    for one in range(len(points)):
        assert any(costs[kept] <= costs[one] and qualities[kept] >= qualities[one] for kept in found)


def test_costs_are_exact() -> None:
    spending = Spending(
        (Decimal("0.1"), Decimal("0.2"), Decimal("0.3")), (Decimal("1.1"), Decimal("2.2"), Decimal("3.3"))
    )
    order = order_by(np.array([1.0, 3.0, 2.0]))
    line = curve(order, np.array([0.0, 1.0, 1.0]))
    assert spending.at(order, line.at(0.0)) == Decimal("0.2")
    assert spending.at(order, line.at(1.0)) == Decimal("2.2")
    # Half of the gap: the second prompt alone, 0.1 + 2.2 + 0.3 over three calls; rounded to the smallest unit.
    half = line.recovers(0.5)
    assert half is not None
    assert spending.at(order, half) == Decimal("0.866666666666666667")
