"""AWS' lists of commitments become rows: term, state, money per hour and over the term, GPUs held."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.records.aws_commitments import AwsCommitmentsReader
from tests.sources.records.reading import FIXTURES, broken_json, check_rows, read, written

_READER = AwsCommitmentsReader()
_FILES = sorted(FIXTURES.glob("aws_*.json"))


def _document(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((FIXTURES / name).read_text())
    return found


def test_savings_plans() -> None:
    (compute, p5), problems = read(_READER, FIXTURES / "aws_savings_plans.json")
    assert problems == []
    assert compute.identity == ("arn:aws:savingsplans::111122223333:savingsplan/22222222-aaaa-4bbb-8ccc-000000000001")
    assert (compute.source, compute.tags) == ("111122223333", {"team": "platform"})
    assert compute.values["ContractCommitmentCategory"] == "Spend"
    assert compute.values["ContractCommitmentCost"] == Decimal(91_980), "10.50 x 8,760 hours, though it ends at :59"
    assert compute.values["x_HourlyCommitment"] == compute.values["x_RecurringHourlyCost"] == Decimal("10.5")
    assert compute.values["ContractCommitmentLifecycleStatus"] == "Active"
    assert compute.values["ContractCommitmentPaymentModel"] == "No Upfront"
    assert "x_GpuType" not in compute.values, "it is bound to no instance"
    assert p5.values["ContractCommitmentCost"] == Decimal(840_960), "32 x 26,280 hours"
    # What is paid agrees with what was promised: half of it at the start, half over the hours.
    assert p5.values["x_UpfrontCost"] == Decimal(420_480) == Decimal(16) * 26_280
    assert (p5.values["x_InstanceFamily"], p5.values["x_GpuType"], p5.values["x_Region"]) == ("p5", "H100", "us-east-1")
    assert (p5.values["ContractCommitmentLifecycleStatus"], p5.values["x_State"]) == ("Pending", "queued")


def test_reserved_instances() -> None:
    (gpus, cut_short), problems = read(_READER, FIXTURES / "aws_reserved_instances.json")
    assert problems == []
    assert gpus.values["ContractCommitmentQuantity"] == Decimal(17_520), "2 instances x 8,760 hours"
    assert gpus.values["ContractCommitmentUnit"] == "Hours"
    assert gpus.values["x_UpfrontCost"] == Decimal(132_000), "prices are for one instance"
    assert gpus.values["x_RecurringHourlyCost"] == Decimal("30.25")
    assert gpus.values["ContractCommitmentCost"] == Decimal(396_990), "2 x (66,000 + 15.125 x 8,760)"
    assert (gpus.values["x_GpuType"], gpus.values["x_CommittedGpus"]) == ("A100-40GB", Decimal(16))
    assert (gpus.values["x_InstanceType"], gpus.values["x_InstanceCount"]) == ("p4d.24xlarge", 2)
    assert (gpus.values["x_Region"], gpus.tags) == ("us-east-1", {"team": "research"})
    assert gpus.values["ContractCommitmentType"] == "Standard Reserved Instance"
    assert cut_short.values["ContractCommitmentQuantity"] == Decimal(240), "ten days, not the year that was bought"
    assert cut_short.values["ContractCommitmentCost"] == Decimal(360)
    assert cut_short.values["ContractCommitmentLifecycleStatus"] == "Expired"
    assert not {"x_GpuType", "x_Region"} & set(cut_short.values)


def test_capacity_that_can_be_given_back_is_no_commitment() -> None:
    (block, future), problems = read(_READER, FIXTURES / "aws_capacity_reservations.json")
    assert [(problem.code, problem.line) for problem in problems] == [("not-a-commitment", None)]
    assert problems[0].message == "capacity reservations that can be given back: 1"
    assert block.values["ContractCommitmentType"] == "Capacity Block"
    assert block.values["ContractCommitmentQuantity"] == Decimal(1344), "4 x 14 days"
    assert (block.values["x_GpuType"], block.values["x_CommittedGpus"]) == ("H100", Decimal(32))
    assert "ContractCommitmentCost" not in block.values, "the fee is not in this list"
    assert block.tags == {"project": "pretraining"}
    assert future.values["x_InstanceCount"] == 10, "what was promised, not what is held"
    assert future.values["ContractCommitmentPeriodEnd"] == datetime(2026, 6, 15)
    assert future.values["ContractCommitmentQuantity"] == Decimal(3360)


def test_training_plans() -> None:
    (plan,), problems = read(_READER, FIXTURES / "aws_training_plan.json")
    assert problems == []
    assert plan.values["ContractCommitmentPeriodStart"] == datetime(2026, 9, 7, 11, 30), "UTC"
    assert plan.values["ContractCommitmentCost"] == plan.values["x_UpfrontCost"] == Decimal("9876.54")
    assert plan.values["ContractCommitmentQuantity"] == Decimal(143), "2 x 71.5 hours"
    assert (plan.values["x_InstanceType"], plan.values["x_InstanceFamily"]) == ("ml.p5en.48xlarge", "p5en")
    assert (plan.values["x_GpuType"], plan.values["x_CommittedGpus"]) == ("H200", Decimal(16))
    assert (plan.source, plan.values["x_Region"]) == ("111122223333", "us-east-2")


def test_a_list_of_answers_and_json_lines_say_the_same(tmp_path: Path) -> None:
    documents = [_document(path.name) for path in _FILES]
    one_by_one = {fact.identity: fact.values for path in _FILES for fact in read(_READER, path)[0]}
    together, _ = read(_READER, written(tmp_path, "all.json", json.dumps(documents)))
    lines, _ = read(_READER, written(tmp_path, "all.jsonl", "\n".join(map(json.dumps, documents))))
    assert {fact.identity: fact.values for fact in together} == one_by_one
    assert {fact.identity: fact.values for fact in lines} == one_by_one
    assert [fact.line for fact in together] == [1, 2, 4, 5, 6, 7, 8], "the third is no commitment"


def test_cli_version_1_writes_times_as_numbers(tmp_path: Path) -> None:
    plan = {**_document("aws_training_plan.json"), "StartTime": 1788780600.0, "EndTime": 1789038000}
    (fact,), _ = read(_READER, written(tmp_path, "a.json", json.dumps(plan)))
    assert fact.values["ContractCommitmentPeriodStart"] == datetime(2026, 9, 7, 11, 30)
    assert fact.values["ContractCommitmentPeriodEnd"] == datetime(2026, 9, 10, 11)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"commitment": None}, "missing-amount"),
        ({"commitment": "ten"}, "unparsable-amount"),
        ({"commitment": "-1"}, "unusable-record"),
        ({"currency": None}, "missing-currency"),
        ({"currency": "$"}, "bad-currency"),
        ({"start": None}, "missing-time"),
        ({"end": "soon"}, "unparsable-time"),
        ({"end": "2020-01-01T00:00:00Z"}, "period-reversed"),
        ({"savingsPlanId": "", "savingsPlanArn": None}, "unusable-record"),
        ({"termDurationInSeconds": 10**12}, "unusable-record"),
    ],
)
def test_a_bad_plan_is_a_problem_and_the_other_loads(tmp_path: Path, change: dict[str, object], code: str) -> None:
    plans = json.loads((FIXTURES / "aws_savings_plans.json").read_text())["savingsPlans"]
    plans[1] |= change
    facts, problems = read(_READER, written(tmp_path, "a.json", json.dumps({"savingsPlans": plans})))
    assert [fact.line for fact in facts] == [1]
    assert [(problem.code, problem.line) for problem in problems] == [(code, 2)]


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"savingsPlans": [{"savingsPlanId": "x"}]}',
        '{"ReservedInstancesOfferings": [{"ReservedInstancesOfferingId": "x"}]}',
        '{"SavingsPlansUtilizationsByTime": [], "Total": {}}',
        '{"TrainingJobName": "x", "TrainingPlanArn": "y"}',
        '[{"kind": "compute#commitment", "id": "1"}]',
        "a,b\n1,2\n",
    ],
)
def test_other_files_are_not_taken(tmp_path: Path, content: str) -> None:
    assert not _READER.recognises(open_facts(written(tmp_path, "a.json", content)))


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_broken_records_never_raise(tmp_path: Path, path: Path) -> None:
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(content=broken_json(json.loads(path.read_text())), array=st.booleans())
    def attempt(content: str, array: bool) -> None:
        file = open_facts(written(tmp_path, "a.json", f"[{content}]" if array else content))
        _READER.recognises(file)
        check_rows(_READER.table, [one for one in _READER.facts(file) if isinstance(one, Fact)])

    attempt()
