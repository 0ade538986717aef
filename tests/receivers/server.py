"""A real ``outlay serve`` for tests, on ports of the system's choice."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outlay.config import Settings
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import FACT_TABLES, Ledger

__all__ = ["Server", "asked"]


@dataclass
class Server:
    """The process; a block that ends stops it as systemd would, and everything is in the ledger then."""

    ledger: Path
    every: float = 0.2
    http_port: int = 0
    grpc_port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    said: str = ""

    def __post_init__(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "outlay", "serve", "--json", "--ledger", str(self.ledger)),
                *("--listen", f"127.0.0.1:{self.http_port}", "--grpc", f"127.0.0.1:{self.grpc_port}"),
                *("--every", str(self.every), *self.options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(self._process.communicate()[1])
        at = json.loads(line)
        self.http = str(at["http"])
        self.grpc = str(at["grpc"])
        self.http_port = int(self.http.rpartition(":")[2])
        self.grpc_port = int(self.grpc.rpartition(":")[2])

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGTERM, and wait until the ledger has everything."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            _, self.said = self._process.communicate(timeout=60)
            assert self._process.returncode == 0, self.said

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.communicate()

    def children(self) -> list[int]:
        """Processes that it started and that take up (Linux)."""
        pid = self._process.pid
        found = []
        for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):  # it ended meanwhile
                if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes():
                    found.append(int(one))
        return found

    def end(self, pid: int) -> None:
        """SIGKILL to one of its children."""
        os.kill(pid, signal.SIGKILL)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request: status, headers in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


def asked(ledger: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a query over ``requests`` gives."""
    with session() as connection:
        Ledger(ledger).register_facts(connection, FACT_TABLES["requests"], Settings().tags.required)
        return connection.execute(sql).fetchall()
