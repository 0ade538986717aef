"""The sixty-second bill: what was spent on AI, what of that need not have been, why, and on which rows that rests."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.config import Settings
from outlay.ledger.engine.duckdb import session
from outlay.money import add_exactly, plain
from outlay.money import share as share_of
from outlay.optimize.detector import Detector
from outlay.optimize.finding import Finding
from outlay.optimize.settlement import settle
from outlay.optimize.spend import Spend, Totals, read_spend
from outlay.plugins import plugin_manager
from outlay.prices.rates import RateBook
from outlay.problems import ProblemSummary, summarise
from outlay.sources.find import find_bills

__all__ = ["Overspend", "Slice", "detectors", "overspend"]


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the AI cost: by provider, team, model, ..."""

    name: str
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Overspend:
    """The answer. ``overspend`` is the sum of ``saving`` over the findings that count, in ``totals.currency``.

    ``ai_credits`` is what credits and corrections took off the AI cost (a positive amount). They come as rows of their
    own, so that findings are measured on the charges: AI cost + ``ai_credits``.
    """

    totals: Totals
    basis: str
    overspend: Decimal
    findings: tuple[Finding, ...]
    problems: tuple[ProblemSummary, ...]
    notes: tuple[str, ...]
    files: tuple[str, ...]
    seconds: float
    days: tuple[tuple[date, str, Decimal], ...]
    slices: dict[str, tuple[Slice, ...]]
    synthetic: bool = False
    ai_credits: Decimal = Decimal(0)

    @property
    def to_confirm(self) -> Decimal:
        """At most this much more of the AI cost, once confirmed outside the bill; no row's cost is used twice.

        Never added to ``overspend``. What is not AI is in :attr:`to_confirm_outside_ai`.
        """
        return _adds(f for f in self.findings if f.is_ai)

    @property
    def to_confirm_outside_ai(self) -> Decimal:
        """At most this much in leads that nothing on the bill ties to AI."""
        return _adds(f for f in self.findings if not f.is_ai)

    @property
    def ai_charges(self) -> Decimal:
        """The AI cost before credits and corrections."""
        return add_exactly((self.totals.ai_cost, self.ai_credits))

    @property
    def before_credits(self) -> bool:
        """Whether credits push the AI cost below what was found: then findings are a part of ``ai_charges`` only."""
        found = add_exactly((self.overspend, self.to_confirm))
        return self.ai_credits > 0 and found > max(self.totals.ai_cost, Decimal(0))

    def saving_share(self, amount: Decimal) -> Decimal | None:
        """A saving as a fraction of what it is a part of: the AI cost, or ``ai_charges`` if ``before_credits``."""
        return share_of(amount, self.ai_charges) if self.before_credits else self.share(amount)

    def share(self, amount: Decimal) -> Decimal | None:
        """``amount`` as a fraction of the AI cost, to 34 digits.

        None when there is no (positive) AI cost to take it of.
        """
        return share_of(amount, self.totals.ai_cost) if self.totals.ai_cost > 0 else None

    def to_json(self) -> dict[str, Any]:
        """The contract's document, amounts as exact strings."""
        totals = self.totals
        return {
            "rows": totals.rows,
            "seconds": self.seconds,
            "currency": totals.currency,
            "period": {"since": totals.since.isoformat() + "Z", "until": totals.until.isoformat() + "Z"},
            "billed_cost": plain(totals.billed_cost),
            "effective_cost": None if totals.effective_cost is None else plain(totals.effective_cost),
            "ai_cost": plain(totals.ai_cost),
            "ai_credits": plain(self.ai_credits),
            "ai_rows": totals.ai_rows,
            "cost_basis": self.basis,
            "synthetic": self.synthetic,
            "overspend": plain(self.overspend),
            "to_confirm": plain(self.to_confirm),
            "to_confirm_outside_ai": plain(self.to_confirm_outside_ai),
            "findings": [_finding_json(finding) for finding in self.findings],
            "problems": [problem.to_json() for problem in self.problems],
            "other_currencies": [
                {"currency": currency, "rows": rows, "billed_cost": plain(billed)}
                for currency, rows, billed in totals.others
            ],
            "files": list(self.files),
            "notes": list(self.notes),
        }


def _adds(findings: Iterable[Finding]) -> Decimal:
    return add_exactly(f.adds for f in findings if not f.counted and f.adds is not None)


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "detector": finding.detector,
        "title": finding.title,
        "saving": None if finding.saving is None else plain(finding.saving),
        "adds": None if finding.adds is None else plain(finding.adds),
        "is_ai": finding.is_ai,
        "counted": finding.counted,
        "confidence": finding.confidence,
        "basis": finding.basis,
        "rows": finding.rows,
        "cost": plain(finding.cost),
        "why": finding.why,
        "to_confirm": finding.needs or None,
        "evidence": [
            {"what": e.what, "rows": e.rows, "cost": plain(e.cost), "file": e.file, "row": e.row}
            for e in finding.evidence
        ],
        "facts": {k: plain(v) if isinstance(v, Decimal) else v for k, v in finding.facts.items()},
    }


def detectors() -> list[Detector]:
    """Every registered detector in its order of application."""
    found = [detector for group in plugin_manager().hook.outlay_detectors() for detector in group]
    return sorted(found, key=lambda detector: (detector.order, detector.id))


def overspend(
    paths: Sequence[Path],
    settings: Settings,
    rates: RateBook,
    *,
    format_id: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Overspend:
    """Read bills in place and answer. Nothing is loaded, nothing is written but temporary files."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="outlay-") as spill, session() as connection:
        bills, skipped = find_bills(paths, format_id=format_id)
        spend = read_spend(connection, bills, settings, Path(spill), progress=progress)
        progress("looking for overspend")
        candidates = [
            (detector.id, candidate)
            for detector in detectors()
            for candidate in detector.find(spend, rates, settings.overspend)
        ]
        claimed = {one.line for _, candidate in candidates for one in candidate.claims}
        costs = _costs(spend, claimed)
        findings = settle(candidates, costs, minimum=settings.overspend.minimum_saving)
        ordered = sorted(findings, key=lambda f: (not f.counted, -(f.saving or Decimal(-1)), f.id))
        return Overspend(
            spend.totals,
            spend.basis,
            add_exactly(f.saving or Decimal(0) for f in findings if f.counted),
            tuple(ordered),
            tuple(summarise(spend.problems)),
            (*skipped, *spend.source.copies, *rates.unused()),
            tuple(str(path) for path in spend.source.files),
            round(time.monotonic() - started, 3),
            tuple(spend.days()),
            _slices(spend),
            spend.source.synthetic,
            _ai_credits(spend),
        )


def _costs(spend: Spend, lines: set[int]) -> dict[int, Decimal]:
    if not lines:
        return {}
    return (
        dict(spend.connection.execute("SELECT line, cost FROM lines").fetchall())
        if len(lines) > 1000
        else {
            row[0]: row[1]
            for row in spend.connection.execute(
                f"SELECT line, cost FROM lines WHERE line IN ({', '.join(map(str, sorted(lines)))})"
            ).fetchall()
        }
    )


def _ai_credits(spend: Spend) -> Decimal:
    row = spend.connection.execute("SELECT coalesce(-sum(cost), 0) FROM lines WHERE is_ai AND cost < 0").fetchall()[0]
    return Decimal(row[0])


def _slices(spend: Spend) -> dict[str, tuple[Slice, ...]]:
    """AI cost by the dimensions that the report shows; rows without a value are their own slice, named so."""
    dimensions = {
        "provider": ("provider", "no provider"),
        "kind": ("category", "other AI"),
        "workload": ("workload", "other"),
        "team": ("team", "untagged"),
        "model": ("model", "no model (GPUs, platforms)"),
        "gpu": ("gpu_type", "no GPU"),
    }
    slices = {}
    for name, (column, missing) in dimensions.items():
        rows = spend.connection.execute(
            f"SELECT coalesce({column}, ?), sum(cost) FROM lines WHERE is_ai GROUP BY 1 ORDER BY 2 DESC, 1", [missing]
        ).fetchall()
        slices[name] = tuple(Slice(row[0], row[1]) for row in rows)
    return slices
