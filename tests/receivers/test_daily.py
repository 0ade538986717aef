"""While `outlay serve` runs, recommendations are computed once a day, beside receiving and never in its way."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from datetime import timedelta
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.optimize.commitments.standing.standing_table import read
from outlay.receivers.daily import compute, keep_current
from tests.optimize.commitments.standings import NOW, POOL, STEADY, configured, ledger_with, offers, settings_of
from tests.receivers.emitters import chats
from tests.receivers.server import Server, asked

HOUR = timedelta(hours=1)


def wait_until(server: Server, computing: bool) -> None:
    """Until the process that computes has come, or has gone; the one that takes up stays."""
    until = time.monotonic() + 60
    while (len(server.children()) > 1) is not computing:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_computes_when_a_day_is_nearly_over(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    ledger = ledger_with(tmp_path, STEADY)
    (line,) = compute(ledger.path, settings, now=NOW)
    assert line.startswith(f"{POOL}: commit, buy ")
    for hours in (0, 1, 22, 23, 24, 45, 46):
        assert compute(ledger.path, settings, now=NOW + hours * HOUR) == []
    assert [(one.computed.at - NOW) // HOUR for one in read(ledger)] == [0, 23, 46]
    assert {(one.since, one.computed.trigger) for one in read(ledger)} == {(NOW, "daily")}


def test_a_ledger_without_gpus_is_left_alone(tmp_path: Path) -> None:
    assert compute(tmp_path / "ledger", settings_of(tmp_path), now=NOW) == []
    assert not (tmp_path / "ledger").exists()


def test_without_offers_nothing_is_started(tmp_path: Path) -> None:
    said: list[str] = []
    asyncio.run(asyncio.wait_for(keep_current(tmp_path, Settings(), said.append), 10))
    assert said == []


def test_an_end_by_force_is_said_and_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.receivers.daily._LOOK_EVERY", 0.01)
    said: list[str] = []

    async def twice() -> None:
        task = asyncio.create_task(keep_current(tmp_path / "ledger", settings_of(tmp_path), said.append, every=0))
        while len(said) < 2:
            for child in multiprocessing.active_children():
                child.kill()
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(twice(), 60))
    assert "the process ended with -9; trying again later" in said[0]
    assert multiprocessing.active_children() == []


def test_serving_computes_beside_receiving(tmp_path: Path) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    ledger = ledger_with(tmp_path, STEADY)
    with Server(ledger.path, options=("--config", str(configured(tmp_path)))) as server:
        wait_until(server, computing=True)
        assert OTLPSpanExporter(f"{server.http}/v1/traces").export(chats(2)) is SpanExportResult.SUCCESS
        wait_until(server, computing=False)
    assert [(one.verdict, one.computed.trigger) for one in read(ledger)] == [("commit", "daily")]
    assert f"outlay serve: {POOL}: commit, buy " in server.said
    assert asked(ledger.path, "SELECT count(*) FROM requests") == [(2,)]


def test_broken_offers_are_said_and_receiving_goes_on(tmp_path: Path) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    ledger = ledger_with(tmp_path, STEADY)
    config = configured(tmp_path)
    offers(tmp_path, "nonsense\n")
    with Server(ledger.path, options=("--config", str(config))) as server:
        wait_until(server, computing=True)
        wait_until(server, computing=False)
        assert OTLPSpanExporter(f"{server.http}/v1/traces").export(chats(2)) is SpanExportResult.SUCCESS
    assert "recommendations were not computed: " in server.said
    assert asked(ledger.path, "SELECT count(*) FROM requests") == [(2,)]
    assert not Ledger(ledger.path).recommendations().exists()
