"""The embedded engine: a DuckDB session with the settings that exact, bounded work needs.

Times are UTC, memory is bounded (half the machine, at most 4 GiB, unless told otherwise) with a temporary folder to
spill to, and insertion order is not kept: a bill is a set of rows, each of which carries its own row number.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["identifier", "literal", "session"]

_MEMORY_LIMIT_MIB = 4096


@contextmanager
def session(*, memory_limit_mib: int | None = None, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB connection that is closed, with its spill folder removed, at the end of the block."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="outlay-") as spill:
        connection = duckdb.connect(
            config={
                "memory_limit": f"{memory_limit_mib or _default_memory_mib()}MiB",
                "threads": threads or _usable_cores(),
                "temp_directory": str(Path(spill) / "duckdb"),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()


def _usable_cores() -> int:
    """Cores this process may run on, which in a container are fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _default_memory_mib() -> int:
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    except (ValueError, OSError, AttributeError):
        return _MEMORY_LIMIT_MIB
    return max(512, min(_MEMORY_LIMIT_MIB, physical // 2))


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """``value`` as a SQL string literal."""
    return "'" + value.replace("'", "''") + "'"
