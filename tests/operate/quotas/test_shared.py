"""Quotas that several gateways share: never over between them, closed while Redis is away, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from outlay.errors import ConfigError, LedgerError
from outlay.operate.quotas.ask import Ask, Denied, Held
from outlay.operate.quotas.book import Stop
from outlay.operate.quotas.embedded import EmbeddedQuotas
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope
from outlay.operate.quotas.shared import SharedQuotas
from tests.operate.quotas import shared_client
from tests.operate.quotas.redis_server import RedisServer

DAY = 86_400_000
NOW = shared_client.NOW
QUOTA = Quota("q", Scope(), parse_limit("1000 tokens/day"))
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
EACH = Quota("each", Scope.of({"key": "*"}), parse_limit("1000 tokens/minute"))


def ask(id: str, tokens: int = 10, *, lives: int = 900_000, key: str = "k") -> Ask:
    return Ask(id, {"team": "search", "key": key}, {"tokens": tokens}, lives=lives)


async def standing(quotas: SharedQuotas, now: int = NOW) -> tuple[int, int]:
    (one,) = [one for one in await quotas.standings(now) if one.quota.id == "q"]
    return one.spent, one.held


def is_wrong(quotas: SharedQuotas) -> bool:
    return quotas.wrong is not None


async def sent(quotas: SharedQuotas, seconds: float = 20) -> None:
    """Until Redis has taken all that was settled."""
    async with asyncio.timeout(seconds):
        while len(quotas._outbox):
            await asyncio.sleep(0.005)


async def held_again(quotas: SharedQuotas, ids: Iterator[str]) -> Held:
    """The first hold that goes through: whoever asks again finds Redis again."""
    async with asyncio.timeout(20):
        while not isinstance(found := await quotas.hold(ask(next(ids)), NOW), Held):
            await asyncio.sleep(0.05)
    return found


def numbered(name: str) -> Iterator[str]:
    return (f"{name}{number}" for number in range(100_000))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed."""
    server = RedisServer()
    yield server
    server.signal(signal.SIGCONT)
    server.stop()


def run(
    check: Callable[[SharedQuotas], Awaitable[None]], url: str, path: Path, *quotas: Quota, patience: float = 20
) -> None:
    async def opened() -> None:
        found = SharedQuotas(url, path, quotas or (QUOTA,), patience=patience)
        try:
            await check(found)
        finally:
            await found.close()

    asyncio.run(opened())


def test_replicas_that_hammer_at_once_never_pass_a_limit_and_settle_to_the_last_unit(
    redis: RedisServer, tmp_path: Path
) -> None:
    quotas = (
        Quota("q", Scope(), parse_limit("3_000 tokens/day")),
        Quota("each", Scope.of({"key": "*"}), parse_limit("900 tokens/minute")),
        Quota("usd", Scope(), parse_limit("0.02 USD/day")),
    )
    limits = {quota.id: quota.limit.amount for quota in quotas}
    counted: dict[str, int] = {}
    admitted = denied = 0
    random_ = random.Random(7)

    async def client(replica: SharedQuotas, name: str) -> None:
        nonlocal admitted, denied
        for number in range(12):
            id, key = f"{name}-{number}", f"k{random_.randrange(4)}"
            rate = {"tokens": 1, "USD": 7 * 10**12 + 1}
            asked = Ask(id, {"key": key}, {"tokens": 3, "USD": 10**12}, rate, random_.randrange(90), 0)
            found = await replica.hold(asked, NOW)
            if isinstance(found, Denied):
                assert found.reason == "limit"
                denied += 1
                continue
            admitted += 1
            counted[id] = found.bound["tokens"]
            await asyncio.sleep(random_.random() / 100)
            if random_.random() < 0.1:
                continue  # nobody settles it: it counts at its bound
            share = random_.randrange(101)
            amounts = {measure: amount * share // 100 for measure, amount in found.bound.items()}
            assert replica.settle(id, amounts, NOW)
            counted[id] = amounts["tokens"]

    async def watch(replica: SharedQuotas) -> None:
        while True:
            for one in await replica.standings(NOW):
                assert one.spent + one.held <= limits[one.quota.id]
            await asyncio.sleep(0.002)

    async def hammer() -> None:
        replicas = [SharedQuotas(redis.url, tmp_path / f"{n}.db", quotas, patience=20) for n in range(3)]
        watching = asyncio.create_task(watch(replicas[0]))
        await asyncio.gather(*(client(replicas[n % 3], f"client{n}") for n in range(64)))
        assert not watching.done(), "a limit was passed"
        watching.cancel()
        for replica in replicas:
            await sent(replica)
        later = NOW + 900_000
        await asyncio.gather(*(replica.sweep(later) for replica in replicas))
        assert await standing(replicas[1], later) == (sum(counted.values()), 0)
        for replica in replicas:
            await replica.close()

    asyncio.run(hammer())
    assert admitted > 60
    assert denied > 60


def test_while_redis_is_away_nothing_goes_and_settlements_wait_and_arrive(server: RedisServer, tmp_path: Path) -> None:
    events: list[bytes] = []

    async def check() -> None:
        quotas = SharedQuotas(server.url, tmp_path / "q.db", (QUOTA,), relay=events.extend)
        assert isinstance(await quotas.hold(ask("a", 30), NOW), Held)
        assert isinstance(await quotas.hold(ask("b", 40), NOW), Held)
        server.kill()
        started = time.monotonic()
        denied = await quotas.hold(ask("c"), NOW)
        assert time.monotonic() - started < 3
        assert isinstance(denied, Denied)
        assert denied.reason == "unavailable"
        assert is_wrong(quotas)
        assert quotas.settle("a", {"tokens": 12}, NOW, b"settled while Redis is away")
        with pytest.raises(LedgerError, match="Is Redis running"):
            await quotas.standings(NOW)
        with pytest.raises(LedgerError):
            await quotas.stop(Stop("s", Scope()))
        await quotas.sweep(NOW)
        started = time.monotonic()
        for id in ("d", "e", "f"):
            assert isinstance(await quotas.hold(ask(id), NOW), Denied)
        assert time.monotonic() - started < 1, "while it is known to be away no call waits"
        server.start()
        found = await held_again(quotas, numbered("g"))
        assert not is_wrong(quotas)
        await sent(quotas)
        assert await standing(quotas) == (12, 40 + found.bound["tokens"])
        await quotas.close()

    asyncio.run(check())
    assert events == [b"settled while Redis is away"]


def test_what_was_settled_while_redis_was_away_arrives_after_a_restart_of_the_gateway(
    server: RedisServer, tmp_path: Path
) -> None:
    async def first() -> None:
        quotas = SharedQuotas(server.url, tmp_path / "q.db", (QUOTA,))
        await quotas.hold(ask("a", 30), NOW)
        server.kill()
        quotas.settle("a", {"tokens": 12}, NOW)
        await quotas.close()

    async def second(quotas: SharedQuotas) -> None:
        await quotas.sweep(NOW)
        await sent(quotas)
        assert await standing(quotas) == (12, 0)

    asyncio.run(first())
    server.start()
    run(second, server.url, tmp_path / "q.db")


def test_an_attempt_whose_answer_never_came_is_withdrawn_before_or_after_redis_comes_to_it(
    server: RedisServer, tmp_path: Path
) -> None:
    async def check(quotas: SharedQuotas) -> None:
        assert isinstance(await quotas.hold(ask("a"), NOW), Held)
        server.signal(signal.SIGSTOP)  # what is sent from here on waits in its socket
        denied = await quotas.hold(ask("b", 500), NOW)
        assert isinstance(denied, Denied)
        assert denied.reason == "unavailable"
        assert isinstance(await quotas.hold(ask("b", 500), NOW), Denied), "not before the first is withdrawn"
        server.signal(signal.SIGCONT)
        found = await held_again(quotas, numbered("c"))
        await sent(quotas)
        assert await standing(quotas) == (0, 10 + found.bound["tokens"])
        assert isinstance(await quotas.hold(ask("b", 500), NOW), Held), "another attempt is another"
        assert await standing(quotas) == (0, 510 + found.bound["tokens"])

    run(check, server.url, tmp_path / "q.db", patience=0.3)


def test_a_withdrawal_that_comes_first_keeps_its_hold_from_being_made(redis: RedisServer, tmp_path: Path) -> None:
    async def check(quotas: SharedQuotas) -> None:
        quotas._withdraw("a", "attempt", NOW)
        await sent(quotas)
        assert isinstance(await quotas._held(ask("a"), "attempt", NOW), Denied)
        assert await standing(quotas) == (0, 0)
        quotas._withdraw("a", "second", NOW)
        await sent(quotas)
        assert isinstance(await quotas._held(ask("a"), "second", NOW), Denied)
        assert isinstance(await quotas.hold(ask("a"), NOW), Held)

    run(check, redis.url, tmp_path / "q.db")


@pytest.mark.slow
def test_a_gateway_killed_at_any_instant_loses_no_settlement_and_leaks_no_hold(
    redis: RedisServer, tmp_path: Path
) -> None:
    """What it sent is there: at what it used if that was on its disk, else, when its time is over, at its bound."""
    path = tmp_path / "q.db"
    sent_, settled, events = set[str](), set[str](), list[bytes]()
    module = "tests.operate.quotas.shared_client"
    for turn in range(3):
        command = [sys.executable, "-m", module, redis.url, str(path), str(turn)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.4 + 0.21 * turn)
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        lines = (first + out).splitlines(keepends=True)
        sent_ |= {line.split()[1] for line in lines if line.endswith("\n")}
        assert len(sent_) > 8

    ran_out: set[str] = set()

    async def look() -> None:
        quotas = SharedQuotas(
            redis.url, path, shared_client.QUOTAS, relay=events.extend, ran_out=lambda held: ran_out.add(held.id)
        )
        await quotas.sweep(NOW)
        await sent(quotas)
        spent, held = await standing(quotas)
        await quotas.sweep(NOW + 900_000)
        assert await standing(quotas, NOW + 900_000) == (spent + held, 0)
        await quotas.close()
        settled.update(json.loads(event)["id"] for event in events)
        assert len(settled) == len(events), "an event came twice"
        assert spent == 5 * len(settled)
        assert held == 7 * len(ran_out)

    asyncio.run(look())
    assert sent_ <= settled | ran_out, "a call was sent of which nothing is known"
    assert not settled & ran_out


def test_a_hold_that_ran_out_is_told_by_another_gateway_if_the_first_did_not_keep_it(
    redis: RedisServer, tmp_path: Path
) -> None:
    told: list[bytes] = []
    later = NOW + 900_000

    def gateway(name: str) -> SharedQuotas:
        path = tmp_path / name
        return SharedQuotas(
            redis.url, path, (QUOTA,), relay=told.extend, ran_out=lambda held: f"{name}: {held.id}".encode()
        )

    async def check() -> None:
        first, second = gateway("first"), gateway("second")
        await first.hold(ask("a"), NOW)

        async def never_kept() -> str:
            return "the disk is full"

        first._outbox.kept = never_kept  # type: ignore[method-assign]
        first._outbox.tell = lambda event: None  # type: ignore[method-assign]
        await first.sweep(later)
        await second.sweep(later + 59_999)
        assert await standing(second, later) == (10, 0)
        await second.sweep(later + 60_000)
        await second.sweep(later + 180_000)
        await first.close()
        await second.close()

    asyncio.run(check())
    assert told == [b"second: a"]


def test_a_stop_is_obeyed_by_every_gateway_at_once_and_while_redis_is_away(server: RedisServer, tmp_path: Path) -> None:
    async def check() -> None:
        first, second = (SharedQuotas(server.url, tmp_path / name, (QUOTA,)) for name in ("1", "2"))
        assert isinstance(await second.hold(ask("a"), NOW), Held)
        await first.stop(Stop("s", Scope.of({"team": "search"})))
        await second.stop(Stop("t", Scope.of({"team": "ads"})))
        assert isinstance(denied := await second.hold(ask("b"), NOW), Denied)
        assert (denied.reason, denied.quota) == ("stopped", "s")
        assert isinstance(await second.hold(ask("a"), NOW), Held), "a hold that was made before goes on"
        assert list(await first.stops()) == ["s", "t"]
        server.kill()
        assert isinstance(denied := await second.hold(ask("c"), NOW), Denied)
        assert denied.reason == "stopped"
        server.start()
        await held_again_or_stopped(second)
        assert await first.resume("s")
        assert isinstance(await second.hold(ask("d"), NOW), Held)
        await first.close()
        await second.close()

    async def held_again_or_stopped(quotas: SharedQuotas) -> None:
        async with asyncio.timeout(20):
            while is_wrong(quotas):
                await quotas.sweep(NOW)
                await asyncio.sleep(0.05)

    asyncio.run(check())


def test_a_gateway_whose_clock_is_behind_counts_in_the_newest_window(redis: RedisServer, tmp_path: Path) -> None:
    async def check(quotas: SharedQuotas) -> None:
        midnight = (NOW // DAY + 1) * DAY
        await quotas.hold(ask("yesterday", 900), midnight - 10)
        await quotas.hold(ask("ahead", 600), midnight)
        denied = await quotas.hold(ask("behind", 600), midnight - 5)
        assert isinstance(denied, Denied)
        assert isinstance(await quotas.hold(ask("fits", 400), midnight - 5), Held)
        assert await standing(quotas, midnight) == (0, 1000)
        quotas.settle("fits", {"tokens": 1}, midnight - 4)
        await sent(quotas)
        assert await standing(quotas, midnight + 1) == (1, 600)

    run(check, redis.url, tmp_path / "q.db")


def test_a_redis_that_forgot_the_scripts_is_told_them_again(redis: RedisServer, tmp_path: Path) -> None:
    async def check(quotas: SharedQuotas) -> None:
        await quotas.hold(ask("a"), NOW)
        redis.command("SCRIPT", "FLUSH")
        assert isinstance(await quotas.hold(ask("b"), NOW), Held)

    run(check, redis.url, tmp_path / "q.db")


def test_nothing_stays_in_redis_when_windows_and_holds_are_over(redis: RedisServer, tmp_path: Path) -> None:
    async def check(quotas: SharedQuotas) -> None:
        for number in range(50):
            await quotas.hold(ask(str(number), 1, key=f"k{number}"), NOW)
            if number:
                quotas.settle(str(number), {"tokens": 1}, NOW)
        await sent(quotas)
        assert redis.command("DBSIZE") == b":55"  # 50 keys and the day, the hold, its expiry, the index, the name
        assert 120_000 < int(redis.command("PTTL", f"{{outlay}}:count:{EACH.identity}|k7")[1:]) <= 121_000 + 10_000
        await quotas.sweep(NOW + 900_000)
        await quotas.sweep(NOW + 2 * DAY)
        assert redis.command("ZCARD", "{outlay}:counts") == b":0"
        assert redis.command("ZCARD", "{outlay}:expiries") == b":0"
        assert redis.command("ZCARD", "{outlay}:ran-out") == b":0"
        assert 34 * DAY < int(redis.command("PTTL", "{outlay}:hold:0")[1:]) <= 35 * DAY
        assert await standing(quotas, NOW + 2 * DAY) == (0, 0)

    run(check, redis.url, tmp_path / "q.db", EACH, QUOTA)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (ALWAYS, None),
        (("--appendonly", "yes"), "appendfsync everysec"),
        (("--appendonly", "no"), "set appendonly yes"),
        ((*ALWAYS, "--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru"), "volatile-lru"),
    ],
)
def test_what_the_settings_of_redis_leave_to_luck_is_said(
    options: tuple[str, ...], says: str | None, tmp_path: Path
) -> None:
    server = RedisServer(*options)

    async def check(quotas: SharedQuotas) -> None:
        assert isinstance(await quotas.hold(ask("a"), NOW), Held)
        assert quotas.caution is None if says is None else says in (quotas.caution or "")

    try:
        run(check, server.url, tmp_path / "q.db")
    finally:
        server.stop()


def test_a_redis_that_lost_its_data_is_told_apart_from_one_that_was_away(tmp_path: Path) -> None:
    server = RedisServer("--appendonly", "no")

    async def check(quotas: SharedQuotas) -> None:
        await quotas.hold(ask("a"), NOW)
        server.kill()
        server.start()
        await held_again(quotas, numbered("b"))
        assert "it has lost its data" in (quotas.caution or "")

    try:
        run(check, server.url, tmp_path / "q.db")
    finally:
        server.stop()


def test_a_redis_killed_and_started_again_has_every_hold_that_was_granted(server: RedisServer, tmp_path: Path) -> None:
    async def check(quotas: SharedQuotas) -> None:
        granted: list[Held] = []

        async def client(name: str) -> None:
            for number in range(1_000):
                found = await quotas.hold(ask(f"{name}-{number}", 1), NOW)
                if isinstance(found, Denied):
                    return
                granted.append(found)

        clients = asyncio.gather(*(client(f"client{n}") for n in range(8)))
        while len(granted) < 100:
            await asyncio.sleep(0.001)
        server.kill()
        await clients
        server.start()
        await held_again(quotas, numbered("z"))
        await sent(quotas)
        assert await standing(quotas) == (0, len(granted) + 10)

    run(check, server.url, tmp_path / "q.db", Quota("q", Scope(), parse_limit("1M tokens/day")))


def test_a_disk_that_takes_no_settlement_lets_no_call_through(redis: RedisServer, tmp_path: Path) -> None:
    async def check(quotas: SharedQuotas) -> None:
        await quotas.hold(ask("a"), NOW)
        kept = quotas._outbox.kept

        async def full() -> str | None:
            quotas._outbox.not_kept = "the disk is full"
            return "the disk is full"

        quotas._outbox.kept = full  # type: ignore[method-assign]
        quotas.settle("a", {"tokens": 3}, NOW)
        await asyncio.sleep(0.05)
        denied = await quotas.hold(ask("b"), NOW)
        assert isinstance(denied, Denied)
        assert "the disk is full" in denied.why
        assert quotas.wrong == "the disk is full"
        assert await standing(quotas) == (0, 10), "Redis hears of nothing that is not on the disk"
        quotas._outbox.kept = kept  # type: ignore[method-assign]
        await sent(quotas)
        assert await standing(quotas) == (3, 0)

    run(check, redis.url, tmp_path / "q.db")


def test_over_tcp_with_a_password_that_is_never_told(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = RedisServer("--port", str(port))
    server.command("CONFIG", "SET", "requirepass", "hush-hush")

    async def right(quotas: SharedQuotas) -> None:
        assert isinstance(await quotas.hold(ask("a"), NOW), Held)

    async def wrong(quotas: SharedQuotas) -> None:
        denied = await quotas.hold(ask("b"), NOW)
        assert isinstance(denied, Denied)
        assert denied.reason == "unavailable"
        assert "hush" not in denied.why + (quotas.wrong or "")

    try:
        run(right, f"redis://:hush-hush@127.0.0.1:{port}/0", tmp_path / "1.db")
        run(wrong, f"redis://:hush@127.0.0.1:{port}/0", tmp_path / "2.db")
    finally:
        server.stop()


def test_a_host_that_answers_nothing_costs_each_call_a_bounded_time(tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()

        async def check(quotas: SharedQuotas) -> None:
            started = time.monotonic()
            found = await asyncio.gather(*(quotas.hold(ask(str(number)), NOW) for number in range(10)))
            assert time.monotonic() - started < 1
            assert {one.reason for one in found if isinstance(one, Denied)} == {"unavailable"}

        run(check, f"redis://127.0.0.1:{deaf.getsockname()[1]}/0", tmp_path / "q.db", patience=0.3)


@pytest.mark.parametrize(
    ("url", "quota", "prefix", "says"),
    [
        ("http://localhost", QUOTA, "outlay", "no Redis can be called by it"),
        ("redis://localhost?what=else", QUOTA, "outlay", "no Redis can be called by it"),
        ("redis://localhost", QUOTA, "a b", "can't begin the keys"),
        ("redis://localhost", Quota("q", Scope(), parse_limit("1_000_000_001 USD/day")), "outlay", "count exactly"),
    ],
)
def test_what_can_not_be_used_says_so(url: str, quota: Quota, prefix: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        SharedQuotas(url, tmp_path / "q.db", (quota,), prefix=prefix)
    assert not (tmp_path / "q.db").exists()


def test_the_journal_of_quotas_that_were_not_shared_is_left_alone(redis: RedisServer, tmp_path: Path) -> None:
    async def embedded() -> None:
        quotas = EmbeddedQuotas(tmp_path / "q.db", (QUOTA,), now=NOW)
        await quotas.hold(ask("a"), NOW)
        await quotas.close()

    asyncio.run(embedded())
    with pytest.raises(LedgerError, match="not shared"):
        SharedQuotas(redis.url, tmp_path / "q.db", (QUOTA,))
