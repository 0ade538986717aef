"""One month delivered twice: files of one reading that hold the same rows.

A folder may hold a month-to-date export beside a later one, or an export in two formats. Read as one pile they count
twice, and no total would show it: the file and the ledger agree. Parts of one export share no rows, so rows are
compared by their hashes, a sample of them where there are many: the same rows fall into every file's sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.problems import Problem

if TYPE_CHECKING:
    import duckdb

__all__ = ["delivered_twice", "distinct_names"]

_SAMPLE_ROWS = 200_000
_LEAST_ROWS = 2
_LEAST_SHARE = 0.5


def delivered_twice(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: str, names: Sequence[str], rows: int
) -> list[Problem]:
    """A notice for each two files of which half of the smaller one's rows, or more, are in the other.

    ``relation`` has ``__file``, an index into ``names``, and the ``columns`` (SQL expressions) that make a row what it
    is; ``rows`` is about how many there are.
    """
    every = max(1, rows // _SAMPLE_ROWS)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE sampled AS SELECT __file, h, count(*) AS n FROM "
        f"(SELECT __file, hash({columns}) AS h FROM {relation}) WHERE h % {every} = 0 GROUP BY ALL"
    )
    found = connection.execute(
        "WITH sizes AS (SELECT __file, sum(n) AS rows FROM sampled GROUP BY 1), "
        "shared AS (SELECT a.__file AS a, b.__file AS b, sum(least(a.n, b.n)) AS rows FROM sampled a "
        "JOIN sampled b ON a.h = b.h AND a.__file < b.__file GROUP BY ALL) "
        "SELECT shared.a, shared.b, shared.rows, least(x.rows, y.rows), x.rows <= y.rows FROM shared "
        "JOIN sizes x ON x.__file = shared.a JOIN sizes y ON y.__file = shared.b ORDER BY 1, 2"
    ).fetchall()
    connection.execute("DROP TABLE sampled")
    problems = []
    for a, b, same, smaller, a_is_smaller in found:
        if same < _LEAST_ROWS or same < smaller * _LEAST_SHARE:
            continue
        small, large = (a, b) if a_is_smaller else (b, a)
        share = f"{100 * int(same) // int(smaller)}% of its rows"
        problems.append(Problem(names[small], None, "delivered-twice", f"{share} are in {names[large]} too"))
    return problems


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """File names, with their folder where two have the same name."""
    names = [path.name for path in paths]
    return [
        name if names.count(name) == 1 else f"{path.parent.name}/{name}"
        for name, path in zip(names, paths, strict=True)
    ]
