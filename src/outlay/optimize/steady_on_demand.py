"""Steady on-demand GPU hours that a commitment would cover.

The highest-stakes call gets the strictest rule. A pool (provider, region, instance type) is what was *paid for* on
demand, hour by hour: rows that cost nothing (credited machines) are no demand that a commitment would make cheaper. It
is steady when the weekly means of its GPU count, over the last nine full weeks (63 days; configurable), never changed
by 20% or more week over week, and when those weeks are the bill's last: at most a part of a week may lie between the
pool's last hour and the bill's. A pool that ended is not a pool to commit to, and what came after it must not be looked
past. Its base is what ran in *every* hour of those weeks.

The claim reaches back from the pool's last full hour as long as hourly demand never fell below the base, so a
commitment of that size would have been used to 100% in the claimed window; earlier hours are not claimed. It is the sum
over the window's hours of base x (what those hours cost a GPU-hour - the committed rate), with the committed rate that
this bill pays for the same instance type, or the price file's. The hours between the window and the bill's end are
taken off at the committed rate as far as the base was idle in them. No committed rate: "rate unknown", never a generic
discount tier. A bill that is shorter, not steady, or without hourly rows shows no candidate or one to confirm.

The trap is an average: a rate over the whole bill prices a window after a price cut at what it cost before. So the rows
of pools that may qualify are read once more, by the hour.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal, localcontext

from outlay.config import OverspendSettings
from outlay.ledger.engine.duckdb import literal
from outlay.money import add_exactly, percent, share
from outlay.optimize.bill_rates import UnitRate, evidence_of, gpu_rate, money
from outlay.optimize.finding import Candidate, Claim
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["SteadyOnDemand"]

_HOURS_A_WEEK = 168
_HOUR = timedelta(hours=1)
_WEEK = timedelta(weeks=1)
_NOTHING = Decimal(0)
_WIDE = Context(prec=100)

_Key = tuple[str | None, str | None, str]


@dataclass(frozen=True, slots=True)
class _Hour:
    """On-demand GPUs that were paid for in an hour, what they cost (refunds taken off), and the paid rows."""

    gpus: Decimal
    cost: Decimal
    rows: int


@dataclass(frozen=True, slots=True)
class _Pool:
    provider: str | None
    region: str | None
    instance_type: str
    hours: dict[datetime, _Hour]
    hourly: bool

    def gpus(self, hour: datetime) -> Decimal:
        """GPUs paid for in an hour; an hour that is not on the bill is an hour without demand."""
        return self.hours[hour].gpus if hour in self.hours else _NOTHING


@dataclass(frozen=True, slots=True)
class _Base:
    """The steady base of a pool: GPUs in every hour from ``since`` to ``until``, and its last full weeks' means."""

    gpus: Decimal
    since: datetime
    until: datetime
    weeks: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class _Worth:
    """What the base took and cost in its window; ``idle`` GPU-hours and ``late_cost`` from there to the bill's end."""

    gpu_hours: Decimal
    cost: Decimal
    idle: Decimal
    late_hours: Decimal
    late_cost: Decimal

    def saving(self, rate: UnitRate) -> Decimal:
        """Cost of the base's hours less the commitment's, used or idle."""
        return self.cost + self.late_cost - (self.gpu_hours + self.late_hours + self.idle) * rate.unit_price


class SteadyOnDemand:
    """One candidate a pool with a steady base."""

    id = "steady-on-demand"
    order = 60
    rule = (
        "On-demand GPU-hours below the lowest hour of the bill's last nine steady weeks (< 20% week over week), at the "
        "committed rate."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Pools by provider, region and instance type."""
        keys = _long_enough(spend, settings.stable_weeks)
        if not keys:
            return
        end = _end_of_bill(spend)
        for pool in _pools(spend, keys):
            with localcontext(_WIDE):
                base = _base(pool, end, settings)
                if base is None:
                    continue
                lines = _lines(spend, pool, since=base.since)
                if _mostly_non_production(lines, settings):
                    continue
                found = self._candidate(spend, rates, pool, base, lines, worth=_worth(pool, base, end))
            if found is not None:
                yield found

    def _candidate(
        self, spend: Spend, rates: RateBook, pool: _Pool, base: _Base, lines: Sequence[Line], *, worth: _Worth
    ) -> Candidate | None:
        rate = gpu_rate(spend, rates, "committed", pool.instance_type, pool.region, provider=pool.provider)
        claims: tuple[Claim, ...] = ()
        if rate is not None:
            # Refunds may lie outside the window: never more than what is left of the lines' cost.
            kept = add_exactly(line.cost for line in lines) - worth.gpu_hours * rate.unit_price
            claims = _claims([line for line in lines if line.cost > 0], min(worth.saving(rate), kept))
            if not claims:
                return None
        missing = [] if pool.hourly else ["that the daily quantities hold in every hour (this bill has no hourly rows)"]
        if rate is None:
            missing = [f"a committed rate for {pool.instance_type} (give it with --prices)"]
        elif rate.elsewhere:
            missing.append(f"that {pool.region or 'this region'} sells commitments at that rate (--prices can say so)")
        window = [hour for moment, hour in pool.hours.items() if base.since <= moment < base.until]
        change = _largest_change(base.weeks)
        said = f"{base.since:%Y-%m-%d %H:%M} to {base.until:%Y-%m-%d %H:%M} UTC"
        own = share(worth.cost, worth.gpu_hours)
        idle = "" if not worth.idle else f"; {worth.idle:.0f} idle GPU-hours from there to the bill's end taken off"
        return Candidate(
            id=f"{self.id}:{pool.instance_type}:{pool.region or 'any'}",
            title=f"Steady on-demand {pool.instance_type}" + (f" in {pool.region}" if pool.region else ""),
            basis=(
                f"{worth.gpu_hours:.0f} GPU-hours of the base of {base.gpus:.1f} GPUs from {said}, at {own:.4f} less "
                f"the committed {rate.unit_price:.4f} a GPU-hour ({rate.origin}){idle}"
                if rate
                else "rate unknown: no committed rows of this type on the bill"
            ),
            why=(
                f"At least {base.gpus:.1f} GPUs ran on demand in every hour of the last {len(base.weeks)} full weeks; "
                f"week over week the mean {_moved(change)}."
            ),
            confidence="low" if missing else "high",
            claims=claims,
            rows=sum(hour.rows for hour in window),
            cost=add_exactly(hour.cost for hour in window),
            evidence=evidence_of(spend, [line for line in lines if line.cost > 0]),
            needs="; and ".join(missing),
            amount_known=rate is not None,
            facts={
                "base_gpus": base.gpus,
                "covered_gpu_hours": worth.gpu_hours,
                "max_week_over_week": change,
                "weeks": len(base.weeks),
                "since": base.since.isoformat() + "Z",
                "until": base.until.isoformat() + "Z",
            },
        )


def _claims(lines: Sequence[Line], saving: Decimal) -> tuple[Claim, ...]:
    """The saving laid on the lines in proportion to their cost; what cutting leaves over goes to the costliest.

    A base is so many GPUs, not these machines: every line of the pool has its part in it.
    """
    cost = add_exactly(line.cost for line in lines)
    total = min(money(saving), cost)
    if total <= 0:
        return ()
    amounts = [money(share(total * line.cost, cost)) for line in lines]
    first = max(range(len(lines)), key=lambda number: lines[number].cost)
    amounts[first] = min(amounts[first] + total - add_exactly(amounts), lines[first].cost)
    return tuple(Claim(line.line, amount) for line, amount in zip(lines, amounts, strict=True))


def _mostly_non_production(lines: Sequence[Line], settings: OverspendSettings) -> bool:
    """Machines that should be off at night are not what one commits to."""
    values = {value.lower() for value in settings.non_production}
    part = sum((line.cost for line in lines if (line.environment or "").lower() in values), _NOTHING)
    return part * 2 > sum((line.cost for line in lines), _NOTHING)


def _lines(spend: Spend, pool: _Pool, *, since: datetime) -> list[Line]:
    """Lines of a pool that reach into the time from ``since`` on, whatever they cost."""
    return spend.lines(
        "gpu_hours IS NOT NULL AND pricing_category = 'Standard' AND commitment_status IS NULL AND charge_category = "
        f"'Usage' AND provider IS NOT DISTINCT FROM {_text(pool.provider)} AND region IS NOT DISTINCT FROM "
        f"{_text(pool.region)} AND instance_type = {_text(pool.instance_type)} AND last > TIMESTAMP '{since}'"
    )


def _text(value: str | None) -> str:
    return "NULL" if value is None else literal(value)


def _long_enough(spend: Spend, weeks: int) -> list[_Key]:
    """Pools billed on as many days as the weeks have: the others need no second look at their rows."""
    return spend.connection.execute(
        "SELECT provider, region, instance_type FROM hours WHERE instance_type IS NOT NULL GROUP BY ALL "
        f"HAVING count(DISTINCT CAST(hour AS DATE)) >= {7 * weeks} ORDER BY ALL"
    ).fetchall()


def _end_of_bill(spend: Spend) -> datetime:
    """Where the last charge ends; one of more than a day (a month's fee, a year's purchase) counts for its first."""
    row = spend.connection.execute(
        f"SELECT max(last_day) FROM overview WHERE good AND currency = {literal(spend.currency)}"
    ).fetchall()[0]
    found: datetime = row[0]
    return found


def _pools(spend: Spend, keys: Sequence[_Key]) -> list[_Pool]:
    """Paid on-demand GPU hours of the pools ``keys``, by the hour."""
    types = ", ".join(sorted({literal(item) for _, _, item in keys}))
    found = spend.connection.execute(
        "SELECT provider, region, instance_type, hour, span, hourly_rows = rows, gpu_hours, cost, paid_rows FROM hours "
        f"WHERE instance_type IN ({types}) ORDER BY provider, region, instance_type, hour, span"
    ).fetchall()
    pools = []
    for key, group in itertools.groupby(found, key=lambda row: (row[0], row[1], row[2])):
        if key in keys:
            listed = list(group)
            spans = [(row[3], row[4], _Hour(*row[6:9])) for row in listed]
            pools.append(_Pool(*key, _spread(spans), all(row[5] for row in listed)))
    return pools


def _spread(spans: Iterable[tuple[datetime, int, _Hour]]) -> dict[datetime, _Hour]:
    """Quantities of more than an hour laid evenly over their hours: all that a daily bill can show."""
    hours: dict[datetime, _Hour] = {}
    with localcontext(_WIDE):
        for start, span, whole in spans:
            for number in range(span):
                moment = start + number * _HOUR
                part = whole
                if span > 1:
                    rows = whole.rows if number == 0 else 0
                    part = _Hour(share(whole.gpus, Decimal(span)), share(whole.cost, Decimal(span)), rows)
                if moment in hours:
                    had = hours[moment]
                    part = _Hour(had.gpus + part.gpus, had.cost + part.cost, had.rows + part.rows)
                hours[moment] = part
    return hours


def _base(pool: _Pool, end: datetime, settings: OverspendSettings) -> _Base | None:
    """The base of a pool that is steady and alive at the end of the bill; None for any other pool."""
    paid = [moment for moment, hour in pool.hours.items() if hour.gpus > 0]
    if not paid:
        return None
    first, last = min(paid), max(paid)
    if pool.gpus(last) < pool.gpus(last - _HOUR):
        last -= _HOUR  # the hour in which the bill was cut off is not a full one
    until = last + _HOUR
    since = until - settings.stable_weeks * _WEEK
    if since < first or end - until >= _WEEK:
        return None
    hours = [pool.gpus(since + number * _HOUR) for number in range(settings.stable_weeks * _HOURS_A_WEEK)]
    base = min(hours)
    weeks = tuple(
        share(add_exactly(hours[week : week + _HOURS_A_WEEK]), Decimal(_HOURS_A_WEEK))
        for week in range(0, len(hours), _HOURS_A_WEEK)
    )
    if base <= 0 or _largest_change(weeks) >= settings.stable_change:
        return None
    while pool.gpus(since - _HOUR) >= base:
        since -= _HOUR
    return _Base(base, since, until, weeks)


def _worth(pool: _Pool, base: _Base, end: datetime) -> _Worth:
    """The base's hours and cost in its window, and what is left of both to the end of the bill."""
    window = [hour for moment, hour in pool.hours.items() if base.since <= moment < base.until]
    gpu_hours = base.gpus * len(window)
    late: list[_Hour] = []
    moment = base.until
    while moment < end or moment in pool.hours:
        late.append(pool.hours.get(moment, _Hour(_NOTHING, _NOTHING, 0)))
        moment += _HOUR
    used = add_exactly(min(base.gpus, hour.gpus) for hour in late)
    return _Worth(
        gpu_hours,
        add_exactly(_cost_of(base.gpus, hour) for hour in window),
        base.gpus * len(late) - used,
        used,
        add_exactly(_cost_of(base.gpus, hour) for hour in late),
    )


def _cost_of(gpus: Decimal, hour: _Hour) -> Decimal:
    """What ``gpus`` of an hour's GPUs cost in it, at the hour's own mean price."""
    return hour.cost if hour.gpus <= gpus else share(hour.cost * gpus, hour.gpus)


def _largest_change(means: Sequence[Decimal]) -> Decimal:
    """Largest |week-over-week change| of the weekly means; a week without demand counts as a change of 100%."""
    return max(
        (
            abs(share(later - earlier, earlier)) if earlier > 0 else Decimal(1)
            for earlier, later in itertools.pairwise(means)
        ),
        default=Decimal(1),
    )


def _moved(change: Decimal) -> str:
    """``moved by at most 3.4%``, and in words what a percentage would round to nothing."""
    if change == 0:
        return "did not move"
    said = percent(change, to_tenths=True)
    return f"moved by {said}" if said.startswith("under") else f"moved by at most {said}"
