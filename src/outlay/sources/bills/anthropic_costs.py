"""Anthropic's cost reports, of the Claude Platform and of Claude Enterprise.

Three endpoints tell what was charged in each bucket of time, by the groups that were asked for:

- ``GET /v1/organizations/cost_report``: the API's costs, by workspace and description, day by day; now called legacy;
- ``GET /v1/organizations/analytics/cost_report``: by product, model, cost type and token type;
- ``GET /v1/organizations/analytics/cost``: the newest, of both; its rows carry their period, group and cost.

They are the bill beside the usage reports (:mod:`outlay.sources.usage.anthropic_usage`). They tell no quantity. The
analytics ones have the list price beside the amount, which is after discounts and before credits.

The trap is the unit: **amounts are cents**, with decimals, as text: ``"123.45"`` is $1.2345. The point is moved in the
text, so no digit is lost. Other traps: priority tier costs are paid by commitment and are in no report; a bucket of
``analytics/cost_report`` names its 100 largest groups and drops the rest without a word; grouped by RBAC group, a
user in several groups is charged in each, so such a report is refused.

Source: Anthropic's API reference, https://platform.claude.com/docs/en/api/admin/cost_report, and the types of its
Python SDK 2.12.0 (MIT).
"""

from __future__ import annotations

from outlay.errors import UnreadableError
from outlay.sources.bills.report_columns import MISSING, ai_service, field, text_map
from outlay.sources.bills.row_kinds import row_kinds
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, Notice, RowMapping

__all__ = ["AnthropicCostsReader"]

_MOST_GROUPS = 100
_LEGACY = ("amount", "currency", "cost_type", "token_type", "description")
_ANALYTICS = ("amount", "currency", "list_amount")
_CENTS = r"-?\d{1,18}(\.\d*)?"
_DIRECTIONS = {
    "uncached_input_tokens": ("Input", "Uncached"),
    "cache_read_input_tokens": ("Input", "Read"),
    "cache_creation.ephemeral_5m_input_tokens": ("Input", "Write"),
    "cache_creation.ephemeral_1h_input_tokens": ("Input", "Write"),
    "output_tokens": ("Output", None),
}
_TAGS = (
    "product",
    "cost_type",
    "token_type",
    "context_window",
    "inference_geo",
    "speed",
    "api_key_id",
    "agent_id",
    "slack_channel_id",
    "claude_tag_category",
)


class AnthropicCostsReader:
    """Reads the three forms."""

    format = Format(
        "anthropic-costs",
        "Anthropic cost reports (cost_report, Claude analytics)",
        "The JSON of GET /v1/organizations/cost_report with group_by[]=description and workspace_id, or of "
        "/v1/organizations/analytics/cost with model, cost_type and token_type; all pages of a whole month.",
    )

    def recognises(self, raw: RawFile) -> bool:
        """An unfolded report whose results have an amount beside its kind of cost, or its list price."""
        return raw.unfolded is not None and any(
            all(name in raw.columns for name in names) for names in (_LEGACY, _ANALYTICS)
        )

    def mapping(self, raw: RawFile) -> RowMapping:
        """Each FOCUS column from a result and its bucket."""
        if raw.unfolded is None:
            raise UnreadableError(
                "holds no pages of a cost report of Anthropic.",
                where=str(raw.path),
                hint="Keep each answer of the API as it is: JSON pages, in an array or one a line.",
            )
        _refuse_overlapping(raw)
        analytics = "list_amount" in raw.columns
        amount, listed, currency = (field(raw, name) for name in ("amount", "list_amount", "currency"))
        workspace = field(raw, "workspace_id")
        account = f"coalesce({field(raw, 'page.organization_id')}, {field(raw, 'organization_id')})"
        meter = f"coalesce({', '.join(field(raw, name) for name in ('description', 'token_type', 'cost_type'))})"
        columns = {
            **ai_service("Anthropic", "Claude" if analytics else "Claude API"),
            "BilledCost": _units(amount, currency),
            "EffectiveCost": _units(amount, currency),
            "BillingCurrency": f"upper({currency})",
            "ChargeCategory": f"CASE WHEN starts_with({amount}, '-') THEN 'Credit' ELSE 'Usage' END",
            "ChargeDescription": meter,
            "ChargePeriodStart": field(raw, "starting_at"),
            "ChargePeriodEnd": field(raw, "ending_at"),
            "BillingAccountId": account,
            "BillingAccountType": f"CASE WHEN {account} IS NOT NULL THEN 'Organization' END",
            "SubAccountId": workspace,
            "SubAccountType": f"CASE WHEN {workspace} IS NOT NULL THEN 'Workspace' END",
            "SkuMeter": meter,
        }
        control = {"BilledCost": _hundredth(amount), "EffectiveCost": _hundredth(amount)}
        if analytics:
            columns["ListCost"] = _units(listed, currency)
            control["ListCost"] = _hundredth(listed)
        details = text_map(raw, _price_details(raw))
        tags = text_map(raw, {name: field(raw, name) for name in _TAGS})
        if details is not None:
            columns["SkuPriceDetails"] = f"CAST(to_json({details}) AS VARCHAR)"
        if tags is not None:
            columns["Tags"] = tags
        version = "Claude analytics cost report" if analytics else "Anthropic cost report"
        return RowMapping(version, columns, control, _cut_off(raw) if analytics else ())


def _units(cents: str, currency: str) -> str:
    """The text of an amount in units of its currency, from the text of one in cents; what is no such text is no number.

    Only dollars are known to be told in hundredths.
    """
    digits = f"('00' || regexp_extract({cents}, '^-?(\\d+)', 1))"
    sign, fraction = f"regexp_extract({cents}, '^-?')", f"regexp_extract({cents}, '\\.(\\d*)$', 1)"
    shifted = f"{sign} || left({digits}, -2) || '.' || right({digits}, 2) || {fraction}"
    known = f"regexp_full_match({cents}, '{_CENTS}') AND coalesce(upper({currency}), 'USD') = 'USD'"
    return f"CASE WHEN {known} THEN {shifted} ELSE {cents} || ' hundredths' END"


def _hundredth(cents: str) -> str:
    """The same amount by arithmetic, for reconciliation: a product of exact decimals."""
    return f"try_cast({cents} AS DECIMAL(34,16)) * CAST(0.01 AS DECIMAL(3,2))"


def _price_details(raw: RawFile) -> dict[str, str]:
    """FOCUS' draft keys of what a token is, from the report's own fields."""
    token_type = field(raw, "token_type")

    def by_type(place: int) -> str:
        if token_type == MISSING:
            return MISSING
        cases = " ".join(f"WHEN '{name}' THEN '{one[place]}'" for name, one in _DIRECTIONS.items() if one[place])
        return f"CASE {token_type} {cases} END"

    return {
        "ModelId": field(raw, "model"),
        "TokenDirection": by_type(0),
        "TokenCacheAction": by_type(1),
        "ServiceTier": field(raw, "service_tier"),
    }


def _refuse_overlapping(raw: RawFile) -> None:
    group = field(raw, "rbac_group_id")
    if group != MISSING and row_kinds(raw, f"CASE WHEN {group} IS NOT NULL THEN 'group' END"):
        raise UnreadableError(
            "is grouped by rbac_group_id: a user of several groups counts in each, so its rows add up to more than was "
            "charged.",
            where=str(raw.path),
            hint="Export the report again without that group.",
        )


def _cut_off(raw: RawFile) -> tuple[Notice, ...]:
    """A notice where buckets have as many groups as the report tells at most."""
    count = field(raw, "results_in_bucket")
    if count == MISSING:
        return ()
    full = row_kinds(
        raw, f"CASE WHEN try_cast({count} AS BIGINT) >= {_MOST_GROUPS} THEN {field(raw, 'starting_at')} END"
    )
    if not full:
        return ()
    message = f"buckets with {_MOST_GROUPS} groups, the most that the report tells: {len(full)}"
    return (Notice("top-groups-only", message),)
