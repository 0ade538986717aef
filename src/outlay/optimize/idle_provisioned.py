"""Provisioned throughput and reserved capacity that stood idle.

PTUs, Bedrock provisioned throughput and capacity reservations are paid by the hour whether a request comes or not.
FOCUS marks idle reserved capacity with ``CapacityReservationStatus = 'Unused'``: that is on the bill, so it counts.
Provisioned hours whose status the bill does not give may be busy or idle: requests are not on the bill, so they are
listed to confirm, without an amount. Credits and corrections of an idle resource come off its cost first.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.optimize.bill_rates import evidence_of
from outlay.optimize.finding import Candidate
from outlay.optimize.netting import net_claims
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["IdleProvisioned"]


class IdleProvisioned:
    """One candidate a service and model of idle capacity."""

    id = "idle-provisioned"
    order = 20
    rule = "CapacityReservationStatus is Unused on provisioned throughput or reserved AI capacity."

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Idle capacity by service and resource."""
        idle = spend.lines(
            "is_ai AND capacity_status = 'Unused' AND commitment_status IS DISTINCT FROM 'Unused' AND cost <> 0"
        )
        for name, lines in _by_resource(idle).items():
            claims, _ = net_claims(lines)
            if not claims:
                continue
            yield Candidate(
                id=f"{self.id}:{name}",
                title=f"Reserved capacity idle: {name}",
                basis="EffectiveCost of the rows with CapacityReservationStatus Unused, less their credits",
                why="Capacity was reserved and paid for in hours in which nothing used it.",
                confidence="high",
                claims=claims,
                rows=sum(line.rows for line in lines),
                cost=sum((line.cost for line in lines), Decimal(0)),
                evidence=evidence_of(spend, lines),
            )
        unknown = spend.lines(
            "category = 'provisioned_throughput' AND capacity_status IS NULL AND charge_category = 'Usage' "
            "AND commitment_status IS DISTINCT FROM 'Unused' AND cost > 0"
        )
        for name, lines in _by_resource(unknown).items():
            yield Candidate(
                id=f"{self.id}:status-unknown:{name}",
                title=f"Provisioned throughput of unknown use: {name}",
                basis="cost of the provisioned hours; their use is not on the bill",
                why="Billed by the hour whether requests come or not; the bill has no CapacityReservationStatus for "
                "it.",
                confidence="low",
                claims=(),
                rows=sum(line.rows for line in lines),
                cost=sum((line.cost for line in lines), Decimal(0)),
                evidence=evidence_of(spend, lines),
                needs="how many requests this deployment served (its provider's metrics)",
                amount_known=False,
            )


def _by_resource(lines: Iterable[Line]) -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.resource or line.model or line.service or "unnamed", []).append(line)
    return groups
