"""What another gateway tells of a part of a call: the whole counts, unless a part tells all that may be billed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from outlay.config.gateway import GatewaySettings
from outlay.gateway.denials import Denials
from outlay.gateway.ids import Ids
from outlay.gateway.metering.bound import Bounds
from outlay.gateway.meters import Meters
from outlay.gateway.peers.granted import Seal
from outlay.gateway.peers.peers import Outcome, Peers, Wanted
from outlay.gateway.routes import Routes
from outlay.gateway.run import clock
from outlay.gateway.wires.anthropic_messages import MESSAGES
from outlay.operate.quotas.embedded import EmbeddedQuotas
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope
from outlay.prices.ceiling import Ceilings
from outlay.prices.quick import QuickPrices
from tests.gateway.harness import PRICES

SEARCH = {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]}


@pytest.mark.parametrize(("more", "settled"), [({}, "received"), (SEARCH, "bound")])
def test_the_input_of_the_first_round_is_not_that_of_all(tmp_path: Path, more: dict[str, Any], settled: str) -> None:
    async def run() -> None:
        settings, quota = GatewaySettings(), Quota("usd", Scope(), parse_limit("50 USD/day"))
        quotas = EmbeddedQuotas(tmp_path / "q.db", [quota], now=clock())
        peers = Peers(
            quotas,
            bounds=Bounds(Ceilings(PRICES), settings),
            prices=QuickPrices(PRICES),
            settings=settings,
            routes=Routes((), {}),
            meters=Meters(Denials("gateway", (), clock)),
            ids=Ids("a"),
            clock=clock,
        )
        body = {"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100, **more}
        spoken = MESSAGES.spoken(body)
        granted = await peers.hold(Wanted(MESSAGES, spoken, body, 90, {"team": "a"}, peers.upstream("anthropic")))
        back = Seal("secret").read(Seal("secret").text(granted))
        event, counted = peers.settle(back, Outcome("received", {"usage": {"input_tokens": 20, "output_tokens": 1}}))
        assert (event.settled, counted) == (settled, True)
        assert event.bound_output == 100 * (1 if settled == "received" else spoken.rounds)
        (standing,) = await quotas.standings(clock())
        assert standing.held == 0
        assert 0 < standing.spent <= granted.held.bound["USD"]
        await quotas.close()

    asyncio.run(run())
