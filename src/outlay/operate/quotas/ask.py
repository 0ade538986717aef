"""What is asked of quotas before a call, and what they answer.

The most that a call can use is ``fixed`` (its input, at the dearest that it may be billed at; the request itself) and
``each`` times the units of output that it is let have. Where the caller named no number, the quotas choose one between
``least`` and ``most``: what is left decides, and no single call takes more than an eighth of that where fewer units do,
so that sixty calls at a time fit where one would have taken all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from outlay.operate.quotas.limit import REQUESTS, Measure, shown
from outlay.operate.quotas.quota import Attributes, Quota

__all__ = ["SHARE_OF_ROOM", "Amounts", "Ask", "Denied", "Held", "Reason"]

Amounts = Mapping[Measure, int]
"""By measure: money in 10 to the -18 of its currency, tokens, requests."""

SHARE_OF_ROOM = 8
"""One call takes an eighth of what is left at most, where the number of its output units is ours to choose."""

Reason = Literal["limit", "stopped", "unbounded", "unavailable"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that wants to be let through.

    A measure that it can't be bounded in is left out of ``fixed``, and ``unbounded`` says why: quotas in that measure
    deny it, unless they are in money and it ``may_be_unpriced``. The hold is kept for ``lives`` milliseconds without a
    settlement.
    """

    id: str
    attributes: Attributes
    fixed: Amounts
    each: Amounts = field(default_factory=dict)
    most: int = 0
    least: int = 0
    unbounded: str | None = None
    may_be_unpriced: bool = False
    lives: int = 900_000

    def bound(self, units: int) -> dict[Measure, int]:
        """The most that it uses with so many units of output."""
        found = dict(self.fixed)
        for measure, rate in self.each.items():
            found[measure] = found.get(measure, 0) + rate * units
        return found


@dataclass(frozen=True, slots=True)
class Held:
    """A hold: the call may go. It counts at ``bound`` until it is settled, once, under ``id``.

    ``units`` of output were granted; ``delay`` is how many milliseconds to wait first, because of the quota
    ``slowed_by``; ``shadowed`` are denials of quotas in shadow mode.
    """

    id: str
    attributes: Attributes
    at: int
    expires: int
    bound: Amounts
    units: int = 0
    delay: int = 0
    slowed_by: str | None = None
    shadowed: tuple[Denied, ...] = ()


@dataclass(frozen=True, slots=True)
class Denied:
    """The call may not go, and why. ``resets`` is when more is left, in milliseconds since 1970; None: nobody knows."""

    reason: Reason
    why: str
    quota: str | None = None
    measure: Measure | None = None
    limit: int = 0
    spent: int = 0
    held: int = 0
    needed: int = 0
    resets: int | None = None

    @classmethod
    def over(cls, quota: Quota, spent: int, held: int, needed: int, resets: int | None) -> Denied:
        """What would pass a quota's limit."""
        measure, amount = quota.limit.measure, quota.limit.amount
        kept = f", {shown(held, measure)} held for calls under way" if held else ""
        wanted = "one more" if measure == REQUESTS else f"up to {shown(needed, measure)} more"
        why = f"the budget '{quota.id}' of {quota.limit} ({quota.scope}) has no room for {wanted}: "
        why += f"{shown(spent, measure)} spent{kept}."
        return cls("limit", why, quota.id, measure, amount, spent, held, needed, resets)

    @classmethod
    def boundless(cls, quota: Quota, why: str | None) -> Denied:
        """What can't be bounded in a quota's measure; ``why`` unless its currency is another."""
        measure = quota.limit.measure
        why = why or f"its price is in another currency than {measure}, and amounts are never converted."
        why = f"the budget '{quota.id}' of {quota.limit} can't let it through: {why}"
        return cls("unbounded", why, quota.id, measure)
