"""``outlay collect``: facts fetched from where they live, into files that ``outlay load`` reads."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from outlay.cli.common import Common, common_options
from outlay.errors import UsageError

_OUT = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to append to; made if need be."
)
_TOKEN = click.option(
    "--token-env", metavar="NAME", help="Environment variable that holds a bearer token for the server."
)


@click.group("collect", epilog="Example: outlay collect gpu --every 30 --for 3600 --out gpu.prom")
def command() -> None:
    """Fetch facts from where they live into files that `outlay load` reads.

    What a file brings twice is loaded once, so files may be appended to and loaded again.
    """


@command.command("gpu", epilog="Example: outlay collect gpu --every 30 --for 3600 --out gpu.prom")
@click.option("--every", type=click.IntRange(min=1), default=30, show_default=True, help="Seconds between samples.")
@click.option("--for", "seconds", type=click.IntRange(min=0), help="Seconds to go on; until Ctrl-C unless given.")
@_OUT
@common_options
def gpu(every: int, seconds: int | None, out: Path, common: Common) -> None:
    """Sample the GPUs of this host through the NVIDIA driver (extra `gpu`)."""
    from outlay.sources.telemetry.nvml import exposition, sample

    host = socket.gethostname()
    started = time.monotonic()
    taken = 0
    while True:
        _append(out, exposition(sample(_now(), host)))
        taken += 1
        due = started + taken * every
        if seconds is not None and due - started > seconds:
            break
        time.sleep(max(0.0, due - time.monotonic()))
    _said(common, f"{taken:,} samples appended to {out}")


@command.command(
    "prometheus", epilog="Example: outlay collect prometheus http://prometheus:9090 --since 2026-10 --out g.jsonl"
)
@click.argument("url")
@click.option("--since", metavar="DATE", required=True, help="Start, UTC: 2026-10-01, 2026-10 or 2026-10-01T06:00.")
@click.option("--until", metavar="DATE", help="End, UTC; now unless given.")
@click.option("--step", type=click.IntRange(min=1), default=60, show_default=True, help="Seconds between samples.")
@_TOKEN
@_OUT
@common_options
def prometheus(url: str, out: Path, token_env: str | None, common: Common, **window: Any) -> None:  # noqa: ANN401 - click's
    """Ask a Prometheus server for what DCGM exporter and kube-state-metrics told it."""
    from outlay.periods import parse_day
    from outlay.sources.telemetry.prometheus import fetch

    start = parse_day(window["since"], name="--since")
    end = parse_day(window["until"], name="--until") if window["until"] else _now()
    lines = _append(out, fetch(url, start, end, window["step"], headers=_headers(token_env)))
    _said(common, f"{lines:,} answers appended to {out}")


@command.command("mlflow", epilog="Example: outlay collect mlflow http://mlflow:5000 --out runs.jsonl")
@click.argument("url")
@click.option("--experiment", metavar="ID", multiple=True, help="Only this experiment; repeatable.")
@_TOKEN
@_OUT
@common_options
def mlflow(url: str, experiment: tuple[str, ...], token_env: str | None, out: Path, common: Common) -> None:
    """Ask an MLflow tracking server for its runs."""
    from outlay.sources.runs.mlflow_runs import fetch

    lines = _append(out, fetch(url, experiment, headers=_headers(token_env)))
    _said(common, f"{lines:,} pages appended to {out}")


def _append(out: Path, lines: Iterable[str]) -> int:
    """Append lines, on disk when this returns; how many."""
    count = 0
    with out.open("a", encoding="utf-8") as handle:
        for line in lines:
            handle.write(line if line.endswith("\n") else f"{line}\n")
            count += 1
        handle.flush()
        os.fsync(handle.fileno())
    return count


def _headers(token_env: str | None) -> dict[str, str]:
    if token_env is None:
        return {}
    token = os.environ.get(token_env)
    if not token:
        raise UsageError(f"the environment variable {token_env} is not set.", where="--token-env")
    return {"Authorization": f"Bearer {token}"}


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _said(common: Common, text: str) -> None:
    if common.as_json:
        from outlay.cli.common import show_json

        show_json({"said": text})
    else:
        print(text, file=sys.stderr)
