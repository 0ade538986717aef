"""Microsoft Azure: reservations by azure-mgmt-reservations 3.0.0, savings plans by azure-mgmt-billingbenefits 1.0.0b2.

- A reservation is a ``PUT`` on ``reservationOrders/{reservationOrderId}``. The id comes from ``calculatePrice`` with
  the same body, so no request is ready before that was asked; the ``PUT`` on one id is then what keeps a retry from
  buying twice.
- A savings plan is a ``PUT`` on ``savingsPlanOrderAliases/{savingsPlanOrderAliasName}``. The alias is the buyer's to
  choose: it is the purchase's token.

Which subscription is billed and which ones are served, nobody's offer says. Azure has two billing plans, all of it
upfront or by the month, and terms of one and three years.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

from outlay.money import plain
from outlay.optimize.commitments.sealed.native.request import Missing, Request, Unsold, machines
from outlay.optimize.commitments.sealed.purchase import Purchase

__all__ = ["azure_request"]

_PROVIDER = "azure"
_TERMS = {12: "P1Y", 36: "P3Y"}
_BILLED = Missing("properties.billingScopeId", "the subscription that is billed: /subscriptions/...")
_SCOPE = Missing(
    "properties.appliedScopeType", "what it serves: Shared, Single or ManagementGroup, the latter two with their scopes"
)


def azure_request(purchase: Purchase) -> Request | Unsold:
    """The request for ``purchase``, by its offer's form."""
    offer = purchase.offer
    if offer.term_months not in _TERMS:
        return Unsold(f"terms of 12 and 36 months are known of Azure, not of {offer.term_months}")
    if offer.payment == "partial_upfront":
        return Unsold("Azure takes all upfront or a twelfth a month, nothing between")
    if offer.form == "reservation":
        return _reservation(purchase)
    if offer.form == "savings_plan":
        return _savings_plan(purchase)
    return Unsold(f"Azure sells no '{offer.form}': the forms are reservation and savings_plan")


def _reservation(purchase: Purchase) -> Request:
    offer = purchase.offer
    missing = [Missing("reservationOrderId", "POST /providers/Microsoft.Capacity/calculatePrice says it")]
    missing += [] if offer.sku else [Missing("sku.name", "the offer has no sku: the size of the machine")]
    missing += [] if offer.region else [Missing("location", "the offer does not say where it holds")]
    quantity, doubts = machines(purchase, "properties.quantity")
    return Request(
        provider=_PROVIDER,
        api="Microsoft.Capacity 2022-11-01",
        operation="PUT /providers/Microsoft.Capacity/reservationOrders/{reservationOrderId}",
        parameters={"reservationOrderId": None},
        body={
            "sku": {"name": offer.sku},
            "location": offer.region,
            "properties": {
                **_common(purchase),
                "reservedResourceType": "VirtualMachines",
                "billingPlan": "Upfront" if offer.payment == "all_upfront" else "Monthly",
                "quantity": quantity,
            },
        },
        token_why="the id of the order: repeat the PUT with the same one, never with that of a new calculation",  # noqa: S106
        missing=(*missing, *doubts, _BILLED, _SCOPE),
    )


def _savings_plan(purchase: Purchase) -> Request:
    offer = purchase.offer
    amount = purchase.committed.quantize(Decimal("0.00001"), rounding=ROUND_DOWN)
    properties: dict[str, Any] = {
        **_common(purchase),
        "commitment": {"amount": plain(amount), "currencyCode": offer.currency, "grain": "Hourly"},
    }
    if offer.payment == "no_upfront":
        properties["billingPlan"] = "P1M"
    missing = [] if offer.sku else [Missing("sku.name", "the offer has no sku: Compute_Savings_Plan is one")]
    return Request(
        provider=_PROVIDER,
        api="Microsoft.BillingBenefits 2022-11-01",
        operation="PUT /providers/Microsoft.BillingBenefits/savingsPlanOrderAliases/{savingsPlanOrderAliasName}",
        parameters={"savingsPlanOrderAliasName": purchase.token},
        body={"sku": {"name": offer.sku}, "properties": properties},
        token_field="savingsPlanOrderAliasName",  # noqa: S106 - the name of a field
        numbers=("properties.commitment.amount",),
        missing=(*missing, _BILLED, _SCOPE),
    )


def _common(purchase: Purchase) -> dict[str, Any]:
    return {
        "billingScopeId": None,
        "term": _TERMS[purchase.offer.term_months],
        "displayName": f"outlay-{purchase.token}",
        "appliedScopeType": None,
        "renew": False,
    }
