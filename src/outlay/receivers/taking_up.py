"""The process beside the receivers that takes the spool up, so that loading never keeps a client waiting."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from outlay.config import Settings
from outlay.errors import OutlayError, SpoolError
from outlay.ledger.store import Ledger
from outlay.sources.loading import token_prices
from outlay.sources.take_up import TakeUp

__all__ = ["Progress", "TakingUp"]

_STOP = "stop"
_NICE = 5
"""Clients are waited on before the ledger is."""
_LOCK_EVERY = 1.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """What the process says of itself: what it took up, or what is wrong (it will try again).

    Without a ``size`` it says that it is there.
    """

    rows: int = 0
    rejected: int = 0
    passed_over: int = 0
    size: int = 0
    seconds: float = 0.0
    wrong: str | None = None


class TakingUp:
    """The process, started; it looks for sealed segments every ``every`` seconds until it is told to stop."""

    def __init__(self, ledger: Path, settings: Settings, every: float) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would carry threads and sockets along
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, ledger, settings, every), name="outlay-take-up")
        self._process.start()
        theirs.close()

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def said(self) -> list[Progress]:
        """What it said since it was asked last."""
        found = []
        with suppress(EOFError, OSError):
            while self._connection.poll():
                found.append(self._connection.recv())
        return found

    def stop(self, timeout: float) -> bool:
        """Have it take up all that is sealed and end; False when it did not within ``timeout`` seconds, and was ended.

        What it was at is done again by the next one.
        """
        with suppress(OSError):
            self._connection.send(_STOP)
        self._process.join(timeout)
        done = not self._process.is_alive()
        if not done:
            self._process.kill()
            self._process.join()
        return done and self._process.exitcode == 0


def _run(connection: Connection, path: Path, settings: Settings, every: float) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):  # the process that started this one says when to stop
        signal.signal(name, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="outlay serve: %(message)s")
    with suppress(OSError):
        os.nice(_NICE)
    stopping = False
    with suppress(EOFError, BrokenPipeError):  # the server is gone; its successor goes on
        take_up = _opened(connection, path, settings)
        connection.send(Progress())
        while take_up is not None:
            stopping = stopping or _told_to_stop(connection, every)
            _all(take_up, connection)
            if stopping:
                return


def _opened(connection: Connection, path: Path, settings: Settings) -> TakeUp | None:
    """The take-up; waits for another process to let go of the spool. None when told to stop meanwhile."""
    prices = token_prices(settings)
    while True:
        try:
            return TakeUp(Ledger(path), settings, prices)
        except SpoolError as error:
            connection.send(Progress(wrong=str(error)))
            if _told_to_stop(connection, _LOCK_EVERY):
                return None


def _told_to_stop(connection: Connection, wait: float) -> bool:
    """Wait so long at most. Raises EOFError when the server is gone."""
    return connection.poll(wait) and connection.recv() == _STOP


def _all(take_up: TakeUp, connection: Connection) -> None:
    """Take up all that is sealed; an error is said, and what it was about stays in the spool."""
    try:
        while (done := take_up.next()) is not None:
            connection.send(Progress(done.rows, done.rejected, done.passed_over, done.size, done.seconds))
    except (EOFError, BrokenPipeError):
        raise
    except OutlayError as error:
        _logger.error("can't take the spool up: %s", error)  # noqa: TRY400 - the message is for a person
        connection.send(Progress(wrong=str(error)))
    except Exception as error:
        _logger.exception("an error in Outlay; the spool keeps what came in. Please report it")
        connection.send(Progress(wrong=f"an error in Outlay ({error!r})"))
