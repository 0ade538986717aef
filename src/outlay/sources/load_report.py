"""What a load did, file by file: for the command line, and for the ledger's history, which keeps it as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from outlay.money import plain
from outlay.problems import ProblemSummary

__all__ = ["FileReport", "LoadReport", "TableLoad", "report_from_json", "report_to_json"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of a load, as the contract's ``loads`` list has it.

    ``totals`` are the money of a bill by currency and measure, ``quantities`` the sums of a table of facts.
    """

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
    table: str = "costs"
    quantities: dict[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableLoad:
    """What a load did to one table.

    ``changed`` is False when the same content was there already, or nothing of it could be used; ``version`` is the
    table's then.
    """

    table: str
    load_id: str
    changed: bool
    version: int
    files: tuple[FileReport, ...]
    rows_replaced: int
    notes: tuple[str, ...] = ()

    @property
    def tells_nothing(self) -> bool:
        """Whether it changed nothing because no row of its files could be used, or there was none."""
        return not self.changed and not any(file.rows_loaded for file in self.files)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a command loaded, table by table: ``costs`` first, where it brought bills.

    ``skipped`` has a sentence for each file of a folder that was passed over.
    """

    tables: tuple[TableLoad, ...]
    skipped: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether any table changed."""
        return any(table.changed for table in self.tables)

    @property
    def load_id(self) -> str:
        """The first table's."""
        return self.tables[0].load_id

    @property
    def version(self) -> int:
        """The first table's."""
        return self.tables[0].version

    @property
    def files(self) -> tuple[FileReport, ...]:
        """Every file."""
        return tuple(file for table in self.tables for file in table.files)

    @property
    def rows_replaced(self) -> int:
        """Rows that gave way, in all tables."""
        return sum(table.rows_replaced for table in self.tables)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say beside the figures."""
        return (*self.skipped, *(note for table in self.tables for note in table.notes))


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
        "table": report.table,
        "quantities": {name: plain(value) for name, value in report.quantities.items()},
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
        said.get("table", "costs"),
        {name: Decimal(value) for name, value in said.get("quantities", {}).items()},
    )
