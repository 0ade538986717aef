"""The plan as a document that can be carried out: what to buy, when, by which request, on what evidence.

Making a plan and acting on it are two steps. This one is pure: nothing is bought, nothing is asked of a provider, and
no clock is read. The other takes the document's hash and a person's approval.

A document speaks for a few days. It is valid for ``valid_days`` from the end of the demand that it rests on (not from
the day on which it was made: an approval that takes three weeks must not buy on old figures). Purchases of the ladder
within those days are *due*; the later ones are an outlook, to be planned again when their day comes. All of them count
against the limits.

``executable`` is true when every guardrail is passed, false when one is broken or nothing is to be bought, and null as
long as something is not known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from outlay import __version__
from outlay.disk import write_whole
from outlay.errors import UnreadableError, UsageError, nearest
from outlay.money import plain
from outlay.optimize.commitments.demand import Demand, gpus
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.optimize.commitments.plan_json import moment, plan_json, pool_json
from outlay.optimize.commitments.sealed.conditions import conditions
from outlay.optimize.commitments.sealed.guardrails import Check, Occasion, checks
from outlay.optimize.commitments.sealed.native.request import Unsold
from outlay.optimize.commitments.sealed.native.requests import native_request
from outlay.optimize.commitments.sealed.purchase import Purchase, purchases
from outlay.optimize.commitments.sealed.seal import SCHEMA, exact, load_document, seal

__all__ = ["plan_document", "write_document"]

_DROPPED = ("curve", "caps")
"""Of a pool's figures what is for choosing, not for checking what was chosen."""


def plan_document(
    plan: Plan,
    *,
    created: datetime,
    currency: str,
    last_purchases: Mapping[str, date | None] | None = None,
    only: Collection[str] = (),
    problems: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The sealed document of ``plan``. ``created`` is naive UTC; ``currency`` is the one that the limits are in.

    ``last_purchases``: see :class:`~.guardrails.Occasion`. ``only`` are the pools and unions to buy for, all of them
    unless given; one that the plan does not have is a UsageError. ``problems`` of the data are sealed with it.
    """
    names = [one.pool for one in plan.pools]
    for name in only:
        if name not in names:
            raise UsageError(f"the plan has no pool '{name}'.", where="--buy", hint=nearest(name, names))
    rails = plan.settings.guardrails
    valid_until = (plan.today or created.date()) + timedelta(days=rails.valid_days)
    bought = [one for one in purchases(plan) if not only or one.pool in only]
    due = [one for one in bought if _due(one, valid_until)]
    found = checks(plan, bought, due, Occasion(created, currency, last_purchases or {}))
    executable, why = _executable(found, bought)
    by_pool = {one.pool: one for one in plan.pools}
    told = plan_json(plan)
    return seal(
        exact(
            {
                "schema": SCHEMA,
                "made_by": f"outlay {__version__}",
                "created": moment(created.replace(microsecond=0)),
                "as_of": told["as_of"],
                "valid_until": valid_until.isoformat(),
                "currency": currency,
                "executable": executable,
                "executable_why": why,
                "chosen": sorted(only) if only else None,
                "guardrails": [_check(one) for one in found],
                "purchases": [
                    _purchase(one, plan, by_pool[one.pool], valid_until, number)
                    for number, one in enumerate(bought, start=1)
                ],
                "pools": [_evidence(one) for one in plan.pools],
                "settings": plan.settings.model_dump(mode="json", exclude={"offers"}),
                "assumptions": told["assumptions"],
                "paths": plan.paths,
                "notes": list(plan.notes),
                "problems": [dict(one) for one in problems],
            }
        )
    )


def write_document(document: Mapping[str, Any], path: Path) -> None:
    """``document`` at ``path``, whole and on the disk, or not at all. Another file than a plan is not replaced."""
    if path.exists():
        try:
            load_document(path)
        except UnreadableError:
            raise UsageError("is another file than a plan.", where=str(path), hint="Change --out.") from None
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    try:
        write_whole(path, text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}.", where=str(path), hint="Check --out.") from None


def _due(one: Purchase, valid_until: date) -> bool:
    return one.month == 0 if one.on is None else one.on <= valid_until


def _executable(found: Sequence[Check], bought: Sequence[Purchase]) -> tuple[bool | None, list[str]]:
    if not bought:
        return False, ["The plan says commit for none of these pools: there is nothing to buy."]
    broken = [one for one in found if one.passed is False]
    if broken:
        return False, [_said(one) for one in broken]
    unknown = [one for one in found if one.passed is None]
    return (None, [_said(one) for one in unknown]) if unknown else (True, [])


def _said(one: Check) -> str:
    return f"{one.name}: {one.words}" if one.pool is None else f"{one.name} of {one.pool}: {one.words}"


def _check(one: Check) -> dict[str, Any]:
    return {
        "name": one.name,
        "pool": one.pool,
        "limit": one.limit,
        "actual": one.actual,
        "passed": one.passed,
        "words": one.words,
    }


def _purchase(one: Purchase, plan: Plan, pool: PoolPlan, valid_until: date, number: int) -> dict[str, Any]:
    offer = one.offer
    request = native_request(one)
    assert offer.unit_price is not None
    return {
        "number": number,
        "token": one.token,
        "pool": one.pool,
        "members": list(one.members),
        "step": one.step,
        "month": one.month,
        "on": moment(one.on),
        "due": _due(one, valid_until),
        "why": one.why,
        "quantity": plain(one.quantity),
        "unit": "on-demand money per hour" if one.by_money else "GPUs",
        "commitment": plain(one.committed) if offer.by_money else None,
        "owned_then": plain(gpus(one.owned_then)),
        "offer": offer.name,
        "kind": offer.kind,
        "form": offer.form,
        "provider": offer.provider,
        "region": offer.region,
        "sku": offer.sku,
        "term_months": offer.term_months,
        "payment": offer.payment,
        "currency": offer.currency,
        "unit_price": plain(offer.unit_price),
        "on_demand_price": None if offer.on_demand_price is None else plain(offer.on_demand_price),
        "source": offer.source,
        "hourly": plain(one.hourly),
        "upfront": plain(one.upfront),
        "total": plain(one.total),
        "conditions": [condition.to_json() for condition in conditions(plan, pool, one, valid_until)],
        "request": None if isinstance(request, Unsold) else request.to_json(),
        "request_why": request.why if isinstance(request, Unsold) else None,
    }


def _evidence(one: PoolPlan) -> dict[str, Any]:
    told = {key: value for key, value in pool_json(one).items() if key not in _DROPPED}
    return {**told, "demand": {**told["demand"], "sha256": _demand_digest(one.demand)}}


def _demand_digest(demand: Demand) -> str:
    """Of each hour's billionths of a GPU, -1 where nothing is known: little-endian int64 from the first hour on."""
    hours = np.where(demand.known, demand.nanos, -1).astype("<i8")
    return hashlib.sha256(hours.tobytes()).hexdigest()
