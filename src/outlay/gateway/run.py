"""``outlay gateway``: everything that stands behind its ports, started and stopped together.

It needs no other process: the quotas are in a file beside it, usage events in a spool, and the ledger takes them up
when it can. On SIGTERM or SIGINT no new call is let in and those under way are answered and settled; after 30 seconds,
or a second signal, they are cut and settled by what came of them, or at their bound.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from outlay.config.gateway import GatewaySettings
from outlay.gateway.addresses import admin_token, listening, name_of, peers_secret
from outlay.gateway.admin import Admin
from outlay.gateway.callers import Callers, Keys
from outlay.gateway.denials import Denials
from outlay.gateway.ids import Ids
from outlay.gateway.keeping import LedgerTakeUp, Say, Trouble, quotas_in, sweeping
from outlay.gateway.metering.bound import Bounds
from outlay.gateway.metering.event import SPOOLED
from outlay.gateway.meters import Meters
from outlay.gateway.parts import Parts
from outlay.gateway.routes import Routes
from outlay.gateway.sending import opened
from outlay.gateway.servers import server_of
from outlay.operate.quotas.quota import Quota
from outlay.operate.quotas.store import QuotaStore
from outlay.prices.ceiling import Ceilings
from outlay.prices.quick import QuickPrices
from outlay.prices.tokens import TokenPrices
from outlay.receivers.taking_up import Work
from outlay.spool.writer import SpoolWriter

if TYPE_CHECKING:
    from outlay.gateway.otlp.exporter import Exporter
    from outlay.gateway.rules.rules import Rules

__all__ = ["Listening", "Running", "Serving", "clock", "running", "serve"]

_ADMINS = 100
_GARBAGE = 20_000
"""Objects after which garbage is looked for. A call makes some hundred and leaves no circles; by Python's own 700 a
thirtieth of the time went into looking."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve. ``folder`` is that of the settings, beside which relative paths lie; ``spool`` is for events.

    ``environment`` holds the secrets that the settings name. Events go into the spool every ``relay_every`` seconds,
    and from there into the ledger by a process of its own, where there is ``take_up``.
    """

    settings: GatewaySettings
    quotas: Sequence[Quota]
    required_tags: Sequence[str]
    folder: Path
    spool: Path
    environment: Mapping[str, str] = field(repr=False)
    relay_every: float = 1.0
    take_up: Work | None = None


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens now."""

    calls: str
    admin: str | None
    peers: str | None = None


def clock() -> int:
    """Milliseconds since 1970, UTC: read here and nowhere further in."""
    return time.time_ns() // 1_000_000


def serve(serving: Serving, prices: TokenPrices, keys: Keys, started: Callable[[Listening], None], say: Say) -> None:
    """Serve until SIGTERM or SIGINT. ``started`` is told where, once callers can come; ``say`` what happens."""
    with suppress(AttributeError):  # a caller that goes away is no end; not every system has the signal
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    async def run() -> None:
        stop = asyncio.create_task(_told_to_stop())
        async with running(serving, prices, keys, say) as now:
            started(now.at)
            gc.freeze()  # price lists stay for good: to look through them for garbage would halt every call
            gc.set_threshold(_GARBAGE, 20, 20)
            await asyncio.wait((stop, now.ended), return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            say("stopping: calls under way are answered and settled")
            _on_signals(now.cut)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that runs. ``ended`` is done when it stopped by itself; ``cut`` ends all calls that are under way."""

    at: Listening
    quotas: QuotaStore
    meters: Meters
    ended: asyncio.Future[Any]
    cut: Callable[[], None]


@asynccontextmanager
async def running(
    serving: Serving, prices: TokenPrices, keys: Keys, say: Say = lambda _: None
) -> AsyncIterator[Running]:
    """A gateway, until the block is left. Raises :class:`outlay.errors.OutlayError` where it can't start."""
    settings = serving.settings
    async with AsyncExitStack() as stack:
        routes = Routes(settings.upstreams, serving.environment)
        rules = _rules(serving, routes, say)
        token, secret = admin_token(settings, serving.environment), peers_secret(settings, serving.environment)
        calls = stack.enter_context(listening(settings.listen, "listen"))
        admin, peers = (
            None if address is None else stack.enter_context(listening(address, option))
            for option, address in (("admin_listen", settings.admin_listen), ("peers_listen", settings.peers_listen))
        )
        taking_up = LedgerTakeUp(serving.take_up, say)
        stack.push_async_callback(taking_up.stop)
        spool = SpoolWriter(serving.spool)
        stack.callback(spool.close)  # what it seals is taken up
        quotas, caution = quotas_in(
            settings,
            serving.quotas,
            folder=serving.folder,
            spool=serving.spool,
            now=clock(),
            relay=lambda events: spool.append(SPOOLED, b"\n".join(events)),
            relay_every=serving.relay_every,
        )
        stack.push_async_callback(quotas.close)
        session = opened(settings.max_connections)
        stack.push_async_callback(session.close)
        wrong, node = Trouble(quotas, spool), os.urandom(4).hex()
        denials = Denials(f"{serving.spool.name} {node}", serving.required_tags, clock)
        stack.callback(denials.hand_on, quotas.tell, all=True)
        meters = Meters(denials)
        parts = Parts(
            settings,
            quotas,
            bounds=Bounds(Ceilings(prices), settings),
            prices=QuickPrices(prices),
            routes=routes,
            rules=rules,
            callers=Callers(keys, serving.required_tags),
            meters=meters,
            ids=Ids(node),
            clock=clock,
            wrong=wrong,
        )
        tries = parts.tries(await _exporter(stack, serving, meters, say))
        sender = parts.sender(session, tries)
        shadows = parts.shadows(sender)
        if shadows is not None:
            stack.push_async_callback(shadows.close)
        gateway = parts.gateway(parts.repeats(sender, tries), shadows)
        servers = [(server_of(gateway, settings.max_connections), calls)]
        if admin is not None:
            servers.append((server_of(Admin(quotas, meters, token, clock, wrong), _ADMINS), admin))
        if peers is not None:
            port = parts.peer_port(secret, serving.required_tags)
            servers.append((server_of(port, settings.max_connections), peers))
        tasks = [asyncio.create_task(server.serve([listener])) for server, listener in servers]
        sweep = asyncio.create_task(sweeping(quotas, clock, say, wrong, caution, denials=denials))
        ended = asyncio.ensure_future(asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))
        try:
            while not all(server.started for server, _ in servers) and not ended.done():
                await asyncio.sleep(0.005)
            taking_up.start()
            at = Listening(name_of(calls), name_of(admin) if admin else None, name_of(peers) if peers else None)
            yield Running(at, quotas, meters, ended, lambda: _cut(server for server, _ in servers))
        finally:
            for server, _ in servers:
                server.should_exit = True
            await asyncio.gather(*tasks, return_exceptions=True)
            sweep.cancel()
            await asyncio.gather(sweep, ended, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _rules(serving: Serving, routes: Routes, say: Say) -> Rules | None:
    """The rules of the settings. Without any a gateway starts without what they need."""
    if not serving.settings.routes:
        return None
    from outlay.gateway.rules.declared import rules_of

    rules = rules_of(serving.settings.routes, routes, serving.folder)
    for note in rules.notes if rules else ():
        say(note)
    return rules


async def _exporter(stack: AsyncExitStack, serving: Serving, meters: Meters, say: Say) -> Exporter | None:
    """What sends spans and metrics of calls, until the stack is left; None where nobody wants them."""
    if serving.settings.otlp_endpoint is None:
        return None
    from outlay.gateway.otlp.exporter import exporting

    instance = f"{serving.spool.name}-{os.getpid()}"
    found = exporting(serving.settings, serving.environment, meters=meters, say=say, instance=instance)
    return await stack.enter_async_context(found)


async def _told_to_stop() -> None:
    told = asyncio.Event()
    _on_signals(told.set)
    await told.wait()


def _on_signals(act: Callable[[], None]) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, act)


def _cut(servers: Iterable[uvicorn.Server]) -> None:
    for server in servers:
        for task in list(server.server_state.tasks):
            task.cancel()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
