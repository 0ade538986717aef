"""What the line items of an AWS Cost and Usage Report are in FOCUS, for the legacy report and for CUR 2.0.

The two differ in spelling only (``lineItem/UnblendedCost`` against ``line_item_unblended_cost``; tags and product
attributes as columns against maps), so one mapping reads both. The difficulty is in what AWS calls a cost. A report
lists *cash*: list price for usage that a Savings Plan covers, the same amount again with a minus sign, and the plan's
hourly fee beside them; a reservation's usage at zero beside a monthly fee. FOCUS asks for two costs a row:

=======================  ====================================  =====================================================
line item type           BilledCost                            EffectiveCost
=======================  ====================================  =====================================================
Usage                    unblended                             unblended
SavingsPlanCoveredUsage  0                                     savings plan effective cost
SavingsPlanNegation      0                                     0
SavingsPlanRecurringFee  unblended                             total - used commitment: what went unused
SavingsPlanUpfrontFee    unblended                             0
DiscountedUsage          unblended (AWS writes 0)              reservation effective cost
RIFee                    unblended                             unused amortised upfront + unused recurring fee
Fee of a reservation     unblended                             0
any other                unblended                             unblended
=======================  ====================================  =====================================================

A covered usage row is billed 0 because its negation, a row that belongs to nobody, cancels it: AWS' own FOCUS export
bills it 0 too. Where the report has *net* columns (accounts with negotiated discounts) the net amount comes before
the unblended one: the discount is then in the row, and its own line, if any, is 0 net.

**One row in, one row out.** FOCUS puts a commitment's fee (Purchase: billed, effective 0) and what of it went unused
(Usage, Unused: billed 0, effective) in two rows; AWS puts both in one. A fee row of which a part went unused becomes
the Unused row and keeps its bill; any other is the Purchase. So Used + Unused is the commitment's effective cost, a
Purchase never has an effective cost; and over a commitment's term the effective cost of its Usage rows equals the
billed cost of all its rows, not of the Purchase rows alone. The upfront amount that AWS bills once is amortised by
AWS itself, in the effective columns.

Traps: the month in progress shows reserved hours still to come as unused. ``reservation/SubscriptionId`` is filled on
on-demand rows, so the ARN tells a reservation. Public on-demand cost is 0 where AWS has no public price.

Sources: AWS Cost and Usage Reports and Data Exports user guides (column dictionaries, amortised cost), FOCUS 1.4.
"""

from __future__ import annotations

import re

from outlay.ledger.engine.duckdb import literal
from outlay.sources.bills.aws_columns import (
    COMMITMENT_CELLS,
    LIST_COST,
    PLAN_EFFECTIVE,
    RESERVATION,
    RESERVATION_EFFECTIVE,
    TOTAL_COMMITMENT,
    UNBLENDED,
    UNUSED_RECURRING,
    UNUSED_UPFRONT,
    USAGE_TYPE,
    USED_COMMITMENT,
    CurCells,
    tags_sql,
)
from outlay.sources.bills.aws_services import service_lookup
from outlay.sources.bills.row_kinds import row_kinds
from outlay.sources.raw import RawFile
from outlay.sources.reader import Notice, RowMapping, column

__all__ = ["cur_mapping", "is_cur", "is_cur2"]

_USAGE = "('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage')"
_COVERED = "('DiscountedUsage', 'SavingsPlanCoveredUsage')"
_COMMITMENT_FEES = "('RIFee', 'SavingsPlanRecurringFee')"
_EDITION = "%(Amazon Bedrock Edition)"
_CUR2_COLUMNS = (
    "product", "resource_tags", "cost_category", "discount", "tags", "bill_payer_account_name",
    "line_item_usage_account_name", "line_item_iam_principal",
)  # fmt: skip
_LEGACY_COLUMN = re.compile(r"[A-Za-z]+/|(?:resource_tags_(?:user|aws)_|product_product_name$|product_servicename$)")
_INSTANCE_TYPE = (
    r"(?:^|[:-])((?:ml\.|db\.|cache\.)?[a-z]+[0-9][a-z0-9-]*"
    r"\.(?:nano|micro|small|medium|large|metal|[0-9]*xlarge)[a-z0-9-]*)"
)


def is_cur(raw: RawFile) -> bool:
    """Whether the header is a Cost and Usage Report's, of either generation."""
    return raw.find("line_item_line_item_type") is not None and raw.find("line_item_unblended_cost") is not None


def is_cur2(raw: RawFile) -> bool:
    """Whether a Cost and Usage Report is CUR 2.0: it has a column of its own, or none of the legacy report's."""
    if any("/" in name for name in raw.columns):
        return False
    if any(name in raw.columns for name in _CUR2_COLUMNS):
        return True
    return not any(_LEGACY_COLUMN.match(raw.title(name)) for name in raw.columns)


def cur_mapping(raw: RawFile, version: str) -> RowMapping:
    """The row mapping of a Cost and Usage Report of either generation; both spell the same names, folded."""
    cells = CurCells(raw)
    columns = {
        **_costs(cells),
        **_charge(cells),
        **_commitment(cells),
        **_where(cells),
        **_sku(cells),
        **tags_sql(cells),
    }
    return RowMapping(version, columns, _control(cells), _notices(cells))


# line item type: what of it has an effective cost, and the columns that say it (any of a group does)
_EFFECTIVE = {
    "SavingsPlanCoveredUsage": ("usage under savings plans", (PLAN_EFFECTIVE,)),
    "SavingsPlanRecurringFee": ("unused savings plans", ((TOTAL_COMMITMENT,), (USED_COMMITMENT,))),
    "DiscountedUsage": ("usage under reservations", (RESERVATION_EFFECTIVE,)),
    "RIFee": ("unused reservations", (UNUSED_UPFRONT, UNUSED_RECURRING)),
}


def _notices(cells: CurCells) -> tuple[Notice, ...]:
    """What the export's columns leave unknown, and of which rows it has."""
    notices = []
    if column(cells.raw, LIST_COST) is None:
        notices.append(
            Notice(
                "list-cost-unknown", "the export has no pricing/publicOnDemandCost column, so no row has a list cost"
            )
        )
    lacking = {
        kind: [group[-1] for group in groups if all(cells.raw.find(name) is None for name in group)]
        for kind, (_, groups) in _EFFECTIVE.items()
    }
    if any(lacking.values()):
        present = row_kinds(cells.raw, cells.kind)
        hit = [kind for kind, names in lacking.items() if names and kind in present]
        if hit:
            whose = " and ".join(_EFFECTIVE[kind][0] for kind in hit)
            names = ", ".join(name for kind in hit for name in lacking[kind])
            notices.append(
                Notice("effective-cost-unknown", f"the effective cost of {whose} is unknown: the export lacks {names}")
            )
    return tuple(notices)


def _costs(cells: CurCells) -> dict[str, str]:
    kind, billed = cells.kind, cells.billed
    effective = f"""CASE
        WHEN {kind} = 'SavingsPlanCoveredUsage' THEN {cells.text(*PLAN_EFFECTIVE)}
        WHEN {kind} = 'DiscountedUsage' THEN {cells.text(*RESERVATION_EFFECTIVE)}
        WHEN {kind} IN {_COMMITMENT_FEES}
            THEN coalesce(CAST({cells.unused} AS VARCHAR), {cells.not_a_number(*COMMITMENT_CELLS)})
        WHEN {kind} IN ('SavingsPlanNegation', 'SavingsPlanUpfrontFee') THEN '0'
        WHEN {kind} = 'Fee' AND {cells.text(RESERVATION)} IS NOT NULL THEN '0'
        ELSE {billed} END"""
    costs = {
        "BilledCost": f"""CASE WHEN {kind} IN ('SavingsPlanCoveredUsage', 'SavingsPlanNegation') THEN '0'
            ELSE {billed} END""",
        "EffectiveCost": effective,
        "ContractedCost": f"""CASE WHEN {kind} = 'SavingsPlanNegation' THEN '0'
            WHEN {kind} = 'DiscountedUsage' OR {cells.is_unused} THEN NULL ELSE {billed} END""",
    }
    if column(cells.raw, LIST_COST) is not None:
        listed, amount = cells.text(LIST_COST), cells.money(LIST_COST)
        unpriced = f"{amount} = 0 AND ({kind} <> 'Usage' OR {cells.money(*UNBLENDED)} > 0)"
        costs["ListCost"] = f"""CASE
            WHEN {kind} IN {_USAGE} THEN CASE WHEN {unpriced} THEN NULL ELSE {listed} END
            WHEN {kind} = 'Credit' THEN {billed}
            WHEN {kind} = 'SavingsPlanNegation' OR {kind} LIKE '%Discount' THEN '0' END"""
    return costs


def _control(cells: CurCells) -> dict[str, str]:
    """The measures once more, by other words than :func:`_costs`: reconciliation compares the two."""
    kind, billed = cells.kind, cells.billed
    unused_plan = f"{cells.money(TOTAL_COMMITMENT)} - {cells.money(USED_COMMITMENT)}"
    parts = [cells.money(*UNUSED_UPFRONT), cells.money(*UNUSED_RECURRING)]
    unused_reservation = " + ".join(f"coalesce({part}, 0)" for part in parts)
    plan_usage, reserved = cells.text(*PLAN_EFFECTIVE), cells.text(*RESERVATION_EFFECTIVE)
    effective = f"""CASE
        WHEN {kind} LIKE 'SavingsPlan%' THEN CASE substr({kind}, 12) WHEN 'CoveredUsage' THEN {plan_usage}
            WHEN 'RecurringFee' THEN CAST(greatest({unused_plan}, 0) AS VARCHAR) ELSE '0' END
        WHEN starts_with({kind}, 'RI') THEN CAST(greatest({unused_reservation}, 0) AS VARCHAR)
        WHEN starts_with({kind}, 'Discounted') THEN {reserved}
        WHEN NOT ({kind} = 'Fee' AND length({cells.text(RESERVATION)}) > 0) OR {cells.text(RESERVATION)} IS NULL
            THEN {billed} ELSE '0' END"""
    control = {
        "BilledCost": f"CASE regexp_matches({kind}, '^SavingsPlan(Covered|Neg)') WHEN true THEN '0' ELSE {billed} END",
        "EffectiveCost": effective,
    }
    if column(cells.raw, LIST_COST) is not None:
        listed = cells.text(LIST_COST)
        control["ListCost"] = f"CASE WHEN {kind} LIKE '%Usage' THEN {listed} WHEN {kind} = 'Credit' THEN {billed} END"
    return control


def _charge(cells: CurCells) -> dict[str, str]:
    kind = cells.kind
    measured = f"{kind} IN {_USAGE}"
    bought = f"({measured} OR {kind} IN ('Fee', 'SavingsPlanUpfrontFee') OR {kind} IN {_COMMITMENT_FEES})"
    amount, unit = cells.text("line_item_usage_amount"), cells.text("pricing_unit")
    unused_hours = cells.text("reservation_unused_quantity")
    spot = f"(regexp_matches({cells.text(USAGE_TYPE)}, '(^|-)Spot') OR {cells.text('pricing_term')} = 'Spot')"
    return {
        "ChargeCategory": f"""CASE
            WHEN {measured} OR {cells.is_unused} THEN 'Usage'
            WHEN {bought} THEN 'Purchase'
            WHEN {kind} IN ('Tax', 'Credit') THEN {kind}
            WHEN {kind} IN ('Refund', 'SavingsPlanNegation') OR {kind} LIKE '%Discount' THEN 'Adjustment'
            ELSE {kind} END""",
        "ChargeClass": f"CASE WHEN {kind} = 'Refund' THEN 'Correction' END",
        "ChargeDescription": cells.text("line_item_line_item_description"),
        "ChargeFrequency": f"""CASE WHEN {measured} OR {cells.is_unused} THEN 'Usage-Based'
            WHEN {kind} IN {_COMMITMENT_FEES} THEN 'Recurring' ELSE 'One-Time' END""",
        "ChargePeriodStart": cells.text("line_item_usage_start_date"),
        "ChargePeriodEnd": _exclusive(cells.text("line_item_usage_end_date")),
        "BillingPeriodStart": cells.text("bill_billing_period_start_date"),
        "BillingPeriodEnd": _exclusive(cells.text("bill_billing_period_end_date")),
        "PricingCategory": f"""CASE WHEN {kind} IN {_COVERED} OR {cells.is_unused} THEN 'Committed'
            WHEN {kind} = 'Usage' AND {spot} THEN 'Dynamic' WHEN {bought} THEN 'Standard' END""",
        "PricingQuantity": f"""CASE WHEN {kind} = 'RIFee' AND {cells.is_unused} THEN coalesce({unused_hours}, {amount})
            WHEN {bought} THEN {amount} END""",
        "PricingUnit": f"CASE WHEN {bought} THEN {unit} END",
        "PricingCurrency": cells.text("pricing_currency"),
        "ConsumedQuantity": f"CASE WHEN {measured} THEN {cells.money('line_item_usage_amount')} END",
        "ConsumedUnit": f"CASE WHEN {measured} THEN {unit} END",
        "ListUnitPrice": f"CASE WHEN {measured} THEN {cells.money('pricing_public_on_demand_rate')} END",
        "ContractedUnitPrice": f"""CASE WHEN {kind} IN ('Usage', 'SavingsPlanCoveredUsage')
            THEN {cells.money("line_item_net_unblended_rate", "line_item_unblended_rate")} END""",
        "BillingCurrency": cells.currency,
    }


def _commitment(cells: CurCells) -> dict[str, str]:
    kind, is_plan = cells.kind, f"starts_with({cells.kind}, 'SavingsPlan')"
    plan, reservation = cells.text("savings_plan_savings_plan_a_r_n"), cells.text(RESERVATION)
    of_plan = f"({is_plan} OR ({kind} <> 'Usage' AND {plan} IS NOT NULL))"
    of_reservation = f"({kind} IN ('DiscountedUsage', 'RIFee') OR ({kind} <> 'Usage' AND {reservation} IS NOT NULL))"

    def reserved(used: tuple[str, str], unused: tuple[str, str], bought: tuple[str, str], which: str) -> str:
        return f"""CASE WHEN {kind} = 'DiscountedUsage' THEN {which.format(*map(cells.money, used))}
            WHEN {cells.is_unused} THEN {which.format(*map(cells.money, unused))}
            ELSE {which.format(*map(cells.money, bought))} END"""

    units = (
        ("line_item_normalized_usage_amount", "line_item_usage_amount"),
        ("reservation_unused_normalized_unit_quantity", "reservation_unused_quantity"),
        ("reservation_total_reserved_normalized_units", "reservation_total_reserved_units"),
    )
    quantity = reserved(*units, "coalesce({}, {})")
    unit = f"CASE WHEN {{}} IS NOT NULL THEN 'Normalized Hours' WHEN {{}} >= 0 THEN {cells.text('pricing_unit')} END"
    capacity = cells.text("line_item_resource_id")
    status = cells.text("capacity_reservation_capacity_reservation_status")
    return {
        "CommitmentDiscountId": f"CASE WHEN {kind} <> 'Usage' THEN coalesce({plan}, {reservation}) END",
        "CommitmentDiscountCategory": f"CASE WHEN {of_plan} THEN 'Spend' WHEN {of_reservation} THEN 'Usage' END",
        "CommitmentDiscountType": f"""CASE WHEN {of_plan} THEN 'Savings Plan'
            WHEN {of_reservation} THEN 'Reserved Instance' END""",
        "CommitmentDiscountStatus": f"""CASE WHEN {kind} IN {_COVERED} THEN 'Used'
            WHEN {cells.is_unused} THEN 'Unused' END""",
        "CommitmentDiscountQuantity": f"""CASE
            WHEN {kind} = 'SavingsPlanCoveredUsage' THEN {cells.money(PLAN_EFFECTIVE[-1])}
            WHEN {kind} = 'SavingsPlanRecurringFee' THEN
                CASE WHEN {cells.is_unused} THEN {cells.unused} ELSE {cells.money(TOTAL_COMMITMENT)} END
            WHEN {kind} IN ('DiscountedUsage', 'RIFee') THEN {quantity} END""",
        "CommitmentDiscountUnit": f"""CASE
            WHEN {kind} IN ('SavingsPlanCoveredUsage', 'SavingsPlanRecurringFee') THEN {cells.currency}
            WHEN {kind} IN ('DiscountedUsage', 'RIFee') THEN {reserved(*units, unit)} END""",
        "CapacityReservationId": f"""coalesce({cells.text("capacity_reservation_capacity_reservation_arn")},
            CASE WHEN {capacity} LIKE '%:capacity-reservation/%' THEN {capacity} END)""",
        "CapacityReservationStatus": f"""CASE WHEN {status} IN ('Used', 'Unused') THEN {status}
            WHEN regexp_matches({cells.text(USAGE_TYPE)}, '(^|-)Unused(Box|Ded)') THEN 'Unused' END""",
    }


def _where(cells: CurCells) -> dict[str, str]:
    sold_by = cells.text("bill_billing_entity")
    is_model = f"{cells.product('product_name')} LIKE {literal(_EDITION)}"
    bought_for = f"CASE WHEN {cells.kind} IN {_COMMITMENT_FEES} THEN "
    bought_for += f"coalesce({cells.text('savings_plan_savings_plan_a_r_n')}, {cells.text(RESERVATION)}) END"
    return {
        "BillingAccountId": cells.text("bill_payer_account_id"),
        "BillingAccountName": cells.text("bill_payer_account_name"),
        "SubAccountId": cells.text("line_item_usage_account_id"),
        "SubAccountName": cells.text("line_item_usage_account_name"),
        "ServiceProviderName": "'AWS'",
        "HostProviderName": f"CASE WHEN {sold_by} <> 'AWS Marketplace' OR {is_model} THEN 'AWS' END",
        "InvoiceIssuerName": cells.text("bill_invoicing_entity", "line_item_legal_entity"),
        "InvoiceId": cells.text("bill_invoice_id"),
        "ResourceId": f"coalesce({cells.text('line_item_resource_id')}, {bought_for})",
        "RegionId": f"coalesce({cells.product('region_code')}, {cells.product('region')})",
        "RegionName": cells.product("location"),
        "AvailabilityZone": cells.text("line_item_availability_zone"),
    }


def _sku(cells: CurCells) -> dict[str, str]:
    code, family = cells.text("line_item_product_code"), cells.product("product_family")
    name = cells.product("product_name")
    price_id = cells.text("pricing_rate_code", "pricing_rate_id")
    usage_type = cells.text(USAGE_TYPE)
    metered = f"nullif(regexp_extract({usage_type}, {literal(_INSTANCE_TYPE)}, 1), '')"
    instance = f"coalesce({metered}, {cells.product('instance_type')})"
    details = [
        f"""'"InstanceType":' || CAST(to_json({instance}) AS VARCHAR)""",
        f"""'"GpuCount":' || CAST(try_cast({cells.product("gpu")} AS INTEGER) AS VARCHAR)""",
        f"""'"OperatingSystem":' || CAST(to_json(nullif({cells.product("operating_system")}, 'NA')) AS VARCHAR)""",
    ]
    packed = f"nullif('{{' || concat_ws(',', {', '.join(details)}) || '}}', '{{}}')"
    is_model = f"{name} LIKE {literal(_EDITION)}"

    def looked_up(field: str) -> str:
        return service_lookup(field, code, family)

    return {
        "ServiceName": f"coalesce({name}, {looked_up('service_name')}, {code})",
        "ServiceCategory": f"""CASE WHEN {is_model} THEN 'AI and Machine Learning'
            ELSE coalesce({looked_up("service_category")}, 'Other') END""",
        "ServiceSubcategory": f"""CASE WHEN {is_model} THEN 'Generative AI'
            ELSE coalesce({looked_up("service_subcategory")}, 'Other (Other)') END""",
        "SkuId": cells.product("sku"),
        "SkuPriceId": price_id,
        "SkuMeter": usage_type,
        "SkuPriceDetails": f"CASE WHEN {price_id} IS NOT NULL THEN {packed} END",
    }


def _exclusive(end: str) -> str:
    """AWS ends some monthly fees at 23:59:59; FOCUS periods are half-open."""
    instant = f"try_cast({end} AS TIMESTAMPTZ)"
    return f"CASE WHEN contains({end}, ':59:59') THEN CAST({instant} + INTERVAL 1 SECOND AS VARCHAR) ELSE {end} END"
