"""The take-up beside what fills the spool: started again when it ends by itself, and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlay.receivers.taking_up import Progress, TakingUp

__all__ = ["KeepingUp"]

_ENDS = 60.0
_LOOK_EVERY = 0.5


class KeepingUp:
    """Looks after the process that ``start`` starts. ``wrong`` is what it can't do, None while all is well."""

    def __init__(self, start: Callable[[], TakingUp], say: Callable[[str], None]) -> None:
        self._start = start
        self._process = start()
        self._say = say
        self.wrong: str | None = None

    async def watch(self) -> None:
        """Look after it, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            alive = self._process.alive()
            self._tell()
            if not alive:
                self.wrong = "the take-up ended by itself"
                self._say(f"{self.wrong}; starting it again")
                self._process = self._start()

    async def stop(self) -> None:
        """Have all that is sealed taken up."""
        done = await asyncio.to_thread(self._process.stop, _ENDS)
        self._tell()
        if not done:
            self._say("the rest stays in the spool, and goes into the ledger at the next start")

    def _tell(self) -> None:
        for one in self._process.said():
            self.wrong = one.wrong
            if one.size:
                self._say(_told(one))


def _told(progress: Progress) -> str:
    kept_out = f", {progress.rejected:,} kept out" if progress.rejected else ""
    passed = f", {progress.passed_over:,} passed over" if progress.passed_over else ""
    return (
        f"{progress.rows:,} rows in the ledger{kept_out}{passed}; {progress.size:,} bytes in {progress.seconds:.1f} s"
    )
