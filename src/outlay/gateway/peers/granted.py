"""A hold that another gateway was granted, as a text that it hands back when its call is over.

Everything that settles the call is in the text, and nothing of it in this process: so a settlement finds its hold after
a restart, and at another replica. It names tags and amounts, and no secret. It is sealed with the secret that the
gateways share, so that it settles what was held and nothing else, whatever way it came back: a proxy may have it in a
header, where a caller can write too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlay.gateway.metering.event import CallEvent
from outlay.operate.quotas.ask import Held
from outlay.operate.quotas.limit import Measure

__all__ = ["Granted", "Seal"]

_VERSION = 1
_SEAL = 16
_LONGEST = 1 << 16
_NO_HOLD = "this is no hold that was granted here"


@dataclass(frozen=True, slots=True)
class Granted:
    """A hold and what its call is: ``provider`` is OpenTelemetry's name, ``priced_as`` that of the price list.

    ``free`` calls cost nothing. ``kept`` is False of a call that went without a hold, because the settings let it. Of
    one that does not go ``once`` the input is told round by round, so that what was told of a part is not the whole.
    """

    held: Held
    each: Mapping[Measure, int]
    provider: str
    priced_as: str
    wire: str
    operation: str
    flavor: str
    model: str
    stream: bool
    free: bool = False
    kept: bool = True
    once: bool = True

    def event(self) -> CallEvent:
        """The event of its call, before anybody knows how that went."""
        held = self.held
        return CallEvent(
            held.id,
            held.id,
            held.attributes,
            self.provider,
            self.priced_as,
            self.operation,
            self.wire,
            self.model,
            self.model,
            held.at,
            self.stream,
        )


class Seal:
    """Writes holds as texts, and reads those that it wrote. The texts are fit for a header."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"outlay hold\0" + secret.encode()).digest()

    def text(self, granted: Granted) -> str:
        """A hold as a text."""
        held = granted.held
        said = [
            _VERSION,
            [held.id, dict(held.attributes), held.at, held.expires, dict(held.bound), held.units],
            dict(granted.each),
            [granted.provider, granted.priced_as, granted.wire, granted.operation, granted.flavor, granted.model],
            [granted.stream, granted.free, granted.kept, granted.once],
        ]
        content = json.dumps(said, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._of(content) + content).decode().rstrip("=")

    def read(self, text: str) -> Granted:
        """The hold of a text. Raises :class:`ValueError` for one that was not written with this secret."""
        if len(text) > _LONGEST:
            raise ValueError(_NO_HOLD)
        try:
            both = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(_NO_HOLD) from None
        content = both[_SEAL:]
        if not hmac.compare_digest(both[:_SEAL], self._of(content)):
            raise ValueError(_NO_HOLD)
        said: list[Any] = json.loads(content)
        if said[0] != _VERSION:
            raise ValueError("it was granted by another version of the gateway")
        _, (id, attributes, at, expires, bound, units), each, names, flags = said
        return Granted(Held(id, attributes, at, expires, bound, units), each, *names, *flags)

    def _of(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")[:_SEAL]
