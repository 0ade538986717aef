"""The virtual keys of the control database, as the gateway's callers."""

from __future__ import annotations

from collections.abc import Callable

from outlay.gateway.callers import Caller
from outlay.gateway.refusal import Refusal
from outlay.operate.keys.ring import KeyRing, Refused

__all__ = ["RingKeys"]


class RingKeys:
    """Callers by the secrets of a :class:`KeyRing`."""

    def __init__(self, ring: KeyRing, clock: Callable[[], int]) -> None:
        self._ring, self._clock = ring, clock

    def find(self, secret: str) -> Caller | str:
        """The caller of a secret, or why there is none. Raises :class:`Refusal` where nobody can know now."""
        found = self._ring.find(secret, self._clock())
        if isinstance(found, Refused):
            if found.reason == "unavailable":
                raise Refusal(503, "keys_unavailable", str(found), headers=((b"retry-after", b"5"),))
            return str(found)
        return Caller(found.id, found.tags, found.models, found.upstreams)
