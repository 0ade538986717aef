"""The command line: it parses, calls, and shows; it does no arithmetic of its own.

Commands are imported when they are called, so that ``outlay --help`` answers at once. Every command takes ``--ledger``,
``--config`` and ``--json``. Exit statuses: 0 done; 1 the answer is no (kept for checks, of which there is none yet);
2 used wrongly or unreadable, nothing changed; 3 done, but rows are in quarantine; 70 an error in Outlay; 130
interrupted.
"""

from __future__ import annotations

from outlay.cli.main import main

__all__ = ["main"]
