"""Appending to the spool: many at once, one sync for all that wait, and an answer only when it is on the disk.

One thread writes. It takes all records that wait, writes them in one call and syncs once, so that the more come at a
time the fewer syncs each costs (grouped fsync). What it can't write is refused with :class:`SpoolError`; nothing of it
is acknowledged. After a sync that failed nobody knows what the disk holds, and a second one that succeeds would prove
nothing (Linux drops the pages), so the spool stays refused until the process starts again and reads what is there.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from outlay.disk import Lock, free_bytes, make_folder, sync_file, sync_folder, write_all
from outlay.errors import SpoolError
from outlay.spool.segments import (
    HEADER_BYTES,
    MOST_RECORD_BYTES,
    OPEN,
    RECORD_BYTES,
    SEALED,
    Damage,
    framed,
    header,
    new_id,
    number_of,
    read_records,
    segment_name,
    segments,
)

__all__ = ["Busy", "Full", "Limits", "SpoolWriter", "Unusable"]

_LOOK_EVERY = 1.0
_WAITS_AFTER_FULL = 30


class Busy(SpoolError):
    """More waits to be written than may; come again in a second."""

    retry_after = 1


class Full(SpoolError):
    """There is no room, on the disk or by the limit of the spool."""

    retry_after = _WAITS_AFTER_FULL


class Unusable(SpoolError):
    """The disk failed, or the spool is closed."""

    retry_after = _WAITS_AFTER_FULL


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment is sealed, and how much may wait where, in bytes and seconds.

    ``free_bytes`` is what the spool leaves of the disk, so that the ledger still has room to take it up.
    """

    segment_bytes: int = 64 << 20
    segment_seconds: float = 5.0
    spool_bytes: int = 8 << 30
    free_bytes: int = 512 << 20
    queue_bytes: int = 64 << 20
    record_bytes: int = 64 << 20


@dataclass(slots=True)
class _Waiting:
    kind: int
    body: bytes
    stored: Future[None]


@dataclass(slots=True)
class _Segment:
    """The segment that is written to; ``size`` is what of it is whole and synced."""

    path: Path
    identity: bytes
    descriptor: int
    born: float
    size: int = 0


@dataclass(slots=True)
class _Asked:
    """What the writing thread is asked for, under the lock."""

    records: deque[_Waiting] = field(default_factory=deque)
    size: int = 0
    seals: list[Future[None]] = field(default_factory=list)
    closing: bool = False


class SpoolWriter:
    """The one writer of a spool folder, for any number of threads.

    Opening it mends what a killed process left: the end of an open segment that is no whole record is cut off
    (``cut_bytes`` of it in all), and the segment sealed. Raises :class:`SpoolError` when another process has it open.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.limits = limits or Limits()
        self.cut_bytes = 0
        assert self.limits.record_bytes <= MOST_RECORD_BYTES
        try:
            make_folder(folder)
        except OSError as error:
            raise SpoolError(f"can't be made: {error.strerror}.", where=str(folder)) from None
        self._lock = Lock(folder / "lock", "writes to this spool")
        try:
            self._number = 1 + max((number_of(one) for s in (OPEN, SEALED) for one in segments(folder, s)), default=0)
            self._mend()
        except OSError as error:
            self._lock.release()
            raise SpoolError(f"can't be opened: {error.strerror}.", where=str(folder)) from None
        self._segment: _Segment | None = None
        self._asked = _Asked()
        self._changed = threading.Condition()
        self._broken: str | None = None
        self._sealed_bytes, self._free, self._looked = 0, 0, float("-inf")
        self._thread = threading.Thread(target=self._run, name="outlay-spool", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> str | None:
        """Why nothing can be stored any more; None while all is well."""
        return self._broken

    def submit(self, kind: int, body: bytes) -> Future[None]:
        """A future that is done when the record is on the disk, or has the :class:`SpoolError` that kept it out.

        Raises :class:`Busy` or :class:`Unusable` at once where it can't be taken in. ``kind`` is 0 to 255.
        """
        if len(body) > self.limits.record_bytes:
            raise SpoolError(f"a record of {len(body):,} bytes is longer than the spool takes.", where=str(self.folder))
        waiting = _Waiting(kind, body, Future())
        with self._changed:
            if self._broken or self._asked.closing:
                raise Unusable(self._broken or "is closed.", where=str(self.folder), hint="Start Outlay again.")
            if self._asked.records and self._asked.size + len(body) > self.limits.queue_bytes:
                raise Busy("more comes in than the disk can take.", where=str(self.folder), hint="Send it again.")
            self._asked.records.append(waiting)
            self._asked.size += len(body)
            self._changed.notify()
        return waiting.stored

    def append(self, kind: int, body: bytes) -> None:
        """Store a record; returns when it is on the disk. Raises :class:`SpoolError`, with nothing acknowledged."""
        self.submit(kind, body).result()

    def seal(self) -> None:
        """Seal the segment that is written to, with all that was submitted before. Raises :class:`SpoolError`."""
        sealed: Future[None] = Future()
        with self._changed:
            if self._asked.closing:
                return
            self._asked.seals.append(sealed)
            self._changed.notify()
        sealed.result()

    def close(self) -> None:
        """Store what waits, seal, and let go of the folder."""
        with self._changed:
            self._asked.closing = True
            self._changed.notify()
        self._thread.join()

    # What follows runs in the writing thread, but for `_mend`.

    def _mend(self) -> None:
        for path in segments(self.folder, OPEN):
            end, whole = HEADER_BYTES, 0
            for one in read_records(path):
                if isinstance(one, Damage):
                    self.cut_bytes += one.size
                else:
                    whole += 1
                    end = one.offset + RECORD_BYTES + len(one.body)
            if not whole:
                path.unlink()
                continue
            descriptor = os.open(path, os.O_RDWR)
            try:
                os.ftruncate(descriptor, end)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            path.rename(path.with_suffix(SEALED))
        sync_folder(self.folder)

    def _run(self) -> None:
        records: list[_Waiting] = []
        try:
            while True:
                records, seals, closing = self._next()
                if records:
                    self._store(records)
                if seals or closing or self._is_due():
                    self._seal()
                for one in seals:
                    if self._broken:
                        one.set_exception(Unusable(self._broken, where=str(self.folder)))
                    else:
                        one.set_result(None)
                if closing:
                    return
        except BaseException as error:
            self._break(f"stopped by an error ({error!r}).")
            _refuse(records, Unusable(f"stopped by an error ({error!r}).", where=str(self.folder)))
            raise
        finally:
            if self._segment is not None:
                os.close(self._segment.descriptor)
            self._lock.release()

    def _next(self) -> tuple[list[_Waiting], list[Future[None]], bool]:
        """What to do next; waits for it, until the segment is old enough to be sealed at the longest."""
        asked = self._asked
        with self._changed:
            while not (asked.records or asked.seals or asked.closing or self._is_due()):
                segment = self._segment
                left = segment.born + self.limits.segment_seconds - time.monotonic() if segment else None
                self._changed.wait(left)
            records, seals = list(asked.records), asked.seals
            asked.records.clear()
            asked.seals, asked.size = [], 0
            return [one for one in records if one.stored.set_running_or_notify_cancel()], seals, asked.closing

    def _is_due(self) -> bool:
        segment = self._segment
        return segment is not None and (
            segment.size >= self.limits.segment_bytes or time.monotonic() >= segment.born + self.limits.segment_seconds
        )

    def _store(self, group: list[_Waiting]) -> None:
        if self._broken:
            _refuse(group, Unusable(self._broken, where=str(self.folder), hint="Start Outlay again."))
            return
        try:
            if refusal := self._no_room(sum(len(one.body) for one in group)):
                _refuse(group, refusal)
                return
            segment = self._segment or self._begin()
            buffers = [header(segment.identity)] if not segment.size else []
            for one in group:
                buffers += (framed(segment.identity, one.kind, one.body), one.body)
            write_all(segment.descriptor, buffers)
        except OSError as error:
            self._undo()
            _refuse(group, Full(f"can't write: {error.strerror}.", where=str(self.folder), hint="Make room."))
            return
        try:
            sync_file(segment.descriptor)
            if not segment.size:
                sync_folder(self.folder)
        except OSError as error:
            why = f"the disk failed to store what was written: {error.strerror}."
            self._break(why)
            _refuse(group, Unusable(why, where=str(self.folder), hint="Check the disk and start Outlay again."))
            return
        segment.size += sum(map(len, buffers))
        for one in group:
            one.stored.set_result(None)

    def _begin(self) -> _Segment:
        identity = new_id()
        path = self.folder / segment_name(self._number, identity, OPEN)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._number += 1
        self._segment = _Segment(path, identity, descriptor, time.monotonic())
        return self._segment

    def _undo(self) -> None:
        """Take back what of a group was written."""
        segment = self._segment
        if segment is None:
            return
        try:
            if not segment.size:
                self._segment = None
                os.close(segment.descriptor)
                segment.path.unlink()
            else:
                os.ftruncate(segment.descriptor, segment.size)
                os.lseek(segment.descriptor, segment.size, os.SEEK_SET)
        except OSError as error:
            self._break(f"can't take back what was half written: {error.strerror}.")

    def _seal(self) -> None:
        segment = self._segment
        if segment is None or self._broken:
            return
        self._segment = None
        self._looked = float("-inf")
        try:
            os.close(segment.descriptor)
            segment.path.rename(segment.path.with_suffix(SEALED))
            sync_folder(self.folder)
        except OSError as error:
            self._break(f"can't seal a segment: {error.strerror}.")

    def _no_room(self, more: int) -> Full | None:
        """The refusal of a group of ``more`` bytes, where the limits leave no room for it."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._sealed_bytes = 0
            for path in segments(self.folder, SEALED):
                with suppress(FileNotFoundError):  # taken up meanwhile
                    self._sealed_bytes += path.stat().st_size
            self._free = free_bytes(self.folder)
        held = self._sealed_bytes + (self._segment.size if self._segment else 0)
        hint = "The ledger must take it up first: see what `outlay serve` says."
        if held + more > self.limits.spool_bytes:
            return Full(f"holds {held:,} bytes, as many as it may.", where=str(self.folder), hint=hint)
        if self._free - more < self.limits.free_bytes:
            return Full(f"its disk has {self._free:,} bytes left.", where=str(self.folder), hint="Make room.")
        return None

    def _break(self, why: str) -> None:
        with self._changed:
            self._broken = why
            waiting = list(self._asked.records)
            self._asked.records.clear()
            seals, self._asked.seals = self._asked.seals, []
        refusal = Unusable(why, where=str(self.folder), hint="Start Outlay again.")
        _refuse([one for one in waiting if one.stored.set_running_or_notify_cancel()], refusal)
        for one in seals:
            one.set_exception(refusal)


def _refuse(group: list[_Waiting], error: SpoolError) -> None:
    for one in group:
        if not one.stored.done():
            one.stored.set_exception(error)
