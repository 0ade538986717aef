"""A call leaves nothing for the search for garbage, which halts every other call while it looks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateway.harness import KEY, Harness, gateway

_CALLS = 20
_BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "temperature": 0,
    "messages": [{"role": "user", "content": "Tell me about the weather in Oslo."}],
}


@contextmanager
def _kept_garbage() -> Iterator[Callable[[], list[Any]]]:
    """What only a search for garbage would have found, since the block began."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)

    def found() -> list[Any]:
        gc.collect()
        return list(gc.garbage)

    try:
        yield found
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def _ask(session: aiohttp.ClientSession, gate: Harness, number: int, **more: Any) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    body = {**_BODY, **more, "user": str(number)}
    async with session.post(f"{gate.url}/v1/chat/completions", json=body, headers=headers) as response:
        assert response.status == 200
        await response.read()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cache": {"seconds": 60}},
        {"routes": [{"id": "small", "model": "gpt-4o", "to": "gpt-4o-mini"}]},
    ],
    ids=["plain", "cache", "rules"],
)
def test_a_call_leaves_no_garbage(tmp_path: Path, settings: dict[str, Any], *, stream: bool) -> None:
    assert asyncio.run(_left(tmp_path, settings, stream=stream)) == []


async def _left(folder: Path, settings: dict[str, Any], *, stream: bool) -> list[str]:
    quotas = [{"id": "usd", "limit": "50 USD/day"}]
    async with gateway(folder, "openai", quotas=quotas, **settings) as gate, aiohttp.ClientSession() as session:
        await _ask(session, gate, 0, stream=stream, model="gpt-4o")
        with _kept_garbage() as garbage:
            for number in range(_CALLS):
                await _ask(session, gate, number, stream=stream, model="gpt-4o")
            found = [type(one).__qualname__ for one in garbage() if type(one).__module__.startswith("outlay")]
        await gate.told(_CALLS + 1)
    return found
