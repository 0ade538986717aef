"""Commitments that were paid for and not used.

FOCUS marks the unused part of a commitment with ``CommitmentDiscountStatus = 'Unused'``; its EffectiveCost bought
nothing. It is AI overspend when the row itself names an accelerator or an AI service, or when most of what the same
commitment covered on this bill was AI; commitments that mostly cover ordinary compute are listed together and not
counted.

The trap is a correction: what a provider takes back is a negative row beside the charge, so the unused rows of a
commitment are netted before anything is claimed (:mod:`outlay.optimize.netting`).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.config import OverspendSettings
from outlay.money import percent
from outlay.optimize.bill_rates import evidence_of
from outlay.optimize.finding import Candidate, Claim
from outlay.optimize.netting import net_claims
from outlay.optimize.spend import Line, Spend
from outlay.prices.rates import RateBook

__all__ = ["UnusedCommitments"]


class UnusedCommitments:
    """One candidate a commitment."""

    id = "unused-commitments"
    order = 10
    rule = "CommitmentDiscountStatus is Unused: the EffectiveCost of these rows, less corrections, bought nothing."

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """Unused rows by commitment; those outside AI together, as one thing to look at."""
        groups: dict[str | None, list[Line]] = {}
        for line in spend.lines("commitment_status = 'Unused'"):
            groups.setdefault(line.commitment_id, []).append(line)
        covered = {
            row[0]: (row[1], row[2])
            for row in spend.connection.execute("SELECT commitment_id, used, used_ai FROM commitments").fetchall()
        }
        others: dict[str | None, tuple[list[Line], tuple[Claim, ...]]] = {}
        for commitment, lines in groups.items():
            used, used_ai = covered.get(commitment, (Decimal(0), Decimal(0)))
            ai, other = [line for line in lines if line.is_ai], [line for line in lines if not line.is_ai]
            ai_claims, other_claims = _net(ai, other)
            if other_claims:
                others[commitment] = other, other_claims
            if ai_claims:
                yield _candidate(
                    spend,
                    ai,
                    ai_claims,
                    commitment or "unnamed",
                    _title(commitment, used),
                    why="Paid for and not used; "
                    + (
                        f"AI took {percent(used_ai / used)} of what it covered."
                        if used
                        else "its own rows name an AI service or accelerator."
                    ),
                )
        if others:
            any_used = any(covered.get(commitment, (Decimal(0),))[0] for commitment in others)
            count = len(others)
            yield _candidate(
                spend,
                [line for lines, _ in others.values() for line in lines],
                tuple(one for _, claims in others.values() for one in claims),
                "outside-ai",
                f"{count} other {'commitment' if count == 1 else 'commitments'} {'partly ' if any_used else ''}unused",
                why="Paid for and not used; nothing on the bill shows that they cover AI.",
                needs="whether they are meant for AI; the waste is real but not AI spend",
            )


def _net(ai: list[Line], other: list[Line]) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """Claims on the AI rows and on the other rows of one commitment.

    A credit comes off rows of its own kind first: a correction often names less of the SKU than the charge it corrects,
    so what is left of it comes off the other kind.
    """
    ai_claims, ai_credit = net_claims(ai)
    other_claims, other_credit = net_claims(other)
    if other_credit:
        ai_claims, _ = net_claims(ai, other_credit)
    if ai_credit:
        other_claims, _ = net_claims(other, ai_credit)
    return ai_claims, other_claims


def _title(commitment: str | None, used: Decimal) -> str:
    if commitment is None:
        return "Unused part of a commitment that the bill does not name"
    return f"Commitment {commitment} {'partly ' if used else ''}unused"


def _candidate(
    spend: Spend, lines: list[Line], claims: tuple[Claim, ...], name: str, title: str, *, why: str, needs: str = ""
) -> Candidate:
    return Candidate(
        id=f"{UnusedCommitments.id}:{name}",
        title=title,
        basis="EffectiveCost of the rows with CommitmentDiscountStatus Unused, less their credits",
        why=why,
        confidence="low" if needs else "high",
        claims=claims,
        rows=sum(line.rows for line in lines),
        cost=sum((line.cost for line in lines), Decimal(0)),
        evidence=evidence_of(spend, lines),
        needs=needs,
        is_ai=not needs,
    )
