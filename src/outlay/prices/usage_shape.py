"""A dialect of usage: under which names a fact may stand, and what the names don't tell."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Path", "Shape", "Where", "paths"]


@dataclass(frozen=True, slots=True)
class Where:
    """A step into a list: its items whose ``key`` is one of ``values``. Their counts are added."""

    key: str
    values: tuple[str, ...]


Path = tuple[str | Where, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """One dialect. ``marks``: any of these keys tells it. ``paths``: fact -> where it may stand.

    Several paths of a fact are aliases of one number and never added. Facts are named as in
    :mod:`outlay.prices.usage`, fees as meters.
    """

    name: str
    marks: tuple[str, ...]
    paths: dict[str, tuple[Path, ...]]
    cache_outside_input: bool = False
    reasoning_outside_output: bool = False
    modality_outside_cache: bool = False
    parts_outside: bool = False
    """Whether ``input`` and ``output`` leave out every part that has a count of its own."""
    only_counts: bool = False
    """Whether all its numbers are counts, whatever their names end with."""
    adds_up: bool = False
    """Whether it counts many calls, so that their number is unknown where it is not told, and not 1."""


def paths(**facts: str) -> dict[str, tuple[Path, ...]]:
    """``cache_read="details.cached|cached"`` as paths: ``.`` steps down, ``|`` parts aliases."""
    return {fact: tuple(tuple(alias.split(".")) for alias in text.split("|")) for fact, text in facts.items()}
