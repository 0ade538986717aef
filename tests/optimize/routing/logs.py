"""Logged prompts made up for tests."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from outlay.optimize.routing.log_file import read_logged
from outlay.optimize.routing.logged import Logged, Model, groups_of

__all__ = ["hard_prompts", "logged", "no_prices", "read", "write"]


def logged(
    scores: Mapping[str, Sequence[float]],
    costs: Mapping[str, Sequence[str]] | None = None,
    prompts: Sequence[str] | None = None,
) -> Logged:
    """Prompts of the given scores and costs; each prompt is another one unless they are given."""
    rows = len(next(iter(scores.values())))
    texts: list[str | None] = list(prompts) if prompts is not None else [None] * rows
    models = [
        Model(
            name,
            np.array(values, dtype=np.float64),
            tuple(Decimal(one) for one in costs[name]) if costs else (None,) * rows,
        )
        for name, values in scores.items()
    ]
    chars = np.array([-1 if one is None else len(one) for one in texts])
    return Logged(tuple(models), tuple(texts), chars, groups_of(texts, [None] * rows), "USD", "made-up.csv")


def hard_prompts(rows: int, seed: int = 7) -> Logged:
    """Prompts of which those about proofs need the strong model, whatever their length."""
    rng = np.random.default_rng(seed)
    hard = rng.random(rows) < 0.4
    prompts = [
        f"Please {'prove' if one else 'translate'} number {n}{' and so on' * int(rng.integers(0, 9))}"
        for n, one in enumerate(hard)
    ]
    weak = np.where(hard, rng.random(rows) < 0.2, rng.random(rows) < 0.9).astype(float)
    strong = (rng.random(rows) < 0.92).astype(float)
    costs = {"small": ["0.0001"] * rows, "large": ["0.002"] * rows}
    return logged({"small": weak.tolist(), "large": strong.tolist()}, costs, prompts)


def no_prices(model: str, input_tokens: int, output_tokens: int) -> str:
    return f"no price of {model} for {input_tokens} and {output_tokens}"


def read(path: Path, named: Sequence[str] = (), **more: Any) -> Logged:
    return read_logged(path, named=named, currency="USD", price=more.get("price", no_prices))


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A CSV file of these rows."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
