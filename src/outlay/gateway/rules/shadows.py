"""Shadow calls: the same call to another model, whose answer nobody gets.

They cost what they cost, so they are held and settled like any call, under the caller's own tags. One goes out after
the call that it stands beside was answered, so that it never takes the room that its call needed, nor its time. It may
take the room of a later one: a quota for shadows alone is one of the other model.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from outlay.gateway.refusal import Refusal

if TYPE_CHECKING:
    from outlay.gateway.call import Sender
    from outlay.gateway.http import Message
    from outlay.gateway.incoming import Call
    from outlay.gateway.meters import Meters
    from outlay.gateway.rules.rules import Decision

__all__ = ["Shadows"]

_logger = logging.getLogger(__name__)
_MOST = 64
_MOST_BYTES = 64 << 20
_CLOSE_SECONDS = 30.0


class Shadows:
    """The shadow calls under way. What is more than ``most`` at a time, or ``most_bytes``, is dropped, and counted."""

    def __init__(self, sender: Sender, meters: Meters, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._sender = sender
        self._meters = meters
        self._most = most
        self._most_bytes = most_bytes
        self._under_way: dict[asyncio.Task[None], int] = {}

    def cast(self, call: Call, decision: Decision, id: str) -> None:
        """Send the shadow of a call that was answered."""
        size = len(call.raw)
        if len(self._under_way) >= self._most or sum(self._under_way.values()) + size > self._most_bytes:
            self._meters.routed(decision.rule, "shadow_dropped")
            return
        self._meters.routed(decision.rule, "shadow")
        decision = replace(decision, shadow_of=call.id)
        shadow = replace(
            call,
            id=id,
            attributes=dict(call.attributes),
            routes=decision.routes,
            receive=_never,
            send=_nowhere,
            began=time.perf_counter_ns(),
            answering=False,
            costs={},
            answered=None,
            decision=decision,
            turned_back=None,
            spare=None,
        )
        task = asyncio.create_task(self._answered(shadow, decision))
        self._under_way[task] = size
        task.add_done_callback(self._under_way.pop)

    async def close(self) -> None:
        """Let those under way come to their end; what takes too long is cut off, and counts at its bound."""
        tasks = list(self._under_way)
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answered(self, shadow: Call, decision: Decision) -> None:
        try:
            await self._sender.answer(shadow)
        except Refusal:
            self._meters.routed(decision.rule, "shadow_denied")
        except Exception:
            _logger.exception("an error in Outlay; a shadow call was refused or counts at its bound")


async def _never() -> Message:
    """Nobody waits for the answer, so nobody goes away."""
    await asyncio.Event().wait()
    raise AssertionError("the event is never set")


async def _nowhere(message: Message) -> None:
    """The answer goes nowhere."""
