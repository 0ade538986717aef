"""What a rule of the gateway made of a call, as columns of its row.

The traps: an answer with a good status that failed a check was of no use to anyone, so its call did not succeed. A
shadow was paid and nobody asked for it, so it is no request: the price of one would fall.
"""

from __future__ import annotations

from typing import Any

from outlay.sources.facts import Value
from outlay.sources.usage.call_log import cost, inside, text

__all__ = ["choices"]

_LONGEST_ERROR = 200


def choices(route: Any, succeeded: int | None) -> dict[str, Value] | None:  # noqa: ANN401 - whatever a line holds
    """The columns; none of a call that no rule was about. None where it can't be read."""
    if route is None:
        return {}
    rule, kind, outcome = (text(inside(route, name)) for name in ("rule", "kind", "outcome"))
    saved = cost(inside(route, "saved"))
    if rule is None or outcome is None or (saved is None and inside(route, "saved") is not None):
        return None
    values: dict[str, Value] = {"x_Route": rule, "x_RouteKind": kind, "x_RouteOutcome": outcome, "x_RouteSaved": saved}
    if outcome == "shadow":
        values |= {"x_Requests": 0, "x_Succeeded": 0}
    elif outcome == "failed" and succeeded:
        why = text(inside(route, "why")) or "failed"
        values |= {"x_Succeeded": 0, "error_type": f"answer failed a check: {why}"[:_LONGEST_ERROR]}
    return values
