"""Bills read where they lie: one relation over any number of files, with nothing loaded.

Parquet files are scanned in place, those of one schema together. Text files (CSV, JSON lines) are parsed once into a
temporary Parquet file of the wanted columns, because the questions asked of a bill need more than one look. The
relation has the typed FOCUS columns, ``__problem`` (rows with one are never summed), ``__file`` and ``__row``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.ledger.engine.duckdb import literal
from outlay.problems import Problem
from outlay.sources.parser_errors import reading
from outlay.sources.parsers import map_keys, register, register_alike
from outlay.sources.reader import Found
from outlay.sources.typed import Bill, problem_text, typed_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["TAGS_GIVEN", "InPlace", "open_in_place"]

TAGS_GIVEN = "__tags_given"
"""Column of the relation: the row has a tags cell. Its ``Tags`` are NULL where that could not be read."""

_SYNTHETIC_MARK = "x_Synthetic"


@dataclass(frozen=True, slots=True)
class InPlace:
    """A relation over bills.

    ``sql`` is a SELECT, ``files[__file]`` names a row's file, ``versions`` what each was read as. ``map_tags`` are the
    Parquet files and columns that hold tags as a MAP; ``synthetic`` whether a file says that it was generated;
    ``other_tags`` the SELECTs whose tags are something else. ``copies`` has a sentence for each file that was left out,
    because another has the same content.
    """

    sql: str
    files: tuple[Path, ...]
    versions: tuple[str, ...]
    map_tags: tuple[tuple[Path, str], ...]
    other_tags: tuple[str, ...]
    synthetic: bool
    notices: tuple[Problem, ...]
    copies: tuple[str, ...]

    def tag_keys(self, connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
        """Every tag key in use, in order."""
        keys: set[str] = set()
        for path, column in self.map_tags:
            keys |= map_keys(path, column)
        for sql in self.other_tags:
            rows = connection.execute(f'SELECT DISTINCT unnest(map_keys("Tags")) FROM ({sql})').fetchall()
            keys |= {row[0] for row in rows if row[0] is not None}
        return tuple(sorted(keys))

    def problems(self, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
        """Every rejected row, one problem each. Scans the problem columns only."""
        rows = connection.execute(
            f"SELECT __file, __row, __problem FROM ({self.sql}) WHERE __problem IS NOT NULL ORDER BY __file, __row"
        ).fetchall()
        return [Problem(self.files[file].name, row, *problem_text(marked)) for file, row, marked in rows]


def open_in_place(
    connection: duckdb.DuckDBPyConnection,
    found: Sequence[Found],
    only: Iterable[str],
    spill: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> InPlace:
    """Make one relation of the ``only`` columns of bills. Parses text files into ``spill``."""
    found, copies = _without_copies(found)
    files: list[Path] = []
    selects: list[str] = []
    notices: list[Problem] = []
    versions: list[str] = []
    wanted = list(only)
    map_tags: list[tuple[Path, str]] = []
    other_tags: list[str] = []
    for group in _alike(found):
        first = group[0]
        shape = replace(first.raw, blank=frozenset().union(*(one.raw.blank for one in group)))
        with reading(first.raw.path, first.reader):
            bill = Bill.of(connection, shape, first.reader.mapping(shape))
        base = len(files)
        files += [one.raw.path for one in group]
        versions += [bill.mapping.version] * len(group)
        for one in group:
            said = bill.mapping if one is first else one.reader.mapping(one.raw)
            notices += one.raw.notices
            notices += [Problem(one.raw.path.name, None, notice.code, notice.message) for notice in said.notices]
        if first.raw.kind == "parquet":
            clause = register_alike([one.raw for one in group])
            extra = {"__file": f"CAST(__file + {base} AS INTEGER)", TAGS_GIVEN: _tags_given(bill)}
            selects.append(typed_sql(bill, clause, only=wanted, extra=extra))
            tags = first.raw.find("Tags")
            if tags is not None and first.raw.columns[tags].startswith("MAP"):
                map_tags += [(one.raw.path, tags) for one in group]
            elif "Tags" in bill.mapping.columns:
                other_tags.append(selects[-1])
            continue
        progress(f"reading {first.raw.path.name}")
        with reading(first.raw.path, first.reader):
            parsed = spill / f"parsed-{base}.parquet"
            extra = {"__file": f"CAST({base} AS INTEGER)", TAGS_GIVEN: _tags_given(bill)}
            sql = typed_sql(bill, "{clause}", only=wanted, extra=extra)
            clause = register(connection, first.raw, used_by=sql)
            connection.execute(
                f"COPY ({sql.replace('{clause}', clause)}) TO {literal(str(parsed))} (FORMAT parquet, COMPRESSION lz4)"
            )
        code = "not-json" if first.raw.kind == "jsonl" else "ragged-row"
        notices += [Problem(first.raw.path.name, r.row, code, f"the row {r.message}") for r in first.raw.set_aside]
        selects.append(f"SELECT * FROM read_parquet({literal(str(parsed))})")
        map_tags.append((parsed, "Tags"))
    return InPlace(
        " UNION ALL BY NAME ".join(selects),
        tuple(files),
        tuple(versions),
        tuple(map_tags),
        tuple(other_tags),
        any(one.raw.find(_SYNTHETIC_MARK) is not None for one in found),
        tuple(notices),
        tuple(copies),
    )


def _tags_given(bill: Bill) -> str:
    """Whether a row's tags cell holds anything, where it could be something else than tags."""
    source = bill.mapping.columns.get("Tags")
    return "false" if source is None or bill.types["Tags"].startswith("MAP") else f"({source}) IS NOT NULL"


def _alike(found: Sequence[Found]) -> list[list[Found]]:
    """Parquet files of one reader and schema together; any other file alone."""
    groups: dict[object, list[Found]] = {}
    for number, one in enumerate(found):
        key = (one.reader.format.id, tuple(one.raw.columns.items())) if one.raw.kind == "parquet" else number
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _without_copies(found: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """Each content once; files are compared only where their sizes are equal."""
    sizes: dict[int, list[Found]] = {}
    kept: list[Found] = []
    notes: list[str] = []
    for one in found:
        twins = sizes.setdefault(one.raw.path.stat().st_size, [])
        twin = next((t for t in twins if _same_bytes(t.raw.path, one.raw.path)), None)
        if twin is not None:
            notes.append(f"{one.raw.path}: has the same content as {twin.raw.path}; counted once")
            continue
        twins.append(one)
        kept.append(one)
    return kept, notes


def _same_bytes(a: Path, b: Path) -> bool:
    with a.open("rb") as first, b.open("rb") as second:
        while True:
            chunk = first.read(1 << 20)
            if chunk != second.read(1 << 20):
                return False
            if not chunk:
                return True
