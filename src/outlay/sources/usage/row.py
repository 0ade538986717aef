"""The usage columns of a ``requests`` row, from a provider's usage object in one meaning."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from outlay.ledger.tables.requests import meter_column
from outlay.prices.tokens import context_text
from outlay.prices.usage import Usage
from outlay.sources.facts import Value

__all__ = ["inner_calls", "usage_values"]


def usage_values(usage: Usage, *, context: dict[str, str] | None = None) -> dict[str, Value]:
    """Totals, meters, price context, remarks and the reported cost of ``usage``, by column.

    ``context`` is what else decides the price (a batch, a tier, a region) and is laid over what the payload says.
    """
    said = context_text({**usage.context, **(context or {})})
    values: dict[str, Value] = {
        "gen_ai_usage_input_tokens": usage.input_tokens,
        "gen_ai_usage_output_tokens": usage.output_tokens,
        "gen_ai_usage_cache_read_input_tokens": usage.cache_read_tokens,
        "gen_ai_usage_cache_write_input_tokens": usage.cache_write_tokens,
        "gen_ai_usage_reasoning_output_tokens": usage.reasoning_tokens,
        **{meter_column(meter): quantity for meter, quantity in usage.meters.items()},
        "x_PriceContext": said or None,
        "x_Remarks": ";".join(sorted({remark.code for remark in usage.remarks})) or None,
    }
    if usage.reported_cost is not None:
        values |= {"x_ReportedCost": Decimal(usage.reported_cost), "x_ReportedCurrency": "USD"}
    return values


def inner_calls(usage: Usage, model: str | None) -> Iterator[tuple[str, str | None, Usage]]:
    """Calls that the provider made within the call: a suffix for the identity, the model, the usage."""
    for number, call in enumerate(usage.inner, start=1):
        yield f"{call.kind}-{number}", call.model or model, call.usage
