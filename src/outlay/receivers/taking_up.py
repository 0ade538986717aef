"""The process that takes spools up beside what fills them, so that loading never keeps a client waiting.

``outlay serve`` takes up all spools of its ledger: telemetry, and those of every gateway that writes beside it. A
gateway takes up its own. What is heavy is imported by the process itself alone: its parent may be answering calls.
"""

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

__all__ = ["Progress", "TakingUp", "Work"]

_STOP = "stop"
_NICE = 5
"""Clients are waited on before the ledger is."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the process says of itself: what it took up of a spool, and what is wrong (it will try again).

    Without a ``size`` it says that it is there.
    """

    rows: int = 0
    rejected: int = 0
    passed_over: int = 0
    size: int = 0
    seconds: float = 0.0
    wrong: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What to take up every so many seconds: all spools of a ledger, or that of one ``gateway`` alone, a folder.

    ``command`` is who says on the terminal what goes wrong.
    """

    ledger: Path
    settings: Settings
    every: float
    gateway: Path | None = None
    command: str = "outlay serve"


class TakingUp:
    """The process, started; it looks for sealed segments until it is told to stop."""

    def __init__(self, work: Work) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would carry threads and sockets along
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, work), name="outlay-take-up")
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


def _run(connection: Connection, work: Work) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):  # the process that started this one says when to stop
        signal.signal(name, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format=f"{work.command}: %(message)s")
    with suppress(OSError):
        os.nice(_NICE)

    from outlay.receivers.rounds import Rounds

    stopping = False
    with suppress(EOFError, ConnectionError):  # the server is gone; its successor goes on
        rounds = Rounds(work.ledger, work.settings, connection.send, work.gateway)
        rounds.go()
        while not stopping:
            stopping = _told_to_stop(connection, min(work.every, rounds.wait))
            rounds.go()


def _told_to_stop(connection: Connection, wait: float) -> bool:
    """Wait so long at most. Raises EOFError when the server is gone."""
    return connection.poll(wait) and connection.recv() == _STOP
