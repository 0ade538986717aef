"""The most that a call can use, before it is made: what is asked of the quotas.

Text is bounded by the bytes of the body, as no tokenizer makes more than a token of a byte, with what the provider
may add to it (``hidden_tokens``). What is not in the body as text (images, files, what stands at the provider) is
bounded by the model's context window. Input counts at the dearest that it may be billed at, output at the number of
tokens that the call is let have. Where no bound is known, quotas in that measure deny the call.
"""

from __future__ import annotations

from outlay.config.gateway import GatewaySettings
from outlay.gateway.routes import Upstream
from outlay.gateway.wires.spoken import Json, Spoken
from outlay.operate.quotas.ask import Ask
from outlay.operate.quotas.limit import REQUESTS, TOKENS
from outlay.operate.quotas.quota import Attributes
from outlay.operate.quotas.window import moment
from outlay.prices.ceiling import Ceilings, Options, Unbounded, asked
from outlay.prices.genai import context_window

__all__ = ["Bounds"]

_MOST_OPTIONS = 1000
_MOST_DELAY_SECONDS = 300
"""A quota may slow a call by so much before it goes out. No hold runs out while its call is under way."""


class Bounds:
    """What calls ask of the quotas, by the prices of ``ceilings``."""

    def __init__(self, ceilings: Ceilings, settings: GatewaySettings) -> None:
        self._ceilings = ceilings
        self._settings = settings
        self._options: dict[tuple[object, ...], Options] = {}

    def ask(
        self,
        id: str,
        attributes: Attributes,
        spoken: Spoken,
        body: Json,
        *,
        size: int,
        upstream: Upstream,
        model: str,
        now: int,
    ) -> Ask:
        """What a call of ``size`` bytes to this upstream's ``model`` asks of the quotas."""
        settings = self._settings
        lives = max(settings.hold_seconds, _MOST_DELAY_SECONDS + upstream.settings.timeout_seconds) * 1000
        if spoken.free:
            return Ask(id, attributes, {REQUESTS: 1, TOKENS: 0}, may_be_unpriced=True, lives=lives)
        fixed = {REQUESTS: 1}
        each: dict[str, int] = {}
        most = least = 0
        if spoken.max_tokens is not None:
            most = least = spoken.max_tokens
        elif spoken.has_output:
            most = upstream.settings.max_tokens or settings.max_tokens
            least = min(settings.least_tokens, most)
        input_tokens, unbounded = self._input(spoken, upstream, model, size, now)
        if input_tokens is not None:
            rounds = spoken.rounds
            outputs = spoken.choices * rounds if spoken.has_output else 0
            fixed[TOKENS] = input_tokens * rounds + spoken.more_output * outputs
            if outputs:
                each[TOKENS] = outputs
            options = self._of(spoken, body)
            ceiling = self._ceilings.ceiling(upstream.priced_as, model, moment(now), input_tokens, options)
            if isinstance(ceiling, Unbounded):
                unbounded = ceiling.why
            else:
                output = ceiling.output or 0
                fees = ceiling.request + max(1, rounds - 1) * sum(ceiling.fees.values())
                input_cost = input_tokens * rounds * ceiling.input
                fixed[ceiling.currency] = input_cost + spoken.more_output * outputs * output + fees
                if outputs:
                    each[ceiling.currency] = output * outputs
        may_be_unpriced = settings.unpriced == "allow"
        return Ask(id, attributes, fixed, each, most, least, unbounded, may_be_unpriced, lives)

    def _input(
        self, spoken: Spoken, upstream: Upstream, model: str, size: int, now: int
    ) -> tuple[int | None, str | None]:
        """The most tokens of input that the model reads in one go, or why nobody knows."""
        if spoken.unbounded is not None:
            return None, spoken.unbounded
        if spoken.not_inline is None:
            return size + upstream.settings.hidden_tokens + spoken.more_input, None
        window = upstream.settings.context_window or self._window(upstream.priced_as, model, now)
        if window is not None:
            return window, None
        why = f"it holds more than text ({spoken.not_inline}), and how much '{model}' reads at most is not known."
        return None, f"{why} Give context_window to the upstream '{upstream.id}'."

    def _window(self, provider: str, model: str, now: int) -> int | None:
        """The model's context window by the price list; None where that prices longer calls too, and so is no limit."""
        window = context_window(provider, model)
        if window is None:
            return None
        found = self._ceilings.ceiling(provider, model, moment(now), window)
        return window if isinstance(found, Unbounded) or found.up_to is None else None

    def _of(self, spoken: Spoken, body: Json) -> Options:
        """What is known of the call's price, remembered by what it says of it."""
        only = asked(body)
        key = (only, spoken.media, spoken.output_media, spoken.tools, spoken.has_output)
        found = self._options.get(key)
        if found is None:
            if len(self._options) >= _MOST_OPTIONS:
                self._options.clear()
            found = self._options[key] = Options(
                only,
                tuple(sorted(spoken.media)),
                tuple(sorted(spoken.output_media)),
                spoken.tools,
                spoken.has_output,
            )
        return found
