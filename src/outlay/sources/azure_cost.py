"""Azure cost exports: Cost Management's *actual* and *amortised* cost details, for every kind of agreement.

One header serves both kinds, and nothing in a file names its kind; only the rows do. So each row is read by itself, by
``ChargeType`` and ``PricingModel``, in a way that is right in either kind:

=====================================  ===================  ========================================================
row                                    BilledCost           EffectiveCost
=====================================  ===================  ========================================================
usage of a reservation, savings plan   0                    its cost; unknown where the row has no price (see below)
UnusedReservation, UnusedSavingsPlan   0                    its cost: what of the commitment went unused
purchase, refund of a commitment       its cost             0: FOCUS amortises it over the usage it covers
anything else                          its cost             its cost
=====================================  ===================  ========================================================

An **actual** export has the purchases, and its covered usage costs 0 at price 0: what that usage effectively cost is not
on the bill, so its EffectiveCost stays empty. Its BilledCost is the invoice's; its EffectiveCost lacks every commitment. An
**amortised** export has no purchases: its EffectiveCost is whole, its BilledCost lacks what was paid for commitments. FOCUS
wants both, so Azure's own FOCUS export is the better bill; two files of both kinds are not, because everything that is no
commitment stands in both.

``Quantity`` counts blocks of ``UnitOfMeasure``: in the exports at hand, Quantity x EffectivePrice is the cost, with the list
price of 10,000 operations beside "10K". So it is PricingQuantity as it stands, and list cost is PayGPrice x Quantity. A
PayGPrice of 0 means that the export knows no list price (reservations, Marketplace), not that it is free.

Traps: days and billing periods are inclusive in the file and half-open in FOCUS; dates are written month first; Tags may lack
their outer braces; resource ids differ in case from row to row, so they are lower-cased; AdditionalInfo repeats the VM size on
licence rows, which are no machine's hours.

Sources: Microsoft Learn, cost and usage details file schemas (EA, MCA, MPA, pay-as-you-go) and "Convert Cost Management data to
FOCUS"; FOCUS 1.4; finops-toolkit's sample exports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from outlay.ledger.engine.duckdb import literal
from outlay.money import MONEY_SQL
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, RowMapping, column
from outlay.sources.service_table import Field, service_lookup

__all__ = ["AzureCostReader"]

_COST = ("CostInBillingCurrency", "Cost", "PreTaxCost")
_DAY = ("Date", "UsageDateTime")
_QUANTITY = ("Quantity", "UsageQuantity")
_CURRENCY = ("BillingCurrency", "BillingCurrencyCode", "Currency")
_ACCOUNT = ("BillingProfileId", "BillingAccountId", "SubscriptionId", "SubscriptionGuid")
_PRODUCT = ("ProductName", "Product")
_SERVICES = "azure_services.csv"
_SLASHED_DATES = "['%m/%d/%Y', '%m/%d/%Y %H:%M:%S', '%m/%d/%Y %H:%M']"
_LOCALISED = re.compile(r"\(([A-Za-z0-9]+)\)$")
_VM_SIZE = "(?i)^(standard|basic)_[a-z]+[0-9].*$"


class AzureCostReader:
    """Reads cost details of Enterprise, Customer and Partner Agreements and of pay-as-you-go; CSV, CSV.gz or Parquet."""

    format = Format(
        "azure-cost",
        "Azure cost details (actual or amortised; EA, MCA, CSP, pay-as-you-go)",
        "A Cost Management export of type 'Cost and usage details', actual or amortised, not both; "
        "headers in English. A FOCUS export says more.",
    )

    def recognises(self, raw: RawFile) -> bool:
        """A meter, a cost, a day and a unit, under Azure's names."""
        cells = _Cells(raw)
        return (
            all(cells.has(name) for name in ("MeterCategory", "MeterName", "UnitOfMeasure"))
            and cells.has(*_COST)
            and cells.has(*_DAY)
            and not cells.has("BilledCost")
        )

    def mapping(self, raw: RawFile) -> RowMapping:
        """The row mapping; the agreement is told by the columns that only its exports have."""
        cells = _Cells(raw)
        rows = _Rows(cells)
        columns = {
            **_costs(cells, rows),
            **_prices(cells, rows),
            **_charge(cells, rows),
            **_commitment(cells, rows),
            **_account(cells),
            **_service(cells),
            **_sku(cells, rows),
        }
        return RowMapping(_version(cells), columns, _control(cells, rows))


@dataclass(frozen=True, slots=True)
class _Cells:
    """The file's cells as SQL text; a column that the file lacks is a NULL."""

    raw: RawFile

    def has(self, *names: str) -> bool:
        """Whether the file has one of the columns."""
        return any(self._named(name) is not None for name in names)

    def text(self, *names: str) -> str:
        """The first of the named columns that has a value in the row, as text."""
        found = [self._as_text(actual) for name in names if (actual := self._named(name)) is not None]
        if not found:
            return "CAST(NULL AS VARCHAR)"
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def number(self, *names: str) -> str:
        """The same as an exact decimal; NULL when it is not a number."""
        return f"try_cast({self.text(*names)} AS {MONEY_SQL})"

    def folded(self, *names: str) -> str:
        """The same in lower case and without blanks: ``On Demand`` and ``OnDemand`` are one pricing model."""
        return f"lower(replace({self.text(*names)}, ' ', ''))"

    def day_after(self, *names: str) -> str:
        """The exclusive end of an inclusive day; text that is no date stays as it is, for the row to be rejected by it."""
        text = self.text(*names)
        day = (
            f"CASE WHEN contains({text}, '/') THEN try_strptime({text}, {_SLASHED_DATES}) "
            f"ELSE CAST(try_cast({text} AS TIMESTAMPTZ) AS TIMESTAMP) END"
        )
        return f"coalesce(CAST(date_trunc('day', {day}) + INTERVAL 1 DAY AS VARCHAR), {text})"

    def info(self, key: str) -> str:
        """A key of AdditionalInfo, Azure's JSON of service-specific facts."""
        whole = f"try_cast({self.text('AdditionalInfo')} AS JSON)"
        return f"nullif(json_extract_string({whole}, {literal(f'$.{key}')}), '')"

    def _named(self, name: str) -> str | None:
        """The column as the file spells it. Older localised exports add the English name: ``Kosten (PreTaxCost)``."""
        found = self.raw.find(name)
        if found is not None:
            return found
        for actual in self.raw.columns:
            match = _LOCALISED.search(actual)
            if match and match[1].lower() == name.lower():
                return actual
        return None

    def _as_text(self, actual: str) -> str:
        sql = column(self.raw, actual) or ""
        if self.raw.columns[actual] == "VARCHAR" or self.raw.kind == "jsonl":
            return sql
        return f"CAST({sql} AS VARCHAR)"


@dataclass(frozen=True, slots=True)
class _Rows:
    """What kind of row it is, as SQL conditions that are never NULL."""

    cells: _Cells

    @property
    def charge(self) -> str:
        """The charge type, folded. The pay-as-you-go file of 2019 has no such column: it holds usage only."""
        return f"coalesce({self.cells.folded('ChargeType')}, '')" if self.cells.has("ChargeType") else "'usage'"

    @property
    def model(self) -> str:
        """The pricing model, folded."""
        return f"coalesce({self.cells.folded('PricingModel')}, '')"

    @property
    def unused(self) -> str:
        """What of a commitment went unused."""
        return f"{self.charge} IN ('unusedreservation', 'unusedsavingsplan')"

    @property
    def commitment(self) -> str:
        """The row is about a commitment: its purchase, its use, or what went unused."""
        return f"({self.model} IN ('reservation', 'savingsplan') OR {self.unused})"

    @property
    def covered(self) -> str:
        """Usage that a commitment covers."""
        return f"({self.charge} = 'usage' AND {self.model} IN ('reservation', 'savingsplan'))"

    @property
    def bought(self) -> str:
        """A purchase of a commitment, or its refund."""
        return f"({self.charge} IN ('purchase', 'refund') AND {self.model} IN ('reservation', 'savingsplan'))"

    @property
    def unpriced(self) -> str:
        """Covered usage of an actual export: it costs 0 because it was paid for elsewhere, and has no price of its own."""
        cost, price = self.cells.number(*_COST), self.cells.number("EffectivePrice")
        quantity = self.cells.number(*_QUANTITY)
        return f"({self.covered} AND {cost} = 0 AND coalesce({price}, 0) = 0 AND coalesce({quantity}, 1) <> 0)"

    @property
    def one_currency(self) -> str:
        """Prices are in the currency of the costs. Only Customer and Partner Agreements price in another."""
        if not self.cells.has("PricingCurrency", "PricingCurrencyCode"):
            return "true"
        pricing = self.cells.text("PricingCurrency", "PricingCurrencyCode")
        return f"coalesce({pricing} = {self.cells.text(*_CURRENCY)}, true)"

    def effective(self, *cost: str) -> str:
        """The effective cost from a cost column, in whichever currency that is."""
        amount = self.cells.text(*cost)
        return f"CASE WHEN {self.bought} AND {amount} IS NOT NULL THEN '0' WHEN {self.unpriced} THEN NULL ELSE {amount} END"


def _product(cells: _Cells, price: str, quantity: tuple[str, ...]) -> str:
    """Price x quantity within 38 digits: twelve decimals each; nine where a factor is too large for that."""
    factors = cells.text(price), cells.text(*quantity)
    fine = f"try_cast({factors[0]} AS DECIMAL(18,12)) * try_cast({factors[1]} AS DECIMAL(20,12))"
    coarse = f"try_cast({factors[0]} AS DECIMAL(19,9)) * try_cast({factors[1]} AS DECIMAL(19,9))"
    return f"coalesce(try_cast({fine} AS {MONEY_SQL}), try_cast({coarse} AS {MONEY_SQL}))"


def _costs(cells: _Cells, rows: _Rows) -> dict[str, str]:
    cost = cells.text(*_COST)
    costs = {
        "BilledCost": f"CASE WHEN ({rows.covered} OR {rows.unused}) AND {cost} IS NOT NULL THEN '0' ELSE {cost} END",
        "EffectiveCost": rows.effective(*_COST),
        "BillingCurrency": cells.text(*_CURRENCY),
    }
    if cells.has("CostInPricingCurrency"):
        costs["PricingCurrencyEffectiveCost"] = rows.effective("CostInPricingCurrency")
    if cells.has("PayGPrice"):
        listed = _product(cells, "PayGPrice", _QUANTITY)
        if cells.has("PaygCostInBillingCurrency"):
            direct = cells.number("PaygCostInBillingCurrency")
            listed = f"coalesce({direct}, CASE WHEN {rows.one_currency} THEN {listed} END)"
        else:
            listed = f"CASE WHEN {rows.one_currency} THEN {listed} END"
        costs["ListCost"] = f"CASE WHEN {cells.number('PayGPrice')} > 0 THEN {listed} END"
    if cells.has("UnitPrice"):
        agreed = _product(cells, "UnitPrice", _QUANTITY)
        costs["ContractedCost"] = f"CASE WHEN {cells.number('UnitPrice')} > 0 AND {rows.one_currency} THEN {agreed} END"
    return costs


def _control(cells: _Cells, rows: _Rows) -> dict[str, str]:
    """The measures once more, from one text that holds charge type and pricing model."""
    cost = cells.text(*_COST)
    charge = cells.text("ChargeType") if cells.has("ChargeType") else "'Usage'"
    kind = f"concat_ws('|', {charge}, {cells.text('PricingModel')})"
    benefit = r"\|(reservation|savings ?plan)$"
    control = {
        "BilledCost": f"if(regexp_matches({kind}, '(?i)^(unused ?(reservation|savings ?plan)|usage{benefit})'), '0', {cost})",
        "EffectiveCost": f"if(regexp_matches({kind}, '(?i)^(purchase|refund){benefit}'), '0', {cost})",
    }
    if listed := _costs(cells, rows).get("ListCost"):
        control["ListCost"] = f"CAST({listed} AS VARCHAR)"
    return control


def _prices(cells: _Cells, rows: _Rows) -> dict[str, str]:
    prices = {
        "PricingQuantity": cells.text(*_QUANTITY),
        "PricingUnit": cells.text("UnitOfMeasure"),
        "ConsumedQuantity": f"CASE WHEN {rows.charge} = 'usage' THEN {cells.text(*_QUANTITY)} END",
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


def _charge(cells: _Cells, rows: _Rows) -> dict[str, str]:
    meter = ", ".join(cells.text(name) for name in ("MeterCategory", "MeterSubCategory", "MeterName"))
    charge = {
        "ChargePeriodStart": cells.text(*_DAY),
        "ChargePeriodEnd": cells.day_after(*_DAY),
        "ChargeCategory": f"""CASE {rows.charge} WHEN 'usage' THEN 'Usage' WHEN 'unusedreservation' THEN 'Usage'
            WHEN 'unusedsavingsplan' THEN 'Usage' WHEN 'purchase' THEN 'Purchase' WHEN 'refund' THEN 'Purchase'
            WHEN 'tax' THEN 'Tax' WHEN 'credit' THEN 'Credit' WHEN '' THEN NULL
            WHEN 'adjustment' THEN 'Adjustment' WHEN 'roundingadjustment' THEN 'Adjustment'
            ELSE {cells.text("ChargeType")} END""",
        "ChargeClass": f"CASE WHEN {rows.charge} = 'refund' THEN 'Correction' END",
        "ChargeDescription": f"coalesce({cells.text(*_PRODUCT)}, nullif(concat_ws(' - ', {meter}), ''))",
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


def _commitment(cells: _Cells, rows: _Rows) -> dict[str, str]:
    plan = f"({rows.model} = 'savingsplan' OR {rows.charge} = 'unusedsavingsplan')"
    capacity = cells.info("VMCapacityReservationId")
    return {
        "CommitmentDiscountId": f"CASE WHEN {rows.commitment} THEN lower({cells.text('BenefitId', 'ReservationId')}) END",
        "CommitmentDiscountName": f"CASE WHEN {rows.commitment} THEN {cells.text('BenefitName', 'ReservationName')} END",
        "CommitmentDiscountCategory": f"CASE WHEN {rows.commitment} THEN if({plan}, 'Spend', 'Usage') END",
        "CommitmentDiscountType": f"CASE WHEN {rows.commitment} THEN if({plan}, 'Savings Plan', 'Reservation') END",
        "CommitmentDiscountStatus": f"CASE WHEN {rows.unused} THEN 'Unused' WHEN {rows.covered} THEN 'Used' END",
        "CapacityReservationId": capacity,
        "CapacityReservationStatus": f"""CASE WHEN {capacity} IS NOT NULL AND {rows.charge} = 'usage'
            THEN if({_resource_type(cells)} LIKE '%/capacityreservations', 'Unused', 'Used') END""",
    }


def _account(cells: _Cells) -> dict[str, str]:
    profile = cells.text("BillingProfileId")
    kinds = f"CASE WHEN {profile} <> {cells.text('BillingAccountId')} THEN 'Billing Profile' ELSE 'Billing Account' END"
    return {
        "BillingAccountId": cells.text(*_ACCOUNT),
        "BillingAccountName": cells.text("BillingProfileName", "BillingAccountName"),
        "BillingAccountType": kinds if cells.has(*_ACCOUNT[:2]) else "'Subscription'",
        "SubAccountId": cells.text("SubscriptionId", "SubscriptionGuid"),
        "SubAccountName": cells.text("SubscriptionName"),
        "SubAccountType": "'Subscription'",
        "ServiceProviderName": "'Microsoft'",
        "HostProviderName": "'Microsoft'" if not cells.has("PublisherType") else f"""CASE
            WHEN {cells.folded("PublisherType")} IN ('azure', 'microsoft') THEN 'Microsoft' END""",
    }


def _resource_id(cells: _Cells) -> str:
    return f"lower({cells.text('ResourceId', 'InstanceId', 'InstanceName')})"


def _resource_type(cells: _Cells) -> str:
    """``microsoft.compute/virtualmachines`` of ``/subscriptions/.../providers/Microsoft.Compute/virtualMachines/vm1``."""
    path = f"regexp_extract({_resource_id(cells)}, '^.*/providers/([^/]+/.+?)/?$', 1)"
    bare = f"nullif(regexp_replace({path}, '/([^/]+)/[^/]+', '/\\1', 'g'), '')"
    return f"coalesce(lower({cells.text('ResourceType')}), {bare})" if cells.has("ResourceType") else bare


def _service(cells: _Cells) -> dict[str, str]:
    keys = _resource_type(cells), cells.folded("ConsumedService"), f"lower({cells.text('MeterCategory')})"
    location = f"nullif(nullif(lower({cells.text('ResourceLocation')}), 'unassigned'), 'unknown')"

    def known(field: Field) -> str:
        return service_lookup(_SERVICES, field, *keys)

    own_name = cells.text("ServiceName", "MeterCategory", "PublisherName")
    return {
        "ServiceName": f"coalesce({known('service_name')}, {own_name})",
        "ServiceCategory": f"coalesce({known('service_category')}, 'Other')",
        "ServiceSubcategory": f"coalesce({known('service_subcategory')}, 'Other (Other)')",
        "ResourceId": _resource_id(cells),
        "ResourceName": f"coalesce({cells.text('ResourceName')}, "
        f"nullif(regexp_extract({cells.text('ResourceId', 'InstanceId', 'InstanceName')}, '/([^/]+)/?$', 1), ''))",
        "ResourceType": _resource_type(cells),
        "RegionId": f"replace({location}, ' ', '')",
        "RegionName": f"CASE WHEN {location} IS NOT NULL THEN {cells.text('ResourceLocation')} END",
        "AvailabilityZone": cells.text("AvailabilityZone"),
    }


def _sku(cells: _Cells, rows: _Rows) -> dict[str, str]:
    """The meter. Its subcategory is read instead where that one, not the name, says which tokens were bought."""
    name, group = cells.text("MeterName"), cells.text("MeterSubCategory")
    size = cells.info("ServiceType")
    is_machine = f"{cells.folded('MeterCategory')} = 'virtualmachines' AND regexp_matches({size}, {literal(_VM_SIZE)})"
    return {
        "SkuId": cells.text("MeterId"),
        "SkuPriceId": cells.text("PartNumber", "ProductId", "MeterId"),
        "SkuMeter": f"CASE WHEN contains(lower({group}), 'token') AND NOT contains(lower(coalesce({name}, '')), 'token') "
        f"THEN {group} ELSE {name} END",
        "SkuPriceDetails": f"""CASE WHEN {is_machine} AND {rows.charge} = 'usage'
            THEN '{{"InstanceType": ' || CAST(to_json({size}) AS VARCHAR) || '}}' END""",
    }


def _version(cells: _Cells) -> str:
    if cells.has("PreTaxCost"):
        return "Azure usage details (2019)"
    if cells.has("CustomerTenantId", "PartnerTenantId"):
        return "Azure cost details (Partner Agreement)"
    if cells.has("PricingCurrency"):
        return "Azure cost details (Customer Agreement)"
    if cells.has("AccountOwnerId"):
        return "Azure cost details (Enterprise Agreement or pay-as-you-go)"
    return "Azure cost details"
