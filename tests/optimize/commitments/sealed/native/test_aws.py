"""AWS' requests have the members and types of botocore 1.44.5, bind no more than planned, and guess no id."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.sealed.native.request import Unsold
from outlay.optimize.commitments.sealed.native.requests import native_request
from tests.optimize.commitments.sealed.native.shapes import bought, request_of, unlike
from tests.optimize.commitments.series import offer

OFFERING = "3d44e8a4-1c2b-4d5e-8f90-123456789abc"


def aws(**more: Any) -> Offer:
    return offer(**{"provider": "AWS", "region": "us-east-1", "sku": OFFERING, **more})


def test_reserved_instances() -> None:
    request = request_of(bought(aws(unit_gpus=Decimal(8), payment="all_upfront"), 16))
    assert unlike(request) == []
    assert request.ready
    assert request.operation == "PurchaseReservedInstancesOffering"
    assert request.body == {
        "ReservedInstancesOfferingId": OFFERING,
        "InstanceCount": 2,
        "DryRun": True,  # a rehearsal until somebody approves
        "LimitPrice": {"Amount": "168192", "CurrencyCode": "USD"},  # 16 GPUs x 1.20 x 8,760 hours
    }
    assert request.numbers == ("LimitPrice.Amount",)
    assert request.token_field is None
    assert "DescribeReservedInstances" in (request.token_why or "")


def test_an_instance_type_is_no_offering() -> None:
    request = request_of(bought(aws(sku="p5.48xlarge", unit_gpus=Decimal(8)), 16))
    assert unlike(request) == []
    assert not request.ready
    assert request.body["ReservedInstancesOfferingId"] is None
    (missing,) = request.missing
    assert "p5.48xlarge, is no id of an offering" in missing.why


def test_eight_times_too_many_instances_are_not_asked_for() -> None:
    request = request_of(bought(aws(sku="p5.48xlarge"), 16))  # unit_gpus is 1 where the offer does not say
    assert unlike(request) == []
    assert request.body["InstanceCount"] is None
    assert any("p5.48xlarge has 8 GPUs, but unit_gpus of the offer says 1" in one.why for one in request.missing)


def test_a_part_of_a_machine_is_not_bought() -> None:
    request = request_of(bought(aws(unit_gpus=Decimal(8)), 12))
    assert request.body["InstanceCount"] is None
    assert not request.ready


def test_a_savings_plan() -> None:
    purchase = bought(aws(form="savings_plan", payment="partial_upfront"), "10.5")
    request = request_of(purchase)
    assert unlike(request) == []
    assert request.ready
    assert request.body == {
        "savingsPlanOfferingId": OFFERING,
        "commitment": "12.6",
        "clientToken": purchase.token,
        "tags": {"outlay-purchase": purchase.token},
        "upfrontPaymentAmount": "55188",  # half of 12.6 x 8,760
    }
    assert request.token_field == "clientToken"


@pytest.mark.parametrize("payment", ["no_upfront", "all_upfront"])
def test_an_amount_upfront_goes_with_a_partial_payment_alone(payment: str) -> None:
    request = request_of(bought(aws(form="savings_plan", payment=payment)))
    assert "upfrontPaymentAmount" not in request.body


def test_an_upfront_share_that_aws_does_not_take() -> None:
    request = request_of(
        bought(aws(form="savings_plan", payment="partial_upfront", upfront_share=Decimal("0.3")), "10")
    )
    assert unlike(request) == []
    assert request.body["upfrontPaymentAmount"] is None


def test_nothing_is_queued_past_the_check_at_purchase() -> None:
    for form in ("savings_plan", "reservation"):
        assert "purchasetime" not in {name.casefold() for name in request_of(bought(aws(form=form))).body}


@given(st.decimals("0.0005", "900000", places=9), st.decimals("0.01", "50", places=6))
def test_a_commitment_is_rounded_down_to_five_decimals(quantity: Decimal, price: Decimal) -> None:
    purchase = bought(aws(unit_price=price, form="savings_plan"), str(quantity))
    request = request_of(purchase)
    assert unlike(request) == []
    said = request.body["commitment"]
    if said is None:
        assert not Decimal("0.001") <= purchase.committed <= 1_000_000
        return
    assert purchase.committed - Decimal("0.00001") < Decimal(said) <= purchase.committed
    assert len(said.partition(".")[2]) <= 5


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"term_months": 24}, "12 and 36 months"),
        ({"form": "cud"}, "AWS sells no 'cud'"),
        ({"kind": "flex"}, "contract with its vendor"),
        ({"provider": None}, "does not say who sells it"),
        ({"provider": "CoreWeave"}, "no interface of CoreWeave"),
    ],
)
def test_what_no_interface_sells(more: dict[str, Any], why: str) -> None:
    found = native_request(bought(aws(**more)))
    assert isinstance(found, Unsold)
    assert why in found.why
