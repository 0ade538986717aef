"""A virtual key: what a caller shows instead of the provider's own key, and what it stands for.

It carries the tags that its calls are counted under, the models and upstreams that it may use, and when it ends. Where
it has several secrets, the last is the current one and those before it were replaced by a rotation: they work until
their own end, so that nobody has to change a key everywhere at one instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from outlay.errors import UsageError
from outlay.operate.quotas.quota import Attributes, Scope

__all__ = ["RESERVED", "SOON", "KeySecret", "NewKey", "State", "VirtualKey", "checked_text"]

SOON = timedelta(days=7)
"""A key that ends within this is listed as one that expires soon."""
RESERVED = ("key", "model", "upstream")
"""Attributes of a call that no tag may pass itself off as."""

State = Literal["active", "rotating", "expires soon", "expired", "revoked"]

_MOST_TAGS = 32
_MOST_PATTERNS = 100
_LONGEST_NAME = 200
_LONGEST_TAG = 64
_LONGEST_VALUE = 256


@dataclass(frozen=True, slots=True)
class KeySecret:
    """One secret of a key, as far as it is known: its last characters, and when it ends before the key does."""

    hint: str
    created: datetime
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """A key as it stands. Without ``models`` or ``upstreams`` all may be used; times are naive UTC."""

    id: str
    name: str
    tags: Mapping[str, str]
    models: tuple[str, ...]
    upstreams: tuple[str, ...]
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    rotated: datetime | None = None
    secrets: tuple[KeySecret, ...] = ()

    @property
    def attributes(self) -> Attributes:
        """What quotas see of it: its tags, and its id as ``key``."""
        return {**self.tags, "key": self.id}

    @property
    def hint(self) -> str:
        """The last characters of its current secret."""
        return self.secrets[-1].hint

    def old_until(self, now: datetime) -> datetime | None:
        """Until when a secret that was replaced still works; None where none does."""
        return max((one.ends for one in self.secrets if one.ends is not None and one.ends > now), default=None)

    def state(self, now: datetime) -> State:
        """What it is to be listed as. What ends a key comes before what is said of one that works."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        if self.expires is not None and self.expires - now <= SOON:
            return "expires soon"
        return "active" if self.old_until(now) is None else "rotating"

    def barred(self, *, model: str, upstream: str | None = None) -> str | None:
        """Why a call to this model, at this upstream, is not what the key is for; None where it may go."""
        if self.models and not Scope((("model", self.models),)).fits({"model": model}):
            return f"the key {self.id} is not for the model '{model}', but for {' or '.join(self.models)}"
        wanted = Scope((("upstream", self.upstreams),))
        if self.upstreams and upstream is not None and not wanted.fits({"upstream": upstream}):
            return f"the key {self.id} is not for the upstream '{upstream}', but for {' or '.join(self.upstreams)}"
        return None


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to be, checked: text is printable and not too long. Raises :class:`UsageError`."""

    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    expires: datetime | None = None

    def __post_init__(self) -> None:
        checked_text(self.name, "the name", _LONGEST_NAME, empty=True)
        _checked_tags(self.tags)
        _checked_patterns(self.models, "the models")
        _checked_patterns(self.upstreams, "the upstreams")


def checked_text(text: str, what: str, longest: int = _LONGEST_NAME, *, empty: bool = False) -> str:
    """Text that a terminal, a log and a header can show as it is. Raises :class:`UsageError`."""
    if not empty and not text.strip():
        raise UsageError(f"{what} is empty.", hint="Leave it out, or give a value.")
    if not text.isprintable():
        raise UsageError(
            f"{what} has a character that can't be printed: {text[:longest]!a}.",
            hint="Line breaks, control characters and invisible ones are not allowed; any script is.",
        )
    if len(text) > longest:
        raise UsageError(f"{what} has {len(text):,} characters, and {longest} are allowed.", hint="Shorten it.")
    return text


def _checked_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise UsageError(f"a key has {_MOST_TAGS} tags at most, not {len(tags)}.", hint="Leave some out.")
    seen: dict[str, str] = {}
    for name, value in tags.items():
        checked_text(name, "a tag's name", _LONGEST_TAG)
        checked_text(value, f"the tag '{name}'", _LONGEST_VALUE)
        folded = "".join(letter for letter in name.casefold() if letter.isalnum())
        if folded in RESERVED:
            raise UsageError(f"'{name}' can't be a tag of a key.", hint="It is what the call itself says.")
        if folded in seen:
            raise UsageError(f"'{seen[folded]}' and '{name}' are one tag.", hint="Keep one of them.")
        seen[folded] = name


def _checked_patterns(patterns: Sequence[str], what: str) -> None:
    if len(patterns) > _MOST_PATTERNS:
        raise UsageError(
            f"{what} are {len(patterns)}, and {_MOST_PATTERNS} are allowed.", hint="Write beginnings: gpt-5*"
        )
    for one in patterns:
        checked_text(one, what)
        if "*" in one[:-1]:
            raise UsageError(
                f"'{one}' has a * before its end.", hint="Write a whole name, or a beginning followed by *: gpt-5*"
            )
