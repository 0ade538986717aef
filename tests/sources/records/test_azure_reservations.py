"""Azure reservations become rows, one each; an order adds its price only where it can be nobody else's."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.records.azure_reservations import AzureReservationsReader
from tests.sources.records.reading import FIXTURES, broken_json, check_rows, read, written

_READER = AzureReservationsReader()
_ORDER = "/providers/microsoft.capacity/reservationorders/aaaa0000-1111-4222-8333-00000000000"
_PART = "/reservations/bbbb0000-1111-4222-8333-00000000000"


def _records(name: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((FIXTURES / name).read_text())["value"]
    return found


def test_reservations() -> None:
    (gpus, split, throughput), problems = read(_READER, FIXTURES / "azure_reservations.json")
    assert problems == []
    assert gpus.identity == f"{_ORDER}1{_PART}1", "lower case, as in the costs"
    assert gpus.values["ContractId"] == f"{_ORDER}1"
    assert gpus.values["ContractCommitmentPeriodStart"] == datetime(2026, 3, 5, 12, 55, 40, 279911)
    assert gpus.values["ContractCommitmentQuantity"] == Decimal(17_520), "2 x 8,760 hours, without the odd minutes"
    assert (gpus.values["x_GpuType"], gpus.values["x_CommittedGpus"]) == ("H100", Decimal(16))
    assert (gpus.values["x_Region"], gpus.values["x_AutoRenew"]) == ("eastus2", True)
    assert gpus.values["ContractCommitmentPaymentModel"] == "All Upfront"
    assert gpus.source is None, "an order names no subscription, and stands for the same row"
    assert not {"ContractCommitmentCost", "BillingCurrency"} & set(gpus.values), "a reservation has no price"
    assert split.values["ContractCommitmentLifecycleStatus"] == "Superseded"
    assert split.values["ContractCommitmentQuantity"] == Decimal(263_040), "10 x 1,096 days x 24"
    assert "x_GpuType" not in split.values
    assert throughput.values["ContractCommitmentUnit"] == "PTU-Hours"
    assert throughput.values["ContractCommitmentQuantity"] == Decimal(72_000), "100 x 30 days x 24"
    assert throughput.values["ContractCommitmentLifecycleStatus"] == "Pending"
    assert "x_InstanceCount" not in throughput.values


def test_an_order_with_one_reservation_gives_its_price(tmp_path: Path) -> None:
    both = json.dumps(_records("azure_reservation_orders.json") + _records("azure_reservations.json"))
    facts, problems = read(_READER, written(tmp_path, "both.json", both))
    assert problems == []
    gpus, split, _ = facts
    assert gpus.values["ContractCommitmentCost"] == gpus.values["x_UpfrontCost"] == Decimal("1030176.5")
    assert (gpus.values["BillingCurrency"], gpus.values["PricingCurrency"]) == ("USD", "USD")
    assert gpus.values["x_GpuType"] == "H100"
    assert "ContractCommitmentCost" not in split.values


def test_orders_alone(tmp_path: Path) -> None:
    facts, problems = read(_READER, FIXTURES / "azure_reservation_orders.json")
    assert [fact.identity for fact in facts] == [f"{_ORDER}1{_PART}1"], "it is its reservation"
    assert facts[0].values["ContractCommitmentCost"] == Decimal("1030176.5")
    assert "ContractCommitmentQuantity" not in facts[0].values, "an order does not say what of"
    assert [(problem.code, problem.line) for problem in problems] == [("unusable-record", 2)]


def test_an_order_priced_in_another_currency_than_billed(tmp_path: Path) -> None:
    order = _records("azure_reservation_orders.json")[0]
    order["properties"]["planInformation"]["transactions"][0]["billingCurrencyTotal"] = {  # type: ignore[index]
        "currencyCode": "EUR",
        "amount": 950000,
    }
    (fact,), _ = read(_READER, written(tmp_path, "a.json", json.dumps([order])))
    assert fact.values["PricingCurrencyContractCommitmentCost"] == Decimal("1030176.5")
    assert not {"ContractCommitmentCost", "BillingCurrency", "x_UpfrontCost"} & set(fact.values)


def test_the_cli_may_show_properties_flat(tmp_path: Path) -> None:
    nested = _records("azure_reservations.json")
    flat = [{**one, **one["properties"], "sku": one["sku"]["name"]} for one in nested]  # type: ignore[dict-item, index]
    for one in flat:
        del one["properties"]
    told, _ = read(_READER, written(tmp_path, "flat.json", json.dumps(flat)))
    expected, _ = read(_READER, FIXTURES / "azure_reservations.json")
    assert [fact.values for fact in told] == [fact.values for fact in expected]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": -1}, "unusable-record"),
        ({"quantity": 1.5}, "unparsable-amount"),
        ({"benefitStartTime": "once"}, "unparsable-time"),
        ({"expiryDateTime": None, "expiryDate": None}, "missing-time"),
        ({"expiryDateTime": "2020-01-01"}, "period-reversed"),
    ],
)
def test_a_bad_reservation_is_a_problem_and_the_others_load(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    records = _records("azure_reservations.json")
    records[0]["properties"] |= change  # type: ignore[operator]
    facts, problems = read(_READER, written(tmp_path, "a.json", json.dumps(records)))
    assert len(facts) == 2
    assert [(problem.code, problem.line) for problem in problems] == [(code, 1)]


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"value": []}',
        '{"value": [{"id": "/subscriptions/x/providers/Microsoft.Compute/virtualMachines/y"}]}',
        '[{"id": "/providers/Microsoft.Capacity/reservationOrders/x/reservations/y/extra", "properties": {}}]',
        '{"savingsPlans": []}',
    ],
)
def test_other_files_are_not_taken(tmp_path: Path, content: str) -> None:
    assert not _READER.recognises(open_facts(written(tmp_path, "a.json", content)))


_BOTH = _records("azure_reservation_orders.json") + _records("azure_reservations.json")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=broken_json(_BOTH), page=st.booleans())
def test_broken_records_never_raise(tmp_path: Path, content: str, page: bool) -> None:
    file = open_facts(written(tmp_path, "a.json", f'{{"value": {content}}}' if page else content))
    _READER.recognises(file)
    check_rows(_READER.table, [one for one in _READER.facts(file) if isinstance(one, Fact)])
