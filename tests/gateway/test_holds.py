"""Holds that nobody settled: who sees them, who settles them, and what quotas and the ledger have of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.gateway.run import clock
from outlay.operate.quotas.ask import Ask, Held
from outlay.operate.quotas.limit import whole
from outlay.sources.usage.gateway_events import Told, read_event
from tests.gateway.harness import Harness, gateway, until
from tests.gateway.raw import exchange, status_of
from tests.gateway.test_admin_port import JSON
from tests.gateway.test_admin_port import ask as asking

QUOTAS = [{"id": "usd", "limit": "50 USD/30 days"}, {"id": "tokens", "limit": "1M tokens/30 days"}]
SAID = {"key": "key-1", "team": "search", "model": "gpt-4o-mini", "upstream": "openai", "provider": "openai"}
FIXED = {"requests": 1, "tokens": 1000, "USD": whole(Decimal("0.5"))}
BOUND = {"requests": "1", "tokens": "1200", "USD": "0.7"}
EACH = {"tokens": 1, "USD": whole(Decimal("0.001"))}


@asynccontextmanager
async def left(folder: Path) -> AsyncIterator[Harness]:
    """A gateway with a hold ``a`` that ran out, and one ``b`` whose call may be under way."""
    async with gateway(folder, "openai", quotas=QUOTAS) as gate:
        for id, lives in (("a", 0), ("b", 900_000)):
            held = await gate.running.quotas.hold(Ask(id, SAID, FIXED, EACH, 200, 200, lives=lives), clock())
            assert isinstance(held, Held)
        await gate.told(1)
        yield gate


async def settling(gate: Harness, id: str, body: Any) -> tuple[int, Any]:
    sent = asking(b"POST", b"/holds/" + id.encode(), JSON, body=json.dumps(body).encode())
    answer = await exchange(f"http://{gate.running.at.admin}", sent, first=True)
    return status_of(answer), json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("told", "usd", "tokens", "settled", "usage", "reported"),
    [
        ({"cost": "0.0123", "input": 900, "output": 30}, "0.0123", 930, "report", (900, 30), "0.0123"),
        ({"cost": "0.0123"}, "0.0123", 1200, "report", (1000, 200), "0.0123"),
        ({"cost": "0"}, "0", 1200, "report", (1000, 200), "0"),
        ({"cost": "3"}, "3", 1200, "report", (1000, 200), "3"),
        ({"input": 900, "output": 0}, "0.7", 900, "report", (900, 0), "0.7"),
        ({"none": True}, "0", 0, "none", (None, None), "0"),
    ],
)
def test_a_hold_that_ran_out_is_settled_by_what_is_told_of_it(
    tmp_path: Path, *, told: Any, usd: str, tokens: int, settled: str, usage: tuple[Any, Any], reported: str
) -> None:
    async def run() -> None:
        async with left(tmp_path) as gate:
            assert await gate.standing("usd") == (whole(Decimal("0.7")), whole(Decimal("0.7")))
            status, said = await settling(gate, "a", told)
            assert (status, said["settled"]["USD"], said["settled"]["tokens"]) == (200, usd, str(tokens))
            assert (await gate.standing("usd"))[0] == whole(Decimal(usd))
            assert (await gate.standing("tokens"))[0] == tokens
            assert (await settling(gate, "a", told))[0] == 404, "once"
            ran_out, event = await gate.told(2)
            assert (ran_out["id"], ran_out["settled"], ran_out["bound"]) == (
                "a",
                "bound",
                {"input": 1000, "output": 200},
            )
            assert (event["id"], event["settled"], event["cost"]) == ("a", settled, reported)
            row = read_event(json.dumps(event).encode(), "g")
            assert isinstance(row, Told)
            assert not row.unsettled, "it goes before the event of the hold that ran out"
            values = row.facts[0].values
            found = values.get("gen_ai_usage_input_tokens"), values.get("gen_ai_usage_output_tokens")
            assert found == usage
            assert values["x_ReportedCost"] == Decimal(reported)
            if settled == "report":
                at_bound = "input" not in told
                assert values["x_Remarks"] == ("billed-at-bound;settled-by-report" if at_bound else "settled-by-report")
                assert values.get("x_Succeeded") is None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("id", "told", "status"),
    [
        ("b", {"none": True}, 409),
        ("c", {"none": True}, 404),
        ("a", {}, 400),
        ("a", [], 400),
        ("a", {"none": False}, 400),
        ("a", {"none": True, "cost": "1"}, 400),
        ("a", {"cost": 1.5}, 400),
        ("a", {"cost": "-1"}, 400),
        ("a", {"cost": "NaN"}, 400),
        ("a", {"cost": "Infinity"}, 400),
        ("a", {"cost": "1e30"}, 400),
        ("a", {"cost": "1e-30"}, 400),
        ("a", {"cost": "much"}, 400),
        ("a", {"input": 5}, 400),
        ("a", {"input": -5, "output": 1}, 400),
        ("a", {"input": True, "output": 1}, 400),
        ("a", {"input": 2**70, "output": 1}, 400),
        ("a", {"tokens": 5}, 400),
    ],
)
def test_what_can_not_be_settled_so_stays_as_it_is(tmp_path: Path, id: str, told: Any, status: int) -> None:
    async def run() -> None:
        async with left(tmp_path) as gate:
            found, said = await settling(gate, id, told)
            assert found == status
            assert said["error"]
            assert await gate.standing("usd") == (whole(Decimal("0.7")), whole(Decimal("0.7")))
            assert len(gate.events()) == 1

    asyncio.run(run())


def test_no_page_and_nobody_without_the_secret_settles_a_hold(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", environment={"OUTLAY_ADMIN_TOKEN": "the-secret"}) as gate:
            url, body = f"http://{gate.running.at.admin}", b'{"none": true}'
            for sent in (asking(b"GET", b"/holds"), asking(b"POST", b"/holds/a", JSON, body=body)):
                assert status_of(await exchange(url, sent, first=True)) == 401
        async with left(tmp_path / "open") as gate:
            page = asking(b"POST", b"/holds/a", JSON, b"origin: http://evil.example", body=b'{"none": true}')
            assert status_of(await exchange(f"http://{gate.running.at.admin}", page, first=True)) == 403

    asyncio.run(run())


def test_the_commands_show_and_settle_them(tmp_path: Path) -> None:
    def command(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "outlay", "quotas", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    async def outlay(gate: Harness, *words: str) -> tuple[int, str]:
        (tmp_path / "outlay.toml").write_text(f'[gateway]\nadmin_listen = "{gate.running.at.admin}"\n')
        return await asyncio.to_thread(command, *words)

    async def run() -> None:
        async with left(tmp_path) as gate:
            status, shown = await outlay(gate, "holds")
            assert status == 0
            assert shown.startswith("a  ran out")
            assert "search, key-1, gpt-4o-mini, openai: at most 1200 tokens, 0.7 USD" in shown
            assert max(map(len, shown.splitlines())) <= 80
            status, both = await outlay(gate, "holds", "--all", "--json")
            assert [(one["id"], one["state"]) for one in json.loads(both)["holds"]] == [
                ("a", "ran out"),
                ("b", "under way"),
            ]
            assert json.loads(both)["holds"][0]["bound"] == BOUND
            status, shown = await outlay(gate, "settle", "b", "--none")
            assert (status, "may be under way until" in shown) == (2, True)
            status, shown = await outlay(gate, "settle", "a")
            assert (status, "nothing is told of the hold" in shown) == (2, True)
            status, shown = await outlay(gate, "settle", "a", "--cost", "0.01", "--input", "12", "--output", "3")
            assert (status, shown) == (0, "Settled a: 1 requests, 15 tokens, 0.01 USD.\n")
            assert await outlay(gate, "holds") == (0, "Every hold is settled.\n")
            await until(lambda: len(gate.events()) == 2)

    asyncio.run(run())
