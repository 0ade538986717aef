"""Amazon Web Services: Savings Plans and Reserved Instances, by botocore 1.44.5.

- ``savingsplans`` ``CreateSavingsPlan``: every amount is a string. ``commitment`` is money per hour with at most five
  decimals, from 0.001 to 1,000,000; it is rounded down, so that no more is bound than planned.
  ``upfrontPaymentAmount`` only goes with a partial upfront payment: a whole number of 50 to 99 percent of the plan's
  value. ``clientToken`` keeps a retry from buying twice. There is no rehearsal.
- ``ec2`` ``PurchaseReservedInstancesOffering``: whole instances. It has a rehearsal (``DryRun``) and no token.
  ``LimitPrice`` bounds what an offering of the marketplace may cost at once, in USD; it goes with what is paid upfront.

Both want the id of an offering, a UUID. An offer whose ``sku`` is a machine's name does not say it: the id depends on
region, term, payment and platform, and is looked up when the purchase is made.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from typing import Any

from outlay.money import plain
from outlay.optimize.commitments.sealed.native.request import Missing, Request, Unsold, is_uuid, machines
from outlay.optimize.commitments.sealed.purchase import Purchase

__all__ = ["aws_request"]

_PROVIDER = "aws"
_TERMS = (12, 36)
_STEP = Decimal("0.00001")
_LEAST, _MOST = Decimal("0.001"), Decimal(1_000_000)
_LEAST_UPFRONT, _MOST_UPFRONT = Decimal("0.50"), Decimal("0.99")
_TAG = "outlay-purchase"


def aws_request(purchase: Purchase) -> Request | Unsold:
    """The request for ``purchase``, by its offer's form."""
    offer = purchase.offer
    if offer.term_months not in _TERMS:
        return Unsold(f"AWS sells terms of 12 and 36 months, not of {offer.term_months}")
    if offer.form == "savings_plan":
        return _savings_plan(purchase)
    if offer.form == "reservation":
        return _reserved_instances(purchase)
    return Unsold(f"AWS sells no '{offer.form}': the forms are reservation and savings_plan")


def _savings_plan(purchase: Purchase) -> Request:
    commitment = purchase.committed.quantize(_STEP, rounding=ROUND_DOWN)
    offering, missing = _offering(purchase, "savingsPlanOfferingId", "DescribeSavingsPlansOfferings")
    within = _LEAST <= commitment <= _MOST
    if not within:
        missing.append(Missing("commitment", f"{plain(commitment)} an hour is not within 0.001 and 1,000,000"))
    body: dict[str, Any] = {
        "savingsPlanOfferingId": offering,
        "commitment": plain(commitment) if within else None,
        "clientToken": purchase.token,
        "tags": {_TAG: purchase.token},
    }
    if purchase.offer.payment == "partial_upfront":
        total = commitment * purchase.offer.term_hours
        upfront = (total * purchase.offer.upfront).to_integral_value(rounding=ROUND_CEILING)
        fits = total * _LEAST_UPFRONT <= upfront <= total * _MOST_UPFRONT
        body["upfrontPaymentAmount"] = plain(upfront) if fits else None
        if not fits:
            said = f"{plain(upfront)} is not within 50 and 99 percent of the plan's {plain(total)}"
            missing.append(Missing("upfrontPaymentAmount", said))
    return Request(
        provider=_PROVIDER,
        api="savingsplans 2019-06-28",
        operation="CreateSavingsPlan",
        body=body,
        token_field="clientToken",  # noqa: S106 - the name of a field
        missing=tuple(missing),
    )


def _reserved_instances(purchase: Purchase) -> Request:
    offer = purchase.offer
    offering, missing = _offering(purchase, "ReservedInstancesOfferingId", "DescribeReservedInstancesOfferings")
    count, doubts = machines(purchase, "InstanceCount")
    body: dict[str, Any] = {"ReservedInstancesOfferingId": offering, "InstanceCount": count, "DryRun": True}
    bounded = purchase.upfront > 0 and offer.currency == "USD"
    if bounded:
        body["LimitPrice"] = {"Amount": plain(purchase.upfront), "CurrencyCode": offer.currency}
    return Request(
        provider=_PROVIDER,
        api="ec2 2016-11-15",
        operation="PurchaseReservedInstancesOffering",
        body=body,
        parameters={"region": offer.region},
        token_why="the operation has no token: before a retry, ask DescribeReservedInstances what was bought",  # noqa: S106
        numbers=("LimitPrice.Amount",) if bounded else (),
        missing=(*missing, *doubts, *_region(purchase)),
    )


def _offering(purchase: Purchase, name: str, found_by: str) -> tuple[str | None, list[Missing]]:
    sku = purchase.offer.sku
    if is_uuid(sku):
        return sku, []
    said = "the offer has no sku" if sku is None else f"the offer's sku, {sku}, is no id of an offering"
    return None, [Missing(name, f"{said}; {found_by} lists them")]


def _region(purchase: Purchase) -> list[Missing]:
    return [] if purchase.offer.region else [Missing("region", "the offer does not say where it holds")]
