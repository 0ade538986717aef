"""The ``requests`` table: what was asked of models, one row a call, or a bucket of calls where a provider adds up.

Names are OpenTelemetry's GenAI attributes with ``_`` for ``.`` (dots need quoting in every engine, and in Spark mean a
field of a struct). Usage has OpenTelemetry's meaning whatever the source's was: input includes cache reads and writes,
output includes reasoning (:mod:`outlay.prices.usage`). ``x_Meter_`` columns are the exclusive parts that have one unit
price each and add up to those totals (:mod:`outlay.ledger.meters`).

A bucket's counts are sums over its calls; prices that depend on a call's size can't be known from it, so its cost is
an estimate where the model has such prices. ``x_Cost`` is Outlay's price as of the call; what the provider or a
gateway said is ``x_ReportedCost``. Neither is ever 0 for unknown.
"""

from __future__ import annotations

from outlay.ledger.meters import METERS
from outlay.ledger.tables.table import Column, FactTable
from outlay.money import MONEY_SQL

__all__ = ["REQUESTS", "meter_column"]

_SECONDS = "DECIMAL(18,6)"


def meter_column(meter: str) -> str:
    """The column of a meter: ``cache_read`` gives ``x_Meter_cache_read``."""
    return f"x_Meter_{meter}"


_METERS = tuple(
    Column(meter_column(meter), _SECONDS if unit == "second" else "BIGINT", meaning=f"meter {meter}, in {unit}s")
    for meter, unit in METERS.items()
)

REQUESTS = FactTable(
    name="requests",
    meaning="calls of models, and providers' buckets of calls",
    time=("start_time",),
    measures=(
        "x_Requests",
        "gen_ai_usage_input_tokens",
        "gen_ai_usage_cache_read_input_tokens",
        "gen_ai_usage_cache_write_input_tokens",
        "gen_ai_usage_output_tokens",
        "x_ReportedCost",
        "x_RouteSaved",
        "x_CacheSaved",
    ),
    moves=True,
    filled=("x_PriceStatus", "x_Cost", "x_CostCurrency", "x_CostEstimated", "x_PriceVersion"),
    own=(
        Column("start_time", "TIMESTAMP", False, meaning="when the call or the bucket began, UTC"),
        Column("end_time", "TIMESTAMP", meaning="when it ended; exclusive for a bucket"),
        Column("x_Kind", "VARCHAR", False, allowed=("call", "bucket"), meaning="call, or bucket of calls"),
        Column("x_Requests", "BIGINT", meaning="calls in the row: 1 for a call; null where a bucket does not tell"),
        Column("x_Succeeded", "BIGINT", meaning="of those, the ones that succeeded; null where not told"),
        Column("error_type", "VARCHAR", meaning="what failed; null where nothing did, or a bucket does not tell"),
        Column("gen_ai_operation_name", "VARCHAR", meaning="chat, text_completion, embeddings, generate_content, …"),
        Column("gen_ai_provider_name", "VARCHAR", meaning="OpenTelemetry's provider name, e.g. openai, aws.bedrock"),
        Column("gen_ai_request_model", "VARCHAR", meaning="the model asked for"),
        Column("gen_ai_response_model", "VARCHAR", meaning="the model that answered: the one that is priced"),
        Column("gen_ai_usage_input_tokens", "BIGINT", meaning="input, cache reads and writes included"),
        Column("gen_ai_usage_cache_read_input_tokens", "BIGINT", meaning="of the input, read from a cache"),
        Column("gen_ai_usage_cache_write_input_tokens", "BIGINT", meaning="of the input, written to a cache"),
        Column("gen_ai_usage_output_tokens", "BIGINT", meaning="output, reasoning included"),
        Column("gen_ai_usage_reasoning_output_tokens", "BIGINT", meaning="of the output, reasoning"),
        *_METERS,
        Column("x_PriceContext", "VARCHAR", meaning="what decides the price beside the model: processing=batch;…"),
        Column("x_DurationSeconds", _SECONDS, meaning="wall time of a call; null for a bucket"),
        Column("x_FirstTokenSeconds", _SECONDS, meaning="time to the first token of a streamed call"),
        Column("x_Account", "VARCHAR", meaning="organisation or billing account at the provider"),
        Column("x_Project", "VARCHAR", meaning="project, workspace or deployment at the provider"),
        Column("x_ApiKey", "VARCHAR", meaning="id or name of the key, never the key"),
        Column("x_User", "VARCHAR", meaning="who called, as the source has it"),
        Column("x_Region", "VARCHAR", meaning="region that served it"),
        Column("x_Service", "VARCHAR", meaning="OpenTelemetry service.name, or the product that called"),
        Column("x_TraceId", "VARCHAR", meaning="trace id, hex"),
        Column("x_SpanId", "VARCHAR", meaning="span id, hex"),
        Column("x_ReportedCost", MONEY_SQL, meaning="cost as the provider or the gateway reported it"),
        Column("x_ReportedCurrency", "VARCHAR", meaning="its currency"),
        Column("x_Route", "VARCHAR", meaning="rule of Outlay's gateway that was about the call"),
        Column(
            "x_RouteKind", "VARCHAR", meaning="what the rule is: always, canary, length, classifier, cascade, shadow"
        ),
        Column("x_RouteOutcome", "VARCHAR", meaning="what it made of the call: routed, failed, fell_back, shadow, …"),
        Column(
            "x_RouteSaved", MONEY_SQL, meaning="what that saved by estimate, in x_ReportedCurrency; below 0: a loss"
        ),
        Column("x_CacheSaved", MONEY_SQL, meaning="what an answer that was given again saved, in x_ReportedCurrency"),
        Column("x_Remarks", "VARCHAR", meaning="what did not fit in the usage, as codes joined by ';'"),
        Column("x_PriceStatus", "VARCHAR", meaning="priced or unpriced; null for a row that is no priced usage"),
        Column("x_Cost", MONEY_SQL, meaning="price as of start_time; null when unpriced"),
        Column("x_CostCurrency", "VARCHAR", meaning="currency of x_Cost"),
        Column("x_CostEstimated", "BOOLEAN", meaning="whether something that decides the price is not known"),
        Column("x_PriceVersion", "VARCHAR", meaning="which price list, as of when"),
    ),
)
