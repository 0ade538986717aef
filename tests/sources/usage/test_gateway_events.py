"""A gateway's event becomes the row that it tells: its usage, its money, and whether anybody knows how it ended."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.gateway.metering.event import VERSION, ran_out
from outlay.operate.quotas.ask import Held
from outlay.prices.usage import normalise
from outlay.problems import Problem
from outlay.sources.facts import Fact
from outlay.sources.usage.gateway_events import NEWEST, Told, read_event
from tests.sources.usage.call_logs import check, spoilt
from tests.sources.usage.gateway_building import STARTED, TAGS, changed, denials, event, openai

ROUTE = {
    "rule": "small",
    "kind": "cascade",
    "from": "gpt-4o",
    "to": "gpt-4o-mini",
    "outcome": "routed",
    "saved": "0.25",
}


def rows(line: bytes) -> list[Fact]:
    found = read_event(line, "gateway one")
    assert isinstance(found, Told), found
    for fact in found.facts:
        check(fact)
    return list(found.facts)


def row(line: bytes) -> dict[str, Any]:
    (fact,) = rows(line)
    return dict(fact.values)


def problem(line: bytes) -> str:
    found = read_event(line, "gateway one")
    assert isinstance(found, Problem), found
    assert found.source == "gateway one"
    check(found)
    return found.code


def test_the_reader_knows_what_the_gateway_writes() -> None:
    assert NEWEST == VERSION


def test_a_call_is_a_row_with_all_that_is_told() -> None:
    usage = openai(
        1000, 100, prompt_tokens_details={"cached_tokens": 400}, completion_tokens_details={"reasoning_tokens": 30}
    )
    told = event(usage, asked_model="fast", answered_model="gpt-4o-2024-08-06", first_token=210_001, stream=True)
    (fact,) = rows(told.to_bytes())
    assert (fact.identity, fact.tags, fact.source) == ("019a-0001", TAGS, None)
    assert fact.values == {
        "start_time": datetime(2026, 11, 1, 14, 0, 0, 123000),
        "x_Kind": "call",
        "x_Requests": 1,
        "x_Succeeded": 1,
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "fast",
        "gen_ai_response_model": "gpt-4o-2024-08-06",
        "gen_ai_usage_input_tokens": 1000,
        "gen_ai_usage_output_tokens": 100,
        "gen_ai_usage_cache_read_input_tokens": 400,
        "gen_ai_usage_cache_write_input_tokens": 0,
        "gen_ai_usage_reasoning_output_tokens": 30,
        "x_Meter_input": 600,
        "x_Meter_cache_read": 400,
        "x_Meter_output": 70,
        "x_Meter_output_reasoning": 30,
        "x_Meter_requests": 1,
        "x_DurationSeconds": Decimal("1.234567"),
        "x_FirstTokenSeconds": Decimal("0.210001"),
        "x_Project": "main",
        "x_ApiKey": "key-7",
        "x_ReportedCost": Decimal("0.003"),  # 600 x 2.5 + 400 x 1.25 + 100 x 10, a million
        "x_ReportedCurrency": "USD",
    }


def test_the_model_is_the_one_that_has_the_price() -> None:
    told = event(openai(), answered_model="gpt-4o-2099-01-01-of-ours", sent_model="gpt-4o")
    assert told.priced_model == "gpt-4o"
    assert row(told.to_bytes())["gen_ai_response_model"] == "gpt-4o"
    assert row(event(openai(), answered_model="ours", sent_model="ours").to_bytes())["gen_ai_response_model"] == "ours"
    assert row(changed(event(None, settled="none"), sent_model="sent"))["gen_ai_response_model"] == "sent"


def test_a_call_within_a_call_is_a_row_of_its_own() -> None:
    raw = {
        "input_tokens": 10,
        "output_tokens": 20,
        "iterations": [
            {"type": "message", "input_tokens": 10, "output_tokens": 20},
            {"type": "advisor_message", "model": "claude-opus-4-5", "input_tokens": 30, "output_tokens": 40},
        ],
    }
    usage = normalise("anthropic", raw, flavor="messages")
    outer, inner = rows(event(usage, provider="anthropic", priced_as="anthropic").to_bytes())
    assert inner.identity.startswith(f"{outer.identity}#")
    assert (inner.values["x_Requests"], inner.values["gen_ai_response_model"]) == (0, "claude-opus-4-5")
    assert (outer.values["gen_ai_usage_input_tokens"], inner.values["gen_ai_usage_input_tokens"]) == (10, 30)
    assert "x_ReportedCost" not in inner.values
    assert inner.tags == outer.tags == TAGS


@pytest.mark.parametrize(
    ("fields", "succeeded", "error", "remarks"),
    [
        ({}, 1, None, None),
        ({"status": 206}, 1, None, None),
        ({"error": "the caller went away"}, 0, "the caller went away", None),
        ({"status": None}, 0, "failed", None),
        ({"status": 302}, 0, "http 302", None),
        ({"settled": "received", "error": "main broke off: ClientError"}, 0, "main broke off: ClientError", "received"),
        ({"settled": "received"}, 0, "incomplete", "received"),
        ({"settled": "bound", "error": "no usage"}, 1, None, "bound;usage-not-told"),
        ({"settled": "bound", "error": "unreadable usage"}, 1, None, "bound;usage-not-told"),
        ({"settled": "bound", "error": "no usage", "stream": True}, None, None, "bound;usage-not-told"),
        ({"settled": "bound", "error": "no usage", "status": None}, 0, "no usage", "bound"),
        ({"settled": "bound", "error": "interrupted"}, 0, "interrupted", "bound"),
        ({"settled": "bound", "error": "unsettled", "status": None}, None, None, "bound;unsettled"),
        ({"settled": "none", "error": "http 429", "status": 429}, 0, "http 429", None),
        ({"settled": "none", "status": 500}, 0, "http 500", None),
    ],
)
def test_how_a_call_ended(
    fields: dict[str, Any], succeeded: int | None, error: str | None, remarks: str | None
) -> None:
    found = row(changed(event(openai()), bound={"input": 2000, "output": 500}, **fields))
    expected = remarks and (f"billed-at-{remarks}" if remarks.startswith("bound") else f"billed-as-{remarks}")
    assert (found.get("x_Succeeded"), found.get("error_type"), found.get("x_Remarks")) == (succeeded, error, expected)


def test_at_the_bound_it_counts_what_was_held() -> None:
    found = row(
        event(None, settled="bound", bound_input=2000, bound_output=500, cost="0.02", currency="USD").to_bytes()
    )
    assert [found[f"x_Meter_{meter}"] for meter in ("input", "output", "requests")] == [2000, 500, 1]
    assert (found["gen_ai_usage_input_tokens"], found["gen_ai_usage_output_tokens"]) == (2000, 500)
    assert found["x_ReportedCost"] == Decimal("0.02")


def test_at_a_bound_that_nobody_knows_it_counts_nothing_that_is_made_up() -> None:
    found = row(event(None, settled="bound", error="interrupted").to_bytes())
    assert not [name for name in found if name.startswith(("x_Meter_", "gen_ai_usage_"))]


@pytest.mark.parametrize(("held", "output"), [(500, 500), (10, 100)])
def test_a_stream_that_broke_off_has_the_output_that_it_may_have_made(held: int, output: int) -> None:
    usage = openai(1000, 100, completion_tokens_details={"reasoning_tokens": 30})
    found = row(event(usage, settled="received", bound_output=held, error="x").to_bytes())
    assert (found["x_Meter_input"], found["x_Meter_output_reasoning"]) == (1000, 30)
    assert found["gen_ai_usage_output_tokens"] == found["x_Meter_output"] + 30 == output


def test_a_call_that_was_not_served_has_no_usage_and_no_cost() -> None:
    found = row(event(None, settled="none", error="http 500", status=500).to_bytes())
    assert not [name for name in found if name.startswith(("x_Meter_", "gen_ai_usage_", "x_Reported"))]


def test_a_hold_that_ran_out_says_less_than_any_other_event() -> None:
    held = Held(
        "019a-0001", {**TAGS, "model": "gpt-4o", "provider": "openai"}, STARTED, STARTED + 1, {"tokens": 700}, 500
    )
    late = read_event(ran_out(held), "gateway one")
    assert isinstance(late, Told)
    assert late.unsettled
    assert (late.facts[0].values["x_Meter_input"], late.facts[0].values["x_Meter_output"]) == (200, 500)
    assert "gen_ai_operation_name" not in late.facts[0].values
    settled = read_event(event(openai()).to_bytes(), "gateway one")
    assert isinstance(settled, Told)
    assert not settled.unsettled
    assert settled.identity == late.identity
    assert settled.facts[0].values["start_time"] == late.facts[0].values["start_time"]


def test_a_hold_without_tokens_has_no_negative_bound() -> None:
    held = Held("a", {"model": "m", "provider": "openai"}, STARTED, STARTED + 1, {"requests": 1}, 500)
    assert row(ran_out(held))["x_Meter_output"] == 500


def test_denied_calls_are_requests_that_failed_without_usage_and_provider() -> None:
    (fact,) = rows(denials(7))
    assert fact.values == {
        "start_time": datetime(2026, 11, 1, 14, 0),
        "end_time": datetime(2026, 11, 1, 14, 1),
        "x_Kind": "bucket",
        "x_Requests": 7,
        "x_Succeeded": 0,
        "error_type": "quota_denied",
        "gen_ai_request_model": "gpt-4o",
        "x_Project": "main",
        "x_ApiKey": "key-7",
        "x_Remarks": "not-sent",
    }
    assert fact.tags == {**TAGS, "quota": "daily"}
    same, other = rows(denials(8))[0], denials(7, quota="monthly")
    assert same.identity == fact.identity
    others = [other, denials(7, attributes={"team": "ads"}), denials(7, minute=STARTED), denials(7, gateway="two")]
    others.append(denials(7, reason="stopped"))
    assert fact.identity not in {rows(one)[0].identity for one in others}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "not-json"),
        (b"[]", "not-json"),
        (b"\xff", "not-json"),
        (b"{}", "unknown-layout"),
        (changed(event(openai()), v=True), "unknown-layout"),
        (changed(event(openai()), v=2), "newer-event"),
        (changed(event(openai()), kind="thought"), "unknown-layout"),
        (changed(event(openai()), id=""), "missing-identity"),
        (changed(event(openai()), started=...), "unparsable-time"),
        (changed(event(openai()), started="now"), "unparsable-time"),
        (changed(event(openai()), settled="somehow"), "unusable-record"),
        (changed(event(openai()), usage=None), "unusable-record"),
        (changed(event(openai()), usage={"input": -1}), "negative-quantity"),
        (changed(event(openai()), usage={"input": 5, "meters": {"input": 4}}), "unusable-record"),
        (changed(event(openai()), usage={"meters": {"input": "many"}}), "unparsable-amount"),
        (changed(event(openai()), usage={"input": 2**63}), "unparsable-amount"),
        (changed(event(openai()), cost="much"), "unparsable-amount"),
        (changed(event(openai()), route={"rule": "a"}), "unusable-record"),
        (changed(event(openai()), route="a"), "unusable-record"),
        (changed(event(openai()), route={**ROUTE, "saved": "much"}), "unusable-record"),
        (denials(minute=None), "unparsable-time"),
        (denials(calls=-1), "negative-quantity"),
    ],
)
def test_what_cant_be_read_is_a_problem(line: bytes, code: str) -> None:
    assert problem(line) == code


def test_what_a_rule_made_of_a_call_is_told() -> None:
    found = row(event(openai(), route=ROUTE).to_bytes())
    told = {name: found[name] for name in found if name.startswith("x_Route")}
    assert told == {
        "x_Route": "small",
        "x_RouteKind": "cascade",
        "x_RouteOutcome": "routed",
        "x_RouteSaved": Decimal("0.25"),
    }
    assert (found["x_Requests"], found["x_Succeeded"]) == (1, 1)
    assert not {name for name in row(event(openai()).to_bytes()) if name.startswith("x_Route")}


def test_an_answer_that_failed_a_check_is_no_success() -> None:
    route = {**ROUTE, "outcome": "failed", "why": "length", "saved": "-0.5"}
    found = row(event(openai(), route=route).to_bytes())
    assert (found["x_Requests"], found["x_Succeeded"], found["x_RouteSaved"]) == (1, 0, Decimal("-0.5"))
    assert found["error_type"] == "answer failed a check: length"
    broke = event(None, settled="bound", error="openai broke off", status=None, route={**route, "why": "broke off"})
    assert row(broke.to_bytes())["error_type"] == "openai broke off"


def test_a_shadow_is_a_cost_and_no_request() -> None:
    found = row(event(openai(), route={**ROUTE, "kind": "shadow", "outcome": "shadow"}).to_bytes())
    assert (found["x_Requests"], found["x_Succeeded"], found["x_Meter_requests"]) == (0, 0, 1)
    assert found["x_ReportedCost"] > 0


def test_an_answer_given_again_is_a_request_that_used_nothing() -> None:
    again = event(None, settled="none", cost="0", currency="USD", cache={"saved": "0.25", "of": "019a-0000"})
    found = row(again.to_bytes())
    assert (found["x_Requests"], found["x_Succeeded"], found["x_Remarks"]) == (1, 1, "gateway-cache")
    assert (found["x_CacheSaved"], found["x_ReportedCost"]) == (Decimal("0.25"), 0)
    assert (found["gen_ai_usage_input_tokens"], found["gen_ai_usage_output_tokens"]) == (0, 0)
    assert "error_type" not in found


def test_a_meter_of_a_newer_gateway_is_a_count_that_was_not_read() -> None:
    told = changed(event(openai()))
    usage = {**json.loads(told)["usage"], "meters": {"input": 1000, "output": 100, "telepathy": 3}}
    found = row(changed(event(openai()), usage=usage))
    assert (found["x_Remarks"], found["x_Meter_input"]) == ("unread-count", 1000)


@given(document=spoilt([json.loads(event(openai()).to_bytes()), json.loads(denials())]), more=st.booleans())
def test_no_line_breaks_the_reader(document: Any, more: bool) -> None:
    for one in document if isinstance(document, list) else [document]:
        line = json.dumps(one).encode()
        found = read_event(line if more else line[:-1], "gateway one")
        for fact in found.facts if isinstance(found, Told) else [found]:
            check(fact)
