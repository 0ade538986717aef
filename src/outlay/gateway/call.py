"""One call: held before it goes, sent, settled by what the provider says it used.

The order is what keeps a budget: nothing is sent before its hold is on the disk, and whatever happens after that - an
answer, an error, a provider that dies, a caller that goes away, an error of ours - ends in one settlement. Where nobody
says what a call used, and the provider may have done it, it counts at its bound.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import orjson

from outlay.config.gateway import GatewaySettings
from outlay.errors import UsageError
from outlay.gateway.bound import Bounds
from outlay.gateway.event import CallEvent, Settled
from outlay.gateway.incoming import Call
from outlay.gateway.meters import Meters
from outlay.gateway.refusal import Refusal, denial
from outlay.gateway.routes import Route
from outlay.gateway.sending import NotSent, back, onward, retryable, send
from outlay.gateway.wires.wire import Said, Wire
from outlay.money import plain
from outlay.operate.quotas.ask import Ask, Denied, Held
from outlay.operate.quotas.limit import REQUESTS, TOKENS, in_unit
from outlay.operate.quotas.store import QuotaStore
from outlay.operate.quotas.window import moment
from outlay.prices.quick import QuickPrices
from outlay.prices.usage import Usage, normalise

if TYPE_CHECKING:
    from outlay.gateway.otlp.exporter import Exporter, Way

__all__ = ["Ids", "Sender"]

_MOST_RETRY_SECONDS = 10.0
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_CHARGED_ALL_THE_SAME = (b'"content_filter"', b'"context_length_exceeded"')
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
        ask = self._bounds.ask(self._ids.next(now), attributes, call, route, now)
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
        charged = one.route.upstream.settings.provider == "azure" and _is_charged(response.status, content)
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
            cost = self._settle_by(one, _said(one.call.wire, content, response.headers), complete=True)
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
        try:
            usage = normalise(one.route.upstream.priced_as, raw, flavor=one.call.wire.flavor)
        except (UsageError, ArithmeticError, RecursionError, TypeError, ValueError):
            return self._settle(one, None, "bound", error=error or "unreadable usage")
        if not usage.input_tokens:  # an empty object, or nulls: no model reads nothing
            return self._settle(one, None, "bound", error=error or "no usage")
        return self._settle(one, usage, "usage" if complete else "received", error=error)

    def _settle(self, one: _Try, usage: Usage | None, by: Settled, *, error: str | None = None) -> str | None:
        event, held = one.event, one.held
        event.duration = one.call.microseconds()
        event.settled, event.usage = by, usage
        event.error = error or event.error
        used: dict[str, int] = {REQUESTS: 1 if one.sent else 0}
        cost: tuple[int, str] | None = None
        bound = next(((n, measure) for measure, n in held.bound.items() if measure not in (REQUESTS, TOKENS)), None)
        if by == "bound":
            used, cost = dict(held.bound), bound
            event.bound_output = held.units
            event.bound_input = max(0, held.bound.get(TOKENS, 0) - held.units)
        elif usage is not None:
            used[TOKENS] = usage.input_tokens + usage.output_tokens
            cost = self._cost(one, usage)
            if cost is None and bound is not None:  # it used something without a price, which is not for nothing
                return self._settle(one, None, "bound", error=error or "unreadable usage")
            if by == "received":
                used[TOKENS], cost = _with_more_output(one, usage, cost)
                event.bound_output = held.units
            if cost is not None:
                used[cost[1]] = cost[0]
        text = None
        if cost is not None:
            text = plain(in_unit(*cost))
            event.cost, event.currency = text, cost[1]
        told = event.to_bytes()
        one.done = True  # not before: where anything above fails, the call is settled at its bound instead
        if not self._quotas.settle(held.id, used, self._clock(), told):  # it went without a hold, or its hold ran out
            self._quotas.tell(told)
        self._meters.settled(event, used, held.bound)
        if self._exporter is not None and one.way is not None:
            self._exporter.settled(event, told, one.way)
        return None if cost is None else f"{text} {cost[1]}"

    def _cost(self, one: _Try, usage: Usage) -> tuple[int, str] | None:
        """The exact cost; by the model that answered, or that was asked where the answer's name has no price."""
        at, provider = moment(one.held.at), one.route.upstream.priced_as
        for model in dict.fromkeys((one.event.answered_model or one.route.model, one.route.model)):
            cost = self._prices.cost(usage, provider, model, at)
            if cost.amount is not None and cost.currency is not None:
                one.event.priced_model = model
                return cost.amount, cost.currency
        return None

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


def _with_more_output(one: _Try, usage: Usage, cost: tuple[int, str] | None) -> tuple[int, tuple[int, str] | None]:
    """Tokens and cost of a stream that broke: its input is known, and as much output may have been made as was held."""
    units = one.held.units
    tokens = usage.input_tokens + max(usage.output_tokens, one.each.get(TOKENS, 0) * units)
    if cost is not None and cost[1] in one.each:
        cost = (min(cost[0] + one.each[cost[1]] * units, one.held.bound.get(cost[1], cost[0])), cost[1])
    return tokens, cost


def _is_charged(status: int, content: bytes) -> bool:
    """Whether Azure may charge for an error: what its filter or its limits stopped after some work, and what timed out.

    https://learn.microsoft.com/azure/ai-services/openai/how-to/manage-costs, "HTTP Error response code and billing".
    """
    return status == 408 or (status == 400 and any(code in content for code in _CHARGED_ALL_THE_SAME))


def _said(wire: Wire, content: bytes, headers: Mapping[str, str]) -> Said | None:
    try:
        if headers.get("content-encoding", "identity").lower() in ("gzip", "deflate"):
            content = zlib.decompress(content, wbits=47)
        answer = orjson.loads(content)
    except (orjson.JSONDecodeError, zlib.error):
        return None
    return wire.said(answer, headers) if isinstance(answer, dict) else None


async def _answer(call: Call, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    call.answering = True
    headers.append((b"content-length", str(len(content)).encode()))
    await call.send({"type": "http.response.start", "status": status, "headers": headers})
    await call.send({"type": "http.response.body", "body": content})


def _retry_after(headers: Mapping[str, str]) -> float:
    said = headers.get("retry-after", "")
    return float(said) if _SECONDS.fullmatch(said) else 0.5
