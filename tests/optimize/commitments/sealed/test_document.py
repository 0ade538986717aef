"""The document says all that a purchase needs; any change shows in its hash; the same plan has the same tokens."""

from __future__ import annotations

import copy
import hashlib
import json
import uuid
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.config import CommitmentSettings
from outlay.errors import UnreadableError, UsageError
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.offers.offer import Flex
from outlay.optimize.commitments.plan import Plan, plan, today_of
from outlay.optimize.commitments.sealed.document import plan_document, write_document
from outlay.optimize.commitments.sealed.purchase import purchases
from outlay.optimize.commitments.sealed.seal import exact, load_document, seal, verify
from tests.optimize.commitments.series import offer, steady

CREATED = datetime(2026, 10, 20, 9, 30, 15, 999)
OFFERING = "3d44e8a4-1c2b-4d5e-8f90-123456789abc"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.dictionaries(st.text().filter(lambda key: key not in ("hash", "digests")), JSON, min_size=1, max_size=5)


def made(*, paths: int = 100, price: str = "1.20") -> Plan:
    demands = [steady(20), steady(20, mean=40, pool="A100")]
    offers = [
        offer(price, pools=("*",), provider="aws", form="savings_plan", sku=OFFERING),
        offer("1.90", pools=("*",), name="dear", provider="aws"),
    ]
    return plan(demands, offers, CommitmentSettings(), today=today_of(demands), paths=paths)


PLAN = made()
DOCUMENT = plan_document(PLAN, created=CREATED, currency="USD", last_purchases={"*": None})


def by_hand(document: dict[str, Any]) -> str:
    """The hash as the page tells it, without a line of ours."""
    content = {key: value for key, value in document.items() if key != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def floats(value: object) -> list[float]:
    if isinstance(value, dict):
        return [one for inner in value.values() for one in floats(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in floats(inner)]
    return [value] if isinstance(value, float) else []


def test_what_it_holds() -> None:
    assert DOCUMENT["schema"] == "outlay/commitment-plan/1"
    assert (DOCUMENT["created"], DOCUMENT["as_of"]) == ("2026-10-20T09:30:15Z", "2026-10-19")
    assert DOCUMENT["valid_until"] == "2026-10-26"
    assert DOCUMENT["settings"]["guardrails"]["coverage_ceiling"] == "0.80"
    first = DOCUMENT["purchases"][0]
    assert (first["pool"], first["offer"], first["on"], first["due"]) == ("H100", "1y", "2026-10-19", True)
    quantity, price = Decimal(first["quantity"]), Decimal(first["unit_price"])
    assert Decimal(first["hourly"]) == quantity * price
    assert Decimal(first["total"]) == quantity * price * 8760
    assert first["request"]["body"]["clientToken"] == first["token"]
    assert [one["due"] for one in DOCUMENT["purchases"] if one["pool"] == "H100"] == [True, False, False]
    assert floats(DOCUMENT) == []
    assert "curve" not in DOCUMENT["pools"][0]


def test_the_evidence_is_sealed_with_it() -> None:
    pool = PLAN.pools[0].demand
    hours = np.where(pool.known, pool.nanos, -1).astype("<i8").tobytes()
    assert DOCUMENT["pools"][0]["demand"]["sha256"] == hashlib.sha256(hours).hexdigest()
    assert DOCUMENT["pools"][0]["verdict"] == "commit"
    assert DOCUMENT["pools"][0]["reasons"]


def test_conditions_of_a_purchase() -> None:
    first = {one["what"]: one for one in DOCUMENT["purchases"][0]["conditions"]}
    seen, best = PLAN.pools[0].evidence, PLAN.pools[0].verdict.best
    assert first["day"]["value"] == "2026-10-26"
    assert (first["unit_price"]["rule"], first["unit_price"]["value"]) == ("at_most", "1.2")
    assert seen.four_weeks_before is not None
    floor = Decimal(first["mean_of_last_7_days"]["value"])
    assert 0 <= floor - seen.four_weeks_before * Decimal("0.8") < Decimal("0.000001")
    assert best is not None
    assert best.outcome is not None
    assert best.outcome.utilization is not None
    worth = Decimal(first["on_demand_price"]["value"])
    assert 0 <= worth - Decimal("1.20") / best.outcome.utilization < Decimal("0.000001")
    assert first["level"]["value"] == DOCUMENT["purchases"][0]["owned_then"]
    assert first["verdict"]["value"] == "commit"
    assert first["days_since_last_purchase"]["value"] == "7"
    assert first["spike"]["rule"] == "below"


def test_the_offers_last_day_and_its_unit_are_conditions() -> None:
    demands = [steady(20)]
    one = offer(valid_until="2026-12-31", unit_gpus=Decimal(8))
    found = plan(demands, [one], CommitmentSettings(), today=today_of(demands), paths=100)
    document = plan_document(found, created=CREATED, currency="USD")
    told = {one["what"]: one["value"] for one in document["purchases"][0]["conditions"]}
    assert told["offer_valid_until"] == "2026-12-31"
    assert told["unit_gpus"] == "8"


def test_a_refill_on_the_last_valid_day_is_due() -> None:
    demands = [steady(20)]
    owned = {"H100": [Owned(20 * NANOS, date(2026, 10, 26), "sp-1"), Owned(5 * NANOS, date(2026, 10, 27), "sp-2")]}
    found = plan(demands, [offer()], CommitmentSettings(), owned=owned, today=today_of(demands), paths=100)
    document = plan_document(found, created=CREATED, currency="USD", last_purchases={"*": None})
    assert [(one["on"], one["due"]) for one in document["purchases"]][:3] == [
        ("2026-10-19", True),
        ("2026-10-26", True),
        ("2026-10-27", False),
    ]
    assert document["executable"] is True  # seven days between the two that are due


def test_a_flexible_offers_premium_is_paid_by_the_hour_and_to_its_vendor() -> None:
    demands = [steady(20)]
    flexible = offer(kind="flex", provider="aws", payment="all_upfront", flex=Flex(premium=Decimal("0.05")))
    found = plan(demands, [flexible], CommitmentSettings(), today=today_of(demands), paths=100)
    (first, *_) = plan_document(found, created=CREATED, currency="USD")["purchases"]
    quantity = Decimal(first["quantity"])
    assert Decimal(first["hourly"]) == quantity * Decimal("1.25")
    assert Decimal(first["total"]) == quantity * Decimal("1.25") * 8760
    assert Decimal(first["upfront"]) == quantity * Decimal("1.20") * 8760
    assert first["request"] is None
    assert "contract with its vendor" in first["request_why"]


def test_the_cost_of_capital_is_in_no_amount_that_is_paid() -> None:
    demands = [steady(20)]
    dear = CommitmentSettings(cost_of_capital=Decimal("0.10"))
    found = plan(demands, [offer(payment="all_upfront")], dear, today=today_of(demands), paths=100)
    best = found.pools[0].verdict.best
    assert best is not None
    bought = plan_document(found, created=CREATED, currency="USD")["purchases"]
    assert (
        sum(Decimal(one["total"]) for one in bought) == best.exposure == sum(Decimal(one["upfront"]) for one in bought)
    )


def test_the_premium_is_not_paid_upfront() -> None:
    demands = [steady(20)]
    flexible = offer(payment="all_upfront", kind="flex", flex=Flex(premium=Decimal("0.05")))
    found = plan(demands, [flexible], CommitmentSettings(), today=today_of(demands), paths=100)
    best = found.pools[0].verdict.best
    assert best is not None
    bought = plan_document(found, created=CREATED, currency="USD")["purchases"]
    assert best.upfront == sum(Decimal(one["upfront"]) for one in bought)


def test_tokens_are_uuids_one_a_step() -> None:
    tokens = [one["token"] for one in DOCUMENT["purchases"]]
    assert len(tokens) == 6
    assert len(set(tokens)) == len(tokens)
    assert all(str(uuid.UUID(token)) == token and uuid.UUID(token).int for token in tokens)


def test_the_same_plan_has_the_same_tokens_whenever_it_is_made() -> None:
    """Another run an hour later, with other futures, asks for the same purchases: they must not be made twice."""
    later = plan_document(made(paths=120), created=datetime(2026, 10, 20, 11), currency="USD")
    assert later["hash"] != DOCUMENT["hash"]
    told = {(one["pool"], one["step"], one["quantity"]): one["token"] for one in DOCUMENT["purchases"]}
    again = {(one["pool"], one["step"], one["quantity"]): one["token"] for one in later["purchases"]}
    assert set(told) == set(again)
    assert told == again


def test_another_purchase_has_another_token() -> None:
    (first, *_) = purchases(PLAN)
    others = [
        replace(first, nanos=first.nanos + 1),
        replace(first, pool="B200"),
        replace(first, step=9),
        replace(first, planned="2026-10-20"),
        replace(first, offer=replace(first.offer, unit_price=Decimal("1.21"))),
    ]
    assert len({first.token, *(one.token for one in others)}) == 6


def test_anyone_can_check_the_hash() -> None:
    assert DOCUMENT["hash"] == by_hand(DOCUMENT)
    assert verify(DOCUMENT).ok


def test_the_same_input_has_the_same_hash() -> None:
    again = plan_document(made(), created=CREATED, currency="USD", last_purchases={"*": None})
    assert again == DOCUMENT


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """The document with one value anywhere in it replaced, taken out or added."""
    document = copy.deepcopy(DOCUMENT)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in pairs:
            places.append((value, key))
            walk(inner)

    walk(document)
    holder, key = places[draw(st.integers(0, len(places) - 1))]
    if draw(st.booleans()):
        old = holder[key]
        holder[key] = draw(JSON.filter(lambda new: not (new == old and type(new) is type(old))))
    else:
        del holder[key]
    return document


@settings(max_examples=200)
@given(changes())
def test_any_change_shows(changed: dict[str, Any]) -> None:
    found = verify(changed)
    assert not found.ok
    assert found.differences


@given(PARTS)
def test_what_is_sealed_verifies_and_survives_a_file(content: dict[str, Any]) -> None:
    sealed = seal(content)
    assert verify(sealed).ok
    assert verify(json.loads(json.dumps(sealed))).ok


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["purchases"][1].update(quantity="1000"), ["'purchases[1]' was changed."]),
        (lambda d: d["purchases"].pop(), ["'purchases[5]' was taken out."]),
        (lambda d: d["purchases"].append({}), ["'purchases[6]' was added."]),
        (lambda d: d.update(currency="EUR"), ["'currency' was changed."]),
        (lambda d: d.update(more=1), ["'more' was added."]),
        (lambda d: d.pop("hash"), ["'hash' is missing."]),
        (lambda d: d.pop("digests"), ["'digests' is missing, so what differs can't be named."]),
        (lambda d: d.update(hash="0" * 64), ["Every part is as its digest says: the hash or the digests"]),
    ],
)
def test_what_differs_is_named(change: Any, said: list[str]) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    found = verify(document)
    assert not found.ok
    assert len(found.differences) == len(said)
    assert all(one.startswith(start) for one, start in zip(found.differences, said, strict=True))


def test_a_document_sealed_again_is_another_one() -> None:
    content = {key: value for key, value in DOCUMENT.items() if key not in ("hash", "digests")}
    forged = seal({**content, "currency": "EUR"})
    assert verify(forged).ok
    assert forged["hash"] != DOCUMENT["hash"]


def test_estimates_are_text() -> None:
    assert exact({"a": [0.1, 1, True, None], "b": 1e300}) == {"a": ["0.1", 1, True, None], "b": "1e+300"}


def test_a_file_and_back(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_document(DOCUMENT, path)
    assert load_document(path) == DOCUMENT
    write_document({**DOCUMENT}, path)
    assert [one.name for one in tmp_path.iterdir()] == ["plan.json"]


def test_another_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "demand.csv"
    path.write_text("hour,H100\n0,1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="another file than a plan"):
        write_document(DOCUMENT, path)
    assert path.read_text(encoding="utf-8").startswith("hour")
    with pytest.raises(UsageError, match="can't be written"):
        write_document(DOCUMENT, tmp_path / "no such folder" / "plan.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no plan"),
        ("[]", "is no plan"),
        ('{"schema": "outlay/commitment-plan/9"}', "has the schema"),
        ('{"schema": "outlay/commitment-plan/1", "paths": 1.0}', "the number 1.0"),
        ('{"schema": "outlay/commitment-plan/1", "paths": NaN}', "the number NaN"),
        ('{"schema": "outlay/commitment-plan/1", "currency": "USD", "currency": "EUR"}', "'currency' stands twice"),
        ("[" * 100_000, "is no plan"),
        ("\udcff", "is no plan"),
    ],
)
def test_what_can_be_no_plan(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UnreadableError, match=r"is no plan|has the schema") as raised:
        load_document(path)
    assert said in str(raised.value)
