"""The real `outlay gateway`: the command, its settings, its keys, its files, as an operator has them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outlay.spool.reader import sealed
from outlay.spool.segments import OPEN, Record, read_records, segments
from tests.gateway.upstreams.process import Remote

__all__ = ["RealGateway"]

_PATHS = {"openai": "/v1", "anthropic": "/v1"}
_MODELS = {"openai": "gpt-*", "anthropic": "claude-*"}


@dataclass
class RealGateway:
    """Started and ended as often as a test likes, always on the same files."""

    folder: Path
    upstreams: Mapping[str, Remote]
    quotas: Sequence[Mapping[str, str]]
    key: str = ""
    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        lines = ["[gateway]", 'listen = "127.0.0.1:0"', 'admin_listen = "127.0.0.1:0"', 'spool = "spool"']
        for name, one in self.upstreams.items():
            entry = {"id": name, "provider": name, "base_url": one.url + _PATHS[name], "api_key_env": f"SECRET_{name}"}
            lines += ["[[gateway.upstreams]]", *(f'{key} = "{value}"' for key, value in entry.items())]
            lines += [f'models = ["{_MODELS[name]}"]', "retries = 0"]
        for quota in self.quotas:
            lines += ["[[quotas]]", *(f'{key} = "{value}"' for key, value in quota.items())]
        self.settings("\n".join(lines))
        self.environment = {**os.environ, **{f"SECRET_{name}": one.secret for name, one in self.upstreams.items()}}
        tags = ("--team", "search", "--use-case", "chat", "--environment", "prod")
        self.key = self.outlay("keys", "create", *tags)["key"]

    def settings(self, text: str) -> None:
        """Write other settings, for the next start."""
        (self.folder / "outlay.toml").write_text(text)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "outlay", "gateway", "--json", "--ledger", "ledger"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        told = json.loads(line)
        self.url = told["url"]
        said = (self.folder / "outlay.toml").read_text().splitlines()
        said[2] = f'admin_listen = "{told["admin"].removeprefix("http://")}"'
        (self.folder / "asked.toml").write_text("\n".join(said))

    def kill(self) -> None:
        """SIGKILL, at this instant."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """SIGTERM, and wait until it has ended well; what it said."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        return said

    def outlay(self, *command: str, config: str = "outlay.toml") -> Any:
        """What another command answers, as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "outlay", *command, "--json", "--config", config, "--ledger", "ledger"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def asked(self, path: str) -> Any:
        """What the admin port answers."""
        line = next(one for one in (self.folder / "asked.toml").read_text().splitlines() if "admin_listen" in one)
        with urllib.request.urlopen(f"http://{line.split(chr(34))[1]}{path}", timeout=10) as answer:
            return json.load(answer)

    def events(self) -> list[dict[str, Any]]:
        """The events that are in the spool and that nobody has taken up yet."""
        spool = self.folder / "spool"
        paths = [one.path for one in sealed(spool)] + segments(spool, OPEN)
        records = [one for path in paths for one in read_records(path) if isinstance(one, Record)]
        return [json.loads(line) for record in records for line in record.body.splitlines()]
