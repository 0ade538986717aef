"""``outlay``: the group of commands, loaded one by one as they are used."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import click

import outlay
from outlay.errors import OutlayError

__all__ = ["BROKEN", "COMMANDS", "INTERRUPTED", "WRONG", "main"]

WRONG = 2
BROKEN = 70
"""What sysexits.h calls EX_SOFTWARE."""
INTERRUPTED = 130
"""As a shell says it of a process that SIGINT ended."""

COMMANDS = {
    "demo": ("outlay.cli.demo", "Build a demo ledger and show what was spent and overspent."),
    "overspend": (
        "outlay.cli.overspend",
        "Read bills in place: what was spent on AI, what of it is overspend, and why.",
    ),
    "load": ("outlay.cli.load", "Load bills and facts into the ledger, one atomic commit a table."),
    "serve": ("outlay.cli.serve", "Receive OpenTelemetry live, over HTTP and gRPC."),
    "gateway": ("outlay.cli.gateway", "Stand in front of model providers: meter every call, overrun no budget."),
    "route": ("outlay.cli.route", "Which calls a cheaper model answers as well, measured on logged prompts."),
    "quotas": ("outlay.cli.quotas", "What is spent and held of each quota now; stop a team or a model at once."),
    "collect": ("outlay.cli.collect", "Fetch facts from where they live into files that load reads."),
    "sources": ("outlay.cli.sources", "List the formats that Outlay reads, and what each needs."),
    "query": ("outlay.cli.query", "Any metric by any dimension, from the ledger."),
    "kpis": ("outlay.cli.kpis", "The seven KPIs, with targets, and usage compared with the bill."),
    "price": ("outlay.cli.price", "What one model call cost, as of its time, meter by meter."),
    "prices": ("outlay.cli.prices", "Price lists as of a time: tokens, checked against LiteLLM's list, and GPUs."),
    "reprice": ("outlay.cli.reprice", "Usage in the ledger at the prices of today's lists; shown first."),
    "commit": ("outlay.cli.commit", "GPU commitments: what to commit, what not, and what it risks."),
    "spot": ("outlay.cli.spot", "Spot or on-demand for a training job, from a rate or from traces of real capacity."),
    "keys": ("outlay.cli.keys", "Virtual keys of the gateway: make, list, rotate and revoke them."),
    "explain": ("outlay.cli.explain", "The receipt of a metric: formula, rows, sources, freshness, SQL."),
    "history": ("outlay.cli.history", "The loads of the ledger, newest first."),
}


class _Lazy(click.Group):
    """Imports a command's module when that command is run or asked for help, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            from outlay.errors import nearest

            ctx.fail(f"no command '{args[0]}'. {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(outlay.__version__, prog_name="outlay")
def _group() -> None:
    """FinOps for AI on your own machine: exact money, every figure with a receipt.

    Example: outlay overspend bill.csv.gz
    """


def main() -> None:
    """Run the command line and exit with its status.

    What a person can mend is one message on stderr and status 2. What they can't is an error in Outlay: a traceback to
    report, and a status of its own, so that no script takes it for the "no" of a check.
    """
    with _quiet_pipe():
        _run()


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """`outlay query ... | head` ends as any Unix tool does, and not with the 1 of a "no".

    What was set before is set again afterwards: a process that calls this as a function writes to other pipes too.
    """
    if not hasattr(signal, "SIGPIPE"):
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        sys.stdout.flush()
        signal.signal(signal.SIGPIPE, before)


def _run() -> None:
    try:
        status = _group(prog_name="outlay", standalone_mode=False)
    except OutlayError as error:
        click.echo(f"outlay: {error}", err=True)
        sys.exit(WRONG)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("outlay: interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except Exception:
        traceback.print_exc()
        click.echo(
            "outlay: this is an error in Outlay, not in your input. Please report it with the lines above.", err=True
        )
        sys.exit(BROKEN)
    sys.exit(status if isinstance(status, int) else 0)
