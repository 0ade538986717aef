"""Weights & Biases: runs exported through its public API as JSON, an object a run.

W&B has no export file of its own for runs, so docs/sources/wandb.md gives the ten lines that write one: the run's
attributes as the API names them (``state``, ``createdAt``, ``heartbeatAt``), its config, its ``_wandb`` and
``_runtime`` summary keys, and its metadata, in which the client noted the GPUs of its machine (``gpu_count``,
``gpu_nvidia``).

A run is one attempt; a resumed run keeps its id and its runtime adds up. GPUs: what is noted in the config
(:mod:`.hardware`), else the metadata's ``gpu_count``, which counts the GPUs that the one process that logged could see:
those of its machine, not of other nodes.

A job type is free text of the user's; W&B's own examples are ``train`` and ``eval``. The usual words that mean one
workload are taken to it (an evaluation is none of training, inference and data), others stay as they are told.

The traps: ``crashed`` means that the heartbeat stopped, which a lost network does too, so it is ``unknown`` here and
kept apart from ``failed``; the creation time is when the run was first made, also for a resumed run.

Source: https://docs.wandb.ai/models/runs/run-states and the wandb package's public API. Not tried against W&B itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from outlay.ledger.tables.runs import RUNS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, at, each, listed, mapped, quantity, text
from outlay.sources.runs.gpu_names import gpu_type
from outlay.sources.runs.hardware import Hardware, noted
from outlay.sources.runs.states import UNFINISHED, WANDB

__all__ = ["WandbReader"]

_WORKLOADS = {
    "training": ("train", "training", "trainer", "pretrain", "pretraining", "finetune", "finetuning", "sweep"),
    "inference": ("inference", "infer", "predict", "prediction", "serve", "serving"),
    "data": ("data", "dataset", "preprocess", "preprocessing", "dataprep", "etl", "labeling", "labelling"),
    "other": ("eval", "evaluate", "evaluation", "test", "validate", "validation"),
}
_KIND_OF = {word: kind for kind, words in _WORKLOADS.items() for word in words}


class WandbReader:
    """Reads runs exported through the W&B public API."""

    format = Format(
        "wandb",
        "Weights & Biases runs (public API export)",
        "JSON lines, a run each, written by the script of docs/sources/wandb.md.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Objects with ``entity``, ``project``, ``state`` and a creation time."""
        if '"entity"' not in file.head or '"project"' not in file.head:
            return False
        first = file.first
        return (
            first is not None
            and {"id", "entity", "project", "state"} <= first.keys()
            and ("createdAt" in first or "created_at" in first)
        )

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row a run."""
        return each(file, file.objects(), _attempt)


def _attempt(run: Mapping[str, Any]) -> Attempt:
    own = text(run.get("id"))
    entity, project = text(run.get("entity")), text(run.get("project"))
    if own is None or project is None:
        raise Unusable("missing-identity", "the run has no id or no project")
    state = text(run.get("state")) or "unknown"
    outcome = WANDB.outcome(state)
    created = at(run.get("createdAt", run.get("created_at")), "createdAt")
    started = None if outcome == "pending" else created
    seen = at(run.get("heartbeatAt", run.get("heartbeat_at")), "heartbeatAt")
    runtime = _runtime(run.get("summary"))
    hardware = _hardware(run, started)
    return Attempt(
        run_id=f"{entity}/{project}/{own}" if entity else f"{project}/{own}",
        outcome=outcome,
        state=state,
        name=text(run.get("name")) or text(run.get("displayName")),
        experiment=text(run.get("group")) or text(run.get("sweep")) or project,
        workload=_workload(text(run.get("jobType")) or text(run.get("job_type"))),
        submitted=created,
        started=started,
        ended=None if outcome in UNFINISHED else _end(started, runtime, seen),
        held=runtime if started else None,
        gpus=hardware.gpus,
        gpu_type=hardware.gpu_type,
        instance_type=hardware.instance_type,
        instance_count=hardware.instance_count,
        checkpoint=hardware.checkpoint,
        user=text(run.get("user")),
        account=entity,
        tags={"project": project}
        | {f"wandb:{tag}": "true" for one in listed(run.get("tags")) if (tag := text(one)) is not None},
        source=entity,
    )


def _workload(told: str | None) -> str | None:
    """The workload kind that a job type means, whatever its case and separators; the job type where it means none."""
    return told and _KIND_OF.get("".join(character for character in told.lower() if character.isalnum()), told)


def _runtime(summary: Any) -> Decimal | None:  # noqa: ANN401 - whatever a file holds
    """Seconds that the run ran, resumptions added up: ``_wandb.runtime``, else ``_runtime``."""
    for value in (mapped(summary, "_wandb", "runtime"), mapped(summary, "_runtime")):
        found = quantity(value, "the runtime")
        if found is not None:
            return found
    return None


def _end(started: datetime | None, runtime: Decimal | None, seen: datetime | None) -> datetime | None:
    """The last heartbeat, or start and runtime where that is later: a heartbeat is sent now and then only."""
    if started is None:
        return seen
    computed = None
    if runtime is not None:
        try:
            computed = started + timedelta(microseconds=int(runtime * 1_000_000))
        except OverflowError:
            raise Unusable("unparsable-amount", f"the runtime is too long: {runtime}") from None
    return max((one for one in (computed, seen) if one is not None), default=None)


def _hardware(run: Mapping[str, Any], started: datetime | None) -> Hardware:
    config, metadata = run.get("config"), run.get("metadata")
    found = noted(config if isinstance(config, dict) else {}, on=started.date() if started else None)
    cards = listed(mapped(metadata, "gpu_nvidia")) or listed(mapped(metadata, "gpu_amd"))
    names = {text(mapped(card, "name")) for card in cards}
    gpus, kind = found.gpus, found.gpu_type
    if gpus is None:
        gpus = quantity(mapped(metadata, "gpu_count"), "metadata.gpu_count")
    if kind is None:
        told = text(mapped(metadata, "gpu")) or (names.pop() if len(names) == 1 else None)
        kind = gpu_type(told)
    return Hardware(gpus, kind, found.instance_type, found.instance_count, found.checkpoint)
