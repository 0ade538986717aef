"""Non-production GPUs that run around the clock.

A development or test machine is needed in working hours. The rule looks at each on-demand GPU resource whose
environment tag is a non-production value: when it was billed in at least 95% of the hours between its first and last
hour, over two weeks or more, the cost of the hours outside working time (Monday to Friday 07:00-19:00 UTC unless
configured) is overspend. Training is left out: it may run through the night on purpose. A bill without hourly rows
can't show this, and then nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.optimize.bill_rates import claim, evidence_of, share
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["NonProductionHours"]

_MIN_DAYS = 14
_MIN_PRESENCE = Decimal("0.95")


class NonProductionHours:
    """One candidate a team and environment."""

    id = "non-production-hours"
    order = 30
    rule = (
        "A non-production GPU resource billed in 95% of all hours for two weeks or more: hours outside working "
        "time are overspend."
    )

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Resources that never stop, grouped by team and environment."""
        values = {value.lower() for value in settings.non_production}
        lines = spend.lines(
            "gpu_type IS NOT NULL AND environment IS NOT NULL AND resource IS NOT NULL AND charge_category = 'Usage' "
            "AND pricing_category IN ('Standard', 'Dynamic') AND commitment_status IS NULL AND workload IS DISTINCT "
            "FROM 'training' AND cost > 0"
        )
        resources: dict[str, list[Line]] = {}
        for line in lines:
            if (line.environment or "").lower() in values:
                resources.setdefault(line.resource or "", []).append(line)
        groups: dict[tuple[str, str], list[Line]] = {}
        for found in resources.values():
            if _never_stops(found):
                groups.setdefault((found[0].team or "no team", found[0].environment or ""), []).extend(found)
        start, end = settings.working_hours
        for (team, environment), found in sorted(groups.items()):
            count = len({line.resource for line in found})
            yield Candidate(
                id=f"{self.id}:{team}:{environment}",
                title=f"{count} {environment} GPU {'machine' if count == 1 else 'machines'} of {team} on around the "
                "clock",
                basis=f"cost of the hours outside working days {start:02d}:00-{end:02d}:00 UTC, by the "
                "bill's own hourly rows",
                why=f"Tagged {environment}, yet billed in at least 95% of all hours, nights and weekends included.",
                confidence="medium",
                claims=tuple(claim(line, line.off_hours_cost) for line in found),
                rows=sum(line.rows for line in found),
                cost=sum((line.cost for line in found), Decimal(0)),
                evidence=evidence_of(spend, found),
                facts={"resources": count},
            )


def _never_stops(lines: list[Line]) -> bool:
    if any(line.hourly_rows != line.rows for line in lines):
        return False
    first, last = min(line.first for line in lines), max(line.last for line in lines)
    span_hours = Decimal(int((last - first).total_seconds())) / 3600
    if span_hours < _MIN_DAYS * 24:
        return False
    return share(Decimal(sum(line.rows for line in lines)), span_hours) >= _MIN_PRESENCE
