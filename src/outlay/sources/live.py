"""What a reader of live events has to say: what the records of its spool mean, batch by batch.

The take-up (:mod:`outlay.sources.take_up`) sees to it that each batch is in the ledger once; a reader only tells what
is in it, and the same when it is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from outlay.problems import Problem
from outlay.sources.facts import Fact
from outlay.sources.reader import Format

__all__ = ["LiveReader", "LiveSpool", "Unread"]


@dataclass(frozen=True, slots=True)
class Unread:
    """Part of a record that can't be read, and must not be lost for that: it is kept beside the spool."""

    body: bytes
    problem: Problem


class LiveReader(Protocol):
    """Turns the records of a spool into requests.

    ``begin`` a batch, ask for its ``facts`` body by body and for the ``rest`` last. ``state`` is what must be kept with
    it, once what it told is safe; a reader made of that ``state`` goes on from there. A batch that is begun again
    before it was kept is told the same.
    """

    @property
    def name(self) -> str:
        """What rows and problems cite it by."""
        ...

    @property
    def format(self) -> Format:
        """Its id, title and needs."""
        ...

    @property
    def passed_over(self) -> int:
        """What of this batch needs no row."""
        ...

    def begin(self) -> None:
        """A new batch, after what was kept last."""
        ...

    def facts(self, kind: int, body: bytes) -> Iterator[Fact | Problem | Unread]:
        """Requests and problems of one record."""
        ...

    def rest(self) -> Iterator[Fact | Problem]:
        """What of the batch can only be told at its end."""
        ...

    def state(self) -> bytes:
        """What to remember after this batch; empty where that is nothing."""
        ...

    def keep(self) -> None:
        """The batch is safe: the next one goes on from it."""
        ...


@dataclass(frozen=True, slots=True)
class LiveSpool:
    """A spool folder, and its reader: made of the state that was kept last, empty at first."""

    folder: Path
    reader: Callable[[bytes], LiveReader]
