"""The events of a gateway as its spool has them, batch by batch.

An event may come again: after a crash the gateway hands on what it may have handed on before. It has the id of its
hold, by which it replaces itself. Only the event of a hold that ran out is told at most once, and only while nothing
else is known of the call: what was settled says more, and may have come before it, from the spool of another gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime

from outlay.problems import Problem
from outlay.sources.facts import Fact
from outlay.sources.live import Unread
from outlay.sources.usage.gateway_events import GATEWAY, Told, read_event
from outlay.spool.kinds import Kind

__all__ = ["Known", "LiveGateway"]

Known = Callable[[Mapping[str, datetime]], Collection[str]]
"""Which of these rows, told by their identity and start, the ledger has."""


class LiveGateway:
    """Turns the spooled events of the gateway called ``name`` into requests: a :class:`outlay.sources.live.LiveReader`.

    ``known`` is asked once a batch at most. There is nothing to remember from one batch to the next.
    """

    format = GATEWAY

    def __init__(self, name: str, known: Known) -> None:
        self.name = f"{GATEWAY.id} {name}"
        self._known = known
        self.begin()

    def begin(self) -> None:
        """A new batch."""
        self.passed_over = 0
        self._settled: set[str] = set()
        self._unsettled: dict[str, Told] = {}

    def facts(self, kind: int, body: bytes) -> Iterator[Fact | Problem | Unread]:
        """Requests and problems of a record. What a line can't be read for is kept: it stands for money."""
        if kind != Kind.GATEWAY_EVENTS:
            message = f"a record is of kind {kind}, which is none of a gateway"
            yield Unread(body, Problem(self.name, None, "unknown-layout", message))
            return
        for line in body.split(b"\n"):
            if not line.strip():
                continue
            try:
                told = read_event(line, self.name)
            except Exception as error:  # an error of ours must not keep the other lines out of the ledger
                message = f"an error in Outlay ({type(error).__name__}: {error})"
                told = Problem(self.name, None, "unusable-record", message)
            if isinstance(told, Problem):
                yield Unread(line, told)
            elif told.unsettled:
                self._unsettled[told.identity] = told
            else:
                self._settled.add(told.identity)
                yield from told.facts

    def rest(self) -> Iterator[Fact | Problem]:
        """Holds that ran out, of whose calls nothing else is known."""
        left = {identity: told for identity, told in self._unsettled.items() if identity not in self._settled}
        known = self._known({identity: _start(told) for identity, told in left.items()}) if left else ()
        found = [told for identity, told in left.items() if identity not in known]
        self.passed_over = len(self._unsettled) - len(found)
        for told in found:
            yield from told.facts

    def state(self) -> bytes:
        """Nothing."""
        return b""

    def keep(self) -> None:
        """Nothing to keep."""


def _start(told: Told) -> datetime:
    start = told.facts[0].values["start_time"]
    assert isinstance(start, datetime)
    return start
