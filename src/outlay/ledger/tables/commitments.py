"""The ``commitments`` table: what was promised to a provider, and for how long.

Names are FOCUS 1.4's Contract Commitment columns; money that a provider leaves out stays null (a usage commitment may
carry no cost). A commitment told again replaces what was known of it.
"""

from __future__ import annotations

from outlay.ledger.tables.table import Column, FactTable
from outlay.money import MONEY_SQL

__all__ = ["COMMITMENTS"]

COMMITMENTS = FactTable(
    name="commitments",
    meaning="contract commitments: reservations, savings plans, committed use, prepaid contracts",
    time=("ContractCommitmentPeriodStart",),
    measures=("ContractCommitmentCost",),
    moves=True,
    own=(
        Column("ContractCommitmentId", "VARCHAR", False, meaning="the provider's id of the commitment"),
        Column("ContractId", "VARCHAR", meaning="the contract that it is part of"),
        Column(
            "ContractCommitmentType", "VARCHAR", meaning="the provider's word: Compute Savings Plan, Reserved VM, …"
        ),
        Column("ContractCommitmentCategory", "VARCHAR", False, allowed=("Spend", "Usage"), meaning="Spend or Usage"),
        Column("ContractCommitmentDescription", "VARCHAR", meaning="in words"),
        Column(
            "ContractCommitmentLifecycleStatus", "VARCHAR", meaning="Proposed, Pending, Active, Exhausted, Expired, …"
        ),
        Column("ContractCommitmentPeriodStart", "TIMESTAMP", False, meaning="start of the term, UTC"),
        Column("ContractCommitmentPeriodEnd", "TIMESTAMP", False, meaning="end of the term, exclusive"),
        Column("ContractCommitmentQuantity", MONEY_SQL, meaning="units committed, for Usage"),
        Column("ContractCommitmentUnit", "VARCHAR", meaning="their unit"),
        Column("ContractCommitmentCost", MONEY_SQL, meaning="money committed over the term, for Spend"),
        Column("BillingCurrency", "VARCHAR", meaning="currency of the amounts"),
        Column("ServiceProviderName", "VARCHAR", False, meaning="who sold it"),
        Column("x_HourlyCommitment", MONEY_SQL, meaning="money per hour, where the provider states it"),
        Column("x_UpfrontCost", MONEY_SQL, meaning="paid at the start"),
        Column("x_RecurringHourlyCost", MONEY_SQL, meaning="paid per hour beside it"),
        Column("x_PaymentOption", "VARCHAR", meaning="No Upfront, Partial Upfront or All Upfront"),
        Column("x_InstanceType", "VARCHAR", meaning="instance type, where it is bound to one"),
        Column("x_InstanceFamily", "VARCHAR", meaning="instance family, where it is bound to one"),
        Column("x_InstanceCount", "BIGINT", meaning="instances, for reservations"),
        Column("x_GpuType", "VARCHAR", meaning="the accelerator, where it is bound to one"),
        Column("x_Region", "VARCHAR", meaning="region, where it is bound to one"),
        Column("x_AutoRenew", "BOOLEAN", meaning="whether it renews by itself"),
    ),
)
