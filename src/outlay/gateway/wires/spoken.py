"""What the body of a call says of how much it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Json", "Malformed", "Spoken", "count", "flag", "model_of", "table"]

Json = dict[str, Any]
_MOST = 2**31 - 1
"""Counts go into sums that are kept in 64 bits, and no provider makes so many tokens."""


class Malformed(ValueError):
    """A body that is no call: the caller is told what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """``max_tokens`` is the most output that the caller asked for, None where it named no number.

    ``choices`` answers are made of one input. ``not_inline`` says what of the input is not in the body as text, so that
    its bytes don't bound its tokens; ``media`` are the modalities that it may hold, ``output_media`` those of the
    answer. ``more_output`` tokens may be billed beyond the number asked for. ``rounds`` is how often the provider may
    run the model in this one call, and ``tools`` are the meters of what it then charges for. ``unbounded`` says why
    nobody can tell the most that the call may cost. A ``free`` one costs nothing, and is a request all the same.
    ``more_input`` tokens may be put into the prompt for what the body only names.
    """

    model: str
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1
    not_inline: str | None = None
    media: frozenset[str] = frozenset()
    output_media: frozenset[str] = frozenset()
    more_output: int = 0
    rounds: int = 1
    tools: tuple[str, ...] = ()
    has_output: bool = True
    unbounded: str | None = None
    free: bool = False
    more_input: int = 0

    @property
    def goes_once(self) -> bool:
        """Whether the input that a stream tells when it begins, and its output, are all that it may be billed for."""
        return self.rounds == 1 and not self.tools and not self.more_output


def model_of(body: Mapping[str, Any], named: str | None = None) -> str:
    """The model of a call: that of its path, which providers follow, else that of its body. Raises `Malformed`."""
    model = body.get("model") if named is None else named
    if not isinstance(model, str) or not model:
        raise Malformed("'model' is missing.")
    return model


def count(body: Mapping[str, Any], key: str, *, least: int = 1) -> int | None:
    """A whole number of a body, None where it is absent or null. Raises :class:`Malformed`."""
    value = body.get(key)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= _MOST:
        raise Malformed(f"'{key}' is {str(value)[:60]!r}, and must be a whole number from {least} to {_MOST:,}.")
    return value


def flag(body: Mapping[str, Any], key: str) -> bool:
    """A yes or no of a body: some servers take "true" and 1 for a yes, so anything else is refused."""
    value = body.get(key)
    if value is not None and value is not True and value is not False:
        raise Malformed(f"'{key}' is {str(value)[:60]!r}, and must be true or false.")
    return value is True


def table(body: Mapping[str, Any], *keys: str) -> Json:
    """An object of a body, empty where it is absent; ``keys`` are its spellings. Raises :class:`Malformed`."""
    found = [body[key] for key in keys if body.get(key) is not None]
    if len(found) > 1:
        raise Malformed(f"'{keys[0]}' is there twice: {', '.join(keys)}.")
    if found and not isinstance(found[0], dict):
        raise Malformed(f"'{keys[0]}' must be an object.")
    return found[0] if found else {}
