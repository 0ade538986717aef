"""The seven KPIs of FinOps for AI, as far as bills alone can tell.

A bill says what was paid, not how many requests, busy GPU-hours or finished runs that bought: a KPI that needs a fact
no bill carries is ``not_computable`` and says which fact is missing. It is never 0. Targets are those of the FinOps
practice this product follows; where a target is the team's own to set, the status is ``no_target``.

=========================== =================================================== ====================
KPI                         formula                                             from a bill?
=========================== =================================================== ====================
cost_per_inference          inference cost / successful requests                needs requests
cost_per_1k_tokens          token spend / (tokens / 1000)                       yes
gpu_utilization             GPU compute time / GPU allocated time               needs telemetry
cost_per_training_run       compute cost / runs                                 needs runs
commitment_coverage         committed GPU hours / all GPU hours                 yes
latency_per_dollar          p95 latency / cost per request                      needs requests
budget_alert_response_hours trigger to corrective action                        needs alerts
=========================== =================================================== ====================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.metrics.answer import answer
from outlay.metrics.catalogue import catalogue
from outlay.metrics.query import Query
from outlay.money import plain

__all__ = ["KPI_IDS", "Kpi", "kpis"]

Status = Literal["ok", "off", "no_target", "not_computable"]

KPI_IDS = (
    "cost_per_inference",
    "cost_per_1k_tokens",
    "gpu_utilization",
    "cost_per_training_run",
    "commitment_coverage",
    "latency_per_dollar",
    "budget_alert_response_hours",
)
_FROM_BILLS = ("cost_per_1k_tokens", "commitment_coverage")
_COVERAGE = (Decimal("0.6"), Decimal("0.8"))
_ELSEWHERE = {
    "cost_per_inference": (
        "Cost per inference",
        "USD",
        "inference cost / successful requests",
        "no requests: a bill does not count them",
    ),
    "gpu_utilization": (
        "GPU utilization",
        "ratio",
        "GPU compute time / GPU allocated time",
        "no telemetry: a bill does not see the GPU",
    ),
    "cost_per_training_run": (
        "Cost per training run",
        "USD",
        "compute cost / runs",
        "no runs: a bill does not know where one ends",
    ),
    "latency_per_dollar": (
        "Latency per dollar",
        "s/USD",
        "p95 latency / cost per request",
        "no requests: a bill has no latency",
    ),
    "budget_alert_response_hours": (
        "Budget-alert response time",
        "h",
        "from the 80% trigger to the corrective action",
        "no alerts were recorded",
    ),
}


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI: its value with both parts, its target in words, and why it can't be computed if it can't."""

    id: str
    name: str
    unit: str
    value: Decimal | None
    target: str | None
    status: Status
    why: str | None
    formula: str
    numerator: Decimal | None = None
    denominator: Decimal | None = None
    group: Mapping[str, str | None] | None = None

    def to_json(self) -> dict[str, Any]:
        """The contract's object, amounts as exact strings."""
        return {
            "id": self.id,
            "name": self.name,
            "unit": self.unit,
            "value": None if self.value is None else plain(self.value),
            "target": self.target,
            "status": self.status,
            "why": self.why,
            "formula": self.formula,
            "numerator": None if self.numerator is None else plain(self.numerator),
            "denominator": None if self.denominator is None else plain(self.denominator),
            "group": None if self.group is None else dict(self.group),
        }


def kpis(ledger: Ledger, settings: Settings, *, as_of: str | None = None) -> list[Kpi]:
    """The seven KPIs over the whole ledger, in the settings' currency."""
    known = catalogue(tuple(settings.tags.required))
    rows = answer(ledger, Query(_FROM_BILLS), settings, as_of=as_of).rows
    row = next((one for one in rows if one.dimensions.get("currency") in (None, settings.currency)), None)
    found: dict[str, Kpi] = {}
    for name in _FROM_BILLS:
        metric = known.metrics[name]
        figure = row.figures[name] if row is not None else None
        if figure is None or figure.value is None:
            why = (figure.why if figure is not None else None) or f"no rows in {settings.currency}"
            found[name] = Kpi(
                name,
                metric.name,
                metric.unit.replace("currency", settings.currency),
                None,
                None,
                "not_computable",
                why,
                metric.formula,
            )
            continue
        target, status = _judged(name, figure.value)
        found[name] = Kpi(
            name,
            metric.name,
            metric.unit.replace("currency", settings.currency),
            figure.value,
            target,
            status,
            None,
            metric.formula,
            figure.numerator,
            figure.denominator,
        )
    for name, (title, unit, formula, why) in _ELSEWHERE.items():
        found[name] = Kpi(name, title, unit, None, None, "not_computable", why, formula)
    return [found[name] for name in KPI_IDS]


def _judged(name: str, value: Decimal) -> tuple[str | None, Status]:
    if name == "commitment_coverage":
        low, high = _COVERAGE
        return "60% to 80% of stable workloads", "ok" if low <= value <= high else "off"
    return None, "no_target"
