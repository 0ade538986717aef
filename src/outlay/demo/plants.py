"""The planted findings, each with its exact worth.

The plants are disjoint: no row counts towards the saving of two of them. Where a saving is given it is what the
plant's own words say ("at the committed price on this bill"), not what a purchase would bring in the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from outlay.demo.catalogue import SERVICES
from outlay.demo.endpoints import ANOMALY_BOOST
from outlay.demo.lines import day_text
from outlay.demo.machines import GPU_RESERVATION, INFERENCE_RESERVATION
from outlay.demo.models import tokens
from outlay.demo.rows import Sum
from outlay.demo.tally import Tally, count_of, is_used, units_of
from outlay.money import plain

__all__ = ["Restatement", "plants"]

_WORKING_HOURS = "Monday-Friday 07:00-19:00 UTC"


@dataclass(frozen=True, slots=True)
class Restatement:
    """A month that a provider billed twice: sums of the first bill, which the corrected one replaces."""

    provider: str
    month: str
    first_sums: Sequence[Sum]
    files: Sequence[str]
    replaces: Sequence[str]


def plants(tally: Tally, restatement: Restatement) -> list[dict[str, object]]:
    """Every plant. One that the plan had no room for is for the caller to leave out."""
    return [
        _unused_commitment(tally),
        _steady_on_demand(tally),
        _interruptible_training(tally),
        _older_generation(tally),
        _non_production_hours(tally),
        _uncached_input(tally),
        _batch_tier(tally),
        _idle_provisioned(tally),
        _untagged(tally),
        _anomaly(tally),
        _price_change(tally),
        _restated_month(tally, restatement),
        _failed_runs(tally),
    ]


def _unused_commitment(tally: Tally) -> dict[str, object]:
    sums = tally.labelled("unused-commitment")
    cost = plain(tally.cost(sums))
    return {
        "id": "unused-commitment",
        "detector": "unused-commitment",
        "commitment_discount_id": GPU_RESERVATION.commitment_id,
        "instance_type": "p5.48xlarge",
        "rows": count_of(sums),
        "instance_hours": str(units_of(sums)),
        "effective_cost": cost,
        "saving": cost,
    }


def _steady_on_demand(tally: Tally) -> dict[str, object]:
    sums = tally.labelled("steady-on-demand")
    line = tally.lines[sums[0].line]
    hours, cost = units_of(sums), tally.cost(sums)
    return {
        "id": "steady-on-demand",
        "detector": "steady-on-demand",
        "team": "search",
        "instance_type": "g5.12xlarge",
        "region": "us-east-1",
        "instances": len({found.line for found in sums}),
        "rows": count_of(sums),
        "instance_hours": str(hours),
        "effective_cost": plain(cost),
        "on_demand_unit_price": plain(line.effective_price),
        "committed_unit_price": plain(INFERENCE_RESERVATION.rate),
        "committed_by_team": "assistant",
        "saving": plain(cost - hours * INFERENCE_RESERVATION.rate),
        "saving_is": "instance-hours x (on-demand price - committed price on this bill), the whole base covered",
    }


def _interruptible_training(tally: Tally) -> dict[str, object]:
    sums, peers = tally.labelled("interruptible-training"), tally.labelled("spot-peer")
    rate = tally.lines[peers[0].line].effective_price
    hours, cost = units_of(sums), tally.cost(sums)
    return {
        "id": "interruptible-training",
        "detector": "interruptible-training",
        "team": "research",
        "instance_type": "p4d.24xlarge",
        "region": "us-west-2",
        "rows": count_of(sums),
        "instance_hours": str(hours),
        "effective_cost": plain(cost),
        "on_demand_unit_price": plain(tally.lines[sums[0].line].effective_price),
        "spot_unit_price": plain(rate),
        "saving": plain(cost - hours * rate),
        "saving_is": "instance-hours x (on-demand price - spot price on this bill); interruptions cost nothing here",
    }


def _older_generation(tally: Tally) -> dict[str, object]:
    sums = tally.labelled("older-generation")
    newer = tally.lines[tally.labelled("newer-peer")[0].line]
    hours, cost = units_of(sums), tally.cost(sums)
    gpu_hours = 4 * hours
    return {
        "id": "older-generation",
        "detector": "older-generation",
        "team": "vision",
        "instance_type": "p3.8xlarge",
        "gpu_type": "V100",
        "region": "us-east-1",
        "rows": count_of(sums),
        "instance_hours": str(hours),
        "gpu_hours": str(gpu_hours),
        "effective_cost": plain(cost),
        "cost_per_gpu_hour": plain(tally.lines[sums[0].line].effective_price / 4),
        "newer_on_the_bill": {
            "instance_type": "g6e.xlarge",
            "gpu_type": "L40S",
            "team": "vision",
            "region": "us-east-1",
            "cost_per_gpu_hour": plain(newer.effective_price),
        },
        "saving": plain(cost - gpu_hours * newer.effective_price),
        "saving_is": "GPU-hours x (price per GPU-hour - the newer one's on this bill); as many GPU-hours are needed",
    }


def _non_production_hours(tally: Tally) -> dict[str, object]:
    sums = tally.labelled("non-production-hours")
    outside = tally.cost_outside(sums)
    return {
        "id": "non-production-hours",
        "detector": "non-production-hours",
        "environment": "dev",
        "instance_type": "g5.8xlarge",
        "instances": len({found.line for found in sums}),
        "rows": count_of(sums),
        "instance_hours": str(units_of(sums)),
        "instance_hours_outside": str(sum(found.units_outside for found in sums)),
        "working_hours": _WORKING_HOURS,
        "effective_cost": plain(tally.cost(sums)),
        "effective_cost_outside": plain(outside),
        "saving": plain(outside),
    }


def _uncached_input(tally: Tally) -> dict[str, object]:
    def direction(found: Sum, meter: str) -> bool:
        return tally.lines[found.line].name.endswith(f"/{meter}")

    sums = [found for found in tally.labelled("uncached-input") if direction(found, "uncached")]
    peers = tally.labelled("cached-peer")
    inputs = sum(found.units for found in peers if not direction(found, "output"))
    read = sum(found.units for found in peers if direction(found, "read"))
    cost, read_sku = tally.cost(sums), tokens("claude-sonnet-4-5", "read")
    at_read = units_of(sums) * read_sku.per_unit * read_sku.price
    return {
        "id": "uncached-input",
        "detector": "uncached-input",
        "team": "vision",
        "model": "claude-sonnet-4-5",
        "rows": count_of(sums),
        "uncached_input_tokens": str(units_of(sums)),
        "effective_cost": plain(cost),
        "input_price_per_million": plain(tokens("claude-sonnet-4-5", "uncached").price),
        "cache_read_price_per_million": plain(read_sku.price),
        "cost_at_cache_read_price": plain(at_read),
        "most_that_caching_could_save": plain(cost - at_read),
        "peer_team": "assistant",
        "peer_read_tokens": str(read),
        "peer_input_tokens": str(inputs),
    }


def _batch_tier(tally: Tally) -> dict[str, object]:
    sums = tally.labelled("batch-tier")
    cost = tally.cost(sums)
    batch = Decimal(0)
    counts = {"uncached": 0, "output": 0}
    for found in sums:
        meter = tally.lines[found.line].name.rpartition("/")[2]
        counts[meter] += found.units
        sku = tokens("gpt-5", f"batch-{meter}")
        batch += found.units * sku.per_unit * sku.price
    return {
        "id": "batch-tier",
        "detector": "batch-tier",
        "team": "platform",
        "use_case": "nightly-summaries",
        "model": "gpt-5",
        "rows": count_of(sums),
        "input_tokens": str(counts["uncached"]),
        "output_tokens": str(counts["output"]),
        "effective_cost": plain(cost),
        "cost_at_batch_price": plain(batch),
        "batch_input_price_per_million": plain(tokens("gpt-5", "batch-uncached").price),
        "batch_output_price_per_million": plain(tokens("gpt-5", "batch-output").price),
        "saving": plain(cost - batch),
    }


def _idle_provisioned(tally: Tally) -> dict[str, object]:
    sums = tally.labelled("idle-provisioned")
    cost = plain(tally.cost(sums))
    return {
        "id": "idle-provisioned",
        "detector": "idle-provisioned",
        "meter": "Provisioned Managed Global Unit",
        "rows": count_of(sums),
        "unit_hours": str(units_of(sums)),
        "effective_cost": cost,
        "saving": cost,
    }


def _untagged(tally: Tally) -> dict[str, object]:
    sums = tally.where(lambda line: line.is_ai and is_used(line) and "team" not in (line.tags or {}))
    unused = tally.labelled("unused-commitment")
    return {
        "id": "untagged",
        "detector": "untagged",
        "tag": "team",
        "rows": count_of(sums),
        "effective_cost": plain(tally.cost(sums)),
        "rows_are": "AI usage without a team tag; unused commitments and fees, which no team used, are not counted",
        "unused_commitment_without_tag": {"rows": count_of(unused), "effective_cost": plain(tally.cost(unused))},
    }


def _anomaly(tally: Tally) -> dict[str, object]:
    sums = tally.labelled("anomaly")
    if not sums:
        return {"id": "anomaly"}
    cost = tally.cost(sums)
    day = tally.lines[sums[0].line].first_hour // 24
    return {
        "id": "anomaly",
        "detector": "anomaly",
        "date": day_text(day),
        "team": "assistant",
        "use_case": "agent-tools",
        "model": "gpt-4o",
        "rows": count_of(sums),
        "effective_cost": plain(cost),
        "times_the_usual": ANOMALY_BOOST,
        "excess": plain(cost * (ANOMALY_BOOST - 1) / ANOMALY_BOOST),
    }


def _price_change(tally: Tally) -> dict[str, object]:
    before, after = tally.labelled("price-before"), tally.labelled("price-after")
    if not after:
        return {"id": "price-change"}
    meters: dict[str, dict[str, str]] = defaultdict(dict)
    for name, sums in (("before", before), ("after", after)):
        for found in sums:
            line = tally.lines[found.line]
            meters[line.name.rpartition("/")[2]][name] = plain(line.list_price)
    return {
        "id": "price-change",
        "detector": "price-change",
        "model": "nova-pro",
        "team": "search",
        "date": day_text(tally.lines[after[0].line].first_hour // 24),
        "pricing_unit": tokens("nova-pro", "uncached").pricing_unit,
        "list_unit_prices": {meter: meters[meter] for meter in sorted(meters)},
        "effective_cost_before": plain(tally.cost(before)),
        "effective_cost_after": plain(tally.cost(after)),
    }


def _restated_month(tally: Tally, restatement: Restatement) -> dict[str, object]:
    after = [
        found
        for found in tally.sums
        if found.month == restatement.month
        and SERVICES[tally.lines[found.line].sku.service].provider == restatement.provider
    ]
    return {
        "id": "restated-month",
        "detector": "restated-month",
        "provider": restatement.provider,
        "month": restatement.month,
        "before": tally.totals(restatement.first_sums),
        "after": tally.totals(after),
        "files": list(restatement.files),
        "replaces": list(restatement.replaces),
    }


def _failed_runs(tally: Tally) -> dict[str, object]:
    by_state = {state: tally.labelled(f"run-{state}") for state in ("failed", "cancelled")}
    sums = [found for sums in by_state.values() for found in sums]
    return {
        "id": "failed-runs",
        "detector": "failed-runs",
        "runs": len({found.line for found in sums}),
        "rows": count_of(sums),
        "effective_cost": plain(tally.cost(sums)),
        "by_status": {
            state: {
                "runs": len({found.line for found in found_sums}),
                "rows": count_of(found_sums),
                "effective_cost": plain(tally.cost(found_sums)),
            }
            for state, found_sums in by_state.items()
        },
    }
