"""What a source system's reader has to say: which files are its own, and what each FOCUS column is in them.

A reader is data more than code. It never touches a row: it names, for a file's header, the SQL expression over the
file's own columns that gives each FOCUS column. Casting, checking, recognising AI, quarantine and reconciliation are
the same for every source and live in :mod:`outlay.sources.canonical` and :mod:`outlay.sources.loading`. So a new
source is one file in ``sources/bills``, one folder of fixtures, and one page of docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from outlay.ledger.engine.duckdb import identifier
from outlay.sources.raw import RawFile

__all__ = ["Format", "Found", "Notice", "Reader", "RowMapping", "column", "first_of"]


@dataclass(frozen=True, slots=True)
class Format:
    """A bill format as ``outlay sources`` lists it."""

    id: str
    title: str
    needs: str
    """What to export, and how, for the reader to say all it can."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A remark about a whole file, by a code of :data:`outlay.problems.CATALOGUE`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RowMapping:
    """How one file's rows become FOCUS rows.

    ``columns``: FOCUS column -> SQL expression over the raw columns (text or typed; absent means NULL).
    ``control``: measure (``BilledCost``, ``EffectiveCost``, ``ListCost``) -> SQL expression that gives the row's
    amount straight from the raw columns, written apart from ``columns``: reconciliation sums it through another
    parser.
    ``version``: what the file was recognised as, e.g. ``FOCUS 1.2``.
    """

    version: str
    columns: Mapping[str, str]
    control: Mapping[str, str]
    notices: tuple[Notice, ...] = field(default=())


@runtime_checkable
class Reader(Protocol):
    """A source system's own format."""

    @property
    def format(self) -> Format:
        """Its id, title and needs."""
        ...

    def recognises(self, raw: RawFile) -> bool:
        """Whether ``raw``'s header is this format's. Exactly one reader may say yes to a file."""
        ...

    def mapping(self, raw: RawFile) -> RowMapping:
        """The row mapping for a file that this reader recognises."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A bill and its reader."""

    raw: RawFile
    reader: Reader


def column(raw: RawFile, name: str) -> str | None:
    """The quoted raw column called ``name`` in any case, or None.

    Empty text in Parquet counts as missing, as it does in CSV.
    """
    found = raw.find(name)
    if found is None:
        return None
    quoted = identifier(found)
    if raw.columns[found] == "JSON" and raw.kind == "jsonl":
        return f"nullif({quoted} ->> '$', '')"
    return f"nullif({quoted}, '')" if found in raw.blank and raw.columns[found] == "VARCHAR" else quoted


def first_of(raw: RawFile, *names: str) -> str | None:
    """The first of several raw columns that is not NULL in the row; None when the file has none of them."""
    found = [c for c in (column(raw, name) for name in names) if c is not None]
    if not found:
        return None
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"
