"""Azure cost exports: Cost Management's *actual* and *amortised* cost details, for every kind of agreement.

One header serves both kinds, and nothing in a file names its kind; only the rows do. So each row is read by
itself, by ``ChargeType`` and ``PricingModel``, in a way that is right in either kind:

=====================================  ===================  ========================================================
row                                    BilledCost           EffectiveCost
=====================================  ===================  ========================================================
usage of a reservation, savings plan   0                    its cost; unknown where the row has no price (see below)
UnusedReservation, UnusedSavingsPlan   0                    its cost: what of the commitment went unused
purchase, refund of a commitment       its cost             0: FOCUS amortises it over the usage it covers
anything else                          its cost             its cost
=====================================  ===================  ========================================================

An **actual** export has the purchases, and its covered usage costs 0 at price 0: what that usage effectively
cost is not on the bill, so its EffectiveCost stays empty. Its BilledCost is the invoice's; its EffectiveCost
lacks every commitment. An **amortised** export has no purchases: its EffectiveCost is whole, its BilledCost
lacks what was paid for commitments. FOCUS wants both, so Azure's own FOCUS export is the better bill; two
files of both kinds are not, because everything that is no commitment stands in both. Which kind a file is shows
in its rows on commitments, and the reader says what that kind lacks; a file without such rows lacks nothing.

``Quantity`` counts blocks of ``UnitOfMeasure``: in the exports at hand, Quantity x EffectivePrice is the
cost, with the list price of 10,000 operations beside "10K". So it is PricingQuantity as it stands, and list
cost is PayGPrice x Quantity. A PayGPrice of 0 means that the export knows no list price (reservations,
Marketplace), not that it is free.

Traps: days and billing periods are inclusive in the file and half-open in FOCUS; dates are written month
first; Tags may lack their outer braces; resource ids differ in case from row to row, so they are lower-cased;
AdditionalInfo repeats the VM size on licence rows, which are no machine's hours.

Sources: Microsoft Learn, cost and usage details file schemas (EA, MCA, MPA, pay-as-you-go) and "Convert Cost
Management data to FOCUS"; FOCUS 1.4; finops-toolkit's sample exports.
"""

from __future__ import annotations

from outlay.ledger.engine.duckdb import literal
from outlay.money import MONEY_SQL
from outlay.sources.bills.azure_columns import ACCOUNT, COST, CURRENCY, DAY, PRODUCT, QUANTITY, AzureCells, AzureRows
from outlay.sources.bills.reference_table import reference_lookup
from outlay.sources.bills.row_kinds import row_kinds
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, Notice, RowMapping

__all__ = ["AzureCostReader"]

_SERVICES, _REGIONS = "azure_services", "azure_regions"
_VM_SIZE = "(?i)^(standard|basic)_[a-z]+[0-9].*$"


class AzureCostReader:
    """Reads cost details of Enterprise, Customer and Partner Agreements and of pay-as-you-go."""

    format = Format(
        "azure-cost",
        "Azure cost details (actual or amortised; EA, MCA, CSP, pay-as-you-go)",
        "A Cost Management export of type 'Cost and usage details', actual or amortised, not both; "
        "headers in English. A FOCUS export says more.",
    )

    def recognises(self, raw: RawFile) -> bool:
        """A meter, a cost, a day and a unit, under Azure's names."""
        cells = AzureCells(raw)
        return (
            all(cells.has(name) for name in ("MeterCategory", "MeterName", "UnitOfMeasure"))
            and cells.has(*COST)
            and cells.has(*DAY)
            and not cells.has("BilledCost")
        )

    def mapping(self, raw: RawFile) -> RowMapping:
        """The row mapping; the agreement is told by the columns that only its exports have."""
        cells = AzureCells(raw)
        rows = AzureRows(cells)
        columns = {
            **_costs(cells, rows),
            **_prices(cells, rows),
            **_charge(cells, rows),
            **_commitment(cells, rows),
            **_account(cells),
            **_service(cells),
            **_sku(cells, rows),
        }
        return RowMapping(_version(cells), columns, _control(cells, rows), _notices(cells, rows))


_LACKS = {
    "actual": Notice(
        "effective-cost-unknown",
        "holds actual costs: reservations and savings plans stand in it as whole purchases and the usage that they "
        "cover at zero, so EffectiveCost lacks what they cost",
    ),
    "amortised": Notice(
        "commitment-purchases-missing",
        "holds amortised costs: reservations and savings plans are spread over the usage that they cover, and their "
        "purchases are not in it, so BilledCost lacks what was paid for them",
    ),
}


def _notices(cells: AzureCells, rows: AzureRows) -> tuple[Notice, ...]:
    if not cells.has("ChargeType", "PricingModel"):
        return ()
    kind = f"""CASE WHEN {rows.bought} OR {rows.unpriced} THEN 'actual'
        WHEN {rows.unused} OR ({rows.covered} AND {cells.number(*COST)} <> 0) THEN 'amortised' END"""
    found = row_kinds(cells.raw, kind)
    return tuple(notice for name, notice in _LACKS.items() if name in found)


def _product(cells: AzureCells, price: str, quantity: tuple[str, ...]) -> str:
    """Price x quantity within 38 digits: twelve decimals each; nine where a factor is too large for that."""
    factors = cells.text(price), cells.text(*quantity)
    fine = f"try_cast({factors[0]} AS DECIMAL(18,12)) * try_cast({factors[1]} AS DECIMAL(20,12))"
    coarse = f"try_cast({factors[0]} AS DECIMAL(19,9)) * try_cast({factors[1]} AS DECIMAL(19,9))"
    return f"coalesce(try_cast({fine} AS {MONEY_SQL}), try_cast({coarse} AS {MONEY_SQL}))"


def _costs(cells: AzureCells, rows: AzureRows) -> dict[str, str]:
    cost = cells.text(*COST)
    costs = {
        "BilledCost": f"CASE WHEN ({rows.covered} OR {rows.unused}) AND {cost} IS NOT NULL THEN '0' ELSE {cost} END",
        "EffectiveCost": rows.effective(*COST),
        "BillingCurrency": cells.text(*CURRENCY),
    }
    if cells.has("CostInPricingCurrency"):
        costs["PricingCurrencyEffectiveCost"] = rows.effective("CostInPricingCurrency")
    if cells.has("PayGPrice"):
        listed = _product(cells, "PayGPrice", QUANTITY)
        if cells.has("PaygCostInBillingCurrency"):
            direct = cells.number("PaygCostInBillingCurrency")
            listed = f"coalesce({direct}, CASE WHEN {rows.one_currency} THEN {listed} END)"
        else:
            listed = f"CASE WHEN {rows.one_currency} THEN {listed} END"
        costs["ListCost"] = f"CASE WHEN {cells.number('PayGPrice')} > 0 THEN {listed} END"
    if cells.has("UnitPrice"):
        agreed = _product(cells, "UnitPrice", QUANTITY)
        costs["ContractedCost"] = f"CASE WHEN {cells.number('UnitPrice')} > 0 AND {rows.one_currency} THEN {agreed} END"
    return costs


def _control(cells: AzureCells, rows: AzureRows) -> dict[str, str]:
    """The measures once more, from one text that holds charge type and pricing model."""
    cost = cells.text(*COST)
    charge = cells.text("ChargeType") if cells.has("ChargeType") else "'Usage'"
    kind = f"concat_ws('|', {charge}, {cells.text('PricingModel')})"
    benefit = r"\|(reservation|savings ?plan)$"
    amortised = f"'(?i)^(unused ?(reservation|savings ?plan)|usage{benefit})'"
    bought = f"'(?i)^(purchase|refund){benefit}'"
    control = {
        "BilledCost": f"if(regexp_matches({kind}, {amortised}), '0', {cost})",
        "EffectiveCost": f"if(regexp_matches({kind}, {bought}), '0', {cost})",
    }
    if listed := _costs(cells, rows).get("ListCost"):
        control["ListCost"] = f"CAST({listed} AS VARCHAR)"
    return control


def _prices(cells: AzureCells, rows: AzureRows) -> dict[str, str]:
    prices = {
        "PricingQuantity": cells.text(*QUANTITY),
        "PricingUnit": cells.text("UnitOfMeasure"),
        "ConsumedQuantity": f"CASE WHEN {rows.charge} = 'usage' THEN {cells.text(*QUANTITY)} END",
        "ConsumedUnit": f"CASE WHEN {rows.charge} = 'usage' THEN {cells.text('UnitOfMeasure')} END",
        "PricingCategory": f"""CASE WHEN {rows.bought} THEN 'Standard' WHEN {rows.commitment} THEN 'Committed'
            WHEN {rows.model} = 'ondemand' THEN 'Standard' WHEN {rows.model} = 'spot' THEN 'Dynamic' END""",
    }
    for price, focus in (("PayGPrice", "ListUnitPrice"), ("UnitPrice", "ContractedUnitPrice")):
        if not cells.has(price):
            continue
        known = f"CASE WHEN {cells.number(price)} > 0 THEN {cells.text(price)} END"
        prices[focus] = f"CASE WHEN {rows.one_currency} THEN {known} END"
        if cells.has("PricingCurrency"):
            prices[f"PricingCurrency{focus}"] = known
    if cells.has("PricingCurrency"):
        prices["PricingCurrency"] = cells.text("PricingCurrency")
    return prices


def _charge(cells: AzureCells, rows: AzureRows) -> dict[str, str]:
    meter = ", ".join(cells.text(name) for name in ("MeterCategory", "MeterSubCategory", "MeterName"))
    charge = {
        "ChargePeriodStart": cells.text(*DAY),
        "ChargePeriodEnd": cells.day_after(*DAY),
        "ChargeCategory": f"""CASE {rows.charge} WHEN 'usage' THEN 'Usage' WHEN 'unusedreservation' THEN 'Usage'
            WHEN 'unusedsavingsplan' THEN 'Usage' WHEN 'purchase' THEN 'Purchase' WHEN 'refund' THEN 'Purchase'
            WHEN 'tax' THEN 'Tax' WHEN 'credit' THEN 'Credit' WHEN '' THEN NULL
            WHEN 'adjustment' THEN 'Adjustment' WHEN 'roundingadjustment' THEN 'Adjustment'
            ELSE {cells.text("ChargeType")} END""",
        "ChargeClass": f"CASE WHEN {rows.charge} = 'refund' THEN 'Correction' END",
        "ChargeDescription": f"coalesce({cells.text(*PRODUCT)}, nullif(concat_ws(' - ', {meter}), ''))",
        "ChargeFrequency": f"""CASE {cells.folded("Frequency")} WHEN 'onetime' THEN 'One-Time'
            WHEN 'recurring' THEN 'Recurring' WHEN 'usagebased' THEN 'Usage-Based' END""",
        "InvoiceId": cells.text("InvoiceId"),
        "InvoiceIssuerName": f"coalesce({cells.text('PartnerName')}, 'Microsoft')",
        "Tags": f"""CASE WHEN starts_with(ltrim({cells.text("Tags")}), '{{') THEN {cells.text("Tags")}
            ELSE '{{' || {cells.text("Tags")} || '}}' END""",
    }
    if cells.has("BillingPeriodStartDate"):
        charge["BillingPeriodStart"] = cells.text("BillingPeriodStartDate")
        charge["BillingPeriodEnd"] = cells.day_after("BillingPeriodEndDate")
    return charge


def _commitment(cells: AzureCells, rows: AzureRows) -> dict[str, str]:
    plan = f"({rows.model} = 'savingsplan' OR {rows.charge} = 'unusedsavingsplan')"
    capacity = cells.info("VMCapacityReservationId")
    benefit, name = cells.text("BenefitId", "ReservationId"), cells.text("BenefitName", "ReservationName")
    return {
        "CommitmentDiscountId": f"CASE WHEN {rows.commitment} THEN lower({benefit}) END",
        "CommitmentDiscountName": f"CASE WHEN {rows.commitment} THEN {name} END",
        "CommitmentDiscountCategory": f"CASE WHEN {rows.commitment} THEN if({plan}, 'Spend', 'Usage') END",
        "CommitmentDiscountType": f"CASE WHEN {rows.commitment} THEN if({plan}, 'Savings Plan', 'Reservation') END",
        "CommitmentDiscountStatus": f"CASE WHEN {rows.unused} THEN 'Unused' WHEN {rows.covered} THEN 'Used' END",
        "CapacityReservationId": capacity,
        "CapacityReservationStatus": f"""CASE WHEN {capacity} IS NOT NULL AND {rows.charge} = 'usage'
            THEN if({_resource_type(cells)} LIKE '%/capacityreservations', 'Unused', 'Used') END""",
    }


def _account(cells: AzureCells) -> dict[str, str]:
    profile = cells.text("BillingProfileId")
    kinds = f"CASE WHEN {profile} <> {cells.text('BillingAccountId')} THEN 'Billing Profile' ELSE 'Billing Account' END"
    return {
        "BillingAccountId": cells.text(*ACCOUNT),
        "BillingAccountName": cells.text("BillingProfileName", "BillingAccountName"),
        "BillingAccountType": kinds if cells.has(*ACCOUNT[:2]) else "'Subscription'",
        "SubAccountId": cells.text("SubscriptionId", "SubscriptionGuid"),
        "SubAccountName": cells.text("SubscriptionName"),
        "SubAccountType": "'Subscription'",
        "ServiceProviderName": "'Microsoft'",
        "HostProviderName": "'Microsoft'"
        if not cells.has("PublisherType")
        else f"""CASE
            WHEN {cells.folded("PublisherType")} IN ('azure', 'microsoft') THEN 'Microsoft' END""",
    }


def _resource_id(cells: AzureCells) -> str:
    return f"lower({cells.text('ResourceId', 'InstanceId', 'InstanceName')})"


def _resource_type(cells: AzureCells) -> str:
    """``microsoft.compute/virtualmachines`` of ``/.../providers/Microsoft.Compute/virtualMachines/vm1``."""
    path = f"regexp_extract({_resource_id(cells)}, '^.*/providers/([^/]+/.+?)/?$', 1)"
    bare = f"nullif(regexp_replace({path}, '/([^/]+)/[^/]+', '/\\1', 'g'), '')"
    return f"coalesce(lower({cells.text('ResourceType')}), {bare})" if cells.has("ResourceType") else bare


def _service(cells: AzureCells) -> dict[str, str]:
    keys = _resource_type(cells), cells.folded("ConsumedService"), f"lower({cells.text('MeterCategory')})"
    location = f"nullif(nullif({cells.folded('ResourceLocation')}, 'unassigned'), 'unknown')"

    def known(field: str) -> str:
        return reference_lookup(_SERVICES, field, *keys)

    own_name = cells.text("ServiceName", "MeterCategory", "PublisherName", *PRODUCT)
    return {
        "ServiceName": f"coalesce({known('service_name')}, {own_name})",
        "ServiceCategory": f"coalesce({known('service_category')}, 'Other')",
        "ServiceSubcategory": f"coalesce({known('service_subcategory')}, 'Other (Other)')",
        "ResourceId": _resource_id(cells),
        "ResourceName": f"coalesce({cells.text('ResourceName')}, "
        f"nullif(regexp_extract({cells.text('ResourceId', 'InstanceId', 'InstanceName')}, '/([^/]+)/?$', 1), ''))",
        "ResourceType": _resource_type(cells),
        "RegionId": f"coalesce({reference_lookup(_REGIONS, 'region_id', location)}, {location})",
        "RegionName": f"CASE WHEN {location} IS NOT NULL THEN "
        f"coalesce({reference_lookup(_REGIONS, 'region_name', location)}, {cells.text('ResourceLocation')}) END",
        "AvailabilityZone": cells.text("AvailabilityZone"),
    }


def _sku(cells: AzureCells, rows: AzureRows) -> dict[str, str]:
    """The meter. Its subcategory is read instead where that one, not the name, says which tokens were bought."""
    name, group = cells.text("MeterName"), cells.text("MeterSubCategory")
    size = cells.info("ServiceType")
    is_machine = f"{cells.folded('MeterCategory')} = 'virtualmachines' AND regexp_matches({size}, {literal(_VM_SIZE)})"
    return {
        "SkuId": cells.text("MeterId"),
        "SkuPriceId": cells.text("PartNumber", "ProductId", "MeterId"),
        "SkuMeter": f"CASE WHEN {group} ILIKE '%token%' AND coalesce({name}, '') NOT ILIKE '%token%' "
        f"THEN {group} ELSE {name} END",
        "SkuPriceDetails": f"""CASE WHEN {is_machine} AND {rows.charge} = 'usage'
            THEN '{{"InstanceType": ' || CAST(to_json({size}) AS VARCHAR) || '}}' END""",
    }


def _version(cells: AzureCells) -> str:
    if cells.has("PreTaxCost"):
        return "Azure usage details (2019)"
    if cells.has("CustomerTenantId", "PartnerTenantId"):
        return "Azure cost details (MPA)"
    if cells.has("PricingCurrency"):
        return "Azure cost details (MCA)"
    if cells.has("PartNumber"):
        return "Azure cost details (EA)"
    return "Azure cost details"
