"""What a gateway says that calls cost is what the ledger says, each once, whatever is told twice or killed when."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from outlay.config import Settings
from outlay.gateway.metering.event import SPOOLED, ran_out
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import FACT_TABLES, Ledger
from outlay.metrics.answer import answer
from outlay.metrics.query import Query
from outlay.operate.quotas.ask import Held
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise
from outlay.sources.live_spools import of_gateway
from outlay.sources.take_up import TakenUp, TakeUp
from outlay.sources.usage import gateway_live
from outlay.sources.usage.gateway_events import read_event
from outlay.spool.folders import gateway_spool
from outlay.spool.kinds import Kind
from outlay.spool.reader import sealed
from outlay.spool.writer import Limits, SpoolWriter
from tests.sources.usage.gateway_building import STARTED, TAGS, changed, denials, event, openai

PRICES = TokenPrices()
DAY = 86_400_000


def asked(ledger: Path, sql: str) -> list[tuple[Any, ...]]:
    with session() as connection:
        Ledger(ledger).register_facts(connection, FACT_TABLES["requests"], Settings().tags.required)
        return connection.execute(sql).fetchall()


def spool(ledger: Path, *segments: Sequence[bytes], gateway: str = "one") -> None:
    """One sealed segment each, of a record of these lines."""
    writer = SpoolWriter(gateway_spool(ledger, gateway), Limits(segment_seconds=3600))
    for lines in segments:
        writer.append(SPOOLED, b"\n".join(lines))
        writer.seal()
    writer.close()


def take_up(ledger: Path, *, gateway: str = "one", most_bytes: int = 1 << 30) -> list[TakenUp]:
    folder = gateway_spool(ledger, gateway)
    found = TakeUp(Ledger(ledger), Settings(), PRICES, of_gateway(Ledger(ledger), folder))
    try:
        done = []
        while (one := found.next(most_bytes=most_bytes)) is not None:
            done.append(one)
        return done
    finally:
        found.close()


def unsettled(id: str = "019a-0001", at: int = STARTED) -> bytes:
    attributes = {**TAGS, "key": "key-7", "model": "gpt-4o", "upstream": "main", "provider": "openai"}
    return ran_out(Held(id, attributes, at, at + 1, {"tokens": 5000, "USD": 10**16, "requests": 1}, 500))


def test_the_kind_of_a_record_is_the_one_that_the_reader_knows() -> None:
    assert (SPOOLED, int(SPOOLED)) == (Kind.GATEWAY_EVENTS, 5)


CALLS = {
    "plain": event(openai(1234, 567)),
    "cached": event(
        openai(
            5000, 70, prompt_tokens_details={"cached_tokens": 4096}, completion_tokens_details={"reasoning_tokens": 9}
        )
    ),
    "by its snapshot": event(openai(7, 3), answered_model="gpt-4o-2024-08-06"),
    "by the name that was sent": event(openai(7, 3), answered_model="unheard-of", sent_model="gpt-4o-mini"),
    "a tier of service": event(
        normalise(
            "openai", {"usage": {"prompt_tokens": 10, "completion_tokens": 5}, "service_tier": "flex"}, flavor="chat"
        ),
        sent_model="gpt-5",
    ),
    "long": event(openai(300_001, 100), sent_model="gpt-5.6-sol"),
    "cache writes and searches": event(
        normalise(
            "anthropic",
            {
                "input_tokens": 11,
                "cache_creation_input_tokens": 300,
                "cache_read_input_tokens": 7,
                "output_tokens": 13,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
                "server_tool_use": {"web_search_requests": 2},
            },
            flavor="messages",
        ),
        provider="anthropic",
        priced_as="anthropic",
        sent_model="claude-sonnet-4-5",
    ),
    "a call within": event(
        normalise(
            "anthropic",
            {
                "input_tokens": 10,
                "output_tokens": 20,
                "iterations": [
                    {"type": "message", "input_tokens": 10, "output_tokens": 20},
                    {"type": "advisor_message", "model": "claude-opus-4-5", "input_tokens": 30, "output_tokens": 40},
                ],
            },
            flavor="messages",
        ),
        provider="anthropic",
        priced_as="anthropic",
        sent_model="claude-sonnet-4-5",
    ),
    "Gemini": event(
        normalise("google", {"promptTokenCount": 100, "candidatesTokenCount": 7, "thoughtsTokenCount": 50}),
        provider="gcp.gemini",
        priced_as="google",
        sent_model="gemini-2.5-flash",
    ),
    "Bedrock": event(
        normalise("aws", {"prompt_tokens": 99, "completion_tokens": 11}, flavor="chat"),
        provider="aws.bedrock",
        priced_as="aws",
        sent_model="anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
    "Azure": event(
        openai(99, 11), provider="azure.ai.openai", priced_as="azure", sent_model="ours", answered_model="gpt-4o"
    ),
    "unpriced": event(openai(99, 11), sent_model="unheard-of"),
}


def test_each_call_costs_what_the_gateway_says_to_the_last_digit(tmp_path: Path) -> None:
    for number, told in enumerate(CALLS.values()):
        told.id = f"call-{number}"
    spool(tmp_path, [told.to_bytes() for told in CALLS.values()])
    (done,) = take_up(tmp_path)
    assert done.rejected == 0
    found = asked(
        tmp_path,
        """SELECT split_part("x_RowId", '#', 1), sum("x_Cost"), max("x_CostCurrency"), max("x_ReportedCost"),
        sum("x_Requests"), bool_or("x_CostEstimated") FROM requests GROUP BY 1""",
    )
    by_id = {row[0]: row[1:] for row in found}
    for name, told in CALLS.items():
        cost = None if told.cost is None else Decimal(told.cost)
        assert by_id[told.id][:4] == (cost, told.currency, cost, 1), name
    assert [name for name, told in CALLS.items() if told.cost is None] == ["unpriced"]
    assert [name for name, told in CALLS.items() if told.cost and Decimal(told.cost) <= 0] == []


def test_tags_are_columns_and_the_key_the_upstream_and_the_gateway_are_told(tmp_path: Path) -> None:
    spool(tmp_path, [event(openai()).to_bytes()])
    take_up(tmp_path)
    columns = '"x_Tag_team", "x_Tag_use_case", "x_Tag_environment", "x_ApiKey", "x_Project", "x_Source", "x_SourceFile"'
    assert asked(tmp_path, f"SELECT {columns} FROM requests") == [
        ("search", "answers", "production", "key-7", "main", "gateway", "gateway one")
    ]
    assert asked(tmp_path, "SELECT map_keys(Tags) FROM requests") == [(list(TAGS),)]


def test_what_is_billed_without_the_providers_word_is_an_estimate_and_never_0(tmp_path: Path) -> None:
    bound = {"input": 1_000_000, "output": 100_000}
    told = event(openai(1_000_000, 1000))
    spool(
        tmp_path,
        [
            changed(told, id="usage"),
            changed(told, id="bound", settled="bound", usage=None, bound=bound, error="no usage"),
            changed(told, id="broke", settled="bound", usage=None, bound=bound, error="interrupted"),
            changed(told, id="received", settled="received", bound=bound, error="broke off"),
            changed(told, id="unbounded", settled="bound", usage=None, bound=None, error="interrupted", cost=None),
            changed(told, id="failed", settled="none", usage=None, error="http 500", status=500, cost=None),
        ],
    )
    take_up(tmp_path)
    found = asked(
        tmp_path,
        'SELECT "x_RowId", "x_Cost", "x_CostEstimated", "x_PriceStatus", "x_Succeeded" FROM requests ORDER BY 1',
    )
    assert found == [
        ("bound", Decimal("3.5"), True, "priced", 1),
        ("broke", Decimal("3.5"), True, "priced", 0),
        ("failed", Decimal(0), True, "priced", 0),
        ("received", Decimal("3.5"), True, "priced", 0),
        ("unbounded", None, None, "unpriced", 0),
        ("usage", Decimal("2.51"), False, "priced", 1),
    ]


def test_an_event_that_comes_again_is_the_same_row(tmp_path: Path) -> None:
    line = event(openai()).to_bytes()
    spool(tmp_path, [line, line], [line])
    spool(tmp_path, [line, denials(3)], [denials(3)], gateway="two")
    take_up(tmp_path, most_bytes=1)
    take_up(tmp_path, gateway="two", most_bytes=1)
    assert asked(tmp_path, 'SELECT "x_Kind", "x_Requests" FROM requests ORDER BY 1') == [("bucket", 3), ("call", 1)]


@pytest.mark.parametrize("first", ["settled", "unsettled"])
@pytest.mark.parametrize("way", ["record", "batch", "spools"])
def test_what_was_settled_holds_over_a_hold_that_ran_out(tmp_path: Path, first: str, way: str) -> None:
    """In either order, together or apart, and from the spool of another gateway that saw the hold run out."""
    lines = [event(openai(1000, 100)).to_bytes(), unsettled()]
    if first == "unsettled":
        lines.reverse()
    for number, line in enumerate(lines):
        if way == "record":
            spool(tmp_path, lines)
        elif way == "batch":
            spool(tmp_path, [line])
        else:
            spool(tmp_path, [line], gateway=f"{number}")
            take_up(tmp_path, gateway=f"{number}")
        if way != "spools":
            take_up(tmp_path)
    assert asked(tmp_path, 'SELECT "x_Cost", "x_Succeeded" FROM requests') == [(Decimal("0.0035"), 1)]


def test_a_hold_that_ran_out_counts_until_it_is_settled(tmp_path: Path) -> None:
    spool(tmp_path, [unsettled(), unsettled("019a-0002", STARTED + 40 * DAY)])
    take_up(tmp_path)
    assert asked(tmp_path, 'SELECT "x_RowId", "x_Cost", "x_ReportedCost", "x_Remarks" FROM requests ORDER BY 1') == [
        (f"019a-000{n}", Decimal("0.01625"), Decimal("0.01"), "billed-at-bound;unsettled") for n in (1, 2)
    ]
    spool(tmp_path, [event(openai(), id="019a-0002", started=STARTED + 40 * DAY).to_bytes()])
    (done,) = take_up(tmp_path)
    assert done.load is not None
    assert done.load.rows_replaced == 1
    assert asked(tmp_path, 'SELECT count(*), sum("x_Cost") FROM requests') == [
        (2, Decimal("0.01625") + Decimal("0.0035"))
    ]


def test_of_holds_that_ran_out_only_those_without_another_word_are_told(tmp_path: Path) -> None:
    spool(tmp_path, [event(openai(), id="a").to_bytes(), unsettled("a"), unsettled("b")])
    assert [(one.rows, one.passed_over) for one in take_up(tmp_path)] == [(2, 1)]
    spool(tmp_path, [unsettled("a"), unsettled("b"), unsettled("c")])
    assert [(one.rows, one.passed_over) for one in take_up(tmp_path)] == [(1, 2)]


def test_bad_lines_go_to_quarantine_are_kept_and_the_others_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = changed(event(openai()), id="newer", v=2)
    poison = changed(event(openai()), id="poison")
    real = read_event

    def read(line: bytes, gateway: str) -> Any:
        if line == poison:
            raise ZeroDivisionError
        return real(line, gateway)

    monkeypatch.setattr(gateway_live, "read_event", read)
    spool(tmp_path, [event(openai(), id="a").to_bytes(), b"{", newer, b"", poison, event(openai(), id="b").to_bytes()])
    writer = SpoolWriter(gateway_spool(tmp_path, "one"))
    writer.append(Kind.TRACES_JSON, b"{}")
    writer.close()
    (done,) = take_up(tmp_path)
    assert (done.rows, done.rejected) == (2, 4)
    assert done.load is not None
    kept = pq.read_table(tmp_path / "quarantine" / f"{done.load.load_id}.parquet").to_pylist()
    assert sorted(one["code"] for one in kept) == ["newer-event", "not-json", "unknown-layout", "unusable-record"]
    unread = [path.read_bytes() for path in (gateway_spool(tmp_path, "one") / "unread").iterdir()]
    assert sorted(unread) == sorted([b"{", newer, poison, b"{}"])


def test_kpis_count_what_was_served_and_denied_calls_distort_none(tmp_path: Path) -> None:
    """Of three calls one failed; a thousand were denied, which shows among the requests and those that failed alone."""
    failed = event(None, id="c", settled="none", error="http 500", status=500)
    spool(tmp_path, [one.to_bytes() for one in (event(openai(), id="a"), event(openai(), id="b"), failed)])
    take_up(tmp_path)
    names = (
        *("served_requests", "usage_cost", "usage_tokens", "cost_per_request", "usage_cost_per_1k_tokens"),
        *("p95_latency", "latency_per_dollar", "usage_cache_read_share"),
    )
    counts = ("requests", "error_share")

    def said() -> tuple[Any, ...]:
        found = [answer(Ledger(tmp_path), Query((name,)), Settings()) for name in (*names, *counts)]
        assert {len(one.rows) for one in found} == {1}
        figures = {name: one.rows[0].figures[name].value for name, one in zip((*names, *counts), found, strict=True)}
        left_out = [(one.metric, one.count) for result in found for one in result.receipt.left_out]
        return figures, left_out, [result.receipt.parts[0].prices for result in found]

    before = said()
    spool(tmp_path, [denials(1000)])
    take_up(tmp_path)
    after = said()
    assert before[0]["served_requests"] == 2
    assert {name: after[0][name] for name in names} == {name: before[0][name] for name in names}
    assert after[1:] == before[1:]
    assert [after[0][name] for name in counts] == [1003, Decimal("0.998005982053838485")]


STEPS = """
import os, signal, sys
from pathlib import Path
from outlay.config import Settings
from outlay.ledger.delta import DeltaFolder
from outlay.ledger.store import Ledger
from outlay.prices.tokens import TokenPrices
from outlay.sources import take_up
from outlay.sources.live_spools import of_gateway
from outlay.spool import reader

def dies(): os.kill(os.getpid(), signal.SIGKILL)

def before(real):
    def run(*given, **named):
        dies()
    return run

def after(real):
    def run(*given, **named):
        real(*given, **named)
        dies()
    return run

step = sys.argv[2]
if step == "before the commit":
    DeltaFolder.commit = before(DeltaFolder.commit)
elif step == "after the commit":
    DeltaFolder.commit = after(DeltaFolder.commit)
elif step == "before the segments go":
    take_up.remove = before(take_up.remove)
elif step == "after one segment went":
    real = Path.unlink
    def unlink(path, **named):
        real(path, **named)
        if path.suffix == '.sealed':
            dies()
    Path.unlink = unlink
elif step == "after the segments went":
    take_up.remove = after(take_up.remove)
elif step == "at putting files together":
    take_up.compact = before(take_up.compact)
ledger = Ledger(Path(sys.argv[1]))
found = take_up.TakeUp(ledger, Settings(), TokenPrices(), of_gateway(ledger, Path(sys.argv[3])))
while found.next() is not None:
    pass
"""


@pytest.mark.parametrize(
    "step",
    [
        "before the commit",
        "after the commit",
        "before the segments go",
        "after one segment went",
        "after the segments went",
        "at putting files together",
    ],
)
def test_killed_at_any_step_the_rows_and_the_money_are_there_once(tmp_path: Path, step: str) -> None:
    calls = [event(openai(100 + n, n), id=f"call-{n}") for n in range(20)]
    lines = [one.to_bytes() for one in calls]
    spool(tmp_path, [*lines[:12], unsettled("call-19")], [*lines[10:18], denials(5)], [*lines[18:], unsettled("late")])
    folder = gateway_spool(tmp_path, "one")
    status = subprocess.run([sys.executable, "-c", STEPS, tmp_path, step, folder], check=False).returncode
    assert status == -signal.SIGKILL
    spool(tmp_path, [lines[0], unsettled("late")])
    take_up(tmp_path)
    assert sealed(folder) == []
    cost = sum(Decimal(one.cost or 0) for one in calls)
    by = """SELECT coalesce("error_type", "x_Remarks", 'served'), count(*), sum("x_Requests"), sum("x_ReportedCost")
        FROM requests GROUP BY 1 ORDER BY 1"""
    assert asked(tmp_path, by) == [
        ("billed-at-bound;unsettled", 1, 1, Decimal("0.01")),
        ("quota_denied", 1, 5, None),
        ("served", 20, 20, cost),
    ]
