"""Learns the guess: a logistic regression, fitted by Newton's method, and judged by prompts that it has not seen.

It minimises the log loss plus half the squared weights (the intercept goes free), which has one minimum, so the same
prompts give the same weights. Each prompt is judged by a regression that was fitted without it: the prompts are
dealt into folds, and one text, however often it was logged, lies in one fold. Centring and scaling
are fitted within the fold too.

The trap: accuracy on prompts that it was fitted to. Those figures are never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outlay.optimize.routing.features import BUCKETS, FEATURES, dense, words
from outlay.optimize.routing.guess import Guess

__all__ = ["FOLDS", "LEAST_OF_A_KIND", "Seen", "fitted", "folds_of", "judged", "seen"]

FOLDS = 5
LEAST_OF_A_KIND = 10
"""Fewest prompts that need the strong model, and that do not, to learn anything from."""
_PENALTY = 1.0
_MOST_STEPS = 50
_CLOSE = 1e-8

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """The features of prompts: ``looks`` a column a feature, ``bags`` a column a bucket of words."""

    looks: Floats
    bags: Floats

    def of(self, rows: NDArray[np.bool_]) -> Seen:
        """Those of some prompts."""
        return Seen(self.looks[rows], self.bags[rows])


def seen(prompts: Sequence[str]) -> Seen:
    """The features of prompts."""
    looks = np.zeros((len(prompts), len(FEATURES)))
    bags = np.zeros((len(prompts), BUCKETS))
    for row, prompt in enumerate(prompts):
        looks[row] = dense(prompt)
        for bucket, value in words(prompt).items():
            bags[row, bucket] = value
    return Seen(looks, bags)


def folds_of(groups: NDArray[np.int64], rng: np.random.Generator, count: int = FOLDS) -> NDArray[np.int64]:
    """The fold of each row: the groups are shuffled and dealt in turn, so that none is torn apart."""
    number = int(groups.max()) + 1
    fold_of_group = np.empty(number, dtype=np.int64)
    fold_of_group[rng.permutation(number)] = np.arange(number) % count
    return fold_of_group[groups]


def judged(features: Seen, needs: NDArray[np.bool_], folds: NDArray[np.int64]) -> Floats | None:
    """The chance that each prompt needs the strong model, by a fit without its fold; None: nothing can be learnt."""
    found = np.empty(len(needs))
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        rest = needs[~held_out]
        if min(rest.sum(), (~rest).sum()) < LEAST_OF_A_KIND:
            return None
        found[held_out] = _chances(_fit(features.of(~held_out), rest), features.of(held_out))
    return found


def fitted(features: Seen, needs: NDArray[np.bool_]) -> Guess:
    """The guess by all prompts, for use on others."""
    return _fit(features, needs)


def _fit(features: Seen, needs: NDArray[np.bool_]) -> Guess:
    means, spreads = features.looks.mean(axis=0), features.looks.std(axis=0)
    spreads[spreads < 1e-12] = 1.0
    table = np.hstack([np.ones((len(needs), 1)), (features.looks - means) / spreads, features.bags])
    penalties = np.full(table.shape[1], _PENALTY)
    penalties[0] = 0.0
    weights = np.zeros(table.shape[1])
    share = needs.mean()
    weights[0] = np.log(share / (1 - share))
    target = needs.astype(np.float64)
    loss = _loss(table, target, weights, penalties)
    for _ in range(_MOST_STEPS):
        chances = _logistic(table @ weights)
        slope = table.T @ (chances - target) + penalties * weights
        curvature = (table * (chances * (1 - chances))[:, None]).T @ table + np.diag(penalties)
        step = np.linalg.solve(curvature, slope)
        length = 1.0
        while (after := _loss(table, target, weights - length * step, penalties)) > loss and length > 1e-6:
            length /= 2
        weights = weights - length * step
        if loss - after < _CLOSE * max(1.0, loss):
            break
        loss = after
    return Guess(float(weights[0]), tuple(weights[1:].tolist()), tuple(means.tolist()), tuple(spreads.tolist()))


def _loss(table: Floats, target: Floats, weights: Floats, penalties: Floats) -> float:
    told = table @ weights
    return float(np.sum(np.logaddexp(0, told) - target * told) + 0.5 * np.sum(penalties * weights**2))


def _chances(guess: Guess, features: Seen) -> Floats:
    weights = np.array(guess.weights)
    looks = (features.looks - np.array(guess.means)) / np.array(guess.spreads)
    told = guess.intercept + looks @ weights[: len(FEATURES)] + features.bags @ weights[len(FEATURES) :]
    return _logistic(told)


def _logistic(told: Floats) -> Floats:
    small = np.exp(-np.abs(told))
    found: Floats = np.where(told >= 0, 1 / (1 + small), small / (1 + small))
    return found
