"""How sure a figure is: the same figure of a thousand samples drawn anew from the logged prompts.

The percentile bootstrap: as many prompts as there are, drawn with replacement; the middle 95% of what comes out is the
interval. A prompt that was logged twice is drawn as one. It tells what another sample of the same traffic may have
shown, and nothing of traffic that changes; a fitted classifier is not fitted anew in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "RESAMPLES", "SURE", "Interval", "draws", "interval"]

RESAMPLES = 1000
SURE = 0.95
FEWEST = 30
"""Fewest distinct prompts for an interval: of fewer, a resample says little that the prompts don't."""

Interval = tuple[float, float]


def draws(groups: NDArray[np.int64], count: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """How often each row counts, ``count`` times."""
    number = int(groups.max()) + 1
    for _ in range(count):
        drawn = np.bincount(rng.integers(0, number, number), minlength=number)
        yield drawn[groups].astype(np.float64)


def interval(values: Sequence[float | None]) -> Interval | None:
    """The middle 95%; None where too many samples have no value at all."""
    known = [one for one in values if one is not None]
    if not known or len(known) < SURE * len(values):
        return None
    low, high = np.percentile(known, [100 * (1 - SURE) / 2, 100 * (1 + SURE) / 2])
    return float(low), float(high)
