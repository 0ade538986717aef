"""``outlay sources``: the formats that can be read."""

from __future__ import annotations

import click

from outlay.cli.common import Common, common_options, show_json

_KINDS = {
    "costs": "Bills",
    "requests": "What was asked of models",
    "gpu_usage": "What GPUs did",
    "runs": "Training runs and jobs",
    "commitments": "Commitments",
    "outcomes": "Business outcomes",
    "alerts": "Budget alerts",
}


@click.command("sources", epilog="Example: outlay sources --json")
@common_options
def command(common: Common) -> None:
    """List the formats that Outlay reads, the table each goes to, and what each needs."""
    from outlay.sources.find import fact_readers
    from outlay.sources.readers import readers

    formats = [(reader.format, "costs") for reader in readers()]
    formats += [(reader.format, reader.table.name) for reader in fact_readers()]
    if common.as_json:
        show_json([{"id": f.id, "title": f.title, "needs": f.needs, "table": table} for f, table in formats])
        return
    for name in dict.fromkeys(table for _, table in formats):
        click.echo(f"{_KINDS[name]}, into {name}:")
        for f, table in formats:
            if table == name:
                click.echo(f"  {f.id}: {f.title}\n      {f.needs}")
        click.echo()
