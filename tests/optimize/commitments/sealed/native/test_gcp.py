"""Google Cloud's requests have the members of its own library; a sku is taken for what it is spelt as."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.sealed.native.request import Unsold
from outlay.optimize.commitments.sealed.native.requests import native_request
from tests.optimize.commitments.sealed.native.shapes import bought, request_of, unlike
from tests.optimize.commitments.series import offer


def gcp(**more: Any) -> Offer:
    terms = {"provider": "Google Cloud", "region": "europe-west4", "form": "cud", "unit_gpus": Decimal(8)}
    return offer(**{**terms, **more})


@pytest.mark.parametrize(
    ("sku", "kind", "accelerator", "machine"),
    [
        ("ACCELERATOR_OPTIMIZED_A3", "ACCELERATOR_OPTIMIZED_A3", None, None),
        ("nvidia-h100-80gb", None, "nvidia-h100-80gb", None),
        ("a3-highgpu-8g", None, None, "a3-highgpu-8g"),
        (None, None, None, None),
    ],
)
def test_a_commitment(sku: str | None, kind: str | None, accelerator: str | None, machine: str | None) -> None:
    purchase = bought(gcp(sku=sku), 16)
    request = request_of(purchase)
    assert unlike(request) == []
    assert request.parameters == {"project": None, "region": "europe-west4", "requestId": purchase.token}
    assert UUID(request.parameters["requestId"]).int
    body = request.body
    assert (body["type"], body["plan"], body["category"], body["autoRenew"]) == (kind, "TWELVE_MONTH", "MACHINE", False)
    assert body["resources"][0] == {"type": "ACCELERATOR", "acceleratorType": accelerator, "amount": "16"}
    (reservation,) = body["reservations"]
    assert reservation["specificReservation"] == {"count": "2", "instanceProperties": {"machineType": machine}}
    assert not request.ready


def test_a_name_is_one_of_rfc_1035() -> None:
    name = request_of(bought(gcp())).body["name"]
    assert len(name) <= 63
    assert name[0].isalpha()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_machines_that_do_not_fit() -> None:
    request = request_of(bought(gcp(sku="a3-highgpu-8g", unit_gpus=Decimal(1)), 12))
    assert unlike(request) == []
    assert request.body["reservations"][0]["specificReservation"]["count"] is None
    part = request_of(bought(gcp(unit_gpus=Decimal("0.5")), "1.5"))
    assert unlike(part) == []
    assert part.body["resources"][0]["amount"] is None


@pytest.mark.parametrize(
    "more", [{"form": "cud_spend"}, {"form": "savings_plan"}, {"payment": "all_upfront"}, {"term_months": 6}]
)
def test_what_no_request_is_known_for(more: dict[str, Any]) -> None:
    assert isinstance(native_request(bought(gcp(**more))), Unsold)
