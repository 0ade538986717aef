"""How the applications behind the gateway's ports are put together, of parts that they have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from outlay.config.gateway import GatewaySettings
from outlay.gateway.app import Gateway
from outlay.gateway.call import Sender
from outlay.gateway.callers import Callers
from outlay.gateway.ids import Ids
from outlay.gateway.keeping import Check
from outlay.gateway.metering.bound import Bounds
from outlay.gateway.metering.tries import Tries
from outlay.gateway.meters import Meters
from outlay.gateway.routes import Routes
from outlay.operate.quotas.store import QuotaStore
from outlay.prices.quick import QuickPrices

if TYPE_CHECKING:
    from outlay.gateway.otlp.exporter import Exporter
    from outlay.gateway.peers.port import PeerPort
    from outlay.gateway.repeats import Repeats
    from outlay.gateway.rules.rules import Rules
    from outlay.gateway.rules.shadows import Shadows

__all__ = ["Parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the applications of the ports have in common."""

    settings: GatewaySettings
    quotas: QuotaStore
    bounds: Bounds
    prices: QuickPrices
    routes: Routes
    rules: Rules | None
    callers: Callers
    meters: Meters
    ids: Ids
    clock: Callable[[], int]
    wrong: Check

    def tries(self, exporter: Exporter | None) -> Tries:
        """What settles calls."""
        return Tries(quotas=self.quotas, prices=self.prices, meters=self.meters, clock=self.clock, exporter=exporter)

    def sender(self, session: aiohttp.ClientSession, tries: Tries) -> Sender:
        """What sends calls."""
        return Sender(
            session,
            quotas=self.quotas,
            bounds=self.bounds,
            tries=tries,
            settings=self.settings,
            meters=self.meters,
            ids=self.ids,
            clock=self.clock,
        )

    def shadows(self, sender: Sender) -> Shadows | None:
        """What sends copies of calls, where there are rules that may say so."""
        if self.rules is None:
            return None
        from outlay.gateway.rules.shadows import Shadows

        return Shadows(sender, self.meters)

    def repeats(self, sender: Sender, tries: Tries) -> Sender | Repeats:
        """What gives answers again, where the settings say so; else what sends."""
        if self.settings.cache is None:
            return sender
        from outlay.gateway.repeats import Repeats

        return Repeats(sender, self.settings.cache, tries=tries, meters=self.meters, clock=self.clock)

    def gateway(self, sender: Sender | Repeats, shadows: Shadows | None) -> Gateway:
        """The callers' port."""
        return Gateway(
            self.settings,
            callers=self.callers,
            routes=self.routes,
            sender=sender,
            meters=self.meters,
            ids=self.ids,
            clock=self.clock,
            wrong=self.wrong,
            rules=self.rules,
            shadows=shadows,
        )

    def peer_port(self, secret: str, required: Sequence[str]) -> PeerPort:
        """The port of other gateways. Few have it, and the rest start without its imports."""
        from outlay.gateway.peers.api import QuotaApi
        from outlay.gateway.peers.envoy import Envoy
        from outlay.gateway.peers.granted import Seal
        from outlay.gateway.peers.peers import Peers
        from outlay.gateway.peers.port import PeerPort

        peers = Peers(
            self.quotas,
            bounds=self.bounds,
            prices=self.prices,
            settings=self.settings,
            routes=self.routes,
            meters=self.meters,
            ids=self.ids,
            clock=self.clock,
        )
        seal, most = Seal(secret), self.settings.max_body_mib << 20
        envoy = Envoy(peers, seal, self.callers, self.routes, most)
        return PeerPort(QuotaApi(peers, seal, required, most), envoy, secret, self.meters, self.wrong)
