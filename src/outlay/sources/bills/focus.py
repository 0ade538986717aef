"""FOCUS 1.0 to 1.4, from any provider: CSV, gzipped CSV or Parquet.

The canonical form is FOCUS 1.4, so most columns map to themselves. What differs: up to 1.2 the seller and the maker
of a service were ``ProviderName`` and ``PublisherName``; 1.3 replaced them by ``ServiceProviderName`` and
``HostProviderName``, which mean nearly, not exactly, the same (the host is where it runs, the publisher who made it);
the old pair fills the new one where the new one is absent. Headers are matched without regard to case, because the
specification's own examples spell ``SkuPriceid``. Providers' own ``x_`` columns help where FOCUS 1.0 had no place for
the meter.

No file says its version, but columns do: each version has columns that the one before lacks. Azure's FOCUS 1.0 has
``BillingAccountType`` and ``SubAccountType`` already, which came with 1.2, and keeps 1.2's invoice and pricing currency
as ``x_InvoiceId`` and ``x_PricingCurrency``. So those two columns tell 1.2 only beside a column of 1.1.

Source: FOCUS specification 1.0-1.4, https://focus.finops.org (CC-BY-4.0).
"""

from __future__ import annotations

from outlay.ledger.tables.costs import focus_columns
from outlay.sources.bills.azure_focus import azure_focus_columns
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, Notice, RowMapping, column, first_of

__all__ = ["FocusReader"]

_RENAMED = {
    "ServiceProviderName": ("ServiceProviderName", "ProviderName"),
    "HostProviderName": ("HostProviderName", "PublisherName"),
    "SkuMeter": ("SkuMeter", "x_SkuMeterName", "x_UsageType", "x_SkuDescription"),
    "SkuPriceDetails": ("SkuPriceDetails", "x_SkuDetails"),
}
_VERSION_MARKS = (
    ("1.4", ("InvoiceDetailId", "CommitmentProgramEligibilityDetails")),
    ("1.3", ("ServiceProviderName", "HostProviderName", "ContractApplied", "AllocatedMethodId")),
    ("1.2", ("InvoiceId", "PricingCurrency", "PricingCurrencyEffectiveCost")),
    (
        "1.1",
        ("SkuMeter", "SkuPriceDetails", "ServiceSubcategory", "CapacityReservationId", "CommitmentDiscountQuantity"),
    ),
)
_EARLY_IN_AZURE = ("BillingAccountType", "SubAccountType")  # of 1.2


class FocusReader:
    """Reads every FOCUS version; the version is told by the columns a file has."""

    format = Format(
        "focus",
        "FOCUS 1.0-1.4 Cost and Usage (any provider)",
        "An export in FOCUS format: CSV, CSV.gz or Parquet, with BilledCost, EffectiveCost, BillingCurrency and the "
        "charge period.",
    )

    def recognises(self, raw: RawFile) -> bool:
        """FOCUS has ``BilledCost`` beside a charge category or period; no native export does."""
        return raw.find("BilledCost") is not None and (
            raw.find("ChargeCategory") is not None or raw.find("ChargePeriodStart") is not None
        )

    def mapping(self, raw: RawFile) -> RowMapping:
        """Each FOCUS column from the column of its name, or from its older name."""
        columns = {}
        for wanted in focus_columns():
            found = first_of(raw, *_RENAMED.get(wanted.name, (wanted.name,)))
            if found is not None:
                columns[wanted.name] = found
        columns |= azure_focus_columns(raw)
        control = {
            measure: found
            for measure in ("BilledCost", "EffectiveCost", "ListCost")
            if (found := column(raw, measure)) is not None
        }
        notices: tuple[Notice, ...] = ()
        if "EffectiveCost" not in columns:
            notices = (
                Notice("effective-cost-unknown", "has no column EffectiveCost, so no row has an effective cost"),
            )
        return RowMapping(f"FOCUS {_version(raw)}", columns, control, notices)


def _version(raw: RawFile) -> str:
    def has_one(names: tuple[str, ...]) -> bool:
        return any(raw.find(name) is not None for name in names)

    version = next((version for version, marks in _VERSION_MARKS if has_one(marks)), "1.0")
    return "1.2" if version == "1.1" and has_one(_EARLY_IN_AZURE) else version
