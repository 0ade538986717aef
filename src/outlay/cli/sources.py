"""``outlay sources``: the formats that can be read."""

from __future__ import annotations

import click

from outlay.cli.common import Common, common_options, show_json


@click.command("sources", epilog="Example: outlay sources --json")
@common_options
def command(common: Common) -> None:
    """List the bill formats that Outlay reads, and what each needs."""
    from outlay.sources.bills import readers

    formats = [reader.format for reader in readers()]
    if common.as_json:
        show_json([{"id": f.id, "title": f.title, "needs": f.needs} for f in formats])
        return
    width = max(len(f.id) for f in formats)
    for f in formats:
        click.echo(f"{f.id:<{width}}  {f.title}\n{'':<{width}}  {f.needs}")
