"""A call that the gateway does not let through, and what its caller is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlay.money import plain
from outlay.operate.quotas.ask import Denied
from outlay.operate.quotas.limit import in_unit
from outlay.operate.quotas.window import moment

__all__ = ["Refusal", "denial"]


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """``kind`` is a word for programs; ``details`` stand beside the message in the answer's body."""

    status: int
    kind: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False


def denial(denied: Denied, now: int) -> Refusal:
    """What a quota said, as an answer: 429 with which budget, how much is spent, and when to come again."""
    if denied.reason == "unavailable":
        return Refusal(503, "quota_unavailable", denied.why, headers=((b"retry-after", b"5"),))
    if denied.reason == "stopped":
        return Refusal(403, "stopped", denied.why, {"stop": denied.quota})
    if denied.reason == "unbounded":
        return Refusal(400, "unbounded_call", denied.why, {"budget": denied.quota})
    measure = denied.measure or ""
    details: dict[str, Any] = {
        "budget": denied.quota,
        "measure": measure,
        "limit": plain(in_unit(denied.limit, measure)),
        "spent": plain(in_unit(denied.spent, measure)),
        "held": plain(in_unit(denied.held, measure)),
        "needed": plain(in_unit(denied.needed, measure)),
        "resets_at": None,
    }
    if denied.resets is None:
        message = f"{denied.why} It needs more than the whole budget: ask for fewer tokens."
        return Refusal(429, "quota_exceeded", message, details)
    details["resets_at"] = moment(denied.resets).isoformat(timespec="seconds") + "Z"
    wait = max(1, -(-(denied.resets - now) // 1000))
    message = f"{denied.why} There is room again at {details['resets_at']}."
    return Refusal(429, "quota_exceeded", message, details, ((b"retry-after", str(wait).encode()),))
