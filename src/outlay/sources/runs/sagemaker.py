"""Amazon SageMaker training: the answers of ``DescribeTrainingJob``, one, an array of them, or one a line.

A job that runs on spot capacity, or that SageMaker restarts after an error of its own, holds its instances several
times: ``SecondaryStatusTransitions`` tells when each stretch began and how it ended, and each is an attempt. GPUs =
instances x the GPUs of their type by the instance map; an instance type that the map does not know is reported.

``BillableTimeInSeconds`` is wall-clock time that SageMaker bills, to be multiplied by the instances; for a spot job it
is below ``TrainingTimeInSeconds``, and 1 - billable / training is what spot saved. It belongs to the job, so it stands
on its last attempt. Time for which a warm pool was kept after the job is billed too, without training: it is kept
apart, in the tag ``sagemaker:warm-pool-billable-seconds``.

The trap: ``CheckpointConfig`` says where checkpoints go, never when the last one was made: lost GPU hours are unknown.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html and the service model of
botocore. Not tried against SageMaker itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from outlay.ledger.tables.runs import RUNS
from outlay.prices.gpus import gpu_instance
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, at, listed, mapped, quantity, text
from outlay.sources.runs.states import SAGEMAKER, SAGEMAKER_SECONDARY

__all__ = ["SageMakerReader"]

_NO_GPU = re.compile(r"ml\.(?:m|c|r|t|x|z|i|d)\d")
"""Instance families of AWS that hold no accelerator; the type is then 0 GPUs, not an unknown one."""

_HOLDS = {
    "preparingtrainingstack",
    "preparingtraining",
    "downloading",
    "downloadingtrainingimage",
    "training",
    "uploading",
    "stopping",
    "updating",
}
"""Secondary statuses in which the instances are there; before, they are being launched and are not billed."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A time for which the job held its instances; ``outcome`` is None for the one that ends the job."""

    started: datetime | None
    ended: datetime | None
    outcome: str | None
    state: str | None
    reason: str | None


class SageMakerReader:
    """Reads ``DescribeTrainingJob`` answers."""

    format = Format(
        "sagemaker-training",
        "Amazon SageMaker training jobs (DescribeTrainingJob)",
        "aws sagemaker describe-training-job for each job, as JSON: one, an array, or one a line.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Objects with ``TrainingJobName`` and ``TrainingJobStatus`` beside a resource configuration or an ARN."""
        if file.kind not in ("json", "jsonl") or '"TrainingJob' not in file.head:
            return False
        first = file.first
        return (
            first is not None
            and "TrainingJobName" in first
            and "TrainingJobStatus" in first
            and ("ResourceConfig" in first or "SecondaryStatus" in first)
        )

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row a stretch that a job held its instances for."""
        unknown: set[str] = set()
        for one in file.objects():
            if isinstance(one, Problem):
                yield one
                continue
            number, job = one
            try:
                attempts = list(_attempts(job, unknown))
                yield from [attempt.fact(number) for attempt in attempts]
            except Unusable as unusable:
                yield unusable.problem(file, number)
        for kind in sorted(unknown):
            yield file.problem(None, "unknown-gpu-instance", f"instance type {kind} is not in the instance map")


def _attempts(job: Mapping[str, Any], unknown: set[str]) -> Iterator[Attempt]:
    name, arn = text(job.get("TrainingJobName")), text(job.get("TrainingJobArn"))
    run_id = arn or name
    if run_id is None:
        raise Unusable("missing-identity", "the job has no TrainingJobName")
    region, account = _place(arn)
    created = at(job.get("CreationTime"), "CreationTime")
    gpus, kind, instance, count = _gpus(job, created, unknown)
    state = text(job.get("TrainingJobStatus")) or "Unknown"
    secondary = text(job.get("SecondaryStatus"))
    base = Attempt(
        run_id=run_id,
        outcome=_outcome(state, secondary),
        state=secondary or state,
        name=name,
        experiment=text(mapped(job, "ExperimentConfig", "ExperimentName")) or _last(text(job.get("TuningJobArn"))),
        workload="training",
        reason=text(job.get("FailureReason")),
        submitted=created,
        gpus=gpus,
        gpu_type=kind,
        instance_type=instance,
        instance_count=count,
        interruptible=spot if isinstance(spot := job.get("EnableManagedSpotTraining"), bool) else None,
        account=account,
        region=region,
        tags=_tags(job),
        source=account,
    )
    stretches = _stretches(job)
    last = len(stretches)
    for number, stretch in enumerate(stretches, start=1):
        one = replace(base, attempt=number, started=stretch.started, ended=stretch.ended)
        if number < last:
            yield replace(
                one, outcome=stretch.outcome or "unknown", state=stretch.state or state, reason=stretch.reason
            )
        else:
            yield replace(
                one,
                held=quantity(job.get("TrainingTimeInSeconds"), "TrainingTimeInSeconds") if last == 1 else None,
                billable_seconds=quantity(job.get("BillableTimeInSeconds"), "BillableTimeInSeconds"),
            )


def _outcome(state: str, secondary: str | None) -> str:
    """Ours for the job: a job that was stopped by its time limit says so in the secondary status only."""
    outcome = SAGEMAKER.outcome(state)
    detail = SAGEMAKER_SECONDARY.outcome(secondary)
    if outcome == "cancelled" and detail == "timed out":
        return detail
    return "pending" if outcome == "running" and detail == "pending" else outcome


def _stretches(job: Mapping[str, Any]) -> list[_Stretch]:
    """The stretches in which the job held instances; always one at least, whose times may be unknown."""
    end = at(job.get("TrainingEndTime"), "TrainingEndTime")
    found: list[_Stretch] = []
    started: datetime | None = None
    for transition in listed(job.get("SecondaryStatusTransitions")):
        status = (text(mapped(transition, "Status")) or "").casefold()
        began = at(mapped(transition, "StartTime"), "StartTime of a transition")
        if status in _HOLDS and started is None:
            started = began
        elif status in ("interrupted", "restarting") and started is not None:
            found.append(
                _Stretch(
                    started,
                    began,
                    "preempted" if status == "interrupted" else "node failure",
                    text(mapped(transition, "Status")),
                    text(mapped(transition, "StatusMessage")),
                )
            )
            started = None
    if not found:
        return [_Stretch(at(job.get("TrainingStartTime"), "TrainingStartTime"), end, None, None, None)]
    return [*found, _Stretch(started, end if started else None, None, None, None)]


def _gpus(
    job: Mapping[str, Any], created: datetime | None, unknown: set[str]
) -> tuple[Decimal | None, str | None, str | None, int | None]:
    """GPUs, their type, the instance type and the number of instances; unknown types are added to ``unknown``."""
    resources = job.get("ResourceConfig")
    groups = [
        (mapped(one, "InstanceType"), mapped(one, "InstanceCount"))
        for one in listed(mapped(resources, "InstanceGroups"))
    ]
    if not groups:
        chosen = "Selected" if mapped(resources, "SelectedInstanceType") else ""
        groups = [(mapped(resources, f"{chosen}InstanceType"), mapped(resources, f"{chosen}InstanceCount"))]
    total, known, types, cards, machines = Decimal(0), True, [], set(), 0
    for kind, number in groups:
        instance, count = text(kind), quantity(number, "InstanceCount")
        if instance is None or count is None or count != int(count):
            known = False
            continue
        types.append(instance)
        machines += int(count)
        fact = gpu_instance("aws", instance, created.date() if created else None)
        if fact is not None:
            total += fact.gpu_count * count
            cards.add(fact.gpu_type)
        elif not _NO_GPU.match(instance):
            known = False
            unknown.add(instance)
    return (
        total if known else None,
        cards.pop() if len(cards) == 1 else None,
        types[0] if len(set(types)) == 1 else None,
        machines or None,
    )


def _tags(job: Mapping[str, Any]) -> dict[str, str]:
    """The job's tags, where the export added ``ListTags``' answer, and the warm pool's time."""
    found = {
        key: value
        for one in listed(job.get("Tags"))
        if (key := text(mapped(one, "Key"))) and (value := text(mapped(one, "Value")))
    }
    warm = quantity(mapped(job, "WarmPoolStatus", "ResourceRetainedBillableTimeInSeconds"), "warm pool seconds")
    if warm is not None:
        found["sagemaker:warm-pool-billable-seconds"] = f"{warm.normalize():f}"
    return found


def _place(arn: str | None) -> tuple[str | None, str | None]:
    """Region and account of ``arn:aws:sagemaker:REGION:ACCOUNT:training-job/NAME``."""
    parts = (arn or "").split(":")
    return (parts[3] or None, parts[4] or None) if len(parts) >= 6 else (None, None)


def _last(arn: str | None) -> str | None:
    return arn.rsplit("/", 1)[-1] or None if arn else None
