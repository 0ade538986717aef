"""Which accelerators stand in an instance, and which newer cards could take their place.

A bill charges for instances; the unit of AI compute is the GPU-hour. So every GPU figure starts with one
fact, *this instance type holds so many of that GPU*, and the fact must have a source and a date: the two
tables beside this module (``data/gpu_instances.csv``, ``data/gpu_cards.csv``) carry both on every row, and an
instance that is not in them is unknown, never assumed.

GPU-hours = gpu_count x instance-hours (FOCUS, SkuPriceDetails.GpuCount).

The traps:

- *Fractions.* ``g6f.large`` holds 1/8 of an L4 and ``Standard_NV6ads_A10_v5`` 1/6 of an A10, though the
  clouds' own APIs say 0 and 1. The tables write the fraction; ``gpu_count`` holds it to 18 decimals.
- *Memory.* V100 and A100 were sold with two sizes of memory, so the size is part of the name (``A100-80GB``).
- *Not only GPUs.* Trainium, Inferentia, Gaudi and TPUs are AI compute as much as an H100. They are in the
  tables under their own names and are counted in the same columns, one device (one chip of a TPU) as one.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

__all__ = ["Gpu", "GpuInstance", "gpu", "gpu_instance", "gpu_instances", "gpus", "normal_instance", "provider_slug"]

_EIGHTEEN_PLACES = Decimal(1).scaleb(-18)

_PROVIDERS = (
    (re.compile(r"aws|amazon\b"), "aws"),
    (re.compile(r"azure|microsoft"), "azure"),
    (re.compile(r"gcp|google"), "gcp"),
    (re.compile(r"oci|oracle"), "oci"),
    (re.compile(r"nebius"), "nebius"),
)

_AWS_PREFIX = re.compile(r"^(?:ml|db|cache|dms)\.")
_GCP_SUFFIX = re.compile(r"-(?:nolssd|lowmem)")
_AZURE_NOISE = re.compile(r"^standard[ _]|\b(?:spot|low ?priority)\b|_promo$|[ _-]")


@dataclass(frozen=True, slots=True)
class GpuInstance:
    """An instance type and the accelerators in it.

    ``gpu_count`` may be a fraction. ``valid_from`` is the first day the fact held (None: no earlier fact is
    known); ``as_of`` is the day ``source`` was checked.
    """

    instance_type: str
    gpu_type: str
    gpu_count: Decimal
    provider: str
    valid_from: date | None
    source: str
    as_of: date


@dataclass(frozen=True, slots=True)
class Gpu:
    """A data-centre accelerator: what it is, when it came, and how much memory one device has.

    ``purpose`` is ``compute``, or ``graphics`` for a card without matrix units that is sold for drawing. ``line``
    groups what can run the same software (all NVIDIA GPUs; Trainium; TPUs). ``generation`` counts the vendor's
    generations within the line. ``memory_gib`` is the size the vendor names (24 for an L4), before what drivers
    reserve; ``memory_bandwidth_gb_s`` its peak by the vendor's datasheet, None where not known here.
    """

    name: str
    vendor: str
    purpose: Literal["compute", "graphics"]
    line: str
    architecture: str
    generation: int
    launch_year: int
    memory_gib: int
    memory_bandwidth_gb_s: int | None
    source: str
    as_of: date

    @property
    def successors(self) -> tuple[str, ...]:
        """Names of newer devices of the same line with at least this memory, oldest first.

        Newer is a later generation, or a later launch of the same architecture with more memory. These are
        candidates to price and test, not a promise of speed: only memory *size* is compared here.
        """
        newer = [one for one in gpus() if one.line == self.line and one.purpose == "compute" and _succeeds(one, self)]
        return tuple(other.name for other in sorted(newer, key=lambda one: (one.launch_year, one.memory_gib, one.name)))


def _succeeds(other: Gpu, one: Gpu) -> bool:
    if other.generation > one.generation:
        return other.memory_gib >= one.memory_gib
    return (
        other.architecture == one.architecture
        and other.launch_year > one.launch_year
        and other.memory_gib > one.memory_gib
    )


@lru_cache(maxsize=1024)
def provider_slug(name: str | None) -> str | None:
    """``aws``, ``azure``, ``gcp``, ``oci`` or ``nebius`` for a FOCUS ServiceProviderName; None for any other name."""
    folded = (name or "").strip().casefold()
    return next((slug for pattern, slug in _PROVIDERS if pattern.match(folded)), None)


def normal_instance(instance_type: str) -> str:
    """One spelling of an instance type.

    ``ml.p4d.24xlarge`` gives ``p4d.24xlarge``; ``Standard_ND96isr_H100_v5``, ``ND96isr H100 v5`` and the
    meter ``ND96isrH100v5 Spot`` give ``nd96isrh100v5``; ``a3-highgpu-8g-nolssd`` gives ``a3-highgpu-8g``.
    """
    name = instance_type.strip().casefold()
    if name.startswith(("standard_", "standard ")) or re.match(r"n[cdgv]c?\d", name):
        return _AZURE_NOISE.sub("", name)
    return _GCP_SUFFIX.sub("", _AWS_PREFIX.sub("", name))


def gpu_instance(provider: str | None, instance_type: str, on: date | None = None) -> GpuInstance | None:
    """The accelerators of ``instance_type``; None when it has none or is not in the table.

    ``provider`` is a FOCUS ServiceProviderName or a slug; one that is not a cloud of this table (a reseller,
    None) narrows nothing, since the clouds' names do not clash. ``on`` is the day of the charge: facts that
    began later are left out. SageMaker's ``ml.`` and the prefixes of other services are dropped.
    """
    slug = provider_slug(provider)
    for fact in _by_name().get(normal_instance(instance_type), ()):
        if slug not in (None, fact.provider):
            continue
        if on is None or fact.valid_from is None or fact.valid_from <= on:
            return fact
    return None


@cache
def gpu(name: str) -> Gpu | None:
    """The card called ``name`` in :class:`GpuInstance`; None when it is not in the table."""
    return next((card for card in gpus() if card.name == name), None)


@cache
def gpu_instances() -> tuple[GpuInstance, ...]:
    """Every row of the instance table, in its order."""
    return tuple(fact for fact, _ in _instance_rows())


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every row of the card table, in its order."""
    return tuple(
        Gpu(
            name=row["gpu_type"],
            vendor=row["vendor"],
            purpose="graphics" if row["purpose"] == "graphics" else "compute",
            line=row["line"],
            architecture=row["architecture"],
            generation=int(row["generation"]),
            launch_year=int(row["launch_year"]),
            memory_gib=int(row["memory_gib"]),
            memory_bandwidth_gb_s=int(row["memory_bandwidth_gb_s"]) if row["memory_bandwidth_gb_s"] else None,
            source=row["source"],
            as_of=date.fromisoformat(row["as_of"]),
        )
        for row in _table("gpu_cards.csv")
    )


@cache
def _by_name() -> dict[str, list[GpuInstance]]:
    """Facts under each spelling of their name, the latest ``valid_from`` first."""
    found: dict[str, list[GpuInstance]] = {}
    for fact, aliases in _instance_rows():
        for name in (fact.instance_type, *aliases):
            found.setdefault(normal_instance(name), []).append(fact)
    for facts in found.values():
        facts.sort(key=lambda fact: fact.valid_from or date.min, reverse=True)
    return found


@cache
def _instance_rows() -> tuple[tuple[GpuInstance, tuple[str, ...]], ...]:
    return tuple(
        (
            GpuInstance(
                instance_type=row["instance_type"],
                gpu_type=row["gpu_type"],
                gpu_count=_fraction(row["gpu_count"]),
                provider=row["provider"],
                valid_from=date.fromisoformat(row["valid_from"]) if row["valid_from"] else None,
                source=row["source"],
                as_of=date.fromisoformat(row["as_of"]),
            ),
            tuple(filter(None, row["aliases"].split("|"))),
        )
        for row in _table("gpu_instances.csv")
    )


def _fraction(text: str) -> Decimal:
    """``8`` or ``1/6`` as a Decimal, the latter at 18 decimals: what the ledger's exact columns hold."""
    above, _, below = text.partition("/")
    if not below:
        return Decimal(above)
    exact = Decimal(above) / Decimal(below)
    return exact.quantize(_EIGHTEEN_PLACES, rounding=ROUND_HALF_EVEN).normalize()


def _table(name: str) -> list[dict[str, str]]:
    text = files("outlay.prices").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
