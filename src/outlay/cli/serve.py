"""``outlay serve``: the live receivers."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from outlay.cli.common import Common, common_options, say
from outlay.errors import UsageError

if TYPE_CHECKING:
    from outlay.receivers.run import Address, Listening

_TOKEN = "OUTLAY_TOKEN"  # noqa: S105 - the name of a variable


@click.command("serve", epilog="Example: outlay serve --ledger ledger")
@click.option("--listen", default="127.0.0.1:4318", metavar="HOST:PORT", show_default=True, help="OTLP over HTTP.")
@click.option("--grpc", default="127.0.0.1:4317", metavar="HOST:PORT", show_default=True, help="OTLP over gRPC.")
@click.option("--no-grpc", is_flag=True, help="HTTP only.")
@click.option(
    "--token-env",
    default=_TOKEN,
    metavar="NAME",
    show_default=True,
    help="Environment variable with the secret that clients must send as a bearer token.",
)
@click.option(
    "--every",
    default=30.0,
    type=click.FloatRange(0.05, 3600),
    metavar="SECONDS",
    show_default=True,
    help="How often what came in goes into the ledger.",
)
@click.option(
    "--max-request", default=16, type=click.IntRange(1, 64), metavar="MIB", show_default=True, help="Longest request."
)
@click.option(
    "--max-spool",
    default=8192,
    type=click.IntRange(1),
    metavar="MIB",
    show_default=True,
    help="Most that may wait for the ledger; clients are told to come again later when it is reached.",
)
@common_options
def command(
    *,
    listen: str,
    grpc: str,
    no_grpc: bool,
    token_env: str,
    every: float,
    max_request: int,
    max_spool: int,
    common: Common,
) -> None:
    """Receive spans and metrics of OpenTelemetry live, until SIGTERM or Ctrl-C.

    A request is acknowledged when it is on the disk (in the folder `spool` of the ledger), and goes into the ledger's
    table `requests` a little later. With --json, one line on stdout says where it listens.
    """
    from outlay.receivers.run import Serving, serve

    token = os.environ.get(token_env, "")
    if token_env != _TOKEN and not token:
        raise UsageError("is empty or not set.", where=f"--token-env {token_env}", hint="Put a secret into it.")
    serving = Serving(
        common.ledger_path,
        _address(listen, "--listen"),
        None if no_grpc else _address(grpc, "--grpc"),
        token or None,
        every,
        max_request << 20,
        max_spool << 20,
    )

    def started(at: Listening) -> None:
        _show(at, common)

    serve(serving, common.settings(), started, lambda text: say(f"outlay serve: {text}."))


def _show(at: Listening, common: Common) -> None:
    if common.as_json:
        import json

        where = {"http": f"http://{at.http}", "grpc": str(at.grpc) if at.grpc else None}
        click.echo(json.dumps({**where, "ledger": str(common.ledger_path), "pid": os.getpid()}))
        sys.stdout.flush()
        return
    say(f"OTLP over HTTP on http://{at.http} (OTEL_EXPORTER_OTLP_ENDPOINT=http://{at.http})")
    if at.grpc:
        say(f"OTLP over gRPC on {at.grpc}")
    say(f"Into the ledger {common.ledger_path}. Stop with Ctrl-C.")


def _address(text: str, option: str) -> Address:
    from outlay.receivers.run import Address

    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"'{text}' is no address.", where=option, hint="Write it HOST:PORT, e.g. 127.0.0.1:4318.")
    return Address(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - it is asked for, and needs a token
