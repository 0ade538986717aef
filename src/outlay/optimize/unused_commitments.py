"""Commitments that were paid for and not used.

FOCUS marks the unused part of a commitment with ``CommitmentDiscountStatus = 'Unused'``; its EffectiveCost bought
nothing. It is AI overspend when the row itself names an accelerator or an AI service, or when most of what the same
commitment covered on this bill was AI; commitments that mostly cover ordinary compute are listed together and not
counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.money import percent
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
        """Unused rows by commitment; those outside AI together, as one thing to look at."""
        groups: dict[str | None, list[Line]] = {}
        for line in spend.lines("commitment_status = 'Unused' AND cost > 0 AND is_ai"):
            groups.setdefault(line.commitment_id, []).append(line)
        covered = {
            row[0]: (row[1], row[2])
            for row in spend.connection.execute("SELECT commitment_id, used, used_ai FROM commitments").fetchall()
        }
        for commitment, lines in groups.items():
            used, used_ai = covered.get(commitment, (Decimal(0), Decimal(0)))
            seen = (
                f"AI took {percent(used_ai / used)} of what it covered"
                if used
                else "its own rows name an AI service or accelerator"
            )
            yield self._candidate(
                spend,
                lines,
                commitment or "unnamed",
                f"Commitment {commitment or '(unnamed)'} partly unused",
                why=f"Paid for and not used; {seen}.",
                needs="",
            )
        others = spend.lines("commitment_status = 'Unused' AND cost > 0 AND NOT is_ai")
        if others:
            count = len({line.commitment_id for line in others})
            yield self._candidate(
                spend,
                others,
                "outside-ai",
                f"{count} other {'commitment' if count == 1 else 'commitments'} partly unused",
                why="Paid for and not used; nothing on the bill shows that they cover AI.",
                needs="whether they are meant for AI; the waste is real but not AI spend",
            )

    def _candidate(self, spend: Spend, lines: list[Line], name: str, title: str, *, why: str, needs: str) -> Candidate:
        return Candidate(
            id=f"{self.id}:{name}",
            title=title,
            basis="EffectiveCost of the rows with CommitmentDiscountStatus Unused",
            why=why,
            confidence="low" if needs else "high",
            claims=tuple(claim(line, line.cost) for line in lines),
            rows=sum(line.rows for line in lines),
            cost=sum((line.cost for line in lines), Decimal(0)),
            evidence=evidence_of(spend, lines),
            needs=needs,
        )
