"""A gateway in front of pretended providers, as the command runs it, within a test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai

from outlay.config import Settings
from outlay.config.gateway import GatewaySettings, QuotaSettings, UpstreamSettings
from outlay.gateway.callers import Caller
from outlay.gateway.run import Running, Serving, running
from outlay.operate.quotas.declared import quotas_of
from outlay.prices.tokens import TokenPrices
from outlay.receivers.taking_up import Work
from outlay.spool.reader import sealed
from outlay.spool.segments import OPEN, Record, read_records, segments
from tests.gateway.upstreams import Upstream, upstream

__all__ = ["KEY", "PEER_SECRET", "TAGS", "Harness", "Keys", "gateway", "until"]

KEY = "olk-test-key"
TAGS = {"team": "search", "use_case": "chat", "environment": "prod"}
PEER_SECRET = "a-secret-of-the-gateways"
PRICES = TokenPrices()


class Keys:
    """Callers by their secrets."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = callers

    def find(self, secret: str) -> Caller | str:
        """The caller of a secret."""
        return self._callers.get(secret, "this key is not known. Ask whoever runs the gateway for one.")


@dataclass
class Harness:
    """The gateway, the providers behind it, and what it told the ledger."""

    running: Running
    upstreams: dict[str, Upstream]
    spool: Path
    folder: Path
    url: str = ""
    clients: list[Any] = field(default_factory=list)

    def openai(self, key: str = KEY, **options: Any) -> openai.AsyncOpenAI:
        """OpenAI's own client against the gateway."""
        client = openai.AsyncOpenAI(api_key=key, base_url=f"{self.url}/v1", max_retries=0, **options)
        self.clients.append(client)
        return client

    def anthropic(self, key: str = KEY, **options: Any) -> anthropic.AsyncAnthropic:
        """Anthropic's own client against the gateway."""
        client = anthropic.AsyncAnthropic(api_key=key, base_url=self.url, max_retries=0, **options)
        self.clients.append(client)
        return client

    def events(self) -> list[dict[str, Any]]:
        """The events of calls that are in the spool, in their order; those of denied calls are left out."""
        paths = [one.path for one in sealed(self.spool)] + segments(self.spool, OPEN)
        records = [one for path in paths for one in read_records(path) if isinstance(one, Record)]
        events = [json.loads(line) for record in records for line in record.body.splitlines()]
        return [event for event in events if "kind" not in event]

    @asynccontextmanager
    async def peer(self, secret: str = PEER_SECRET) -> AsyncIterator[aiohttp.ClientSession]:
        """Another gateway, at the port for such."""
        headers = {"x-outlay-peer": secret}
        connections = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            f"http://{self.running.at.peers}", headers=headers, connector=connections
        ) as session:
            yield session

    async def told(self, number: int) -> list[dict[str, Any]]:
        """The first ``number`` events; waits for them."""
        found: list[dict[str, Any]] = await until(lambda: one if len(one := self.events()) >= number else None)
        return found

    async def standing(self, quota: str) -> tuple[int, int]:
        """What is spent and held of a quota."""
        from outlay.gateway.run import clock

        (one,) = [one for one in await self.running.quotas.standings(clock()) if one.quota.id == quota]
        return one.spent, one.held


async def until(look: Callable[[], Any], seconds: float = 10) -> Any:
    """What ``look`` finds once it finds something."""
    for _ in range(int(seconds / 0.02)):
        if found := look():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come")


@asynccontextmanager
async def gateway(
    folder: Path,
    *providers: str,
    quotas: Sequence[Mapping[str, Any]] = (),
    upstreams: Mapping[str, Mapping[str, Any]] | None = None,
    callers: Mapping[str, Caller] | None = None,
    environment: Mapping[str, str] | None = None,
    ledger: Path | None = None,
    **settings: Any,
) -> AsyncIterator[Harness]:
    """A gateway with one pretended upstream a provider; ``upstreams`` has more settings of each.

    Its events go into ``ledger`` where there is one.
    """
    async with AsyncExitStack() as stack:
        running_upstreams: dict[str, Upstream] = {}
        entries = []
        for name in providers:
            provider = name.partition("-")[0]
            one = running_upstreams[name] = upstream(provider)
            await one.start()
            stack.push_async_callback(one.stop)
            paths = {"openai": "/v1", "compatible": "/v1", "anthropic": "/v1", "azure": "/openai", "gemini": "/v1beta"}
            more = {
                "api_key_env": f"SECRET_{name}",
                "models": ["*"],
                "base_url": one.url + paths.get(provider, ""),
                **(upstreams or {}).get(name, {}),
            }
            entries.append(
                UpstreamSettings(
                    id=name,
                    provider="openai-compatible" if provider == "compatible" else provider,
                    **more,
                )
            )
        listening = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}
        chosen = GatewaySettings(upstreams=tuple(entries), **{**listening, **settings})
        serving = Serving(
            chosen,
            quotas_of([QuotaSettings.model_validate(one) for one in quotas]),
            ("team",) if chosen.required_tags is None else chosen.required_tags,
            folder,
            folder / "spool",
            {f"SECRET_{name}": one.secret for name, one in running_upstreams.items()}
            | {"OUTLAY_PEERS_SECRET": PEER_SECRET, **(environment or {})},
            relay_every=0.02,
            take_up=Work(ledger, Settings(), 0.1, folder / "spool", "outlay gateway") if ledger else None,
        )
        keys = Keys(callers or {KEY: Caller("key-1", TAGS)})
        now = await stack.enter_async_context(running(serving, PRICES, keys))
        harness = Harness(now, running_upstreams, serving.spool, folder, f"http://{now.at.calls}")
        try:
            yield harness
        finally:
            for client in harness.clients:
                await client.close()
