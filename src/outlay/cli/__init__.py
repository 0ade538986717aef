"""The command line: it parses, calls, and shows; it does no arithmetic of its own.

Commands are imported when they are called, so that ``outlay --help`` answers at once. Every command takes ``--ledger``,
``--config`` and ``--json``, and leaves with 0 (done), 1 (the answer is no), 2 (used wrongly or unreadable, nothing
changed) or 3 (done, but rows are in quarantine).
"""

from __future__ import annotations

from outlay.cli.main import main

__all__ = ["main"]
