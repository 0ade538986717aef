"""A finding: money that need not have been spent, with its rule, its rows and its doubt.

A finding *counts* towards the overspend only when two things hold: every price in it stands on the bill or in the
user's price file, and the fact that makes the spend a waste is on the bill too (a status, a tag, an hour). What needs
someone to confirm it outside the bill is listed with its amount and not counted; what lacks a rate is listed without an
amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

__all__ = ["Candidate", "Claim", "Confidence", "Evidence", "Finding"]

Confidence = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A saving on one evidence line (``outlay.optimize.spend``), at most the line's cost."""

    line: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Evidence:
    """One group of bill rows that a finding rests on: how many, what they cost, and one of them by file and row."""

    what: str
    rows: int
    cost: Decimal
    file: str | None
    row: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a detector proposes, before overlaps are settled.

    ``claims`` is empty and ``amount_known`` False when no rate is known. ``needs`` is what must be confirmed outside
    the bill (empty when the bill itself proves it): a candidate with needs is never counted. ``is_ai`` is False when
    nothing ties its rows to AI: such a candidate needs something confirmed, and is in no sum about AI.
    """

    id: str
    title: str
    basis: str
    why: str
    confidence: Confidence
    claims: tuple[Claim, ...]
    rows: int
    cost: Decimal
    evidence: tuple[Evidence, ...]
    needs: str = ""
    amount_known: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_ai: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """A candidate after settlement: ``saving`` is what is left of its claims once earlier findings took theirs.

    ``adds`` is what it adds to its sum: all of ``saving`` where it counts; for a lead to confirm, what is left once
    every finding that counts and every lead before it took theirs, so that leads on the same rows can be added up. None
    exactly when ``saving`` is. ``is_ai`` is False for what nothing on the bill ties to AI.
    """

    id: str
    detector: str
    title: str
    saving: Decimal | None
    claimed: Decimal | None
    counted: bool
    confidence: Confidence
    basis: str
    why: str
    needs: str
    rows: int
    cost: Decimal
    evidence: tuple[Evidence, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_ai: bool = True
    adds: Decimal | None = None
