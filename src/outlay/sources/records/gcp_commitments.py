"""Google Cloud's resource-based committed use discounts.

The JSON of ``gcloud compute commitments list --format=json``, or of the Compute API's list and aggregated list. A
commitment is for one or three years, to so many vCPUs, so much memory and so many GPUs of one machine series in one
region (Usage).

The traps: the list has no price, so cost is null. A commitment holds several resources with several units; a quantity
is given where it holds one, the GPUs are counted apart (``x_CommittedGpus``), and all are in the description.
Committing does not reserve capacity: the attached reservation does. Spend-based (flexible) commitments belong to the
billing account and are in no list of Compute Engine.

Source: google-cloud-compute 1.57.0 (compute_v1.Commitment); GPU names: Compute Engine, "GPU machine types".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Literal

from outlay.ledger.tables.commitments import COMMITMENTS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json, Unusable
from outlay.sources.facts import Fact, Value
from outlay.sources.reader import Format
from outlay.sources.records.cells import hours_of, instant, period, product, text, whole

__all__ = ["GcpCommitmentsReader"]

_KIND = "compute#commitment"
_LINK = re.compile(r"(?:https?:)?//[^/]+/compute/[^/]+/(projects/([^/]+)/regions/[^/]+/commitments/[^/]+)")
_STATES = {
    "CREATING": "Pending",
    "NOT_YET_ACTIVE": "Pending",
    "ACTIVE": "Active",
    "CANCELLED": "Canceled",
    "EXPIRED": "Expired",
}
_UNITS = {"VCPU": "vCPU-Hours", "MEMORY": "MB-Hours", "ACCELERATOR": "GPU-Hours"}
_GPUS = {
    "nvidia-tesla-k80": "K80",
    "nvidia-tesla-p100": "P100",
    "nvidia-tesla-v100": "V100-16GB",
    "nvidia-tesla-t4": "T4",
    "nvidia-tesla-a100": "A100-40GB",
    "nvidia-a100-80gb": "A100-80GB",
    "nvidia-l4": "L4",
    "nvidia-h100-80gb": "H100",
    "nvidia-h100-mega-80gb": "H100",
    "nvidia-h200-141gb": "H200",
    "nvidia-b200": "B200",
    "nvidia-gb200": "GB200",
    "nvidia-gb300": "GB300",
    "nvidia-rtx-pro-6000": "RTX-PRO-6000",
}
"""Names of :mod:`outlay.prices.gpus` for Compute Engine's accelerator types."""


class GcpCommitmentsReader:
    """Reads the lists of one region or of all, and bare commitments."""

    format = Format(
        "gcp-commitments",
        "Google Cloud resource-based committed use discounts",
        "The output of `gcloud compute commitments list --format=json`.",
    )
    table = COMMITMENTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Objects that call themselves ``compute#commitment``, or lists of them."""
        if file.kind not in ("json", "jsonl"):
            return False
        first = file.first
        return first is not None and first.get("kind") in (_KIND, f"{_KIND}List", f"{_KIND}AggregatedList")

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """A row a commitment; a notice for each accelerator that has no name here."""
        unnamed: set[str] = set()
        place = 0
        for found in file.objects():
            if isinstance(found, Problem):
                yield found
                continue
            number, document = found
            for record in _inner(document):
                place += 1
                line = number if file.kind == "jsonl" else place
                try:
                    if not isinstance(record, dict):
                        raise Unusable("not-json", "the commitment is no JSON object")
                    yield _fact(line, record, unnamed)
                except Unusable as error:
                    yield error.problem(file, line)
        for name in sorted(unnamed):
            yield file.problem(None, "unknown-gpu-instance", f"the accelerator {name[:80]!r} has no name in Outlay")


def _inner(document: Mapping[str, Json]) -> list[Json]:
    """The commitments of a list, of an aggregated list (by region), or the commitment itself."""
    items = document.get("items")
    if isinstance(items, list):
        return list(items)
    if isinstance(items, dict):
        regions = [one.get("commitments") for one in items.values() if isinstance(one, dict)]
        return [commitment for region in regions if isinstance(region, list) for commitment in region]
    return [] if "kind" in document and document["kind"] != _KIND else [document]


def _fact(line: int, record: Mapping[str, Json], unnamed: set[str]) -> Fact:
    identity, project = _names(record)
    start, end = period(instant(record, "startTimestamp"), instant(record, "endTimestamp"))
    resources = _resources(record)
    hours = hours_of(start, end, None)
    state, kind = text(record, "status"), text(record, "type")
    values: dict[str, Value] = {
        "ContractCommitmentId": identity,
        "ContractCommitmentCategory": "Usage",
        "ContractCommitmentType": "Resource-based CUD",
        "ContractCommitmentDescription": _description(record, kind, resources),
        "ContractCommitmentBenefitCategory": "Discount",
        "ContractCommitmentModel": "Continuous",
        "ContractCommitmentFulfillmentInterval": "Hourly",
        "ContractCommitmentLifecycleStatus": _STATES.get(state or ""),
        "ContractCommitmentCreated": instant(record, "creationTimestamp"),
        "ContractCommitmentPeriodStart": start,
        "ContractCommitmentPeriodEnd": end,
        "ContractCommitmentPaymentModel": "No Upfront",
        "ContractCommitmentPaymentInterval": "Monthly",
        "ServiceProviderName": "Google Cloud",
        "x_State": state,
        "x_InstanceFamily": kind,
        "x_Region": (text(record, "region") or "").rsplit("/", 1)[-1] or None,
        "x_AutoRenew": record["autoRenew"] if isinstance(record.get("autoRenew"), bool) else None,
        **_gpus(resources, unnamed),
    }
    if len(resources) == 1 and resources[0][0] in _UNITS:
        values["ContractCommitmentQuantity"] = product(hours, resources[0][1])
        values["ContractCommitmentUnit"] = _UNITS[resources[0][0]]
    known = {column: value for column, value in values.items() if value is not None}
    return Fact(identity, line, known, source=project)


def _names(record: Mapping[str, Json]) -> tuple[str, str | None]:
    """The full resource name, and the project; the numeric id where there is no link."""
    link = _LINK.fullmatch(text(record, "selfLink") or "")
    if link:
        return f"//compute.googleapis.com/{link[1]}", link[2]
    found = text(record, "id")
    if found is None:
        raise Unusable("unusable-record", "the commitment has neither selfLink nor id")
    return found, None


def _resources(record: Mapping[str, Json]) -> list[tuple[str, int, str | None]]:
    """Type, amount and accelerator of each resource; software licences are none."""
    found = record.get("resources")
    resources = []
    for one in found if isinstance(found, list) else []:
        if not isinstance(one, dict):
            raise Unusable("unusable-record", "a resource is no object")
        kind, amount = text(one, "type"), whole(one, "amount")
        if kind is None or amount is None:
            raise Unusable("unusable-record", "a resource has no type or no amount")
        name = (text(one, "acceleratorType") or "").rsplit("/", 1)[-1] or None
        resources.append((kind, amount, name))
    return resources


def _gpus(resources: list[tuple[str, int, str | None]], unnamed: set[str]) -> dict[str, Value]:
    """All accelerators, and their name where they are of one kind that is known."""
    held = [(amount, name) for kind, amount, name in resources if kind == "ACCELERATOR"]
    if not held:
        return {}
    unnamed |= {name or "" for _, name in held} - set(_GPUS)
    names = {_GPUS.get(name or "") for _, name in held}
    return {
        "x_CommittedGpus": Decimal(sum(amount for amount, _ in held)),
        "x_GpuType": names.pop() if len(names) == 1 else None,
    }


def _description(
    record: Mapping[str, Json], kind: str | None, resources: list[tuple[str, int, str | None]]
) -> str | None:
    units = {"MEMORY": "MB of memory", "VCPU": "vCPU"}
    parts = [f"{amount} {name or units.get(what, what)}" for what, amount, name in resources]
    about = (text(record, "name"), text(record, "description"), kind, text(record, "plan"), *parts)
    return ", ".join(filter(None, about)) or None
