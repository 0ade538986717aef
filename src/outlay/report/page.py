"""What every report shares: one HTML file with all of it inside, written whole or not at all.

The frame (``page.html.j2``) forbids the page any request and any script, and holds the styles. Text from elsewhere is
escaped, and what in it would hide or reorder characters is made visible, wherever a template prints it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from outlay.errors import UsageError
from outlay.money import plain
from outlay.report.wording import clean, count

__all__ = ["environment", "styles", "unbroken", "write_page"]

_NO_BREAK = "\N{NO-BREAK SPACE}"


def environment() -> Environment:
    """Templates with escaping on, and the filters that every report needs."""
    made = Environment(
        loader=PackageLoader("outlay.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters |= {"count": count, "exact": plain, "unbroken": unbroken}
    return made


def styles(made: Environment, names: Sequence[str]) -> str:
    """The style sheets of those names, one after the other."""
    assert made.loader is not None
    return "".join(made.loader.get_source(made, name)[0] for name in names)


def unbroken(text: str) -> str:
    """``text`` on one line."""
    return text.replace(" ", _NO_BREAK)


def write_page(path: Path, page: str) -> None:
    """Writes the file. Raises :class:`outlay.errors.UsageError` when ``path`` can't be written."""
    try:
        _replace(path, page)
    except OSError as error:
        raise UsageError(
            f"the report can't be written ({error.strerror}).",
            where=str(path),
            hint="Name a file in a folder that exists.",
        ) from error


def _replace(path: Path, page: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _finalize(value: object) -> object:
    """Every string that a template prints, without the characters that hide or reorder text.

    What has ``__html__`` is our own markup: escaped already, or declared safe in the template.
    """
    return clean(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
