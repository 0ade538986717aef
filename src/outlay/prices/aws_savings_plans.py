"""Rates of AWS' savings plans: the JSON that ``aws savingsplans describe-savings-plans-offering-rates`` prints.

No public list has them; the call needs credentials, so the user makes it and gives the file. ``searchResults`` is a
list of rates: what an hour of an instance costs under a plan, with the plan's type, term and payment. Field names and
values are those of botocore 1.44.5; no live answer was tried.

What is taken: EC2 by the hour, Linux, shared tenancy, instances with a GPU that the instance map knows. The rate is the
whole price of the hour, whatever part of it is paid upfront.

The trap is SageMaker: its ``ml.`` machines have plans of their own, which serve no EC2 instance, nor the other way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.errors import UnreadableError
from outlay.prices.gpu_table import BadLine, the_currency, the_price, unusable
from outlay.prices.gpus import GpuInstance, gpu_instance
from outlay.problems import Problem

__all__ = ["PlanRate", "PlanRates", "read_savings_plans"]

_YEAR = 31_536_000
_LINUX = "Linux/UNIX"
_PLANS = {"Compute": "Compute Savings Plan", "EC2Instance": "EC2 Instance Savings Plan"}
_PAYMENTS = {"No Upfront": "no_upfront", "Partial Upfront": "partial_upfront", "All Upfront": "all_upfront"}


@dataclass(frozen=True, slots=True)
class PlanRate:
    """An hour of ``instance`` in ``region`` costs ``rate`` under ``plan``, its name with what it is bound to."""

    plan: str
    years: int
    payment: str
    instance: GpuInstance
    region: str
    rate: Decimal
    currency: str
    offering: str | None
    source: str


@dataclass(frozen=True, slots=True)
class PlanRates:
    """What a file told, and what was wrong with its other entries."""

    rates: tuple[PlanRate, ...]
    problems: tuple[Problem, ...] = ()


def read_savings_plans(path: Path) -> PlanRates:
    """The rates of GPU instances. Raises :class:`UnreadableError` where the file is no such answer."""
    hint = "Give what `aws savingsplans describe-savings-plans-offering-rates` printed."
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableError(f"can't be read: {error}.", where=str(path), hint=hint) from None
    listed = content.get("searchResults") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise UnreadableError("has no list 'searchResults'.", where=str(path), hint=hint)
    rates, problems = [], []
    for number, entry in enumerate(listed, start=1):
        try:
            rate = _rate(entry, f"savings plan rates of AWS, {path.name}")
        except BadLine as bad:
            problems.append(unusable(str(path), number, f"entry {number}: {bad}"))
        else:
            rates += [rate] if rate is not None else []
    return PlanRates(tuple(rates), tuple(problems))


def _rate(entry: object, source: str) -> PlanRate | None:
    """None for what is no hour of a GPU instance. Raises :class:`BadLine`."""
    told = _mapping(entry)
    properties = {_text(one, "name"): _text(one, "value") for one in map(_mapping, told.get("properties") or [])}
    machine = properties.get("instanceType", "")
    if _text(told, "serviceCode") != "AmazonEC2" or _text(told, "unit") != "Hrs":
        return None
    if properties.get("tenancy", "shared").casefold() != "shared" or properties.get("productDescription") != _LINUX:
        return None
    instance = gpu_instance("aws", machine)
    # Dedicated, reserved and unused capacity are billed by other usage types than BoxUsage.
    if instance is None or "BoxUsage:" not in _text(told, "usageType"):
        return None
    offering = _mapping(told.get("savingsPlanOffering"))
    plan, seconds = _text(offering, "planType"), offering.get("durationSeconds")
    if plan not in _PLANS:
        return None
    payment = _PAYMENTS.get(_text(offering, "paymentOption"))
    if payment is None or not isinstance(seconds, int) or seconds not in (_YEAR, 3 * _YEAR):
        raise BadLine(f"unknown payment or term of a plan: {offering.get('paymentOption')}, {seconds} seconds"[:120])
    region = properties.get("region", "")
    if not region:
        raise BadLine(f"{machine} has no region")
    bound = f" {machine.partition('.')[0]} {region}" if plan == "EC2Instance" else ""
    return PlanRate(
        plan=f"{_PLANS[plan]}{bound}",
        years=seconds // _YEAR,
        payment=payment,
        instance=instance,
        region=region,
        rate=the_price(str(told.get("rate", ""))),
        currency=the_currency(_text(offering, "currency")),
        offering=_text(offering, "offeringId") or None,
        source=source,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadLine("is no object, or lacks one")
    return value


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found.strip() if isinstance(found, str) else ""
