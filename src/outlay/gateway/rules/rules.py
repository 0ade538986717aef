"""``[[gateway.routes]]``: which calls go to another model than they ask for, and what becomes of that decision.

The first rule whose scope and model fit and whose conditions hold sends the call to its model; where none does, the
first that fitted says why. A rule never makes a call fail that would have worked: what the other model's provider or
quota refuses goes to the model that was asked for, and so does what a cascade finds wanting. A conversation stays where
its cache lives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from outlay.config.routing import named
from outlay.gateway.refusal import Refusal
from outlay.gateway.rules.checks import CHECKED
from outlay.gateway.rules.conversation import Conversation, Stays
from outlay.operate.quotas.quota import Scope

if TYPE_CHECKING:
    from outlay.gateway.callers import Caller
    from outlay.gateway.incoming import Call
    from outlay.gateway.routes import Route, Routes
    from outlay.optimize.routing.evidence import PairEvidence

__all__ = ["Decision", "Kind", "Outcome", "Rule", "Rules"]

Kind = Literal["always", "canary", "length", "classifier", "cascade", "shadow"]
Outcome = Literal[
    "routed",
    "shadow",
    "outside_share",
    "too_long",
    "needs_strong",
    "no_prompt",
    "streamed",
    "not_checked",
    "sticky",
    "not_allowed",
    "not_served",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry, its ladder climbed: calls that fit go ``to`` that model.

    ``pair`` and ``threshold`` are those of the classifier, where the rule asks one; ``checks`` are a cascade's.
    """

    id: str
    scope: Scope
    models: tuple[str, ...]
    to: str
    kind: Kind
    share: Decimal = Decimal(1)
    longest_prompt: int | None = None
    pair: PairEvidence | None = None
    threshold: float = 1.0
    checks: tuple[str, ...] = ()
    sticky: int = 0
    """milliseconds for which a conversation stays with the model that was asked for, once that had to answer"""

    def fits(self, model: str, attributes: Mapping[str, str]) -> bool:
        """Whether it is about calls of this model and these tags."""
        return model != self.to and named(model, self.models) and self.scope.fits(attributes)

    def kept(self, call: Call, talk: Conversation) -> Outcome | None:
        """Why a call that it fits stays with the model that was asked for; None where it goes."""
        if self.kind == "cascade":
            if call.spoken.stream:
                return "streamed"
            if call.wire.name not in CHECKED:
                return "not_checked"
        if self.share < 1:
            beginning = talk.beginning()
            if beginning is None:
                return "no_prompt"
            if not self._drawn(beginning):
                return "outside_share"
        if self.longest_prompt is None and self.pair is None:
            return None
        if talk.prompt is None:
            return "no_prompt"
        if self.longest_prompt is not None and len(talk.prompt) > self.longest_prompt:
            return "too_long"
        if self.pair is not None and self.pair.guess is not None:
            return "needs_strong" if self.pair.guess.chance(talk.prompt) >= self.threshold else None
        return None

    def _drawn(self, beginning: bytes) -> bool:
        digest = hashlib.blake2b(self.id.encode() + b"\0" + beginning, digest_size=8).digest()
        return int.from_bytes(digest) < self.share * (1 << 64)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule made of a call. ``routes`` lead to the model that it chose, ``asked`` to the one that was asked for.

    ``shadow_of`` is the call that a shadow stands beside.
    """

    by: Rule
    outcome: Outcome
    asked: tuple[Route, ...]
    talk: Conversation
    routes: tuple[Route, ...] = ()
    shadow_of: str | None = None

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.by.id

    @property
    def checks(self) -> tuple[str, ...]:
        """What an answer of the model that it chose must pass."""
        return self.by.checks

    def chose(self, route: Route) -> bool:
        """Whether the rule chose this route, and not the caller."""
        return any(one is route for one in self.routes)

    def turns_back(self, route: Route) -> bool:
        """Whether a call that fails on this route goes on to the model that was asked for."""
        return self.outcome == "routed" and self.chose(route)

    def told(self, route: Route, call: Call) -> dict[str, Any]:
        """As it stands in the event of a call that went over a route; what it saved is put in with the settlement."""
        fell_back = self.outcome == "routed" and not self.chose(route)
        return {
            "rule": self.by.id,
            "kind": self.by.kind,
            "from": call.spoken.model,
            "to": self.by.to,
            "outcome": "fell_back" if fell_back else self.outcome,
            "why": call.turned_back if fell_back else None,
            "saved": None,
            "basis": None,
            "shadow_of": self.shadow_of,
        }

    def headers(self, route: Route) -> list[tuple[bytes, bytes]]:
        """What the caller is told of it: the rule, where it chose the model that answers."""
        return [(b"x-outlay-route", self.by.id.encode("ascii", "replace"))] if self.chose(route) else []


class Rules:
    """All rules of a gateway, of which there is at least one. ``notes`` are what whoever starts it should know."""

    def __init__(self, rules: Sequence[Rule], routes: Routes, notes: Sequence[str] = ()) -> None:
        self._rules = tuple(rules)
        self._routes = routes
        self._stays = Stays()
        self.notes = tuple(notes)

    def decide(
        self, call: Call, caller: Caller, headers: Mapping[bytes, bytes], now: int
    ) -> tuple[Decision | None, Decision | None]:
        """What becomes of a call, and of its shadow; None where no rule is about it.

        Vectors of two models can't be compared, so calls for embeddings stay where they are.
        """
        if not call.spoken.has_output:
            return None, None
        fitting = [one for one in self._rules if one.fits(call.spoken.model, call.attributes)]
        if not fitting:
            return None, None
        talk = Conversation(caller.key, headers, call.body)
        found = self._first([one for one in fitting if one.kind != "shadow"], call, caller, talk, now)
        shadow = self._first([one for one in fitting if one.kind == "shadow"], call, caller, talk, now)
        return found, shadow if shadow is not None and shadow.routes else None

    def answered(self, call: Call, now: int) -> None:
        """A call that a rule sent elsewhere was answered: where the asked model had to do it, its cache lives there."""
        decision = call.decision
        if decision is not None and call.turned_back is not None and decision.by.sticky:
            self._stays.keep(decision.by.id, decision.talk.now(), now + decision.by.sticky)

    def _first(
        self, rules: Sequence[Rule], call: Call, caller: Caller, talk: Conversation, now: int
    ) -> Decision | None:
        first: Decision | None = None
        for rule in rules:
            one = self._one(rule, call, caller, talk, now)
            if one.routes or one.outcome == "sticky":
                return one
            first = first or one
        return first

    def _one(self, rule: Rule, call: Call, caller: Caller, talk: Conversation, now: int) -> Decision:
        if rule.sticky and self._stays.any(now) and self._stays.holds(rule.id, talk.before(), now):
            self._stays.keep(rule.id, talk.now(), now + rule.sticky)
            return Decision(rule, "sticky", call.routes, talk)
        kept = rule.kept(call, talk)
        if kept is None and not caller.may_call(rule.to):
            kept = "not_allowed"
        if kept is not None:
            return Decision(rule, kept, call.routes, talk)
        try:
            routes = self._routes.of(call.wire.name, rule.to, caller.upstreams)
        except Refusal:
            return Decision(rule, "not_served", call.routes, talk)
        return Decision(rule, "shadow" if rule.kind == "shadow" else "routed", call.routes, talk, routes)
