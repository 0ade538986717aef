"""The ``commitments`` table: what was promised to a provider, and for how long.

It has the 30 columns of FOCUS 1.4's Contract Commitment dataset under their own names. Only what every source knows
is required here (the id, Spend or Usage, the term): FOCUS 1.3 has 13 of these columns, and the providers' own lists
say nothing of contracts and invoice issuers. Money that a source leaves out stays null. ``ContractCommitmentCost`` and
``ContractCommitmentQuantity`` are those of the whole term. A commitment told again replaces what was known of it.

The trap: the dataset lists commitments of all states. Sum only what its status and term say is in force.
"""

from __future__ import annotations

from outlay.ledger.tables.table import Column, FactTable
from outlay.money import MONEY_SQL

__all__ = ["COMMITMENTS", "FOCUS_COMMITMENT_COLUMNS"]

_STATES = ("Proposed", "Pending", "Active", "Exhausted", "Expired", "Canceled", "Superseded")

FOCUS_COMMITMENT_COLUMNS: tuple[Column, ...] = (
    Column("ContractCommitmentId", "VARCHAR", False, "Mandatory", meaning="the provider's id of the commitment"),
    Column("ContractCommitmentCategory", "VARCHAR", False, "Mandatory", ("Spend", "Usage"), "Spend or Usage"),
    Column("ContractCommitmentType", "VARCHAR", True, "Mandatory", meaning="the provider's word for it"),
    Column("ContractCommitmentDescription", "VARCHAR", True, "Mandatory", meaning="in words"),
    Column("ContractCommitmentBenefitCategory", "VARCHAR", True, "Mandatory", meaning="Discount, Availability, …"),
    Column("ContractCommitmentOfferCategory", "VARCHAR", True, "Mandatory", meaning="Negotiated or Public"),
    Column("ContractCommitmentModel", "VARCHAR", True, "Mandatory", meaning="Continuous or Discontinuous"),
    Column("ContractCommitmentLifecycleStatus", "VARCHAR", True, "Mandatory", meaning=f"state: {', '.join(_STATES)}"),
    Column("ContractCommitmentCreated", "TIMESTAMP", True, "Mandatory", meaning="when it was agreed, UTC"),
    Column("ContractCommitmentLastUpdated", "TIMESTAMP", True, "Mandatory", meaning="when it last changed, UTC"),
    Column("ContractCommitmentPeriodStart", "TIMESTAMP", False, "Mandatory", meaning="start of the term, UTC"),
    Column("ContractCommitmentPeriodEnd", "TIMESTAMP", False, "Mandatory", meaning="end of the term, exclusive"),
    Column("ContractCommitmentDurationType", "VARCHAR", True, "Mandatory", meaning="length of the term, as FOCUS says"),
    Column("ContractCommitmentFulfillmentInterval", "VARCHAR", True, "Mandatory", meaning="Hourly, Monthly, …"),
    Column("ContractCommitmentCost", MONEY_SQL, True, "Mandatory", meaning="money committed over the term"),
    Column("BillingCurrency", "VARCHAR", True, "Mandatory", meaning="currency of every amount of the row but one"),
    Column("ContractCommitmentQuantity", MONEY_SQL, True, "Mandatory", meaning="units committed over the term"),
    Column("ContractCommitmentUnit", "VARCHAR", True, "Mandatory", meaning="their unit, e.g. Hours of an instance"),
    Column("ContractCommitmentDiscountPercentage", MONEY_SQL, True, "Mandatory", meaning="discount, a share of 1"),
    Column("ContractCommitmentPaymentModel", "VARCHAR", True, "Mandatory", meaning="No, Partial or All Upfront"),
    Column("ContractCommitmentPaymentUpfrontPercentage", MONEY_SQL, True, "Conditional", meaning="a share of 1"),
    Column("ContractCommitmentPaymentInterval", "VARCHAR", True, "Mandatory", meaning="One-Time, Monthly, …"),
    Column("ContractCommitmentApplicability", "VARCHAR", True, "Mandatory", meaning="what it covers: FOCUS' JSON"),
    Column("ContractId", "VARCHAR", True, "Mandatory", meaning="the contract that it is part of"),
    Column("ContractPeriodStart", "TIMESTAMP", True, "Mandatory", meaning="start of that contract, UTC"),
    Column("ContractPeriodEnd", "TIMESTAMP", True, "Mandatory", meaning="its end, exclusive"),
    Column("ServiceProviderName", "VARCHAR", True, "Mandatory", meaning="who provides the service"),
    Column("InvoiceIssuerName", "VARCHAR", True, "Mandatory", meaning="who invoices it"),
    Column("PricingCurrency", "VARCHAR", True, "Conditional", meaning="currency of the next amount"),
    Column("PricingCurrencyContractCommitmentCost", MONEY_SQL, True, "Conditional", meaning="the cost in it"),
)
"""FOCUS 1.4 Contract Commitment, all of it."""

COMMITMENTS = FactTable(
    name="commitments",
    meaning="contract commitments: reservations, savings plans, committed use, prepaid contracts",
    time=("ContractCommitmentPeriodStart",),
    measures=("ContractCommitmentCost",),
    moves=True,
    own=(
        *FOCUS_COMMITMENT_COLUMNS,
        Column("x_State", "VARCHAR", meaning="the state in the provider's own word"),
        Column("x_HourlyCommitment", MONEY_SQL, meaning="money per hour, where the provider states it"),
        Column("x_UpfrontCost", MONEY_SQL, meaning="paid at the start, over all instances"),
        Column("x_RecurringHourlyCost", MONEY_SQL, meaning="paid per hour beside it, over all instances"),
        Column("x_InstanceType", "VARCHAR", meaning="instance type, where it is bound to one"),
        Column("x_InstanceFamily", "VARCHAR", meaning="instance family, where it is bound to one"),
        Column("x_InstanceCount", "BIGINT", meaning="instances, for reservations"),
        Column("x_GpuType", "VARCHAR", meaning="the accelerator, where it is bound to one"),
        Column("x_CommittedGpus", MONEY_SQL, meaning="accelerators committed, over all instances"),
        Column("x_Region", "VARCHAR", meaning="region, where it is bound to one"),
        Column("x_AutoRenew", "BOOLEAN", meaning="whether it renews by itself"),
    ),
)
