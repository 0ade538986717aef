"""``outlay serve``: the receivers, the spool and the take-up, started and stopped together.

On SIGTERM or SIGINT no new request is let in, those under way are answered, the spool is sealed, and the ledger takes
it up before the process ends.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.config import Settings
from outlay.errors import MissingExtraError, UsageError
from outlay.receivers.daily import keep_current
from outlay.receivers.keeping_up import KeepingUp
from outlay.receivers.otlp import SIGNALS, OtlpIntake, proto
from outlay.receivers.otlp_grpc import otlp_grpc
from outlay.receivers.otlp_http import OtlpHttp
from outlay.receivers.taking_up import TakingUp, Work
from outlay.spool.folders import telemetry_spool
from outlay.spool.writer import Limits, SpoolWriter

if TYPE_CHECKING:
    import uvicorn

__all__ = ["Address", "Listening", "Serving", "serve"]

_REQUESTS_END = 10
_MOST_CONNECTIONS = 1000
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 is the system's choice."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve: the ledger, the addresses (no gRPC without one), and the limits."""

    ledger: Path
    http: Address
    grpc: Address | None
    token: str | None = None
    every: float = 30.0
    most_body: int = 16 << 20
    most_spool: int = 8 << 30


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens now."""

    http: Address
    grpc: Address | None


def serve(serving: Serving, settings: Settings, started: Callable[[Listening], None], say: Say) -> None:
    """Serve until SIGTERM or SIGINT. ``started`` is told where, once clients can come; ``say`` what happens.

    Raises :class:`MissingExtraError`, :class:`UsageError` and :class:`outlay.errors.SpoolError` before that.
    """
    for one in (serving.http, serving.grpc):
        if one is not None and not one.is_loopback and not serving.token:
            raise UsageError(
                "is open to other machines, and nobody has to say who they are.",
                where=str(one),
                hint="Put a secret into the environment variable OUTLAY_TOKEN, or listen on 127.0.0.1.",
            )
    for name in SIGNALS:
        proto(name, "Request")
    if hasattr(signal, "SIGPIPE"):  # a client that goes away is no end; the command line sets it so for `| head`
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    asyncio.run(_serve(serving, settings, started, say))


async def _serve(serving: Serving, settings: Settings, started: Callable[[Listening], None], say: Say) -> None:
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listening(serving.http))
        spool = SpoolWriter(
            telemetry_spool(serving.ledger), Limits(segment_seconds=serving.every, spool_bytes=serving.most_spool)
        )
        stack.callback(spool.close)
        if spool.cut_bytes:
            say(f"{spool.cut_bytes:,} bytes were half written when a process was killed; nobody was told they are safe")
        intake = OtlpIntake(spool, token=serving.token, most_body=serving.most_body)
        server = _http_server(OtlpHttp(intake, lambda: spool.broken or ledger.wrong))
        grpc, grpc_port = otlp_grpc(intake, str(serving.grpc)) if serving.grpc else (None, 0)
        work = Work(serving.ledger, settings, serving.every)
        ledger = KeepingUp(lambda: TakingUp(work), say)
        stack.push_async_callback(ledger.stop)
        stack.push_async_callback(asyncio.to_thread, spool.close)  # first: what it seals is taken up

        http = asyncio.create_task(server.serve([listener]))
        if grpc is not None:
            await grpc.start()
            stack.push_async_callback(grpc.stop, _REQUESTS_END)
        while not server.started and not http.done():
            await asyncio.sleep(0.01)
        stop = asyncio.create_task(_told_to_stop().wait())
        watch = asyncio.create_task(ledger.watch())
        recommend = asyncio.create_task(keep_current(serving.ledger, settings, say))
        at_grpc = Address(serving.grpc.host, grpc_port) if serving.grpc else None
        started(Listening(Address(serving.http.host, listener.getsockname()[1]), at_grpc))
        await asyncio.wait((http, stop, watch), return_when=asyncio.FIRST_COMPLETED)

        say("stopping: what came in goes into the ledger")
        server.should_exit = True
        watch.cancel()
        recommend.cancel()
        await asyncio.gather(http, watch, recommend, return_exceptions=True)
    for task in (http, watch):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _told_to_stop() -> asyncio.Event:
    """Set when the process is told to stop; from now on, as who was told where to send may tell so at once."""
    told = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told.set)
    return told


@contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    """A socket that listens. Raises :class:`UsageError`."""
    try:
        found = socket.create_server(
            (address.host, address.port),
            family=socket.AF_INET6 if ":" in address.host else socket.AF_INET,
            backlog=1024,
        )
    except OSError as error:
        raise UsageError(
            f"can't be listened on: {error.strerror}.", where=f"--listen {address}", hint="Is it in use? Try another."
        ) from None
    with found:
        yield found


def _http_server(app: OtlpHttp) -> uvicorn.Server:
    """The HTTP server. Raises :class:`MissingExtraError`."""
    try:
        import uvicorn
    except ImportError:
        raise MissingExtraError(
            "`outlay serve` needs the package uvicorn.", hint="Run: pip install 'outlay[serve]'"
        ) from None

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # the spool has to be sealed and taken up too

    return Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_REQUESTS_END,
        )
    )
