"""What Outlay's own gateway sends over OTLP: its spans are its events' rows, its metrics are nobody's."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from outlay.problems import Problem
from outlay.sources.facts import Fact
from outlay.sources.usage.gateway_events import GATEWAY, Told, read_event
from outlay.sources.usage.otlp_live import LiveOtlp
from outlay.spool.kinds import EVENT_ATTRIBUTE, GATEWAY_SCOPE, Kind
from tests.sources.usage.gateway_building import changed, event, openai

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def attributes(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds: dict[type, str] = {str: "stringValue", int: "intValue"}
    return [{"key": name, "value": {kinds[type(value)]: value}} for name, value in said.items()]


def span(number: int, parent: int | None, **said: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "parentSpanId": "" if parent is None else f"{parent:016x}",
        "startTimeUnixNano": "1762005600000000000",
        "endTimeUnixNano": "1762005601000000000",
        "attributes": attributes(said),
    }


def request(scope: str, *spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}]}]}).encode()


def of_gateway(line: bytes | None, number: int = 2, parent: int | None = 1) -> bytes:
    told = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1000, "outlay.team": "search"}
    return request(GATEWAY_SCOPE, span(number, parent, **told, **({EVENT_ATTRIBUTE: line.decode()} if line else {})))


def callers(number: int = 1) -> bytes:
    told = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 1000}
    return request("a-framework", span(number, None, **told))


def taken(live: LiveOtlp, *bodies: bytes, kind: Kind = Kind.TRACES_JSON) -> list[Any]:
    live.begin()
    return [one for body in bodies for one in live.facts(kind, body)] + list(live.rest())


def test_a_span_is_the_row_of_its_event() -> None:
    line = event(openai()).to_bytes()
    told = read_event(line, "a")
    assert isinstance(told, Told)
    live = LiveOtlp()
    (found,) = taken(live, of_gateway(line))
    (fact,) = told.facts
    assert isinstance(found, Fact)
    assert (found.identity, found.source) == (fact.identity, GATEWAY.id)
    assert (found.values, found.tags) == (fact.values, fact.tags)
    assert live.passed_over == 0


def test_what_the_ledger_has_is_passed_over() -> None:
    asked: list[Mapping[str, datetime]] = []

    def known(told: Mapping[str, datetime]) -> Collection[str]:
        asked.append(told)
        return {"call-1"}

    live = LiveOtlp(known=known)
    lines = [changed(event(openai()), id=f"call-{number}") for number in (1, 2)]
    (found,) = taken(live, *(of_gateway(line, number) for number, line in enumerate(lines, 2)))
    assert (found.identity, live.passed_over) == ("call-2", 1)
    assert [set(told) for told in asked] == [{"call-1", "call-2"}]
    assert taken(live, callers(9)) != []
    assert (len(asked), live.passed_over) == (1, 0)


def test_the_callers_span_above_it_is_a_repetition_whatever_it_says() -> None:
    for line in (event(openai()).to_bytes(), event(None, settled="bound", bound_input=9, bound_output=9).to_bytes()):
        live = LiveOtlp()
        (found,) = taken(live, of_gateway(line), callers())
        assert found.source == GATEWAY.id
        assert taken(live, callers()) == []


def test_a_span_that_lost_its_event_is_no_row() -> None:
    live = LiveOtlp()
    assert taken(live, of_gateway(None)) == []
    assert live.passed_over == 1


def test_an_event_that_cannot_be_read_is_a_problem() -> None:
    for line, code in ((b"{", "not-json"), (changed(event(openai()), v=2), "newer-event")):
        (found,) = taken(LiveOtlp(), of_gateway(line))
        assert isinstance(found, Problem)
        assert found.code == code


def test_its_metrics_are_passed_over_and_leave_those_of_others_in() -> None:
    def metrics(scope: str) -> bytes:
        point = {
            "startTimeUnixNano": "1762005600000000000",
            "timeUnixNano": "1762005660000000000",
            "count": "1",
            "sum": 1000,
            "attributes": attributes({"gen_ai.token.type": "input", "gen_ai.operation.name": "chat"}),
        }
        histogram = {"aggregationTemporality": 1, "dataPoints": [point]}
        metric = {"name": "gen_ai.client.token.usage", "histogram": histogram}
        return json.dumps(
            {"resourceMetrics": [{"scopeMetrics": [{"scope": {"name": scope}, "metrics": [metric]}]}]}
        ).encode()

    live = LiveOtlp()
    taken(live, of_gateway(event(openai()).to_bytes()))
    assert taken(live, metrics(GATEWAY_SCOPE), kind=Kind.METRICS_JSON) == []
    (bucket,) = taken(live, metrics("a-framework"), kind=Kind.METRICS_JSON)
    assert bucket.values["gen_ai_usage_input_tokens"] == 1000
