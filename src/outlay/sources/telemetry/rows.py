"""Rows of ``gpu_usage`` from rolled-up hours, the same for every source of telemetry.

A row's identity is its part of a card, the moment from which the card is known in that hour, its holder and its share.
A card's hour is told whole: a file loaded again, or one that tells all of that time, replaces what was said of the
card, whoever held it; two files that hold one half of an hour each add up. A file that tells a part only of what is
there already is refused by the loader, as the overlap would count twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import Fact, Value
from outlay.sources.telemetry.cards import gpu_type
from outlay.sources.telemetry.rollup import Row, Rules, roll_up
from outlay.sources.telemetry.samples import NOBODY, Holder, Part, Telemetry

__all__ = ["facts_of", "gpu_id"]

_EPOCH = datetime(1970, 1, 1)
_BYTE_MICROSECONDS = (1 << 30) * 3_600_000_000  # in a GiB hour
_PICOJOULES = 3_600_000 * 10**12  # in a kWh
_ACTIVE_WHILE_FREE = "active while unallocated"
_NO_TAGS: Mapping[str, str] = {}


def facts_of(file: FactFile, telemetry: Telemetry, rules: Rules) -> Iterator[Fact | Problem]:
    """The facts of a file's telemetry, and a problem for each card of which one scrape says nothing of time."""
    with_rows = set()
    for row in roll_up(telemetry, rules):
        with_rows.add(row.card.card)
        yield _fact(row, rules, telemetry.tags_of(row.key.holder))
    for card, _ in telemetry.cards():
        if card not in with_rows:
            yield file.problem(None, "seen-once", f"GPU {card} was seen at one moment only")


def gpu_id(part: Part) -> str:
    """The UUID of a card; of a MIG instance the card's with the instance's number, as DCGM gives it no UUID."""
    return part.card if part.instance is None else f"MIG-{part.card}/{part.instance}"


def _fact(row: Row, rules: Rules, tags: Mapping[str, str]) -> Fact:
    part, holder, share, remark = row.key
    busy, idle, unseen, free = row.hours
    remarks = [text for text in (remark, _ACTIVE_WHILE_FREE if row.active_while_free else None) if text]
    start = _EPOCH + timedelta(microseconds=row.start)
    values: dict[str, Value] = {
        "start_time": start,
        "end_time": _EPOCH + timedelta(microseconds=row.end),
        "x_GpuId": gpu_id(part),
        "x_Card": part.card,
        "x_GpuShare": _quotient(share.numerator, share.denominator, 6),
        "x_Host": part.host,
        "x_GpuIndex": part.index,
        "x_GpuType": gpu_type(part.model),
        "x_GpuName": part.model,
        "x_Holder": (holder.name or holder.job) if holder else None,
        "x_Namespace": holder.namespace if holder else None,
        "x_Run": holder.job if holder else None,
        "x_AllocatedHours": _hours(busy + idle + unseen),
        "x_BusyHours": _hours(busy),
        "x_IdleHours": _hours(idle),
        "x_NoTelemetryHours": _hours(unseen),
        "x_UnallocatedHours": _hours(free),
        "x_ActiveHours": None if row.active is None else _hours(row.active),
        "x_UtilizationMetric": row.metric,
        "x_IdleBelow": rules.idle_below if row.metric else None,
        "x_MemoryUsedGibHours": _amount(row.memory, _BYTE_MICROSECONDS),
        "x_EnergyKwh": _amount(row.energy, _PICOJOULES),
        "x_Samples": row.samples,
        "x_Remarks": "; ".join(remarks) or None,
    }
    identity = "|".join((gpu_id(part), start.isoformat(), _who(holder), str(share), remark or ""))
    return Fact(identity, None, {name: value for name, value in values.items() if value is not None}, tags or _NO_TAGS)


def _who(holder: Holder | None) -> str:
    if holder is None:
        return "not known"
    if holder == NOBODY:
        return "nobody"
    return "/".join(text or "" for text in (holder.namespace, holder.name, holder.container, holder.job))


def _hours(billionths: int) -> Decimal:
    return Decimal(billionths).scaleb(-9)


def _amount(exact: Fraction | None, unit: int) -> Decimal | None:
    return None if exact is None else _quotient(exact.numerator, exact.denominator * unit, 9)


def _quotient(above: int, below: int, places: int) -> Decimal:
    """Rounded half to even from the exact quotient, not from a rounded one."""
    return Decimal(round(Fraction(above * 10**places, below))).scaleb(-places)
