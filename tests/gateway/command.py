"""``outlay gateway`` as a process of its own, as somebody starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Started", "outlay", "started"]


@dataclass
class Started:
    """A gateway that runs, and what it said on stderr once it has ended."""

    url: str
    admin: str
    pid: int
    said: str = ""


def outlay(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """A command, run to its end in ``folder``: its status, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "outlay", *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@contextmanager
def started(
    *options: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    python: tuple[str, ...] = ("-m", "outlay"),
) -> Iterator[Started]:
    """``outlay gateway --json``, until the block is left: then it is stopped as systemd would, and must end well."""
    process = subprocess.Popen(
        [sys.executable, *python, "gateway", "--json", *options],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    at = json.loads(line)
    found = Started(at["url"], at["admin"], at["pid"])
    try:
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        _, found.said = process.communicate(timeout=90)
    assert process.returncode == 0, found.said
