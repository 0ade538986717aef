"""Taking up several spools in turn, round after round, a batch of each at a time: none waits for all of another's.

Each spool has a lock of its own, so that a gateway can take up its own and ``outlay serve`` those of all. Who comes
second waits: of telemetry that is said, as nobody else should serve the ledger; of a gateway's spool it is all right.
What goes wrong with one spool is said and tried again, and keeps no other waiting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from outlay.config import Settings
from outlay.errors import OutlayError, SpoolError
from outlay.ledger.store import Ledger
from outlay.receivers.taking_up import Progress
from outlay.sources.live import LiveSpool
from outlay.sources.live_spools import all_spools, of_gateway
from outlay.sources.loading import token_prices
from outlay.sources.take_up import TakeUp
from outlay.spool.folders import telemetry_spool

__all__ = ["Rounds"]

_LOCK_EVERY = 1.0
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """A spool as it was found; ``take_up`` is None while another process has it."""

    spool: LiveSpool
    take_up: TakeUp | None = None
    wrong: str | None = None


class Rounds:
    """Takes up all spools of a ledger, or that of one ``gateway`` alone, and tells of it.

    ``wait`` is the most seconds that the next round should wait. Raises :class:`OutlayError` for price files that can't
    be read.
    """

    def __init__(
        self, path: Path, settings: Settings, tell: Callable[[Progress], None], gateway: Path | None = None
    ) -> None:
        self._ledger, self._settings = Ledger(path), settings
        self._prices = token_prices(settings)
        self._tell, self._gateway = tell, gateway
        self._known: dict[Path, _Known] = {}
        self._said: list[str] | None = None
        self.wait = float("inf")

    def go(self) -> None:
        """Take up all that is sealed. What an error is about stays in its spool."""
        self.wait = float("inf")
        self._look()
        for one in self._known.values():
            one.wrong = None
            if one.take_up is None:
                self._enter(one)
        left = [one for one in self._known.values() if one.take_up is not None]
        while left:
            left = [one for one in left if self._next(one)]
        if (wrong := self._wrong()) != self._said:
            self._said = wrong
            self._tell(Progress(wrong="; ".join(wrong) or None))

    def _look(self) -> None:
        """Find spools that are new, and let go of those whose folders are gone."""
        spools = all_spools(self._ledger) if self._gateway is None else [of_gateway(self._ledger, self._gateway)]
        found = {spool.folder: spool for spool in spools}
        for folder in self._known.keys() - found.keys():
            if (take_up := self._known.pop(folder).take_up) is not None:
                take_up.close()
        for folder, spool in found.items():
            self._known.setdefault(folder, _Known(spool))

    def _enter(self, one: _Known) -> None:
        try:
            one.take_up = TakeUp(self._ledger, self._settings, self._prices, one.spool)
        except SpoolError as error:  # another process has it
            if one.spool.folder == telemetry_spool(self._ledger.path):
                one.wrong = str(error)
                self.wait = _LOCK_EVERY
        except (OutlayError, OSError) as error:
            self._failed(one, error)

    def _next(self, one: _Known) -> bool:
        """Take up a batch of a spool; whether there may be another."""
        assert one.take_up is not None
        try:
            done = one.take_up.next()
        except OutlayError as error:
            self._failed(one, error)
            return False
        except Exception as error:
            _logger.exception("an error in Outlay; the spool keeps what came in. Please report it")
            one.wrong = f"an error in Outlay ({error!r})"
            return False
        if done is None:
            return False
        self._said = self._wrong()
        wrong = "; ".join(self._said) or None
        self._tell(Progress(done.rows, done.rejected, done.passed_over, done.size, done.seconds, wrong))
        return True

    def _failed(self, one: _Known, error: OutlayError | OSError) -> None:
        _logger.error("can't take the spool %s up: %s", one.spool.folder, error)
        one.wrong = str(error)

    def _wrong(self) -> list[str]:
        return [one.wrong for one in self._known.values() if one.wrong]
