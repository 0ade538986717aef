"""A file of logged prompts, evaluated: first whether there is anything to route, then how well each way does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlay.errors import UsageError
from outlay.optimize.routing.classifier import seen
from outlay.optimize.routing.dominance import Dominance, Standing, dominance
from outlay.optimize.routing.logged import Logged
from outlay.optimize.routing.pair import Pair, paired
from outlay.optimize.routing.resampling import RESAMPLES

__all__ = ["Evaluation", "evaluate"]

_MOST_PAIRS = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a file tells. ``left_out`` are models that no other one was compared with; ``why``: why there is no pair."""

    source: str
    rows: int
    currency: str
    dominance: Dominance
    pairs: tuple[Pair, ...]
    why: str | None
    left_out: tuple[str, ...]
    resamples: int
    seed: int


def evaluate(
    logged: Logged,
    *,
    weak: str | None = None,
    strong: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Evaluate a file: the pair that is named, else the best model beside each that none dominates.

    The same file and seed give the same figures. Raises :class:`UsageError`.
    """
    if weak is not None and weak == strong:
        raise UsageError(f"'{weak}' is both the weak and the strong model.", hint="Name two.")
    found = dominance(logged, resamples, np.random.default_rng(seed))
    wanted, left_out, why = _wanted(logged, found, weak, strong)
    features = seen([prompt or "" for prompt in logged.prompts])
    measured = [(names, paired(logged, *names, features, resamples=resamples, seed=seed)) for names in wanted]
    pairs = tuple(pair for _, pair in measured if pair is not None)
    if why is None and not pairs and measured:
        why = f"no prompt has a score of '{measured[0][0][0]}' and of '{measured[0][0][1]}'."
    return Evaluation(logged.source, logged.rows, logged.currency, found, pairs, why, left_out, resamples, seed)


def _wanted(
    logged: Logged, found: Dominance, weak: str | None, strong: str | None
) -> tuple[list[tuple[str, str]], tuple[str, ...], str | None]:
    """The pairs to measure, weak first; the models that are left out of them, and why there is none."""
    if weak is not None and strong is not None:
        return [(weak, strong)], (), None
    standings = {one.name: one for one in found.standings}
    if not standings:
        return [], (), "no prompt has a score of every model: name a pair with --weak and --strong."
    if len(logged.models) == 1:
        return [], (), "there is one model only."
    best = strong or max(found.standings, key=_rank).name
    others = [one for one in found.standings if one.name != best and one.dominated_by is None]
    if weak is not None:
        others = [standings[weak]]
        best = max((one for one in found.standings if one.name != weak), key=_rank).name
    if not others:
        return [], (), f"every other model is no better than '{best}' and no cheaper."
    worse = sorted((one for one in others if one.quality < standings[best].quality or weak), key=_rank, reverse=True)
    if not worse:
        return [], (), f"no model is weaker than '{best}': there is no gap to recover."
    chosen = [one.name for one in worse[:_MOST_PAIRS]]
    left_out = tuple(one.name for one in found.standings if one.name != best and one.name not in chosen)
    return [(name, best) for name in chosen], left_out, None


def _rank(one: Standing) -> tuple[float, float]:
    return one.quality, -float(one.cost or 0)
