"""Which kinds of rows a file has, where its header does not tell.

Some things that a bill lacks show in its rows alone: an Azure export of actual costs has the header of an amortised
one, and an AWS report without savings plan columns lacks something only if savings plans are in use. A reader that has
to know asks here. It costs one pass over the few columns that the question names: about a second for 200 MB of CSV.
"""

from __future__ import annotations

from outlay.ledger.engine.duckdb import session
from outlay.sources.parser_errors import reading
from outlay.sources.parsers import register_independently
from outlay.sources.raw import RawFile

__all__ = ["row_kinds"]


def row_kinds(raw: RawFile, kind: str) -> frozenset[str]:
    """The distinct values, NULL aside, of the SQL expression ``kind`` over the columns of ``raw``.

    Raises :class:`outlay.errors.UnreadableError` where the file can't be read to its end.
    """
    with reading(raw.path), session() as connection:
        clause = register_independently(connection, raw, used_by=kind)
        rows = connection.execute(f"SELECT DISTINCT {kind} FROM {clause}").fetchall()
    return frozenset(row[0] for row in rows if row[0] is not None)
