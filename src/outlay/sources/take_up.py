"""Taking a spool up: the records of sealed segments become rows of the ledger, once, whatever is killed when.

The order makes it so. The rows of a batch of segments are one commit, by their identity, so that the same batch taken
up again replaces itself; then what the reader must remember is kept (:class:`outlay.sources.live.LiveReader`); then the
segments are removed. Killed in between, the next take-up does the same batch again, from the same memory, and the
ledger is the same after it. What a client sent twice, in whatever segments, is one row.

What can't be read is a :class:`Problem` in quarantine, and what a disk damaged, or an error of Outlay's own kept from
being read, stays in the spool's folders ``damaged`` and ``unread``.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path

from outlay.config import Settings
from outlay.disk import Lock, make_folder, write_whole
from outlay.errors import LedgerError, UnreadableError
from outlay.ledger.compaction import compact
from outlay.ledger.store import Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.prices.tokens import TokenPrices
from outlay.problems import Problem
from outlay.sources.fact_loading import load_tellings
from outlay.sources.facts import Fact, Telling
from outlay.sources.live import LiveReader, LiveSpool, Unread
from outlay.sources.load_report import TableLoad
from outlay.spool.reader import Sealed, remove, sealed, set_aside
from outlay.spool.segments import Damage

__all__ = ["TakeUp", "TakenUp"]

_READING = 1
_STATE = "state"
_BATCH_BYTES = 96 << 20
_NEARBY = timedelta(days=1)
"""How far a live call's start may move when it is told again. To search every month for the identities of each batch
costs more than a CPU second for ten million requests kept; a sender that corrects its clock is off by less than a day.
"""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What a take-up of some segments did. ``load`` is None where nothing in them was for the ledger."""

    segments: int
    size: int
    load: TableLoad | None
    passed_over: int
    seconds: float

    @property
    def rows(self) -> int:
        """Rows that were loaded."""
        return sum(file.rows_loaded for file in self.load.files) if self.load else 0

    @property
    def rejected(self) -> int:
        """Records in quarantine."""
        return sum(file.rows_rejected for file in self.load.files) if self.load else 0


class TakeUp:
    """The one process that takes a spool up. Raises :class:`outlay.errors.SpoolError` when another does."""

    def __init__(self, ledger: Ledger, settings: Settings, prices: TokenPrices, spool: LiveSpool) -> None:
        self._ledger, self._settings, self._prices = ledger, settings, prices
        self._spool, self.folder = spool, spool.folder
        make_folder(self.folder)
        self._lock = Lock(self.folder / "take-up.lock", "takes this spool up")
        try:
            self._told = self._remembered()
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Let go of the spool."""
        self._lock.release()

    def next(self, *, most_bytes: int = _BATCH_BYTES) -> TakenUp | None:
        """Take up the next sealed segments, as one commit; None when there are none.

        Raises an :class:`outlay.errors.OutlayError` with the segments where they were.
        """
        started = time.monotonic()
        batch = sealed(self.folder, most_bytes=most_bytes)
        if not batch:
            return None
        self._told.begin()
        damaged: list[Sealed] = []
        facts = self._facts(batch, damaged)
        load = None
        if (first := next(facts, None)) is not None:  # of segments without a call of a model nothing is committed
            name = self._told.name
            told = Telling(name, name, self._told.format, lambda: chain([first], facts))
            load = load_tellings(
                self._ledger,
                REQUESTS,
                [told],
                _load_id(batch),
                settings=self._settings,
                prices=self._prices,
                again=True,
                nearby=_NEARBY,
            )
        self._remember()
        for one in damaged:
            _logger.error("a damaged segment is kept: %s", set_aside(one))
        remove([one for one in batch if one not in damaged])
        if load is not None:
            self._compact(load)
        return TakenUp(
            len(batch), sum(one.size for one in batch), load, self._told.passed_over, time.monotonic() - started
        )

    def _facts(self, batch: Sequence[Sealed], damaged: list[Sealed]) -> Iterator[Fact | Problem]:
        for segment in batch:
            for record in segment.records():
                if isinstance(record, Damage):
                    damaged.append(segment)
                    message = f"{record.size:,} bytes of {segment.path.name} from byte {record.offset:,} on"
                    yield Problem(self._told.name, None, "damaged-segment", message)
                else:
                    yield from self._of_record(record.kind, record.body)
        yield from self._told.rest()

    def _of_record(self, kind: int, body: bytes) -> Sequence[Fact | Problem]:
        try:
            return [
                self._kept(kind, one) if isinstance(one, Unread) else one for one in list(self._told.facts(kind, body))
            ]
        except Exception as error:  # an error of ours must not keep all that follows out of the ledger
            kept = self._keep_unread(kind, body)
            _logger.exception("a request can't be read and is kept as %s; please report it", kept)
            message = f"an error in Outlay ({type(error).__name__}: {error}); the request is kept as {kept.name}"
            return [Problem(self._told.name, None, "unusable-record", message)]

    def _kept(self, kind: int, unread: Unread) -> Problem:
        kept, problem = self._keep_unread(kind, unread.body), unread.problem
        _logger.error("%s: %s; it is kept as %s", self._told.name, problem.message, kept)
        return replace(problem, message=f"{problem.message}; it is kept as {kept.name}")

    def _keep_unread(self, kind: int, body: bytes) -> Path:
        folder = self.folder / "unread"
        folder.mkdir(exist_ok=True, mode=0o700)
        path = folder / f"{hashlib.sha256(body).hexdigest()[:32]}.{kind}"
        write_whole(path, body)
        return path

    def _compact(self, load: TableLoad) -> None:
        """Every take-up adds a file, and every question opens them all. Not being able to mend that is no failure."""
        try:
            compact(self._ledger.facts(REQUESTS), {source for file in load.files for source in file.sources})
        except LedgerError as error:
            _logger.warning("small files stay as they are for now: %s", error)

    def _remembered(self) -> LiveReader:
        path = self.folder / _STATE
        if not path.exists():
            return self._spool.reader(b"")
        try:
            return self._spool.reader(path.read_bytes())
        except UnreadableError as error:
            raise UnreadableError(error.what, where=str(path), hint=error.hint) from None

    def _remember(self) -> None:
        if state := self._told.state():
            write_whole(self.folder / _STATE, state)
        self._told.keep()


def _load_id(batch: Sequence[Sealed]) -> str:
    said = "\n".join([str(_READING), *(f"{one.id or one.path.name} {one.size}" for one in batch)])
    return hashlib.sha256(said.encode()).hexdigest()[:32]
