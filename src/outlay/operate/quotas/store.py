"""What a gateway asks of quotas, wherever they are kept: in this process, or shared by several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from outlay.operate.quotas.ask import Amounts, Ask, Denied, Held
from outlay.operate.quotas.book import Standing, Stop
from outlay.operate.quotas.limit import Measure
from outlay.operate.quotas.quota import Attributes

__all__ = ["QuotaStore", "State", "Unsettled"]


State = Literal["under way", "left", "ran out"]
"""Of a hold that is not settled: its call may be under way; the process that had it ended before; its time ran out."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A hold that is not settled, and whether anybody still will."""

    held: Held
    state: State


class QuotaStore(Protocol):
    """Holds before calls, settlements after them. Moments are milliseconds since 1970, UTC, and told by the caller."""

    @property
    def wrong(self) -> str | None:
        """Why holds can't be kept; None while they can."""

    async def hold(self, ask: Ask, now: int) -> Held | Denied:
        """Let a call through, with its hold safe from a crash when this returns; or say which quota has no room."""

    def measures(self, attributes: Attributes) -> set[Measure]:
        """What is limited of calls with these attributes."""

    def settle(self, id: str, used: Amounts, now: int, event: bytes | None = None) -> bool:
        """Replace a hold by what its call used, and keep the event that tells of it. False where it was settled before.

        Returns at once; both are safe a moment later, and until then the hold is.
        """

    def tell(self, event: bytes) -> None:
        """Keep an event that belongs to no hold, such as a denial."""

    async def sweep(self, now: int) -> None:
        """See to holds whose time ran out; to be called every second."""

    async def standings(self, now: int) -> list[Standing]:
        """What is spent and held of every quota."""

    async def unsettled(self) -> list[Unsettled]:
        """The holds that are not settled, those that ran out within the last 35 days too, the oldest first."""

    async def stops(self) -> Mapping[str, Stop]:
        """The kill switches that are on."""

    async def stop(self, stop: Stop) -> None:
        """Deny all calls of a scope from now on."""

    async def resume(self, id: str) -> bool:
        """Take a stop back; False where there is none."""

    async def close(self) -> None:
        """Keep what is under way, and let go."""
