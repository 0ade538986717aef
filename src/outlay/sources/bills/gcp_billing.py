"""Google Cloud's billing export: the detailed (or standard) usage cost table of BigQuery, exported to files.

BigQuery's rows are nested, and files flatten them in three ways, all read here: JSON lines and Parquet keep
``service``, ``usage`` or ``credits`` as they are; a CSV has them as JSON cells, or as one column a field
(``service.description`` or ``service_description``). One row in is one row out.

**Costs.** ``cost`` is before credits, so BilledCost = cost + the sum of ``credits[].amount``; Google itself
computes an invoice so. EffectiveCost is the same amount on every row, because the export amortises nothing
and Google bills commitments as they run, with nothing upfront. Committed use discounts come in two models:

- *credits* (resource-based commitments, which GPUs have; spend-based ones before 2026): usage is charged on
  demand and credited back, and the fee is a row of its own (``Commitment v1: ...``). What a usage row's share
  of the fee is, the export does not say. So the fee row, a Purchase, keeps its effective cost: FOCUS would
  put it on the usage, and 0 here would lose it from every total. Nor does it say how much of such a
  commitment went unused.
- *consumption models* (spend-based, since July 2025): usage is charged at the commitment's price, and the fee
  row is credited for what was used (``FEE_UTILIZATION_OFFSET``). What is left of the fee is what went unused,
  and the row is read as that.

ListCost is ``cost_at_list``; an export from before June 2023 has none, and then it is unknown. A fee has none
either: the usage that it pays for is listed on rows of its own, and a fee's own list price beside it would
count twice. Promotional credits reduce the cost of a row like any other credit: usage that a start-up
programme pays for costs 0 here.

Traps: the invoice month (Pacific time) is not the month of usage; amounts are floats and are read as the
shortest decimal that names them; CPU, memory and GPUs of one machine are rows of their own, and all carry its
machine type; an export whose credits were unnested has a row for each credit, would count costs twice, and is
refused.

Sources: Google Cloud documentation, "Structure of Detailed data export", "Billing data and SKU updates for
spend-based CUDs"; FOCUS 1.4.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlay.errors import UnreadableError
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.money import MONEY_SQL
from outlay.sources.bills.reference_table import reference_lookup
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, RowMapping, column

__all__ = ["GcpBillingReader"]

_SERVICES = "gcp_services"
_PAIRS = literal('[{"key":"VARCHAR","value":"VARCHAR"}]')
_PAIR_TYPE = 'STRUCT("key" VARCHAR, "value" VARCHAR)[]'
_CREDITS = literal('[{"id":"VARCHAR","full_name":"VARCHAR","type":"VARCHAR","amount":"VARCHAR"}]')
_BY_RESOURCE, _BY_SPEND, _OFFSET = (
    "COMMITTED_USAGE_DISCOUNT", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", "FEE_UTILIZATION_OFFSET",
)  # fmt: skip
_MACHINE_PARTS = "(?i)gpu attached|instance (core|ram)|^nvidia|gpu slice"
_NEEDED = (
    "billing_account_id", "service.description", "sku.description", "usage_start_time", "usage_end_time",
    "invoice.month", "cost", "currency", "credits", "usage.amount_in_pricing_units", "usage.pricing_unit",
)  # fmt: skip


class GcpBillingReader:
    """Reads the detailed and the standard usage cost export: JSON lines, Parquet, CSV."""

    format = Format(
        "gcp-billing",
        "Google Cloud billing export (detailed or standard usage cost, from BigQuery)",
        "The gcp_billing_export_resource_v1_* table exported from BigQuery as JSON lines, Parquet or CSV with all its "
        "columns, one row a row of the table: credits must not be unnested.",
    )

    def recognises(self, raw: RawFile) -> bool:
        """A billing account, a SKU, a usage start and a cost under Google's names."""
        cells = _Cells(raw)
        names = ("billing_account_id", "sku.description", "usage_start_time", "cost", "currency")
        return all(cells.has(name) for name in names) and raw.find("BilledCost") is None

    def mapping(self, raw: RawFile) -> RowMapping:
        """The row mapping. Raises :class:`UnreadableError` where a missing column would make the costs wrong."""
        cells = _Cells(raw)
        missing = [name for name in _NEEDED if not cells.has(name)]
        if missing:
            unnested = "credits" in missing and cells.has("credits.amount")
            raise UnreadableError(
                "has its credits unnested: a row for each credit repeats the cost."
                if unnested
                else f"is a Google Cloud billing export without {', '.join(missing)}.",
                where=str(raw.path),
                hint="Export the table with all its columns, credits as TO_JSON_STRING(credits) in CSV.",
            )
        columns = {
            **_costs(cells),
            **_charge(cells),
            **_commitment(cells),
            **_place(cells),
            **_sku(cells),
            "Tags": _tags(cells),
        }
        kind = "detailed" if cells.has("resource.global_name") or cells.has("resource.name") else "standard"
        return RowMapping(f"GCP billing ({kind})", columns, _control(cells))


@dataclass(frozen=True, slots=True)
class _Cells:
    """The file's cells as SQL; a column that the file lacks is a NULL."""

    raw: RawFile

    def has(self, path: str) -> bool:
        """Whether the file has the column, flattened or inside a nested one."""
        if self.raw.find(path) is not None:
            return True
        head, _, field = path.partition(".")
        return bool(field) and self.raw.find(head) is not None

    def text(self, *paths: str) -> str:
        """The first of the fields that has a value in the row, as text."""
        found = [sql for path in paths if (sql := self._one(path)) is not None]
        if not found:
            return "CAST(NULL AS VARCHAR)"
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def number(self, path: str) -> str:
        """A field as an exact decimal; NULL when it is not a number."""
        return f"try_cast({self.text(path)} AS {MONEY_SQL})"

    def time(self, path: str) -> str:
        """A time as the file types it: text in CSV and JSON lines, a timestamp in Parquet."""
        return column(self.raw, path) or "CAST(NULL AS VARCHAR)"

    def json(self, path: str) -> str | None:
        """A nested value as JSON; None where the file has none."""
        found = self.raw.find(path)
        if found is not None:
            cell = identifier(found)
            return cell if self.raw.columns[found] == "JSON" else f"try_cast({cell} AS JSON)"
        head, _, field = path.partition(".")
        whole = self.json(head) if field else None
        return None if whole is None else f"json_extract({whole}, {literal(f'$.{field}')})"

    def pairs(self, path: str) -> str:
        """Labels or tags as a list of ``{key, value}``; NULL where there are none."""
        found = self.json(path)
        return f"CAST(NULL AS {_PAIR_TYPE})" if found is None else f"from_json({found}, {_PAIRS})"

    def system_label(self, key: str) -> str:
        """The value of one of Google's own labels."""
        wanted = literal(f"compute.googleapis.com/{key}")
        return f"list_filter({self.pairs('system_labels')}, lambda p: p.key = {wanted})[1].value"

    def _one(self, path: str) -> str | None:
        found = self.raw.find(path)
        if found is not None:
            sql = column(self.raw, path) or ""
            as_it_is = self.raw.columns[found] == "VARCHAR" or self.raw.kind == "jsonl"
            return sql if as_it_is else f"CAST({sql} AS VARCHAR)"
        head, _, field = path.partition(".")
        whole = self.json(head) if field else None
        return None if whole is None else f"nullif(json_extract_string({whole}, {literal(f'$.{field}')}), '')"

    @property
    def credits(self) -> str:
        """The row's credits as a list of structs; their amounts as text."""
        return f"from_json({self.json('credits')}, {_CREDITS})"

    def has_credit(self, *types: str) -> str:
        """Whether a credit of one of the types is on the row."""
        return f"coalesce(list_has_any(list_transform({self.credits}, lambda c: c.type), [{_texts(types)}]), false)"

    @property
    def is_fee(self) -> str:
        """The row is a commitment's fee."""
        named = f"coalesce({self.text('sku.description')} ILIKE 'commitment%', false)"
        return f"({named} OR {self.has_credit(_OFFSET)})"

    @property
    def is_offset_fee(self) -> str:
        """The fee is credited for what was used of it, so what it still costs went unused."""
        return self.has_credit(_OFFSET)

    @property
    def is_at_commitment_price(self) -> str:
        """Usage charged by a consumption model other than the default one: at a commitment's price."""
        return (
            f"(NOT {self.is_fee} AND coalesce(lower({self.text('consumption_model.description')}) <> 'default', false))"
        )

    @property
    def is_covered(self) -> str:
        """Usage that a commitment covers, wholly or in part."""
        return f"(NOT {self.is_fee} AND ({self.has_credit(_BY_RESOURCE, _BY_SPEND)} OR {self.is_at_commitment_price}))"

    @property
    def cost_type(self) -> str:
        """regular, tax, adjustment or rounding_error."""
        return f"lower({self.text('cost_type')})" if self.has("cost_type") else "'regular'"


def _texts(values: tuple[str, ...]) -> str:
    return ", ".join(literal(value) for value in values)


def _net(cells: _Cells) -> str:
    """Cost plus credits, as text; a cost or credit that is no number comes out as the text that it is."""
    cost, given = cells.text("cost"), cells.text("credits")
    amounts = f"list_transform({cells.credits}, lambda c: try_cast(c.amount AS {MONEY_SQL}))"
    bad = f"list_filter({cells.credits}, lambda c: c.amount IS NULL OR try_cast(c.amount AS {MONEY_SQL}) IS NULL)"
    return (
        f"CASE WHEN {cells.number('cost')} IS NULL THEN {cost} "
        f"WHEN {given} NOT IN ('[]', 'null') AND ({cells.credits} IS NULL OR len({bad}) > 0) THEN {given} "
        f"ELSE CAST({cells.number('cost')} + coalesce(list_sum({amounts}), 0) AS VARCHAR) END"
    )


def _costs(cells: _Cells) -> dict[str, str]:
    regular = f"{cells.cost_type} = 'regular'"
    # cost is at the contract's prices, unless a consumption model already took a commitment's discount off it
    default = cells.text("cost_at_effective_price_default")
    charged = f"CASE WHEN NOT {cells.is_at_commitment_price} THEN {cells.text('cost')} END"
    costs = {
        "BilledCost": _net(cells),
        "EffectiveCost": _net(cells),
        "BillingCurrency": cells.text("currency"),
        "ContractedCost": f"CASE WHEN {regular} AND NOT {cells.is_fee} THEN coalesce({default}, {charged}) END",
    }
    if cells.has("cost_at_list"):
        costs["ListCost"] = f"CASE WHEN NOT {cells.is_fee} THEN {cells.text('cost_at_list')} END"
    return costs


def _control(cells: _Cells) -> dict[str, str]:
    """The measures once more: the credits' amounts by a JSON path, not as structs."""
    amounts = f"try_cast(json_extract_string({cells.json('credits')}, '$[*].amount') AS {MONEY_SQL}[])"
    net = f"CAST({cells.number('cost')} + coalesce(list_sum({amounts}), 0) AS VARCHAR)"
    control = {"BilledCost": net, "EffectiveCost": net}
    if cells.has("cost_at_list"):
        sku = cells.text("sku.description")
        fee = f"starts_with(lower({sku}), 'commitment') OR contains({cells.text('credits')}, '{_OFFSET}')"
        control["ListCost"] = f"if({fee}, NULL, CAST({cells.number('cost_at_list')} AS VARCHAR))"
    return control


def _charge(cells: _Cells) -> dict[str, str]:
    month, adjustment = cells.text("invoice.month"), cells.text("adjustment_info.type")
    start = f"try_strptime({month} || '01', '%Y%m%d')"
    regular = f"{cells.cost_type} = 'regular'"
    usage = f"({regular} AND NOT {cells.is_fee})"
    return {
        "ChargePeriodStart": cells.time("usage_start_time"),
        "ChargePeriodEnd": cells.time("usage_end_time"),
        "BillingPeriodStart": f"coalesce(CAST({start} AS VARCHAR), {month})",
        "BillingPeriodEnd": f"{start} + INTERVAL 1 MONTH",
        "ChargeCategory": f"""CASE {cells.cost_type} WHEN 'regular' THEN
            CASE WHEN {cells.is_fee} AND NOT {cells.is_offset_fee} THEN 'Purchase' ELSE 'Usage' END
            WHEN 'tax' THEN 'Tax' WHEN 'adjustment' THEN 'Adjustment' WHEN 'rounding_error' THEN 'Adjustment'
            ELSE {cells.text("cost_type")} END""",
        "ChargeClass": f"CASE WHEN ends_with({adjustment}, '_CORRECTION') THEN 'Correction' END",
        "ChargeDescription": cells.text("adjustment_info.description", "sku.description"),
        "ChargeFrequency": f"""CASE WHEN {usage} THEN 'Usage-Based' WHEN {cells.is_fee} THEN 'Recurring' END""",
        "PricingQuantity": f"CASE WHEN {regular} THEN {cells.text('usage.amount_in_pricing_units')} END",
        "PricingUnit": f"CASE WHEN {regular} THEN {cells.text('usage.pricing_unit')} END",
        "ConsumedQuantity": f"CASE WHEN {usage} THEN {cells.text('usage.amount')} END",
        "ConsumedUnit": f"CASE WHEN {usage} THEN {cells.text('usage.unit')} END",
        "PricingCategory": f"""CASE WHEN {cells.cost_type} <> 'regular' THEN NULL
            WHEN {cells.is_offset_fee} OR {cells.is_covered} THEN 'Committed' WHEN {cells.is_fee} THEN 'Standard'
            WHEN regexp_matches({cells.text("sku.description")}, '(?i)\\b(spot|preemptible)\\b') THEN 'Dynamic'
            ELSE 'Standard' END""",
    }


def _commitment(cells: _Cells) -> dict[str, str]:
    about = f"({cells.is_fee} OR {cells.is_covered})"
    discounts = f"list_filter({cells.credits}, lambda c: c.type IN ({_texts((_BY_RESOURCE, _BY_SPEND))}))"
    spend = (
        f"({cells.has_credit(_BY_SPEND, _OFFSET)} OR {cells.is_at_commitment_price} "
        f"OR {cells.text('sku.description')} ILIKE '%dollar based%')"
    )
    unused = f"{cells.system_label('is_unused_reservation')} = 'true'"
    reservation = cells.system_label("reservation_name")
    nearest = (
        f"{cells.text('subscription.instance_id')}, nullif({discounts}[1].id, ''), {cells.text('consumption_model.id')}"
    )
    return {
        "CommitmentDiscountId": f"CASE WHEN {about} THEN coalesce({nearest}) END",
        "CommitmentDiscountName": f"CASE WHEN {about} THEN coalesce(nullif({discounts}[1].full_name, ''), "
        f"if({cells.is_at_commitment_price}, {cells.text('consumption_model.description')}, NULL)) END",
        "CommitmentDiscountCategory": f"CASE WHEN {about} THEN if({spend}, 'Spend', 'Usage') END",
        "CommitmentDiscountType": f"CASE WHEN {about} THEN if({spend}, 'Spend-based CUD', 'Resource-based CUD') END",
        "CommitmentDiscountStatus": f"""CASE WHEN {cells.is_offset_fee} THEN 'Unused'
            WHEN {cells.is_covered} THEN 'Used' END""",
        "CapacityReservationId": reservation,
        "CapacityReservationStatus": f"CASE WHEN {unused} THEN 'Unused' WHEN {reservation} IS NOT NULL THEN 'Used' END",
    }


def _place(cells: _Cells) -> dict[str, str]:
    key = f"lower({cells.text('service.description')})"
    resource = cells.text("resource.global_name")

    def known(field: str) -> str:
        return reference_lookup(_SERVICES, field, key)

    return {
        "BillingAccountId": cells.text("billing_account_id"),
        "BillingAccountType": "'Billing Account'",
        "SubAccountId": cells.text("project.id"),
        "SubAccountName": cells.text("project.name"),
        "SubAccountType": f"CASE WHEN {cells.text('project.id')} IS NOT NULL THEN 'Project' END",
        "ServiceProviderName": "'Google Cloud'",
        "HostProviderName": f"CASE WHEN {cells.text('transaction_type')} = 'GOOGLE' THEN 'Google Cloud' END",
        "InvoiceIssuerName": "'Google Cloud'",
        "ServiceName": cells.text("service.description"),
        "ServiceCategory": f"coalesce({known('service_category')}, 'Other')",
        "ServiceSubcategory": f"coalesce({known('service_subcategory')}, 'Other (Other)')",
        "ResourceId": cells.text("resource.global_name", "resource.name"),
        "ResourceName": cells.text("resource.name"),
        "ResourceType": f"nullif(regexp_replace({resource}, '^//([^/]+)/.*?([^/]+)/[^/]+$', '\\1/\\2'), {resource})",
        "RegionId": cells.text("location.region"),
        "RegionName": cells.text("location.region"),
        "AvailabilityZone": cells.text("location.zone"),
    }


def _sku(cells: _Cells) -> dict[str, str]:
    """The SKU. The machine type stands on every row of a machine, so only its own parts (GPU, CPU, memory) keep it."""
    machine, sku = cells.system_label("machine_spec"), cells.text("sku.description")
    tier = cells.text("price.tier_start_amount")
    return {
        "SkuId": cells.text("sku.id"),
        "SkuPriceId": f"{cells.text('sku.id')} || '/' || regexp_replace({tier}, '\\.0+$', '')",
        "SkuMeter": sku,
        "SkuPriceDetails": f"""CASE WHEN {machine} IS NOT NULL AND regexp_matches({sku}, {literal(_MACHINE_PARTS)})
            THEN '{{"InstanceType": ' || CAST(to_json({machine}) AS VARCHAR) || '}}' END""",
    }


def _tags(cells: _Cells) -> str:
    """Labels of the resource, then its tags, then labels of its project; the first to name a key decides."""
    every = f"list_concat({cells.pairs('labels')}, {cells.pairs('tags')}, {cells.pairs('project.labels')})"
    named = f"list_filter({every}, lambda p: p.key IS NOT NULL)"
    keys = f"list_transform({named}, lambda p: p.key)"
    first = f"list_filter({named}, lambda p, i: list_position({keys}, p.key) = i)"
    return f"CASE WHEN len({named}) > 0 THEN map_from_entries({first}) END"
