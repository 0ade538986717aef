"""What is in the spool comes into the ledger once, whatever is killed when, and nothing of it is lost in silence."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from outlay.config import Settings
from outlay.errors import LedgerError, SpoolError, UnreadableError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import FACT_TABLES, Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.prices.tokens import TokenPrices
from outlay.sources import take_up as taking_up
from outlay.sources.fact_loading import load_tellings
from outlay.sources.facts import Fact
from outlay.sources.live_spools import of_telemetry
from outlay.sources.loading import load
from outlay.sources.take_up import TakenUp, TakeUp
from outlay.sources.usage.otlp_live import LiveOtlp
from outlay.spool.kinds import Kind
from outlay.spool.reader import sealed
from outlay.spool.writer import Limits, SpoolWriter
from tests.sources.usage.otel_building import FIXTURES, START, attributes, chat, span, traces

PRICES = TokenPrices()
EMITTERS = sorted(path.name.split(".")[0] for path in FIXTURES.glob("*.traces.pb"))


def asked(ledger: Path, sql: str) -> list[tuple[Any, ...]]:
    with session() as connection:
        Ledger(ledger).register_facts(connection, FACT_TABLES["requests"], Settings().tags.required)
        return connection.execute(sql).fetchall()


def spool(ledger: Path, *segments: Sequence[tuple[int, Any]]) -> None:
    """One sealed segment each, of export requests in JSON or bytes."""
    writer = SpoolWriter(ledger / "spool", Limits(segment_seconds=3600))
    for records in segments:
        for kind, body in records:
            writer.append(kind, body if isinstance(body, bytes) else json.dumps(body).encode())
        writer.seal()
    writer.close()


def opened(ledger: Path) -> TakeUp:
    return TakeUp(Ledger(ledger), Settings(), PRICES, of_telemetry(Ledger(ledger)))


def take_up(ledger: Path, *, most_bytes: int = 1 << 30) -> list[TakenUp]:
    found = opened(ledger)
    try:
        done = []
        while (one := found.next(most_bytes=most_bytes)) is not None:
            done.append(one)
        return done
    finally:
        found.close()


def tokens(total: int, *, start: int = START, seconds: int = 60, service: str = "meter") -> dict[str, Any]:
    """A cumulative histogram of input tokens, one call so far for every 100."""
    point = {
        "startTimeUnixNano": str(start),
        "timeUnixNano": str(start + seconds * 10**9),
        "count": str(total // 100),
        "sum": total,
        "attributes": attributes(
            {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.token.type": "input"}
        ),
    }
    metric = {"name": "gen_ai.client.token.usage", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}}
    resource = {"attributes": attributes({"service.name": service})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}


def test_segments_become_one_commit_and_are_gone(tmp_path: Path) -> None:
    spool(tmp_path, [(Kind.TRACES_JSON, traces(chat(1)))], [(Kind.TRACES_JSON, traces(chat(2), chat(3)))])
    (done,) = take_up(tmp_path)
    assert (done.segments, done.rows, done.rejected) == (2, 3, 0)
    assert asked(tmp_path, "SELECT count(*), sum(x_Cost), min(x_Source), min(x_Format) FROM requests") == [
        (3, 3 * (100 * Decimal("2.5") + 10 * Decimal(10)) / 1_000_000, "otlp", "otlp")
    ]
    assert sealed(tmp_path / "spool") == []
    assert take_up(tmp_path) == []


def test_a_retry_in_another_segment_is_the_same_row(tmp_path: Path) -> None:
    request = (Kind.TRACES_JSON, traces(chat(1), chat(2)))
    spool(tmp_path, [request, request], [request])
    take_up(tmp_path, most_bytes=1)
    assert asked(tmp_path, "SELECT count(*) FROM requests") == [(2,)]


def test_live_and_from_a_file_is_the_same_row(tmp_path: Path) -> None:
    request = traces(chat(1))
    (tmp_path / "file.json").write_text(json.dumps(request))
    load(Ledger(tmp_path / "ledger"), [tmp_path / "file.json"], Settings())
    spool(tmp_path / "ledger", [(Kind.TRACES_JSON, request)])
    take_up(tmp_path / "ledger")
    assert asked(tmp_path / "ledger", "SELECT x_Format FROM requests") == [("otlp",)]


@pytest.mark.parametrize("live", [False, True])
def test_a_call_told_again_with_a_start_in_another_month_is_one(tmp_path: Path, live: bool) -> None:
    """From a file however far it moved; live by a day, which is what a clock that is set right can come to."""
    ledger, day = tmp_path / "ledger", 86_400 * 10**9
    october = 1_790_812_800 * 10**9  # 2026-10-01T00:00:00Z
    for number, start in enumerate((october - day // 2, october + (day // 4 if live else 90 * day))):
        request = traces(chat(1) | {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 10**9)})
        if live:
            spool(ledger, [(Kind.TRACES_JSON, request)])
            (done,) = take_up(ledger)
            replaced = done.load.rows_replaced if done.load else None
        else:
            file = tmp_path / f"{number}.json"
            file.write_text(json.dumps(request))
            replaced = load(Ledger(ledger), [file], Settings()).rows_replaced
        assert replaced == number
    assert asked(ledger, "SELECT x_Month FROM requests") == [("2026-10" if live else "2026-12",)]


def test_what_is_no_call_commits_nothing(tmp_path: Path) -> None:
    spool(tmp_path, [(Kind.TRACES_JSON, traces(span(1), span(2)))])
    (done,) = take_up(tmp_path)
    assert (done.load, done.passed_over) == (None, 2)
    assert not Ledger(tmp_path).facts(REQUESTS).exists()


def test_bad_spans_go_to_quarantine_and_the_others_load(tmp_path: Path) -> None:
    broken = {**chat(2), "startTimeUnixNano": "0"}
    spool(tmp_path, [(Kind.TRACES_JSON, traces(chat(1), broken)), (99, b"?"), (Kind.TRACES_PROTOBUF, b"\xff")])
    (done,) = take_up(tmp_path)
    assert (done.rows, done.rejected) == (1, 3)
    assert done.load is not None
    kept = pq.read_table(tmp_path / "quarantine" / f"{done.load.load_id}.parquet").to_pylist()
    assert sorted(one["code"] for one in kept) == ["missing-time", "unknown-layout", "unknown-layout"]


def test_only_bad_spans_go_to_quarantine_and_make_no_version(tmp_path: Path) -> None:
    spool(tmp_path, [(Kind.TRACES_JSON, traces({**chat(), "spanId": ""}))])
    (done,) = take_up(tmp_path)
    assert (done.rows, done.rejected) == (0, 1)
    assert done.load is not None
    assert not done.load.changed
    assert [record.facts for record in Ledger(tmp_path).facts(REQUESTS).history()] == [{}]
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    assert sealed(tmp_path / "spool") == []


def test_cumulative_metrics_go_on_over_batches_and_restarts(tmp_path: Path) -> None:
    for seconds, total in ((60, 100), (120, 300), (180, 300), (240, 700)):
        spool(tmp_path, [(Kind.METRICS_JSON, tokens(total, seconds=seconds))])
        take_up(tmp_path)
    assert asked(tmp_path, "SELECT sum(gen_ai_usage_input_tokens), sum(x_Requests), count(*) FROM requests") == [
        (700, 7, 3)
    ]


def test_a_batch_that_failed_is_told_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool(tmp_path, [(Kind.METRICS_JSON, tokens(100))])
    take_up(tmp_path)
    spool(tmp_path, [(Kind.METRICS_JSON, tokens(400, seconds=120)), (Kind.TRACES_JSON, traces(chat(1)))])
    found = opened(tmp_path)
    real = load_tellings

    def fails(*args: Any, **named: Any) -> Any:
        real(*args, **named)
        raise LedgerError("committed, and then something broke.")

    with monkeypatch.context() as patch:
        patch.setattr(taking_up, "load_tellings", fails)
        with pytest.raises(LedgerError):
            found.next()
    assert found.next() is not None
    assert found.next() is None
    found.close()
    assert asked(tmp_path, "SELECT sum(gen_ai_usage_input_tokens), count(*) FROM requests") == [(500, 3)]


def test_metrics_of_services_that_send_spans_stay_out_over_restarts(tmp_path: Path) -> None:
    service = {"service.name": "both"}
    spool(tmp_path, [(Kind.TRACES_JSON, traces(chat(1), resource=service))])
    take_up(tmp_path)
    spool(tmp_path, [(Kind.METRICS_JSON, tokens(100, service="both")), (Kind.METRICS_JSON, tokens(100))])
    (done,) = take_up(tmp_path)
    assert asked(tmp_path, "SELECT x_Service, x_Kind FROM requests ORDER BY 1") == [
        ("both", "call"),
        ("meter", "bucket"),
    ]
    assert done.load is not None
    assert [one.code for one in done.load.files[0].problems] == ["usage-told-twice"]


def test_a_call_told_by_two_emitters_is_one_over_restarts(tmp_path: Path) -> None:
    """The second emitter's span of the same answer comes after the first one's is in the ledger."""
    answer = {"gen_ai__response__id": "answer-1"}
    spool(tmp_path, [(Kind.TRACES_JSON, traces(chat(1, **answer), scope="one"))])
    take_up(tmp_path)
    spool(tmp_path, [(Kind.TRACES_JSON, traces(chat(2, **answer), scope="another"))])
    take_up(tmp_path)
    assert asked(tmp_path, "SELECT x_SpanId FROM requests") == [(f"{1:016x}",)]


def test_a_damaged_segment_gives_what_is_whole_and_is_kept(tmp_path: Path) -> None:
    spool(tmp_path, [(Kind.TRACES_JSON, traces(chat(1))), (Kind.TRACES_JSON, traces(chat(2)))])
    (segment,) = sealed(tmp_path / "spool")
    content = bytearray(segment.path.read_bytes())
    content[-10] ^= 1
    segment.path.write_bytes(content)
    (done,) = take_up(tmp_path)
    assert (done.rows, done.rejected) == (1, 1)
    assert done.load is not None
    assert [one.code for file in done.load.files for one in file.problems] == ["damaged-segment"]
    assert (tmp_path / "spool" / "damaged" / segment.path.name).read_bytes() == content
    assert sealed(tmp_path / "spool") == []


def test_an_error_of_ours_keeps_the_request_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool(tmp_path, [(Kind.TRACES_JSON, traces(chat(1))), (Kind.TRACES_JSON, b"poison"), (3, traces(chat(2)))])
    real = LiveOtlp._told

    def told(self: LiveOtlp, kind: int, body: bytes) -> Any:
        if body == b"poison":
            raise ZeroDivisionError
        return real(self, kind, body)

    monkeypatch.setattr(LiveOtlp, "_told", told)
    (done,) = take_up(tmp_path)
    assert (done.rows, done.rejected) == (2, 1)
    assert [path.read_bytes() for path in (tmp_path / "spool" / "unread").iterdir()] == [b"poison"]


def test_one_take_up_at_a_time(tmp_path: Path) -> None:
    found = opened(tmp_path)
    with pytest.raises(SpoolError, match=f"process {os.getpid()} takes this spool up already"):
        opened(tmp_path)
    found.close()


@pytest.mark.parametrize("state", [b"", b"{", b'{"version": 2}', b'{"version": 1, "series": [[1]], "services": []}'])
def test_a_memory_that_is_none_is_said_and_not_guessed(tmp_path: Path, state: bytes) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "state").write_bytes(state or b"null")
    with pytest.raises(UnreadableError, match="what was remembered of live telemetry"):
        opened(tmp_path)


TAKES_UP = """
import sys
from pathlib import Path
from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.prices.tokens import TokenPrices
from outlay.sources.live_spools import of_telemetry
from outlay.sources.take_up import TakeUp
ledger = Ledger(Path(sys.argv[1]))
found = TakeUp(ledger, Settings(), TokenPrices(), of_telemetry(ledger))
print("ready", flush=True)
while found.next(most_bytes=1) is not None:
    print("one", flush=True)
"""


def test_killed_at_any_moment_the_rows_are_there_once(tmp_path: Path) -> None:
    """Each segment has spans, some of them told in another one too, and the next point of a cumulative metric."""
    dice = random.Random(3)
    count = 9
    spool(
        tmp_path,
        *(
            [
                (Kind.TRACES_JSON, traces(*(chat(10 * n + m + 1) for m in range(15)))),
                (Kind.METRICS_JSON, tokens(100 * (n + 1), seconds=60 * (n + 1))),
            ]
            for n in range(count)
        ),
    )
    kills = 0
    while sealed(tmp_path / "spool"):
        process = subprocess.Popen([sys.executable, "-c", TAKES_UP, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1 + dice.random() * 0.9)
        if kills < 4:
            process.kill()
        status = process.wait()
        kills += status == -signal.SIGKILL
        process.stdout.close()
        assert status in (0, -signal.SIGKILL)
    assert kills >= 2
    found = asked(
        tmp_path,
        "SELECT x_Kind, count(*), count(DISTINCT x_RowId), sum(gen_ai_usage_input_tokens) FROM requests "
        "GROUP BY 1 ORDER BY 1",
    )
    spans = 10 * count + 5
    assert found == [("bucket", count, count, 100 * count), ("call", spans, spans, 100 * spans)]


@pytest.mark.parametrize("emitter", EMITTERS)
def test_a_batch_of_real_emitters_begun_again_is_told_the_same(emitter: str) -> None:
    requests = [
        (kind, (FIXTURES / f"{emitter}.{signal}.pb").read_bytes())
        for signal, kind in (("traces", Kind.TRACES_PROTOBUF), ("metrics", Kind.METRICS_PROTOBUF))
        if (FIXTURES / f"{emitter}.{signal}.pb").exists()
    ]
    live = LiveOtlp()

    def told() -> list[Any]:
        live.begin()
        return [*(one for request in requests for one in live.facts(*request)), *live.rest()]

    first = told()
    assert [one for one in first if isinstance(one, Fact)]
    assert told() == first
    state = live.state()
    live.keep()
    assert live.state() == LiveOtlp(state).state() == state
