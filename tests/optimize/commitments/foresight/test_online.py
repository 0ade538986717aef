"""The break-even rule and the clairvoyant by level: as published, as counted by hand, never more than twice as dear."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from math import ceil
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.foresight import online
from outlay.optimize.commitments.foresight.online import BOUND, Bought, break_even, clairvoyant
from outlay.optimize.commitments.sizing import Levels
from tests.optimize.commitments.hours import fleet, of

ONE = Decimal(1)


Hours = list[int | Decimal | None]


class Case(NamedTuple):
    hours: Hours
    price: Decimal
    on_demand: Decimal
    term: int

    @property
    def fee(self) -> Fraction:
        return Fraction(self.price) * self.term / Fraction(self.on_demand)

    def online(self) -> Bought:
        return break_even(of(self.hours), self.price, self.on_demand, self.term)

    def offline(self) -> Bought:
        return clairvoyant(of(self.hours), self.price, self.on_demand, self.term)


prices = st.decimals("0.01", "3", places=2) | st.fractions("0.05", "2.5").map(
    lambda f: Decimal(f.numerator) / f.denominator
)


def cases(hours: int, peak: int = 4) -> st.SearchStrategy[Case]:
    whole = st.none() | st.integers(0, peak)
    halves = st.none() | st.integers(0, 2 * peak).map(lambda n: Decimal(n) / 2)
    bursts = st.lists(st.tuples(st.integers(0, peak), st.integers(1, 9)), max_size=hours // 3).map(
        lambda runs: [gpus for gpus, length in runs for _ in range(length)][:hours]
    )
    traces = st.lists(whole, max_size=hours) | st.lists(halves, max_size=hours) | bursts
    return st.builds(Case, traces, prices, prices, st.integers(1, 9))


def by_hand(case: Case) -> tuple[Fraction, Fraction]:
    """Both costs by levels of half a GPU, from their definitions: the rule by its window, the best by trying all."""
    followed = best = Fraction(0)
    for level in range(1, int(2 * max((one or 0 for one in case.hours), default=0)) + 1):
        used = [(one or 0) * 2 >= level for one in case.hours]
        followed += _followed(used, case) / 2
        best += _tried(used, case) / 2
    return followed * Fraction(case.on_demand), best * Fraction(case.on_demand)


def _followed(used: list[bool], case: Case) -> Fraction:
    rented: list[int] = []
    cost, until = Fraction(0), 0
    for hour, needed in enumerate(used):
        if not needed or hour < until:
            continue
        rented = [one for one in rented if one > hour - case.term] + [hour]
        if len(rented) >= case.fee and case.price < case.on_demand:
            cost, until, rented = cost + case.fee, hour + case.term, []
        else:
            cost += 1
    return cost


def _tried(used: list[bool], case: Case) -> Fraction:
    hours = range(len(used))
    least = Fraction(sum(used))
    for times in range(1, len(used) + 1):
        for starts in combinations(hours, times):
            rest = sum(used[hour] and not any(s <= hour < s + case.term for s in starts) for hour in hours)
            least = min(least, times * case.fee + rest)
    return least


@given(cases(hours=7, peak=2))
@settings(deadline=None)
def test_both_cost_what_their_definitions_say(case: Case) -> None:
    followed, best = by_hand(case)

    assert Fraction(case.online().cost) == followed
    assert Fraction(case.offline().cost) == best


@given(cases(hours=60))
@settings(deadline=None)
def test_costs_lie_in_order_and_within_the_bound(case: Case) -> None:
    followed, best = case.online(), case.offline()

    assert best.cost <= followed.cost
    assert Fraction(followed.cost) <= BOUND * Fraction(best.cost)
    assert best.cost <= best.on_demand_cost == followed.on_demand_cost
    if case.fee > 0 and best.cost:
        tight = 1 + (ceil(case.fee) - 1) / case.fee
        assert Fraction(followed.cost) <= tight * Fraction(best.cost)
        assert tight < BOUND


@given(cases(hours=60))
@settings(deadline=None)
def test_purchases_add_up(case: Case) -> None:
    """Cost is rent and whole terms, and the GPUs reserved by the hour are those terms, as far as they are in sight."""
    for bought in (case.online(), case.offline()):
        hours = len(case.hours)
        inside = Decimal(int(bought.reserved.sum())) / NANOS

        assert Fraction(bought.cost) == Fraction(bought.rented) * Fraction(case.on_demand) + Fraction(
            bought.committed
        ) * Fraction(case.price)
        assert bought.committed == bought.reservations * case.term
        assert bought.reserved.shape == (hours,)
        assert inside <= bought.committed
        assert bought.rented <= Decimal(of(case.hours).total) / NANOS
        if case.term >= hours:
            assert bought.reserved.max(initial=0) == bought.reservations * NANOS


@given(st.integers(2, 20), st.fractions("0.02", "0.98"), st.lists(st.integers(0, 30), min_size=1, max_size=4))
@settings(deadline=None)
def test_demand_that_stops_after_each_purchase_attains_the_bound_and_no_more(
    term: int, share: Fraction, pauses: list[int]
) -> None:
    """The adversary of ski rental: it needs a GPU until one is reserved, and not again before that has run out."""
    price = (Decimal(share.numerator) / share.denominator).quantize(Decimal("0.001"))
    fee = Fraction(price) * term
    hours: Hours = []
    for pause in pauses:
        while True:
            hours.append(1)
            if break_even(of(hours), price, ONE, term).reserved[-1]:
                break
        hours += [0] * (term - 1 + pause)

    case = Case(hours, price, ONE, term)
    followed, best = case.online(), case.offline()

    assert followed.reservations == len(pauses)
    assert Fraction(followed.cost) == len(pauses) * (ceil(fee) - 1 + fee)
    assert Fraction(followed.cost) < 2 * Fraction(best.cost)
    if term - 1 + min(pauses) >= term:  # one reservation can't then serve the end of one burst and the next
        assert Fraction(best.cost) == len(pauses) * fee


@given(cases(hours=36), st.integers(1, 4))
@settings(deadline=None)
def test_never_above_one_quantity_for_the_whole_time(case: Case, terms: int) -> None:
    hours = [one or 0 for one in case.hours][: len(case.hours) // terms * terms]
    if not hours or case.price >= case.on_demand:
        return
    levels = Levels(of(hours))
    static = levels.outcome(levels.optimum(case.price, case.on_demand), case.price, case.on_demand)

    assert clairvoyant(of(hours), case.price, case.on_demand, len(hours) // terms).cost <= static.cost


@given(cases(hours=40), st.integers(2, 1000))
@settings(deadline=None)
def test_scale_changes_nothing_but_the_scale(case: Case, times: int) -> None:
    more = case._replace(hours=[None if one is None else one * times for one in case.hours])
    dearer = case._replace(price=case.price.scaleb(3), on_demand=case.on_demand.scaleb(3))
    for name in ("online", "offline"):
        bought, scaled, priced = (getattr(one, name)() for one in (case, more, dearer))

        assert Fraction(scaled.cost) == Fraction(bought.cost) * times
        assert Fraction(priced.cost) == Fraction(bought.cost) * 1000
        assert scaled.reservations == bought.reservations * times
        assert (scaled.reserved == bought.reserved * times).all()
        assert (priced.reserved == bought.reserved).all()


@given(cases(hours=40))
@settings(deadline=None)
def test_blocks_of_levels_change_nothing(case: Case) -> None:
    whole = case.offline()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online, "MOST_BYTES", 1)
        single = case.offline()

    assert single.cost == whole.cost
    assert (single.reserved == whole.reserved).all()


@given(st.fractions(0, 20, max_denominator=10**9), st.integers(1, 9))
def test_the_simplest_fee_compares_alike(fee: Fraction, most: int) -> None:
    simple = online._simplest(fee, most)

    assert simple.denominator <= 2 * most
    for times in range(1, most + 1):
        for hours in range(20 * times + 1):
            assert (times * fee > hours) == (times * simple > hours)
            assert (times * fee < hours) == (times * simple < hours)


def test_a_price_of_many_digits_is_counted_to_the_last() -> None:
    """All upfront, spread over a term: 28 digits. The fee is a hair below two hours, and so is bought for two."""
    price = Decimal("0.4999999999999999999999999999")
    best = clairvoyant(of([1, 1, 0, 0, 0, 3]), price, ONE, 4)

    assert Fraction(best.cost) == 4 * Fraction(price) + 3
    assert best.reserved.tolist() == [NANOS, NANOS, NANOS, NANOS, 0, 0]


def test_a_term_longer_than_any_history() -> None:
    """A perpetual licence, say: ten billion hours for the price of three."""
    for rule, cost in ((break_even, 2 + 3), (clairvoyant, 3)):
        assert rule(of([1] * 9), Decimal("0.0000000003"), ONE, 10**10).cost == cost


def test_an_hour_of_which_nothing_is_known_passes() -> None:
    """A fee of 2 in a term of 4, rent in the hours 0 and 4, a term apart. Were gaps left out, it would buy."""
    gaps = break_even(of([1, None, None, None, 1]), Decimal("0.5"), ONE, 4)
    joined = break_even(of([1, 1]), Decimal("0.5"), ONE, 4)

    assert [gaps.cost, gaps.reservations] == [2, 0]
    assert [joined.cost, joined.reservations] == [3, 1]


def test_a_reservation_runs_through_a_gap() -> None:
    best = clairvoyant(of([1, 1, None, 1, 1]), Decimal("0.5"), ONE, 5)

    assert best.cost == Decimal("2.5")
    assert best.reserved.tolist() == [NANOS] * 5


def test_whole_units_round_demand_up_for_all() -> None:
    hours: Hours = [Decimal("0.1"), Decimal("1.5"), 2, 0]
    for rule in (break_even, clairvoyant):
        units = rule(of(hours), Decimal("0.4"), ONE, 3, unit=NANOS)
        rounded = rule(of([1, 2, 2, 0]), Decimal("0.4"), ONE, 3)

        assert units.cost == rounded.cost
        assert units.on_demand_cost == 5
        assert (units.reserved == rounded.reserved).all()


def test_levels_do_not_lend_to_each_other() -> None:
    """Three hours of 1, 2, 1 GPUs and terms of two: two that overlap would serve all for 2.4, were they pooled."""
    best = clairvoyant(of([1, 2, 1]), Decimal("0.6"), ONE, 2)

    assert best.cost == Decimal("3.2")


def test_what_does_not_pay_is_not_bought() -> None:
    for price in (ONE, Decimal(2)):
        for rule in (break_even, clairvoyant):
            bought = rule(of([3] * 20), price, ONE, 5)

            assert [bought.cost, bought.reservations, bought.share] == [60, 0, 1]


def test_without_demand_there_is_no_ratio() -> None:
    for hours in ([], [0, None, 0]):
        followed, best = (rule(of(hours), Decimal("0.5"), ONE, 2) for rule in (break_even, clairvoyant))

        assert [followed.cost, followed.share, followed.ratio(best)] == [0, None, None]
        assert len(best.reserved) == len(hours)


def test_a_gift_is_taken_when_it_is_needed() -> None:
    followed, best = (rule(of([0, 2, 2, 2]), Decimal(0), ONE, 2) for rule in (break_even, clairvoyant))

    assert followed.cost == best.cost == 0
    assert followed.reserved.tolist() == [0, 2 * NANOS, 2 * NANOS, 2 * NANOS]
    assert followed.ratio(best) is None


@pytest.mark.parametrize(("price", "term"), [(Decimal("0.5"), 0), (Decimal("-0.1"), 5)])
def test_nonsense_is_refused(price: Decimal, term: int) -> None:
    for rule in (break_even, clairvoyant):
        with pytest.raises(UsageError, match="can't be computed"):
            rule(of([1]), price, ONE, term)


@pytest.mark.parametrize(
    ("discount", "offline", "followed", "ratio", "reservations"),
    [("0.4", "0.6638", "0.7868", "1.185", 37816), ("0.3", "0.7527", "0.8766", "1.165", 36551)],
)
def test_the_published_figures_of_the_real_fleet(
    discount: str, offline: str, followed: str, ratio: str, reservations: int
) -> None:
    """Six months of a fleet in terms of 28 days; the figures are of demand to the nearest whole GPU."""
    demand = of([round(one) for one in fleet()])
    rule, best = (what(demand, 1 - Decimal(discount), ONE, 672) for what in (break_even, clairvoyant))

    assert rule.on_demand_cost == 41_699_267
    assert rule.share is not None
    assert best.share is not None
    assert round(best.share, 4) == Decimal(offline)
    assert round(rule.share, 4) == Decimal(followed)
    assert rule.reservations == reservations
    assert round(rule.ratio(best) or 0, 3) == Decimal(ratio)


def test_the_real_fleet_in_fractions_and_in_whole_units() -> None:
    """Unrounded, shares are the same to four digits; in whole units, a few reservations more."""
    demand = of(fleet())
    exact = break_even(demand, Decimal("0.6"), ONE, 672)
    units = break_even(demand, Decimal("0.6"), ONE, 672, unit=NANOS)

    assert exact.share is not None
    assert round(exact.share, 4) == Decimal("0.7868")
    assert [exact.reservations, units.reservations] == [Decimal("37816.42"), 37819]
    assert int(units.reserved.sum()) % NANOS == 0
    assert np.all(exact.reserved <= demand.nanos.max())
