"""Each guardrail passes up to its limit, blocks beyond it and says by how much; what nobody knows is not passed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from outlay.config import CommitmentSettings, GuardrailSettings
from outlay.errors import UsageError
from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.plan import Plan, plan, today_of
from outlay.optimize.commitments.sealed.document import plan_document
from outlay.optimize.commitments.sealed.purchase import purchases
from tests.optimize.commitments.series import demand, offer, steady

CREATED = datetime(2026, 10, 20, 9, 30)  # a day after the end of twenty weeks from Monday 1 June
TODAY = date(2026, 10, 19)


def planned(*offers: Offer, demands: tuple[Demand, ...] = (), owned: Any = None, **rails: Any) -> Plan:
    given = demands or (steady(20),)
    settings = CommitmentSettings(guardrails=GuardrailSettings(**rails))
    return plan(given, offers or (offer(),), settings, owned=owned, today=today_of(given), paths=100)


def sealed(
    found: Plan,
    last: Mapping[str, date | None] | None = None,
    *,
    created: datetime = CREATED,
    currency: str = "USD",
    only: tuple[str, ...] = (),
) -> dict[str, Any]:
    known = {"*": None} if last is None else last
    return plan_document(found, created=created, currency=currency, last_purchases=known, only=only)


def check(document: dict[str, Any], name: str, pool: str | None = None) -> dict[str, Any]:
    (found,) = [one for one in document["guardrails"] if one["name"] == name and pool in (None, one["pool"])]
    assert isinstance(found, dict)
    return found


def test_a_plan_within_all_of_them_is_executable() -> None:
    document = sealed(planned())
    assert document["executable"] is True
    assert document["executable_why"] == []
    assert [one["name"] for one in document["guardrails"]] == [
        "max_total",
        "max_hourly",
        "overlap",
        "valid_days",
        "max_term_months",
        "families",
        "coverage_ceiling",
        "spike",
        "cooldown_days",
    ]
    assert all(one["passed"] is True for one in document["guardrails"])


@pytest.mark.parametrize("name", ["max_total", "max_hourly"])
def test_limits_on_money_hold_over_all_pools_and_steps(name: str) -> None:
    """69 GPUs of H100 and 34 of A100 at 1.20: no pool alone passes the limit, both together do."""
    pools = (steady(20), steady(20, mean=50, pool="A100"))
    offers = (offer(pools=("*",)),)
    whole = purchases(planned(*offers, demands=pools))
    assert {one.pool for one in whole} == {"H100", "A100"}
    gpus = sum(one.nanos for one in whole) // NANOS
    actual = Decimal("1.20") * gpus * (8760 if name == "max_total" else 1)
    at = check(sealed(planned(*offers, demands=pools, **{name: actual})), name)
    assert (at["passed"], Decimal(at["actual"])) == (True, actual)
    document = sealed(planned(*offers, demands=pools, **{name: actual - Decimal("0.01")}))
    over = check(document, name)
    assert over["passed"] is False
    assert "0.01 more than the" in over["words"]
    assert document["executable"] is False
    assert document["executable_why"] == [f"{name}: {over['words']}"]
    bought = sum(Decimal(one["total"]) for one in document["purchases"])
    assert bought == sum(one.total for one in whole)  # blocked, and not shrunk


def test_money_in_another_currency_than_the_limits() -> None:
    found = planned(offer(currency="EUR"), max_total=Decimal(1))
    document = sealed(found)
    assert check(document, "max_total")["passed"] is None
    assert document["executable"] is None
    assert check(sealed(found, currency="EUR"), "max_total")["passed"] is False
    assert check(sealed(planned(offer(currency="EUR"))), "max_total")["passed"] is True  # no limit, nothing to compare


def test_the_term() -> None:
    assert check(sealed(planned(max_term_months=12)), "max_term_months")["passed"] is True
    found = check(sealed(planned(offer(term_months=36, name="3y"), max_term_months=35)), "max_term_months")
    assert (found["passed"], found["limit"], found["actual"]) == (False, "35", "36")
    assert "1 more than" in found["words"]


@pytest.mark.parametrize(
    ("pool", "families", "passed"),
    [
        ("H100/us-east-1/inference", ("h100", "A100"), True),
        ("H100/us-east-1/inference", ("H200",), False),
        ("H100", ("H100",), True),
        ("H100", ("H10",), False),
    ],
)
def test_families(pool: str, families: tuple[str, ...], passed: bool) -> None:
    found = planned(offer(pools=(pool,)), demands=(steady(20, pool=pool),), families=families)
    assert check(sealed(found), "families")["passed"] is passed


def test_every_member_of_a_union_must_be_of_a_family_that_may_be_bought() -> None:
    pools = (steady(20), steady(20, pool="A100"))
    found = planned(offer(pools=("H100", "A100")), demands=pools, families=("H100",))
    told = check(sealed(found), "families")
    assert (told["pool"], told["passed"]) == ("H100|A100", False)
    assert told["words"] == "A100 is not among H100."


def test_coverage_is_of_what_is_owned_and_what_is_bought() -> None:
    owned = {"H100": [Owned(30 * NANOS, None)]}
    found = planned(owned=owned)
    (bought,) = {one.pool for one in purchases(found)}
    assert bought == "H100"
    level = max(one.owned_then for one in purchases(found))
    assert level > sum(one.nanos for one in purchases(found))
    last = found.pools[0].demand.last(90 * 24).nanos
    by_hand = Decimal(int(np.minimum(last, level).sum())) / int(last.sum())
    told = check(sealed(found), "coverage_ceiling")
    assert abs(Decimal(told["actual"]) - by_hand) < Decimal("0.000001")
    assert told["passed"] is True


def test_a_ceiling_below_what_is_owned_and_bought_blocks() -> None:
    """The plan sizes under its own ceiling; a lower one, set afterwards, stops it."""
    found = planned()
    lowered = CommitmentSettings(guardrails=GuardrailSettings(coverage_ceiling=Decimal("0.60")))
    document = sealed(Plan(found.pools, lowered, found.today, found.paths, found.scenarios))
    told = check(document, "coverage_ceiling")
    assert told["passed"] is False
    assert "points more than the 60%" in told["words"]
    assert document["executable"] is False


def test_what_is_owned_in_gpus_and_what_is_bought_in_money_are_added_up_hour_by_hour() -> None:
    """10 of H100 at 2.00 and 10 of A100 at 4.00 on demand are 60 an hour. 4 A100 are owned: 16 of it."""
    pools = (demand([10.0] * 20 * 168), demand([10.0] * 20 * 168, pool="A100"))
    plans = [
        offer("1.00", "2.00", pools=("H100",), name="sp", form="savings_plan"),
        offer("3.00", "4.00", pools=("A100",), name="sp", form="savings_plan"),
    ]
    owned = {"A100": [Owned(4 * NANOS, None)]}
    document = sealed(planned(*plans, demands=pools, owned=owned, coverage_ceiling=Decimal(1)), only=("H100|A100",))
    assert {one["pool"] for one in document["purchases"]} == {"H100|A100"}
    told = check(document, "coverage_ceiling")
    # It promises so much an hour; 10 of it serve H100, where the discount is largest, the rest A100 at 3.00.
    bought = document["purchases"]
    billed = sum((Decimal(one["quantity"]) * Decimal(one["unit_price"]) for one in bought), Decimal(0))
    assert billed > 10
    by_hand = (16 + 20 + (billed - 10) / 3 * 4) / 60
    assert abs(Decimal(told["actual"]) - by_hand) < Decimal("0.000001")
    assert told["passed"] is True
    assert document["executable"] is True


def test_gpus_owned_of_a_pool_that_idles_cover_no_other() -> None:
    """A100 is used in half of the hours; the 10 that are owned of it serve no H100, and money is no different."""
    hours = range(20 * 168)
    pools = (demand([30.0] * 20 * 168), demand([30.0 * (hour % 2) for hour in hours], pool="A100"))
    owned = {"A100": [Owned(10 * NANOS, None)]}
    for form in ("savings_plan", "reservation"):
        entries = (
            [offer(pools=(name,), name="both", form=form) for name in ("H100", "A100")]
            if form == "savings_plan"
            else [offer(pools=("H100", "A100"), name="both")]
        )
        found = planned(*entries, demands=pools, owned=owned, coverage_ceiling=Decimal(1))
        document = sealed(found, only=("H100|A100",))
        worth = 2 if form == "savings_plan" else 1
        level = sum((Decimal(one["quantity"]) for one in document["purchases"]), Decimal(0)) / worth
        assert 0 < level < 30, form
        told = check(document, "coverage_ceiling")
        assert abs(Decimal(told["actual"]) - (5 + level) / 45) < Decimal("0.000001"), form


def test_what_ends_within_the_ladder_is_not_counted_beside_what_replaces_it() -> None:
    pools = (demand([10.0] * 20 * 168), demand([10.0] * 20 * 168, pool="A100"))
    plans = [offer(pools=(name,), name="sp", form="savings_plan") for name in ("H100", "A100")]
    found = []
    for until in (None, date(2026, 11, 1)):
        made = planned(*plans, demands=pools, owned={"A100": [Owned(4 * NANOS, until)]})
        found.append(sealed(made, only=("H100|A100",)))
    stays, ends = found
    assert any(one["why"].startswith("in place of") for one in ends["purchases"])
    assert len(ends["purchases"]) == len(stays["purchases"]) + 1
    assert check(ends, "coverage_ceiling")["actual"] == check(stays, "coverage_ceiling")["actual"] == "0.7"


def test_a_spike_is_seen_in_the_evidence() -> None:
    found = planned()
    assert check(sealed(found), "spike")["passed"] is True
    steep = CommitmentSettings(guardrails=GuardrailSettings(spike=Decimal("0.001")))
    told = check(sealed(Plan(found.pools, steep, found.today, found.paths, found.scenarios)), "spike")
    assert told["passed"] is False
    assert "a spike is from" in told["words"]
    exactly = CommitmentSettings(guardrails=GuardrailSettings(spike=found.pools[0].evidence.spike))
    at = check(sealed(Plan(found.pools, exactly, found.today, found.paths, found.scenarios)), "spike")
    assert at["passed"] is False  # as the verdict has it: by this share or more


def test_the_cool_down() -> None:
    found = planned()
    told = {
        last: check(sealed(found, {"H100": last}), "cooldown_days")["passed"]
        for last in (date(2026, 10, 12), date(2026, 10, 13), None)
    }
    assert told == {date(2026, 10, 12): True, date(2026, 10, 13): False, None: True}
    early = check(sealed(found, {"*": date(2026, 10, 18)}), "cooldown_days")
    assert early["actual"] == "1"
    assert "6 fewer than the 7" in early["words"]


def test_a_last_purchase_that_nobody_told_is_not_passed() -> None:
    document = sealed(planned(), {"A100": None})
    told = check(document, "cooldown_days")
    assert told["passed"] is None
    assert "--last-purchase" in told["words"]
    assert document["executable"] is None
    assert "H100" in document["executable_why"][0]


def test_a_union_cools_down_from_the_latest_purchase_for_any_member() -> None:
    pools = (steady(20), steady(20, pool="A100"))
    found = planned(offer(pools=("H100", "A100")), demands=pools)
    assert check(sealed(found, {"H100": None, "A100": date(2026, 10, 18)}), "cooldown_days")["passed"] is False
    assert check(sealed(found, {"H100": None}), "cooldown_days")["passed"] is None


def test_old_evidence() -> None:
    found = planned()
    assert check(sealed(found, created=datetime(2026, 10, 26, 23)), "valid_days")["passed"] is True
    document = sealed(found, created=datetime(2026, 10, 27))
    assert check(document, "valid_days")["passed"] is False
    assert document["executable"] is False
    assert document["valid_until"] == "2026-10-26"  # from the end of the evidence, not from the day of the paper


def test_hours_without_dates_have_no_age() -> None:
    hours = [float(one) / NANOS for one in steady(20).nanos]
    document = sealed(planned(demands=(demand(hours, first=0),)))
    assert check(document, "valid_days")["passed"] is None
    assert document["executable"] is None
    assert [one["due"] for one in document["purchases"]] == [True, False, False]


def test_a_pool_is_not_committed_to_alone_and_in_a_union() -> None:
    pools = (steady(20), steady(20, pool="A100"))
    both = planned(offer(), offer(pools=("H100", "A100"), name="both"), demands=pools)
    document = sealed(both)
    told = check(document, "overlap")
    assert (told["passed"], told["actual"]) == (False, "2")
    assert "H100 in H100 and H100|A100" in told["words"]
    assert "H100|A100 is expected to save" in told["words"]
    assert "USD over 12 months, H100 alone" in told["words"]
    assert document["executable"] is False
    assert document["chosen"] is None
    chosen = sealed(both, only=("H100|A100",))
    assert chosen["executable"] is True
    assert chosen["chosen"] == ["H100|A100"]
    assert {one["pool"] for one in chosen["purchases"]} == {"H100|A100"}
    with pytest.raises(UsageError, match="no pool 'H10'"):
        sealed(both, only=("H10",))


def test_nothing_to_buy_is_nothing_to_carry_out() -> None:
    document = sealed(planned(offer("2.00")))
    assert document["purchases"] == []
    assert document["executable"] is False
    assert "nothing to buy" in document["executable_why"][0]
    assert today_of([steady(20)]) == TODAY
