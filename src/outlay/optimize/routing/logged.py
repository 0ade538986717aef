"""Logged prompts: what each model scored on each, and what that cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Logged", "Model", "groups_of"]


@dataclass(frozen=True, slots=True)
class Model:
    """One model over all rows: ``scores`` from 0 to 1, NaN where missing; ``costs`` None where missing.

    ``why`` says why a model has no costs at all.
    """

    name: str
    scores: NDArray[np.float64]
    costs: tuple[Decimal | None, ...]
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """The rows of a file. ``prompts`` are None where it has none; ``chars`` is their length, -1 if untold."""

    models: tuple[Model, ...]
    prompts: tuple[str | None, ...]
    chars: NDArray[np.int64]
    groups: NDArray[np.int64]
    currency: str
    source: str
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many prompts were logged."""
        return len(self.prompts)

    def model(self, name: str) -> Model:
        """The model of a name that is known to be one."""
        return next(one for one in self.models if one.name == name)


def groups_of(prompts: Sequence[str | None], ids: Sequence[str | None]) -> NDArray[np.int64]:
    """A number for each distinct prompt, white space aside, or distinct id where there is no prompt.

    What was logged twice is one observation: it stays together when prompts are drawn or dealt into folds.
    """
    numbers: dict[object, int] = {}
    found = []
    for row, (prompt, name) in enumerate(zip(prompts, ids, strict=True)):
        key: object = row
        if prompt is not None:
            key = " ".join(prompt.split())
        elif name is not None:
            key = (name,)
        found.append(numbers.setdefault(key, len(numbers)))
    return np.array(found, dtype=np.int64)
