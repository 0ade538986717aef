"""One call: held before it goes, sent, settled by what the provider says it used.

The order is what keeps a budget: nothing is sent before its hold is on the disk, and whatever happens after that - an
answer, an error, a provider that dies, a caller that goes away, an error of ours - ends in one settlement. Where nobody
says what a call used, and the provider may have done it, it counts at its bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from math import inf

import aiohttp
import orjson

from outlay.config.gateway import GatewaySettings
from outlay.gateway.ids import Ids
from outlay.gateway.incoming import Call
from outlay.gateway.metering.bound import Bounds
from outlay.gateway.metering.event import Settled
from outlay.gateway.metering.told import answer_of, is_charged
from outlay.gateway.metering.tries import Tries, Try, event_of
from outlay.gateway.meters import Meters
from outlay.gateway.refusal import Refusal, denial
from outlay.gateway.routes import Route
from outlay.gateway.rules.checks import failed_check
from outlay.gateway.sending import NotSent, back, onward, retry_after, retryable, send
from outlay.operate.quotas.ask import Ask, Denied, Held
from outlay.operate.quotas.limit import REQUESTS
from outlay.operate.quotas.store import QuotaStore

__all__ = ["Sender", "reply"]

_MOST_RETRY_SECONDS = 10.0
_UPSTREAM_GONE = (aiohttp.ClientError, TimeoutError, ConnectionError)


class _NextRoute(Exception):
    """This route is not asked again, another may be: it broke off and may have done the work, or will not do better."""


class Sender:
    """Sends calls and settles them."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        quotas: QuotaStore,
        bounds: Bounds,
        tries: Tries,
        settings: GatewaySettings,
        meters: Meters,
        ids: Ids,
        clock: Callable[[], int],
    ) -> None:
        self._session = session
        self._quotas = quotas
        self._bounds = bounds
        self._tries = tries
        self._settings = settings
        self._meters = meters
        self._ids = ids
        self._clock = clock

    async def answer(self, call: Call) -> None:
        """Answer a call, by the first of its routes that does. Raises :class:`Refusal`.

        What a rule chose goes first. Where that fails, the model that was asked for is tried; where that fails too, a
        cascade's cheap answer, which was paid, is better than none.
        """
        try:
            await self._by_routes(call)
        except Refusal:
            if call.spare is None or call.answering:
                raise
            call.turned_back = None  # nobody else answered: the next call of the conversation may go there again
            status, headers, content = call.spare
            await reply(call, status, [*headers, *_costs(call)], content)

    async def _by_routes(self, call: Call) -> None:
        last = Refusal(502, "upstream_failed", "no upstream answered.")
        for route in call.routes:
            for again in range(1 + route.upstream.settings.retries):
                final = route is call.routes[-1] and again == route.upstream.settings.retries
                try:
                    wait = await self._once(call, route, final=final)
                except Refusal as refusal:
                    if call.decision is None or not call.decision.turns_back(route):
                        raise
                    last, wait = refusal, inf
                    call.turned_back = refusal.kind
                except _NextRoute as failure:
                    last, wait = Refusal(502, "upstream_failed", f"{failure}."), inf
                except NotSent as failure:
                    last, wait = Refusal(502, "upstream_failed", f"{failure}."), 0.1
                if wait is None:
                    if call.decision is not None and call.decision.chose(route):
                        call.turned_back = None  # a try before this one failed, and this one did not
                    return
                if wait == inf:
                    break
                if again < route.upstream.settings.retries:
                    if wait > _MOST_RETRY_SECONDS and route is not call.routes[-1]:
                        break
                    await asyncio.sleep(min(wait, _MOST_RETRY_SECONDS))
        raise replace(last, headers=(*last.headers, *_costs(call)))

    async def _once(self, call: Call, route: Route, *, final: bool) -> float | None:
        """Try one route once. None: answered; else the seconds to wait before the next try."""
        one = await self.hold(call, route)
        try:
            return await self._sent(one, final=final)
        except NotSent as error:
            one.sent = False
            self._fail(one, "none", str(error))
            raise
        except _UPSTREAM_GONE as error:
            said = f"{route.upstream.id} broke off: {type(error).__name__}"
            if not one.done:
                self._fail(one, "bound", said)
            raise _NextRoute(said) from None
        finally:
            if not one.done:  # cancelled, or an error of ours: what the provider did is not known
                self._tries.settle(one, None, "bound" if one.sent else "none", error="interrupted")

    def _fail(self, one: Try, by: Settled, error: str) -> None:
        """Settle a try that gave no answer."""
        if one.turns_back:
            one.lost = one.call.turned_back = error
        self._tries.settle(one, None, by, error=error)

    async def hold(self, call: Call, route: Route) -> Try:
        """Hold a call at its bound, and wait if a quota slows it. Raises :class:`Refusal`."""
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
        return Try(call, route, held, ask.each, event_of(call, route, held))

    def _denied(self, ask: Ask, denied: Denied, now: int) -> Held:
        """The refusal of a denied call, or a hold in name only where the settings let calls through all the same."""
        if denied.reason == "unavailable" and self._settings.on_unavailable == "open":
            self._meters.unheld()
            return Held(ask.id, ask.attributes, now, now + ask.lives, ask.bound(ask.most), ask.most)
        self._meters.denied(denied, ask.attributes)
        raise denial(denied, now)

    async def _sent(self, one: Try, *, final: bool) -> float | None:
        call, route = one.call, one.route
        try:
            body, strip = self._body(call, route, one.held)
        except TypeError:  # orjson reads deeper than it writes
            raise Refusal(400, "invalid_json", "the body is nested too deeply.") from None
        headers = onward(call.headers, route)
        self._tries.goes(one, headers)
        self._meters.added(call.microseconds() - one.held.delay * 1000)
        one.sent = True
        async with await send(self._session, route, headers, body) as response:
            one.event.status = response.status
            if not 200 <= response.status < 300 and response.status < 400:
                self._fail(one, "none", f"http {response.status}")
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

    async def _failed(self, one: Try, response: aiohttp.ClientResponse, *, final: bool) -> float | None:
        """An error that the provider answered with: it did nothing, and charges nothing, unless it may have worked."""
        content = await response.read()
        charged = is_charged(one.route.upstream.settings.provider, response.status, content)
        self._fail(one, "bound" if charged else "none", f"http {response.status}")
        if (one.turns_back and not retryable(response.status)) or (final and one.call.spare is not None):
            raise _NextRoute(f"{one.route.upstream.id} answered {response.status}")
        if retryable(response.status) and not final:
            self._meters.retried(one.route.upstream.id, response.status)
            return retry_after(response.headers)
        await reply(one.call, response.status, [*back(response.headers), *_costs(one.call)], content)
        return None

    async def _whole(self, one: Try, response: aiohttp.ClientResponse) -> None:
        call, content = one.call, await response.read()
        answer = answer_of(content, response.headers)
        headers = [*back(response.headers), *one.headers()]
        if call.spoken.free:
            self._tries.settle(one, None, "none")
        else:
            if call.decision is not None and call.decision.checks and one.turns_back:
                one.lost = call.turned_back = failed_check(call.wire.name, call.body, answer, call.decision.checks)
            said = None if answer is None else call.wire.said(answer, response.headers)
            self._tries.by_answer(one, said, complete=True)
        if one.lost is not None:
            call.spare = response.status, headers, content
            raise _NextRoute(f"the answer of '{one.route.model}' failed a check: {one.lost}")
        call.answered = one.route, one.event
        await reply(call, response.status, [*headers, *_costs(call)], content)

    async def _stream(self, one: Try, response: aiohttp.ClientResponse, strip: bool) -> None:
        call = one.call
        meter = call.wire.meter(strip)
        gone = asyncio.ensure_future(call.receive())  # the next message can only be that the caller went away
        broke: str | None = None
        try:
            async with asyncio.timeout(one.route.upstream.settings.timeout_seconds):
                headers = [*back(response.headers), *one.headers()]
                call.answering, call.answered = True, (one.route, one.event)
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
            self._tries.by_answer(one, meter.said(), complete=meter.whole, error=failed)
            gone.cancel()
        if broke is not None:
            rest += call.wire.broken(f"{broke}.")
        await call.send({"type": "http.response.body", "body": rest})


async def reply(call: Call, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    """Send a whole answer to whoever called."""
    call.answering = True
    headers.append((b"content-length", str(len(content)).encode()))
    await call.send({"type": "http.response.start", "status": status, "headers": headers})
    await call.send({"type": "http.response.body", "body": content})


def _costs(call: Call) -> list[tuple[bytes, bytes]]:
    """What a caller is told that its call cost."""
    cost = call.cost()
    return [] if cost is None else [(b"x-outlay-cost", cost.encode())]
