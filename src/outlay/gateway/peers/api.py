"""Quotas over HTTP, for gateways of any make: ``POST /quotas/hold`` before a call, ``POST /quotas/settle`` after it.

A hold answers 200 with what the call may use, or with the error that the call's caller is to get: its status and
message can be passed on as they are. A settlement may be said again: it counts once.
"""

from __future__ import annotations

from collections.abc import Sequence

from outlay.gateway.callers import Caller, with_tags
from outlay.gateway.http import Receive
from outlay.gateway.metering.event import Settled
from outlay.gateway.paths import WIRES
from outlay.gateway.peers.granted import Granted, Seal
from outlay.gateway.peers.peers import Outcome, Peers, Wanted
from outlay.gateway.peers.request import body_of, name_of, number_of, object_of, told_attributes
from outlay.gateway.refusal import Refusal
from outlay.gateway.wires.openai_chat import CHAT
from outlay.gateway.wires.spoken import Json, Malformed, Spoken
from outlay.gateway.wires.wire import Beside, Wire
from outlay.ledger.meters import MODALITIES
from outlay.money import plain
from outlay.operate.quotas.limit import in_unit
from outlay.operate.quotas.window import moment
from outlay.prices.usage_shapes import FLAVORS

__all__ = ["QuotaApi", "settled_json"]

_MOST_TOKENS = 1 << 26
_MOST_MILLISECONDS = 1 << 40
_STATUSES: dict[str, tuple[Settled, bool]] = {
    "done": ("usage", True),
    "broken": ("received", True),
    "unknown": ("bound", True),
    "failed": ("none", True),
    "unsent": ("none", False),
}
_MEDIA = frozenset(MODALITIES)


class QuotaApi:
    """The two requests. ``required`` are the tags without which a call is refused."""

    def __init__(self, peers: Peers, seal: Seal, required: Sequence[str], most_body: int) -> None:
        self._peers, self._seal, self._required, self._most_body = peers, seal, tuple(required), most_body

    async def hold(self, receive: Receive) -> Json:
        """Answer ``/quotas/hold``. Raises :class:`Refusal`."""
        raw = await body_of(receive, self._most_body)
        said = object_of(raw)
        wire = wire_of(said)
        provider, model = name_of(said, "provider"), name_of(said, "model")
        if provider is None or model is None:
            raise Refusal(400, "invalid_request", "'provider' and 'model' are needed: where the call goes.")
        spoken, body, size = _call(wire, said, model, len(raw))
        known = told_attributes(said.get("attributes"))
        tags = said.get("tags")
        if tags is not None and not isinstance(tags, str):
            raise Refusal(400, "invalid_request", "'tags' must be a text as in x-outlay-tags: name=value, ...")
        caller = Caller(known.get("key", ""), known)
        wanted = Wanted(
            wire,
            spoken,
            body,
            size,
            with_tags(caller, None if tags is None else tags.encode("utf-8", "surrogatepass"), self._required),
            self._peers.upstream(provider),
            can_limit=said.get("can_limit") is not False,
        )
        granted = await self._peers.hold(wanted)
        held = granted.held
        return {
            "id": held.id,
            "hold": self._seal.text(granted),
            "max_tokens": self._peers.max_tokens(granted, spoken),
            "bound": {measure: plain(in_unit(amount, measure)) for measure, amount in held.bound.items()},
            "expires": moment(held.expires).isoformat(timespec="seconds") + "Z",
            "delay_ms": held.delay,
        }

    async def settle(self, receive: Receive) -> Json:
        """Answer ``/quotas/settle``. Raises :class:`Refusal`."""
        said = object_of(await body_of(receive, self._most_body))
        granted = hold_of(self._seal, said.get("hold"))
        status = said.get("status", "done")
        if not isinstance(status, str) or status not in _STATUSES:
            raise Refusal(400, "invalid_request", f"'status' must be one of {', '.join(_STATUSES)}.")
        by, sent = _STATUSES[status]
        usage, flavor = said.get("usage"), name_of(said, "flavor")
        if usage is not None and not isinstance(usage, dict):
            raise Refusal(400, "invalid_request", "'usage' must be the provider's usage object.")
        if flavor is not None and flavor not in FLAVORS:
            raise Refusal(400, "invalid_request", f"'flavor' must be one of {', '.join(FLAVORS)}.")
        duration, first = (number_of(said, name, _MOST_MILLISECONDS) for name in ("duration_ms", "first_token_ms"))
        outcome = Outcome(
            by,
            None if usage is None else {"usage": usage},
            flavor,
            name_of(said, "answered_model"),
            sent,
            number_of(said, "http_status", 999),
            name_of(said, "error"),
            None if duration is None else duration * 1000,
            None if first is None else first * 1000,
        )
        return settled_json(granted, self._peers, outcome)


def wire_of(said: Json) -> Wire:
    """The API that a call is in. Raises :class:`Refusal`."""
    name = said.get("api", CHAT.name)
    found = WIRES.get(name) if isinstance(name, str) else None
    if found is None:
        raise Refusal(400, "invalid_request", f"'api' must be one of {', '.join(WIRES)}.")
    return found


def hold_of(seal: Seal, text: object) -> Granted:
    """The hold that a settlement names. Raises :class:`Refusal`."""
    try:
        if not isinstance(text, str) or not text:
            raise Refusal(400, "invalid_request", "'hold' is missing: send what /quotas/hold answered under that name.")
        return seal.read(text)
    except ValueError as error:
        raise Refusal(404, "unknown_hold", f"{error}.") from None


def settled_json(granted: Granted, peers: Peers, outcome: Outcome) -> Json:
    """Settle, and say how. What an earlier settlement counted is not known any more."""
    event, counted = peers.settle(granted, outcome)
    return {
        "id": granted.held.id,
        "settled": event.settled,
        "cost": event.cost if counted else None,
        "currency": event.currency if counted else None,
        "counted": counted,
    }


def _call(wire: Wire, said: Json, model: str, length: int) -> tuple[Spoken, Json, int]:
    """What a call says, its body and the most tokens of input, as it tells them. Raises :class:`Refusal`.

    A body counts with all that came beside it: how many bytes it will have when it is sent, only the sender knows.
    """
    body = said.get("body")
    if body is not None:
        if not isinstance(body, dict):
            raise Refusal(400, "invalid_request", "'body' must be the body of the call, an object.")
        try:
            return wire.spoken({**body, "model": model}, Beside(model)), body, length
        except Malformed as error:
            raise Refusal(400, "invalid_request", f"'body': {error}") from None
    size = number_of(said, "input_tokens_at_most", _MOST_TOKENS)
    if size is None:
        raise Refusal(400, "invalid_request", "'body' or 'input_tokens_at_most' is needed.")
    most = number_of(said, "max_output_tokens", _MOST_TOKENS)
    has_output = "embed" not in wire.name.lower()
    # What the tokens are of is not known, so they are bounded at the dearest of all.
    stream = said.get("stream") is True
    return Spoken(model, stream, most, media=_MEDIA, output_media=_MEDIA, has_output=has_output), {}, size
