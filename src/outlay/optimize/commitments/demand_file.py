"""Reading demand from a CSV file: ``hour`` and one column a pool, in GPUs in use.

``hour`` is ISO 8601 in UTC on the full hour, or a whole number that counts hours. Rows may come in any order; an hour
that is missing and a cell that is empty are gaps, never zero. A cell that is not a number becomes a problem and a gap;
what makes the whole file doubtful (an hour told twice, times that are no hours) is an error and nothing is planned.

A number is read as the nearest billionth of a GPU. Up to a million GPUs, a binary float tells those apart (its error
there is under a quarter of a billionth), so the fast way of reading loses nothing.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from outlay.errors import UnreadableError, nearest
from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.table_file import decimal_comma, foreign_separator, unreadable
from outlay.problems import Problem

__all__ = ["MOST_GPUS", "MOST_HOURS", "DemandFile", "read_demand"]

MOST_GPUS = 1_000_000
"""A pool of more is taken for a column that is no count of GPUs."""
MOST_HOURS = 20 * 8766
"""Twenty years: hours further apart are taken for a slip of the pen."""
_MOST_PROBLEMS = 1000
_HOUR = "hour"


@dataclass(frozen=True, slots=True)
class DemandFile:
    """What a file held: a demand a pool in the order of its columns, and the cells that could not be used.

    ``names`` are all its pools, also those that were not asked for.
    """

    pools: tuple[Demand, ...]
    problems: tuple[Problem, ...]
    names: tuple[str, ...]


@dataclass(slots=True)
class _Bad:
    """The cells that can't be used: the first of them listed, the others counted."""

    path: Path
    listed: list[Problem] = field(default_factory=list)
    more: int = 0

    def note(self, line: int, code: str, message: str) -> None:
        """One more."""
        if len(self.listed) < _MOST_PROBLEMS:
            self.listed.append(Problem(self.path.name, line, code, f"{message}; the hour counts as unknown"))
        else:
            self.more += 1

    def told(self) -> tuple[Problem, ...]:
        """All that are listed, and how many are not."""
        if not self.more:
            return tuple(self.listed)
        said = f"only the first {_MOST_PROBLEMS:,} are listed: {self.more:,} more can't be used"
        return (*self.listed, Problem(self.path.name, None, "unfit-value", said))


def read_demand(path: Path, only: Sequence[str] = ()) -> DemandFile:
    """The pools of ``path``, or those named by ``only``; :class:`UnreadableError` for a file that can't be used."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            return _read(csv.reader(handle, strict=True), path, only)
    except csv.Error as error:
        raise UnreadableError(f"is not a CSV file that can be read: {error}.", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        said, hint = unreadable(error)
        raise UnreadableError(said, where=str(path), hint=hint or "Check --demand.") from None


def _read(reader: Iterable[list[str]], path: Path, only: Sequence[str]) -> DemandFile:
    rows = iter(reader)
    header = [name.strip() for name in next(rows, [])]
    columns = _columns(header, path, only)
    hours: list[datetime | int] = []
    lines: list[int] = []
    values: list[list[float]] = []
    bad = _Bad(path)
    for line, cells in enumerate(rows, start=2):
        if not cells or not any(cell.strip() for cell in cells):
            continue
        where = f"{path}:{line}"
        hours.append(_hour(cells[0], where, hours[0] if hours else None))
        lines.append(line)
        if len(cells) != len(header):
            bad.note(line, "ragged-row", f"has {len(cells)} cells, the header {len(header)}")
            cells = cells[: len(header)] + [""] * (len(header) - len(cells))  # noqa: PLW2901
        values.append(_numbers([cells[column] for column in columns], [header[c] for c in columns], line, bad))
    if not hours:
        raise UnreadableError("has no rows.", where=str(path), hint="Give one row an hour: hour,POOL,...")
    positions = _positions(hours, lines, path)
    first = min(hours)
    filled = np.full((int(positions.max()) + 1, len(columns)), np.nan)
    filled[positions] = np.array(values)
    known = ~np.isnan(filled)
    nanos = np.rint(np.where(known, filled, 0.0) * NANOS).astype(np.int64)
    return DemandFile(
        tuple(
            Demand(
                header[column], first, np.ascontiguousarray(nanos[:, n]), np.ascontiguousarray(known[:, n]), path.name
            )
            for n, column in enumerate(columns)
        ),
        bad.told(),
        tuple(header[1:]),
    )


def _columns(header: Sequence[str], path: Path, only: Sequence[str]) -> list[int]:
    separator = foreign_separator(header[:1])
    if separator:
        raise UnreadableError(
            f"has its cells parted by {separator}.",
            where=str(path),
            hint="Save it parted by commas, with a point in its numbers: hour,POOL,POOL,...",
        )
    if not header or header[0].casefold() != _HOUR:
        found = f", but with '{header[0][:40]}'" if header else ""
        raise UnreadableError(
            f"does not start with the column 'hour'{found}.",
            where=str(path),
            hint="The header is hour,POOL,POOL,...: a time in UTC or a count of hours, then GPUs in use by pool.",
        )
    pools = list(header[1:])
    if not pools or not all(pools):
        raise UnreadableError("has a pool without a name.", where=str(path), hint="Name every column after 'hour'.")
    twice = sorted({name for name in pools if pools.count(name) > 1})
    if twice:
        raise UnreadableError(f"has the pool '{twice[0]}' twice.", where=str(path), hint="Keep one column a pool.")
    for name in only:
        if name not in pools:
            raise UnreadableError(f"has no pool '{name}'.", where=str(path), hint=nearest(name, pools))
    return [number for number, name in enumerate(header) if number and (not only or name in only)]


def _hour(text: str, where: str, like: datetime | int | None) -> datetime | int:
    cell = text.strip()
    hour: datetime | int
    if cell.isascii() and cell.isdecimal():
        hour = int(cell)
    else:
        try:
            moment = datetime.fromisoformat(cell.replace("Z", "+00:00"))
        except ValueError:
            raise UnreadableError(
                f"'{cell[:40]}' is not an hour.", where=where, hint="Write 2026-10-01T13:00:00Z, or a count of hours."
            ) from None
        offset = moment.utcoffset()
        hour = moment if offset is None else (moment - offset).replace(tzinfo=None)
        if hour.minute or hour.second or hour.microsecond:
            raise UnreadableError(
                f"{cell} is not on the full hour.", where=where, hint="Add demand up by the hour: the mean of each."
            )
    if like is not None and type(like) is not type(hour):
        raise UnreadableError(
            f"'{cell[:40]}' stands among {'dates' if isinstance(like, datetime) else 'numbers'}.",
            where=where,
            hint="Write every hour in the same way.",
        )
    return hour


def _numbers(cells: Sequence[str], pools: Sequence[str], line: int, bad: _Bad) -> list[float]:
    try:
        found = [float(cell) for cell in cells]
    except ValueError:
        found = []
    if found and all(0 <= number <= MOST_GPUS for number in found) and not any("_" in cell for cell in cells):
        return found
    return [_number(cell, pool, line, bad) for cell, pool in zip(cells, pools, strict=True)]


def _number(text: str, pool: str, line: int, bad: _Bad) -> float:
    cell = text.strip()
    if not cell:
        return math.nan
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if math.isnan(number) or math.isinf(number) or "_" in cell:
        pointed = decimal_comma(cell)
        hint = f" (write {pointed})" if pointed else ""
        bad.note(line, "unparsable-amount", f"'{cell[:40]}' is no number of GPUs of {pool}{hint}")
        return math.nan
    if number < 0:
        bad.note(line, "negative-quantity", f"{cell[:40]} GPUs of {pool}")
        return math.nan
    if number > MOST_GPUS:
        bad.note(line, "unfit-value", f"{cell[:40]} GPUs of {pool} is more than {MOST_GPUS:,}")
        return math.nan
    return number


def _positions(
    hours: Sequence[datetime | int], lines: Sequence[int], path: Path
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    first = min(hours)
    if isinstance(first, datetime):
        an_hour = timedelta(hours=1)
        positions = np.array([(hour - first) // an_hour for hour in hours], dtype=np.int64)  # type: ignore[operator]
    else:
        positions = np.array([hour - first for hour in hours], dtype=np.int64)  # type: ignore[operator]
    if int(positions.max()) >= MOST_HOURS:
        last = hours[int(positions.argmax())]
        raise UnreadableError(
            f"reaches from {first} to {last}, more than twenty years of hours.",
            where=f"{path}:{lines[int(positions.argmax())]}",
            hint="Correct the hour.",
        )
    order = np.argsort(positions, kind="stable")
    again = np.flatnonzero(np.diff(positions[order]) == 0)
    if len(again):
        row = int(order[again[0] + 1])
        days_alone = all(isinstance(hour, datetime) and not hour.hour for hour in hours)
        raise UnreadableError(
            f"tells the hour {hours[row]} twice.",
            where=f"{path}:{lines[row]}",
            hint="Write the time of day too: 2026-10-01T13:00:00Z." if days_alone else "Keep one row an hour.",
        )
    return positions
