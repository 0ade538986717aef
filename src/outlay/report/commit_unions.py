"""What the terminal and the HTML file say of unions in the same words: who serves whom, and what is worth more.

Three savings stand beside each other and are never added up, as they are of the same demand: the union's own, that of
all offers on its pools together, and that of its pools apart. Each amount of a commitment has its unit, as GPUs and
money an hour stand in one line; money is said to be either usage at on-demand prices or what the seller bills.
"""

from __future__ import annotations

from decimal import Decimal

from outlay.money import percent
from outlay.optimize.commitments.alternatives import Side, bought, chosen, comparisons
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.mixture import Apart, Mixture
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.optimize.commitments.programme import Part
from outlay.report.commit_figures import level_text
from outlay.report.wording import about, amount

__all__ = ["compared_line", "promise_line", "served_line", "together_lines", "unit_text"]

_LEAST = 1e-6


def served_line(plan: Plan, one: PoolPlan) -> str:
    """Which unions serve a pool that has a verdict of its own; empty where none does, or the reasons say it."""
    unions = [other for other in plan.pools if one.pool in other.members]
    if not unions or one.verdict.unpriced:
        return ""
    told = ", ".join(f"{other.pool} (verdict: {other.verdict.word})" for other in unions)
    return f"Also served by the union {told}: what is bought there is in place of what is bought here."


def compared_line(plan: Plan, one: PoolPlan) -> str:
    """A union against its pools alone in words and figures; empty where only one of both is to be committed to."""
    found = comparisons(plan).get(one.pool)
    if found is None:
        return ""
    *names, last = found.alone.pools
    alone = f"{', '.join(names)} and {last}" if names else last
    if found.better is None:
        return f"Together or alone ({alone}): not compared, {found.why}. Buy one or the other, never both."
    span = f"over {found.months} months" if found.months is not None else "a month of the term"
    together, apart = _worth(found.together, found.currency), _worth(found.alone, found.currency)
    more = about(_rounded(abs(_saving(found.together) - _saving(found.alone))), found.currency)
    said = "the union is" if found.better == "union" else "the pools alone are"
    counted = {other.pool for other in chosen(plan)}
    total = "the union" if one.pool in counted else "the pools alone" if counted >= set(found.alone.pools) else ""
    return (
        f"Together or alone: the union is expected to save {together} {span}, {alone} alone {apart}; {said} worth "
        f"{more} more (estimates). Buy one or the other, never both"
        + (f"; the totals count {total}." if total else ".")
    )


def promise_line(one: PoolPlan) -> str:
    """What the seller is asked for where money is committed; empty for GPUs, and where nothing is advised."""
    best = bought(one)
    if best is None or not best.offer.by_money or best.offer.unit_price is None:
        return ""
    promise = amount(gpus(best.buy) * best.offer.unit_price, best.offer.currency)
    return f"At the plan's own rates that is a commitment of {promise} an hour, which is what the seller bills."


def together_lines(one: PoolPlan) -> list[str]:
    """The optimum of all offers on a union's pools, and of the pools apart, with what each would have saved."""
    if one.union is None or one.union.mixture is None:
        why = None if one.union is None else one.union.why
        return [f"All offers on these pools together: not computed, {why}."] if why else []
    found = one.union.mixture
    beside = ", beside what is owned" if found.beside_owned else ""
    if found.together is None:
        lines = [f"All offers on these pools together: not computed, {found.why}."]
    else:
        mix = found.together
        parts = ", ".join(_part(part, found.currency) for part in mix.parts if part.quantity > _LEAST)
        rate = percent(Decimal(str(round(mix.saving_rate, 6))), to_tenths=True)
        saving = about(_rounded(mix.saving), found.currency)
        lines = [
            f"All offers on these pools together, optimum over the history{beside}: {parts or 'none'}; saves {rate}, "
            f"{saving}."
        ]
    lines += _apart(found)
    return lines


def unit_text(one: PoolPlan) -> str:
    """The unit of a union's quantities for a table: ``USD/h``; empty where they are GPUs."""
    if one.union is None or not one.union.by_money:
        return ""
    return f"{one.union.offers[0].currency}/h"


def _apart(found: Mixture) -> list[str]:
    if not found.apart:
        return []
    parts = ", ".join(_alone(one) for one in found.apart)
    saving = about(_rounded(found.saving_apart), found.currency)
    return [f"In its place, each pool by its own best offer: {parts}; saves {saving}, not to be added to it."]


def _alone(one: Apart) -> str:
    return f"{level_text(one.quantity)} GPUs of {one.offer} for {one.pool}"


def _part(part: Part, currency: str) -> str:
    quantity = Decimal(str(round(part.quantity, 6)))
    if part.by_money:
        return f"{amount(quantity, currency)} an hour, as the seller bills it, of {part.name}"
    return f"{level_text(quantity)} GPUs of {part.name}"


def _saving(side: Side) -> float:
    return (side.monthly or 0.0) if side.saving is None else side.saving


def _worth(side: Side, currency: str) -> str:
    return about(_rounded(_saving(side)), currency)


def _rounded(value: float | Decimal) -> Decimal:
    return Decimal(round(value))
