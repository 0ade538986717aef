"""The seal of a document: a hash over everything in it, and a way to see what was changed.

    hash = SHA-256 of the document without its "hash", as canonical JSON

Canonical is RFC 8785's spelling: keys in order, no spaces, UTF-8. A document holds no floating-point numbers, so
nothing depends on how a number is printed, and any program can check it. Amounts, ratios and estimates are text.

``digests`` are the same over each part. They are under the hash as well, so that a change that does not mend them is
found and named; one that mends everything is another document with another hash. So it is the hash that is approved,
not the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from outlay.errors import UnreadableError
from outlay.optimize.commitments.sealed.purchase import canonical

__all__ = ["SCHEMA", "Verification", "exact", "load_document", "seal", "verify"]

SCHEMA = "outlay/commitment-plan/1"
_HASH, _DIGESTS = "hash", "digests"
_LONGEST = 256 << 20
_MAKE = "Make one: outlay commit plan --out FILE."


@dataclass(frozen=True, slots=True)
class Verification:
    """``said`` is the hash that the document has, ``found`` that of what it says; ``differences`` are sentences."""

    said: str | None
    found: str
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the document is what was sealed."""
        return self.said == self.found


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` with the digests of its parts and the hash of it all. It must be :func:`exact`."""
    assert _HASH not in content
    assert _DIGESTS not in content
    sealed = {**content, _DIGESTS: dict(_parts(content))}
    return {**sealed, _HASH: _digest(sealed)}


def verify(document: Mapping[str, Any]) -> Verification:
    """Whether ``document`` still has its hash, and if not, which parts differ."""
    content = {key: value for key, value in document.items() if key != _HASH}
    said, found = document.get(_HASH), _digest(content)
    if said == found:
        return Verification(found, found, ())
    return Verification(said if isinstance(said, str) else None, found, tuple(_differences(document)))


def load_document(path: Path) -> dict[str, Any]:
    """The document in ``path``, checked or not. :class:`UnreadableError` for what can't be one."""
    where = str(path)
    try:
        if path.stat().st_size > _LONGEST:
            raise UnreadableError("is too large for a plan.", where=where, hint=f"At most {_LONGEST >> 20} MiB.")
        found = json.loads(
            path.read_text(encoding="utf-8"),
            parse_float=_no_float,
            parse_constant=_no_float,
            object_pairs_hook=_each_key_once,
        )
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror}.", where=where) from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableError("is no plan: it is not JSON.", where=where, hint=_MAKE) from None
    except ValueError as error:
        raise UnreadableError(f"is no plan: {error}.", where=where, hint=_MAKE) from None
    if not isinstance(found, dict) or not str(found.get("schema", "")).startswith("outlay/commitment-plan/"):
        raise UnreadableError("is no plan.", where=where, hint=_MAKE)
    if found["schema"] != SCHEMA:
        raise UnreadableError(
            f"has the schema '{found['schema']}', and this version knows '{SCHEMA}'.",
            where=where,
            hint="Check it with the version of Outlay that made it.",
        )
    return found


def exact(value: Any) -> Any:  # noqa: ANN401 - JSON
    """``value`` as JSON without floats: an estimate becomes the shortest text that names it."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(key): exact(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [exact(one) for one in value]
    return value


def _digest(value: Any) -> str:  # noqa: ANN401 - JSON
    return hashlib.sha256(canonical(value)).hexdigest()


def _parts(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each field at the top; of a list also each entry: ``purchases[0]``."""
    for key, value in content.items():
        yield key, _digest(value)
        if isinstance(value, list):
            for number, one in enumerate(value):
                yield f"{key}[{number}]", _digest(one)


def _differences(document: Mapping[str, Any]) -> Iterator[str]:
    content = {key: value for key, value in document.items() if key not in (_HASH, _DIGESTS)}
    told, found = document.get(_DIGESTS), dict(_parts(content))
    if not isinstance(told, dict):
        yield "'digests' is missing, so what differs can't be named."
        return
    if not isinstance(document.get(_HASH), str):
        yield "'hash' is missing."
    named = False
    for part in sorted({*told, *found}):
        if told.get(part) == found.get(part) or f"{part}[0]" in {*told, *found}:
            continue
        named = True
        word = "was added" if part not in told else "was taken out" if part not in found else "was changed"
        yield f"'{part}' {word}."
    if not named and isinstance(document.get(_HASH), str):
        yield "Every part is as its digest says: the hash or the digests themselves were changed."


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key in found if sum(one == key for one, _ in pairs) > 1)
        raise ValueError(f"the key '{twice}' stands twice in one object")
    return found


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"it holds the number {text}, and a plan has whole numbers and text only")
