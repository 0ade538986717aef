"""``outlay quotas``: how the quotas of a running gateway stand, its kill switches, and holds that nobody settled."""

from __future__ import annotations

import json
import os
import textwrap
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from outlay.cli.common import Common, common_options, say, show_json
from outlay.errors import UsageError
from outlay.operate.quotas.declared import quotas_of
from outlay.operate.quotas.limit import REQUESTS, TOKENS

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
    _table(found["quotas"])
    if shadows := sorted({one["id"] for one in found["quotas"] if one["mode"] == "shadow"}):
        say(f"In shadow mode, so they deny nothing: {', '.join(shadows)}")
    standing = {one["id"] for one in found["quotas"]}
    declared = [quota.id for quota in quotas_of(common.settings().quotas)]
    if unused := [name for name in declared if name not in standing]:
        say(f"No call has come under these yet: {', '.join(unused)}")
    if not declared and not standing:
        say("The settings have no [[quotas]].")


def _table(quotas: Sequence[Mapping[str, Any]]) -> None:
    """One line a quota, and a value that it counts by itself, within 80 columns where the names are short."""
    from rich.console import Console
    from rich.table import Table

    if not quotas:
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("quota", overflow="fold")
    table.add_column("of", overflow="fold")
    table.add_column("limit", no_wrap=True)
    for name in ("spent", "held", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("until (UTC)", no_wrap=True)
    for one in quotas:
        spent, held, limit = (Decimal(one[name]) for name in ("spent", "held", "limit"))
        measure = one["measure"]
        table.add_row(
            one["id"],
            ", ".join(one["values"]),
            f"{_short(limit)} {measure}/{one['window'].partition(' ')[2]}",
            *(_shown(amount, measure) for amount in (spent, held, limit - spent - held)),
            f"{datetime.fromisoformat(one['resets_at']):%b %d %H:%M}",
        )
    Console().print(table)


def _short(limit: Decimal) -> str:
    """A limit as it may be written: 2M, 900."""
    for scale, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if limit and not limit % scale:
            return f"{limit / scale:,f}{letter}"
    return f"{limit.normalize():,f}"


def _shown(amount: Decimal, measure: str) -> str:
    """An amount for a person: whole counts, cents, and of less than a cent two digits. ``--json`` has all of them."""
    if measure in (REQUESTS, TOKENS):
        return f"{amount:,f}"
    if amount and abs(amount) < 1:
        places = max(2, 1 - amount.adjusted())
        return f"{amount:.{places}f}"
    return f"{amount:,.2f}"


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
    _stopped(_ask(common, "POST", "/stops", said), common)


@command.command("resume", epilog="Example: outlay quotas resume team=search")
@click.argument("name", metavar="ID")
@common_options
def resume(*, name: str, common: Common) -> None:
    """Take a stop back."""
    _stopped(_ask(common, "DELETE", f"/stops/{urllib.parse.quote(name, safe='')}"), common)


@command.command("stops", epilog="Example: outlay quotas stops")
@common_options
def stops(*, common: Common) -> None:
    """The stops that are on."""
    _stopped(_ask(common, "GET", "/stops"), common)


@command.command("holds", epilog="Example: outlay quotas holds")
@click.option("--all", "every", is_flag=True, help="Those of calls that may be under way too.")
@common_options
def holds(*, every: bool, common: Common) -> None:
    """What counts at its bound because nobody settled it: the gateway was killed, or lost it."""
    found = [one for one in _ask(common, "GET", "/holds")["holds"] if every or one["state"] != "under way"]
    if common.as_json:
        show_json({"holds": found})
    elif not found:
        click.echo("Every hold is settled." if not every else "Nothing is held.")
    for one in found if not common.as_json else ():
        said = one["attributes"]
        whose = ", ".join(said[name] for name in ("team", "key", "model", "upstream") if said.get(name))
        most = ", ".join(f"{amount} {measure}" for measure, amount in one["bound"].items() if measure != "requests")
        click.echo(f"{one['id']}  {one['state']:<9}  {one['at'][:16].replace('T', ' ')}")
        for line in textwrap.wrap(f"{whose}: at most {most or '1 request'}", 76):
            click.echo(f"  {line}")


@command.command("settle", epilog="Example: outlay quotas settle ID --cost 0.0123 --input 1200 --output 300")
@click.argument("name", metavar="ID")
@click.option("--cost", metavar="AMOUNT", help="What it cost, in the currency of its hold.")
@click.option("--input", "read", type=click.IntRange(0), metavar="N", help="Its tokens of input, cached ones too.")
@click.option("--output", "made", type=click.IntRange(0), metavar="N", help="Its tokens of output, reasoning too.")
@click.option("--none", "nothing", is_flag=True, help="The provider did nothing, and charges nothing.")
@common_options
def settle(*, name: str, cost: str | None, read: int | None, made: int | None, nothing: bool, common: Common) -> None:
    """Settle a hold by the provider's own report. What is not told stays at its bound."""
    told = {"cost": cost, "input": read, "output": made, "none": nothing or None}
    body = {key: value for key, value in told.items() if value is not None}
    if not body:
        raise UsageError("nothing is told of the hold.", hint="Give --cost, --input and --output, or --none.")
    found = _ask(common, "POST", f"/holds/{urllib.parse.quote(name, safe='')}", body)
    if common.as_json:
        show_json(found)
    else:
        listed = ", ".join(f"{amount} {measure}" for measure, amount in found["settled"].items())
        click.echo(f"Settled {found['id']}: {listed}.")


def _stopped(found: Any, common: Common) -> None:  # noqa: ANN401 - JSON
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
        with error, suppress(ValueError):  # what is no JSON comes from another server than the gateway's
            said = str(json.load(error)["error"])
            raise UsageError(f"{said.rstrip('.')}.", where=url) from None
        raise UsageError(f"it answers {error.code} {error.reason}.", where=url, hint="Is it the admin port?") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or reason
        raise UsageError(f"no gateway answers: {why}.", where=url, hint="Start it: outlay gateway") from None
