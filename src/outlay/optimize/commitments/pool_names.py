"""Pool names of the settings: an entry of ``[[commitments.pools]]`` for a pool that the demand does not have.

Most often it is a slip of the pen, and a costly one: what the entry says, that a pool is for training for one, is not
used, and the verdict is another. Yet one settings file may serve several demands, each with pools of its own, so an
entry without a pool is told with the nearest name and is no error.
"""

from __future__ import annotations

from collections.abc import Sequence

from outlay.config import CommitmentSettings
from outlay.errors import nearest
from outlay.optimize.commitments.offers.offer_file import EVERY_POOL

__all__ = ["misnamed"]

_MOST_LISTED = 10


def misnamed(settings: CommitmentSettings, pools: Sequence[str], unions: Sequence[str] | None = None) -> list[str]:
    """A sentence for each entry that fits no pool of the demand.

    ``pools`` are all that the demand has, chosen or not; ``unions`` those that offers make of them, None where that is
    not known: then a name made of known pools passes.
    """
    return [
        f"[[commitments.pools]] pool '{one.pool}' is no pool of this demand, so nothing that it says is used."
        + _hint(one.pool, [*pools, *(unions or ())])
        for one in settings.pools
        if not _fits(one.pool, pools, unions)
    ]


def _fits(name: str, pools: Sequence[str], unions: Sequence[str] | None) -> bool:
    if name == EVERY_POOL or name in pools:
        return True
    parts = name.split("|")
    return name in unions if unions is not None else len(parts) > 1 and set(parts) <= set(pools)


def _hint(name: str, known: Sequence[str]) -> str:
    """The nearest names; where none is near, all of a short list, and of a long one none."""
    said = nearest(name, known)
    return "" if said.startswith("Known: ") and len(known) > _MOST_LISTED else f" {said}"
