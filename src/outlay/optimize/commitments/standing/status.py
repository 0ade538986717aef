"""What stands now, whether it is current, and what was withdrawn of late.

Current is what was computed within a day: each load computes it, and ``outlay serve`` once a day where nothing loads.
What is older may rest on demand or prices that have changed, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from outlay.errors import LedgerError
from outlay.ledger.store import Ledger
from outlay.optimize.commitments.ledger_pools.pools import stamp
from outlay.optimize.commitments.standing.recompute import FRESH
from outlay.optimize.commitments.standing.standing import Computation, Recommendation
from outlay.optimize.commitments.standing.standing_table import newest, read

__all__ = ["Status", "status_of"]

_DAYS = 90
_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Status:
    """The recommendations of the last computation; ``why`` says why they are not current, None when they are.

    ``withdrawn`` are those of the last ``days`` days, newest first.
    """

    computed: Computation
    standing: tuple[Recommendation, ...]
    withdrawn: tuple[Recommendation, ...]
    why: str | None
    days: int = _DAYS

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "computed_at": stamp(self.computed.at),
            "trigger": self.computed.trigger,
            "current": self.why is None,
            "why": self.why,
            "recommendations": [one.to_json() for one in self.standing],
            "withdrawn": [one.to_json() for one in self.withdrawn],
        }


def status_of(ledger: Ledger, *, now: datetime) -> Status:
    """What stands as of ``now``. Raises :class:`LedgerError` where nothing was ever computed."""
    rows = read(ledger)
    standing = newest(rows)
    if not standing:
        raise LedgerError(
            "has no recommendations yet.",
            where=str(ledger.path),
            hint="Name offers in outlay.toml ([commitments] offers) and load a bill, or run "
            "`outlay commit status --recompute`.",
        )
    since = now - timedelta(days=_DAYS)
    gone = [one for one in rows if one.change == "withdrawn" and one.computed.at >= since]
    computed = standing[0].computed
    return Status(computed, tuple(standing), tuple(reversed(gone)), _why(computed.at, now))


def _why(at: datetime, now: datetime) -> str | None:
    if now - at >= FRESH:
        hours = (now - at) // timedelta(hours=1)
        return (
            f"it was computed {hours} hours ago, and demand may have changed since. Load what is new, or run "
            "`outlay commit status --recompute`; `outlay serve` does it every day."
        )
    if at - now > _SKEW:
        return f"it is dated {at:%Y-%m-%d %H:%M}, which is to come: a clock was or is wrong."
    return None
