"""``outlay quotas``: how the quotas of a running gateway stand, and its kill switches."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import click

from outlay.cli.common import Common, common_options, say, show_json
from outlay.errors import UsageError

_TIMEOUT = 5


@click.group("quotas", invoke_without_command=True, epilog="Example: outlay quotas")
@common_options
@click.pass_context
def command(context: click.Context, *, common: Common) -> None:
    """What is spent and held of every quota now, asked of the running gateway's admin port."""
    if context.invoked_subcommand is not None:
        return
    found = _ask(common, "GET", "/quotas")
    if common.as_json:
        show_json(found)
        return
    from rich.console import Console
    from rich.table import Table

    if not found["quotas"]:
        say("The settings have no [[quotas]].")
        return
    table = Table("quota", "of", "limit", "spent", "held", "left", "until", box=None, header_style="bold")
    for one in found["quotas"]:
        from decimal import Decimal

        left = Decimal(one["limit"]) - Decimal(one["spent"]) - Decimal(one["held"])
        shadow = " (shadow)" if one["mode"] == "shadow" else ""
        table.add_row(
            one["id"] + shadow,
            ", ".join(one["values"]),
            f"{one['limit']} {one['measure']}",
            one["spent"],
            one["held"],
            f"{left:f}",
            one["resets_at"][:16].replace("T", " "),
        )
    Console().print(table)


@command.command("stop", epilog="Example: outlay quotas stop team=search --why 'an agent loops'")
@click.argument("scope", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--why", default="", metavar="TEXT", help="What callers are told.")
@click.option("--id", "name", metavar="ID", help="What it is called, to take it back by (default: the scope).")
@common_options
def stop(*, scope: tuple[str, ...], why: str, name: str | None, common: Common) -> None:
    """Deny every call of a scope from now on: a team, a key, a model (`model=gpt-5*`), an upstream."""
    wanted = {}
    for one in scope:
        key, equals, value = one.partition("=")
        if not equals or not key or not value:
            raise UsageError(f"'{one}' is no scope.", hint="Write NAME=VALUE, e.g. team=search or model=gpt-5*.")
        wanted[key] = value
    said = {"id": name or ",".join(scope), "scope": wanted, "why": why}
    _shown(_ask(common, "POST", "/stops", said), common)


@command.command("resume", epilog="Example: outlay quotas resume team=search")
@click.argument("name", metavar="ID")
@common_options
def resume(*, name: str, common: Common) -> None:
    """Take a stop back."""
    _shown(_ask(common, "DELETE", f"/stops/{urllib.parse.quote(name, safe='')}"), common)


@command.command("stops", epilog="Example: outlay quotas stops")
@common_options
def stops(*, common: Common) -> None:
    """The stops that are on."""
    _shown(_ask(common, "GET", "/stops"), common)


def _shown(found: Any, common: Common) -> None:  # noqa: ANN401 - JSON
    if common.as_json:
        show_json(found)
    elif not found["stops"]:
        click.echo("Nothing is stopped.")
    else:
        for one in found["stops"]:
            scope = ", ".join(f"{name} = {' or '.join(values)}" for name, values in one["scope"].items())
            click.echo(f"{one['id']}: {scope}" + (f" - {one['why']}" if one["why"] else ""))


def _ask(common: Common, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
    """The admin port's answer. Raises :class:`UsageError`."""
    gateway = common.settings().gateway
    if gateway.admin_listen is None:
        raise UsageError("the settings have no admin port.", where="[gateway] admin_listen", hint="Give it one.")
    url = f"http://{gateway.admin_listen}{path}"
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode())
    request.add_header("content-type", "application/json")
    if token := os.environ.get(gateway.admin_token_env):
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - as above
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            said = json.load(error).get("error", error.reason)
        raise UsageError(f"{said}.", where=url) from None
    except OSError as error:
        why = getattr(error, "reason", error)
        raise UsageError(f"no gateway answers: {why}.", where=url, hint="Start it: outlay gateway") from None
