"""Where a public catalogue is read from: a file, or a URL through the standard library.

Nothing is fetched but what a person names. The lines come as a stream, since AWS' price list of one region has hundreds
of megabytes. The trap is a download that breaks off: the socket ends as a whole file does, so the announced length is
compared with what came.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.request import Request, urlopen

from outlay.errors import UnreadableError, UsageError

__all__ = ["is_url", "opened"]

_PATIENCE = 60
"""Seconds without a byte."""


def is_url(where: str) -> bool:
    """Whether ``where`` is fetched rather than opened. Raises :class:`UsageError` for a scheme that is not HTTP."""
    scheme, found, _ = where.partition("://")
    if found and scheme.casefold() not in ("http", "https"):
        raise UsageError(f"'{scheme}' can't be fetched.", where=where, hint="Give an http(s) URL or a file.")
    return bool(found)


@contextmanager
def opened(where: str) -> Iterator[Iterable[str]]:
    """The lines of a file or URL; bytes that are no UTF-8 are replaced. Raises :class:`UnreadableError`."""
    hint = "Check the address, or download it and give the file." if is_url(where) else "Check the path."
    try:
        if is_url(where):
            with _fetched(where) as response:
                yield io.TextIOWrapper(response, encoding="utf-8-sig", errors="replace", newline="")
                if response.length:
                    raise OSError(f"the download broke off {response.length:,} bytes before its end")
        else:
            with Path(where).open(encoding="utf-8-sig", errors="replace", newline="") as file:
                yield file
    except (OSError, HTTPException) as error:
        raise UnreadableError(f"can't be read: {error}.", where=where, hint=hint) from None


def _fetched(url: str) -> HTTPResponse:
    try:
        request = Request(url, headers={"User-Agent": "outlay"})  # noqa: S310 - is_url lets HTTP through alone
        response: HTTPResponse = urlopen(request, timeout=_PATIENCE)  # noqa: S310 - the same
    except ValueError as error:
        raise UsageError(f"is no address: {error}.", where=url, hint="Give an http(s) URL or a file.") from None
    return response
