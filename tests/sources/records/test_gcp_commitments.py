"""Google Cloud's commitments become rows: the term in UTC, the GPUs, a quantity only where it has one unit."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.prices.gpus import gpu
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.records.gcp_commitments import _GPUS, GcpCommitmentsReader
from tests.sources.records.reading import FIXTURES, broken_json, check_rows, read, written

_READER = GcpCommitmentsReader()
_SAMPLE = json.loads((FIXTURES / "gcp_commitments.json").read_text())


def test_commitments() -> None:
    (training, inference, licence), problems = read(_READER, FIXTURES / "gcp_commitments.json")
    assert problems == []
    assert training.identity == (
        "//compute.googleapis.com/projects/example-ml/regions/us-central1/commitments/a3-training"
    )
    assert training.source == "example-ml"
    assert training.values["ContractCommitmentPeriodStart"] == datetime(2026, 2, 11, 8), "UTC"
    assert (training.values["x_GpuType"], training.values["x_CommittedGpus"]) == ("H100", Decimal(8))
    assert not {"ContractCommitmentQuantity", "ContractCommitmentUnit", "ContractCommitmentCost"} & set(training.values)
    assert training.values["ContractCommitmentDescription"] == (
        "a3-training, ACCELERATOR_OPTIMIZED_A3, TWELVE_MONTH, 208 vCPU, 1916928 MB of memory, 8 nvidia-h100-80gb"
    )
    assert (training.values["x_Region"], training.values["x_AutoRenew"]) == ("us-central1", False)
    assert inference.values["ContractCommitmentQuantity"] == Decimal(105_216), "4 x 1,096 days x 24"
    assert inference.values["ContractCommitmentUnit"] == "GPU-Hours"
    assert inference.values["x_GpuType"] == "L4"
    assert (inference.values["ContractCommitmentLifecycleStatus"], inference.values["x_AutoRenew"]) == ("Pending", True)
    assert licence.values["ContractCommitmentLifecycleStatus"] == "Expired"
    assert not {"x_GpuType", "x_CommittedGpus", "ContractCommitmentQuantity"} & set(licence.values)


def test_every_accelerator_has_a_card() -> None:
    assert all(gpu(name) for name in _GPUS.values())


def test_an_accelerator_without_a_name_is_counted_and_noticed(tmp_path: Path) -> None:
    records = json.loads(json.dumps(_SAMPLE))
    records[1]["resources"][0]["acceleratorType"] = "nvidia-tesla-p4"
    facts, problems = read(_READER, written(tmp_path, "a.json", json.dumps(records)))
    assert facts[1].values["x_CommittedGpus"] == Decimal(4)
    assert "x_GpuType" not in facts[1].values
    assert [(problem.code, problem.line) for problem in problems] == [("unknown-gpu-instance", None)]


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "compute#commitmentList", "items": _SAMPLE},
        {
            "kind": "compute#commitmentAggregatedList",
            "items": {"regions/us-central1": {"commitments": _SAMPLE}, "regions/us-west1": {"warning": {}}},
        },
    ],
    ids=["list", "aggregated list"],
)
def test_the_api_says_the_same(tmp_path: Path, document: dict[str, object]) -> None:
    told, _ = read(_READER, written(tmp_path, "a.json", json.dumps(document)))
    assert told == read(_READER, FIXTURES / "gcp_commitments.json")[0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"startTimestamp": None}, "missing-time"),
        ({"endTimestamp": "2026"}, "unparsable-time"),
        ({"endTimestamp": "2001-01-01T00:00:00Z"}, "period-reversed"),
        ({"selfLink": None, "id": None}, "unusable-record"),
        ({"resources": [{"type": "VCPU"}]}, "unusable-record"),
        ({"resources": [{"type": "VCPU", "amount": "many"}]}, "unparsable-amount"),
    ],
)
def test_a_bad_commitment_is_a_problem_and_the_others_load(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    records = [_SAMPLE[0], {**_SAMPLE[1], **change}, _SAMPLE[2]]
    facts, problems = read(_READER, written(tmp_path, "a.json", json.dumps(records)))
    assert [fact.line for fact in facts] == [1, 3]
    assert [(problem.code, problem.line) for problem in problems] == [(code, 2)]


@pytest.mark.parametrize("content", ["[]", '[{"kind": "compute#instance"}]', '{"items": []}', '{"savingsPlans": []}'])
def test_other_files_are_not_taken(tmp_path: Path, content: str) -> None:
    assert not _READER.recognises(open_facts(written(tmp_path, "a.json", content)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=broken_json(_SAMPLE))
def test_broken_records_never_raise(tmp_path: Path, content: str) -> None:
    file = open_facts(written(tmp_path, "a.json", content))
    _READER.recognises(file)
    check_rows(_READER.table, [one for one in _READER.facts(file) if isinstance(one, Fact)])
