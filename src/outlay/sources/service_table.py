"""What a provider's own name of a service is in FOCUS words: its name, category and subcategory.

Native bills name services by provider code or meter; FOCUS' categories are not on them. A small table a provider,
``data/<provider>_services.csv``, holds them: ``key,service_name,service_category,service_subcategory``, the key in
lower case. A service that is not in the table keeps the bill's own name and counts as ``Other``: a category is a fact
of the table or it is not known.

Sources: ``azure_services.csv`` is cut from ``Services.csv`` of Microsoft's finops-toolkit (MIT licence), its two
subcategories that FOCUS 1.4 lacks put into FOCUS' nearest (``Data Transfer`` into Data Migration, ``Quantum`` into Quantum
Compute); the meter categories at its end are our reading of the same table. ``gcp_services.csv`` has Google's service
descriptions from its public billing catalogue; their category is our reading of FOCUS 1.4's definitions.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import Literal

from outlay.ledger.engine.duckdb import literal

__all__ = ["service_lookup", "services"]

Field = Literal["service_name", "service_category", "service_subcategory"]


@cache
def services(table: str) -> dict[str, dict[str, str]]:
    """The rows of ``data/<table>`` by key."""
    text = resources.files("outlay.sources").joinpath("data", table).read_text(encoding="utf-8")
    return {row["key"]: row for row in csv.DictReader(text.splitlines())}


def service_lookup(table: str, field: Field, *keys: str) -> str:
    """SQL for ``field`` of the first of the SQL expressions ``keys`` that the table knows; NULL when it knows none."""
    known = services(table)
    names = ", ".join(literal(key) for key in known)
    values = ", ".join(literal(row[field]) for row in known.values())
    found = [f"map([{names}], [{values}])[{key}]" for key in keys]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"
