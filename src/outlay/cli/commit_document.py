"""The document of ``outlay commit plan --out``, and ``outlay commit verify``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, show_json

if TYPE_CHECKING:
    from outlay.optimize.commitments.plan import Plan

__all__ = ["document_json", "last_purchases", "show_document", "verify_command", "write_plan"]

_NO = 1
_NEVER = "never"


def write_plan(
    plan: Plan,
    path: Path,
    *,
    currency: str,
    bought: dict[str, date | None],
    only: Sequence[str],
    problems: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Seals ``plan`` as of now and writes it to ``path``."""
    from outlay.optimize.commitments.sealed.document import plan_document, write_document

    created = datetime.now(UTC).replace(tzinfo=None)
    found = plan_document(plan, created=created, currency=currency, last_purchases=bought, only=only, problems=problems)
    write_document(found, path)
    return found


def last_purchases(given: Sequence[str], pools: Sequence[str]) -> dict[str, date | None]:
    """``H100=2026-11-01`` and ``*=never`` by pool; raises UsageError for what is neither, or for an unknown pool."""
    from outlay.errors import UsageError, nearest
    from outlay.optimize.commitments.offers.offer_file import EVERY_POOL
    from outlay.periods import parse_day

    where = "--last-purchase"
    found: dict[str, date | None] = {}
    for one in given:
        pool, sign, day = one.rpartition("=")
        if not sign:
            raise UsageError(f"'{one}' names no day.", where=where, hint=f"Write POOL=DATE, or POOL={_NEVER}.")
        if pool != EVERY_POOL and pool not in pools:
            raise UsageError(f"there is no pool '{pool}'.", where=where, hint=nearest(pool, pools))
        found[pool] = None if day == _NEVER else parse_day(day, name=where).date()
    return found


def document_json(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """What ``commit plan --json`` says of the document that it wrote."""
    kept = ("hash", "valid_until", "executable", "executable_why")
    return {"file": str(path), **{key: document[key] for key in kept}}


def show_document(document: dict[str, Any], path: Path) -> None:
    """The same on a terminal."""
    click.echo(f"\nWrote {path}, {_valid(document)}. Its hash: {document['hash']}")
    _show_state(document)


@click.command("verify", epilog="Example: outlay commit verify plan.json")
@click.argument("file", type=click.Path(path_type=Path))
@common_options
def verify_command(common: Common, file: Path) -> int:
    """Whether a plan's document is what was sealed; exits with 1 if not, and names what was changed.

    A document that was changed and sealed again has another hash: compare it with the one that was approved.
    """
    from outlay.optimize.commitments.sealed.seal import load_document, verify

    document = load_document(file)
    found = verify(document)
    if common.as_json:
        show_json({"ok": found.ok, "hash": found.said, "found": found.found, "differences": list(found.differences)})
    elif found.ok:
        click.echo(f"{file} is as it was sealed. Its hash: {found.found}")
        click.echo(f"Made {document['created']}, {_valid(document)}.")
        _show_state(document)
    else:
        click.echo(f"{file} is not what was sealed.")
        for one in found.differences:
            click.echo(f"  {one}")
        click.echo(f"Its hash says  {found.said}\nits content is {found.found}")
    return 0 if found.ok else _NO


def _valid(document: dict[str, Any]) -> str:
    """Until when it may be carried out; a day that is past says what to do."""
    until = document["valid_until"]
    if until >= datetime.now(UTC).date().isoformat():
        return f"valid until {until}"
    return f"which was valid until {until}: load newer demand and plan again before anything is bought"


def _show_state(document: dict[str, Any]) -> None:
    state = document["executable"]
    due = sum(one["due"] for one in document["purchases"])
    if state:
        click.echo(f"Every guardrail is passed. Purchases due: {due} of {len(document['purchases'])}.")
        return
    click.echo("Not executable." if state is False else "Not executable before this is known:")
    for why in document["executable_why"]:
        click.echo(f"  {why}")
