"""What a source is called: whose bills or facts they are, as the ledger's folders name it."""

from __future__ import annotations

import re
from functools import lru_cache

from outlay.errors import UsageError

__all__ = ["check_source", "source_slug"]


@lru_cache(maxsize=10_000)
def source_slug(account: str | None) -> str:
    """The source name of an account: its last path component, in characters that any file system takes."""
    if account is None:
        return "no-account"
    last = account.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^a-z0-9._-]+", "-", last.lower()).strip("-.") or "no-account"


def check_source(source: str | None) -> None:
    """Raise :class:`UsageError` for a name that no folder can have."""
    if source is not None and source_slug(source) != source:
        raise UsageError(
            f"'{source}' can't be a source name.",
            where="--source",
            hint=f"Use lower-case letters, digits, '.', '_' and '-', e.g. '{source_slug(source)}'.",
        )
