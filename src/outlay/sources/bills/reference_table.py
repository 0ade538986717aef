"""Small tables of facts that a bill lacks: what a provider's own name of a service or a region is in FOCUS words.

Native bills name services by provider code, meter or description; FOCUS' categories are not on them. Each table is a
CSV in ``data/`` with a ``key`` column (lower case) and the facts beside it. What is not in a table keeps the bill's own
name, and its category is ``Other``: a category is a fact of the table or it is not known.

Sources: ``azure_services.csv`` and ``azure_regions.csv`` are cut from ``Services.csv`` and ``Regions.csv`` of
Microsoft's finops-toolkit (MIT licence, commit 04d370f); the two service subcategories that FOCUS 1.4 lacks
are put into FOCUS' nearest (``Data Transfer`` into Data Migration, ``Quantum`` into Quantum Compute), and the
meter categories among the keys are our reading of the same table. ``gcp_services.csv`` has the service
descriptions of Google's public billing catalogue; their category is our reading of FOCUS 1.4's definitions.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

from outlay.ledger.engine.duckdb import literal

__all__ = ["reference_lookup", "reference_rows"]


@cache
def reference_rows(table: str) -> dict[str, dict[str, str]]:
    """The rows of ``data/<table>.csv`` by key."""
    text = resources.files("outlay.sources.bills").joinpath("data", f"{table}.csv").read_text(encoding="utf-8")
    return {row["key"]: row for row in csv.DictReader(text.splitlines())}


def reference_lookup(table: str, field: str, *keys: str) -> str:
    """SQL for ``field`` of the first of the SQL expressions ``keys`` that the table knows; NULL when it knows none."""
    known = reference_rows(table)
    names = ", ".join(literal(key) for key in known)
    values = ", ".join(literal(row[field]) for row in known.values())
    found = [f"map([{names}], [{values}])[{key}]" for key in keys]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"
