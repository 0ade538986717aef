"""What the plan's JSON says of unions: all offers together, the pools apart, and which alternative is worth more.

Quantities have their unit beside them, as an optimum may hold GPUs of one offer and money an hour of another. Of the
solver and of futures come floats: quantities with six decimals, money in cents.
"""

from __future__ import annotations

from typing import Any

from outlay.money import plain
from outlay.optimize.commitments.alternatives import Comparison, Side, bought, chosen, comparisons
from outlay.optimize.commitments.json_figures import cents
from outlay.optimize.commitments.mixture import Mixture
from outlay.optimize.commitments.plan import Plan
from outlay.optimize.commitments.union import Union

__all__ = ["alternatives_json", "union_json"]

_GPUS = "GPUs"


def union_json(union: Union) -> dict[str, Any]:
    """The fields that a union has beside those of a pool."""
    found: dict[str, Any] = {"together": None, "blended_discount": union.blended}
    if union.mixture is not None and union.mixture.together is not None:
        found["together"] = _together(union.mixture)
    if union.mixture is not None and union.mixture.apart:
        found["apart"] = _apart(union.mixture)
    if union.why:
        found["together_why"] = union.why
    return found


def alternatives_json(plan: Plan) -> list[dict[str, Any]]:
    """For each pool the unions that serve it, for a union its members alone; whether the purchase counts in totals."""
    unions = [one for one in plan.pools if one.members]
    compared, counted = comparisons(plan), {one.pool for one in chosen(plan)}
    found = []
    for one in plan.pools:
        told: dict[str, Any] = {}
        if not one.members:
            serving = [union for union in unions if one.pool in union.members]
            told["served_by"] = [{"pool": union.pool, "verdict": union.verdict.word} for union in serving]
        elif one.pool in compared:
            told["alternatives"] = _compared(compared[one.pool])
        if bought(one) is not None:
            told["counted"] = one.pool in counted
        found.append(told)
    return found


def _together(mixture: Mixture) -> dict[str, Any]:
    mix = mixture.together
    assert mix is not None
    return {
        "quantities": {name: round(value, 6) for name, value in mix.quantities.items()},
        "of": [
            {
                "offer": part.name,
                "pools": list(part.pools),
                "quantity": round(part.quantity, 6),
                "unit": f"{mixture.currency} per hour, as the seller bills it" if part.by_money else _GPUS,
            }
            for part in mix.parts
        ],
        "currency": mixture.currency,
        "saving": cents(mix.saving),
        "saving_rate": round(mix.saving_rate, 6),
        "cost": cents(mix.cost),
        "on_demand_cost": cents(mix.on_demand_cost),
        "hours": mix.hours,
        "beside_owned": mixture.beside_owned,
    }


def _apart(mixture: Mixture) -> dict[str, Any]:
    return {
        "of": [
            {"pool": one.pool, "offer": one.offer, "quantity": plain(one.quantity), "saving": plain(one.saving)}
            for one in mixture.apart
        ],
        "unit": _GPUS,
        "currency": mixture.currency,
        "saving": plain(mixture.saving_apart),
        "beside_owned": mixture.beside_owned,
    }


def _compared(found: Comparison) -> dict[str, Any]:
    return {
        "currency": found.currency,
        "months": found.months,
        "together": _side(found.together),
        "alone": _side(found.alone),
        "better": found.better,
        "why": found.why,
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "pools": list(side.pools),
        "expected_saving": None if side.saving is None else cents(side.saving),
        "expected_saving_a_month": None if side.monthly is None else cents(side.monthly),
    }
