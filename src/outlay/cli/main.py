"""``outlay``: the group of commands, loaded one by one as they are used."""

from __future__ import annotations

import sys
from importlib import import_module

import click

import outlay
from outlay.errors import OutlayError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "demo": ("outlay.cli.demo", "Build a demo ledger and show what was spent and overspent."),
    "overspend": (
        "outlay.cli.overspend",
        "Read bills in place: what was spent on AI, what of it is overspend, and why.",
    ),
    "load": ("outlay.cli.load", "Load bills into the ledger, in one atomic commit."),
    "sources": ("outlay.cli.sources", "List the bill formats that Outlay reads, and what each needs."),
    "query": ("outlay.cli.query", "Any metric by any dimension, from the ledger."),
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
    """Run the command line; an Outlay error becomes one message on stderr and exit status 2."""
    try:
        _group(prog_name="outlay")
    except OutlayError as error:
        click.echo(f"outlay: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
