"""Commitments that are held: the ledger's list of them, each once, with its GPUs, its term and its hourly cost.

    hourly cost = x_RecurringHourlyCost + x_UpfrontCost / hours of the term
                  (else x_HourlyCommitment, else ContractCommitmentCost / hours of the term)

What is told of a commitment by two sources is one commitment: an id that is the end of another (a Reserved Instance's
id, and the ARN that the bill has of it) names the same thing. What one source leaves out, the other says.

The traps: the list has commitments of all states. Those that never began (Proposed, Pending) hold nothing. Those that
were ended early (Canceled, Superseded, Exhausted) held something until a day that nobody tells, so their hours are
unknown, not those of the term: they are left out and named. An Expired one held its GPUs until the end of its period.
An hour belongs to a term that has at least half of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from outlay.money import add_exactly
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.ledger_pools.hours import hour_of
from outlay.prices.gpus import gpu_instance, gpu_instances, normal_instance, provider_slug

if TYPE_CHECKING:
    import duckdb

__all__ = ["Held", "Unheld", "held_commitments", "same_commitment"]

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_PRECISION = 60
_NOT_BEGUN = ("Proposed", "Pending")
_ENDED = ("Canceled", "Superseded", "Exhausted")
_HARDWARE = ("gpu", "region", "instance_type", "family", "gpus")
_MONEY = ("currency", "hourly_cost", "hourly_money", "cost_why")


@dataclass(frozen=True, slots=True)
class Held:
    """A commitment in force from ``since`` to ``until`` (exclusive).

    ``gpus`` is None where nobody tells how many; ``hourly_money`` is the promise of a commitment of money.
    ``hourly_cost`` is None with ``cost_why``. ``gpu``, ``region``, ``provider`` and the machine are None where the list
    names none.
    """

    id: str
    category: str
    kind: str | None
    provider: str | None
    gpu: str | None
    region: str | None
    instance_type: str | None
    family: str | None
    gpus: Decimal | None
    since: datetime
    until: datetime
    status: str | None
    currency: str | None
    hourly_cost: Decimal | None
    hourly_money: Decimal | None
    cost_why: str | None
    sources: tuple[str, ...]

    @property
    def nanos(self) -> int:
        """GPUs in billionths."""
        return int((self.gpus or 0) * NANOS)

    @property
    def by_money(self) -> bool:
        """Whether money per hour is promised, not GPUs."""
        return self.category == "Spend"

    @property
    def hours(self) -> tuple[int, int]:
        """First hour and the hour after the last, counted from the epoch."""
        half = timedelta(minutes=30)
        return hour_of(self.since + half), hour_of(self.until + half)

    def serves(self, gpu: str, region: str | None, provider: str | None, instance_type: str | None) -> bool:
        """Whether machines of that kind can be served; what is None is not known, and speaks against nothing."""
        if self.gpu is not None and self.gpu != gpu:
            return False
        if None not in (self.region, region) and str(self.region).casefold() != str(region).casefold():
            return False
        if None not in (self.provider, provider) and self.provider != provider:
            return False
        if instance_type is None:
            return True
        if self.instance_type is not None:
            return _machine(self.instance_type) == _machine(instance_type)
        # Google's families are series of machines (ACCELERATOR_OPTIMIZED_A3), which the GPU tells as well.
        if self.provider != "aws" or self.family is None:
            return True
        return normal_instance(instance_type).startswith(f"{self.family.casefold()}.") and not _managed(instance_type)


@dataclass(frozen=True, slots=True)
class Unheld:
    """A listed commitment that is left out, and why."""

    id: str
    why: str
    sources: tuple[str, ...]


def held_commitments(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[Held, ...], tuple[Unheld, ...]]:
    """Those of the view ``commitments``, each once, and those that are left out. Others than of GPUs are no part of it.

    A commitment of money stays where nothing binds it to another machine: it may serve GPUs.
    """
    cursor = connection.execute(
        """SELECT "ContractCommitmentId", "ContractCommitmentCategory", "ContractCommitmentType", "ServiceProviderName",
            "x_GpuType", "x_Region", "x_InstanceType", "x_InstanceFamily", "x_CommittedGpus", "x_InstanceCount",
            "ContractCommitmentPeriodStart", "ContractCommitmentPeriodEnd", "ContractCommitmentLifecycleStatus",
            "BillingCurrency", "x_RecurringHourlyCost", "x_UpfrontCost", "x_HourlyCommitment", "ContractCommitmentCost",
            "ContractCommitmentFulfillmentInterval", "ContractCommitmentLastUpdated", "x_Source" FROM commitments
            ORDER BY "ContractCommitmentLastUpdated" DESC NULLS LAST, "x_Source", "ContractCommitmentId" """
    )
    names = [column[0] for column in cursor.description or ()]
    found = [_held(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
    kept, out = [], []
    for one in _each_once(found):
        if one.status in _NOT_BEGUN:
            out.append(Unheld(one.id, f"{one.status}: it holds nothing yet", one.sources))
        elif one.status in _ENDED:
            why = f"{one.status}: until when it was in force is not told, so none of its hours are counted"
            out.append(Unheld(one.id, why, one.sources))
        elif one.by_money and one.hourly_money is None:
            why = "a commitment of money over a term, not by the hour: it serves no hour of a GPU"
            out.append(Unheld(one.id, why, one.sources))
        elif one.gpu is not None or one.gpus is not None or not (one.instance_type or one.family):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: (one.until, one.id))), tuple(out)


def same_commitment(one: str, other: str) -> bool:
    """Whether two ids name one commitment: the same, or one is the last part of the other."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    if short == long:
        return True
    return "/" not in short and ":" not in short and long.endswith((f"/{short}", f":{short}"))


def _each_once(found: Sequence[Held]) -> Iterable[Held]:
    """What several sources tell of a commitment as one; the latest telling first."""
    groups: dict[str, list[Held]] = {}
    for one in sorted(found, key=lambda one: -len(one.id)):  # whole ids before their last parts
        groups.setdefault(one.id.casefold(), []).append(one)
    for name in [name for name in groups if "/" not in name and ":" not in name]:
        whole = [other for other in groups if other != name and same_commitment(name, other)]
        if len(whole) == 1:
            groups[whole[0]] += groups.pop(name)
    for group in groups.values():
        order = {id(one): place for place, one in enumerate(found)}
        group.sort(key=lambda one: order[id(one)])
        yield _merged(group)


def _merged(group: Sequence[Held]) -> Held:
    longest = max(group, key=lambda one: len(one.id))
    hardware = next((one for one in group if one.gpus is not None), None) or next(
        (one for one in group if one.gpu is not None), group[0]
    )
    money = next((one for one in group if one.hourly_cost is not None), group[0])
    status = next((one.status for one in group if one.status is not None), None)
    return replace(
        longest,
        **{name: getattr(hardware, name) for name in _HARDWARE},
        **{name: getattr(money, name) for name in _MONEY},
        status=status,
        kind=next((one.kind for one in group if one.kind), None),
        provider=next((one.provider for one in group if one.provider), None),
        sources=tuple(sorted({source for one in group for source in one.sources})),
    )


def _held(row: Mapping[str, Any]) -> Held:
    since, until = row["ContractCommitmentPeriodStart"], row["ContractCommitmentPeriodEnd"]
    provider = provider_slug(row["ServiceProviderName"]) or row["ServiceProviderName"]
    machine, family, gpu = row["x_InstanceType"], row["x_InstanceFamily"], row["x_GpuType"]
    gpus = row["x_CommittedGpus"]
    if machine is not None and (fact := gpu_instance(provider, machine, since.date())) is not None:
        gpu = gpu or fact.gpu_type
        if gpus is None and row["x_InstanceCount"] is not None:
            gpus = fact.gpu_count * row["x_InstanceCount"]
    if gpu is None and family is not None and provider == "aws":
        names = {one.gpu_type for one in gpu_instances() if one.instance_type.startswith(f"{family.casefold()}.")}
        gpu = names.pop() if len(names) == 1 else None
    cost, why = _hourly_cost(row, _term_hours(since, until))
    return Held(
        id=row["ContractCommitmentId"],
        category=row["ContractCommitmentCategory"],
        kind=row["ContractCommitmentType"],
        provider=provider,
        gpu=gpu,
        region=row["x_Region"],
        instance_type=machine,
        family=family,
        gpus=gpus,
        since=since,
        until=until,
        status=row["ContractCommitmentLifecycleStatus"],
        currency=row["BillingCurrency"] if cost is not None else None,
        hourly_cost=cost,
        hourly_money=_hourly_money(row, cost),
        cost_why=why,
        sources=(row["x_Source"],),
    )


def _hourly_money(row: Mapping[str, Any], cost: Decimal | None) -> Decimal | None:
    if row["ContractCommitmentCategory"] != "Spend":
        return None
    if row["x_HourlyCommitment"] is None and row["ContractCommitmentFulfillmentInterval"] == "Hourly":
        return cost
    found: Decimal | None = row["x_HourlyCommitment"]
    return found


def _hourly_cost(row: Mapping[str, Any], hours: Decimal) -> tuple[Decimal | None, str | None]:
    """What an hour of the term costs, or why that is not known."""
    recurring, upfront = row["x_RecurringHourlyCost"], row["x_UpfrontCost"]
    promised, cost = row["x_HourlyCommitment"], row["ContractCommitmentCost"]
    found: Decimal | None = None
    with localcontext(prec=_PRECISION):
        if recurring is not None and upfront is not None:
            found = add_exactly((recurring, upfront / hours))
        elif promised is not None:
            found = promised
        elif cost is not None:
            found = cost / hours
    if found is None:
        return None, "the list has no price of it"
    if row["BillingCurrency"] is None:
        return None, "the list does not say in which currency its price is"
    return found, None


def _term_hours(since: datetime, until: datetime) -> Decimal:
    """Hours of the term; an end a second before the full hour is the full hour."""
    length = until - since
    whole = (length + 30 * _MINUTE) // _HOUR
    if abs(length - whole * _HOUR) <= _MINUTE and whole:
        return Decimal(whole)
    with localcontext(prec=_PRECISION):
        return Decimal(length // timedelta(microseconds=1)) / Decimal(3_600_000_000)


def _managed(instance_type: str) -> bool:
    return instance_type.strip().casefold().startswith("ml.")


def _machine(instance_type: str) -> tuple[str, bool]:
    """A machine's type, and whether SageMaker rents it: reservations of EC2 do not serve ``ml.`` machines."""
    return normal_instance(instance_type), _managed(instance_type)
