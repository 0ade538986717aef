"""Guardrails: what no plan may pass, checked over the whole plan and told one by one.

Limits on money hold for the plan as a whole, all pools and all steps of their ladders together, because a limit per
pool is none where there are many pools. A plan that passes a limit is not shrunk to fit: which purchase to give up is a
person's decision. It is sealed as not executable, with the guardrail and by how much.

A check has three answers. What can't be checked (the last purchase of a pool is not known) is not passed: it is *not
known*, and must be known before anything is bought.

One check is nobody's setting. A pool may be planned on its own and again in a union with others (:mod:`~.union`): both
are sound, and both together would commit to its demand twice. Such a plan is not executable until a person has chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise

from outlay.config import GuardrailSettings
from outlay.money import add_exactly, percent, plain
from outlay.optimize.commitments.alternatives import Comparison, comparisons
from outlay.optimize.commitments.offers.offer_file import EVERY_POOL
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.optimize.commitments.plan_json import cents, ratio
from outlay.optimize.commitments.sealed.purchase import Purchase
from outlay.optimize.commitments.sealed.union_coverage import union_coverage
from outlay.optimize.commitments.sizing import Levels

__all__ = ["Check", "Occasion", "checks", "family"]

_RECENT_HOURS = 90 * 24
_SETTING = "[commitments.guardrails]"
_UNKNOWN = "Nothing is known of the demand of the last 90 days."


@dataclass(frozen=True, slots=True)
class Check:
    """A guardrail held against the plan (``pool`` None) or a pool of it. ``passed`` is None where nobody can know."""

    name: str
    pool: str | None
    limit: str | None
    actual: str | None
    passed: bool | None
    words: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a plan's own figures don't hold: when it is sealed (naive UTC), in which ``currency`` the limits are.

    ``last_purchases`` has the day of the last purchase for a pool, None where there never was one; ``*`` stands for
    every pool that is not named. A pool that is missing is not known.
    """

    created: datetime
    currency: str
    last_purchases: Mapping[str, date | None]


def checks(plan: Plan, bought: Sequence[Purchase], due: Sequence[Purchase], occasion: Occasion) -> tuple[Check, ...]:
    """Every guardrail against ``bought``, all purchases of ``plan``; ``due`` are those that it may make itself."""
    rails = plan.settings.guardrails
    by_pool = {one.pool: one for one in plan.pools}
    found = [*_money(rails, bought, occasion.currency), _overlap(plan, bought), _age(plan, rails, occasion)]
    for name in dict.fromkeys(one.pool for one in bought):
        own = [one for one in bought if one.pool == name]
        found.append(_term(rails, own))
        found.append(_families(rails, own[0]))
        found.append(_coverage(rails, by_pool[name], own, by_pool))
        found.append(_spike(rails, by_pool[name]))
        found.append(_cooldown(rails, own[0], [one for one in due if one.pool == name], occasion))
    return tuple(found)


def family(pool: str) -> str:
    """``H100/us-east-1/inference`` is of the family ``H100``."""
    return pool.split("/", 1)[0].strip()


def _money(rails: GuardrailSettings, bought: Sequence[Purchase], currency: str) -> Iterator[Check]:
    others = sorted({one.offer.currency for one in bought} - {currency})
    amounts = (
        ("max_total", rails.max_total, [one.total for one in bought], "over all terms"),
        ("max_hourly", rails.max_hourly, [one.hourly for one in bought], "an hour"),
    )
    for name, limit, parts, span in amounts:
        if others:
            said = f"Purchases are in {', '.join(others)}: they can't be added up in {currency}, the limits' currency."
            yield Check(name, None, _plain(limit), None, True if limit is None else None, said)
            continue
        actual = add_exactly(parts)
        told = f"The plan binds {plain(actual)} {currency} {span}"
        if limit is None:
            yield Check(name, None, None, plain(actual), True, f"{told}; no limit is set ({_SETTING} {name}).")
        elif actual <= limit:
            yield Check(name, None, plain(limit), plain(actual), True, f"{told}, at most {plain(limit)}.")
        else:
            over = f"{told}: {plain(actual - limit)} more than the {plain(limit)} that are allowed."
            yield Check(name, None, plain(limit), plain(actual), False, over)


def _overlap(plan: Plan, bought: Sequence[Purchase]) -> Check:
    named: dict[str, list[str]] = {}
    for pool, members in dict.fromkeys((one.pool, one.members) for one in bought):
        for member in members or (pool,):
            named.setdefault(member, []).append(pool)
    twice = {member: pools for member, pools in named.items() if len(pools) > 1}
    most = max((len(pools) for pools in named.values()), default=0)
    if not twice:
        return Check("overlap", None, "1", str(most), True, "No pool is committed to twice by this plan.")
    told = "; ".join(f"{member} in {' and '.join(pools)}" for member, pools in sorted(twice.items()))
    worth = "".join(_worth(one) for one in comparisons(plan).values() if set(one.alone.pools) & set(twice))
    said = f"Pools are committed to more than once: {told}.{worth} Choose with --buy."
    return Check("overlap", None, "1", str(most), False, said)


def _worth(one: Comparison) -> str:
    """What each of two alternatives is expected to save: who chooses must know."""
    months = one.months
    together, alone = (one.together.saving, one.alone.saving) if months else (one.together.monthly, one.alone.monthly)
    if together is None or alone is None:
        return ""
    span = f"over {months} months" if months else "a month of the term"
    names = " and ".join(one.alone.pools)
    return f" {one.union} is expected to save {cents(together)} {one.currency} {span}, {names} alone {cents(alone)}."


def _age(plan: Plan, rails: GuardrailSettings, occasion: Occasion) -> Check:
    limit = str(rails.valid_days)
    if plan.today is None:
        said = "The demand's hours have no dates: how old it is, nobody can tell."
        return Check("valid_days", None, limit, None, None, said)
    days = max(0, (occasion.created.date() - plan.today).days)
    passed = days <= rails.valid_days
    said = f"The demand ends {days} days before this plan was made" + (
        f", at most {limit}." if passed else f": {days - rails.valid_days} more than the {limit} that are allowed."
    )
    return Check("valid_days", None, limit, str(days), passed, said)


def _term(rails: GuardrailSettings, own: Sequence[Purchase]) -> Check:
    limit, actual = rails.max_term_months, max(one.offer.term_months for one in own)
    passed = actual <= limit
    said = f"A term of {actual} months" + (
        f", at most {limit}." if passed else f": {actual - limit} more than the {limit} that are allowed."
    )
    return Check("max_term_months", own[0].pool, str(limit), str(actual), passed, said)


def _families(rails: GuardrailSettings, one: Purchase) -> Check:
    actual = list(dict.fromkeys(family(name) for name in one.members or (one.pool,)))
    told = ", ".join(actual)
    if not rails.families:
        said = f"{told}; no families are named, so all are allowed ({_SETTING} families)."
        return Check("families", one.pool, None, told, True, said)
    allowed = {name.casefold() for name in rails.families}
    outside = [name for name in actual if name.casefold() not in allowed]
    limit = ", ".join(rails.families)
    said = f"{', '.join(outside)} is not among {limit}." if outside else f"{told} is among {limit}."
    return Check("families", one.pool, limit, told, not outside, said)


def _coverage(
    rails: GuardrailSettings, pool: PoolPlan, own: Sequence[Purchase], by_pool: Mapping[str, PoolPlan]
) -> Check:
    """What is owned and what is bought, over the demand of the last ninety days."""
    limit = rails.coverage_ceiling
    levels = Levels(pool.demand.last(_RECENT_HOURS))
    if not levels.total:
        return Check("coverage_ceiling", pool.pool, plain(limit), None, None, _UNKNOWN)
    if pool.members:
        actual = union_coverage(pool, own, by_pool, _RECENT_HOURS)
    else:
        actual = Decimal(levels.used(max(one.owned_then for one in own))) / levels.total
    passed = actual <= limit
    told = f"With what is owned it covers {percent(actual, to_tenths=True)} of the demand of the last 90 days"
    said = f"{told}, at most {percent(limit)}."
    if not passed:
        over = plain(((actual - limit) * 100).quantize(Decimal("0.01")))
        said = f"{told}: {over} points more than the {percent(limit)} that are allowed."
    return Check("coverage_ceiling", pool.pool, plain(limit), ratio(actual), passed, said)


def _spike(rails: GuardrailSettings, pool: PoolPlan) -> Check:
    limit, actual = rails.spike, pool.evidence.spike
    if actual is None:
        return Check("spike", pool.pool, plain(limit), None, None, _UNKNOWN)
    passed = actual < limit
    side = "above" if actual >= 0 else "below"
    told = f"The last 14 days are {percent(abs(actual), to_tenths=True)} {side} the last 90"
    said = f"{told}, under {percent(limit)}." if passed else f"{told}: a spike is from {percent(limit)} on."
    return Check("spike", pool.pool, plain(limit), ratio(actual), passed, said)


def _cooldown(rails: GuardrailSettings, one: Purchase, due: Sequence[Purchase], occasion: Occasion) -> Check:
    """Days between the last purchase and the first of this plan, and between those that this plan makes itself."""
    limit = rails.cooldown_days
    known = occasion.last_purchases
    names = one.members or (one.pool,)
    missing = [name for name in names if name not in known and EVERY_POOL not in known]
    past = [known.get(name, known.get(EVERY_POOL)) for name in names]
    days = sorted(bought.on or occasion.created.date() for bought in due)
    latest = max((day for day in past if day is not None), default=None)
    if latest is not None:
        days.insert(0, latest)
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    actual = min(gaps, default=None)
    if actual is not None and actual < limit:
        said = f"{actual} days between two purchases: {limit - actual} fewer than the {limit} that are asked for."
        return Check("cooldown_days", one.pool, str(limit), str(actual), False, said)
    if missing:
        said = f"The day of the last purchase for {', '.join(missing)} is not known: give it with --last-purchase."
        return Check("cooldown_days", one.pool, str(limit), None, None, said)
    said = "No purchase came before." if actual is None else f"{actual} days between two purchases, at least {limit}."
    return Check("cooldown_days", one.pool, str(limit), None if actual is None else str(actual), True, said)


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
