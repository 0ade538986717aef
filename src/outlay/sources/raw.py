"""A bill's file as it lies on disk, before anyone knows what it means: what is known of it, and what of it is no row.

It is opened in :mod:`outlay.sources.opening`; its rows are read by :mod:`outlay.sources.parsers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from outlay.problems import Problem

__all__ = ["NULL_TEXTS", "Kind", "RaggedRow", "RawFile"]

Kind = Literal["csv", "jsonl", "parquet"]
NULL_TEXTS = ["", "NULL", "null", "Null"]
"""What a CSV cell without a value may say."""


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A CSV record with more or fewer fields than the header has, or a line that is no JSON object.

    ``row`` is numbered as ``__row``, see :mod:`outlay.sources.parsers`.
    """

    row: int
    text: str
    message: str


@dataclass(frozen=True, slots=True)
class RawFile:
    """What is known of a file from its first bytes.

    ``columns`` maps each column as the file spells it to its DuckDB type (``VARCHAR`` for CSV, ``JSON`` for JSON
    lines and for nested Parquet columns). SQL does not tell names apart that differ in case only: of such CSV columns
    the later ones are renamed, and ``titles`` maps their new names to the file's own. ``blank`` are the Parquet text
    columns that may hold empty texts (by the file's own statistics), ``foreign`` the Parquet columns of a type that is
    neither text nor an exact amount, with its name. ``no_rows``: it is known to hold none. ``unfolded`` is the file of
    this process that has the rows of a nested document (:mod:`outlay.sources.bills.unfolded`), ``notices`` what that
    found. ``set_aside`` fills while a relation is read.
    """

    path: Path
    kind: Kind
    columns: dict[str, str]
    compressed: bool = False
    delimiter: str = ","
    sample: tuple[dict[str, str | None], ...] = ()
    blank: frozenset[str] = frozenset()
    titles: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    no_rows: bool = False
    unfolded: Path | None = None
    notices: tuple[Problem, ...] = ()
    set_aside: list[RaggedRow] = field(default_factory=list, compare=False)

    @property
    def rows_path(self) -> Path:
        """The file whose rows are read; messages, digest and provenance name ``path``."""
        return self.unfolded or self.path

    def find(self, name: str) -> str | None:
        """The column that is called ``name``, whatever its case and the separators between its words.

        The one that is spelled exactly so comes first, then the first of the file.
        """
        if name in self.columns:
            return name
        for column, title in self.titles.items():
            if title == name:
                return column
        return _folded(tuple(self.columns)).get(_fold(name))

    def title(self, column: str) -> str:
        """What the file itself calls one of ``columns``."""
        return self.titles.get(column, column)


@lru_cache(maxsize=64)
def _folded(columns: tuple[str, ...]) -> dict[str, str]:
    return {_fold(column): column for column in reversed(columns)}


@lru_cache(maxsize=4096)
def _fold(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
