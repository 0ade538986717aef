"""What a run ran on, from what its owner noted on it: the keys that every tracker's runs may carry.

Trackers (MLflow, Weights & Biases, Ray) know what a run did, not what it held. So the owner notes it once, as a tag,
a parameter, a config value or metadata, under these keys:

- ``outlay.gpu_count``, ``outlay.gpu_type``: GPUs held by the whole run, on all nodes together.
- ``outlay.instance_type``, ``outlay.instance_count``: the machines; GPUs follow from the instance map.
- ``outlay.last_checkpoint``: when work was last saved, as ISO 8601.

``outlay.gpu_count`` wins over the instance type. Nothing noted is nothing known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from outlay.prices.gpus import GpuInstance, gpu_instance
from outlay.sources.fact_file import Unusable
from outlay.sources.runs.attempt import at, quantity, text
from outlay.sources.runs.gpu_names import gpu_type

__all__ = ["KEYS", "Hardware", "noted"]

KEYS = (
    "outlay.gpu_count",
    "outlay.gpu_type",
    "outlay.instance_type",
    "outlay.instance_count",
    "outlay.last_checkpoint",
)


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a run held, where it is known, and when its work was last saved."""

    gpus: Decimal | None = None
    gpu_type: str | None = None
    instance_type: str | None = None
    instance_count: int | None = None
    checkpoint: datetime | None = None


def noted(notes: Mapping[str, Any], *, on: date | None = None, instances: int | None = None) -> Hardware:
    """The hardware that ``notes`` tell by the keys above; raises :class:`Unusable` for a count that is none.

    ``on`` is the day of the run, as instance types changed over time; ``instances`` is used without a noted count.
    """
    count = quantity(notes.get("outlay.gpu_count"), "outlay.gpu_count")
    kind = text(notes.get("outlay.instance_type"))
    machines = quantity(notes.get("outlay.instance_count"), "outlay.instance_count")
    if machines is not None and machines != int(machines):
        raise Unusable("unparsable-amount", f"outlay.instance_count is not a whole number: {machines}")
    number = int(machines) if machines is not None else instances
    fact: GpuInstance | None = gpu_instance(None, kind, on) if kind else None
    if count is None and fact is not None and kind:
        count = fact.gpu_count * (1 if number is None else number)
    return Hardware(
        gpus=count,
        gpu_type=gpu_type(text(notes.get("outlay.gpu_type"))) or (fact.gpu_type if fact else None),
        instance_type=kind,
        instance_count=number,
        checkpoint=at(notes.get("outlay.last_checkpoint"), "outlay.last_checkpoint"),
    )
