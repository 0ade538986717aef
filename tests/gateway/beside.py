"""A gateway that others ask for its quotas, in a thread of its own, with another gateway's program beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.gateway.harness import Harness, gateway

__all__ = ["PROGRAMS", "beside", "free_port", "program"]

_ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("OUTLAY_PEERS") or _ROOT / ".venv-peers/bin")
"""Where `make test-system` installs other gateways."""


@contextmanager
def beside(folder: Path, *providers: str, quotas: Sequence[Mapping[str, Any]], **settings: Any) -> Iterator[Harness]:
    """A gateway and pretended providers, in a thread of their own."""
    found: list[Harness] = []
    ready, done = threading.Event(), threading.Event()

    async def run() -> None:
        async with gateway(folder, *providers, quotas=quotas, peers_listen="127.0.0.1:0", **settings) as gate:
            found.append(gate)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(30), "the gateway did not start"
    try:
        yield found[0]
    finally:
        done.set()
        thread.join(30)


@contextmanager
def program(command: Sequence[str | Path], health: str, folder: Path, **environment: str) -> Iterator[None]:
    """A program, from when ``health`` answers 200 until the block is left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LITELLM", "PYTHON", "OUTLAY"))}
    log = folder / "program.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(one) for one in command],
            stdout=out,
            stderr=out,
            cwd=folder,
            env=kept | environment,
            start_new_session=True,
        )
        try:
            for _ in range(600):
                assert process.poll() is None, log.read_text()
                try:
                    with urllib.request.urlopen(health, timeout=2):
                        break
                except (urllib.error.URLError, OSError):
                    time.sleep(0.2)
            else:
                raise AssertionError(log.read_text())
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
