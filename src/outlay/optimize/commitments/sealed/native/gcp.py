"""Google Cloud: commitments to resources, ``compute`` v1 ``regionCommitments.insert``, by google-cloud-compute 1.57.0.

A commitment to GPUs names its ``type`` (the machine series) and each resource on its own: accelerators, vCPUs, memory
in MB. Amounts are of the type int64, which is text in JSON. It holds no capacity by itself, yet must bring
reservations: the library says that a commitment which specifies GPUs must have some attached. Which, in which zone, the
offer does not say.

The offer's ``sku`` may be one of three things and is taken for what it is spelt as: a commitment type
(``ACCELERATOR_OPTIMIZED_A3``), an accelerator type (``nvidia-h100-80gb``), or a machine type (``a3-highgpu-8g``), which
fills the reservation. ``requestId`` is a UUID, and keeps a retry from buying twice.
"""

from __future__ import annotations

import re
from typing import Any

from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.sealed.native.request import Missing, Request, Unsold, machines
from outlay.optimize.commitments.sealed.purchase import Purchase

__all__ = ["gcp_request"]

_PLANS = {12: "TWELVE_MONTH", 36: "THIRTY_SIX_MONTH"}
_TYPE = re.compile(r"[A-Z][A-Z0-9_]+")
_ACCELERATOR = re.compile(r"nvidia-[-a-z0-9]+")


def gcp_request(purchase: Purchase) -> Request | Unsold:
    """The request for ``purchase``: a commitment to resources. None is known for one to spend."""
    offer = purchase.offer
    if offer.term_months not in _PLANS:
        return Unsold(f"Google Cloud sells terms of 12 and 36 months, not of {offer.term_months}")
    if offer.form not in ("cud", "reservation"):
        return Unsold(f"no request is known that buys a '{offer.form}' of Google Cloud: use its console")
    if offer.payment != "no_upfront":
        return Unsold("Google Cloud bills a commitment by the month, nothing upfront")
    sku = offer.sku or ""
    kind = sku if _TYPE.fullmatch(sku) else None
    accelerator = sku if _ACCELERATOR.fullmatch(sku) else None
    machine = sku if sku and not kind and not accelerator else None
    count, doubts = machines(purchase, "reservations[0].specificReservation.count")
    whole = purchase.nanos % NANOS == 0
    reservation: dict[str, Any] = {
        "name": f"outlay-{purchase.token}",
        "zone": None,
        "specificReservation": {
            "count": None if count is None else str(count),
            "instanceProperties": {"machineType": machine},
        },
    }
    missing = [
        Missing("project", "the project that buys it"),
        *_unless(offer.region, "region", "the offer does not say where it holds"),
        *_unless(kind, "type", "the machine series, such as ACCELERATOR_OPTIMIZED_A3; the offer's sku is none"),
        *_unless(accelerator, "resources[0].acceleratorType", "the offer's sku is no accelerator type"),
        *_unless(whole, "resources[0].amount", f"{purchase.quantity} is no whole number of GPUs"),
        Missing("resources[1].amount", "vCPUs of the machines; without this entry only the GPUs are committed"),
        Missing("resources[2].amount", "memory of the machines in MB, a multiple of 256; it goes with the vCPUs"),
        Missing("reservations[0].zone", "a commitment to GPUs must have reservations attached, each in a zone"),
        *_unless(machine, "reservations[0].specificReservation.instanceProperties.machineType", "no machine type said"),
        *doubts,
    ]
    return Request(
        provider="gcp",
        api="compute v1",
        operation="POST /compute/v1/projects/{project}/regions/{region}/commitments",
        parameters={"project": None, "region": offer.region, "requestId": purchase.token},
        body={
            "name": f"outlay-{purchase.token}",
            "category": "MACHINE",
            "type": kind,
            "plan": _PLANS[offer.term_months],
            "autoRenew": False,
            "resources": [
                {
                    "type": "ACCELERATOR",
                    "acceleratorType": accelerator,
                    "amount": str(purchase.nanos // NANOS) if whole else None,
                },
                {"type": "VCPU", "amount": None},
                {"type": "MEMORY", "amount": None},
            ],
            "reservations": [reservation],
        },
        token_field="requestId",  # noqa: S106 - the name of a field
        missing=tuple(missing),
    )


def _unless(there: object, field: str, why: str) -> list[Missing]:
    return [] if there else [Missing(field, why)]
