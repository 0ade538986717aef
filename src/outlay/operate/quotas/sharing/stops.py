"""Kill switches that all gateways obey at once.

Redis keeps all of them in one text, after a word that is another with every change. Each hold says which word it knows,
and is answered with the text where that is not the one any more: so a stop costs no round trip, and none comes late.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count

from outlay.errors import LedgerError
from outlay.operate.quotas.ask import Denied
from outlay.operate.quotas.book import Stop, stopped
from outlay.operate.quotas.quota import Attributes, Scope
from outlay.operate.quotas.sharing.line import Line, reached
from outlay.operate.quotas.sharing.scripts import STOP

__all__ = ["Stops"]

_NONE = b"-"
_TRIES = 5


class Stops:
    """The stops under ``key``, as they were last seen. ``name`` is another for every process."""

    def __init__(self, line: Line, key: bytes, name: str) -> None:
        self.key, self.version = key, _NONE
        self._line, self._name, self._changes = line, name, count()
        self._stops: dict[str, Stop] = {}

    def denied(self, attributes: Attributes) -> Denied | None:
        """The denial of a call by the stops as they were last seen."""
        return stopped(self._stops.values(), attributes)

    def take(self, text: bytes) -> None:
        """See the stops as Redis has them."""
        self.version, _, said = text.partition(b" ")
        self._stops = {id: Stop(id, Scope.of(scope), why) for id, scope, why in json.loads(said or b"[]")}

    async def read(self) -> dict[str, Stop]:
        """The stops that are on. Raises :class:`LedgerError` where Redis is away."""
        with reached():
            said = await self._line.ask([b"GET", self.key])
        self.take(said if isinstance(said, bytes) else _NONE)
        return dict(self._stops)

    async def change(self, change: Callable[[dict[str, Stop]], object]) -> None:
        """Change them for all gateways, on top of what others changed. Raises :class:`LedgerError`."""
        for _ in range(_TRIES):
            stops = dict(self._stops)
            change(stops)
            text = self._text(stops)
            with reached():
                said = await self._line.run(STOP, [self.key], [self.version, text])
            assert isinstance(said, bytes)
            self.take(said)
            if said == text:
                return
        raise LedgerError("others change the stops all the time.", where="[gateway] state", hint="Try again.")

    def _text(self, stops: dict[str, Stop]) -> bytes:
        said = [[one.id, {name: list(values) for name, values in one.scope.wanted}, one.why] for one in stops.values()]
        return f"{self._name}-{next(self._changes)} {json.dumps(said)}".encode()
