"""Recommendations at least once a day while ``outlay serve`` runs.

Loads compute them as well; this is for days without one. It is a process of its own, started every hour for as long as
it needs: planning takes a core for seconds, and receiving must not feel it. It does nothing while the last computation
is fresh. What goes wrong is said, and tried again an hour later. Live events tell nothing of the demand for GPUs, so
taking them up is no reason to compute.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.context import SpawnProcess
from pathlib import Path

from outlay.config import Settings
from outlay.errors import OutlayError

__all__ = ["keep_current"]

_EVERY = 3600.0
_DUE = timedelta(hours=23)
"""An hour less than a day: by the next look it would be too old."""
_LOOK_EVERY = 0.5
_NICE = 10
_logger = logging.getLogger(__name__)


async def keep_current(ledger: Path, settings: Settings, say: Callable[[str], None], every: float = _EVERY) -> None:
    """Look after the recommendations until cancelled; returns at once where no offers are set."""
    context = multiprocessing.get_context("spawn")  # a fork would carry threads and sockets along
    while settings.commitments.offers is not None:
        process = context.Process(target=_run, args=(ledger, settings), name="outlay-recommendations")
        try:
            status = await _ended(process)
        except OSError as error:
            say(f"recommendations were not computed: no process can be started ({error}); trying again later")
        else:
            if status:
                say(f"recommendations were not computed: the process ended with {status}; trying again later")
        await asyncio.sleep(every)


async def _ended(process: SpawnProcess) -> int | None:
    """Start it and wait; its exit status. Whatever happens it is gone afterwards."""
    process.start()
    try:
        while process.is_alive():
            await asyncio.sleep(_LOOK_EVERY)
    finally:
        process.kill()  # what it had not committed is computed at the next start
        process.join()
    return process.exitcode


def _run(path: Path, settings: Settings) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):  # the process that started this one ends it
        signal.signal(name, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="outlay serve: %(message)s")
    with suppress(OSError):
        os.nice(_NICE)
    try:
        for line in compute(path, settings, now=datetime.now(UTC).replace(tzinfo=None)):
            _logger.warning("%s", line)
    except OutlayError as error:
        _logger.error("recommendations were not computed: %s", error)  # noqa: TRY400 - the message is for a person
    except Exception:
        _logger.exception("recommendations were not computed by an error in Outlay. Please report it")


def compute(path: Path, settings: Settings, *, now: datetime) -> list[str]:
    """Compute what stands if that is due at ``now``; a line for each change."""
    from outlay.ledger.store import Ledger
    from outlay.optimize.commitments.inputs import NoGpuHoursError
    from outlay.optimize.commitments.standing.recompute import recompute
    from outlay.optimize.commitments.standing.standing_table import newest, read
    from outlay.report.commit_status import change_line

    ledger = Ledger(path)
    standing = newest(read(ledger))
    if standing and now - standing[0].computed.at < _DUE:
        return []
    try:
        # Not in several processes: this one is killed when serving ends, and would leave them behind.
        found = recompute(ledger, settings, now=now, trigger="daily", fresh=_DUE, parallel=False)
    except NoGpuHoursError:
        return []
    return [change_line(one) for one in found or () if one.change is not None]
