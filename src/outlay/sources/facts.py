"""What a reader of facts has to say: which files are its own, and the rows in them.

Bills are big and flat, so their readers write SQL (:mod:`outlay.sources.reader`); facts are small and nested, so
their readers are generators. A reader turns its own format's records into :class:`Fact` rows of one table and
yields a :class:`Problem` for each record that it can't use; types, provenance, tags, prices, quarantine and the commit
are the same for every source and live in :mod:`outlay.sources.fact_loading`. So a new source is one file, one folder of
fixtures, and one page of docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

from outlay.ledger.tables.table import FactTable
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.reader import Format

__all__ = ["Fact", "FactReader", "Telling", "Value", "Window", "amount", "epoch", "moment"]

Value = str | int | bool | Decimal | datetime | None
_NONE: Mapping[str, str] = MappingProxyType({})
_MOST_DIGITS = 100


@dataclass(frozen=True, slots=True)
class Fact:
    """One row: ``values`` by column of the table, absent ones null; times are naive UTC.

    ``identity`` names the thing within its source: the same thing told again (a span sent twice, a run that ended
    meanwhile) has the same identity and replaces what was known. ``source`` is the account or system it belongs to
    where the record says so; the format's id otherwise. ``line`` is the number that the file's own iterator gave.
    ``kind`` is the :class:`Window`'s where a format has several.
    """

    identity: str
    line: int | None
    values: Mapping[str, Value]
    tags: Mapping[str, str] = field(default_factory=lambda: _NONE)
    source: str | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time that a report speaks for, whole: half-open, naive UTC.

    What its source's earlier reports of the same format and kind said of any time in it is replaced. Yield one for
    each bucket, those without results too. ``kind`` is what of the window it speaks for where a format has several
    reports (completions, embeddings), which must not replace one another.
    """

    start: datetime
    end: datetime
    source: str | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """Facts to load from one place: a file, or a receiver. ``name`` is what rows and problems cite it by."""

    name: str
    path: str
    format: Format
    facts: Callable[[], Iterable[Fact | Window | Problem]]


@runtime_checkable
class FactReader(Protocol):
    """A source system's own format of facts."""

    @property
    def format(self) -> Format:
        """Its id, title and needs."""
        ...

    @property
    def table(self) -> FactTable:
        """The table its rows belong to."""
        ...

    @property
    def restates(self) -> Literal["rows", "windows"]:
        """What a later file replaces: rows of the same identity, or all rows in the windows that it yields."""
        ...

    def recognises(self, file: FactFile) -> bool:
        """Whether ``file`` is this format's. Exactly one reader may say yes to a file."""
        ...

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """The rows, windows and problems of a file that this reader recognises."""
        ...


def moment(value: Any) -> datetime | None:  # noqa: ANN401 - whatever a file holds
    """An ISO 8601 text (any offset, any number of decimals) as naive UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        head, dot, tail = text.partition(".")
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))] if dot else ""
        if len(digits) <= 6:
            return None
        try:
            found = datetime.fromisoformat(f"{head}.{digits[:6]}{tail[len(digits) :]}")
        except ValueError:
            return None
    try:
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except OverflowError:  # the first or last hours of the calendar, in another zone
        return None


def epoch(value: Any, *, per_second: int = 1) -> datetime | None:  # noqa: ANN401 - whatever a file holds
    """A count since 1970 (seconds, or ``per_second`` of them) as naive UTC, to the microsecond; None if it is none."""
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except InvalidOperation:
            return None
    if not isinstance(value, (int, Decimal)) or isinstance(value, bool):
        return None
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    if not 0 <= value < 253_402_300_800 * per_second:  # the year 10000
        return None
    micros = int(value * 1_000_000 // per_second)
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=rest)


def amount(value: Any) -> Decimal | None:  # noqa: ANN401 - whatever a file holds
    """A JSON number or the text of one as a Decimal; None for anything else.

    NaN and infinity are none, nor is a number of more than a hundred digits, which no column could hold.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    try:
        found = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        return None
    if not found.is_finite() or found.adjusted() > _MOST_DIGITS or "_" in str(value):
        return None
    return found
