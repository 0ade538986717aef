"""What both forms of Slurm's accounting share: a record, its identity, and how many GPUs its TRES are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from outlay.sources.fact_file import Unusable
from outlay.sources.runs.attempt import Attempt, quantity
from outlay.sources.runs.gpu_names import gpu_type, slice_share

__all__ = ["Record", "gpus_of", "key_of", "plain", "restarts_of", "whole"]


@dataclass(frozen=True, slots=True)
class Record:
    """An attempt before its number is known; ``restarts`` as Slurm counts them, where it does."""

    line: int
    attempt: Attempt
    restarts: int | None


def gpus_of(counts: Iterable[tuple[str | None, Decimal]]) -> tuple[Fraction | None, str | None]:
    """GPUs and their type from ``gres/gpu`` with and without a type. Types, where told, add up to the total."""
    counts = [(kind, count) for kind, count in counts if count]
    typed = [(kind, count) for kind, count in counts if kind]
    if not counts:
        return None, None
    total = sum((Fraction(count) for kind, count in counts if not kind), Fraction(0))
    by_type = sum((Fraction(count) for _, count in typed), Fraction(0))
    shares = sum((Fraction(count) * slice_share(kind) for kind, count in typed), Fraction(0))
    names = sorted({gpu_type(kind) or "" for kind, _ in typed})
    return max(total - by_type, Fraction(0)) + shares, names[0] if len(names) == 1 else None


def key_of(run_id: str, submitted: datetime | None) -> str | None:
    """Job id and submission time, as in Slurm's own database: so an attempt is the same in any export."""
    return f"{run_id}@{submitted.isoformat()}" if submitted else None


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """A number that may be wrapped as ``{"set", "infinite", "number"}``; None if it is not set."""
    if not isinstance(value, dict):
        return value
    if value.get("infinite") is True or value.get("set") is False:
        return None
    return value.get("number")


def whole(value: Any) -> int | None:  # noqa: ANN401 - whatever a file holds
    """A whole number, wrapped or not; None for anything else."""
    try:
        found = quantity(plain(value), "a count")
    except Unusable:
        return None
    return int(found) if found is not None and found == int(found) else None


def restarts_of(value: Any) -> int | None:  # noqa: ANN401 - whatever a file holds
    """Slurm's count of restarts; the highest numbers of its 16 bits mean "not set" and "infinite"."""
    found = whole(value)
    return found if found is not None and found < 65_533 else None
