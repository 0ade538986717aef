"""A gateway's process that holds and settles as fast as it can and writes down what was sent, to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from outlay.operate.quotas.ask import Ask, Held
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope
from outlay.operate.quotas.shared import SharedQuotas

NOW = 20_000 * 86_400_000
QUOTAS = (Quota("q", Scope(), parse_limit("1B tokens/day")),)


async def _client(quotas: SharedQuotas, name: str) -> None:
    for number in range(1_000_000):
        id = f"{name}-{number:06d}"
        held = await quotas.hold(Ask(id, {}, {"tokens": 7}), NOW)
        assert isinstance(held, Held), held
        print(f"sent {id}", flush=True)  # the call goes out here: Redis has the hold
        if number % 3:
            quotas.settle(id, {"tokens": 5}, NOW, f'{{"id": "{id}"}}'.encode())
        await asyncio.sleep(0)


async def _run(url: str, path: Path, turn: str) -> None:
    quotas = SharedQuotas(url, path, QUOTAS, patience=10)
    await asyncio.gather(*(_client(quotas, f"{turn}-{number}") for number in range(8)))


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
