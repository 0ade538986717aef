"""What of a call selects its prices: whose model, when, how large, and in which circumstances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from outlay.prices.genai import Resolved
from outlay.prices.usage_shapes import ORDINARY

__all__ = ["Call", "context_text", "special"]

_BY_CAPACITY = ("traffic_type", "provisioned_throughput")


@dataclass(frozen=True, slots=True)
class Call:
    """What selects prices: asked names, what they mean, and the circumstances. ``context`` has no ordinary values."""

    provider: str
    model: str
    found: Resolved | None
    at: datetime
    input_tokens: int
    context: Mapping[str, str]

    @property
    def by_capacity(self) -> bool:
        """Whether capacity that was bought served it (Vertex' provisioned throughput): its tokens have no price."""
        return self.context.get(_BY_CAPACITY[0]) == _BY_CAPACITY[1]


def special(context: Mapping[str, str]) -> dict[str, str]:
    """A price context without what means the ordinary price."""
    lowered = {key: value.strip().lower() for key, value in context.items()}
    return {key: value for key, value in lowered.items() if value not in ORDINARY}


def context_text(context: Mapping[str, str]) -> str:
    """A context as a column holds it: ``processing=batch;service_tier=flex``, empty for the ordinary price."""
    return ";".join(f"{key}={value}" for key, value in sorted(special(context).items()))
