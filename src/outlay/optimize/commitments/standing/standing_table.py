"""The ``recommendations`` table as values, and one computation into it.

What a computation changed is told beside the one before, so it is laid beside the rows as they stand at its commit: of
two at once, the second to commit is laid beside the first. One that read the tables at older versions than the other
did is dropped: the newer is known already.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from outlay.errors import LedgerError
from outlay.ledger.compaction import compact
from outlay.ledger.delta import Change, DeltaFolder, LiveFile, NewFile, Scope, arrow_schema
from outlay.ledger.store import Ledger
from outlay.ledger.tables.recommendations import RECOMMENDATIONS, RECOMMENDATIONS_PARTITION, TRIGGERS
from outlay.optimize.commitments.standing.standing import Before, Computation, Recommendation, stand

__all__ = ["keep", "newest", "read"]

_MONTHS = 4
"""The newest months that are read: the last ninety days lie in them."""
_WRITER = "recommendations"
_OWN = tuple(column for column in RECOMMENDATIONS if column.name not in RECOMMENDATIONS_PARTITION)
_NAMES = [column.name for column in _OWN]


def read(ledger: Ledger) -> list[Recommendation]:
    """The rows of the last months that have any, oldest first; none where nothing was ever computed."""
    folder = ledger.recommendations()
    return _read(folder, folder.live()) if folder.exists() else []


def newest(rows: Sequence[Recommendation]) -> list[Recommendation]:
    """Those of the last computation: what stands."""
    last = max((one.computed.at for one in rows), default=None)
    return [one for one in rows if one.computed.at == last]


def keep(
    ledger: Ledger, found: Sequence[Recommendation], computed: Computation, fresh: timedelta
) -> list[Recommendation] | None:
    """Commit a computation; what stands now, with since when.

    None, with nothing changed, when another that knew as much or more was committed within the time that is ``fresh``.
    """
    folder = ledger.recommendations()
    folder.create(RECOMMENDATIONS)
    folder.ensure_columns(RECOMMENDATIONS)
    rows: list[Recommendation] = []
    written: list[NewFile] = []

    def plan(live: list[LiveFile]) -> Change | None:
        _discard(folder, written)
        rows[:] = []
        earlier = newest(_read(folder, live))
        if earlier and known_already(earlier[0].computed, computed, fresh):
            return None
        rows.extend(stand(found, earlier, computed))
        if not rows:
            return None
        written.append(_write(folder, rows))
        changes = {one.pool: one.change for one in rows if one.change}
        return Change(list(written), [], {"trigger": computed.trigger, "pools": len(rows), "changes": changes})

    try:
        done = folder.commit([_WRITER], plan)
    except BaseException:
        _discard(folder, written)
        raise
    if done is None:
        return None
    _put_together(folder)
    return rows


def _put_together(folder: DeltaFolder) -> None:
    """Every computation adds a file, and every load reads those of months."""
    with suppress(LedgerError):  # what was computed is kept; the next computation tries again
        compact(folder, TRIGGERS)


def known_already(last: Computation, now: Computation, fresh: timedelta) -> bool:
    """Whether ``last`` leaves nothing to compute: it is fresh and rests on the same or newer tables, or it is later."""
    if now.at - last.at >= fresh:
        return False
    names = last.tables.keys() | now.tables.keys()
    steps = [now.tables.get(name, -1) - last.tables.get(name, -1) for name in names]
    overtaken = min(steps, default=0) < 0 and max(steps, default=0) <= 0
    return overtaken or last.inputs == now.inputs or last.at > now.at


def _read(folder: DeltaFolder, live: Sequence[LiveFile]) -> list[Recommendation]:
    months = sorted({file.scope.month for file in live})[-_MONTHS:]
    found = [one for file in live if file.scope.month in months for one in _rows(folder, file)]
    return sorted(found, key=lambda one: (one.computed.at, one.pool))


def _rows(folder: DeltaFolder, file: LiveFile) -> list[Recommendation]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(folder.path / file.path) as parquet:
        rows = parquet.read().to_pylist()
    # A file of before there was a column has none.
    return [_from_row({**dict.fromkeys(_NAMES), **row}, file.scope.source) for row in rows]


def _write(folder: DeltaFolder, rows: Sequence[Recommendation]) -> NewFile:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    computed = rows[0].computed
    scope = Scope(computed.trigger, f"{computed.at:%Y-%m}")
    target = folder.path / folder.folder(scope) / f"part-{uuid.uuid4().hex}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([_to_row(one) for one in rows], schema=arrow_schema(_OWN))
    write_table(table, target, compression="zstd")
    return NewFile(target.relative_to(folder.path).as_posix(), scope, len(rows), target.stat().st_size)


def _to_row(one: Recommendation) -> dict[str, Any]:
    before = one.before
    told = {
        "at": one.computed.at,
        "inputs": one.computed.inputs,
        "tables": json.dumps(dict(one.computed.tables)),
        "glance": one.computed.glance,
        "reasons": json.dumps(one.reasons, ensure_ascii=False),
        "would_change": json.dumps(one.would_change, ensure_ascii=False),
        "verdict_before": before and before.verdict,
        "since_before": before and before.since,
        "offer_before": before and before.offer,
        "level_before": before and before.level,
    }
    return told | {column.name: getattr(one, column.name) for column in _OWN if column.name not in told}


def _from_row(row: Mapping[str, Any], trigger: Any) -> Recommendation:  # noqa: ANN401 - a word that the table allows
    computed = Computation(row["at"], trigger, row["inputs"], json.loads(row["tables"]), row["glance"])
    before = None
    if row["since_before"] is not None:
        before = Before(row["verdict_before"], row["since_before"], row["offer_before"], row["level_before"])
    same = (
        "pool", "verdict", "since", "because", "unit", "owned", "demand_until", "offer", "level", "level_then", "buy",
        "currency", "p50", "change",
    )  # fmt: skip
    return Recommendation(
        computed=computed,
        reasons=tuple(json.loads(row["reasons"])),
        would_change=tuple(json.loads(row["would_change"])),
        before=before,
        **{name: row[name] for name in same},
    )


def _discard(folder: DeltaFolder, files: list[NewFile]) -> None:
    for file in files:
        Path(folder.path / file.path).unlink(missing_ok=True)
    files.clear()
