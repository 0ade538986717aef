"""Azure's requests have the members of its own libraries; who is billed stays open, as no offer says it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.sealed.native.request import Unsold
from outlay.optimize.commitments.sealed.native.requests import native_request
from tests.optimize.commitments.sealed.native.shapes import bought, request_of, unlike
from tests.optimize.commitments.series import offer


def azure(**more: Any) -> Offer:
    terms = {
        "provider": "Microsoft",
        "region": "westeurope",
        "sku": "Standard_ND96isr_H100_v5",
        "unit_gpus": Decimal(8),
    }
    return offer(**{**terms, **more})


def test_a_reservation() -> None:
    purchase = bought(azure(term_months=36, payment="all_upfront"), 16)
    request = request_of(purchase)
    assert unlike(request) == []
    assert request.body == {
        "sku": {"name": "Standard_ND96isr_H100_v5"},
        "location": "westeurope",
        "properties": {
            "reservedResourceType": "VirtualMachines",
            "billingScopeId": None,
            "term": "P3Y",
            "billingPlan": "Upfront",
            "quantity": 2,
            "displayName": f"outlay-{purchase.token}",
            "appliedScopeType": None,
            "renew": False,
        },
    }
    assert not request.ready
    assert [one.field for one in request.missing] == [
        "reservationOrderId",
        "properties.billingScopeId",
        "properties.appliedScopeType",
    ]


def test_a_reservation_of_what_the_offer_hardly_says() -> None:
    request = request_of(bought(azure(sku=None, region=None), 12))
    assert unlike(request) == []
    told = [one.field for one in request.missing]
    assert {"sku.name", "location", "properties.quantity"} <= set(told)


def test_a_savings_plan_is_named_by_its_token() -> None:
    purchase = bought(azure(form="savings_plan", sku="Compute_Savings_Plan"), "10.5")
    request = request_of(purchase)
    assert unlike(request) == []
    assert request.parameters == {"savingsPlanOrderAliasName": purchase.token}
    assert request.body["properties"]["commitment"] == {"amount": "12.6", "currencyCode": "USD", "grain": "Hourly"}
    assert request.body["properties"]["billingPlan"] == "P1M"
    upfront = request_of(bought(azure(form="savings_plan", sku=None, payment="all_upfront")))
    assert unlike(upfront) == []
    assert "billingPlan" not in upfront.body["properties"]


@pytest.mark.parametrize("more", [{"payment": "partial_upfront"}, {"term_months": 24}, {"form": "cud_spend"}])
def test_what_azure_does_not_sell(more: dict[str, Any]) -> None:
    assert isinstance(native_request(bought(azure(**more))), Unsold)
