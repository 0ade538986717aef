"""``outlay gateway``: everything that stands behind its ports, started and stopped together.

It needs no other process: the quotas are in a file beside it, usage events in a spool, and the ledger takes them up
when it can. On SIGTERM or SIGINT no new call is let in and those under way are answered and settled.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from outlay.config.gateway import GatewaySettings
from outlay.errors import UsageError
from outlay.gateway.admin import Admin
from outlay.gateway.app import Gateway
from outlay.gateway.bound import Bounds
from outlay.gateway.call import Ids, Sender
from outlay.gateway.callers import Callers, Keys
from outlay.gateway.denials import Denials
from outlay.gateway.envoy import Envoy
from outlay.gateway.event import SPOOLED, ran_out
from outlay.gateway.granted import Seal
from outlay.gateway.http import Receive, Scope, Send
from outlay.gateway.listening import is_loopback, listening, name_of
from outlay.gateway.meters import Meters
from outlay.gateway.peer_port import PeerPort
from outlay.gateway.peers import Peers
from outlay.gateway.protocol import GuardedProtocol
from outlay.gateway.quota_api import QuotaApi
from outlay.gateway.routes import Routes
from outlay.gateway.sending import opened
from outlay.operate.quotas.embedded import EmbeddedQuotas
from outlay.operate.quotas.quota import Quota
from outlay.operate.quotas.shared import SharedQuotas
from outlay.operate.quotas.store import QuotaStore
from outlay.prices.ceiling import Ceilings
from outlay.prices.quick import QuickPrices
from outlay.prices.tokens import TokenPrices
from outlay.receivers.keeping_up import KeepingUp
from outlay.receivers.taking_up import TakingUp, Work
from outlay.spool.writer import SpoolWriter

if TYPE_CHECKING:
    from outlay.gateway.otlp.exporter import Exporter

__all__ = ["Listening", "Running", "Serving", "clock", "running", "serve"]

_CALLS_END = 30
_SWEEP_EVERY = 1.0
_KEEP_ALIVE = 75
_ADMINS = 100
_LEAST_SECRET = 16
Say = Callable[[str], None]


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
            await asyncio.wait((stop, now.ended), return_when=asyncio.FIRST_COMPLETED)
            say("stopping: calls under way are answered and settled")
        stop.cancel()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that runs. ``ended`` is done when it stopped by itself."""

    at: Listening
    quotas: QuotaStore
    meters: Meters
    ended: asyncio.Future[Any]


@asynccontextmanager
async def running(
    serving: Serving, prices: TokenPrices, keys: Keys, say: Say = lambda _: None
) -> AsyncIterator[Running]:
    """A gateway, until the block is left. Raises :class:`outlay.errors.OutlayError` where it can't start."""
    settings = serving.settings
    async with AsyncExitStack() as stack:
        routes = Routes(settings.upstreams, serving.environment)
        token = _admin_token(settings, serving.environment)
        calls = stack.enter_context(listening(settings.listen, "listen"))
        admin = None
        if settings.admin_listen is not None:
            admin = stack.enter_context(listening(settings.admin_listen, "admin_listen"))
        peers, secret = None, _peers_secret(settings, serving.environment)
        if settings.peers_listen is not None:
            peers = stack.enter_context(listening(settings.peers_listen, "peers_listen"))
        if serving.take_up is not None:
            await stack.enter_async_context(_taking_up(serving.take_up, say))
        spool = SpoolWriter(serving.spool)
        stack.callback(spool.close)  # what it seals is taken up
        quotas = _store(serving, lambda events: spool.append(SPOOLED, b"\n".join(events)))
        stack.push_async_callback(quotas.close)
        session = opened(settings.max_connections)
        stack.push_async_callback(session.close)
        node = os.urandom(4).hex()
        denials = Denials(f"{serving.spool.name} {node}", serving.required_tags, clock)
        stack.callback(denials.hand_on, quotas.tell, all=True)
        meters, ids, wrong = Meters(denials), Ids(node), _Wrong(quotas, spool)
        callers, bounds, quick = (
            Callers(keys, serving.required_tags),
            Bounds(Ceilings(prices), settings),
            QuickPrices(prices),
        )
        sender = Sender(
            session,
            quotas=quotas,
            bounds=bounds,
            prices=quick,
            settings=settings,
            meters=meters,
            ids=ids,
            clock=clock,
            exporter=await _exporter(stack, serving, meters, say),
        )
        gateway = Gateway(
            settings,
            callers=callers,
            routes=routes,
            sender=sender,
            meters=meters,
            ids=ids,
            clock=clock,
            wrong=wrong,
        )
        servers = [(_server(gateway, settings.max_connections), calls)]
        if admin is not None:
            servers.append((_server(Admin(quotas, meters, token, clock, wrong), _ADMINS), admin))
        if peers is not None:
            holding = Peers(
                quotas,
                bounds=bounds,
                prices=quick,
                settings=settings,
                routes=routes,
                meters=meters,
                ids=ids,
                clock=clock,
            )
            port = _peer_port(serving, holding, secret, callers=callers, routes=routes, meters=meters, wrong=wrong)
            servers.append((_server(port, settings.max_connections), peers))
        tasks = [asyncio.create_task(server.serve([listener])) for server, listener in servers]
        sweep = asyncio.create_task(_sweep(quotas, denials, say, wrong))
        ended = asyncio.ensure_future(asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))
        try:
            while not all(server.started for server, _ in servers) and not ended.done():
                await asyncio.sleep(0.005)
            at = Listening(name_of(calls), name_of(admin) if admin else None, name_of(peers) if peers else None)
            yield Running(at, quotas, meters, ended)
        finally:
            for server, _ in servers:
                server.should_exit = True
            await asyncio.gather(*tasks, return_exceptions=True)
            sweep.cancel()
            await asyncio.gather(sweep, ended, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _peer_port(
    serving: Serving,
    holding: Peers,
    secret: str,
    *,
    callers: Callers,
    routes: Routes,
    meters: Meters,
    wrong: Callable[[], str | None],
) -> PeerPort:
    """What other gateways ask."""
    seal, most = Seal(secret), serving.settings.max_body_mib << 20
    api = QuotaApi(holding, seal, serving.required_tags, most)
    return PeerPort(api, Envoy(holding, seal, callers, routes, most), secret, meters, wrong)


async def _exporter(stack: AsyncExitStack, serving: Serving, meters: Meters, say: Say) -> Exporter | None:
    """What sends spans and metrics of calls, until the stack is left; None where nobody wants them."""
    if serving.settings.otlp_endpoint is None:
        return None
    from outlay.gateway.otlp.exporter import exporting

    instance = f"{serving.spool.name}-{os.getpid()}"
    found = exporting(serving.settings, serving.environment, meters=meters, say=say, instance=instance)
    return await stack.enter_async_context(found)


@asynccontextmanager
async def _taking_up(work: Work, say: Say) -> AsyncIterator[None]:
    """The process that takes the spool up, until the block is left: then it takes up what is sealed."""
    ledger = KeepingUp(lambda: TakingUp(work), say)
    watch = asyncio.create_task(ledger.watch())
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await ledger.stop()


class _Wrong:
    """What is wrong, if anything: said on /healthz and on the terminal."""

    def __init__(self, quotas: QuotaStore, spool: SpoolWriter) -> None:
        self._quotas, self._spool = quotas, spool

    def __call__(self) -> str | None:
        return self._quotas.wrong or self._spool.broken


async def _sweep(quotas: EmbeddedQuotas | SharedQuotas, denials: Denials, say: Say, wrong: _Wrong) -> None:
    said: list[str | None] = [None, None]
    while True:
        await asyncio.sleep(_SWEEP_EVERY)
        await quotas.sweep(clock())
        denials.hand_on(quotas.tell)
        caution = quotas.caution if isinstance(quotas, SharedQuotas) else None
        for place, (now, well) in enumerate(((wrong(), "all is well again"), (caution, "Redis keeps everything now"))):
            if now != said[place]:
                said[place] = now
                say(now or well)


def _store(serving: Serving, relay: Callable[[Sequence[bytes]], None]) -> EmbeddedQuotas | SharedQuotas:
    """The quotas: in a file of this gateway's own, or in the Redis that it shares with others."""
    settings = serving.settings
    if settings.state.startswith("sqlite:///"):
        return EmbeddedQuotas(
            serving.folder / settings.state.removeprefix("sqlite:///"),
            serving.quotas,
            now=clock(),
            on_expiry=settings.on_expiry,
            relay=relay,
            relay_every=serving.relay_every,
            ran_out=ran_out,
        )
    return SharedQuotas(
        settings.state,
        serving.spool.with_name(f"{serving.spool.name}.db"),
        serving.quotas,
        on_expiry=settings.on_expiry,
        relay=relay,
        relay_every=serving.relay_every,
        ran_out=ran_out,
    )


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the holds under way have to be settled too


def _server(app: Callable[[Scope, Receive, Send], object], most: int) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            limit_concurrency=most,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_CALLS_END,
        )
    )


def _admin_token(settings: GatewaySettings, environment: Mapping[str, str]) -> str:
    """The admin's secret; none is needed where only this machine reaches the port. Raises :class:`UsageError`."""
    token = environment.get(settings.admin_token_env, "")
    if settings.admin_listen is not None and not token and not is_loopback(settings.admin_listen):
        raise UsageError(
            "is open to other machines, and nobody has to say who they are.",
            where=f"admin_listen {settings.admin_listen}",
            hint=f"Put a secret into the environment variable {settings.admin_token_env}.",
        )
    return token


def _peers_secret(settings: GatewaySettings, environment: Mapping[str, str]) -> str:
    """The secret of other gateways, which their port is not opened without. Raises :class:`UsageError`."""
    secret = environment.get(settings.peers_secret_env, "").strip()
    if settings.peers_listen is not None and len(secret) < _LEAST_SECRET:
        raise UsageError(
            f"needs a secret of {_LEAST_SECRET} characters or more: who reaches it can use up budgets.",
            where=f"peers_listen {settings.peers_listen}",
            hint=f"Put one into the environment variable {settings.peers_secret_env}, there and here.",
        )
    return secret


async def _told_to_stop() -> None:
    told = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told.set)
    await told.wait()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
