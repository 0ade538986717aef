"""SQL over the flat rows of an unfolded cost report: what the readers of providers' reports have in common.

Their rows are JSON lines with texts (:mod:`outlay.sources.bills.unfolded`). A field that the report was not grouped by
is missing or null.
"""

from __future__ import annotations

from collections.abc import Mapping

from outlay.ledger.engine.duckdb import literal
from outlay.sources.raw import RawFile
from outlay.sources.reader import column

__all__ = ["MISSING", "ai_service", "field", "text_map"]

MISSING = "CAST(NULL AS VARCHAR)"


def field(raw: RawFile, name: str) -> str:
    """The field called ``name``; NULL where the report has none."""
    return column(raw, name) or MISSING


def text_map(raw: RawFile, fields: Mapping[str, str]) -> str | None:
    """A MAP of the fields that a row has, by the keys that ``fields`` gives with their SQL; None where no row has any.

    NULL for a row without any.
    """
    told = {key: sql for key, sql in fields.items() if sql != MISSING}
    if not told:
        return None
    pairs = ", ".join(f"{{'key': {literal(key)}, 'value': {sql}}}" for key, sql in told.items())
    found = f"list_filter([{pairs}], lambda p: p.value IS NOT NULL)"
    return f"CASE WHEN coalesce({', '.join(told.values())}) IS NOT NULL THEN map_from_entries({found}) END"


def ai_service(provider: str, service: str) -> dict[str, str]:
    """Who sells, makes and bills it, and what kind of service it is."""
    return {
        "ServiceProviderName": literal(provider),
        "HostProviderName": literal(provider),
        "InvoiceIssuerName": literal(provider),
        "ServiceName": literal(service),
        "ServiceCategory": "'AI and Machine Learning'",
        "ServiceSubcategory": "'Generative AI'",
    }
