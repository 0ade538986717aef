"""A process that holds and settles as fast as it can and writes down what it knows to be safe, to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from outlay.operate.quotas.ask import Ask, Held
from outlay.operate.quotas.embedded import EmbeddedQuotas
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope

NOW = 20_000 * 86_400_000
QUOTAS = (Quota("q", Scope(), parse_limit("1B tokens/day")),)


async def _client(quotas: EmbeddedQuotas, name: str) -> None:
    for number in range(1_000_000):
        id = f"{name}-{number:06d}"
        held = await quotas.hold(Ask(id, {}, {"tokens": 7}), NOW)
        assert isinstance(held, Held)
        print(f"sent {id}", flush=True)  # the call goes out here: the hold is on the disk
        if number % 3:
            quotas.settle(id, {"tokens": 5}, NOW, f'{{"id": "{id}"}}'.encode())
        await asyncio.sleep(0)


async def _run(path: Path) -> None:
    quotas = EmbeddedQuotas(path, QUOTAS, now=NOW)
    await asyncio.gather(*(_client(quotas, f"client{number}") for number in range(8)))


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
