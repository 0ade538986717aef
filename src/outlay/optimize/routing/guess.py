"""The guess at whether a prompt needs the strong model: one sum of weights, as a gateway makes it on each call.

No numpy here: a gateway starts without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from outlay.optimize.routing.features import BUCKETS, FEATURES, both

__all__ = ["Guess"]


@dataclass(frozen=True, slots=True)
class Guess:
    """A logistic regression: ``weights`` are those of the features, then of the buckets of words.

    Features are centred on ``means`` and divided by ``spreads`` first.
    """

    intercept: float
    weights: tuple[float, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.weights) != len(FEATURES) + BUCKETS:
            raise ValueError(f"{len(self.weights)} weights for {len(FEATURES) + BUCKETS} features")
        if len(self.means) != len(FEATURES) or len(self.spreads) != len(FEATURES):
            raise ValueError("as many means and spreads as features are needed")
        numbers = (self.intercept, *self.weights, *self.means, *self.spreads)
        if not all(map(math.isfinite, numbers)) or min(self.spreads) <= 0:
            raise ValueError("weights are finite, and spreads above 0")

    def chance(self, prompt: str) -> float:
        """How likely the strong model does better on it, by the guess; from 0 to 1."""
        total, (looks, buckets) = self.intercept, both(prompt)
        for value, mean, spread, weight in zip(looks, self.means, self.spreads, self.weights, strict=False):
            total += (value - mean) / spread * weight
        for bucket, value in buckets.items():
            total += value * self.weights[len(FEATURES) + bucket]
        return 1 / (1 + math.exp(-total)) if total >= 0 else math.exp(total) / (1 + math.exp(total))
