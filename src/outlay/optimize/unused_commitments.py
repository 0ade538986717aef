"""Commitments that were paid for and not used.

FOCUS marks the unused part of a commitment with ``CommitmentDiscountStatus = 'Unused'``; its EffectiveCost bought nothing. It is
AI overspend when the row itself names an accelerator or an AI service, or when most of what the same commitment covered on
this bill was AI; a commitment that mostly covers ordinary compute is listed and not counted as AI.
"""

from __future__ import annotations

from collections.abc import Iterable

from outlay.config import OverspendSettings
from outlay.optimize.bill_rates import claim, evidence_of
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["UnusedCommitments"]


class UnusedCommitments:
    """One candidate a commitment."""

    id = "unused-commitments"
    order = 10
    rule = "CommitmentDiscountStatus is Unused: the EffectiveCost of these rows bought nothing."

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Unused rows grouped by commitment."""
        groups: dict[str | None, list[Line]] = {}
        for line in spend.lines("commitment_status = 'Unused' AND cost > 0"):
            groups.setdefault(line.commitment_id, []).append(line)
        covered = {
            row[0]: (row[1], row[2]) for row in spend.connection.execute("SELECT commitment_id, used, used_ai FROM commitments").fetchall()
        }
        for commitment, lines in groups.items():
            used, used_ai = covered.get(commitment, (0, 0))
            named = all(line.is_ai for line in lines)
            is_ai = named or (used > 0 and used_ai * 2 > used)
            cost = sum(line.cost for line in lines)
            seen = (
                "its own rows name an AI service or accelerator" if named
                else f"AI took {used_ai / used:.0%} of what it covered" if used else "nothing on the bill shows that it covers AI"
            )
            yield Candidate(
                id=f"{self.id}:{commitment or 'unnamed'}",
                title=f"Commitment {commitment or '(unnamed)'} partly unused",
                basis="EffectiveCost of the rows with CommitmentDiscountStatus Unused",
                why=f"Paid for and not used; {seen}.",
                confidence="high",
                claims=tuple(claim(line, line.cost) for line in lines),
                rows=sum(line.rows for line in lines),
                cost=cost,  # type: ignore[arg-type]
                evidence=evidence_of(spend, lines),
                needs="" if is_ai else "that this commitment is meant for AI; its waste is real but not AI spend",
            )
