"""An evaluation as JSON. Money is exact text, in the currency named beside it; the rest are numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from outlay.money import plain
from outlay.optimize.routing.evaluation import Evaluation
from outlay.optimize.routing.pair import Pair, Target, Way
from outlay.optimize.routing.resampling import Interval

__all__ = ["document"]


def document(found: Evaluation) -> dict[str, Any]:
    """The document of ``outlay route evaluate --json``."""
    dominant = found.dominance
    return {
        "source": found.source,
        "rows": found.rows,
        "currency": found.currency,
        "estimated": True,
        "resamples": found.resamples,
        "seed": found.seed,
        "dominance": {
            "rows": dominant.rows,
            "model": dominant.model,
            "confidence": dominant.confidence,
            "shown": dominant.shown,
            "why": dominant.why,
            "models": [
                {
                    "model": one.name,
                    "score": one.quality,
                    "score_interval": _listed(one.interval),
                    "cost": _text(one.cost),
                    "dominated_by": one.dominated_by,
                }
                for one in dominant.standings
            ],
        },
        "pairs": [_pair(one) for one in found.pairs],
        "left_out": list(found.left_out),
        "why": found.why,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "weak": pair.weak,
        "strong": pair.strong,
        "rows": pair.rows,
        "weak_score": pair.weak_quality,
        "strong_score": pair.strong_quality,
        "gap": pair.gap,
        "gap_interval": _listed(pair.gap_interval),
        "weak_cost": _text(pair.weak_cost),
        "strong_cost": _text(pair.strong_cost),
        "ways": [_way(one) for one in pair.ways],
        "frontier": [
            {"way": one.way, "strong_share": one.share, "score": one.quality, "cost": _text(one.cost)}
            for one in pair.frontier
        ],
        "why": list(pair.why),
    }


def _way(way: Way) -> dict[str, Any]:
    return {
        "way": way.name,
        "apgr": way.apgr,
        "apgr_interval": _listed(way.apgr_interval),
        "apgr_above_length": _listed(way.above_length),
        "targets": [_target(one) for one in way.targets],
        "why": way.why,
    }


def _target(one: Target) -> dict[str, Any]:
    return {
        "recovered": one.recovered,
        "strong_share": one.share,
        "strong_share_interval": _listed(one.share_interval),
        "threshold": one.threshold,
        "cost": _text(one.cost),
        "saved": _text(one.saved),
        "saved_share": None if one.saved_share is None else float(one.saved_share),
        "saved_share_interval": _listed(one.saved_interval),
    }


def _listed(found: Interval | None) -> list[float] | None:
    return None if found is None else list(found)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
