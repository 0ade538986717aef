"""The rules that the settings declare, with the evidence that they rest on.

Which rung of a ladder a rule stands on is decided once, at the start: the first model whose score meets the threshold.
Of a measured score the lower end of its interval counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outlay.config.routing import RouteSettings
from outlay.errors import ConfigError, nearest
from outlay.gateway.routes import Routes
from outlay.gateway.rules.rules import Kind, Rule, Rules
from outlay.operate.quotas.quota import Scope
from outlay.optimize.routing.evidence import Evidence, PairEvidence, read_evidence

__all__ = ["rules_of"]


def rules_of(settings: Sequence[RouteSettings], routes: Routes, folder: Path) -> Rules | None:
    """The rules of the settings, None where there are none; ``folder`` is where their evidence lies.

    Raises :class:`ConfigError` where no model of a ladder meets its score, or the evidence does not say.
    """
    read: dict[Path, Evidence] = {}
    rules, notes = [], []
    for one in settings:
        evidence = None
        if one.evidence is not None:
            path = folder / one.evidence
            evidence = read[path] if path in read else read.setdefault(path, read_evidence(path))
        to = _rung(one, evidence)
        pair, threshold = _classifier(one, evidence, to)
        if pair is not None and pair.above_length is not True:
            notes.append(f"the rule '{one.name}' asks a classifier that was not shown to be better than prompt length")
        rules.append(
            Rule(
                one.name,
                Scope.of(one.scope),
                one.model,
                to,
                _kind(one),
                one.share,
                one.longest_prompt,
                pair,
                threshold,
                one.checks if one.mode == "cascade" else (),
                0 if one.mode == "shadow" else one.sticky_seconds * 1000,
            )
        )
    return Rules(rules, routes, notes) if rules else None


def _kind(one: RouteSettings) -> Kind:
    """What a rule is, in a word: how it sends, else what it chooses by."""
    if one.mode != "route":
        return one.mode
    if one.recover is not None:
        return "classifier"
    if one.longest_prompt is not None:
        return "length"
    return "canary" if one.share < 1 else "always"


def _rung(one: RouteSettings, evidence: Evidence | None) -> str:
    """The first model of the ladder that meets the score."""
    if one.at_least is None:
        return one.to[0]
    where = f"[[gateway.routes]] '{one.name}'"
    best: tuple[float, str] | None = None
    for model in one.to:
        if evidence is not None:
            if model not in evidence.least:
                raise ConfigError(
                    f"its evidence says nothing of '{model}'.", where=where, hint=nearest(model, evidence.least)
                )
            least = evidence.least[model]
            if least is None:
                raise ConfigError(
                    f"its evidence has too few prompts to say how well '{model}' does at least.",
                    where=where,
                    hint="Evaluate more prompts, or declare scores.",
                )
        else:
            least = float(one.scores[model])
        if least >= float(one.at_least):
            return model
        best = max(best or (least, model), (least, model))
    assert best is not None, "a ladder has a rung"
    raise ConfigError(
        f"no model meets the score of {one.at_least}: '{best[1]}' comes nearest with {best[0]:.3f}.",
        where=where,
        hint="Lower at_least, or take the rule out.",
    )


def _classifier(one: RouteSettings, evidence: Evidence | None, to: str) -> tuple[PairEvidence | None, float]:
    if one.recover is None or evidence is None:
        return None, 1.0
    where = f"[[gateway.routes]] '{one.name}'"
    (strong,) = one.model
    pair = evidence.pair(to, strong)
    if pair is None or pair.guess is None:
        raise ConfigError(
            f"its evidence has no classifier between '{to}' and '{strong}'.",
            where=where,
            hint=f"Write it with: outlay route evaluate FILE --weak {to} --strong {strong} --out EVIDENCE.",
        )
    threshold = pair.thresholds.get(float(one.recover))
    if threshold is None:
        known = " or ".join(f"{part:g}" for part in pair.thresholds)
        raise ConfigError(
            f"its evidence has no threshold for recover = {one.recover}.", where=where, hint=f"Write {known}."
        )
    return pair, threshold
