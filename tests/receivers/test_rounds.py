"""All spools of a ledger are taken up, none waits for another, and of two that would take one up the second waits."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.prices.tokens import TokenPrices
from outlay.receivers.keeping_up import KeepingUp
from outlay.receivers.rounds import Rounds
from outlay.receivers.taking_up import Progress, TakingUp, Work
from outlay.sources.live import LiveSpool
from outlay.sources.live_spools import all_spools, of_gateway, of_telemetry
from outlay.sources.take_up import TakeUp
from outlay.spool.folders import gateway_spool, telemetry_spool
from outlay.spool.kinds import Kind
from outlay.spool.reader import sealed
from outlay.spool.writer import Limits, SpoolWriter
from tests.receivers.server import Server, asked
from tests.sources.usage.gateway_building import event, openai
from tests.sources.usage.otel_building import chat, traces


def fill(ledger: Path, *, gateway: str | None = None, number: int = 1) -> Path:
    """A sealed segment of one call, in a gateway's spool or in that of telemetry."""
    if gateway is None:
        folder, kind, body = telemetry_spool(ledger), Kind.TRACES_JSON, json.dumps(traces(chat(number))).encode()
    else:
        folder, kind = gateway_spool(ledger, gateway), Kind.GATEWAY_EVENTS
        body = event(openai(), id=f"{gateway}-{number}").to_bytes()
    writer = SpoolWriter(folder, Limits(segment_seconds=3600))
    writer.append(kind, body)
    writer.close()
    return folder


@contextmanager
def held(ledger: Path, spool: LiveSpool) -> Iterator[None]:
    """Another take-up has the spool for as long as the block lasts."""
    other = TakeUp(Ledger(ledger), Settings(), TokenPrices(), spool)
    yield
    other.close()


def ids(ledger: Path) -> list[str]:
    if not Ledger(ledger).facts(REQUESTS).exists():
        return []
    return [row[0] for row in asked(ledger, 'SELECT "x_RowId" FROM requests ORDER BY 1') if "-" in row[0]]


def waiting(folder: Path) -> list[Path]:
    """Segments that another process may be taking away."""
    return list(folder.glob("*.sealed"))


def waited_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_round_takes_up_telemetry_and_every_gateway_and_finds_new_ones(tmp_path: Path) -> None:
    said: list[Progress] = []
    rounds = Rounds(tmp_path, Settings(), said.append)
    rounds.go()
    assert said == [Progress()]
    assert [spool.folder.name for spool in all_spools(Ledger(tmp_path))] == ["spool"]
    fill(tmp_path)
    for name in ("b", "a"):
        fill(tmp_path, gateway=name)
    rounds.go()
    assert [one.rows for one in said[1:]] == [1, 1, 1]
    assert ids(tmp_path) == ["a-1", "b-1"]
    assert asked(tmp_path, 'SELECT "x_Source", count(*) FROM requests GROUP BY 1 ORDER BY 1') == [
        ("gateway", 2),
        ("otlp", 1),
    ]
    shutil.rmtree(gateway_spool(tmp_path, "a"))
    rounds.go()
    fill(tmp_path, gateway="a", number=2)
    rounds.go()
    assert ids(tmp_path) == ["a-1", "a-2", "b-1"]
    assert not [one for one in said if one.wrong]


def test_a_gateway_that_takes_up_its_own_keeps_nobody_waiting_and_is_followed(tmp_path: Path) -> None:
    said: list[Progress] = []
    folders = [fill(tmp_path, gateway=name) for name in ("a", "b")]
    rounds = Rounds(tmp_path, Settings(), said.append)
    with held(tmp_path, of_gateway(Ledger(tmp_path), folders[0])):
        rounds.go()
        assert (ids(tmp_path), rounds.wait) == (["b-1"], float("inf"))
    rounds.go()
    assert ids(tmp_path) == ["a-1", "b-1"]
    assert not [one for one in said if one.wrong]


def test_telemetry_that_another_takes_up_is_said_and_keeps_no_gateway_waiting(tmp_path: Path) -> None:
    said: list[Progress] = []
    fill(tmp_path)
    fill(tmp_path, gateway="a")
    rounds = Rounds(tmp_path, Settings(), said.append)
    with held(tmp_path, of_telemetry(Ledger(tmp_path))):
        rounds.go()
        assert ids(tmp_path) == ["a-1"]
        assert "takes this spool up already" in str(said[-1].wrong)
        assert rounds.wait < 2
    rounds.go()
    assert said[-1].wrong is None
    assert sealed(telemetry_spool(tmp_path)) == []


def test_what_is_wrong_with_one_spool_is_said_until_it_is_well(tmp_path: Path) -> None:
    said: list[Progress] = []
    state = fill(tmp_path) / "state"
    state.write_text("{")
    fill(tmp_path, gateway="a")
    rounds = Rounds(tmp_path, Settings(), said.append)
    rounds.go()
    rounds.go()
    assert ids(tmp_path) == ["a-1"]
    assert "what was remembered of live telemetry" in str(said[-1].wrong)
    state.unlink()
    rounds.go()
    assert said[-1].wrong is None
    assert sealed(telemetry_spool(tmp_path)) == []


def test_an_error_of_a_batch_leaves_it_where_it_is_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Progress] = []
    fill(tmp_path, gateway="a")
    fill(tmp_path, gateway="b")
    real = TakeUp.next

    def next_batch(self: TakeUp, **named: int) -> object:
        if self.folder.name == "a":
            raise ZeroDivisionError
        return real(self, **named)

    rounds = Rounds(tmp_path, Settings(), said.append)
    with monkeypatch.context() as patch:
        patch.setattr(TakeUp, "next", next_batch)
        rounds.go()
    assert ids(tmp_path) == ["b-1"]
    assert "an error in Outlay" in str(said[-1].wrong)
    rounds.go()
    assert ids(tmp_path) == ["a-1", "b-1"]
    assert said[-1].wrong is None


def test_a_gateways_own_process_takes_up_its_spool_alone_and_waits_quietly(tmp_path: Path) -> None:
    mine = fill(tmp_path, gateway="mine")
    fill(tmp_path, gateway="other")
    with held(tmp_path, of_gateway(Ledger(tmp_path), mine)):
        process = TakingUp(Work(tmp_path, Settings(), 0.1, mine, "outlay gateway"))
        waited_for(lambda: bool(process.said()))
        time.sleep(0.5)
        assert (process.said(), ids(tmp_path)) == ([], [])
    waited_for(lambda: not waiting(mine))
    fill(tmp_path, gateway="mine", number=2)
    assert process.stop(60)
    assert ids(tmp_path) == ["mine-1", "mine-2"]


def test_a_process_that_ended_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    started: list[TakingUp] = []
    folder = fill(tmp_path, gateway="mine")

    def start() -> TakingUp:
        started.append(TakingUp(Work(tmp_path, Settings(), 0.1, folder, "outlay gateway")))
        return started[-1]

    async def run() -> None:
        keeping = KeepingUp(start, said.append)
        started[0]._process.kill()
        watch = asyncio.create_task(keeping.watch())
        while len(started) < 2 or waiting(folder):
            await asyncio.sleep(0.05)
        await keeping.stop()
        watch.cancel()
        assert keeping.wrong is None

    asyncio.run(asyncio.wait_for(run(), 60))
    assert said[0] == "the take-up ended by itself; starting it again"
    assert said[1].startswith("1 rows in the ledger; ")
    assert ids(tmp_path) == ["mine-1"]


def test_serving_takes_up_what_gateways_write_beside_it(tmp_path: Path) -> None:
    with Server(tmp_path / "ledger") as server:
        folder = fill(server.ledger, gateway="a")
        own = TakingUp(Work(server.ledger, Settings(), 0.1, folder, "outlay gateway"))
        for number in range(2, 6):
            fill(server.ledger, gateway="a", number=number)
            fill(server.ledger, gateway="b", number=number)
        waited_for(lambda: not waiting(folder))
        assert own.stop(60)
    assert ids(tmp_path / "ledger") == [f"a-{n}" for n in range(1, 6)] + [f"b-{n}" for n in range(2, 6)]


def test_who_answers_calls_imports_nothing_of_the_ledgers() -> None:
    code = "import outlay.receivers.keeping_up, outlay.gateway.run, sys; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert "outlay.receivers.taking_up" in loaded
    assert loaded.isdisjoint({"duckdb", "deltalake", "pyarrow", "ibis", "outlay.sources.take_up"})
