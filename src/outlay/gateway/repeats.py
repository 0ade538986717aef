"""Answers that are given again: the same question, by the same key or team, gets the answer that it got before.

The same means every field of the body and all that decides who answers, compared by SHA-256: no prompt is kept. Answers
are, in memory alone, for a time. Only what would be answered alike anyhow is repeated: temperature 0 (or what has no
temperature, as embeddings), no stream, nothing that stands elsewhere and may have changed (images by their address,
what the provider keeps, what its tools find).

A repeated answer costs nothing. It is held as a request all the same, so that quotas in requests and stops hold for it,
and is told of as a call, with what the first one cost as what was saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from outlay.gateway.call import reply
from outlay.operate.quotas.limit import whole

if TYPE_CHECKING:
    from outlay.config.gateway import CacheSettings
    from outlay.gateway.call import Sender
    from outlay.gateway.http import Message
    from outlay.gateway.incoming import Call
    from outlay.gateway.metering.tries import Tries
    from outlay.gateway.meters import Meters
    from outlay.gateway.routes import Route

__all__ = ["Repeats"]

_ENTRY_BYTES = 1024
"""What an answer takes beside its content, about."""
_LARGEST = 8
"""One answer takes an eighth of the memory at most."""
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "background", "container")
_TOLD = (b"content-type", b"content-encoding")
_DECIDE = (b"anthropic-", b"openai-")
"""Headers of a call that may change its answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """``call`` is the id of the call that it was made for, ``cost`` what that cost."""

    call: str
    route: Route
    model: str | None
    cost: str
    currency: str
    until: int
    headers: list[tuple[bytes, bytes]]
    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.content) + _ENTRY_BYTES


class Repeats:
    """Answers calls: from memory where it can, else by the sender."""

    def __init__(
        self,
        sender: Sender,
        settings: CacheSettings,
        *,
        tries: Tries,
        meters: Meters,
        clock: Callable[[], int],
    ) -> None:
        self._sender = sender
        self._settings = settings
        self._tries = tries
        self._meters = meters
        self._clock = clock
        self._answers: dict[bytes, _Answer] = {}
        self._most = settings.max_mib << 20
        self._size = 0

    async def answer(self, call: Call) -> None:
        """Answer a call. Raises :class:`outlay.gateway.refusal.Refusal`."""
        question = self._question(call)
        if question is None:
            await self._sender.answer(call)
            return
        found = self._answers.pop(question, None)
        if found is not None:
            if self._clock() < found.until:
                self._answers[question] = found  # the last that goes
                await self._repeat(call, found)
                return
            self._size -= found.size
        self._meters.cache("miss")
        heard = _Heard(call)
        await self._sender.answer(call)
        self._keep(question, call, heard)

    async def _repeat(self, call: Call, found: _Answer) -> None:
        free = replace(call, spoken=replace(call.spoken, free=True))
        one = await self._sender.hold(free, found.route)
        one.sent = True
        event = one.event
        event.status, event.answered_model, event.route = 200, found.model, None
        event.cost, event.currency = "0", found.currency
        event.cache = {"saved": found.cost, "of": found.call}
        self._tries.settle(one, None, "none")
        self._meters.cache("hit", found.currency, whole(Decimal(found.cost)))
        told = [(b"x-outlay-cost", f"0 {found.currency}".encode()), (b"x-outlay-cache", b"hit")]
        await reply(call, 200, [*found.headers, *one.headers(), *told], found.content)

    def _keep(self, question: bytes, call: Call, heard: _Heard) -> None:
        """Keep an answer that was good and whole, and whose cost is known; let the oldest go for it."""
        if call.answered is None:
            return
        route, event = call.answered
        if event.settled != "usage" or event.cost is None or event.currency is None:
            return
        until = self._clock() + self._settings.seconds * 1000
        headers = [(name, value) for name, value in heard.headers if name in _TOLD]
        answer = _Answer(
            event.id, route, event.answered_model, event.cost, event.currency, until, headers, heard.content
        )
        if heard.status != 200 or answer.size > self._most // _LARGEST:
            return
        before = self._answers.pop(question, None)  # the same was asked twice at a time
        self._size += answer.size - (0 if before is None else before.size)
        self._answers[question] = answer
        while self._size > self._most:
            self._size -= self._answers.pop(next(iter(self._answers))).size

    def _question(self, call: Call) -> bytes | None:
        """What is asked, as a hash; None where an answer of before would not do."""
        spoken, body, who = call.spoken, call.body, call.attributes.get(self._settings.scope)
        if not who or spoken.stream or spoken.free or spoken.tools or spoken.unbounded or spoken.not_inline:
            return None
        if spoken.has_output and not self._settings.any_temperature and not _is_fixed(body):
            return None
        if any(body.get(one) for one in _KEPT_ELSEWHERE):
            return None
        if body.get("store", call.wire.name == "responses"):  # the caller may come back to what is kept there
            return None
        places = [(route.upstream.id, route.model) for route in call.routes]
        beside = sorted((name.decode(), value.decode("latin-1")) for name, value in call.headers if _decides(name))
        try:
            asked = [who, call.wire.name, call.spoken.model, places, beside, body]
            return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()
        except TypeError:  # orjson reads deeper than it writes; such a call is refused
            return None


class _Heard:
    """Listens to the answer of a call while it goes to whoever called."""

    def __init__(self, call: Call) -> None:
        self._send = call.send
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.content = b""
        call.send = self

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.content += message.get("body", b"")
        await self._send(message)


def _decides(name: bytes) -> bool:
    return name.startswith(_DECIDE)


def _is_fixed(body: Mapping[str, Any]) -> bool:
    """Whether nothing of an answer is drawn by lot, as far as the caller can say so."""
    places = (body, body.get("generationConfig"), body.get("inferenceConfig"))
    told = [one["temperature"] for one in places if isinstance(one, Mapping) and "temperature" in one]
    return bool(told) and all(type(one) in (int, float) and one == 0 for one in told)
