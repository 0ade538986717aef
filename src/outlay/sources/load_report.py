"""What a load did, file by file: for the command line, and for the ledger's history, which keeps it as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from outlay.money import plain
from outlay.problems import ProblemSummary

__all__ = ["FileReport", "LoadReport", "report_from_json", "report_to_json"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of a load, as the contract's ``loads`` list has it."""

    path: str
    format: str
    version: str
    sources: tuple[str, ...]
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    billing_periods: tuple[str, ...]
    totals: dict[str, dict[str, Decimal | None]]
    problems: tuple[ProblemSummary, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did.

    ``changed`` is False when the same content was there already; ``version`` is the ledger's then.
    """

    load_id: str
    changed: bool
    version: int
    files: tuple[FileReport, ...]
    rows_replaced: int
    notes: tuple[str, ...] = ()


def report_to_json(report: FileReport) -> dict[str, Any]:
    """As the history keeps it."""
    return {
        "path": report.path,
        "format": report.format,
        "version": report.version,
        "sources": list(report.sources),
        "rows_read": report.rows_read,
        "rows_loaded": report.rows_loaded,
        "rows_rejected": report.rows_rejected,
        "billing_periods": list(report.billing_periods),
        "totals": {
            c: {m: None if v is None else plain(v) for m, v in sums.items()} for c, sums in report.totals.items()
        },
        "problems": [[p.source, p.code, p.message, p.hint, p.count, p.first_line, p.rejects] for p in report.problems],
        "seconds": report.seconds,
    }


def report_from_json(said: dict[str, Any]) -> FileReport:
    """The inverse of :func:`report_to_json`."""
    return FileReport(
        said["path"],
        said["format"],
        said["version"],
        tuple(said["sources"]),
        said["rows_read"],
        said["rows_loaded"],
        said["rows_rejected"],
        tuple(said["billing_periods"]),
        {c: {m: None if v is None else Decimal(v) for m, v in sums.items()} for c, sums in said["totals"].items()},
        tuple(ProblemSummary(*p) for p in said["problems"]),
        said["seconds"],
    )
