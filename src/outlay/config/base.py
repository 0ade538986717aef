"""What all settings are made of: frozen models without unknown keys, and exact numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["ExactDecimal", "Frozen", "Share", "ShownShare", "Values"]


class Frozen(BaseModel):
    """A section: it can't be changed once read, and an unknown key in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _exact(value: object) -> object:
    """TOML floats are binary; money in the file is written as a string or an integer."""
    if isinstance(value, float):
        raise ValueError(f'write the amount as a string, "{value}", so that it stays exact')
    return value


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _share(value: Decimal) -> Decimal:
    if not 0 <= value <= 1:
        raise ValueError(f"{value} is no share: write a number from 0 to 1, as text")
    return value


def _above_0(value: Decimal) -> Decimal:
    if not 0 < value <= 1:
        raise ValueError(f"{value} is no share above 0 and up to 1")
    return value


def _as_shown(value: object) -> object:
    """0.9 is a share that decides what happens and never money, so a float may stand for what it shows."""
    return Decimal(str(value)) if isinstance(value, float) else value


ExactDecimal = Annotated[Decimal, BeforeValidator(_exact)]
Values = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed), Field(min_length=1)]
"""One text or a list of some."""
Share = Annotated[Decimal, BeforeValidator(_exact), AfterValidator(_share)]
ShownShare = Annotated[Decimal, BeforeValidator(_as_shown), AfterValidator(_above_0)]
"""A share above 0, of what is not money."""
