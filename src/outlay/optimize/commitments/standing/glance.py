"""A glance: whether anything that a recommendation may rest on has changed, without reading the demand.

Most loads bring bills and usage that have nothing to do with GPUs, and to read all demand by the hour for finding that
out costs more than such a load. A table's files never change, they come and go; so what is read of the ledger is the
same where these files are:

- of ``costs``, all of each source that names a GPU or a commitment anywhere: rows without a GPU tell of which days a
  source speaks, and its unused commitments;
- of telemetry and of commitments, all.

Offers, price tables and settings are taken byte for byte. The glance is finer than the inputs' digest: where it is the
same, so are they; where it is not, they are read, and may be the same all the same. What time does to a recommendation
is no part of it: one that is a day old is computed anew, whatever the glance says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from outlay import __version__
from outlay.config import Settings
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.ledger.tables.commitments import COMMITMENTS
from outlay.ledger.tables.gpu_usage import GPU_USAGE

__all__ = ["glance"]


def glance(ledger: Ledger, settings: Settings, offers: Path) -> str | None:
    """A digest; None where a file can't be read: whoever reads it in earnest says what is wrong."""
    said = hashlib.sha256(f"{__version__}\n{settings.model_dump_json()}\n".encode())
    try:
        for path in (offers, *settings.prices.gpus):
            said.update(hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return None
    for line in _files(ledger):
        said.update(f"{line}\n".encode())
    return said.hexdigest()


def _files(ledger: Ledger) -> Iterator[str]:
    """The table and path of each file that demand, prices or commitments may be read from."""
    for folder in (ledger.facts(GPU_USAGE), ledger.facts(COMMITMENTS)):
        if folder.exists():
            yield from sorted(f"{folder.name}/{file.path}" for file in folder.live())
    if ledger.exists():
        sources = _sources(ledger)
        yield from sorted(f"costs/{file.path}" for file in ledger.costs.live() if file.scope.source in sources)


def _sources(ledger: Ledger) -> frozenset[str]:
    with session() as connection:
        ledger.register(connection)
        rows = connection.execute(
            """SELECT DISTINCT "x_Source" FROM costs WHERE "x_GpuType" IS NOT NULL OR "x_GpuHours" IS NOT NULL
                OR "CommitmentDiscountId" IS NOT NULL"""
        ).fetchall()
    return frozenset(source for (source,) in rows)
