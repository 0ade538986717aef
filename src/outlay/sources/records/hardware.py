"""What a commitment to instances holds: the instances, and the accelerators in them."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from outlay.prices.gpus import gpu_instance, gpu_instances
from outlay.sources.facts import Value
from outlay.sources.records.cells import product

__all__ = ["family_gpu", "reserved_hardware"]


def reserved_hardware(provider: str, instance_type: str | None, instances: int, on: datetime) -> dict[str, Value]:
    """Instance type and count, and the accelerators by the instance map as of ``on``; none where it knows none."""
    found = gpu_instance(provider, instance_type, on.date()) if instance_type else None
    return {
        "x_InstanceType": instance_type,
        "x_InstanceCount": instances,
        "x_GpuType": found.gpu_type if found else None,
        "x_CommittedGpus": product(found.gpu_count, instances) if found else None,
    }


@lru_cache(maxsize=256)
def family_gpu(family: str) -> str | None:
    """The accelerator that all known instances of an AWS family hold; None where there is none, or several."""
    names = {one.gpu_type for one in gpu_instances() if one.instance_type.startswith(f"{family.casefold()}.")}
    return names.pop() if len(names) == 1 else None
