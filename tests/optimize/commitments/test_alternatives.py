"""A pool and its unions are alternatives: they point to each other, are compared, and no dollar counts twice."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from outlay.config import CommitmentSettings
from outlay.optimize.commitments.alternatives import bought, chosen, comparisons
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.plan import Plan, plan
from outlay.optimize.commitments.plan_json import plan_json
from outlay.report.commit_wording import bound, not_counted
from tests.optimize.commitments.series import demand, offer, steady

SETTINGS = CommitmentSettings()
POOLS = tuple(steady(20, pool=name) for name in "abc")


def planned(*offers: Offer, pools: str = "ab") -> Plan:
    return plan([one for one in POOLS if one.pool in pools], offers, SETTINGS, paths=100)


def mean_of(found: Plan, pool: str) -> float:
    (one,) = [one for one in found.pools if one.pool == pool]
    best = bought(one)
    assert best is not None
    assert best.risk is not None
    return best.risk.mean


def test_a_pool_that_a_union_alone_serves_points_to_it() -> None:
    found = planned(offer(pools=("a", "b"), name="either"))
    first, second, union = found.pools
    assert union.verdict.word == "commit"
    for one in (first, second):
        assert one.verdict.word == "wait"
        assert one.verdict.reasons == (
            "Served by the union a|b, whose verdict is commit: either.",
            "No offer is for this pool alone.",
        )
        assert one.verdict.because == one.verdict.reasons[0]
    json = plan_json(found)["pools"]
    assert json[0]["served_by"] == [{"pool": "a|b", "verdict": "commit"}]
    assert "served_by" not in json[2]


def test_it_says_why_where_the_union_is_not_to_be_bought() -> None:
    found = planned(offer(None, pools=("a", "b"), name="either"))
    assert found.pools[0].verdict.word == "wait"
    assert found.pools[0].verdict.because.startswith("Served by the union a|b, whose verdict is wait: No offer has a")
    dear = planned(offer("2.50", pools=("a", "b"), name="either"))
    assert [one.verdict.word for one in dear.pools] == ["never"] * 3
    assert dear.pools[0].verdict.because == (
        "Served by the union a|b, whose verdict is never: No offer is cheaper than on-demand."
    )


def test_an_offer_of_its_own_without_a_price_is_asked_for_still() -> None:
    found = planned(offer(pools=("a", "b"), name="either"), offer(None, pools=("a",), name="quote"))
    reasons = found.pools[0].verdict.reasons
    assert reasons[0] == "Served by the union a|b, whose verdict is commit: either."
    assert reasons[1].startswith("By itself: No offer has a known price")
    assert reasons[2].startswith("quote: its price is unknown")


def test_what_rules_a_pool_out_by_itself_stands() -> None:
    idle = demand([5.0] * (19 * 168) + [0.0] * 168, pool="idle")
    first, *_ = plan([idle, POOLS[0]], [offer(pools=("idle", "a"), name="either")], SETTINGS, paths=100).pools
    assert (first.verdict.word, first.verdict.reasons) == ("never", ("Nobody used this pool in the last seven days.",))


@pytest.mark.parametrize(("price", "better", "counted"), [("1.10", "union", ["a|b"]), ("1.30", "alone", ["a", "b"])])
def test_the_union_and_its_pools_are_compared_by_what_each_is_expected_to_save(
    price: str, better: str, counted: list[str]
) -> None:
    found = planned(offer(pools=("*",), name="own"), offer(price, pools=("a", "b"), name="either"))
    compared = comparisons(found)["a|b"]
    assert compared.better == better
    assert compared.months == 12
    assert compared.together.saving == pytest.approx(mean_of(found, "a|b"))
    assert compared.alone.saving == pytest.approx(mean_of(found, "a") + mean_of(found, "b"))
    assert [one.pool for one in chosen(found)] == counted
    exposure = [best.exposure for one in found.pools if one.pool in counted and (best := bought(one)) is not None]
    assert bound(found) == {"USD": sum((one for one in exposure if one is not None), Decimal(0))}
    others = "a, b" if better == "union" else "a|b"
    assert not_counted(found).startswith(f"Not counted here: {others}.")
    json = {one["pool"]: one for one in plan_json(found)["pools"]}
    assert json["a|b"]["alternatives"]["better"] == better
    assert [name for name, one in json.items() if one["counted"]] == counted


def test_terms_that_differ_are_compared_by_the_month() -> None:
    found = planned(offer(pools=("*",), name="own"), offer("1.00", pools=("a", "b"), name="either", term_months=36))
    compared = comparisons(found)["a|b"]
    assert (compared.months, compared.together.saving, compared.alone.saving) == (None, None, None)
    assert compared.together.monthly == pytest.approx(mean_of(found, "a|b") / 36)
    assert compared.alone.monthly == pytest.approx((mean_of(found, "a") + mean_of(found, "b")) / 12)


def test_two_currencies_are_not_compared_and_pools_come_first() -> None:
    euros = offer("0.20", pools=("a", "b"), name="either", currency="EUR")
    found = planned(offer(pools=("*",), name="own"), euros)
    compared = comparisons(found)["a|b"]
    assert (compared.better, compared.why) == (None, "the purchases are in EUR and USD")
    assert compared.together.monthly is None
    assert [one.pool for one in chosen(found)] == ["a", "b"]


def test_a_union_alone_has_nothing_to_be_compared_with() -> None:
    found = planned(offer(pools=("a", "b"), name="either"))
    assert comparisons(found) == {}
    assert [one.pool for one in chosen(found)] == ["a|b"]
    assert not not_counted(found)


def test_of_unions_that_overlap_the_selection_worth_most_counts() -> None:
    """One union of a and b, one of b and c: either leaves a pool to itself, and a pool is never bought for twice."""
    offers = [
        offer("1.20", pools=("*",), name="own"),
        offer("1.10", pools=("a", "b"), name="ab"),
        offer("1.00", pools=("b", "c"), name="bc"),
    ]
    found = planned(*offers, pools="abc")
    assert [one.pool for one in chosen(found)] == ["a", "b|c"]
    mends = [replace(offers[1], unit_price=Decimal("0.90")), offers[2]]
    assert [one.pool for one in chosen(planned(offers[0], *mends, pools="abc"))] == ["c", "a|b"]
