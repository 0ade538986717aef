"""OpenAI's costs report: ``GET /v1/organization/costs``, what an organisation is charged for each day.

It is the bill beside the usage reports (:mod:`outlay.sources.usage.openai_usage`): by project, line item and API key,
as far as it was grouped by them. A line item is text (``gpt-4o-2024-08-06, input``); the model, the direction and the
cache action are read from it as from any bill's meter. With ``group_by[]=line_item`` there is a quantity, in tokens or
another unit, so usage and bill can be compared.

The amount is the price paid, in units of its currency; the report knows no list price. It is told as a number or as
text, and may be negative; what a negative amount corrects is not said, so it is a Credit.

The trap: the answer to a query without ``limit`` is seven days, the rest of the month is in the next pages. A load
replaces the whole month.

Source: OpenAI's API description (MIT), https://platform.openai.com/docs/api-reference/usage/costs.
"""

from __future__ import annotations

from outlay.errors import UnreadableError
from outlay.sources.bills.report_columns import ai_service, field, text_map
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, RowMapping

__all__ = ["OpenAICostsReader"]

_RESULT = "organization.costs.result"


class OpenAICostsReader:
    """Reads the pages of the costs report."""

    format = Format(
        "openai-costs",
        "OpenAI costs API (organization/costs)",
        "The JSON of GET /v1/organization/costs, all pages of a whole month, with group_by=line_item and project_id.",
    )

    def recognises(self, raw: RawFile) -> bool:
        """An unfolded report whose results say that they are costs."""
        return raw.unfolded is not None and any(row.get("object") == _RESULT for row in raw.sample)

    def mapping(self, raw: RawFile) -> RowMapping:
        """Each FOCUS column from a result and its bucket."""
        if raw.unfolded is None:
            raise UnreadableError(
                "holds no pages of OpenAI's costs report.",
                where=str(raw.path),
                hint="Keep each answer of the API as it is: JSON pages, in an array or one a line.",
            )
        amount = field(raw, "amount.value")
        project, account = field(raw, "project_id"), field(raw, "organization_id")
        quantity, unit = field(raw, "quantity"), field(raw, "quantity_unit")
        columns = {
            **ai_service("OpenAI", "OpenAI API"),
            "BilledCost": amount,
            "EffectiveCost": amount,
            "BillingCurrency": f"upper({field(raw, 'amount.currency')})",
            "ChargeCategory": f"CASE WHEN starts_with({amount}, '-') THEN 'Credit' ELSE 'Usage' END",
            "ChargeDescription": field(raw, "line_item"),
            "ChargePeriodStart": field(raw, "starting_at"),
            "ChargePeriodEnd": field(raw, "ending_at"),
            "BillingAccountId": account,
            "BillingAccountName": field(raw, "organization_name"),
            "BillingAccountType": f"CASE WHEN {account} IS NOT NULL THEN 'Organization' END",
            "SubAccountId": project,
            "SubAccountName": field(raw, "project_name"),
            "SubAccountType": f"CASE WHEN {project} IS NOT NULL THEN 'Project' END",
            "SkuMeter": field(raw, "line_item"),
            "PricingQuantity": quantity,
            "PricingUnit": unit,
            "ConsumedQuantity": quantity,
            "ConsumedUnit": unit,
        }
        tags = text_map(raw, {"api_key_id": field(raw, "api_key_id")})
        if tags is not None:
            columns["Tags"] = tags
        return RowMapping("OpenAI costs", columns, {"BilledCost": amount, "EffectiveCost": amount})
