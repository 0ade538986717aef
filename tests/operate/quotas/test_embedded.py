"""Quotas kept in a file: a hold is on the disk before the call goes, and nothing is lost however the process ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from outlay.errors import LedgerError, SpoolError
from outlay.operate.quotas.ask import Ask, Denied, Held
from outlay.operate.quotas.book import Stop
from outlay.operate.quotas.embedded import EmbeddedQuotas
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope
from tests.operate.quotas import killed

NOW = killed.NOW
QUOTA = Quota("q", Scope(), parse_limit("100 tokens/day"))
QUOTAS = (QUOTA, Quota("each", Scope.of({"team": "*"}), parse_limit("100 tokens/minute")))


def ask(id: str, tokens: int = 10, *, team: str = "search", lives: int = 900_000) -> Ask:
    return Ask(id, {"team": team}, {"tokens": tokens}, lives=lives)


async def standing(quotas: EmbeddedQuotas, now: int = NOW) -> tuple[int, int]:
    (one,) = [one for one in await quotas.standings(now) if one.quota.id == "q"]
    return one.spent, one.held


def in_file(path: Path, sql: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def test_many_long_events_are_handed_on_in_parts_and_in_order(tmp_path: Path) -> None:
    """No part is longer than a record of the spool may be, whatever has waited."""
    events = [b"%d %s" % (number, b"x" * 300_000) for number in range(40)]
    parts: list[list[bytes]] = []

    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW, relay=lambda some: parts.append(list(some)))
        for event in events:
            quotas.tell(event)
        await quotas.close()

    asyncio.run(run())
    assert [event for part in parts for event in part] == events
    assert max(sum(map(len, part)) for part in parts) <= 4 << 20


def test_a_hold_is_in_the_file_when_it_is_granted(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        held = await quotas.hold(ask("a"), NOW)
        assert isinstance(held, Held)
        assert in_file(tmp_path / "q.db", "SELECT id, state FROM holds") == [("a", 0)]
        await quotas.close()

    asyncio.run(run())


def test_nobody_else_reads_the_file(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        await quotas.hold(ask("a"), NOW)
        modes = {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
        await quotas.close()
        assert modes == dict.fromkeys(("q.db", "q.db-wal", "q.db-shm", "q.db.lock"), 0o600)

    asyncio.run(run())


def test_the_next_process_goes_on_with_what_was_spent_and_held(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        await quotas.hold(ask("a", 30), NOW)
        await quotas.hold(ask("b", 40), NOW)
        assert quotas.settle("a", {"tokens": 12}, NOW)
        assert not quotas.settle("a", {"tokens": 12}, NOW)
        await quotas.close()
        again = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        assert await standing(again) == (12, 40)
        assert [(one.held.id, one.state) for one in await again.unsettled()] == [("b", "left")]
        assert again.settle("b", {"tokens": 3}, NOW)
        await again.close()
        third = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        assert await standing(third) == (15, 0)
        await third.close()

    asyncio.run(run())


def test_a_hold_that_ran_out_while_nobody_was_there_is_charged_and_told(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        await quotas.hold(ask("a", 30), NOW)
        await quotas.close()
        told: list[bytes] = []
        later = NOW + 900_000
        again = EmbeddedQuotas(
            tmp_path / "q.db", QUOTAS, now=later, relay=told.extend, ran_out=lambda held: held.id.encode()
        )
        assert await standing(again, later) == (30, 0)
        assert again.settle("a", {"tokens": 4}, later, b"late"), "the settlement can still come"
        assert await standing(again, later) == (4, 0)
        await again.close()
        assert told == [b"a", b"late"]
        third = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=later)
        assert await standing(third, later) == (4, 0)
        await third.close()

    asyncio.run(run())


def test_events_wait_for_who_takes_them_and_arrive_in_their_order(tmp_path: Path) -> None:
    told: list[bytes] = []
    refusing = True

    def relay(events: Sequence[bytes]) -> None:
        if refusing:
            raise SpoolError("is full.")
        told.extend(events)

    async def run() -> None:
        nonlocal refusing
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW, relay=relay)
        for number in range(5):
            await quotas.hold(ask(str(number)), NOW)
            quotas.settle(str(number), {"tokens": 1}, NOW, str(number).encode())
        await quotas.close()
        assert told == []
        kept = in_file(tmp_path / "q.db", "SELECT CAST(lines AS TEXT) FROM events ORDER BY number")
        assert "\n".join(str(lines) for (lines,) in kept) == "0\n1\n2\n3\n4"
        refusing = False
        again = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW, relay=relay)
        again.tell(b"5")
        await again.close()
        assert told == [b"0", b"1", b"2", b"3", b"4", b"5"]
        assert in_file(tmp_path / "q.db", "SELECT * FROM events") == []

    asyncio.run(run())


def test_a_cancelled_call_leaves_no_hold(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        call = asyncio.create_task(quotas.hold(ask("a"), NOW))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await standing(quotas) == (0, 0)
        await quotas.close()
        assert in_file(tmp_path / "q.db", "SELECT * FROM holds") == []

    asyncio.run(run())


def test_a_call_is_not_let_through_when_its_hold_can_not_be_kept(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        await quotas.hold(ask("a"), NOW)
        other = sqlite3.connect(tmp_path / "q.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")  # the disk does not take it
        quotas.settle("a", {"tokens": 3}, NOW, b"settled meanwhile")
        denied = await quotas.hold(ask("b"), NOW)
        assert isinstance(denied, Denied)
        assert denied.reason == "unavailable"
        assert quotas.wrong is not None
        assert await standing(quotas) == (3, 0)
        other.execute("COMMIT")
        other.close()
        assert isinstance(await quotas.hold(ask("c"), NOW), Held)
        await quotas.close()
        assert in_file(tmp_path / "q.db", "SELECT id FROM holds") == [("c",)]
        assert in_file(tmp_path / "q.db", "SELECT lines FROM events") == [(b"settled meanwhile",)]

    asyncio.run(run())


def test_a_full_disk_refuses_calls_keeps_what_was_settled_and_is_well_again_when_there_is_room(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", (replace(QUOTA, limit=parse_limit("9M tokens/day")),), now=NOW)
        await quotas.hold(ask("a"), NOW)
        database = quotas._journal._database
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count={pages}")  # SQLite says of it what it says of a full disk
        quotas.settle("a", {"tokens": 3}, NOW, b"x" * 50_000)
        denied = await quotas.hold(ask("b"), NOW)
        assert isinstance(denied, Denied)
        assert (denied.reason, "full" in denied.why, "full" in str(quotas.wrong)) == ("unavailable", True, True)
        assert (await quotas.standings(NOW))[0].spent == 3
        assert in_file(tmp_path / "q.db", "SELECT id FROM holds") == [("a",)], "on the disk it counts at its bound"
        database.execute("PRAGMA max_page_count=1000000")
        assert isinstance(await quotas.hold(ask("c"), NOW), Held)
        assert quotas.wrong is None
        await quotas.close()
        assert in_file(tmp_path / "q.db", "SELECT id FROM holds") == [("c",)]
        assert in_file(tmp_path / "q.db", "SELECT length(lines) FROM events") == [(50_000,)]

    asyncio.run(run())


def test_a_lowered_limit_denies_until_its_window_ends(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", (QUOTA,), now=NOW)
        await quotas.hold(ask("a", 60), NOW)
        await quotas.hold(ask("b", 30), NOW)
        quotas.settle("a", {"tokens": 60}, NOW)
        await quotas.close()
        lower = EmbeddedQuotas(tmp_path / "q.db", (replace(QUOTA, limit=parse_limit("50 tokens/day")),), now=NOW)
        assert await standing(lower) == (60, 30)
        denied = await lower.hold(ask("c", 1), NOW)
        assert isinstance(denied, Denied)
        assert denied.resets == (NOW // 86_400_000 + 1) * 86_400_000
        assert isinstance(await lower.hold(ask("d", 50), denied.resets), Held)
        await lower.close()

    asyncio.run(run())


def test_a_stop_holds_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        await quotas.stop(Stop("s", Scope.of({"team": "search"}), "runaway"))
        await quotas.close()
        again = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        assert isinstance(await again.hold(ask("a"), NOW), Denied)
        assert isinstance(await again.hold(ask("b", team="ads"), NOW), Held)
        assert await again.resume("s")
        assert not await again.resume("s")
        await again.close()
        third = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        assert isinstance(await third.hold(ask("c"), NOW), Held)
        await third.close()

    asyncio.run(run())


def test_one_process_at_a_time_holds_in_a_file(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        with pytest.raises(SpoolError, match="holds money in it already"):
            EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        await quotas.close()

    asyncio.run(run())


def test_what_is_no_state_of_a_gateway_says_so(tmp_path: Path) -> None:
    (tmp_path / "q.db").write_text("not a database, but long enough to be looked at" * 10)
    with pytest.raises(LedgerError, match="can't be opened"):
        EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)


@pytest.mark.parametrize("place", ["file/q.db", "file/deeper/q.db"])
def test_a_place_that_can_not_be_written_says_so(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((LedgerError, SpoolError), match="can't be"):
        EmbeddedQuotas(tmp_path / place, QUOTAS, now=NOW)


def test_old_counts_leave_the_file(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", QUOTAS, now=NOW)
        await quotas.hold(ask("a"), NOW)
        quotas.settle("a", {"tokens": 3}, NOW)
        await quotas.sweep(NOW + 2 * 86_400_000)
        await quotas.close()
        assert in_file(tmp_path / "q.db", "SELECT * FROM spent") == []

    asyncio.run(run())


@pytest.mark.slow
def test_killed_at_any_instant_no_spend_is_lost_and_no_hold_leaks(tmp_path: Path) -> None:
    """What was sent is there after it: at what it used if that was settled on the disk, else at its bound."""
    path = tmp_path / "q.db"
    sent: set[str] = set()
    events: list[bytes] = []
    settled: set[str] = set()
    for turn in range(4):
        command = [sys.executable, "-m", "tests.operate.quotas.killed", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(0.9 + 0.17 * turn)
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        turn_sent = {
            line.split()[1]
            for line in out.splitlines()
            if line.startswith("sent ")
            and line.endswith(tuple("0123456789"))
            and len(line) == len("sent client0-000000")
        }
        assert turn_sent, "nothing was sent before it was killed"
        sent |= {f"{turn}:{id}" for id in turn_sent}

        async def look(turn: int = turn, turn_sent: set[str] = turn_sent) -> None:
            quotas = EmbeddedQuotas(path, killed.QUOTAS, now=NOW, relay=events.extend)
            under_way = {id for (id,) in in_file(path, "SELECT id FROM holds")}
            await asyncio.to_thread(quotas._journal.flush, 10)
            (spent, held) = await standing(quotas)
            assert held == 7 * len(under_way)
            for id in under_way:
                quotas.settle(str(id), {}, NOW)  # reconciled: the provider says that it was not billed
            await quotas.close()
            told = {json.loads(event)["id"] for event in events[len(settled) :]}
            assert len(told) == len(events) - len(settled), "an event came twice"
            settled.update(f"{turn}:{id}" for id in told)
            assert spent == 5 * len(settled)
            assert turn_sent <= told | under_way, "a call was sent of which nothing is known"

        asyncio.run(look())
