"""One call: held before it goes, sent, settled by what the provider says it used.

The order is what keeps a budget: nothing is sent before its hold is on the disk, and whatever happens after that - an
answer, an error, a provider that dies, a caller that goes away, an error of ours - ends in one settlement. Where nobody
says what a call used, and the provider may have done it, it counts at its bound.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import orjson

from outlay.config.gateway import GatewaySettings
from outlay.gateway.bound import Bounds
from outlay.gateway.event import CallEvent, Settled
from outlay.gateway.incoming import Call
from outlay.gateway.meters import Meters
from outlay.gateway.refusal import Refusal, denial
from outlay.gateway.routes import Route
from outlay.gateway.sending import NotSent, back, onward, retryable, send
from outlay.gateway.settlement import read_usage, settlement
from outlay.gateway.told import is_charged, said_of
from outlay.gateway.wires.wire import Said
from outlay.operate.quotas.ask import Ask, Denied, Held
from outlay.operate.quotas.limit import REQUESTS
from outlay.operate.quotas.store import QuotaStore
from outlay.prices.quick import QuickPrices
from outlay.prices.usage import Usage

if TYPE_CHECKING:
    from outlay.gateway.otlp.exporter import Exporter, Way

__all__ = ["Ids", "Sender"]

_MOST_RETRY_SECONDS = 10.0
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_UPSTREAM_GONE = (aiohttp.ClientError, TimeoutError, ConnectionError)


class _NextRoute(Exception):
    """A provider broke off and may have done the work: the same one is not asked again, another may be."""


class Ids:
    """Ids that no two calls share, in the order of time."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._number = 0

    def next(self, now: int) -> str:
        """An id for a call at ``now``."""
        self._number += 1
        return f"{now:012x}-{self._node}-{self._number:06x}"


@dataclass(slots=True)
class _Try:
    """One hold and what came of it; ``each`` is what a unit of its output may cost."""

    call: Call
    route: Route
    held: Held
    each: Mapping[str, int]
    event: CallEvent
    way: Way | None = None
    sent: bool = False
    done: bool = False


class Sender:
    """Sends calls and settles them."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        quotas: QuotaStore,
        bounds: Bounds,
        prices: QuickPrices,
        settings: GatewaySettings,
        meters: Meters,
        ids: Ids,
        clock: Callable[[], int],
        exporter: Exporter | None = None,
    ) -> None:
        self._session = session
        self._quotas = quotas
        self._bounds = bounds
        self._prices = prices
        self._settings = settings
        self._meters = meters
        self._ids = ids
        self._clock = clock
        self._exporter = exporter

    async def answer(self, call: Call) -> None:
        """Answer a call, by the first of its routes that does. Raises :class:`Refusal`."""
        last = Refusal(502, "upstream_failed", "no upstream answered.")
        for route in call.routes:
            for again in range(1 + route.upstream.settings.retries):
                final = route is call.routes[-1] and again == route.upstream.settings.retries
                try:
                    wait = await self._once(call, route, final=final)
                except _NextRoute as failure:
                    last = Refusal(502, "upstream_failed", f"{failure}.")
                    break
                except NotSent as failure:
                    last, wait = Refusal(502, "upstream_failed", f"{failure}."), 0.1
                if wait is None:
                    return
                if again < route.upstream.settings.retries:
                    if wait > _MOST_RETRY_SECONDS and route is not call.routes[-1]:
                        break
                    await asyncio.sleep(min(wait, _MOST_RETRY_SECONDS))
        raise last

    async def _once(self, call: Call, route: Route, *, final: bool) -> float | None:
        """Try one route once. None: answered; else the seconds to wait before the next try."""
        one = await self._hold(call, route)
        try:
            return await self._sent(one, final=final)
        except NotSent as error:
            one.sent = False
            self._settle(one, None, "none", error=str(error))
            raise
        except _UPSTREAM_GONE as error:
            said = f"{route.upstream.id} broke off: {type(error).__name__}"
            if not one.done:
                self._settle(one, None, "bound", error=said)
            raise _NextRoute(said) from None
        finally:
            if not one.done:  # cancelled, or an error of ours: what the provider did is not known
                self._settle(one, None, "bound" if one.sent else "none", error="interrupted")

    async def _hold(self, call: Call, route: Route) -> _Try:
        now = self._clock()
        attributes = {
            **call.attributes,
            "model": route.model,
            "upstream": route.upstream.id,
            "provider": route.upstream.provider,
        }
        ask = self._bounds.ask(
            self._ids.next(now),
            attributes,
            call.spoken,
            call.body,
            size=len(call.raw),
            upstream=route.upstream,
            model=route.model,
            now=now,
        )
        held = await self._quotas.hold(ask, now)
        if isinstance(held, Denied):
            held = self._denied(ask, held, now)
        for shadowed in held.shadowed:
            self._meters.shadowed(shadowed)
        if held.delay:
            self._meters.slowed(held)
            try:
                await asyncio.sleep(held.delay / 1000)
            except asyncio.CancelledError:
                self._quotas.settle(held.id, {}, self._clock())
                raise
        return _Try(call, route, held, ask.each, self._event(call, route, held))

    def _denied(self, ask: Ask, denied: Denied, now: int) -> Held:
        """The refusal of a denied call, or a hold in name only where the settings let calls through all the same."""
        if denied.reason == "unavailable" and self._settings.on_unavailable == "open":
            self._meters.unheld()
            return Held(ask.id, ask.attributes, now, now + ask.lives, ask.bound(ask.most), ask.most)
        self._meters.denied(denied, ask.attributes)
        raise denial(denied, now)

    async def _sent(self, one: _Try, *, final: bool) -> float | None:
        call, route = one.call, one.route
        try:
            body, strip = self._body(call, route, one.held)
        except TypeError:  # orjson reads deeper than it writes
            raise Refusal(400, "invalid_json", "the body is nested too deeply.") from None
        headers = onward(call.headers, route)
        if self._exporter is not None:
            one.way = self._exporter.enter(headers, route)
        self._meters.added(call.microseconds() - one.held.delay * 1000)
        one.sent = True
        async with await send(self._session, route, headers, body) as response:
            one.event.status = response.status
            if not 200 <= response.status < 300 and response.status < 400:
                self._settle(one, None, "none", error=f"http {response.status}")
                message = f"{route.upstream.id} answered with {response.status}, and no redirection is followed."
                raise Refusal(502, "upstream_failed", message)
            if response.status >= 400:
                return await self._failed(one, response, final=final)
            if call.spoken.stream and "json" not in response.headers.get("content-type", ""):
                await self._stream(one, response, strip)
            else:
                await self._whole(one, response)
        return None

    def _body(self, call: Call, route: Route, held: Held) -> tuple[bytes, bool]:
        """The body that goes on: what was read and bounded, written anew.

        The caller's own bytes may say a field twice, and providers differ in which of the two they take.
        """
        spoken, wire, provider = call.spoken, call.wire, route.upstream.settings.provider
        body = dict(call.body)
        if wire.model_in_body:
            body["model"] = route.model
        if spoken.has_output and spoken.max_tokens is None and self._is_bounded(held):
            wire.limit(body, held.units, provider, route.model)
        wire.mend(body, provider)
        strip = spoken.stream and wire.ask_usage(body)
        return orjson.dumps(body), strip

    def _is_bounded(self, held: Held) -> bool:
        """Whether a quota counts on the number of tokens that was held."""
        return bool(held.units) and not self._quotas.measures(held.attributes) <= {REQUESTS}

    async def _failed(self, one: _Try, response: aiohttp.ClientResponse, *, final: bool) -> float | None:
        """An error that the provider answered with: it did nothing, and charges nothing, unless it is Azure."""
        content = await response.read()
        charged = is_charged(one.route.upstream.settings.provider, response.status, content)
        self._settle(one, None, "bound" if charged else "none", error=f"http {response.status}")
        if retryable(response.status) and not final:
            self._meters.retried(one.route.upstream.id, response.status)
            return _retry_after(response.headers)
        await _answer(one.call, response.status, back(response.headers), content)
        return None

    async def _whole(self, one: _Try, response: aiohttp.ClientResponse) -> None:
        content = await response.read()
        if one.call.spoken.free:
            cost = self._settle(one, None, "none")
        else:
            cost = self._settle_by(one, said_of(one.call.wire, content, response.headers), complete=True)
        headers = back(response.headers)
        headers.append((b"x-outlay-request-id", one.event.id.encode()))
        if cost is not None:
            headers.append((b"x-outlay-cost", cost.encode()))
        await _answer(one.call, response.status, headers, content)

    async def _stream(self, one: _Try, response: aiohttp.ClientResponse, strip: bool) -> None:
        call = one.call
        meter = call.wire.meter(strip)
        gone = asyncio.ensure_future(call.receive())  # the next message can only be that the caller went away
        broke: str | None = None
        try:
            async with asyncio.timeout(one.route.upstream.settings.timeout_seconds):
                headers = [*back(response.headers), (b"x-outlay-request-id", one.event.id.encode())]
                call.answering = True
                await call.send({"type": "http.response.start", "status": response.status, "headers": headers})
                async for chunk in response.content.iter_any():
                    out = meter.feed(chunk)
                    if one.event.first_token is None and meter.started:
                        one.event.first_token = call.microseconds()
                    if gone.done():
                        if self._settings.on_disconnect == "cancel":
                            broke = "the caller went away"
                            break
                    elif out:
                        await call.send({"type": "http.response.body", "body": out, "more_body": True})
        except _UPSTREAM_GONE as error:
            broke = f"{one.route.upstream.id} broke off: {type(error).__name__}"
        except ValueError as error:
            broke = f"{one.route.upstream.id} sent what is no stream: {error}"
        finally:
            rest = meter.rest()
            failed = broke or meter.failed
            if failed is None and gone.done():
                one.event.error = "the caller went away"
            self._settle_by(one, meter.said(), complete=meter.whole, error=failed)
            gone.cancel()
        if broke is not None:
            rest += call.wire.broken(f"{broke}.")
        await call.send({"type": "http.response.body", "body": rest})

    def _settle_by(self, one: _Try, said: Said | None, *, complete: bool, error: str | None = None) -> str | None:
        """Settle by the usage that was told; by the bound where none was. The cost, as text."""
        if said is None:
            return self._settle(one, None, "bound", error=error or "no usage")
        raw, one.event.answered_model = said
        usage, wrong = read_usage(raw, one.route.upstream.priced_as, one.call.wire.flavor)
        if usage is None:
            return self._settle(one, None, "bound", error=error or wrong)
        return self._settle(one, usage, "usage" if complete else "received", error=error)

    def _settle(self, one: _Try, usage: Usage | None, by: Settled, *, error: str | None = None) -> str | None:
        event, held, model = one.event, one.held, one.route.model
        done = settlement(
            held,
            one.each,
            by,
            usage,
            self._prices,
            provider=one.route.upstream.priced_as,
            models=(event.answered_model or model, model),
            sent=one.sent,
            error=error or event.error,
        )
        event.duration = one.call.microseconds()
        done.tell(event)
        told = event.to_bytes()
        one.done = True  # not before: where anything above fails, the call is settled at its bound instead
        if not self._quotas.settle(held.id, done.used, self._clock(), told):  # it had no hold, or its hold ran out
            self._quotas.tell(told)
        self._meters.settled(event, done.used, held.bound)
        if self._exporter is not None and one.way is not None:
            self._exporter.settled(event, told, one.way)
        return None if event.cost is None else f"{event.cost} {event.currency}"

    def _event(self, call: Call, route: Route, held: Held) -> CallEvent:
        return CallEvent(
            held.id,
            call.id,
            held.attributes,
            route.upstream.provider,
            route.upstream.priced_as,
            call.wire.operation,
            call.wire.name,
            call.spoken.model,
            route.model,
            held.at,
            call.spoken.stream,
        )


async def _answer(call: Call, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    call.answering = True
    headers.append((b"content-length", str(len(content)).encode()))
    await call.send({"type": "http.response.start", "status": status, "headers": headers})
    await call.send({"type": "http.response.body", "body": content})


def _retry_after(headers: Mapping[str, str]) -> float:
    said = headers.get("retry-after", "")
    return float(said) if _SECONDS.fullmatch(said) else 0.5
