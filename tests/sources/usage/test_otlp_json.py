"""OTLP/JSON files are known by their content, and nothing in them makes the reader raise."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.errors import UnreadableError
from outlay.ledger.tables.requests import REQUESTS
from outlay.money import MONEY_SQL
from outlay.problems import CATALOGUE, Problem
from outlay.sources.fact_file import open_facts, parse_json
from outlay.sources.facts import Fact
from outlay.sources.usage.otel_genai import GenAiSpans
from outlay.sources.usage.otel_metrics import GenAiMetrics
from outlay.sources.usage.otlp_json import OtlpJson, metric_points, spans
from tests.sources.usage.otel_building import FIXTURES, START, TRACE, chat, rows, traces, written

READER = OtlpJson()


@pytest.mark.parametrize(("name", "lines"), [("document", [1]), ("compact", [1]), ("array", [1, 2]), ("lines", [1, 3])])
def test_a_document_an_array_and_lines_are_read(tmp_path: Path, name: str, lines: list[int]) -> None:
    one, two = traces(chat(1)), traces(chat(2))
    text = {
        "document": json.dumps(one, indent=1),
        "compact": json.dumps(one),
        "array": json.dumps([one, two]),
        "lines": f"{json.dumps(one)}\n{{}}\n{json.dumps(two)}\n",
    }
    (tmp_path / name).write_text(text[name], encoding="utf-8")
    file = open_facts(tmp_path / name)
    assert READER.recognises(file)
    assert [found.line for found in READER.facts(file)] == lines


def test_a_first_line_longer_than_the_head(tmp_path: Path) -> None:
    """The Collector writes a batch a line, and a batch may hold thousands of spans."""
    long = traces(*(chat(number) for number in range(1, 3001)))
    file = written(tmp_path / "x.jsonl", long, traces(chat(9999)))
    assert READER.recognises(file)
    assert sum(isinstance(found, Fact) for found in READER.facts(file)) == 3001
    assert sum(isinstance(found, Fact) for found in READER.facts(written(tmp_path / "y.jsonl", long))) == 3000


def test_a_gzipped_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl.gz"
    path.write_bytes(gzip.compress((json.dumps(traces(chat(1))) + "\n").encode() * 2))
    file = open_facts(path)
    assert READER.recognises(file)
    assert len(list(READER.facts(file))) == 2


def test_an_outer_span_of_a_later_line_is_not_counted(tmp_path: Path) -> None:
    file = written(tmp_path / "x.jsonl", traces(chat(2, 1)), traces(chat(1)))
    assert [found.line for found in READER.facts(file)] == [1]


def test_metrics_of_a_service_whose_spans_are_in_the_file_are_left_out(tmp_path: Path) -> None:
    *rows, notice = READER.facts(open_facts(FIXTURES / "genai.jsonl"))
    assert {found.source for found in rows if isinstance(found, Fact)} == {"otlp"}
    assert isinstance(notice, Problem)
    assert (notice.code, notice.rejects) == ("usage-told-twice", False)
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text((FIXTURES / "genai.jsonl").read_text(encoding="utf-8").splitlines()[1] + "\n", encoding="utf-8")
    alone = list(READER.facts(open_facts(metrics)))
    assert len(alone) == 6
    assert {found.source for found in alone if isinstance(found, Fact)} == {"otlp-metrics"}


def test_logs_before_traces(tmp_path: Path) -> None:
    logs: dict[str, Any] = {"resourceLogs": [{"scopeLogs": []}]}
    assert READER.recognises(written(tmp_path / "x.jsonl", logs, traces(chat())))
    assert not READER.recognises(written(tmp_path / "y.jsonl", logs, logs))


@pytest.mark.parametrize(
    "text",
    [
        "BilledCost,ChargePeriodStart\n1,2026-10-01\n",
        '{"BilledCost": 1, "ServiceName": "x"}\n{"BilledCost": 2}\n',
        '[{"trace_id": "a", "spans": []}]',
        '{"resourceSpans": "none"}',
        '{"name": "chat", "context": {"trace_id": "0x1"}, "attributes": {"gen_ai.usage.input_tokens": 1}}',
        "[]",
        '{"resourceSpans": [',
        "resourceSpans resourceSpans\n",
    ],
)
def test_other_files_are_not_its_own(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x"
    path.write_text(text, encoding="utf-8")
    assert not READER.recognises(open_facts(path))


def test_a_half_written_last_line_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    line = json.dumps(traces(chat()))
    path.write_text(f"{line}\n{line[:200]}", encoding="utf-8")
    good, bad = READER.facts(open_facts(path))
    assert isinstance(good, Fact)
    assert isinstance(bad, Problem)
    assert (bad.code, bad.line) == ("not-json", 2)


def test_ids_in_base64_are_the_same_ids() -> None:
    """What a plain protobuf-to-JSON converter writes."""
    encoded = {"traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "AAAAAAAAAAE="}
    (found,) = rows(traces({**chat(), **encoded}))
    assert found.identity == f"{TRACE}/0000000000000001"


def test_enums_by_name_and_numbers_as_numbers() -> None:
    times = {"startTimeUnixNano": START, "endTimeUnixNano": START + 10**9}
    (found,) = rows(traces({**chat(), **times, "status": {"code": "STATUS_CODE_ERROR"}}))
    assert (found.values["x_Succeeded"], str(found.values["x_DurationSeconds"])) == (0, "1.000000")


def test_halves_of_characters_are_replaced(tmp_path: Path) -> None:
    text = (
        json.dumps(traces(chat(team="a"), resource={"x": "b"})).replace('"a"', '"\\ud800"').replace('"x"', '"\\udfff"')
    )
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    (found,) = READER.facts(open_facts(tmp_path / "x.json"))
    assert isinstance(found, Fact)
    assert dict(found.tags) == {"team": "?", "?": "b"}


def test_the_libraries_of_before_scopes_are_read() -> None:
    request = traces(chat())
    (resource,) = request["resourceSpans"]
    resource["instrumentationLibrarySpans"] = resource.pop("scopeSpans")
    assert len(rows(request)) == 1


def test_what_is_not_laid_out_as_published_is_told(tmp_path: Path) -> None:
    request = traces(chat())
    request["resourceSpans"] += ["no object", {"scopeSpans": {"spans": []}}]
    found = list(READER.facts(written(tmp_path / "x.jsonl", request, request)))
    assert [one.code for one in found if isinstance(one, Problem)] == ["unknown-layout"] * 4
    assert sum(isinstance(one, Fact) for one in found) == 2


_TYPES = {
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DECIMAL(18,6)": pa.decimal128(18, 6),
    MONEY_SQL: pa.decimal128(38, 18),
}
_ARROW = {column.name: _TYPES[column.sql_type] for column in REQUESTS.own}


def _sample() -> list[Any]:
    """Two requests of a capture, cut down."""
    lines = (FIXTURES / "openlit.jsonl").read_text(encoding="utf-8").splitlines()
    spanned, metered = (parse_json(line) for line in lines)
    for scope in spanned["resourceSpans"][0]["scopeSpans"]:
        del scope["spans"][2:]
    for scope in metered["resourceMetrics"][0]["scopeMetrics"]:
        scope["metrics"] = scope.get("metrics", [])[:2]
    return [spanned, metered]


SAMPLE = _sample()


def _places(found: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = enumerate(found) if isinstance(found, list) else found.items() if isinstance(found, dict) else ()
    return [path, *(place for key, value in inside for place in _places(value, (*path, key)))]


PLACES = [place for place in _places(SAMPLE) if len(place) > 1]
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        10**40,
        "",
        "NaN",
        "-Infinity",
        "1e999999",
        "٣",
        "\x00",
        [],
        {},
        [[]],
        {"a": 1},
        [None],
        "x" * 3000,
    ]
) | st.builds(parse_json, st.sampled_from(["1e999999", "-1E-999999", "0.1", "1E+30", "9" * 30]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PLACES), _ODD | st.just("DELETE")), min_size=1, max_size=4))
def test_nothing_in_a_request_makes_it_raise(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    mutated = copy.deepcopy(SAMPLE)
    for place, value in changes:
        holder = mutated
        try:
            for step in place[:-1]:
                holder = holder[step]
            if value == "DELETE":
                del holder[place[-1]]
            else:
                holder[place[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue
    calls, metrics = GenAiSpans("test"), GenAiMetrics("test")
    for request in mutated:
        if not isinstance(request, dict):
            continue
        for found in [*calls.facts(spans(request)), *metrics.facts(metric_points(request))]:
            if isinstance(found, Problem):
                assert found.code in CATALOGUE
            else:
                for name, value in found.values.items():
                    assert pa.array([value], type=_ARROW[name])[0].as_py() == value
                assert {type(one) for one in (*found.tags, *found.tags.values())} <= {str}
                counts = [v for k, v in found.values.items() if k.startswith(("gen_ai_usage", "x_Meter"))]
                assert all(isinstance(count, int) and 0 <= count < 2**63 for count in counts)


def test_bytes_that_are_no_request_are_unreadable() -> None:
    pytest.importorskip("opentelemetry.proto")
    from outlay.sources.usage import otlp_protobuf

    with pytest.raises(UnreadableError):
        list(otlp_protobuf.spans(b"\xff\xff\xff"))
    assert not list(otlp_protobuf.spans(b""))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_in_protobuf_makes_it_raise(data: st.DataObject) -> None:
    pytest.importorskip("opentelemetry.proto")
    from outlay.sources.usage import otlp_protobuf

    content = bytearray((FIXTURES / "genai.traces.pb").read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = list(GenAiSpans("test").facts(otlp_protobuf.spans(bytes(content))))
    except UnreadableError:
        return
    assert all(one.code in CATALOGUE for one in found if isinstance(one, Problem))
