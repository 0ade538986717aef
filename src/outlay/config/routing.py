"""``[[gateway.routes]]``: which calls go to another model than they ask for."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from outlay.config.base import Frozen, ShownShare, Values

__all__ = ["RouteSettings", "named"]


def named(model: str, patterns: Iterable[str]) -> bool:
    """Whether a model's name is one of these, or has one of these beginnings: ``gpt-5*``."""
    return any(model == one or (one.endswith("*") and model.startswith(one[:-1])) for one in patterns)


class RouteSettings(Frozen):
    """``[[gateway.routes]]``: one rule. The first that fits, and whose conditions hold, sends a call elsewhere."""

    id: str | None = Field(
        None, min_length=1, max_length=100, description="its name in events and metrics; else made of the models"
    )
    scope: dict[str, Values] = Field(
        default_factory=dict, description="which calls: tags and key, as in a quota; all unless given"
    )
    model: Values = Field(description='models that calls ask for; "gpt-5*" is a beginning')
    to: Values = Field(description="model to send them to; of several, the first whose score meets at_least")
    at_least: ShownShare | None = Field(None, description="least average score, from 0 to 1, that a model of to needs")
    scores: dict[str, ShownShare] = Field(default_factory=dict, description="scores that you declare, by model")
    evidence: Path | None = Field(
        None, description="file of outlay route evaluate --out; of its scores the lower end of the interval counts"
    )
    recover: ShownShare | None = Field(
        None, description="part of the gap to recover, 0.5, 0.8 or 0.95: asks the classifier of the evidence"
    )
    longest_prompt: int | None = Field(None, ge=1, description="longer prompts stay, in characters")
    share: ShownShare = Field(Decimal(1), description="share of the conversations that go, for a trial")
    mode: Literal["route", "cascade", "shadow"] = Field(
        "route",
        description="cascade asks the other model first, and the asked one where its answer fails a check; "
        "shadow sends it a copy and keeps its answer from callers",
    )
    checks: tuple[Literal["length", "refusal", "invalid_json", "empty"], ...] = Field(
        ("length", "refusal", "invalid_json", "empty"),
        min_length=1,
        description="what an answer in a cascade must not be",
    )
    sticky_seconds: int = Field(
        300,
        ge=0,
        le=604_800,
        description="for how long a conversation that the asked model had to answer stays with it; 0: not at all",
    )

    @property
    def name(self) -> str:
        """What it is called."""
        return self.id or f"{' or '.join(self.model)} -> {' or '.join(self.to)}"

    @model_validator(mode="after")
    def _says_enough(self) -> RouteSettings:
        if not self.name.isprintable():
            raise ValueError("the id holds what can't be printed")  # it is sent as a header
        if special := sorted({"model", "upstream", "provider"} & self.scope.keys()):
            raise ValueError(f"'{special[0]}' is no scope of a rule: what calls ask for goes into model")
        if any("*" in one for one in self.to):
            raise ValueError("to names models, without *")
        if "checks" in self.model_fields_set and self.mode != "cascade":
            raise ValueError('checks are for mode = "cascade"')
        self._scores_fit()
        if self.recover is not None and (self.evidence is None or len(self.model) > 1 or "*" in self.model[0]):
            raise ValueError("recover needs evidence, and one model without *, because a classifier is of two models")
        if self.evidence is not None and self.at_least is None and self.recover is None:
            raise ValueError("evidence is for at_least or recover, and neither is given")
        return self

    def _scores_fit(self) -> None:
        if len(self.to) > 1 and self.at_least is None:
            raise ValueError("to names several models: say with at_least which score is enough")
        if self.at_least is not None:
            lacking = [] if self.evidence is not None else [one for one in self.to if one not in self.scores]
            if lacking:
                raise ValueError(f"at_least needs evidence, or the score of '{lacking[0]}' in scores")
        elif self.scores:
            raise ValueError("scores are for at_least, which is not given")
        if self.scores and self.evidence is not None:
            raise ValueError("scores come from the evidence or are declared: give one of the two")
