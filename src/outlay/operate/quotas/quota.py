"""A quota: a limit for what its scope selects.

A scope is written ``{ team = "search", model = "gpt-5*" }``: attributes of a call, all of which must fit; one value, a
list of some, or a beginning followed by ``*``. A sole ``*`` gives each value a count of its own, so that
``{ key = "*" }`` limits every key by itself. A call without the attribute counts under the empty value: nothing escapes
a quota by leaving a tag out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from outlay.errors import ConfigError
from outlay.operate.quotas.limit import Limit

__all__ = ["EACH", "Attributes", "Mode", "Quota", "Scope", "distinct"]

EACH = "*"
Attributes = Mapping[str, str]
"""What is known of a call: ``key``, ``team``, ``use_case``, ``environment``, ``model``, ``upstream`` and other tags."""

Mode = Literal["enforce", "shadow"]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls something is about: each attribute with the values that fit."""

    wanted: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, written: Mapping[str, str | Iterable[str]]) -> Scope:
        """A scope as it is written in the settings."""
        pairs = ((name, (value,) if isinstance(value, str) else tuple(value)) for name, value in written.items())
        return cls(tuple(sorted(pairs)))

    def fits(self, attributes: Attributes) -> bool:
        """Whether a call with these attributes is meant."""
        return all(_fits(attributes.get(name, ""), values) for name, values in self.wanted)

    def apart(self, attributes: Attributes) -> tuple[str, ...]:
        """The call's values of the attributes of which each value counts by itself."""
        return tuple(attributes.get(name, "") for name, values in self.wanted if values == (EACH,))

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes it asks for."""
        return tuple(name for name, _ in self.wanted)

    def __str__(self) -> str:
        return ", ".join(f"{name} = {' or '.join(values)}" for name, values in self.wanted) or "everything"


def _fits(value: str, wanted: tuple[str, ...]) -> bool:
    return any(value.startswith(one[:-1]) if one.endswith(EACH) else value == one for one in wanted)


@dataclass(frozen=True, slots=True)
class Quota:
    """``throttle_at`` is the share of the limit from which calls are slowed, by ``slowest`` milliseconds at most.

    In ``shadow`` mode what it would deny is told, and goes through.
    """

    id: str
    scope: Scope
    limit: Limit
    throttle_at: Decimal | None = None
    slowest: int = 10_000
    mode: Mode = "enforce"
    identity: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", self._identity())

    def _identity(self) -> str:
        """What its counts are kept under: they go on when the amount is changed, and start anew when the rest is."""
        window = self.limit.window
        said = [self.id, repr(self.scope.wanted), self.limit.measure, window.unit, str(window.count), window.kind]
        return f"{self.id}:{hashlib.sha256(chr(0).join(said).encode()).hexdigest()[:12]}"

    @property
    def throttle_from(self) -> int | None:
        """The amount from which calls are slowed."""
        return None if self.throttle_at is None else int(self.limit.amount * self.throttle_at)


def distinct(quotas: Iterable[Quota]) -> tuple[Quota, ...]:
    """The quotas, if no two have one id. Raises :class:`ConfigError`."""
    found: dict[str, Quota] = {}
    for one in quotas:
        if one.id in found:
            raise ConfigError(
                f"two quotas are called '{one.id}'.", where="[[quotas]]", hint="Give each an id of its own."
            )
        found[one.id] = one
    return tuple(found.values())
