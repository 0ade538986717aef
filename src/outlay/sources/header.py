"""The columns' names at the head of a bill: what the file calls them, and what SQL can call them.

Files tell names apart by case, and leave names out; SQL does neither. A CSV column can be renamed on its way in,
because both parsers are given the names; a Parquet column or a key of JSON lines is asked for by its own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from outlay.errors import UnreadableError

__all__ = ["SAMPLE_ROWS", "distinct", "first_records", "refuse_twins"]

SAMPLE_ROWS = 20
"""How many rows of a file are looked at before it is read."""


def first_records(text: str, delimiter: str) -> tuple[list[str], list[list[str]], bool]:
    """The header, the first records that are not blank, and whether what follows the header could be read.

    Python's parser gives up at a cell of 128 Ki characters, and raising its limit would raise it for the whole
    process. The parsers that read the rows go on to 1 MiB, so such a cell only ends the sample.
    """
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] = []
    rows: list[list[str]] = []
    try:
        header = next(records)
        for record in records:
            if record:
                rows.append(record)
            if len(rows) == SAMPLE_ROWS:
                break
    except csv.Error:
        return header, rows, False
    return header, rows, True


def distinct(titles: Sequence[str]) -> list[str]:
    """A name for each column that SQL tells from the others.

    Users do tag both ``Team`` and ``team``, and a header may leave a name out; SQL ignores case. A later twin is
    called after its place, ``team (column 7)``, a nameless column ``column 7``.
    """
    names: list[str] = []
    taken: set[str] = set()
    for number, title in enumerate(titles, start=1):
        name = title or f"column {number}"
        while name.casefold() in taken:
            name = f"{name} (column {number})"
        taken.add(name.casefold())
        names.append(name)
    return names


def refuse_twins(path: Path, names: Sequence[str]) -> None:
    """Refuse columns that can't be renamed on the way in and that SQL does not tell apart."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.get(name.casefold())
        seen[name.casefold()] = name
        if twin is not None:
            said = f"the column '{name}' twice" if twin == name else f"columns '{twin}' and '{name}'"
            apart = "" if twin == name else ", which differ in case only"
            raise UnreadableError(f"has {said}{apart}.", where=str(path), hint="Rename or drop one of them.")
