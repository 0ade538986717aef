"""What a table of the ledger is: its columns, what identifies a row, and where a row came from.

``costs`` holds bills. The other tables hold *facts*, what the money bought: requests, GPU hours, runs, commitments,
business outcomes, alerts. They share everything but their own columns: provenance down to the row of the file, flat
columns for the configured allocation tags, and partitions by source and month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["FACT_PARTITION", "PROVENANCE", "Column", "FactTable", "Level", "tag_column"]

Level = Literal["Mandatory", "Conditional", "Recommended", "Own"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its DuckDB type, whether it may be null, its allowed values (empty when free) and its meaning.

    ``level`` is FOCUS' feature level for FOCUS columns.
    """

    name: str
    sql_type: str
    nullable: bool = True
    level: Level = "Own"
    allowed: tuple[str, ...] = ()
    meaning: str = ""


PROVENANCE: tuple[Column, ...] = (
    Column("x_RowId", "VARCHAR", False, meaning="identity within the source: the same thing told again has the same"),
    Column("x_Format", "VARCHAR", False, meaning="format id of the reader"),
    Column("x_Report", "VARCHAR", meaning="which of the format's reports, where it has several"),
    Column("x_SourceFile", "VARCHAR", False, meaning="name of the file, or the receiver, that the row came from"),
    Column("x_SourceRow", "BIGINT", meaning="line, record or element of that file, from 1"),
    Column("x_LoadId", "VARCHAR", False, meaning="digest of the content of the load"),
    Column("x_Source", "VARCHAR", False, meaning="whose facts: the account or system, or the name given at load"),
    Column("x_Month", "VARCHAR", False, meaning="YYYY-MM of the table's time column"),
)
"""The columns that the loader fills for every fact; the last two are the partition."""

FACT_PARTITION = ("x_Source", "x_Month")


@dataclass(frozen=True, slots=True)
class FactTable:
    """One table of facts.

    ``own`` are the columns that readers fill; ``time`` names the ones that say in which month a row lies, the first
    that is set. All carry ``Tags`` and a flat column for each configured allocation tag. ``measures`` are the columns
    that every load is reconciled by, ``filled`` those that the loader fills (prices). ``moves``: a thing told again
    may lie in another month (a run that was pending, a call whose log had the time wrong), so all months of its
    source are searched for it; without it a row's identity must hold the time that says its month. ``whole`` is a
    column (the card) whose every value is told whole for the time of its rows: they replace what an earlier load of
    the format said of it in that time.
    """

    name: str
    meaning: str
    own: tuple[Column, ...]
    time: tuple[str, ...]
    measures: tuple[str, ...] = ()
    moves: bool = False
    filled: tuple[str, ...] = ()
    whole: str | None = None

    def columns(self, tags: Sequence[str]) -> tuple[Column, ...]:
        """All columns for the configured allocation ``tags``, the partition columns last."""
        flat = tuple(Column(tag_column(tag), "VARCHAR", meaning=f"allocation tag '{tag}'") for tag in tags)
        everything = Column(
            "Tags", "MAP(VARCHAR, VARCHAR)", meaning="tags, labels or attributes, as the source has them"
        )
        return (*self.own, everything, *flat, *PROVENANCE)


def tag_column(tag: str) -> str:
    """The flat column of an allocation tag: ``team`` gives ``x_Tag_team``."""
    return f"x_Tag_{tag}"
