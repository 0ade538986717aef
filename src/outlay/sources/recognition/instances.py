"""Accelerators on a bill: GPU instances, GPUs billed by themselves, and the hours of them that a row bought.

The instance type stands in SkuPriceDetails (FOCUS 1.1 and later), in a usage type
(``USE1-BoxUsage:p5.48xlarge``, ``USE1-Train:ml.p4d.24xlarge``), in an Azure meter (``ND96isr H100 v5``), or
only in the description (``$1.624 per On Demand Linux g5.4xlarge Instance Hour``, FOCUS 1.0). What the type
holds is a fact of :mod:`outlay.prices.gpus`. A type of a GPU family that the table lacks is still AI: it is
reported with its name and without a count, not dropped.

GPU-hours are hours of accelerators *in use*, once. So these rows get none:

- capacity reserved and unused (``UnusedBox:``), the reservation itself, and fees (``HeavyUsage:``, "hourly
  fee", commitments);
- charges on top of an instance that is billed elsewhere: EBS optimisation, EMR and EKS fees, marketplace
  software;
- the CPU and memory of a Google GPU machine (``A2 Instance Core``), whose GPUs have a SKU of their own, per
  GPU;
- Oracle shapes billed by plain hours: Oracle prices them per GPU-hour, and ``Hours`` does not say which hours
  are meant;
- TPU SKUs, which do not say whether their unit is a chip, a core or a slice. A TPU machine type does.

Cards and families sold for drawing (M60, Radeon Pro; Azure's NV sizes, but for the A10 ones) are not AI
compute. Any other GPU may draw too; a SKU can't tell, so it counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from outlay.ledger.units import Unit
from outlay.prices.gpus import GpuInstance, gpu, gpu_instance, provider_slug
from outlay.sources.recognition.sku import GPU_HOURS_SCALE, NOT_IN_TABLE, Sku

__all__ = ["Accelerator", "accelerator_of"]


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What a row rents. ``count`` is of one instance; ``hours_per_unit`` is None where the row buys no GPU-hours."""

    instance_type: str | None
    gpu_type: str | None
    count: Decimal | None
    hours_per_unit: Decimal | None
    reason: str


_ONE = Decimal(1)
_FOUR_PLACES = Decimal("0.0001")
_HOURS_PLACES = Decimal(1).scaleb(-GPU_HOURS_SCALE)
_MOST_GPUS = Decimal(10_000)
_MOST_HOURS = Decimal(1_000_000)
"""A count or a unit beyond these is a mistake of the bill: nothing near them exists, nor fits the ledger's columns."""

# Patterns run on lower-case text. The words before each pattern are a quick test: without one of them it can't match.
_TYPES: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    (
        "aws",
        ("xlarge", ".metal", ".large", ".medium"),
        re.compile(
            r"(?<![a-z0-9.])(?:ml\.|db\.)?(?:gr|trn|inf|dl|[pg])\d[a-z0-9-]*\.(?:\d*xlarge|metal|large|medium)(?![a-z0-9])"
        ),
    ),
    (
        "azure",
        ("nc", "nd", "nv"),
        re.compile(
            r"(?<![a-z0-9])(?:standard[_ ])?n[cdv]c?\d+[a-z]*(?:[_ ]?(?:ndr[_ ]|xl[_ ])?"
            r"(?:a100|a10|h100|h200|gb200|gb300|t4|mi300x|rtxpro6000bse))?[_ ]?v\d(?!\w)"
        ),
    ),
    (
        "gcp",
        ("gpu-", "-standard-", "tpu-"),
        re.compile(
            r"(?<![a-z0-9])(?:a\d+x?-(?:high|mega|ultra|edge|max)gpu-\d+g|g[2-9]-standard-\d+"
            r"|ct\d\w*-(?:hightpu|standard)-\d+t|tpu\d+x?-standard-\d+t)(?:-nolssd|-lowmem)*(?![a-z0-9])"
        ),
    ),
    ("oci", (".gpu",), re.compile(r"(?<![a-z0-9])(?:bm|vm)\.gpu[\w.-]*\.\d+(?![\w.])")),
    ("nebius", ("gpu-",), re.compile(r"(?<![a-z0-9])gpu-[a-z0-9]+-[a-z]+_\d+gpu-\d+vcpu-\d+gb")),
)
_GRAPHICS_FAMILIES = re.compile(r"(?:standard[_ ])?nv\d")

# Google writes: Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Americas, A4 Nvidia B200 (1 gpu slice)
_GPU_SKU = re.compile(
    r"\bnvidia (?:tesla )?(?P<card>[a-z]{1,3}\d+[a-z]?|rtx pro \d+)"
    r"(?: (?:mega|plus|ultra))*(?: (?P<memory>\d+) ?gb)?\b[^|]*?\bgpus?\b"
)
_TPU_SKU = re.compile(r"\btpu[ -]?(?P<version>v\d+[a-z]?|7x)(?![a-z0-9])")
_GOOGLE_PART = re.compile(r"\b(?:a[2-9]x?|g[24])(?:plus|ultra)? (?:predefined )?instance (?:core|ram)\b")
_NAMED_CARD = re.compile(
    r"(?<![a-z0-9])(?P<card>gb300|gb200|b300|b200|gh200|h200|h100|a100|l40s|l40|l4|a10g|a10|t4|v100|mi300x|mi355x)"
    r"(?![a-z0-9])(?:[ -]?(?P<memory>\d+) ?gi?b)?"
)

_BUYS_NO_HOURS = re.compile(
    r"unused|heavyusage|capacityblock|dedicatedres|reservedcluster|(?<![a-z])reservation:|hourly fee|per reservation\b"
    r"|\bcommitment\b|marketplace|software usage|ebs-?optimi[sz]ed|\bmbps\b|\bupfront\b|\bsurcharge\b|\blicen[cs]e\b"
)
_AWS_FEE_SERVICES = (
    "amazon elastic mapreduce", "amazon emr", "elasticmapreduce", "amazon elastic kubernetes", "amazoneks",
    "amazon elastic container service", "amazonecs", "aws glue", "awsglue", "aws marketplace",
)  # fmt: skip
_TIME_UNITS = frozenset({"hours", "unit_hours", "minutes", "seconds", "days"})


def accelerator_of(sku: Sku, details: dict[str, str], unit: Unit) -> Accelerator | None:
    """The accelerator that the row rents; None when nothing on it names one. ``unit`` is the parsed PricingUnit."""
    meters = " | ".join(filter(None, (sku.SkuMeter, sku.SkuId, details.get("usagetype"), sku.ChargeDescription)))
    low = meters.lower()
    slug = provider_slug(sku.ServiceProviderName)
    stated = details.get("instancetype")
    name = _instance_type(stated or meters, (stated or meters).lower(), slug)
    fact = gpu_instance(slug, name) if name else None
    if slug == "gcp":
        part = _google_part(low, name or stated, fact, unit)
        if part:
            return part
    if name and _is_graphics(name, fact):
        return None
    count = _stated_count(details)
    if name or count:
        return _instance(name or stated, fact, count, unit, buys_hours=_buys_hours(sku, low, slug, unit, count))
    if unit.kind == "gpu_hours":
        hours = None if _BUYS_NO_HOURS.search(low) else _hours(unit, _ONE)
        return Accelerator(None, _named_card(low, slug), None, hours, f"unit {unit.name}")
    if "nvidia" in low and _GPU_SKU.search(low) and not _BUYS_NO_HOURS.search(low):
        return Accelerator(None, _named_card(low, slug), None, None, "a GPU named on the row")
    return None


def _google_part(low: str, name: str | None, fact: GpuInstance | None, unit: Unit) -> Accelerator | None:
    """What Google bills apart: the GPUs of a machine, each by itself; TPUs; and the CPU and memory around the GPUs."""
    machine = fact.instance_type if fact else name
    in_machine = fact.gpu_count if fact else None
    found = _GPU_SKU.search(low) if "nvidia" in low else None
    if found:
        card = _card(found["card"], found["memory"], slug="gcp")
        hours = None if _BUYS_NO_HOURS.search(low) else _hours(unit, _ONE)
        return Accelerator(machine, card, in_machine or _ONE, hours, "a GPU billed by itself")
    tpu = _TPU_SKU.search(low) if "tpu" in low else None
    if tpu:
        version = "v7" if tpu["version"] == "7x" else tpu["version"]
        return Accelerator(machine, f"TPU-{version}", in_machine, None, f"TPU {version}")
    part = _GOOGLE_PART.search(low) if " instance " in low else None
    if part:
        card = fact.gpu_type if fact else None
        return Accelerator(machine, card, in_machine, None, f"part of a GPU machine ({part[0]})")
    return None


def _instance_type(text: str, low: str, slug: str | None) -> str | None:
    """The first name of a GPU family's instance type in ``text``, as written there; ``low`` is it in lower case."""
    for owner, hints, pattern in _TYPES:
        if slug in (None, owner) and any(hint in low for hint in hints):
            found = pattern.search(low)
            if found:
                written = text[found.start() : found.end()] if len(text) == len(low) else found[0]
                return written.removeprefix("db.")
    return None


def _is_graphics(name: str, fact: GpuInstance | None) -> bool:
    """The instance is sold for drawing: its card has no matrix units, or its family is Azure's for visualisation."""
    if fact is None:
        return _GRAPHICS_FAMILIES.match(name.lower()) is not None
    card = gpu(fact.gpu_type)
    return card is not None and card.purpose == "graphics"


def _instance(
    name: str | None, fact: GpuInstance | None, stated: Decimal | None, unit: Unit, *, buys_hours: bool
) -> Accelerator:
    """The row rents an instance: the bill's own GpuCount wins over the table's count, unless it is zero."""
    count = stated or (fact.gpu_count if fact else None)
    if fact:
        reason = f"instance type {name}"
    elif name:
        reason = f"instance type {name}, {NOT_IN_TABLE}"
    else:
        reason = "SkuPriceDetails.GpuCount"
    return Accelerator(
        instance_type=_own_name(name, fact),
        gpu_type=fact.gpu_type if fact else None,
        count=count.quantize(_FOUR_PLACES, rounding=ROUND_HALF_EVEN) if count else None,
        hours_per_unit=_hours(unit, count) if buys_hours and count else None,
        reason=reason,
    )


def _own_name(name: str | None, fact: GpuInstance | None) -> str | None:
    """The provider's spelling: the table's for a meter name; SageMaker's ``ml.`` is kept, as it has its own prices."""
    if fact is None or (name or "").casefold().startswith("ml."):
        return name
    return fact.instance_type


def _named_card(low: str, slug: str | None) -> str | None:
    found = _NAMED_CARD.search(low)
    return _card(found["card"], found["memory"], slug=slug) if found else None


def _card(name: str, memory: str | None, *, slug: str | None) -> str | None:
    """The table's name of a card; None when the bill leaves open which of two sizes it is."""
    plain = name.upper().replace("RTX PRO ", "RTX-PRO-")
    if plain in ("A100", "V100"):
        sized = f"{plain}-{memory}GB" if memory else None
        if sized is None and slug == "gcp":  # Google names the size only where it is the larger of the two
            sized = {"A100": "A100-40GB", "V100": "V100-16GB"}[plain]
        return sized if sized and gpu(sized) else None
    return plain


def _stated_count(details: dict[str, str]) -> Decimal | None:
    try:
        count = Decimal(details.get("gpucount", ""))
    except InvalidOperation:
        return None
    return count if count.is_finite() and _FOUR_PLACES <= count <= _MOST_GPUS else None


def _buys_hours(sku: Sku, low: str, slug: str | None, unit: Unit, stated: Decimal | None) -> bool:
    if _BUYS_NO_HOURS.search(low):
        return False
    service = (sku.ServiceName or "").casefold()
    if service.startswith(_AWS_FEE_SERVICES):
        return False
    return not (slug == "oci" and unit.kind != "gpu_hours" and stated is None)


def _hours(unit: Unit, count: Decimal) -> Decimal | None:
    """GPU-hours in one pricing unit: the unit's hours times the count; a unit of GPU-hours counts GPUs already."""
    if unit.kind == "gpu_hours":
        hours = unit.block
    elif unit.kind in _TIME_UNITS and unit.hours is not None:
        hours = unit.hours * count
    else:
        return None
    return hours.quantize(_HOURS_PLACES, rounding=ROUND_HALF_EVEN) if hours < _MOST_HOURS else None
