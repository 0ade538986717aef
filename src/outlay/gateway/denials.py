"""Calls that were denied, added up by the minute: what showback learns of the demand that a budget turned away.

A caller that is denied tries again, so there may be thousands a second of one kind: each event tells how many alike
there were in a minute, by quota, team, model and the like. It is told once the minute is over, under the name of this
process, so that what another one tells of the same minute stands beside it. What a process that is killed had not told
is lost; no money is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import orjson

from outlay.gateway.metering.event import VERSION
from outlay.operate.quotas.ask import Denied

__all__ = ["Denials"]

_MINUTE = 60_000
_MOST = 1_000
"""Different kinds that are told of a minute. Callers choose models; beyond these a quota's denials are one kind."""
_ATTRIBUTES = ("environment", "key", "model", "team", "upstream", "use_case")

_Kind = tuple[str, str, tuple[tuple[str, str], ...]]


class Denials:
    """What the process ``gateway`` denied. Calls are alike that have the same quota, reason, and the same of ``tags``.

    ``clock`` gives milliseconds since 1970, UTC.
    """

    def __init__(self, gateway: str, tags: Iterable[str], clock: Callable[[], int]) -> None:
        self._gateway, self._clock = gateway, clock
        self._names = tuple(sorted({*_ATTRIBUTES, *tags}))
        self._minutes: dict[int, dict[_Kind, int]] = {}

    def add(self, denied: Denied, attributes: Mapping[str, str]) -> None:
        """Count a call that was denied now."""
        kinds = self._minutes.setdefault(self._clock() // _MINUTE, {})
        alike = tuple((name, value) for name in self._names if (value := attributes.get(name)))
        kind = (denied.quota or "", denied.reason, alike)
        if kind not in kinds and len(kinds) >= _MOST:
            kind = (denied.quota or "", denied.reason, ())
        kinds[kind] = kinds.get(kind, 0) + 1

    def told(self, *, all: bool = False) -> list[bytes]:
        """The events of minutes that are over, or of ``all``; each is told once."""
        if not self._minutes:
            return []
        now = self._clock() // _MINUTE
        over = [minute for minute in self._minutes if all or minute != now]
        return [
            self._event(minute, kind, calls) for minute in over for kind, calls in self._minutes.pop(minute).items()
        ]

    def hand_on(self, tell: Callable[[bytes], None], *, all: bool = False) -> None:
        """Tell of minutes that are over, or of ``all``."""
        for event in self.told(all=all):
            tell(event)

    def _event(self, minute: int, kind: _Kind, calls: int) -> bytes:
        quota, reason, alike = kind
        return orjson.dumps(
            {
                "v": VERSION,
                "kind": "denials",
                "gateway": self._gateway,
                "quota": quota,
                "reason": reason,
                "attributes": dict(alike),
                "minute": minute * _MINUTE,
                "calls": calls,
            }
        )
