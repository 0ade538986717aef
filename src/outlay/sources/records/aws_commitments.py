"""What AWS lists of its commitments: Savings Plans, Reserved Instances, reserved capacity, training plans.

The JSON of ``aws savingsplans describe-savings-plans``, ``aws ec2 describe-reserved-instances``, ``aws ec2
describe-capacity-reservations`` and ``aws sagemaker describe-training-plan`` or ``list-training-plans``. A Savings Plan
commits money per hour, whatever it is used for (Spend); the others commit instances for a time (Usage). Amounts of
Savings Plans and training plans are texts, those of Reserved Instances numbers *for one instance*.

The traps:

- A Savings Plan's ``commitment`` is at Savings Plan rates, per hour, with the upfront part included; what is paid per
  hour beside it is ``recurringPaymentAmount``.
- A Reserved Instance names no account and no ARN, though the bill does: the bill's ARN ends with its id.
- A modified or exchanged Reserved Instance is ``retired``, ends on that day, and has a successor with a new id; so its
  hours are those of its period, not of the term that was bought.
- Most capacity reservations can be given back at any time: they are no commitments. A Capacity Block is one, and its
  fee is not in this list.

Source: API models of botocore 1.44.5 (savingsplans 2019-06-28, ec2 2016-11-15, sagemaker 2017-07-24).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from outlay.ledger.tables.commitments import COMMITMENTS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json, Unusable
from outlay.sources.facts import Fact, Value
from outlay.sources.reader import Format
from outlay.sources.records.cells import currency, hours_of, instant, number, pairs, period, product, text, whole
from outlay.sources.records.hardware import family_gpu, reserved_hardware

__all__ = ["AwsCommitmentsReader"]

_PROVIDER = "Amazon Web Services"
_Values = dict[str, Value]
_USAGE: Mapping[str, Value] = {
    "ContractCommitmentCategory": "Usage",
    "ContractCommitmentUnit": "Hours",
    "ContractCommitmentModel": "Continuous",
    "ContractCommitmentFulfillmentInterval": "Hourly",
    "ServiceProviderName": _PROVIDER,
}
_STATES = {
    **dict.fromkeys(("queued", "payment-pending", "pending", "scheduled", "delayed"), "Pending"),
    "assessing": "Proposed",
    **dict.fromkeys(("active", "pending-return", "cancelling", "unavailable"), "Active"),
    **dict.fromkeys(("retired", "expired"), "Expired"),
    **dict.fromkeys(("payment-failed", "queued-deleted", "returned", "cancelled", "failed", "unsupported"), "Canceled"),
}
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")
_CENTURY = 100 * 366 * 86_400  # seconds
_PAYMENTS = ("No Upfront", "Partial Upfront", "All Upfront")


class AwsCommitmentsReader:
    """Reads the answers of the CLI, one or several in a file, or the bare records in them."""

    format = Format(
        "aws-commitments",
        "AWS Savings Plans, Reserved Instances, Capacity Blocks and SageMaker training plans",
        "The JSON of `aws savingsplans describe-savings-plans`, `aws ec2 describe-reserved-instances`, "
        "`aws ec2 describe-capacity-reservations` or `aws sagemaker list-training-plans`.",
    )
    table = COMMITMENTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Every answer or record of the document is of one of the four kinds, by the names of its fields."""
        if file.kind not in ("json", "jsonl"):
            return False
        sample = file.sample if isinstance(file.sample, list) else [file.sample]
        return bool(sample) and all(isinstance(one, dict) and _is_own(one) for one in sample)

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """A row a commitment; capacity that can be given back at any time is counted in a notice."""
        free = 0
        for found in _records(file):
            if isinstance(found, Problem):
                yield found
                continue
            line, record = found
            try:
                fact = _READINGS[_kind(record) or ""](line, record)
            except Unusable as error:
                yield error.problem(file, line)
                continue
            if fact is None:
                free += 1
            else:
                yield fact
        if free:
            yield file.problem(None, "not-a-commitment", f"capacity reservations that can be given back: {free}")


def _records(file: FactFile) -> Iterator[tuple[int, Mapping[str, Json]] | Problem]:
    """Each record with its number: the line of JSON lines, else its place among all records of the document."""
    place = 0
    for found in file.objects():
        if isinstance(found, Problem):
            yield found
            continue
        number_of, document = found
        for record in _inner(document):
            place += 1
            line = number_of if file.kind == "jsonl" else place
            if isinstance(record, dict) and _kind(record):
                yield line, record
            else:
                yield file.problem(line, "unusable-record", "the record is none that AWS lists commitments in")


def _inner(document: Mapping[str, Json]) -> list[Json]:
    for list_name in _LISTS:
        if isinstance(document.get(list_name), list):
            return list(document[list_name])
    return [document]


def _is_own(document: Mapping[str, Json]) -> bool:
    records = _inner(document)
    if len(records) == 1 and records[0] is document:
        return _kind(document) is not None
    return all(isinstance(record, dict) and _kind(record) for record in records[:1])


def _kind(record: Mapping[str, Json]) -> str | None:
    """The mark of the kind of commitment that the record is."""
    return next((mark for mark, beside in _MARKS.items() if mark in record and beside in record), None)


_LISTS = ("savingsPlans", "ReservedInstances", "CapacityReservations", "TrainingPlanSummaries")
_MARKS = {
    "savingsPlanId": "commitment",
    "ReservedInstancesId": "OfferingType",
    "CapacityReservationId": "TotalInstanceCount",
    "TrainingPlanArn": "TrainingPlanName",
}


def _savings_plan(line: int, record: Mapping[str, Json]) -> Fact:
    identity = text(record, "savingsPlanArn", "savingsPlanId")
    start, end = period(instant(record, "start"), instant(record, "end"))
    hourly, upfront = number(record, "commitment"), number(record, "upfrontPaymentAmount")
    recurring = number(record, "recurringPaymentAmount")
    if hourly is None:
        raise Unusable("missing-amount", "the Savings Plan has no commitment")
    kind, family = text(record, "savingsPlanType"), text(record, "ec2InstanceFamily")
    products = _texts(record.get("productTypes"))
    values: _Values = {
        "ContractCommitmentCategory": "Spend",
        "ContractCommitmentType": f"{kind} Savings Plan" if kind else "Savings Plan",
        "ContractCommitmentDescription": text(record, "description") or ", ".join(products) or None,
        "ContractCommitmentBenefitCategory": "Discount",
        "ContractCommitmentModel": "Continuous",
        "ContractCommitmentFulfillmentInterval": "Hourly",
        "ContractCommitmentPeriodStart": start,
        "ContractCommitmentPeriodEnd": end,
        "ContractCommitmentCost": product(hourly, hours_of(start, end, _seconds(record, "termDurationInSeconds"))),
        "BillingCurrency": currency(record, "currency", hourly),
        "ContractCommitmentPaymentModel": _payment(text(record, "paymentOption")),
        "ServiceProviderName": _PROVIDER,
        "x_HourlyCommitment": hourly,
        "x_UpfrontCost": upfront,
        "x_RecurringHourlyCost": recurring,
        "x_InstanceFamily": family,
        "x_GpuType": family_gpu(family) if family else None,
        "x_Region": text(record, "region"),
    }
    return _fact(identity, line, record, values, state=text(record, "state"), tags=record.get("tags"))


def _reserved_instance(line: int, record: Mapping[str, Json]) -> Fact:
    start, end = period(instant(record, "Start"), instant(record, "End"))
    instances = _count(record, "InstanceCount")
    hours = hours_of(start, end, _seconds(record, "Duration"))
    fixed, recurring = number(record, "FixedPrice"), _hourly(record)
    cost = None
    if fixed is not None and recurring is not None:
        cost = product(product(recurring, hours) + fixed, instances)
    about = (text(record, "ProductDescription"), text(record, "OfferingType"), text(record, "Scope"))
    values: _Values = {
        **_USAGE,
        **_hardware(text(record, "InstanceType"), instances, start),
        "ContractCommitmentType": f"{(text(record, 'OfferingClass') or '').capitalize()} Reserved Instance".lstrip(),
        "ContractCommitmentDescription": ", ".join(filter(None, about)) or None,
        "ContractCommitmentBenefitCategory": "Discount",
        "ContractCommitmentPeriodStart": start,
        "ContractCommitmentPeriodEnd": end,
        "ContractCommitmentQuantity": product(hours, instances),
        "ContractCommitmentCost": cost,
        "BillingCurrency": currency(record, "CurrencyCode", fixed, recurring),
        "ContractCommitmentPaymentModel": _payment(text(record, "OfferingType")),
        "x_UpfrontCost": None if fixed is None else product(fixed, instances),
        "x_RecurringHourlyCost": None if recurring is None else product(recurring, instances),
        "x_Region": _region(text(record, "AvailabilityZone")),
    }
    identity = text(record, "ReservedInstancesId")
    return _fact(identity, line, record, values, state=text(record, "State"), tags=record.get("Tags"))


def _capacity_reservation(line: int, record: Mapping[str, Json]) -> Fact | None:
    """A Capacity Block, or future-dated capacity with a term that must be kept; None for what can be given back."""
    promised = record.get("CommitmentInfo")
    if text(record, "ReservationType") == "capacity-block":
        kind, until, instances = "Capacity Block", instant(record, "EndDate"), _count(record, "TotalInstanceCount")
    elif isinstance(promised, dict) and promised.get("CommitmentEndDate"):
        kind, until = "Future-dated Capacity Reservation", instant(promised, "CommitmentEndDate")
        instances = _count(promised, "CommittedInstanceCount")
    else:
        return None
    start, end = period(instant(record, "StartDate"), until)
    values: _Values = {
        **_USAGE,
        **_hardware(text(record, "InstanceType"), instances, start),
        "ContractCommitmentType": kind,
        "ContractCommitmentDescription": text(record, "InstancePlatform"),
        "ContractCommitmentBenefitCategory": "Availability",
        "ContractCommitmentCreated": instant(record, "CreateDate"),
        "ContractCommitmentPeriodStart": start,
        "ContractCommitmentPeriodEnd": end,
        "ContractCommitmentQuantity": product(hours_of(start, end, None), instances),
        "ContractCommitmentPaymentModel": "All Upfront" if kind == "Capacity Block" else None,
        "ContractId": text(record, "CapacityBlockId"),
        "x_Region": _region(text(record, "AvailabilityZone")),
    }
    identity = text(record, "CapacityReservationArn", "CapacityReservationId")
    return _fact(identity, line, record, values, state=text(record, "State"), tags=record.get("Tags"))


def _training_plan(line: int, record: Mapping[str, Json]) -> Fact:
    start, end = period(instant(record, "StartTime"), instant(record, "EndTime"))
    instances = _count(record, "TotalInstanceCount")
    fee = number(record, "UpfrontFee")
    hours, minutes = whole(record, "DurationHours"), whole(record, "DurationMinutes") or 0
    parts = record.get("ReservedCapacitySummaries")
    parts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    types = {text(part, "InstanceType") for part in parts}
    sole = types.pop() if len(types) == 1 else None
    zones = {_region(text(part, "AvailabilityZone")) for part in parts}
    stated = None if hours is None else _length(hours * 3600 + minutes * 60)
    length = hours_of(start, end, stated, slack=timedelta.max)  # a plan may pause: its period is longer than its hours
    targets = _texts(record.get("TargetResources"))
    values: _Values = {
        **_USAGE,
        **_hardware(sole, instances, start),
        "ContractCommitmentType": "SageMaker training plan",
        "ContractCommitmentDescription": ", ".join(filter(None, (text(record, "TrainingPlanName"), *targets))) or None,
        "ContractCommitmentBenefitCategory": "Availability",
        "ContractCommitmentPeriodStart": start,
        "ContractCommitmentPeriodEnd": end,
        "ContractCommitmentQuantity": product(length, instances),
        "ContractCommitmentCost": fee,
        "BillingCurrency": currency(record, "CurrencyCode", fee),
        "ContractCommitmentPaymentModel": "All Upfront",
        "ContractCommitmentPaymentInterval": "One-Time",
        "x_UpfrontCost": fee,
        "x_Region": zones.pop() if len(zones) == 1 else None,
    }
    return _fact(text(record, "TrainingPlanArn"), line, record, values, state=text(record, "Status"), tags=None)


_READINGS: Mapping[str, Callable[[int, Mapping[str, Json]], Fact | None]] = {
    "savingsPlanId": _savings_plan,
    "ReservedInstancesId": _reserved_instance,
    "CapacityReservationId": _capacity_reservation,
    "TrainingPlanArn": _training_plan,
}


def _fact(
    identity: str | None, line: int, record: Mapping[str, Json], values: _Values, *, state: str | None, tags: Json
) -> Fact:
    if identity is None:
        raise Unusable("unusable-record", "the record has no id")
    told = {
        **values,
        "ContractCommitmentId": identity,
        "ContractCommitmentLifecycleStatus": _STATES.get((state or "").casefold()),
        "x_State": state,
    }
    account = text(record, "OwnerId") or (identity.split(":")[4] if identity.count(":") >= 5 else None)
    return Fact(identity, line, {k: v for k, v in told.items() if v is not None}, pairs(tags), account or None)


def _hardware(instance_type: str | None, instances: int, on: datetime) -> _Values:
    family = instance_type.removeprefix("ml.").partition(".")[0] if instance_type else None
    return {**reserved_hardware("aws", instance_type, instances, on), "x_InstanceFamily": family}


def _hourly(record: Mapping[str, Json]) -> Decimal | None:
    """What one instance is charged per hour of the term, used or not; None where a charge is of an unknown kind."""
    charges = record.get("RecurringCharges")
    if not isinstance(charges, list):
        return None
    total = Decimal(0)
    for charge in charges:
        found = number(charge, "Amount") if isinstance(charge, dict) else None
        if found is None or text(charge, "Frequency") != "Hourly":
            return None
        total += found
    return total


def _count(record: Mapping[str, Json], key: str) -> int:
    found = whole(record, key)
    if found is None:
        raise Unusable("unusable-record", f"{key} is missing")
    return found


def _seconds(record: Mapping[str, Json], key: str) -> timedelta | None:
    found = whole(record, key)
    return None if found is None else _length(found)


def _length(seconds: int) -> timedelta:
    if seconds > _CENTURY:
        raise Unusable("unusable-record", f"a term of {seconds} seconds is longer than a century")
    return timedelta(seconds=seconds)


def _payment(option: str | None) -> str | None:
    return option if option in _PAYMENTS else None


def _region(zone: str | None) -> str | None:
    """``us-east-1a`` gives ``us-east-1``, the Local Zone ``us-west-2-lax-1a`` its ``us-west-2``."""
    found = _REGION.match(zone or "")
    return found[0] if found else None


def _texts(found: Json) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
