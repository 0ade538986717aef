"""What can go wrong, as one tree.

::

    OutlayError
    |-- UsageError            the command or call was used wrongly: an unknown metric, a window that ends early
    |-- ConfigError           outlay.toml can't be used
    |-- UnreadableError       a file can't be read at all: unknown format, truncated, wrong encoding, empty, a bomb
    |-- ReconciliationError   what was stored is not what the file says; the load was not committed
    |-- LedgerError           the ledger itself: missing, not a ledger, a conflict that outlasted its retries
    |-- StateError            what Outlay keeps for itself, such as virtual keys, can't be read or written now
    |-- SpoolError            live events can't be stored durably now; what was sent is not acknowledged
    `-- MissingExtraError     a feature whose optional dependency is not installed

A single bad *row* is never an exception: it is a :class:`outlay.problems.Problem`, and the good rows load. Catch
:class:`OutlayError` to show a message to a person; each says what happened, where, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "LedgerError",
    "MissingExtraError",
    "OutlayError",
    "ReconciliationError",
    "SpoolError",
    "StateError",
    "UnreadableError",
    "UsageError",
    "nearest",
]


class OutlayError(Exception):
    """Base of every error Outlay raises on purpose.

    ``what`` happened, ``where`` (a file, a key, an argument) and the ``hint`` that says what to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(self.__str__())

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.hint}" if self.hint else ""
        return f"{place}{self.what}{advice}"


class UsageError(OutlayError):
    """A name, an argument or a window that can't be answered; raised before anything is read."""


class ConfigError(OutlayError):
    """``outlay.toml`` has an unknown key or a value of the wrong kind."""


class UnreadableError(OutlayError):
    """A file that can't be read as a whole. Nothing of it was loaded."""


class ReconciliationError(OutlayError):
    """Totals of the file and of what would be stored differ. Nothing was committed."""


class LedgerError(OutlayError):
    """The ledger folder is missing, is something else, or stayed in conflict with other writers."""


class SpoolError(OutlayError):
    """A live event was not stored, and is not acknowledged. Its sender keeps it and sends it again."""


class StateError(OutlayError):
    """The database of virtual keys is missing, can't be reached, or is of a newer Outlay. Nothing was changed."""


class MissingExtraError(OutlayError):
    """An optional dependency is needed; the hint names the extra to install."""


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """A hint that offers the known names closest to ``name``: ``"Did you mean 'team'?"``, or the whole short list."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=count, cutoff=0.5)
    if close:
        return "Did you mean " + " or ".join(f"'{option}'" for option in close) + "?"
    return "Known: " + ", ".join(options) + "."
