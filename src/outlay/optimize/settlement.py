"""No dollar twice: how overlapping savings on the same rows are added up.

Detectors claim amounts on evidence lines. They are settled in order: waste that disappears altogether first, then
discounts on what is left. A claim on a line of which earlier findings already took a part keeps its *proportion* of the
rest: half the price of a line that is half gone saves a quarter. So the counted savings on a line never exceed its
cost, whatever detectors say (a property test). Only candidates that count take anything; those to confirm are measured
against what is left, and leave it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from outlay.optimize.bill_rates import money, share
from outlay.optimize.finding import Candidate, Finding

__all__ = ["settle"]


def settle(
    candidates: Sequence[tuple[str, Candidate]], costs: Mapping[int, Decimal], *, minimum: Decimal
) -> list[Finding]:
    """Findings in the order given, for ``(detector id, candidate)`` pairs and the cost of every line.

    Candidates whose settled saving is below ``minimum`` are dropped and take nothing. The sum of the counted savings is
    at most the sum of the positive costs of the lines they rest on.
    """
    remaining = {line: max(cost, Decimal(0)) for line, cost in costs.items()}
    findings = []
    for detector, candidate in candidates:
        counted = candidate.amount_known and not candidate.needs
        taken: dict[int, Decimal] = {}
        for one in candidate.claims:
            original = max(costs[one.line], Decimal(0))
            if original > 0 and one.amount > 0:
                left = remaining[one.line] - taken.get(one.line, Decimal(0))
                part = min(one.amount, original)
                taken[one.line] = taken.get(one.line, Decimal(0)) + min(
                    left, money(part * share(remaining[one.line], original))
                )
        saving = sum(taken.values(), Decimal(0))
        if candidate.amount_known and saving < minimum:
            continue
        if counted:
            for line, amount in taken.items():
                remaining[line] -= amount
        claimed = sum((one.amount for one in candidate.claims), Decimal(0))
        findings.append(
            Finding(
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
            )
        )
    return findings
