"""An upstream as a process of its own, spoken to over HTTP: for tests that kill, and for the hammer."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.gateway.upstreams.log import Entry, entry_of
from tests.gateway.upstreams.script import Script

__all__ = ["Remote", "in_process"]

_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Remote:
    """What ``Upstream`` offers, from another process."""

    url: str
    secret: str
    pid: int

    def next(self, **behaviour: Any) -> None:
        """Script the next call."""
        Script.of(behaviour)
        self._asked("POST", "/_next", [behaviour])

    def for_model(self, model: str, **behaviour: Any) -> None:
        """Script all calls of a model that say nothing themselves."""
        Script.of(behaviour)
        self._asked("POST", "/_model", {model: behaviour})

    def reset(self) -> None:
        """Forget scripts and the log."""
        self._asked("POST", "/_reset", None)

    def entries(self) -> list[Entry]:
        """The log as it stands."""
        return [entry_of(one) for one in self._asked("GET", "/_log", None)["entries"]]

    def settled(self, count: int | None = None, within_s: float = 10.0) -> list[Entry]:
        """All entries, once none is open (and ``count`` are there)."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            entries = self.entries()
            if all(one.done for one in entries) and (count is None or len(entries) >= count):
                return entries
            time.sleep(0.02)
        raise AssertionError(f"not settled within {within_s} s: {self.entries()}")

    def _asked(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            connection.request(method, path, json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def in_process(provider: str, port: int = 0) -> Iterator[Remote]:
    """``python -m tests.gateway.upstreams PROVIDER PORT``; it ends with the block, or with whoever started it."""
    command = [sys.executable, "-m", "tests.gateway.upstreams", provider, str(port)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        line = process.stdout.readline()
        assert line, "the upstream did not start"
        told = json.loads(line)
        try:
            yield Remote(told["url"], told["secret"], process.pid)
        finally:
            process.stdin.close()
            assert process.wait(10) == 0
