"""No dollar twice: how overlapping savings on the same rows are added up.

Detectors claim amounts on evidence lines. They are settled in order: waste that disappears altogether first, then
discounts on what is left. A claim on a line of which earlier findings already took a part keeps its *proportion* of the
rest: half the price of a line that is half gone saves a quarter. So the counted savings on a line never exceed its
cost, whatever detectors say (a property test). Only candidates that count take anything; those to confirm are measured
against what is left, and leave it there.

Leads to confirm are then settled a second time, among themselves, on what the counted findings left in the end: two
leads on one machine can't save its cost twice. That second figure (``Finding.adds``) is what they add up to; with it
the counted savings and the leads together never exceed the cost of the lines either. The trap is to add up what each
lead would save alone, which can be more than the whole bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from outlay.money import share
from outlay.optimize.bill_rates import money
from outlay.optimize.finding import Candidate, Claim, Finding

__all__ = ["settle"]


def settle(
    candidates: Sequence[tuple[str, Candidate]], costs: Mapping[int, Decimal], *, minimum: Decimal
) -> list[Finding]:
    """Findings in the order given, for ``(detector id, candidate)`` pairs and the cost of every line.

    Candidates whose settled saving is below ``minimum`` are dropped and take nothing. The sum of the counted savings,
    and of ``adds`` over all findings, is at most the sum of the positive costs of the lines they rest on.
    """
    remaining = {line: max(cost, Decimal(0)) for line, cost in costs.items()}
    kept: list[tuple[Candidate, Finding]] = []
    for detector, candidate in candidates:
        counted = candidate.amount_known and not candidate.needs
        taken = _taken(candidate.claims, costs, remaining)
        saving = sum(taken.values(), Decimal(0))
        if candidate.amount_known and saving < minimum:
            continue
        if counted:
            _take(remaining, taken)
        kept.append((candidate, _finding(detector, candidate, saving, counted=counted)))
    return _with_what_leads_add(kept, costs, remaining)


def _with_what_leads_add(
    kept: Sequence[tuple[Candidate, Finding]], costs: Mapping[int, Decimal], remaining: dict[int, Decimal]
) -> list[Finding]:
    """The findings with ``adds`` of the leads: AI first, each on what the counted findings and earlier leads left."""
    findings = [finding for _, finding in kept]
    leads = [n for n, finding in enumerate(findings) if not finding.counted and finding.saving is not None]
    for n in sorted(leads, key=lambda n: not findings[n].is_ai):
        taken = _taken(kept[n][0].claims, costs, remaining)
        _take(remaining, taken)
        findings[n] = replace(findings[n], adds=sum(taken.values(), Decimal(0)))
    return findings


def _taken(
    claims: Iterable[Claim], costs: Mapping[int, Decimal], remaining: Mapping[int, Decimal]
) -> dict[int, Decimal]:
    """What claims take of each line, given what is left of it."""
    taken: dict[int, Decimal] = {}
    for one in claims:
        original = max(costs[one.line], Decimal(0))
        if original > 0 and one.amount > 0:
            left = remaining[one.line] - taken.get(one.line, Decimal(0))
            part = min(one.amount, original)
            taken[one.line] = taken.get(one.line, Decimal(0)) + min(
                left, money(part * share(remaining[one.line], original))
            )
    return taken


def _take(remaining: dict[int, Decimal], taken: Mapping[int, Decimal]) -> None:
    for line, amount in taken.items():
        remaining[line] -= amount


def _finding(detector: str, candidate: Candidate, saving: Decimal, *, counted: bool) -> Finding:
    claimed = sum((one.amount for one in candidate.claims), Decimal(0))
    return Finding(
        candidate.id,
        detector,
        candidate.title,
        saving if candidate.amount_known else None,
        claimed if candidate.amount_known else None,
        counted,
        candidate.confidence,
        candidate.basis,
        candidate.why,
        candidate.needs,
        candidate.rows,
        candidate.cost,
        candidate.evidence,
        candidate.facts,
        candidate.is_ai,
        saving if counted else None,
    )
