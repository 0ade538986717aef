"""Commitments that AI uses: what is left unused of them is AI cost too.

An unused reservation says nothing of AI on its own row: it is an hour of nothing. But when AI took more than half of
what the commitment covered (by effective cost, in the same bill), its idle part was bought for AI, and a report that
left it out would show less AI cost than AI overspend. Loading and ``outlay overspend`` follow this one rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from outlay.sources.recognise import Sku, recognise

__all__ = ["MOSTLY_AI_SQL", "Committed", "mostly_ai"]

MOSTLY_AI_SQL = "SELECT commitment_id FROM commitments WHERE used > 0 AND used_ai * 2 > used"
"""The rule over a table ``commitments`` (``commitment_id``, ``used``, ``used_ai``)."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commitment covered of one SKU (a SKU_COLUMNS tuple): effective cost, in the currency it was billed in."""

    commitment_id: str
    sku: tuple[object, ...]
    used: Decimal


def mostly_ai(committed: Iterable[Committed]) -> tuple[str, ...]:
    """The commitments of which AI took more than half, in order."""
    used: dict[str, Decimal] = {}
    used_ai: dict[str, Decimal] = {}
    is_ai: Mapping[tuple[object, ...], bool] = _recognised(committed := list(committed))
    for one in committed:
        used[one.commitment_id] = used.get(one.commitment_id, Decimal(0)) + one.used
        if is_ai[one.sku]:
            used_ai[one.commitment_id] = used_ai.get(one.commitment_id, Decimal(0)) + one.used
    return tuple(sorted(name for name, part in used_ai.items() if used[name] > 0 and part * 2 > used[name]))


def _recognised(committed: Iterable[Committed]) -> dict[tuple[object, ...], bool]:
    return {sku: recognise(Sku(*sku)).is_ai for sku in {one.sku for one in committed}}  # type: ignore[arg-type]
