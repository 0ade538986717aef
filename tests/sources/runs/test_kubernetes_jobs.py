"""Pods of Kubernetes jobs become attempts with the GPUs they requested, and how they ended is told apart."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.problems import Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.runs.kubernetes_jobs import KubernetesJobsReader
from tests.sources.runs.reading import FIXTURES, dumps, fits, mangled, read, survives

READER = KubernetesJobsReader()
LIST = FIXTURES / "kubernetes_jobs" / "list.json"


def pods(path: Path = LIST) -> dict[str, Fact]:
    found = [one for one in read(READER, path) if isinstance(one, Fact)]
    for one in found:
        fits(one)
    return {one.identity: one for one in found}


def test_a_pod_is_an_attempt_with_gpus_and_node() -> None:
    fact = pods()["p3"]
    assert fact.tags == {"namespace": "research", "team": "search"}
    assert fact.values == {
        "x_RunId": "research/ranker",
        "x_Attempt": 3,
        "x_RunName": "ranker",
        "x_Outcome": "succeeded",
        "x_State": "Succeeded",
        "submit_time": datetime(2026, 10, 3, 3, 59, 50),
        "start_time": datetime(2026, 10, 3, 6, 30),
        "end_time": datetime(2026, 10, 3, 8),
        "x_GpuCount": Decimal(8),
        "x_GpuType": "H100",
        "x_InstanceType": "p5.48xlarge",
        "x_GpuHours": Decimal(12),
        "x_Interruptible": True,
        "x_Account": "research",
        "x_Region": "us-east-1",
    }


def test_retries_are_numbered_by_their_start() -> None:
    found = pods()
    assert [found[uid].values["x_Attempt"] for uid in ("p1", "p2", "p3")] == [1, 2, 3]
    assert {found[uid].values["x_RunId"] for uid in ("p1", "p2", "p3")} == {"research/ranker"}


@pytest.mark.parametrize(
    ("uid", "outcome", "state", "hours"),
    [
        ("p1", "failed", "OOMKilled", "8"),
        ("p2", "preempted", "PreemptionByScheduler", "8"),
        ("p4", "timed out", "Error", "2"),  # its Job's deadline passed
        ("p5", "preempted", "TerminationByKubelet", "0.5"),  # evicted before a container ended
        ("p6", "pending", "Pending", None),
        ("p7", "node failure", "NodeLost", "0.1"),
        ("p8", "running", "Running", None),
        ("p10", "succeeded", "Succeeded", "0"),
    ],
)
def test_how_a_pod_ended(uid: str, outcome: str, state: str, hours: str | None) -> None:
    values = pods()[uid].values
    assert (values["x_Outcome"], values["x_State"]) == (outcome, state)
    assert values.get("x_GpuHours") == (None if hours is None else Decimal(hours))


def test_reasons_say_what_kubernetes_says() -> None:
    found = pods()
    assert found["p1"].values["x_Reason"] == "OOMKilled, exit code 137"
    assert found["p5"].values["x_Reason"] == "The node was low on resource: ephemeral-storage."


def test_mig_slices_and_init_containers() -> None:
    values = pods()["p9"].values
    assert values["x_GpuCount"] == Decimal("0.428571")  # the init container's 3/7 is more than the two 1/7
    assert values["x_GpuHours"] == Decimal("0.428571428571428571")
    assert values["x_GpuType"] == "A100-40GB"  # by the node's instance type
    assert values["x_Experiment"] == "nightly"  # the CronJob


def test_training_operators_pods_are_runs_and_others_are_not() -> None:
    found = pods()
    assert found["p8"].values["x_RunId"] == "research/mnist"
    assert found["p8"].values["x_WorkloadKind"] == "training"
    assert found["p8"].values["x_GpuCount"] == Decimal(4)
    assert "p11" not in found  # of a ReplicaSet


def test_jobs_whose_pods_are_gone_are_a_notice() -> None:
    notices = [one for one in read(READER, LIST) if isinstance(one, Problem)]
    assert [(one.code, one.message) for one in notices] == [
        ("attempts-missing", "jobs that ran and have no pods in the list: 1")
    ]


def test_claims_hide_the_devices(tmp_path: Path) -> None:
    document = json.loads(LIST.read_text())
    pod = next(one for one in document["items"] if one["metadata"]["uid"] == "p3")
    pod["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    path = tmp_path / "list.json"
    path.write_text(json.dumps({**document, "items": [pod]}))
    assert "x_GpuCount" not in pods(path)["p3"].values


def test_a_list_of_pods_alone(tmp_path: Path) -> None:
    items = [one for one in json.loads(LIST.read_text())["items"] if one["metadata"]["uid"] == "p3"]
    for one in items:
        del one["kind"], one["apiVersion"]
    path = tmp_path / "pods.json"
    path.write_text(json.dumps({"kind": "PodList", "apiVersion": "v1", "items": items}))
    assert pods(path)["p3"].values["x_Outcome"] == "succeeded"


@pytest.mark.parametrize(
    "content",
    [
        '{"kind": "List", "apiVersion": "v1", "items": []}',
        '{"kind": "NodeList", "apiVersion": "v1", "items": [{"metadata": {"name": "x"}}]}',
        '{"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "x"}}]}',
        '{"apiVersion": "v1", "items": [], "kind": 3}',
    ],
)
def test_lists_without_jobs_are_not_taken(tmp_path: Path, content: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=mangled(json.loads(LIST.read_text())))
def test_no_content_crashes_the_reader(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "list.json"
    path.write_text(dumps(document))
    survives(READER, path)
