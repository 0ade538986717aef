"""What was planted in the synthetic company is found to the last digit, and nothing is counted that isn't proven."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from outlay.config import Settings
from outlay.demo.company import generate
from outlay.optimize.finding import Finding
from outlay.optimize.overspend import Overspend, overspend
from outlay.prices.rates import RateBook

ROWS = 50_000


@dataclass(frozen=True)
class Found:
    """The answer over the current bills (a restated file in place of the one it corrects), and what was planted."""

    answer: Overspend
    truth: dict[str, Any]

    def plant(self, name: str) -> dict[str, Any]:
        (entry,) = [one for one in self.truth["planted"] if one["id"] == name]
        return dict(entry)

    def finding(self, detector: str, words: str) -> Finding:
        (one,) = [f for f in self.answer.findings if f.detector == detector and words in f.id]
        return one


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    company = generate(tmp_path_factory.mktemp("planted"), rows=ROWS)
    restated = {path.name: path for path in company.restated}
    assert restated
    bills = [restated.get(path.name, path) for path in company.files]
    truth = json.loads((company.folder / "truth.json").read_text(encoding="utf-8"))
    return Found(overspend(bills, Settings(), RateBook()), truth)


@pytest.mark.parametrize(
    ("plant", "detector", "words"),
    [
        ("idle-provisioned", "idle-provisioned", ""),
        ("unused-commitment", "unused-commitments", ""),
        ("batch-tier", "batch-tier", "nightly-summaries"),
        ("steady-on-demand", "steady-on-demand", "g5.12xlarge"),
        ("non-production-hours", "non-production-hours", ":dev"),
        ("interruptible-training", "interruptible-training", "p4d.24xlarge:us-west-2:tagged"),
    ],
)
def test_a_plant_counts_with_its_worth(found: Found, plant: str, detector: str, words: str) -> None:
    told, one = found.plant(plant), found.finding(detector, words)
    assert one.saving == Decimal(told["saving"])
    assert (one.counted, one.needs) == (True, "")
    assert (one.rows, one.cost) == (told["rows"], Decimal(told["effective_cost"]))
    assert one.evidence
    assert all(evidence.file and evidence.row for evidence in one.evidence)


def test_only_plants_count_and_the_overspend_is_their_sum(found: Found) -> None:
    counted = [f for f in found.answer.findings if f.counted]
    assert len(counted) == 6
    planted = ["idle-provisioned", "unused-commitment", "batch-tier", "steady-on-demand"]
    planted += ["non-production-hours", "interruptible-training"]
    assert found.answer.overspend == sum(Decimal(found.plant(name)["saving"]) for name in planted)
    assert found.answer.overspend == sum(f.saving for f in counted if f.saving is not None)


def test_an_older_card_is_listed_with_its_worth_and_not_counted(found: Found) -> None:
    one = found.finding("older-generation", "p3.8xlarge")
    assert one.saving == Decimal(found.plant("older-generation")["saving"]) == Decimal("25994.32")
    assert not one.counted
    assert one.needs


def test_uncached_input_is_listed_below_its_ceiling_and_not_counted(found: Found) -> None:
    one, told = found.finding("prompt-caching", "vision"), found.plant("uncached-input")
    assert one.saving is not None
    assert 0 < one.saving <= Decimal(told["most_that_caching_could_save"])
    assert (one.rows, one.cost) == (told["rows"], Decimal(told["effective_cost"]))
    assert not one.counted
    assert one.needs


def test_totals_are_the_truth(found: Found) -> None:
    totals, told = found.answer.totals, found.truth["totals"]["USD"]
    assert totals.billed_cost == Decimal(told["BilledCost"])
    assert totals.effective_cost == Decimal(told["EffectiveCost"])
    assert (totals.rows, totals.currency, totals.others) == (found.truth["rows"], "USD", ())
    assert (totals.ai_cost, totals.ai_rows) == (
        Decimal(found.truth["ai"]["effective_cost"]),
        found.truth["ai"]["rows"],
    )
    assert totals.since.date().isoformat() == found.truth["since"]
    assert found.answer.problems == ()
    assert found.answer.synthetic


def test_slices_and_days_add_up_to_the_ai_cost(found: Found) -> None:
    for name, slices in found.answer.slices.items():
        assert sum(one.cost for one in slices) == found.answer.totals.ai_cost, name
    assert sum(cost for _, _, cost in found.answer.days) == found.answer.totals.ai_cost


def test_the_document_has_the_fields_of_the_contract(found: Found) -> None:
    document = json.loads(json.dumps(found.answer.to_json()))
    fields = "rows seconds currency period billed_cost effective_cost ai_cost overspend findings problems"
    assert set(fields.split()) <= set(document)
    assert document["period"] == {"since": "2025-11-01T00:00:00Z", "until": "2026-11-01T00:00:00Z"}
    for one in document["findings"]:
        assert {"id", "title", "saving", "counted", "basis", "rows", "why", "evidence"} <= set(one)
    counted = [Decimal(one["saving"]) for one in document["findings"] if one["counted"]]
    assert sum(counted) == Decimal(document["overspend"])
