"""The scripts that Redis runs: each is one step that nothing comes between."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files

__all__ = ["HOLD", "LOOK", "SCRIPTS", "SETTLE", "STOP", "SWEEP", "Script"]


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis keeps it, under the SHA-1 of its text."""

    text: bytes
    sha: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode())

    @classmethod
    def of(cls, name: str) -> Script:
        """The script in a file of this room, after what all share."""
        room = files("outlay.operate.quotas.sharing")
        return cls(b"\n".join(room.joinpath(f"{one}.lua").read_bytes() for one in ("counts", name)))


HOLD, SETTLE, SWEEP, LOOK, STOP = map(Script.of, ("hold", "settle", "sweep", "look", "stop"))
SCRIPTS = (HOLD, SETTLE, SWEEP, LOOK, STOP)
