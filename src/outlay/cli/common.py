"""What commands share: the common options, JSON on stdout, progress on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from outlay.config import Settings
    from outlay.ledger.store import Ledger


__all__ = ["Common", "common_options", "now", "progress", "say", "show_json", "shown_path"]

_F = TypeVar("_F", bound=Callable[..., Any])
_DEFAULT_LEDGER = "outlay-ledger"


class Common:
    """The three options that every command has."""

    def __init__(self, ledger: Path | None, config: Path | None, as_json: bool) -> None:
        self.ledger_named = ledger is not None or "OUTLAY_LEDGER" in os.environ
        self.ledger_path = ledger or Path(os.environ.get("OUTLAY_LEDGER", _DEFAULT_LEDGER))
        self.as_json = as_json
        self._config = config

    def settings(self) -> Settings:
        """``--config``, else ``./outlay.toml`` if there is one, else the defaults."""
        from outlay.config import load_settings

        return load_settings(self._config)

    @property
    def settings_file(self) -> Path:
        """Where the settings are read from; it may not be there."""
        return self._config or Path("outlay.toml")

    @property
    def folder(self) -> Path:
        """Where the settings file lies: relative paths in it start there."""
        return Path() if self._config is None else self._config.parent

    def ledger(self) -> Ledger:
        """The ledger folder that was named."""
        from outlay.ledger.store import Ledger

        return Ledger(self.ledger_path)


def common_options(function: _F) -> _F:
    """Adds ``--ledger``, ``--config`` and ``--json``; the command gets them as one ``common`` argument."""

    def wrapped(*args: object, ledger: Path | None, config: Path | None, as_json: bool, **rest: object) -> object:
        return function(*args, common=Common(ledger, config, as_json), **rest)

    wrapped.__name__ = function.__name__
    wrapped.__doc__ = function.__doc__
    wrapped.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    path = click.Path(path_type=Path)
    options = (
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there."),
        click.option("--config", type=path, help="Settings file (default: ./outlay.toml if there is one)."),
        click.option("--ledger", type=path, help="Ledger folder (default: $OUTLAY_LEDGER, else ./outlay-ledger)."),
    )
    for option in options:
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def show_json(document: object) -> None:
    """The one JSON document of a ``--json`` run."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    click.echo(text, err=True)


def now() -> datetime:
    """The clock, naive UTC: read here and nowhere further in."""
    return datetime.now(UTC).replace(tzinfo=None)


def shown_path(path: str) -> str:
    """A bill's path as a person looks for it: from the current folder if it lies in it, else the file's name alone.

    A relative path was relative to where the load ran, so it is kept only if it leads to a file from here too.
    """
    here = Path.cwd()
    full = here / path
    return str(full.relative_to(here)) if full.is_relative_to(here) and full.exists() else full.name


@contextmanager
def progress(common: Common) -> Iterator[Callable[[str], None]]:
    """A status line on stderr while work goes on; silent when stderr is not a terminal or with ``--json``."""
    if common.as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update
