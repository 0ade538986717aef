"""The static optimum is exact: it is the goldens', the newsvendor's, and never worse than any search."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.optimize.commitments.demand import NANOS, Demand, gpus
from outlay.optimize.commitments.sizing import Levels
from outlay.optimize.commitments.stability import stability
from tests.optimize.commitments.series import demand
from tests.shared import shared

ONE = Decimal(1)
_MODELS = "data/gpu_traces/alibaba_v2026_spot/derived_hourly_concurrency_top_models.csv"


def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shared("goldens/commitments.json").read_text(encoding="utf-8"))
    return found


def trace(file: str, column: str) -> Demand:
    with shared(file).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))[:4416]
    return demand([float(row[column]) for row in rows], pool=column, first=0)


def test_the_golden_optima() -> None:
    cases = golden()
    levels = Levels(trace(cases["file"], cases["column"]))
    assert levels.hours == cases["hours"]
    for case in cases["cases"]:
        price = ONE - Decimal(str(case["discount"]))
        best = levels.outcome(levels.optimum(price, ONE), price, ONE)
        capped = levels.outcome(levels.capped(Decimal("0.7")), price, ONE)
        assert best.saving_rate is not None
        assert best.utilization is not None
        assert best.coverage is not None
        assert capped.saving_rate is not None
        assert abs(best.quantity - case["quantity"]) <= 1
        assert float(best.cost / best.on_demand_cost) == pytest.approx(case["cost_over_on_demand"], abs=5e-4)
        assert float(best.saving_rate) == pytest.approx(case["saving"], abs=5e-4)
        assert float(best.utilization) == pytest.approx(case["utilization"], abs=5e-4)
        assert float(best.coverage) == pytest.approx(case["coverage"], abs=5e-4)
        assert float(capped.saving_rate) == pytest.approx(case["saving_if_coverage_capped_at_70pct"], abs=5e-4)


def test_the_golden_stability() -> None:
    cases = golden()
    for case in cases["stability_20pct_max_abs_week_over_week_change_of_weekly_mean"]:
        fleet = case["pool"] == "fleet"
        pool = trace(cases["file"], cases["column"]) if fleet else trace(_MODELS, case["pool"])
        found = stability(pool.part((26 - case["weeks"]) * 168, 26 * 168), Decimal("0.2"))
        assert found.weeks == case["weeks"]
        assert float(found.max_wow or 0) == pytest.approx(case["max"], abs=5e-4)
        assert found.stable is case["stable"]


# Gaps and whole numbers of a tenth of a GPU, prices in cents.
hours = st.lists(st.one_of(st.none(), st.integers(0, 60).map(lambda n: n / 10)), min_size=1, max_size=40).filter(
    lambda listed: any(one is not None for one in listed)
)
prices = st.integers(1, 150).map(lambda cents: Decimal(cents) / 100)


@given(hours, prices, st.sampled_from([0, NANOS, 8 * NANOS]))
def test_no_quantity_is_better(listed: list[float | None], price: Decimal, unit: int) -> None:
    levels = Levels(demand(listed))
    best = levels.optimum(price, ONE, unit=unit)
    assert best % (unit or 1) == 0
    cost = levels.outcome(best, price, ONE).cost
    for step in range(80):
        tried = step * (unit or NANOS // 10)
        assert cost <= levels.outcome(tried, price, ONE).cost


@given(hours, prices)
def test_the_outcome_is_the_sum_over_the_hours(listed: list[float | None], price: Decimal) -> None:
    known = [Decimal(str(one)) for one in listed if one is not None]
    quantity = Decimal("2.5")
    found = Levels(demand(listed)).outcome(int(quantity * NANOS), price, ONE)
    used = sum(min(one, quantity) for one in known)
    assert found.used == used
    assert found.committed == quantity * len(known)
    assert found.cost == price * quantity * len(known) + sum(max(Decimal(0), one - quantity) for one in known)
    assert found.on_demand_cost == found.demand == sum(known)


@given(hours, st.integers(0, 100).map(lambda n: Decimal(n) / 100))
def test_a_cap_is_reached_and_not_passed(listed: list[float | None], share: Decimal) -> None:
    levels = Levels(demand(listed))
    capped = levels.capped(share)
    outcome = levels.outcome(capped, ONE, ONE)
    if outcome.coverage is not None:
        assert outcome.coverage <= share or capped == 0
        more = levels.outcome(capped + levels.hours, ONE, ONE)
        assert more.coverage is not None
        assert more.coverage >= share or more.quantity > gpus(levels.peak)


def test_a_commitment_that_is_no_cheaper_is_not_bought() -> None:
    levels = Levels(demand([5, 5, 5]))
    assert levels.optimum(ONE, ONE) == 0
    assert levels.optimum(Decimal("0.99"), ONE) == 5 * NANOS


def test_whole_machines_are_the_better_neighbour() -> None:
    levels = Levels(demand([12.0] * 10))
    # 8 of 12 serve at 0.5: 10 x (8 x 0.5 + 4) = 80; 16 would be 10 x 8 = 80 as well; the smaller one is taken.
    assert levels.optimum(Decimal("0.5"), ONE, unit=8 * NANOS) == 8 * NANOS
    assert levels.optimum(Decimal("0.4"), ONE, unit=8 * NANOS) == 16 * NANOS
