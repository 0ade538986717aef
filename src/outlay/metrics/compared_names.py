"""What a bill and usage call a provider and a model, and what both mean by it.

A bill says "Amazon Bedrock" and a trace "aws.bedrock"; a bill's model is an SKU. Both are taken to the price list's own
provider and model where it knows them; what it does not know is compared by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from outlay.metrics.providers import billed_provider, price_provider
from outlay.prices import genai

if TYPE_CHECKING:
    import duckdb

__all__ = ["name_both_sides"]


def name_both_sides(connection: duckdb.DuckDBPyConnection) -> None:
    """Tables ``bill_names`` and ``usage_names``: what each side calls a provider and model, and what both mean."""
    import pyarrow as pa

    billed = connection.execute(
        "SELECT DISTINCT coalesce(\"ServiceProviderName\", ''), coalesce(\"ServiceName\", ''), "
        "coalesce(\"x_ModelId\", '') FROM costs WHERE \"x_AiCategory\" = 'tokens'"
    ).fetchall()
    used = connection.execute(
        "SELECT DISTINCT coalesce(gen_ai_provider_name, ''), coalesce(gen_ai_response_model, gen_ai_request_model, '') "
        "FROM requests"
    ).fetchall()
    sides = {
        "bill_names": [
            {"named": n, "service": s, "model_named": m, **_meant(billed_provider(n, s), m)} for n, s, m in billed
        ],
        "usage_names": [{"named": n, "service": "", "model_named": m, **_meant(n, m)} for n, m in used],
    }
    schema = pa.schema([(name, pa.string()) for name in ("named", "service", "model_named", "provider", "model")])
    for name, rows in sides.items():
        connection.register("names_arrow", pa.Table.from_pylist(rows, schema=schema))
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM names_arrow")
        connection.unregister("names_arrow")


def _meant(provider: str, model: str) -> Mapping[str, str]:
    listed = price_provider(provider)
    found = genai.resolve(listed, model) if model else None
    if found is not None:
        return {"provider": found.provider, "model": found.model}
    return {"provider": listed, "model": model.lower()}
