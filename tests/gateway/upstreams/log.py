"""What an upstream did, by its own account: the bill that a gateway's meter is compared with.

``billed`` grows while a stream is made, so what it says when the caller went away is what had been generated until the
upstream noticed. A request that was refused or never worked on has nothing on its bill.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.gateway.upstreams.tokens import NOTHING, Meters

__all__ = ["Entry", "Log", "entry_of", "total"]


@dataclass(slots=True)
class Entry:
    """One request, its headers as they came (names in lower case, in order), and what became of it."""

    id: str
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: Any
    at: float
    model: str | None = None
    stream: bool = False
    status: int | None = None
    billed: Meters = NOTHING
    service_tier: str | None = None
    worked: bool = False
    """whether a model ran: what it billed counts"""
    frames: int = 0
    """of a stream: how many were sent"""
    told_usage: bool = False
    """whether the answer's usage was sent out whole"""
    left_after_s: float | None = None
    """seconds from the request until the caller was seen to have gone, if that was before the answer's end"""
    dropped: str | None = None
    """where the upstream itself broke the connection; ``stopped`` where it was ended meanwhile"""
    done: bool = False

    def header(self, name: str) -> str | None:
        """The first of that name."""
        return next((value for key, value in self.headers if key == name), None)

    def as_json(self) -> dict[str, Any]:
        """For GET /_log."""
        return asdict(self)


def entry_of(told: dict[str, Any]) -> Entry:
    """An entry read from GET /_log."""
    headers = [(key, value) for key, value in told["headers"]]
    return Entry(**{**told, "headers": headers, "billed": Meters(**told["billed"])})


def total(entries: list[Entry]) -> Meters:
    """All that was billed."""
    sums = {name: sum(getattr(one.billed, name) for one in entries) for name in Meters.__dataclass_fields__}
    return Meters(**sums)


@dataclass(slots=True)
class Log:
    """Entries in the order of their requests."""

    entries: list[Entry] = field(default_factory=list)
    connections: int = 0
    """how many were ever opened"""

    def settled(self, count: int | None = None, within_s: float = 10.0) -> list[Entry]:
        """All entries, once none is open (and ``count`` are there). For another thread than the upstream's."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            entries = list(self.entries)
            if all(one.done for one in entries) and (count is None or len(entries) >= count):
                return entries
            time.sleep(0.005)
        raise AssertionError(f"not settled within {within_s} s: {self.entries}")
