"""What a call counts once it is over: by its usage, by what of it came, by its bound, or as nothing.

The rules are those of every call, whoever sent it:

- A usage that was told in full counts as it was told, at its price.
- A stream that broke tells its input; as much output as was held may have been made besides.
- Where nobody told a usage, or it has no price while the hold had one, the bound counts.
- What the provider did not do costs nothing. It is a request all the same if it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlay.errors import UsageError
from outlay.gateway.metering.event import CallEvent, Settled
from outlay.gateway.wires.spoken import Json
from outlay.money import plain
from outlay.operate.quotas.ask import Held
from outlay.operate.quotas.limit import REQUESTS, TOKENS, Measure, in_unit, is_money
from outlay.operate.quotas.window import moment
from outlay.prices.quick import QuickPrices
from outlay.prices.usage import Usage, normalise

__all__ = ["Settlement", "read_usage", "settlement"]

_Cost = tuple[int, Measure]


@dataclass(slots=True)
class Settlement:
    """By what a call was settled, what it ``used`` of each measure, and its cost, None where it has none.

    ``priced_model`` is the name that the cost was found by.
    """

    by: Settled
    used: dict[Measure, int]
    cost: _Cost | None = None
    usage: Usage | None = None
    error: str | None = None
    bound_input: int = 0
    bound_output: int = 0
    priced_model: str | None = None

    def tell(self, event: CallEvent) -> None:
        """Write it into the event of its call."""
        event.settled, event.usage, event.error = self.by, self.usage, self.error
        event.bound_input, event.bound_output = self.bound_input, self.bound_output
        event.priced_model = self.priced_model
        if self.cost is not None:
            event.cost, event.currency = plain(in_unit(*self.cost)), self.cost[1]


def read_usage(raw: Json, priced_as: str, flavor: str) -> tuple[Usage | None, str | None]:
    """The usage that a provider told, or why it can't be counted by."""
    try:
        usage = normalise(priced_as, raw, flavor=flavor)
    except (UsageError, ArithmeticError, RecursionError, TypeError, ValueError):
        return None, "unreadable usage"
    if not usage.input_tokens:  # an empty object, or nulls: no model reads nothing
        return None, "no usage"
    return usage, None


def settlement(
    held: Held,
    each: Mapping[Measure, int],
    by: Settled,
    usage: Usage | None,
    prices: QuickPrices,
    *,
    provider: str,
    models: Sequence[str],
    sent: bool = True,
    error: str | None = None,
) -> Settlement:
    """Settle a hold. ``each`` is what a unit of its output may cost; ``models`` are names that its price may be under,
    the best first."""
    bound = next(((amount, measure) for measure, amount in held.bound.items() if is_money(measure)), None)
    if by == "bound":
        return _at_bound(held, each, bound, error)
    used: dict[Measure, int] = {REQUESTS: 1 if sent else 0}
    if usage is None:
        return Settlement(by, used, error=error)
    used[TOKENS] = usage.input_tokens + usage.output_tokens
    cost, priced_model = _cost(held, usage, prices, provider, models)
    if cost is None and bound is not None:  # it used something without a price, which is not for nothing
        return _at_bound(held, each, bound, error or "unreadable usage")
    if by == "received":
        used[TOKENS] = usage.input_tokens + max(usage.output_tokens, each.get(TOKENS, 0) * held.units)
        if cost is not None and cost[1] in each:
            more = cost[0] + each[cost[1]] * held.units
            cost = (min(more, held.bound.get(cost[1], cost[0])), cost[1])
    if cost is not None:
        used[cost[1]] = cost[0]
    output = held.units * each.get(TOKENS, 1) if by == "received" else 0
    return Settlement(by, used, cost, usage, error, bound_output=output, priced_model=priced_model)


def _at_bound(held: Held, each: Mapping[Measure, int], bound: _Cost | None, error: str | None) -> Settlement:
    output = held.units * each.get(TOKENS, 1)  # of every answer, in every round
    most_input = max(0, held.bound.get(TOKENS, 0) - output)
    return Settlement("bound", dict(held.bound), bound, None, error, most_input, output)


def _cost(
    held: Held, usage: Usage, prices: QuickPrices, provider: str, models: Sequence[str]
) -> tuple[_Cost | None, str | None]:
    """The exact cost, and the name that it was found by."""
    at = moment(held.at)
    for model in dict.fromkeys(models):
        cost = prices.cost(usage, provider, model, at)
        if cost.amount is not None and cost.currency is not None:
            return (cost.amount, cost.currency), model
    return None, None
