"""Where rows that can't be used are kept, whole, with the reason: ``quarantine/<load id>.parquet`` in the ledger.

They are seen only through a committed load, as everything is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["QUARANTINE", "Rejected", "write_quarantine"]

QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that stayed out: its file, its number there, the problem's code, and its text."""

    file: str
    row: int
    code: str
    text: str


def write_quarantine(ledger: Path, load_id: str, rejected: Sequence[Rejected]) -> None:
    """Write a load's rejected rows; nothing happens if there are none."""
    if not rejected:
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "x_LoadId": pa.array([load_id] * len(rejected)),
            "x_SourceFile": pa.array([one.file for one in rejected]),
            "x_SourceRow": pa.array([one.row for one in rejected], pa.int64()),
            "code": pa.array([one.code for one in rejected]),
            "row": pa.array([one.text for one in rejected]),
        }
    )
    folder = ledger / QUARANTINE
    folder.mkdir(exist_ok=True)
    finished = folder / f"{load_id}.parquet"
    partial = folder / f".{load_id}-{os.getpid()}"
    pq.write_table(table, partial, compression="zstd")
    partial.replace(finished)
