"""The secret of a virtual key: ``olk_<id>_<43 random characters><6 of checksum>``.

The 43 characters are a random number of 256 bits in base 62, so that a double click selects all of it. A number that
large can't be guessed however fast its hash is computed, which is why SHA-256 is kept of it and no slow password hash:
those make up for what people choose, and would cost each call milliseconds. The checksum is no secret; it lets a
scanner of source code tell a real key from a lookalike without asking anyone, and a person be told that a key was cut
off when it was copied. The id is in it, so that whoever finds one knows which to revoke.
"""

from __future__ import annotations

import re
import secrets
import zlib
from hashlib import sha256

__all__ = ["LONGEST", "PATTERN", "PREFIX", "Secret", "digest", "id_in", "is_well_formed", "new_id"]

PREFIX = "olk_"
PATTERN = r"olk_[a-z][a-z2-9]{9}_[0-9A-Za-z]{49}"
"""What a scanner looks for; :func:`is_well_formed` then checks the checksum."""
LONGEST = 128
"""Nothing longer than this is hashed: it is no key."""

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LETTERS = "abcdefghijkmnopqrstuvwxyz"
"""Without the l, which looks like a 1: ids are read out and typed."""
_WHOLE = re.compile(PATTERN, re.ASCII)
_ID = re.compile(r"(?:olk_)?([a-z][a-z2-9]{9})(?:_.*)?", re.ASCII | re.DOTALL)


class Secret:
    """A secret that was just made. It shows itself when :meth:`reveal` is called and never else."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def new(cls, id: str) -> Secret:
        """A secret that nobody has seen, for the key of this id."""
        body = f"{PREFIX}{id}_{_base62(secrets.randbits(256), 43)}"
        return cls(body + _checksum(body))

    def reveal(self) -> str:
        """The secret itself, to be shown once."""
        return self._text

    @property
    def digest(self) -> bytes:
        """What is kept of it."""
        return digest(self._text)

    @property
    def hint(self) -> str:
        """Its last four characters, to recognise it by. They are of the checksum."""
        return self._text[-4:]

    def __repr__(self) -> str:
        return f"Secret({PREFIX}{id_in(self._text)}_...)"


def new_id() -> str:
    """An id of 10 characters, 50 bits of chance: the first is a letter."""
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_LETTERS + "23456789") for _ in range(9))


def digest(secret: str | bytes) -> bytes:
    """SHA-256 of a secret."""
    return sha256(secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret).digest()


def is_well_formed(text: str) -> bool:
    """Whether it is a key that some Outlay made, going by its checksum."""
    return _WHOLE.fullmatch(text) is not None and _checksum(text[:-6]) == text[-6:]


def id_in(text: str) -> str | None:
    """The id in what a person gives for one: an id, or the secret that it is in."""
    found = _ID.fullmatch(text.strip())
    return found[1] if found else None


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), 6)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    assert number == 0, "the number needs more digits"
    return "".join(reversed(digits))
