"""What stands: the recommendation of a pool, since when it holds, and what became of the one before.

A plan is a moment's; money is bound on what has held. So each computation is laid beside the one before, pool by pool.
It is the same recommendation while verdict and offer are the same and the level stays within a tenth of the level that
it began with. (Of the one it began with, not of the last: small steps would otherwise carry it anywhere and leave it
its date.) The level counts what is owned, so that buying what is recommended does not change it. What changed is one of

- ``new``: a pool that nothing was recommended for is to be committed to;
- ``withdrawn``: it was to be committed to and no longer is; the reason is kept: a sudden drop of demand above all;
- ``fulfilled``: it no longer is, because what is owned covers it;
- ``changed``: anything else: another verdict, another offer, another level.

A pool of which the ledger knows no demand any more has no plan; what stood for it is withdrawn by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from outlay.money import plain
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.ledger_pools.pools import stamp
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.optimize.commitments.verdict import Word

__all__ = [
    "LEVEL_KEPT", "Before", "Change", "Computation", "Recommendation", "Trigger", "recommended", "since_of", "stand",
]  # fmt: skip

LEVEL_KEPT = Decimal("0.10")
"""How far the level may move, up or down, and still be the same recommendation."""
_CENT = Decimal("0.01")
_GONE = "The ledger knows no demand of this pool any more."
_BACK = "Demand of this pool in the ledger."

Change = Literal["new", "changed", "fulfilled", "withdrawn"]
Trigger = Literal["load", "daily", "asked"]


@dataclass(frozen=True, slots=True)
class Computation:
    """One computation: when, why, and of what: the digest of all that it rests on, and the tables' versions.

    ``glance`` is the digest of the files that it was read from; None where there is none.
    """

    at: datetime
    trigger: Trigger
    inputs: str
    tables: Mapping[str, int]
    glance: str | None = None

    def same_glance(self, glance: str, now: datetime, fresh: timedelta) -> bool:
        """Whether what was computed stands without another look: of the same files, less than ``fresh`` ago."""
        return self.glance == glance and now - self.at < fresh


@dataclass(frozen=True, slots=True)
class Before:
    """What a recommendation took the place of."""

    verdict: Word
    since: datetime
    offer: str | None
    level: Decimal | None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One pool's, as of one computation; the columns of the table of that name.

    ``offer`` to ``p50`` are None unless the verdict is commit. ``covered`` is not kept: it tells what is fulfilled from
    what is withdrawn.
    """

    computed: Computation
    pool: str
    verdict: Word
    since: datetime
    because: str
    reasons: tuple[str, ...]
    would_change: tuple[str, ...]
    unit: str
    owned: Decimal
    demand_until: datetime | None = None
    offer: str | None = None
    level: Decimal | None = None
    level_then: Decimal | None = None
    buy: Decimal | None = None
    currency: str | None = None
    p50: Decimal | None = None
    change: Change | None = None
    before: Before | None = None
    covered: bool = False

    def goes_on(self, earlier: Recommendation) -> bool:
        """Whether this is what ``earlier`` was: verdict and offer, and about the level that it began with."""
        if (self.verdict, self.offer) != (earlier.verdict, earlier.offer):
            return False
        if self.level is None or earlier.level_then is None:
            return self.level is earlier.level_then
        return abs(self.level - earlier.level_then) <= LEVEL_KEPT * earlier.level_then

    def to_json(self) -> dict[str, Any]:
        """For ``--json``; ``before`` is null where it went on as it was."""
        return {
            "pool": self.pool,
            "verdict": self.verdict,
            "since": stamp(self.since),
            "because": self.because,
            "reasons": list(self.reasons),
            "would_change": list(self.would_change),
            "offer": self.offer,
            "unit": self.unit,
            "level": _text(self.level),
            "buy": _text(self.buy),
            "owned": plain(self.owned),
            "currency": self.currency,
            "p50": _text(self.p50),
            "computed_at": stamp(self.computed.at),
            "trigger": self.computed.trigger,
            "demand_until": stamp(self.demand_until),
            "change": self.change,
            "before": None
            if self.before is None
            else {
                "verdict": self.before.verdict,
                "since": stamp(self.before.since),
                "offer": self.before.offer,
                "level": _text(self.before.level),
            },
        }


def recommended(plan: Plan, computed: Computation) -> list[Recommendation]:
    """What ``plan`` recommends, as if nothing had stood before."""
    return [_of(one, computed) for one in plan.pools]


def stand(
    found: Sequence[Recommendation], earlier: Sequence[Recommendation], computed: Computation
) -> list[Recommendation]:
    """``found`` with since when each holds and what changed, beside ``earlier``, the computation before.

    Pools of which nothing is known any more are told once, at the end.
    """
    known = {one.pool: one for one in earlier}
    here = [_beside(one, known.pop(one.pool, None)) for one in found]
    return here + [_gone(one, computed) for one in known.values() if one.because != _GONE]


def since_of(plan: Plan, standing: Sequence[Recommendation]) -> dict[str, datetime]:
    """Since when what ``plan`` says of a pool has stood; pools of which something else stood last are left out."""
    known = {one.pool: one for one in standing}
    fresh = recommended(plan, standing[0].computed) if standing else []
    return {one.pool: known[one.pool].since for one in fresh if one.pool in known and one.goes_on(known[one.pool])}


def _of(one: PoolPlan, computed: Computation) -> Recommendation:
    verdict, end = one.verdict, one.demand.end
    best = verdict.best if verdict.word == "commit" else None
    level = None if best is None else gpus(best.nanos)
    owned = gpus(sum(held.nanos for held in one.owned))
    median = None if best is None or best.risk is None else Decimal(repr(float(best.risk.p50))).quantize(_CENT)
    return Recommendation(
        computed=computed,
        pool=one.pool,
        verdict=verdict.word,
        since=computed.at,
        because=verdict.because,
        reasons=verdict.reasons,
        would_change=verdict.changes,
        unit="on-demand money per hour" if one.union is not None and one.union.by_money else "GPUs",
        owned=owned,
        demand_until=end if isinstance(end, datetime) else None,
        offer=None if best is None else best.offer.name,
        level=level,
        level_then=level,
        buy=None if best is None else gpus(best.buy),
        currency=None if best is None else best.offer.currency,
        p50=median,
        covered=verdict.covered and owned > 0,
    )


def _beside(one: Recommendation, earlier: Recommendation | None) -> Recommendation:
    if earlier is None:
        return replace(one, change="new") if one.verdict == "commit" else one
    if one.goes_on(earlier):
        return replace(one, since=earlier.since, level_then=earlier.level_then)
    change: Change = "changed"
    if earlier.verdict == "commit" and one.verdict != "commit":
        change = "fulfilled" if one.covered else "withdrawn"
    return replace(one, change=change, before=Before(earlier.verdict, earlier.since, earlier.offer, earlier.level))


def _gone(earlier: Recommendation, computed: Computation) -> Recommendation:
    now = Recommendation(
        computed=computed,
        pool=earlier.pool,
        verdict="wait",
        since=computed.at,
        because=_GONE,
        reasons=(_GONE,),
        would_change=(_BACK,),
        unit=earlier.unit,
        owned=earlier.owned,
        demand_until=earlier.demand_until,
    )
    return _beside(now, earlier)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
