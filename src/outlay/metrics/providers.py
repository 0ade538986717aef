"""Who a provider is, whatever it is called: one vocabulary for bills and usage, from ``definitions/providers.toml``.

A bill says "Amazon Web Services", a trace "aws.bedrock", a price list "aws". All are the one who bills, by the name
that FOCUS bills have: that is what the dimension ``provider`` says on every table, beside the columns as they came.

The trap: the maker of a model is not who sells it. Claude on Bedrock is AWS', GPT on Azure is Microsoft's; only so does
the cost per inference of a provider divide its bill by its own calls. A name that is not known stays as it is.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from outlay.ledger.engine.duckdb import literal
from outlay.prices import genai

__all__ = ["NAMED_BY", "PROVIDER", "billed_provider", "price_provider", "provider_name", "provider_sql", "value_of"]

PROVIDER = "provider"
"""The dimension."""

NAMED_BY = {"costs": '"ServiceProviderName"', "requests": "gen_ai_provider_name"}
"""The column of each table that names its provider."""


@dataclass(frozen=True, slots=True)
class _Provider:
    """An entry of ``providers.toml``."""

    name: str
    spellings: tuple[str, ...]
    prices: str | None = None
    services: tuple[str, ...] = ()


@cache
def _providers() -> tuple[_Provider, ...]:
    text = resources.files(__package__).joinpath("definitions/providers.toml").read_text(encoding="utf-8")
    return tuple(
        _Provider(one["name"], tuple(one["spellings"]), one.get("prices"), tuple(one.get("services", ())))
        for one in tomllib.loads(text)["providers"]
    )


@cache
def _by_spelling() -> dict[str, _Provider]:
    found: dict[str, _Provider] = {}
    for one in _providers():
        for spelling in (one.name.lower(), *one.spellings):
            if found.setdefault(spelling, one) is not one:
                raise ValueError(f"providers.toml: '{spelling}' is of {found[spelling].name} and of {one.name}")
    return found


def _known(name: str) -> _Provider | None:
    return _by_spelling().get(name.strip().lower())


def provider_name(name: str) -> str:
    """The provider's one name; ``name`` itself where it is not known."""
    known = _known(name)
    return name if known is None else known.name


def value_of(dimension: str, value: str) -> str:
    """What the dimension says where somebody writes ``value``: any spelling of a provider means it."""
    return provider_name(value) if dimension == PROVIDER else value


def provider_sql(column: str) -> str:
    """SQL of the provider's one name, given that of a column with any of its names.

    A look-up in a constant map: of a column of few values the engine looks up each value once, not each row.
    """
    pairs = ", ".join(f"{literal(spelling)}: {literal(one.name)}" for spelling, one in _by_spelling().items())
    return f"coalesce(map_extract_value(MAP {{{pairs}}}, lower(trim({column}))), {column})"


def price_provider(name: str) -> str:
    """The price list's id of a provider, by any of its names; its own name where the list does not know it."""
    known = _known(name)
    if known is not None and known.prices is not None:
        return known.prices
    return genai.provider_id(name) or provider_name(name).lower()


def billed_provider(provider: str, service: str) -> str:
    """The one name of who a bill's row is from: by its provider, or its service where that is not known."""
    if _known(provider) is not None:
        return provider_name(provider)
    low = service.lower()
    return next((one.name for one in _providers() if any(word in low for word in one.services)), provider)
