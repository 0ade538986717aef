"""Kubernetes Jobs and training jobs: ``kubectl get jobs,pods --all-namespaces -o json``, best with ``nodes`` too.

A pod is what holds GPUs, so a pod is an attempt: the retries of a Job are its pods, and so are the parallel ones, each
with its own time and GPUs. Pods of other owners (deployments, daemon sets) are no runs and are left out. The owner may
be a Job or one of the training operator's kinds (PyTorchJob, MPIJob, …), whose pods look the same.

GPUs are what the containers request of the device plugins (``nvidia.com/gpu`` and its like; ``nvidia.com/mig-1g.5gb``
as a share of a card), init containers counted as Kubernetes counts them. A pod that requests none holds none; one that
gets devices through resource claims says nothing of them. Time is held from the pod's start on its node, image pull
included, until its last container ended. Where the nodes are in the list, they tell GPU and instance type, region,
and whether the node was spot.

The traps: Kubernetes forgets. Pods go with their Job, or when its time to live is over, so export them at least that
often. A Job whose pods are gone is counted in a notice, not as a row. A pod that still runs has no end, and the list no
time, so it has no GPU hours yet.

Source: https://kubernetes.io/docs/reference/kubernetes-api/ (Job batch/v1, Pod core/v1). Not tried against a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal

from outlay.ledger.tables.runs import RUNS
from outlay.prices.gpus import gpu_instance
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, at, listed, mapped, quantity, text, told
from outlay.sources.runs.gpu_names import gpu_type, slice_share
from outlay.sources.runs.states import KUBERNETES_JOB, KUBERNETES_POD

__all__ = ["KubernetesJobsReader"]

_OWNERS = {"Job", "PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob", "RayJob", "VCJob"}
_DEVICES = {"nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe", "habana.ai/gaudi"}
_PRODUCT = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "cloud.google.com/gke-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
)
_SPOT = {
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "spot",
    "cloud.google.com/gke-spot": "true",
    "cloud.google.com/gke-preemptible": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
_NOT_TAGS = ("controller-uid", "job-name", "batch.kubernetes.io/", "pod-template-hash", "training.kubeflow.org/")


@dataclass(frozen=True, slots=True)
class _Pod:
    """A pod of a run, before its number among the run's pods is known."""

    line: int
    attempt: Attempt


class KubernetesJobsReader:
    """Reads a ``kubectl`` list of jobs and their pods."""

    format = Format(
        "kubernetes-jobs",
        "Kubernetes Jobs (kubectl get jobs,pods -o json)",
        "kubectl get jobs,pods,nodes --all-namespaces -o json, more often than finished pods are removed.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """A ``List`` (or ``PodList``, ``JobList``) that has a Job of ``batch/v1`` or a pod that a job owns."""
        if file.kind not in ("json", "jsonl") or '"items"' not in file.head or '"apiVersion"' not in file.head:
            return False
        if not isinstance(file.sample, dict) or not str(file.sample.get("kind", "")).endswith("List"):
            return False
        listing = str(file.sample["kind"]).removesuffix("List")
        return any(
            _kind(one, listing) in _OWNERS or (_kind(one, listing) == "Pod" and _owner(one) is not None)
            for one in listed(file.sample.get("items"))
        )

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row a pod of a job; a job's pods are numbered by their start."""
        for one in file.objects():
            if isinstance(one, Problem):
                yield one
            else:
                yield from _facts(file, one[1])


def _facts(file: FactFile, listing: Mapping[str, Any]) -> Iterator[Fact | Problem]:
    """The rows of one list."""
    kind = str(listing.get("kind", "")).removesuffix("List")
    items = list(enumerate(listed(listing.get("items")), start=1))
    nodes = {text(mapped(one, "metadata", "name")): one for _, one in items if _kind(one, kind) == "Node"}
    jobs = {_run_id(one): one for _, one in items if _kind(one, kind) in _OWNERS}
    pods: dict[str, list[_Pod]] = {}
    for number, one in items:
        if not isinstance(one, dict):
            yield file.problem(number, "not-json", f"item {number} is no JSON object")
        elif _kind(one, kind) == "Pod" and (owner := _owner(one)) is not None:
            try:
                attempt = _attempt(one, owner, jobs, nodes)
            except Unusable as unusable:
                yield unusable.problem(file, number)
                continue
            pods.setdefault(attempt.run_id, []).append(_Pod(number, attempt))
    for group in pods.values():
        group.sort(key=lambda pod: (pod.attempt.started or pod.attempt.submitted or datetime.max, pod.line))
        for order, pod in enumerate(group, start=1):
            yield told(file, pod.line, replace(pod.attempt, attempt=order))
    if gone := [run for run, job in jobs.items() if run not in pods and not _never_ran(job)]:
        yield file.problem(None, "attempts-missing", f"jobs that ran and have no pods in the list: {len(gone)}")


def _attempt(
    pod: Mapping[str, Any], owner: str, jobs: Mapping[str | None, Any], nodes: Mapping[str | None, Any]
) -> Attempt:
    metadata, status = pod.get("metadata"), pod.get("status")
    namespace = text(mapped(metadata, "namespace")) or "default"
    uid = text(mapped(metadata, "uid")) or text(mapped(metadata, "name"))
    if uid is None:
        raise Unusable("missing-identity", "the pod has no uid and no name")
    run_id = f"{namespace}/{owner}"
    state, reason = _state(status)
    labels = mapped(nodes.get(text(mapped(pod, "spec", "nodeName"))), "metadata", "labels")
    wanted = mapped(pod, "spec", "nodeSelector")
    gpus, device = _gpus(mapped(pod, "spec"))
    finished = KUBERNETES_POD.outcome(text(mapped(status, "phase"))) in ("succeeded", "failed")
    return Attempt(
        run_id=run_id,
        key=uid,
        outcome=_outcome(state, status, jobs.get(run_id)),
        state=state,
        name=owner,
        experiment=_parent(jobs.get(run_id)) or text(mapped(metadata, "labels", "jobset.sigs.k8s.io/jobset-name")),
        workload="training" if mapped(_controller(metadata), "kind") not in (None, "Job") else None,
        reason=reason,
        submitted=at(mapped(metadata, "creationTimestamp"), "creationTimestamp"),
        started=at(mapped(status, "startTime"), "status.startTime"),
        ended=_end(status) if finished else None,
        gpus=gpus,
        gpu_type=_card(labels, wanted, device),
        instance_type=_label(labels, "node.kubernetes.io/instance-type"),
        interruptible=None if labels is None else any(_label(labels, k, fold=True) == v for k, v in _SPOT.items()),
        account=namespace,
        region=_label(labels, "topology.kubernetes.io/region"),
        tags=_tags(metadata, namespace),
    )


def _state(status: Any) -> tuple[str, str | None]:  # noqa: ANN401 - whatever a file holds
    """The word that says most of how the pod ended, and what there is to tell of it."""
    disrupted = next(
        (
            one
            for one in listed(mapped(status, "conditions"))
            if mapped(one, "type") == "DisruptionTarget" and mapped(one, "status") == "True"
        ),
        None,
    )
    ended = [found for one in _containers(status) if (found := mapped(one, "state", "terminated")) is not None]
    bad = next((one for one in ended if mapped(one, "exitCode") != 0), None)
    phase = text(mapped(status, "phase")) or "Unknown"
    if phase == "Succeeded":
        return phase, None
    word = text(mapped(disrupted, "reason")) or text(mapped(status, "reason")) or text(mapped(bad, "reason"))
    code = mapped(bad, "exitCode")
    parts = (
        text(mapped(bad, "reason")),
        f"exit code {code}" if isinstance(code, int) else None,
        text(mapped(disrupted, "message")) or text(mapped(status, "message")) or text(mapped(bad, "message")),
    )
    said = ", ".join(part for part in parts if part)
    if phase != "Failed":
        return phase, said or None
    return word or phase, said or None


def _outcome(state: str, status: Any, job: Any) -> str:  # noqa: ANN401 - whatever a file holds
    """By the pod's own word; a pod that its Job stopped at the deadline says so only in the Job's condition."""
    found = KUBERNETES_POD.outcome(state)
    if found == "unknown":
        found = KUBERNETES_POD.outcome(text(mapped(status, "phase")))
    if found == "failed":
        for condition in listed(mapped(job, "status", "conditions")):
            if mapped(condition, "status") == "True" and mapped(condition, "type") == "Failed":
                late = KUBERNETES_JOB.outcome(text(mapped(condition, "reason")))
                return "timed out" if late == "timed out" and _killed(status) else found
    return found


def _killed(status: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    """Whether a container ended by SIGTERM or SIGKILL (143, 137), as it does when something else stops it."""
    return any(mapped(one, "state", "terminated", "exitCode") in (137, 143) for one in _containers(status))


def _end(status: Any) -> datetime | None:  # noqa: ANN401 - whatever a file holds
    """When the last container ended; for a pod without any, when it was taken off its node."""
    ends = [
        found
        for one in _containers(status)
        if (found := at(mapped(one, "state", "terminated", "finishedAt"), "finishedAt")) is not None
    ]
    if ends:
        return max(ends)
    changes = [
        found
        for one in listed(mapped(status, "conditions"))
        if mapped(one, "type") in ("DisruptionTarget", "Ready", "ContainersReady")
        and (found := at(mapped(one, "lastTransitionTime"), "lastTransitionTime")) is not None
    ]
    return max(changes, default=None)


def _gpus(spec: Any) -> tuple[Fraction | None, str | None]:  # noqa: ANN401 - whatever a file holds
    """GPUs that the pod holds and the device's name where it tells the type; None where claims hide them."""
    if listed(mapped(spec, "resourceClaims")):
        return None, None
    names: set[str] = set()
    together = sum((_devices(one, names) for one in listed(mapped(spec, "containers"))), Fraction(0))
    first = Fraction(0)
    for one in listed(mapped(spec, "initContainers")):
        if mapped(one, "restartPolicy") == "Always":  # a sidecar, which stays
            together += _devices(one, names)
        else:
            first = max(first, _devices(one, names))
    return max(together, first), names.pop() if len(names) == 1 else None


def _card(labels: Any, wanted: Any, device: str | None) -> str | None:  # noqa: ANN401 - whatever a file holds
    """The GPU by the node's instance type, else by a label of the node, else by what the pod asked of its node."""
    fact = gpu_instance(None, _label(labels, "node.kubernetes.io/instance-type") or "")
    if fact is not None:
        return fact.gpu_type
    found = next((told for key in _PRODUCT if (told := _label(labels, key) or _label(wanted, key))), device)
    return gpu_type(found)


def _devices(container: Any, names: set[str]) -> Fraction:  # noqa: ANN401 - whatever a file holds
    asked = mapped(container, "resources", "requests")
    limits = mapped(container, "resources", "limits")
    both = {**(limits if isinstance(limits, dict) else {}), **(asked if isinstance(asked, dict) else {})}
    total = Fraction(0)
    for name, value in both.items():
        share = Fraction(1) if name in _DEVICES else slice_share(name) if name.startswith("nvidia.com/mig-") else None
        if share is not None and (count := quantity(value, f"the request of {name[:60]}")) is not None:
            total += share * Fraction(count)
            if name.startswith("habana.ai/") and count:
                names.add("Gaudi")
    return total


def _kind(one: Any, listing: str) -> str:  # noqa: ANN401 - whatever a file holds
    """The kind of an item; items of a ``PodList`` may leave it out."""
    return text(mapped(one, "kind")) or listing


def _controller(metadata: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return next((one for one in listed(mapped(metadata, "ownerReferences")) if mapped(one, "kind") in _OWNERS), None)


def _owner(pod: Any) -> str | None:  # noqa: ANN401 - whatever a file holds
    """The name of the job that made the pod; None for pods that no job made."""
    return text(mapped(_controller(mapped(pod, "metadata")), "name"))


def _parent(job: Any) -> str | None:  # noqa: ANN401 - whatever a file holds
    """The CronJob or JobSet that made the Job."""
    return next(
        (name for one in listed(mapped(job, "metadata", "ownerReferences")) if (name := text(mapped(one, "name")))),
        None,
    )


def _run_id(job: Any) -> str | None:  # noqa: ANN401 - whatever a file holds
    return f"{text(mapped(job, 'metadata', 'namespace')) or 'default'}/{text(mapped(job, 'metadata', 'name'))}"


def _never_ran(job: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    return mapped(job, "status", "startTime") is None


def _containers(status: Any) -> list[Any]:  # noqa: ANN401 - whatever a file holds
    return [*listed(mapped(status, "initContainerStatuses")), *listed(mapped(status, "containerStatuses"))]


def _label(labels: Any, key: str, *, fold: bool = False) -> str | None:  # noqa: ANN401 - whatever a file holds
    found = text(mapped(labels, key))
    return found.casefold() if found and fold else found


def _tags(metadata: Any, namespace: str) -> dict[str, str]:  # noqa: ANN401 - whatever a file holds
    labels = mapped(metadata, "labels")
    own = {
        key: value
        for name, told in (labels.items() if isinstance(labels, dict) else ())
        if (key := text(name)) and not key.startswith(_NOT_TAGS) and (value := text(told))
    }
    return {"namespace": namespace} | own
