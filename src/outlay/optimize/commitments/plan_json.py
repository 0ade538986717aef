"""The plan as the contract's JSON: money and quantities as exact strings, ratios with six decimals, estimates in cents.

What can't be said is null with a ``why`` beside it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from outlay.money import plain
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.json_figures import cents, moment, ratio
from outlay.optimize.commitments.ladder import Step
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.outlook.risk import Risk
from outlay.optimize.commitments.outlook.volatility import Volatility
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.optimize.commitments.sizing import Outcome
from outlay.optimize.commitments.stability import Stability
from outlay.optimize.commitments.union_json import alternatives_json, union_json

__all__ = ["cents", "moment", "plan_json", "pool_json", "ratio"]

_CENT = Decimal("0.01")


def plan_json(plan: Plan) -> dict[str, Any]:
    """The whole plan."""
    return {
        "as_of": None if plan.today is None else plan.today.isoformat(),
        "paths": plan.paths,
        "assumptions": {
            "scenarios": [
                {"name": one.name, "factor": one.factor, "per_year": one.per_year, "assumed": True}
                for one in plan.scenarios
            ],
            "max_change": plain(plan.settings.max_change),
            "coverage_cap": plain(plan.settings.coverage_cap),
            "max_loss_probability": plain(plan.settings.max_loss_probability),
        },
        "notes": list(plan.notes),
        "pools": [{**pool_json(one), **told} for one, told in zip(plan.pools, alternatives_json(plan), strict=True)],
    }


def pool_json(one: PoolPlan) -> dict[str, Any]:
    """One pool."""
    verdict, best = one.verdict, one.optimum
    money = one.union is not None and one.union.by_money
    found: dict[str, Any] = {
        "pool": one.pool,
        "members": list(one.members),
        "unit": "on-demand money per hour" if money else "GPUs",
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
        "would_change": list(verdict.changes),
        "workload": one.evidence.workload,
        "demand": _demand(one),
        "stability": {
            **_stability(one.evidence.overall),
            "recent": _stability(one.evidence.recent),
            "window": _stability(one.evidence.window),
            "last_7_days_change": ratio(one.evidence.drop),
            "last_14_days_against_90": ratio(one.evidence.spike),
        },
        "optimum": None
        if best is None or best.optimum is None
        else {"offer": best.offer.name, "currency": best.offer.currency, **outcome_json(best.optimum)},
        "recommended": _recommended(one),
        "ladder": [step_json(step) for step in one.ladder],
        "caps": [
            {"coverage_cap": plain(cap.coverage), **outcome_json(cap.outcome), "price_points": _points(cap.price)}
            for cap in one.caps
        ],
        "options": [_option(option) for option in one.options],
        "scenarios": {name: risk_json(risk) for name, risk in one.scenarios.items()},
        "market": one.market.to_json(),
        "owned": [
            {"quantity": plain(gpus(held.nanos)), "until": None if held.until is None else held.until.isoformat()}
            for held in one.owned
        ],
        "curve": [
            {
                "quantity": plain(point.quantity),
                "saving_rate": ratio(point.saving_rate),
                "coverage": ratio(point.coverage),
                "utilization": ratio(point.utilization),
            }
            for point in one.curve
        ],
    }
    if one.volatility is not None:
        found["volatility"] = _volatility(one.volatility)
    if best is None:
        found["optimum_why"] = "no offer for this pool has a known price"
    if one.union is not None:
        found.update(union_json(one.union))
    return found


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """A quantity's figures over the history."""
    return {
        "quantity": plain(outcome.quantity),
        "coverage": ratio(outcome.coverage),
        "utilization": ratio(outcome.utilization),
        "saving": plain(outcome.saving),
        "saving_rate": ratio(outcome.saving_rate),
        "cost": plain(outcome.cost),
        "on_demand_cost": plain(outcome.on_demand_cost),
        "used_hours": plain(outcome.used),
        "committed_hours": plain(outcome.committed),
        "demand_hours": plain(outcome.demand),
        **({"paid_back": plain(outcome.returned)} if outcome.returned else {}),
    }


def risk_json(risk: Risk | None) -> dict[str, Any]:
    """Estimates over the term; each null without futures."""
    if risk is None:
        return {"p10": None, "p50": None, "p90": None, "loss_probability": None, "worst": None}
    return {
        "p10": cents(risk.p10),
        "p50": cents(risk.p50),
        "p90": cents(risk.p90),
        "mean": cents(risk.mean),
        "worst": cents(risk.worst),
        "loss_probability": str(round(risk.loss_probability, 4)),
    }


def _volatility(found: Volatility) -> dict[str, Any]:
    """``offers`` says whose each label is: two offers of one name are told apart by their terms."""
    return {
        "weekly": str(round(found.now, 4)),
        "currency": found.currency,
        "why": found.why,
        "offers": [
            {"label": label, "offer": offer.name, "term_months": offer.term_months, "payment": offer.payment}
            for label, offer in found.offers
        ],
        "turns": [{"weekly": str(round(at, 4)), "below": below, "above": above} for at, below, above in found.turns],
        "points": [
            {
                "weekly": str(round(point.weekly, 4)),
                "best": point.best,
                "saving_a_month": {label: cents(value) for label, value in point.savings.items()},
            }
            for point in found.points
        ],
    }


def _points(value: Decimal) -> str:
    return plain((value * 100).quantize(_CENT))


def _demand(one: PoolPlan) -> dict[str, Any]:
    demand = one.demand
    return {
        "source": demand.source,
        "since": moment(demand.first),
        "until": moment(demand.end),
        "hours": demand.hours,
        "gaps": demand.gaps,
        "days_in_production": one.evidence.days,
        "gpu_hours": plain(gpus(demand.total)),
        "mean": ratio(demand.mean),
        "peak": plain(gpus(int(demand.nanos.max()))) if len(demand) else None,
    }


def _stability(found: Stability) -> dict[str, Any]:
    told: dict[str, Any] = {
        "weeks": found.weeks,
        "days": found.days,
        "max_wow": ratio(found.max_wow),
        "mean_wow": ratio(found.mean_wow),
        "cv": ratio(found.cv),
        "stable": found.stable,
        "largest_in": moment(found.largest_in),
    }
    if found.stable is None:
        told["why"] = "fewer than two full weeks follow each other"
    lacking = found.missing
    told["missing"] = lacking and {
        "weeks": lacking.weeks,
        "not_full": lacking.out,
        "hours": lacking.out_hours,
        "first": moment(lacking.first),
        "counted": lacking.used,
        "counted_hours": lacking.used_hours,
        "allowed": lacking.allowed,
        "words": " ".join(lacking.sentences()),
    }
    return told


def _option(option: Option) -> dict[str, Any]:
    offer, outcome = option.offer, option.outcome
    figures = {} if outcome is None else outcome_json(outcome)
    figures["saving"] = None if option.saving is None else plain(option.saving)
    figures["saving_rate"] = ratio(option.saving_rate)
    figures.setdefault("quantity", None)
    figures.setdefault("coverage", None)
    figures.setdefault("utilization", None)
    return {
        **offer_json(offer),
        "why": option.why,
        **figures,
        "buy": None if outcome is None else plain(gpus(option.buy)),
        "bound_by": option.bound_by or None,
        "paid_back": plain(option.returned) if offer.flex else None,
        "optimum": None if option.optimum is None else outcome_json(option.optimum),
        **risk_json(option.risk),
        "break_even_utilization": ratio(offer.break_even_utilization),
        "break_even_month": option.break_even_month,
        "payback_month": option.payback_month,
        "lock_in": None if option.lock_in is None else cents(option.lock_in),
        "lock_in_why": _no_lock_in(option),
        "exposure": None if option.exposure is None else plain(option.exposure),
        "upfront": None if option.upfront is None else plain(option.upfront),
        "waiting_a_month": None
        if option.waiting is None
        else {
            "spared": cents(option.waiting.spared),
            "forgone": cents(option.waiting.forgone),
            "value": cents(option.waiting.value),
        },
    }


def _no_lock_in(option: Option) -> str | None:
    if option.lock_in is not None or option.outcome is None:
        return None
    return "nothing is known of prices to come: see market"


def offer_json(offer: Offer) -> dict[str, Any]:
    """An offer's terms."""
    found: dict[str, Any] = {
        "offer": offer.name,
        "kind": offer.kind,
        "form": offer.form,
        "term_months": offer.term_months,
        "payment": offer.payment,
        "unit_price": None if offer.unit_price is None else plain(offer.unit_price),
        "on_demand_price": None if offer.on_demand_price is None else plain(offer.on_demand_price),
        "price_unit": "share of on-demand prices" if offer.shares else "currency per GPU-hour",
        "currency": offer.currency,
        "discount": ratio(offer.discount),
        "carrying": plain(offer.carrying),
        "source": offer.source,
    }
    if offer.flex is not None:
        flex = offer.flex
        found["flex"] = {
            "break_even_utilization_without_payback": ratio(offer.price_ratio),
            "premium": plain(flex.premium),
            "fee_share": plain(flex.fee_share),
            "cashback": plain(flex.cashback),
            "trigger": plain(flex.trigger),
            "cap": plain(flex.cap),
            "payout_lag_days": flex.payout_lag_days,
            "settle_months": flex.settle_months,
            "adjust_months": flex.adjust_months,
            "counterparty": flex.counterparty,
            "vendors_claim": flex.claim,
        }
    return found


def _recommended(one: PoolPlan) -> dict[str, Any] | None:
    best = one.verdict.best
    if one.verdict.word != "commit" or best is None or best.outcome is None:
        return None
    return {
        "offer": best.offer.name,
        "term_months": best.offer.term_months,
        "payment": best.offer.payment,
        "currency": best.offer.currency,
        "buy": plain(gpus(best.buy)),
        "owned": plain(gpus(sum(held.nanos for held in one.owned))),
        **outcome_json(best.outcome),
        "bound_by": best.bound_by,
        "exposure": None if best.exposure is None else plain(best.exposure),
        "ladder": [step_json(step) for step in one.ladder],
    }


def step_json(step: Step) -> dict[str, Any]:
    """A purchase of the ladder."""
    return {
        "month": step.month,
        "on": None if step.on is None else step.on.isoformat(),
        "quantity": plain(gpus(step.nanos)),
        "owned_then": plain(gpus(step.owned_then)),
        "why": step.why,
        "refill": step.refill,
        "depends_on": step.depends_on,
    }
