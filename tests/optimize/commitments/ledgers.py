"""Small ledgers of GPU bills, telemetry and commitments, whose figures one can add up by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from outlay.config import Settings
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.optimize.commitments.holdings.owned import owned
from outlay.optimize.commitments.holdings.ownership import Ownership
from outlay.optimize.commitments.ledger_pools.ledger_demand import ledger_demand
from outlay.optimize.commitments.ledger_pools.pools import LedgerDemand
from outlay.sources.loading import load
from tests.sources.focus_bills import COLUMNS, row, write_csv

__all__ = [
    "ARN", "DAY", "MORE", "committed", "demand_of", "gpu", "ledger_of", "nanos", "owned_of", "plan", "reserved",
    "scrapes", "unused",
]  # fmt: skip

DAY = datetime(2026, 10, 1)
ARN = "arn:aws:ec2:us-east-1:111122223333:reserved-instances/abc-1"
MORE = [
    "RegionId", "SkuMeter", "PricingCategory", "CommitmentDiscountId", "CommitmentDiscountStatus", "ChargeClass",
    "CommitmentDiscountCategory", "CommitmentDiscountQuantity", "CommitmentDiscountUnit",
]  # fmt: skip
_COMMITMENTS = [
    "ContractCommitmentId", "ContractCommitmentCategory", "ContractCommitmentType", "ContractCommitmentCost",
    "ContractCommitmentPeriodStart", "ContractCommitmentPeriodEnd", "ContractCommitmentLifecycleStatus", "ContractId",
    "ContractPeriodStart", "ContractPeriodEnd", "BillingCurrency", "ServiceProviderName",
    "ContractCommitmentFulfillmentInterval",
]  # fmt: skip


def gpu(hour: int, machines: str = "1", *, cost: str = "55", hours: int = 1, **more: str) -> dict[str, str]:
    """``machines`` p5.48xlarge (8 H100) on demand from an hour on, counted from 1 October."""
    start = DAY + timedelta(hours=hour)
    cells = {
        "ServiceProviderName": "AWS",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "SkuMeter": "BoxUsage:p5.48xlarge",
        "SkuId": "p5",
        "PricingUnit": "Hours",
        "PricingCategory": "Standard",
        "PricingQuantity": machines,
        "RegionId": "us-east-1",
        "Tags": json.dumps({"workload": "inference"}),
        "ChargePeriodStart": f"{start.isoformat()}Z",
        "ChargePeriodEnd": f"{(start + timedelta(hours=hours)).isoformat()}Z",
        "BilledCost": cost,
        "EffectiveCost": cost,
    }
    return row(**(cells | more))


def committed(hour: int, machines: str = "1", *, cost: str = "30", identity: str = ARN, **more: str) -> dict[str, str]:
    """Usage that a commitment served."""
    told = {
        "PricingCategory": "Committed",
        "CommitmentDiscountId": identity,
        "CommitmentDiscountStatus": "Used",
        "CommitmentDiscountCategory": "Usage",
    }
    return gpu(hour, machines, cost=cost) | told | more


def unused(hour: int, machines: str = "1", *, cost: str = "30", **more: str) -> dict[str, str]:
    """An hour of a commitment that nobody used."""
    told = {"CommitmentDiscountStatus": "Unused", "CommitmentDiscountQuantity": machines}
    return committed(hour, machines, cost=cost, **(told | {"CommitmentDiscountUnit": "Hours"} | more))


def plan(identity: str, **more: str) -> dict[str, str]:
    """A row of FOCUS' list of commitments: a year of money by the hour."""
    return {
        "ContractCommitmentId": identity,
        "ContractCommitmentCategory": "Spend",
        "ContractCommitmentType": "Savings Plan",
        "ContractCommitmentPeriodStart": "2026-01-01T00:00:00Z",
        "ContractCommitmentPeriodEnd": "2027-01-01T00:00:00Z",
        "ContractCommitmentLifecycleStatus": "Active",
        "ContractId": "K",
        "ContractPeriodStart": "2026-01-01T00:00:00Z",
        "ContractPeriodEnd": "2027-01-01T00:00:00Z",
        "BillingCurrency": "USD",
        "ServiceProviderName": "AWS",
        "ContractCommitmentFulfillmentInterval": "Hourly",
    } | more


def reserved(identity: str = "abc-1", **more: Any) -> dict[str, Any]:
    """A Reserved Instance of two p5.48xlarge for October, 60 an hour, as AWS lists it."""
    return {
        "ReservedInstancesId": identity,
        "CurrencyCode": "USD",
        "OfferingClass": "standard",
        "OfferingType": "Partial Upfront",
        "RecurringCharges": [{"Amount": 20, "Frequency": "Hourly"}],
        "FixedPrice": 7440,  # 744 hours: 10 an hour and machine
        "Scope": "Availability Zone",
        "InstanceType": "p5.48xlarge",
        "AvailabilityZone": "us-east-1a",
        "Start": "2026-10-01T00:00:00+00:00",
        "End": "2026-10-31T23:59:59+00:00",
        "Duration": 2678400,
        "InstanceCount": 2,
        "ProductDescription": "Linux/UNIX",
        "State": "active",
    } | more


def ledger_of(
    folder: Path,
    bill: Sequence[dict[str, str]] = (),
    *,
    reservations: Sequence[dict[str, Any]] = (),
    commitments: Sequence[dict[str, str]] = (),
    scrapes: str = "",
) -> Ledger:
    """A ledger of these rows."""
    exports = folder / "exports"
    exports.mkdir()
    if bill:
        write_csv(exports / "bill.csv", bill, [*COLUMNS, *MORE])
    if reservations:
        (exports / "reserved.json").write_text(json.dumps({"ReservedInstances": list(reservations)}))
    if commitments:
        with (exports / "commitments.csv").open("w", newline="") as handle:
            writer = csv.DictWriter(handle, _COMMITMENTS)
            writer.writeheader()
            writer.writerows(commitments)
    if scrapes:
        (exports / "scrapes.prom").write_text(scrapes)
    ledger = Ledger(folder / "ledger")
    load(ledger, [exports], Settings())
    return ledger


def demand_of(ledger: Ledger, *, since: datetime | None = None, until: datetime | None = None) -> LedgerDemand:
    with session() as connection:
        return ledger_demand(connection, ledger, since=since, until=until)


def owned_of(ledger: Ledger, **more: Any) -> Ownership:
    with session() as connection:
        return owned(connection, ledger, **more)


def nanos(*quantities: int) -> list[int]:
    """GPUs as billionths."""
    return [quantity * 10**9 for quantity in quantities]


def scrapes(card: str, minutes: Sequence[int], *, model: str = "NVIDIA H100 80GB HBM3") -> str:
    """Readings of a card that a pod holds, in the minutes after 1 October, as a DCGM exporter serves them."""
    labels = f'gpu="0",UUID="GPU-{card}",modelName="{model}",Hostname="n",namespace="ml",pod="p",container="c"'
    first = int(DAY.replace(tzinfo=UTC).timestamp() * 1000)
    metric = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
    return "".join(f"{metric}{{{labels}}} 0.5 {first + 60_000 * minute}\n" for minute in minutes)
