"""``with outlay.training_run("name", gpus=8):`` writes down what a training run held, and how it ended.

The record is a file of JSON lines that is only appended to; :mod:`outlay.sources.runs.run_record` reads it, and its
page ``docs/sources/run-record.md`` says what each event holds. Start and end are on disk (fsync) before the program
goes on; a heartbeat a minute tells how far a run came whose process was killed, and ``run.checkpoint()`` from when on
its work would be lost.

A training job must never suffer from being measured. So this module needs the standard library only and nothing else of
Outlay, an error while writing is one warning, and an exception of the program passes through as it is. Of the exception
only the type is noted: messages may hold data.

Of a distributed job, one process records, with the GPUs of all of them: the one of rank 0 (``RANK``, ``SLURM_PROCID``
or ``OMPI_COMM_WORLD_RANK``).
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import uuid
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

__all__ = ["TrainingRun", "training_run"]

_VERSION = 1
_RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")


def _now() -> datetime:
    return datetime.now(UTC)


def training_run(
    name: str,
    *,
    gpus: int | float | Decimal | None = None,
    gpu_type: str | None = None,
    team: str | None = None,
    tags: Mapping[str, str] | None = None,
    directory: str | os.PathLike[str] | None = None,
    run_id: str | None = None,
    instance_type: str | None = None,
    instance_count: int | None = None,
    interruptible: bool | None = None,
    model: str | None = None,
    heartbeat_seconds: float = 60,
    clock: Callable[[], datetime] = _now,
) -> TrainingRun:
    """A context manager that records one attempt of a run.

    ``gpus`` are those of all processes together; leave it out if it is not known. ``team`` is short for a tag ``team``.
    ``directory`` is where the record goes: ``$OUTLAY_RUNS``, else ``outlay-runs`` here. ``run_id`` is the same for each
    attempt of a run: ``$OUTLAY_RUN_ID``, else the Slurm job's, else a new one. Raises ValueError for a negative number.
    """
    if gpus is not None and not gpus >= 0:
        raise ValueError(f"gpus is {gpus}: give the number of GPUs held, or leave it out")
    told = {
        "name": name,
        "gpus": gpus if gpus is None or isinstance(gpus, int) else _number(gpus),
        "gpu_type": gpu_type,
        "instance_type": instance_type,
        "instance_count": instance_count,
        "interruptible": interruptible,
        "model": model,
        "user": os.environ.get("USER") or os.environ.get("LOGNAME"),
        "tags": {**(tags or {}), **({"team": team} if team else {})} or None,
    }
    folder = Path(directory or os.environ.get("OUTLAY_RUNS") or "outlay-runs")
    return TrainingRun(run_id or _run_id(name), folder, told, heartbeat_seconds, clock)


class TrainingRun:
    """One attempt while it runs. Made by :func:`training_run`; ``run_id``, ``attempt`` and ``path`` may be read."""

    def __init__(
        self,
        run_id: str,
        folder: Path,
        told: Mapping[str, Any],
        heartbeat_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self.run_id = run_id
        self.attempt = 1
        self.path = folder / f"{_slug(run_id)}.jsonl"
        self._told = told
        self._beat_every = heartbeat_seconds
        self._clock = clock
        self._pid = os.getpid()
        self._file: int | None = None
        self._lock = threading.RLock()  # re-entrant: the SIGTERM handler may interrupt a write of the same thread
        self._stop = threading.Event()
        self._signal: str | None = None
        self._before: Any = None

    def __enter__(self) -> TrainingRun:
        if _rank() != 0:
            return self
        self._open()
        self._write("start", sync=True, **{key: value for key, value in self._told.items() if value is not None})
        self._watch_sigterm()
        if self._beat_every > 0:
            threading.Thread(target=self._beat, name="outlay-run-record", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._unwatch_sigterm()
        outcome, reason = _ending(kind, error)
        if self._signal:
            outcome, reason = "cancelled", self._signal
        self._end(outcome, reason)

    def checkpoint(self) -> None:
        """Note that the work so far is saved: call it after a checkpoint is complete."""
        self._write("checkpoint")

    def _open(self) -> None:
        """Open the record for appending, on a line of its own, and count the attempts that are in it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            before = self.path.read_bytes() if self.path.exists() else b""
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            if before and not before.endswith(b"\n"):  # the last attempt was killed while it wrote
                os.write(self._file, b"\n")
        except OSError as error:
            self._give_up(error)
            return
        restarts = os.environ.get("SLURM_RESTART_COUNT", "")
        counted = int(restarts) if restarts.isdecimal() else 0
        self.attempt = 1 + max(counted, _attempts(before))

    def _write(self, event: str, *, sync: bool = False, **more: Any) -> None:  # noqa: ANN401 - JSON values
        """Append one event; one write of one line, so that lines of several threads never mix."""
        if self._file is None or os.getpid() != self._pid:  # a forked data loader is not the run
            return
        at = self._clock().astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        line = {"outlay_run": _VERSION, "event": event, "run": self.run_id, "attempt": self.attempt, "time": f"{at}Z"}
        try:
            content = (json.dumps({**line, **more}) + "\n").encode()
            with self._lock:
                if self._file is not None:  # else closed meanwhile; its number may be another file's by now
                    os.write(self._file, content)
                    if sync:
                        os.fsync(self._file)
        except (OSError, TypeError, ValueError) as error:
            self._give_up(error)

    def _end(self, outcome: str, reason: str | None) -> None:
        if os.getpid() != self._pid:
            return
        self._write("end", sync=True, outcome=outcome, **({"reason": reason} if reason else {}))
        self._close()

    def _close(self) -> None:
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _beat(self) -> None:
        while not self._stop.wait(self._beat_every):
            self._write("heartbeat")

    def _watch_sigterm(self) -> None:
        """Note SIGTERM, by which schedulers and ``kill`` end a job, and let it do what it would have done."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._before = signal.getsignal(signal.SIGTERM)
        if self._before is signal.SIG_DFL or callable(self._before):
            signal.signal(signal.SIGTERM, self._terminated)

    def _unwatch_sigterm(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) == self._terminated:
            signal.signal(signal.SIGTERM, self._before)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self._signal = "SIGTERM"
            self._write("signal", signal="SIGTERM")
        if callable(self._before):
            self._before(number, frame)
            return
        self._end("cancelled", "SIGTERM")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def _give_up(self, error: Exception) -> None:
        self._close()
        warnings.warn(f"outlay: the run is not recorded in {self.path}: {error}", RuntimeWarning, stacklevel=4)


def _ending(kind: type[BaseException] | None, error: BaseException | None) -> tuple[str, str | None]:
    """How a block ended: ``sys.exit(0)`` is success, Ctrl-C is cancelled, any other exception is a failure."""
    if kind is None:
        return "succeeded", None
    if isinstance(error, SystemExit):
        return ("succeeded", None) if error.code in (None, 0) else ("failed", "SystemExit")
    return ("cancelled" if issubclass(kind, KeyboardInterrupt) else "failed"), kind.__name__


def _run_id(name: str) -> str:
    given = os.environ.get("OUTLAY_RUN_ID")
    if given:
        return given
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
    return f"{name}-{job or uuid.uuid4().hex[:12]}"


def _rank() -> int:
    for variable in _RANKS:
        rank = os.environ.get(variable, "")
        if rank.isdecimal():
            return int(rank)
    return 0


def _attempts(record: bytes) -> int:
    """The highest attempt number of the events in ``record``."""
    highest = 0
    for line in record.splitlines():
        try:
            number = json.loads(line).get("attempt")
        except (ValueError, AttributeError):
            continue
        if isinstance(number, int) and not isinstance(number, bool):
            highest = max(highest, number)
    return highest


def _number(value: float | Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._") or "run"
