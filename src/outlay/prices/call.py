"""What of a call selects its prices: whose model, when, how large, and in which circumstances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from outlay.prices.genai import Resolved
from outlay.prices.usage_shapes import ORDINARY

__all__ = ["BY_CAPACITY", "CONTEXT_WINDOWS", "Call", "circumstances", "context_text", "smallest", "special"]

CONTEXT_WINDOWS = {"0-200k": (0, 200_000), "200k-1m": (200_000, 1_000_000)}
"""What ``context_window`` says of a bucket (Anthropic's usage reports): each call's input is more than, and up to."""
_WINDOW = "context_window"
BY_CAPACITY = ("traffic_type", "provisioned_throughput")
"""The circumstance of a call that capacity served."""


@dataclass(frozen=True, slots=True)
class Call:
    """What selects prices: asked names, what they mean, and the circumstances. ``context`` has no ordinary values.

    Of calls that are added up ``input_tokens`` is a size that each may have, and ``window`` the sizes that are told of
    them: more than, and up to.
    """

    provider: str
    model: str
    found: Resolved | None
    at: datetime
    input_tokens: int
    context: Mapping[str, str]
    window: tuple[int, int] | None = None

    @property
    def by_capacity(self) -> bool:
        """Whether capacity that was bought served it (Vertex' provisioned throughput): its tokens have no price."""
        return self.context.get(BY_CAPACITY[0]) == BY_CAPACITY[1]


def special(context: Mapping[str, str]) -> dict[str, str]:
    """A price context without what means the ordinary price."""
    lowered = {key: value.strip().lower() for key, value in context.items()}
    return {key: value for key, value in lowered.items() if value not in ORDINARY}


def circumstances(context: Mapping[str, str]) -> tuple[dict[str, str], tuple[int, int] | None]:
    """What is special in a context but its context window, and the sizes of calls that this tells.

    A window decides by size, as prices for long input do, and is no circumstance with a price of its own.
    """
    asked = special(context)
    window = CONTEXT_WINDOWS.get(asked.get(_WINDOW, ""))
    if window is not None:
        del asked[_WINDOW]
    return asked, window


def smallest(window: tuple[int, int] | None) -> int:
    """The size that added-up calls are priced by: the least that each may have."""
    return window[0] + 1 if window is not None else 0


def context_text(context: Mapping[str, str]) -> str:
    """A context as a column holds it: ``processing=batch;service_tier=flex``, empty for the ordinary price."""
    return ";".join(f"{key}={value}" for key, value in sorted(special(context).items()))
