"""The quotas for other gateways: what one is about to send is held here, and settled here when it is over.

The bound is that of the gateway's own calls (:class:`outlay.gateway.metering.bound.Bounds`), and so are the denials,
the events for the ledger and what counts when nobody tells a usage. What differs is who keeps to it: the other gateway
must send the call once, with no more output tokens than were granted, and only after it was granted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from outlay.config.gateway import PROVIDERS, GatewaySettings, UpstreamSettings
from outlay.gateway.ids import Ids
from outlay.gateway.metering.bound import Bounds
from outlay.gateway.metering.event import CallEvent, Settled
from outlay.gateway.metering.settlement import read_usage, settlement
from outlay.gateway.meters import Meters
from outlay.gateway.peers.granted import Granted
from outlay.gateway.refusal import Refusal, denial
from outlay.gateway.routes import Routes, Upstream
from outlay.gateway.wires.spoken import Json, Spoken
from outlay.gateway.wires.wire import Wire
from outlay.operate.quotas.ask import Ask, Denied, Held
from outlay.operate.quotas.limit import REQUESTS, TOKENS
from outlay.operate.quotas.store import QuotaStore
from outlay.prices.quick import QuickPrices

__all__ = ["Outcome", "Peers", "Wanted"]

_NOWHERE = "https://peer.invalid"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that another gateway wants to send to ``upstream``'s ``spoken.model``; ``size`` is the bytes of its body.

    ``can_limit`` tells whether the other gateway can put a number of output tokens into a call that names none.
    """

    wire: Wire
    spoken: Spoken
    body: Json
    size: int
    attributes: Mapping[str, str]
    upstream: Upstream
    can_limit: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. ``raw`` is the provider's usage object, or the answer that holds it; None: nobody told it.

    ``flavor`` is the shape of that usage where it is not that of the call's API. Durations are microseconds.
    """

    by: Settled
    raw: Json | None = None
    flavor: str | None = None
    answered_model: str | None = None
    sent: bool = True
    status: int | None = None
    error: str | None = None
    duration: int | None = None
    first_token: int | None = None


class Peers:
    """Holds and settles for other gateways."""

    def __init__(
        self,
        quotas: QuotaStore,
        *,
        bounds: Bounds,
        prices: QuickPrices,
        settings: GatewaySettings,
        routes: Routes,
        meters: Meters,
        ids: Ids,
        clock: Callable[[], int],
    ) -> None:
        self._quotas, self._bounds, self._prices, self._settings = quotas, bounds, prices, settings
        self._routes, self._meters, self._ids, self._clock = routes, meters, ids, clock

    def upstream(self, name: str) -> Upstream:
        """Where a peer sends a call: an upstream of the settings, a kind of provider, or its name in the price list."""
        known = self._routes.upstreams.get(name)
        if known is not None:
            return known
        kind = name if name in PROVIDERS else "openai-compatible"
        named = {"priced_as": name} if kind != name else {}
        settings = UpstreamSettings.model_validate({"id": name, "provider": kind, "base_url": _NOWHERE, **named})
        return Upstream(settings, (), {})

    async def hold(self, wanted: Wanted) -> Granted:
        """Hold the most that a call can use. Raises :class:`Refusal`, with what the caller is to be told."""
        now, spoken, upstream, wire = self._clock(), wanted.spoken, wanted.upstream, wanted.wire
        attributes = {
            **wanted.attributes,
            "model": spoken.model,
            "upstream": upstream.id,
            "provider": upstream.provider,
        }
        if not wanted.can_limit and spoken.has_output and spoken.max_tokens is None and self._is_limited(attributes):
            message = "a budget counts on the most output of a call, and this one names none. Send max_tokens."
            raise Refusal(400, "unbounded_call", message)
        ask = self._bounds.ask(
            self._ids.next(now),
            attributes,
            spoken,
            wanted.body,
            size=wanted.size,
            upstream=upstream,
            model=spoken.model,
            now=now,
        )
        held, kept = await self._quotas.hold(ask, now), True
        if isinstance(held, Denied):
            held, kept = self._unheld(ask, held, now), False
        for shadowed in held.shadowed:
            self._meters.shadowed(shadowed)
        if held.delay:
            self._meters.slowed(held)
        return Granted(
            held,
            ask.each,
            upstream.provider,
            upstream.priced_as,
            wire.name,
            wire.operation,
            wire.flavor,
            spoken.model,
            spoken.stream,
            spoken.free,
            kept,
            spoken.goes_once,
        )

    def max_tokens(self, granted: Granted, spoken: Spoken) -> int | None:
        """The most output tokens that the call must be sent with; None where nothing depends on it."""
        if not spoken.has_output:
            return None
        limited = bool(granted.held.units) and self._is_limited(granted.held.attributes)
        return granted.held.units if limited else spoken.max_tokens

    def settle(self, granted: Granted, outcome: Outcome) -> tuple[CallEvent, bool]:
        """Settle a call: what is told of it, and whether that counted, or it was settled before."""
        event, held, by, error = granted.event(), granted.held, outcome.by, outcome.error
        usage = None
        if granted.free and by in ("usage", "received"):
            by = "none"
        elif by in ("usage", "received"):
            if outcome.raw is not None:
                usage, wrong = read_usage(outcome.raw, granted.priced_as, outcome.flavor or granted.flavor)
            else:
                wrong = "no usage"
            if usage is None or (by == "received" and not granted.once and TOKENS in held.bound):
                usage, by, error = None, "bound", error or wrong
        event.answered_model, event.status = outcome.answered_model, outcome.status
        event.duration, event.first_token = outcome.duration, outcome.first_token
        done = settlement(
            held,
            granted.each,
            by,
            usage,
            self._prices,
            provider=granted.priced_as,
            models=(event.answered_model or granted.model, granted.model),
            sent=outcome.sent,
            error=error,
        )
        done.tell(event)
        told = event.to_bytes()
        counted = self._quotas.settle(held.id, done.used, self._clock(), told)
        if not granted.kept and not counted:
            self._quotas.tell(told)
        if counted or not granted.kept:
            self._meters.settled(event, done.used, held.bound)
        return event, counted

    def _is_limited(self, attributes: Mapping[str, str]) -> bool:
        """Whether a quota counts on the number of output tokens."""
        return not self._quotas.measures(attributes) <= {REQUESTS}

    def _unheld(self, ask: Ask, denied: Denied, now: int) -> Held:
        """The refusal of a denied call, or a hold in name only where the settings let calls through all the same."""
        if denied.reason == "unavailable" and self._settings.on_unavailable == "open":
            self._meters.unheld()
            return Held(ask.id, ask.attributes, now, now + ask.lives, ask.bound(ask.most), ask.most)
        self._meters.denied(denied, ask.attributes)
        raise denial(denied, now)
