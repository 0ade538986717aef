"""The most that a call can use, before it is made: what is asked of the quotas.

Text is bounded by the bytes of the body, as no tokenizer makes more than a token of a byte, with what the provider
may add to it (``hidden_tokens``). What is not in the body as text (images, files, what stands at the provider) is
bounded by the model's context window. Input counts at the dearest that it may be billed at, output at the number of
tokens that the call is let have. Where no bound is known, quotas in that measure deny the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from outlay.config.gateway import GatewaySettings
from outlay.gateway.routes import Route
from outlay.gateway.wires.spoken import Spoken
from outlay.operate.quotas.ask import Ask
from outlay.operate.quotas.limit import REQUESTS, TOKENS
from outlay.operate.quotas.quota import Attributes

__all__ = ["Ceiling", "Ceilings", "asked"]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The dearest that one token, request or use of a tool may be billed at, in 10 to the -18 of ``currency``."""

    currency: str
    input: int
    output: int
    request: int = 0
    fees: Mapping[str, int] = field(default_factory=dict)


class Ceilings(Protocol):
    """The price list, asked for the worst."""

    def of(
        self,
        provider: str,
        model: str,
        at: int,
        *,
        input_tokens: int,
        tier: str | None,
        media: frozenset[str],
        tools: tuple[str, ...],
    ) -> Ceiling | str:
        """The ceiling of a call of so many input tokens at most, or why none is known."""

    def window(self, provider: str, model: str) -> int | None:
        """The most input tokens that a model takes, None where nobody said."""


def asked(
    id: str,
    attributes: Attributes,
    spoken: Spoken,
    route: Route,
    *,
    body_bytes: int,
    now: int,
    ceilings: Ceilings,
    settings: GatewaySettings,
) -> Ask:
    """What a call over this route asks of the quotas."""
    upstream = route.upstream
    fixed = {REQUESTS: 1}
    each: dict[str, int] = {}
    unbounded = None
    most = least = 0
    if spoken.has_output:
        most = least = spoken.max_tokens if spoken.max_tokens is not None else 0
        if spoken.max_tokens is None:
            most = upstream.settings.max_tokens or settings.max_tokens
            least = min(settings.least_tokens, most)
    input_tokens: int | None = body_bytes + upstream.settings.hidden_tokens
    if spoken.not_inline is not None:
        input_tokens = upstream.settings.context_window or ceilings.window(upstream.priced_as, route.model)
        if input_tokens is None:
            unbounded = (
                f"it holds more than text ({spoken.not_inline}), and how much '{route.model}' reads at most is not "
                f"known. Give context_window to the upstream '{upstream.id}'."
            )
    if spoken.rounds is None:
        input_tokens = None
        unbounded = "the provider's own tools may run any number of times. Send max_tool_calls or max_uses."
    if input_tokens is not None:
        rounds = spoken.rounds or 1
        outputs = spoken.choices * rounds
        fixed[TOKENS] = input_tokens * rounds + spoken.more_output * outputs
        if spoken.has_output:
            each[TOKENS] = outputs
        ceiling = ceilings.of(
            upstream.priced_as,
            route.model,
            now,
            input_tokens=input_tokens,
            tier=spoken.tier,
            media=spoken.media,
            tools=spoken.tools,
        )
        if isinstance(ceiling, str):
            unbounded = ceiling
        else:
            fees = ceiling.request + max(1, rounds - 1) * sum(ceiling.fees.values())
            money = input_tokens * rounds * ceiling.input + spoken.more_output * outputs * ceiling.output + fees
            fixed[ceiling.currency] = money
            if spoken.has_output:
                each[ceiling.currency] = ceiling.output * outputs
    return Ask(
        id,
        attributes,
        fixed,
        each,
        most,
        least,
        unbounded,
        settings.unpriced == "allow",
        settings.hold_seconds * 1000,
    )
