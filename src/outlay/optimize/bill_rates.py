"""What this company really pays for a GPU-hour or a token, read off its own bill; a price file wins over it.

Rates are cost divided by quantity after aggregation over the bill's rows: dollars per GPU-hour by instance type (in the
same region first, then anywhere), dollars per 1,000,000 tokens by model. Nothing is assumed: no rows, no rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal

from outlay.optimize.finding import Claim, Evidence
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["UnitRate", "claim", "evidence_of", "gpu_rate", "money", "share", "token_rate"]

_DIVISION = Context(prec=34)
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
    """A price per GPU-hour or per 1,000,000 tokens, and where it was read."""

    unit_price: Decimal
    origin: str


def share(part: Decimal, whole: Decimal) -> Decimal:
    """``part / whole`` to 34 digits."""
    return _DIVISION.divide(part, whole)


def money(amount: Decimal) -> Decimal:
    """A derived saving, cut (never rounded up) at a billionth."""
    return (amount // _CLAIM_STEP) * _CLAIM_STEP if amount >= 0 else Decimal(0)


def claim(line: Line, amount: Decimal) -> Claim:
    """A claim on a line, held to between nothing and the line's cost."""
    return Claim(line.line, min(money(amount), max(line.cost, Decimal(0))))


def gpu_rate(spend: Spend, rates: RateBook, kind: str, instance_type: str, region: str | None) -> UnitRate | None:
    """Price of a GPU-hour of ``instance_type`` bought as ``kind`` (committed, spot, on_demand).

    None when nobody says.
    """
    named = rates.find(kind, instance_type, currency=spend.currency, region=region, on=spend.totals.until.date())
    if named is not None:
        return UnitRate(named.unit_price, f"price file ({named.source or 'no source given'})")
    for where, origin in (
        (" AND region IS NOT DISTINCT FROM ?", f"this bill, {region}"),
        ("", "this bill, other regions"),
    ):
        row = spend.connection.execute(
            "SELECT sum(cost), sum(gpu_hours) FROM lines WHERE instance_type = ? AND gpu_hours > 0 AND cost > 0 AND "
            f"{_GPU_WHERE[kind]}{where}",
            [instance_type, region] if where else [instance_type],
        ).fetchall()[0]
        if row[1]:
            return UnitRate(share(row[0], row[1]), origin)
    return None


def token_rate(
    spend: Spend,
    rates: RateBook,
    model: str,
    *,
    provider: str | None,
    direction: str,
    cache_action: str | None = None,
    tier: str | None = None,
    kind: str | None = None,
) -> UnitRate | None:
    """Price of 1,000,000 tokens of a model's meter as this bill pays it, or as the price file says under ``kind``."""
    named = rates.find(kind, model, currency=spend.currency, on=spend.totals.until.date()) if kind else None
    if named is not None:
        return UnitRate(named.unit_price, f"price file ({named.source or 'no source given'})")
    row = spend.connection.execute(
        "SELECT sum(cost), sum(tokens) FROM lines WHERE model = ? AND provider IS NOT DISTINCT FROM ? AND "
        "direction = ? AND tokens > 0 AND cost > 0 "
        "AND (? IS NULL OR cache_action = ?) AND (? IS NULL OR coalesce(tier, 'standard') = ?)",
        [model, provider, direction, cache_action, cache_action, tier, tier],
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
