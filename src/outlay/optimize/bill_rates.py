"""What this company really pays for a GPU-hour or a token, read off its own bill; a price file wins over it.

Rates are cost divided by quantity after aggregation over the bill's rows: dollars per GPU-hour by instance type (in the
same region first, then anywhere), dollars per 1,000,000 tokens by model. Nothing is assumed: no rows, no rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from outlay.money import share
from outlay.optimize.finding import Claim, Evidence
from outlay.optimize.spend import Line, Spend, Totals
from outlay.prices.rates import Rate, RateBook

__all__ = ["UnitRate", "claim", "evidence_of", "gpu_rate", "money", "token_rate"]

_CLAIM_STEP = Decimal("0.000000001")
_EVIDENCE_LINES = 5
_PER_TOKENS = Decimal(1_000_000)
_GPU_WHERE = {
    "committed": "commitment_status = 'Used' AND pricing_category = 'Committed'",
    "spot": "pricing_category = 'Dynamic'",
    "on_demand": "pricing_category = 'Standard' AND commitment_status IS NULL",
}


@dataclass(frozen=True, slots=True)
class UnitRate:
    """A price per GPU-hour or per 1,000,000 tokens, and where it was read.

    ``elsewhere`` when it was read off this bill's rows of other regions than the one asked for.
    """

    unit_price: Decimal
    origin: str
    elsewhere: bool = False


def money(amount: Decimal) -> Decimal:
    """A derived saving, cut (never rounded up) at a billionth."""
    return (amount // _CLAIM_STEP) * _CLAIM_STEP if amount >= 0 else Decimal(0)


def claim(line: Line, amount: Decimal) -> Claim:
    """A claim on a line, held to between nothing and the line's cost."""
    return Claim(line.line, min(money(amount), max(line.cost, Decimal(0))))


def gpu_rate(
    spend: Spend, rates: RateBook, kind: str, instance_type: str, region: str | None, *, provider: str | None = None
) -> UnitRate | None:
    """Price of a GPU-hour of ``instance_type`` bought as ``kind`` (committed, spot, on_demand).

    ``provider`` is who bills it; without one, the price file must say one price for all who bill it. None when nobody
    says.
    """
    named = _named_gpu_rate(spend, rates, kind, instance_type, region, provider=provider)
    if named is not None:
        return UnitRate(named.unit_price, f"price file ({named.source or 'no source given'})")
    for where, origin in (
        (" AND region IS NOT DISTINCT FROM ?", f"this bill, {region}"),
        ("", "this bill, other regions"),
    ):
        row = spend.connection.execute(
            "SELECT sum(cost), sum(gpu_hours) FROM lines WHERE instance_type = ? AND gpu_hours > 0 AND cost > 0 AND "
            f"(? IS NULL OR provider = ?) AND {_GPU_WHERE[kind]}{where}",
            [instance_type, provider, provider, *([region] if where else [])],
        ).fetchall()[0]
        if row[1]:
            return UnitRate(share(row[0], row[1]), origin, elsewhere=not where)
    return None


def _named_gpu_rate(
    spend: Spend, rates: RateBook, kind: str, instance_type: str, region: str | None, *, provider: str | None
) -> Rate | None:
    sellers: list[str | None] = [provider]
    if provider is None:
        rows = spend.connection.execute(
            "SELECT DISTINCT provider FROM lines WHERE instance_type = ? ORDER BY 1", [instance_type]
        ).fetchall()
        sellers = [row[0] for row in rows]
    found = [
        rates.find(
            kind, instance_type, provider=seller, currency=spend.currency, region=region, on=_last_day(spend.totals)
        )
        for seller in sellers
    ]
    agreed = {rate.unit_price if rate else None for rate in found}
    return found[0] if len(agreed) == 1 else None


def _last_day(totals: Totals) -> date:
    """The last day that the bill covers: the end of its period is exclusive."""
    return (totals.until - timedelta(microseconds=1)).date()


def token_rate(
    spend: Spend,
    rates: RateBook,
    model: str,
    *,
    provider: str | None,
    direction: str,
    cache_action: str | None,
    tier: str,
    kind: str | None = None,
) -> UnitRate | None:
    """Price of 1,000,000 tokens of a model's meter as this bill pays it, or as the price file says under ``kind``.

    The meter is the whole of direction, cache action and tier: tokens read from a cache, or of a batch, cost a fraction
    of the others, and a mean over both is the price of neither. ``cache_action`` None means rows without one (output).
    """
    day = _last_day(spend.totals)
    named = rates.find(kind, model, provider=provider, currency=spend.currency, on=day) if kind else None
    if named is not None:
        return UnitRate(named.unit_price, f"price file ({named.source or 'no source given'})")
    row = spend.connection.execute(
        "SELECT sum(cost), sum(tokens) FROM lines WHERE model = ? AND provider IS NOT DISTINCT FROM ? AND "
        "direction = ? AND tokens > 0 AND cost > 0 "
        "AND cache_action IS NOT DISTINCT FROM ? AND coalesce(tier, 'standard') = ?",
        [model, provider, direction, cache_action, tier],
    ).fetchall()[0]
    if not row[1]:
        return None
    return UnitRate(share(row[0] * _PER_TOKENS, row[1]), "this bill")


def evidence_of(spend: Spend, lines: Iterable[Line]) -> tuple[Evidence, ...]:
    """The costliest lines, each with one of its rows by file and number."""
    ordered = sorted(lines, key=lambda line: (-line.cost, line.line))[:_EVIDENCE_LINES]
    found = []
    for line in ordered:
        file, row = spend.place(line.example)
        what = " / ".join(
            part
            for part in (
                line.resource or line.model or line.instance_type or line.commitment_id or line.service,
                line.region,
                line.team,
                line.use_case,
            )
            if part
        )
        found.append(Evidence(what or "row", line.rows, line.cost, file, row))
    return tuple(found)
