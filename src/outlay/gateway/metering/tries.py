"""The tries of a call: what was held for each is settled once, its event told, and what a rule saved with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlay.gateway.incoming import Call
from outlay.gateway.metering.event import CallEvent, Settled
from outlay.gateway.metering.served import with_what_was_asked
from outlay.gateway.metering.settlement import Settlement, read_usage, settlement
from outlay.gateway.meters import Meters
from outlay.gateway.routes import Route
from outlay.gateway.wires.wire import Said
from outlay.money import plain
from outlay.operate.quotas.ask import Held
from outlay.operate.quotas.limit import TOKENS, in_unit
from outlay.operate.quotas.store import QuotaStore
from outlay.operate.quotas.window import moment
from outlay.prices.quick import QuickPrices
from outlay.prices.usage import Usage

if TYPE_CHECKING:
    from outlay.gateway.otlp.exporter import Exporter, Way

__all__ = ["Tries", "Try", "event_of"]


@dataclass(slots=True)
class Try:
    """One hold and what came of it; ``each`` is what a unit of its output may cost.

    ``lost`` says why nobody gets its answer although a rule chose its model: it is a cost, and nothing is saved.
    """

    call: Call
    route: Route
    held: Held
    each: Mapping[str, int]
    event: CallEvent
    way: Way | None = None
    sent: bool = False
    done: bool = False
    lost: str | None = None

    @property
    def turns_back(self) -> bool:
        """Whether a rule chose its model, and the one that was asked for is still to be tried."""
        return self.call.decision is not None and self.call.decision.turns_back(self.route)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the caller is told of it beside the provider's answer."""
        told = [(b"x-outlay-request-id", self.event.id.encode())]
        return told if self.call.decision is None else [*told, *self.call.decision.headers(self.route)]


class Tries:
    """Settles tries with the quotas, by the prices; ``exporter`` makes spans of them, where somebody wants them."""

    def __init__(
        self,
        *,
        quotas: QuotaStore,
        prices: QuickPrices,
        meters: Meters,
        clock: Callable[[], int],
        exporter: Exporter | None = None,
    ) -> None:
        self._quotas = quotas
        self._prices = prices
        self._meters = meters
        self._clock = clock
        self._exporter = exporter

    def goes(self, one: Try, headers: dict[str, str]) -> None:
        """A try that goes out with these headers, to which the span that it is in is added."""
        if self._exporter is not None:
            one.way = self._exporter.enter(headers, one.route)

    def by_answer(self, one: Try, said: Said | None, *, complete: bool, error: str | None = None) -> None:
        """Settle by the usage that was told; by the bound where none was."""
        if said is None:
            self.settle(one, None, "bound", error=error or "no usage")
            return
        raw, one.event.answered_model = said
        usage, wrong = read_usage(raw, one.route.upstream.priced_as, one.call.wire.flavor)
        if usage is None:
            self.settle(one, None, "bound", error=error or wrong)
        elif not complete and not one.call.spoken.goes_once and TOKENS in one.held.bound:
            self.settle(one, None, "bound", error=error)  # what was told is of the first round
        else:
            usage = with_what_was_asked(usage, raw, one.call)
            self.settle(one, usage, "usage" if complete else "received", error=error)

    def settle(self, one: Try, usage: Usage | None, by: Settled, *, error: str | None = None) -> None:
        """Settle by ``usage``, or by the bound, or as nothing."""
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
        saved = None if event.route is None else self._saved(one, done)
        told = event.to_bytes()
        one.done = True  # not before: where anything above fails, the call is settled at its bound instead
        if not self._quotas.settle(held.id, done.used, self._clock(), told):  # it had no hold, or its hold ran out
            self._quotas.tell(told)
        if done.cost is not None:
            amount, currency = done.cost
            one.call.costs[currency] = one.call.costs.get(currency, 0) + amount
        self._meters.settled(event, done.used, held.bound)
        if saved is not None and one.call.decision is not None:
            self._meters.saved(one.call.decision.rule, event.currency or "", saved)
        if self._exporter is not None and one.way is not None:
            self._exporter.settled(event, told, one.way)

    def _saved(self, one: Try, done: Settlement) -> int | None:
        """What a rule saved with this try, which is written down in the event with its estimate.

        The same usage at the price of the model that was asked for, less what the try cost: an estimate, because that
        model would have said something else, makes other tokens of a text, and may have had more of it in its cache.
        What a shadow cost, or a try whose answer nobody got, is a loss, and no estimate.
        """
        decision, route, cost = one.call.decision, one.event.route, done.cost
        if decision is None or route is None or not decision.chose(one.route):
            return None
        if one.lost is not None:
            route |= {"outcome": "failed", "why": one.lost}
        if one.lost is not None or decision.outcome == "shadow":
            saved, basis = (None if cost is None else -cost[0]), "extra_call"
        else:
            saved, basis = self._cheaper(one, done, route), "asked_price"
        if saved is not None and cost is not None:
            route |= {"saved": plain(in_unit(saved, cost[1])), "basis": basis}
        return saved

    def _cheaper(self, one: Try, done: Settlement, route: dict[str, Any]) -> int | None:
        """What the model that was asked for would have cost more; None, and why, where that is not known."""
        cost = done.cost
        if done.by != "usage" or done.usage is None or cost is None or one.call.decision is None:
            route["why"] = "its usage or its price is not known"
            return None
        asked = one.call.decision.asked[0]
        other = self._prices.cost(done.usage, asked.upstream.priced_as, asked.model, moment(one.held.at))
        if other.amount is None or other.currency != cost[1]:
            route["why"] = other.why or "the two models are priced in two currencies"
            return None
        return other.amount - cost[0]


def event_of(call: Call, route: Route, held: Held) -> CallEvent:
    """The event of a try that begins."""
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
        route=None if call.decision is None else call.decision.told(route, call),
    )
