"""``outlay keys``: the virtual keys that callers show to the gateway."""

from __future__ import annotations

import getpass
import os
import re
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, now, say, show_json
from outlay.errors import UsageError

if TYPE_CHECKING:
    from outlay.operate.keys.store import Issued, KeyStore
    from outlay.operate.keys.virtual_key import VirtualKey

_BROKEN_LOG = 1
_SPAN = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group("keys", epilog="Example: outlay keys create --team search --use-case chat --environment prod")
def command() -> None:
    """Virtual keys of the gateway: make, list, rotate and revoke them.

    They are kept in the database that [gateway] keys names, only as hashes: a key is shown once, when it is made.
    """


def _me() -> str:
    """The user of this system; in a container there may be a number alone."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


_BY = click.option("--by", metavar="WHO", default=_me, help="Who does it, for the log (default: you).")


@command.command("create", epilog="Example: outlay keys create --team search --use-case chat --environment prod")
@click.option("--team", metavar="T", help="Whose calls these are: the tag team.")
@click.option("--use-case", metavar="U", help="What they are for: the tag use_case.")
@click.option("--environment", metavar="E", help="Where they come from: the tag environment.")
@click.option("--tag", "more", metavar="NAME=VALUE", multiple=True, help="Another tag; repeatable.")
@click.option("--name", default="", metavar="TEXT", help="What the key is called in lists.")
@click.option("--model", "models", metavar="PATTERN", multiple=True, help="Only this model, or gpt-5*; repeatable.")
@click.option("--upstream", "upstreams", metavar="ID", multiple=True, help="Only this upstream; repeatable.")
@click.option("--expires", metavar="WHEN", help="When it ends: 90d, 12h, or a date (UTC); else never.")
@click.option("--allow-missing-tags", is_flag=True, help="Without required tags: each call has to bring them itself.")
@_BY
@common_options
def create(
    *,
    more: tuple[str, ...],
    name: str,
    models: tuple[str, ...],
    upstreams: tuple[str, ...],
    expires: str | None,
    allow_missing_tags: bool,
    by: str,
    common: Common,
    **own: str | None,
) -> None:
    """Make a key and show it, once.

    Its calls are counted under its tags. Those that [tags] required or [gateway] required_tags name must be given.
    """
    from outlay.operate.keys.place import required_tags
    from outlay.operate.keys.virtual_key import NewKey

    settings = common.settings()
    tags = _tags(own, more)
    missing = [tag for tag in required_tags(settings) if tag not in tags]
    if missing and not allow_missing_tags:
        raise UsageError(
            f"the key lacks required tags: {', '.join(missing)}.",
            hint=f"Give {' '.join(option_of(tag) for tag in missing)}; or --allow-missing-tags, if calls bring them.",
        )
    at = now()
    new = NewKey(name, tags, models, upstreams, _when(expires, at))
    with closing(_open(common, at, create=True)) as keys:
        issued = keys.create(new, now=at, by=by)
    if common.as_json:
        show_json({"id": issued.key.id, "key": issued.secret.reveal(), **_described(issued.key, at)})
    else:
        _show_secret(issued)
        if missing:
            say(f"Each call has to bring {', '.join(missing)} itself, in headers.")


@command.command("list", epilog="Example: outlay keys list")
@common_options
def listed(*, common: Common) -> None:
    """All keys, the newest first, with their state; never a secret.

    A key is active, rotating (a secret that was replaced still works), expires soon (within 7 days), expired, revoked.
    """
    from outlay.operate.keys.place import shown_place

    at = now()
    store = _open_if_there(common, at)
    found: list[VirtualKey] = []
    if store is not None:
        with closing(store) as keys:
            found = keys.all_keys()
    if common.as_json:
        show_json({"keys": [{"id": key.id, **_described(key, at)} for key in found]})
    elif found:
        _show_keys(found, at)
    else:
        say(f"No keys yet in {shown_place(common.settings(), common.folder)}. `outlay keys create` makes one.")


@command.command("revoke", epilog="Example: outlay keys revoke kq3v7n2mxa")
@click.argument("key_id", metavar="ID")
@click.option("--why", default="", metavar="TEXT", help="The reason, for the log.")
@_BY
@common_options
def revoke(*, key_id: str, why: str, by: str, common: Common) -> None:
    """End a key at once and for good. A running gateway refuses it within about two seconds."""
    at = now()
    with closing(_open(common, at)) as keys:
        key = keys.revoke(key_id, now=at, by=by, why=why)
    if common.as_json:
        show_json({"id": key.id, **_described(key, at)})
    else:
        already = "already " if key.revoked != at else ""
        click.echo(f"{key.id} was {already}revoked at {_shown(key.revoked)}.")


@command.command("rotate", epilog="Example: outlay keys rotate kq3v7n2mxa --grace 48h")
@click.argument("key_id", metavar="ID")
@click.option(
    "--grace", default="24h", show_default=True, metavar="TIME", help="How long the old secret works on; 0: it leaked."
)
@click.option("--expires", metavar="WHEN", help="A new end of the key: 90d, or a date (UTC); else it stays.")
@_BY
@common_options
def rotate(*, key_id: str, grace: str, expires: str | None, by: str, common: Common) -> None:
    """A new secret for a key, shown once. The old one works until the grace ends, so there is no gap."""
    at = now()
    span = timedelta(0) if grace == "0" else _span(grace, "--grace")
    if span is None:
        raise UsageError(f"'{grace}' is no time.", where="--grace", hint="Write it as 24h, 30m or 7d; 0 for none.")
    with closing(_open(common, at)) as keys:
        issued = keys.rotate(key_id, now=at, by=by, grace=span, expires=_when(expires, at))
    if common.as_json:
        show_json({"id": issued.key.id, "key": issued.secret.reveal(), **_described(issued.key, at)})
    else:
        _show_secret(issued)
        until = issued.key.old_until(at)
        say(
            "The secret before it works no more."
            if until is None
            else f"The one before it works until {_shown(until)}."
        )


@command.command("audit", epilog="Example: outlay keys audit")
@common_options
def audit(*, common: Common) -> int:
    """Who did what to which key, oldest first, and whether the log is whole.

    Each entry has the hash of the one before it in its own. The exit status is 1 where they do not fit.
    """
    at = now()
    with closing(_open(common, at)) as keys:
        entries, intact = keys.audit()
    if common.as_json:
        found = [
            {
                "number": one.number,
                "at": _iso(one.at),
                "who": one.who,
                "action": one.action,
                "id": one.key_id,
                "detail": dict(one.detail),
                "hash": one.hash,
                "intact": one.intact,
            }
            for one in entries
        ]
        show_json({"intact": intact, "entries": found})
    else:
        for one in entries:
            odd = "" if one.intact else "  (does not fit)"
            click.echo(f"{one.number}  {_shown(one.at)}  {one.who}  {one.action} {one.key_id}{odd}")
        if not intact:
            say("The log was changed: entries are missing or say something else than they did.")
    return 0 if intact else _BROKEN_LOG


def _open(common: Common, at: datetime, *, create: bool = False) -> KeyStore:
    from outlay.operate.keys.place import open_keys

    return open_keys(common.settings(), common.folder, now=at, create=create)


def _open_if_there(common: Common, at: datetime) -> KeyStore | None:
    """None where no key was ever made: then there is no file."""
    from outlay.operate.keys.place import is_there

    settings = common.settings()
    return _open(common, at) if is_there(settings, common.folder) else None


def _tags(own: dict[str, str | None], more: tuple[str, ...]) -> dict[str, str]:
    tags = {name: value for name, value in own.items() if value is not None}
    for one in more:
        name, equals, value = one.partition("=")
        if not equals:
            raise UsageError(f"{one!a} is no tag.", where="--tag", hint="Write NAME=VALUE: --tag cost_center=4711")
        if name in tags:
            raise UsageError(f"the tag '{name}' is given twice.", where="--tag", hint="Keep one of them.")
        tags[name] = value
    return tags


def option_of(tag: str) -> str:
    """How a tag is given on the command line."""
    own = {"team": "--team T", "use_case": "--use-case U", "environment": "--environment E"}
    return own.get(tag, f"--tag {tag}=VALUE")


def _when(text: str | None, at: datetime) -> datetime | None:
    from outlay.periods import parse_day

    if text is None:
        return None
    span = _span(text, "--expires")
    if span is None:
        return parse_day(text, name="--expires")
    try:
        return at + span
    except OverflowError:
        raise UsageError(f"'{text}' is too far off.", where="--expires", hint="Leave it out for no end.") from None


def _span(text: str, option: str) -> timedelta | None:
    found = _SPAN.fullmatch(text)
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    except OverflowError:
        raise UsageError(f"'{text}' is too long.", where=option, hint="Write it as 24h or 90d.") from None


def _described(key: VirtualKey, at: datetime) -> dict[str, Any]:
    return {
        "name": key.name,
        "state": key.state(at),
        "tags": dict(key.tags),
        "models": list(key.models),
        "upstreams": list(key.upstreams),
        "created": _iso(key.created),
        "expires": _iso(key.expires),
        "rotated": _iso(key.rotated),
        "old_until": _iso(key.old_until(at)),
        "revoked": _iso(key.revoked),
        "hint": key.hint,
    }


def _show_secret(issued: Issued) -> None:
    click.echo(issued.secret.reveal())
    say(f"This is the key {issued.key.id}. Store it now: it is not shown again, and only its hash is kept.")


def _show_keys(found: list[VirtualKey], at: datetime) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "state", "until (UTC)", "ends in"):
        table.add_column(name, no_wrap=True)
    for name in ("name", "tags", "for"):
        table.add_column(name, overflow="fold")
    for key in found:
        state = key.state(at)
        until = {"rotating": key.old_until(at), "revoked": key.revoked}.get(state, key.expires)
        cells = (
            key.id,
            state,
            "" if until is None else f"{until:%Y-%m-%d %H:%M}",
            key.hint,
            key.name,
            ", ".join(f"{name}={value}" for name, value in key.tags.items()),
            ", ".join((*key.models, *key.upstreams)) or "all models",
        )
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"
