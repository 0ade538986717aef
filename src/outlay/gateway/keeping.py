"""What a running gateway keeps: its quotas, and the way of its events into the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from outlay.config.gateway import GatewaySettings
from outlay.gateway.denials import Denials
from outlay.gateway.metering.event import ran_out
from outlay.operate.quotas.embedded import EmbeddedQuotas
from outlay.operate.quotas.journal import Relay
from outlay.operate.quotas.quota import Quota
from outlay.operate.quotas.store import QuotaStore
from outlay.receivers.keeping_up import KeepingUp
from outlay.receivers.taking_up import TakingUp, Work
from outlay.spool.writer import SpoolWriter

__all__ = ["Check", "LedgerTakeUp", "Say", "Trouble", "quotas_in", "sweeping"]

_logger = logging.getLogger(__name__)
_SWEEP_EVERY = 1.0
Say = Callable[[str], None]
Check = Callable[[], str | None]


def quotas_in(
    settings: GatewaySettings,
    quotas: Sequence[Quota],
    *,
    folder: Path,
    spool: Path,
    now: int,
    relay: Relay,
    relay_every: float,
) -> tuple[QuotaStore, Check]:
    """The quotas, in a file of this gateway's own or in the Redis that it shares with others; and their caution."""
    if settings.state.startswith("sqlite:///"):
        embedded = EmbeddedQuotas(
            folder / settings.state.removeprefix("sqlite:///"),
            quotas,
            now=now,
            on_expiry=settings.on_expiry,
            relay=relay,
            relay_every=relay_every,
            ran_out=ran_out,
        )
        return embedded, lambda: None
    # Its client takes a tenth of a second to import, which a gateway with a file starts without.
    from outlay.operate.quotas.shared import SharedQuotas

    shared = SharedQuotas(
        settings.state,
        spool.with_name(f"{spool.name}.db"),
        quotas,
        on_expiry=settings.on_expiry,
        relay=relay,
        relay_every=relay_every,
        ran_out=ran_out,
    )
    return shared, lambda: shared.caution


class Trouble:
    """What is wrong, if anything: said on /healthz and on the terminal."""

    def __init__(self, quotas: QuotaStore, spool: SpoolWriter) -> None:
        self._quotas, self._spool = quotas, spool

    def __call__(self) -> str | None:
        """Why calls can't be held or told of; None while they can."""
        return self._quotas.wrong or self._spool.broken


async def sweeping(
    quotas: QuotaStore, clock: Callable[[], int], say: Say, wrong: Check, caution: Check, *, denials: Denials
) -> None:
    """See to holds whose time ran out, every second, and say what is wrong and when it is over; tell of denials."""
    said: list[str | None] = [None, None]
    while True:
        await asyncio.sleep(_SWEEP_EVERY)
        try:
            await quotas.sweep(clock())
        except Exception:  # one bad hold must not keep all others from running out
            _logger.exception("an error in Outlay; holds that ran out are seen to a second later")
        denials.hand_on(quotas.tell)
        checked = ((wrong(), "all is well again"), (caution(), "Redis keeps everything now"))
        for place, (now, well) in enumerate(checked):
            if now != said[place]:
                said[place] = now
                say(now or well)


class LedgerTakeUp:
    """The process that takes the spool up, if there is to be one. It starts after the gateway, which it would slow."""

    def __init__(self, work: Work | None, say: Say) -> None:
        self._work, self._say = work, say
        self._running: tuple[KeepingUp, asyncio.Task[None]] | None = None

    def start(self) -> None:
        """Have what is sealed taken up from now on."""
        if (work := self._work) is not None:
            ledger = KeepingUp(lambda: TakingUp(work), self._say)
            self._running = ledger, asyncio.create_task(ledger.watch())

    async def stop(self) -> None:
        """Have the rest of it taken up."""
        if self._running is not None:
            ledger, watch = self._running
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await ledger.stop()
