"""``outlay.toml``: the practice as code, one file for all.

Read once into frozen settings. An unknown key is an error that offers the nearest known one, because a misspelt
limit that is silently ignored is worse than none; so is a section that a later version will read. Every setting has a
default, so no file is needed to start.
"""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from outlay import __version__
from outlay.errors import ConfigError, nearest

__all__ = [
    "NOT_YET",
    "OverspendSettings",
    "PriceSettings",
    "Settings",
    "TagSettings",
    "TargetSettings",
    "TeamSettings",
    "load_settings",
]

NOT_YET = ("budgets", "quotas", "gateway")
"""Sections of the practice that a later version reads. Ignoring a budget in silence would be worse than refusing it."""


def _exact(value: object) -> object:
    """TOML floats are binary; money in the file is written as a string or an integer."""
    if isinstance(value, float):
        raise ValueError(f'write the amount as a string, "{value}", so that it stays exact')
    return value


def _apart(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Each tag becomes a column of the ledger, and columns are not told apart by case."""
    seen: dict[str, str] = {}
    for tag in tags:
        twin = seen.get(tag.casefold())
        if twin is not None:
            raise ValueError(
                f"'{twin}' and '{tag}' are one tag, because a tag is matched whatever its case; keep one of them"
            )
        seen[tag.casefold()] = tag
    return tags


ExactDecimal = Annotated[Decimal, BeforeValidator(_exact)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TagSettings(_Frozen):
    """``[tags]``: the allocation tags that become columns of the ledger, and what bills call them."""

    since: date | None = Field(None, description="first day from which the tags are required; no back-fill")
    required: Annotated[tuple[str, ...], AfterValidator(_apart)] = Field(
        ("model", "team", "use_case", "environment"), description="allocation tags"
    )
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="other keys that mean a tag")


class TeamSettings(_Frozen):
    """``[[teams]]``: who answers for a team's spend."""

    id: str
    engineering_lead: str | None = None
    finance: str | None = None


class PriceSettings(_Frozen):
    """``[prices]``: the user's own prices, laid over list prices."""

    tokens: tuple[Path, ...] = Field((), description="token price files, the last one wins; relative to this file")


class TargetSettings(_Frozen):
    """``[[targets]]``: what a KPI should be, for everything or for what ``where`` selects."""

    kpi: str = Field(description="id of a KPI")
    where: dict[str, str] = Field(
        default_factory=dict, description="dimension values that it holds for; everything unless given"
    )
    min: ExactDecimal | None = Field(None, description="least value that meets it")
    max: ExactDecimal | None = Field(None, description="largest value that meets it")


class OverspendSettings(_Frozen):
    """``[overspend]``: what the detectors take as given."""

    non_production: tuple[str, ...] = Field(
        ("dev", "development", "test", "testing", "qa", "staging", "sandbox", "nonprod", "non-production"),
        description="values of the environment tag that mean non-production",
    )
    working_days: tuple[int, ...] = Field((1, 2, 3, 4, 5), description="ISO weekdays on which non-production is needed")
    working_hours: tuple[int, int] = Field((7, 19), description="first hour and hour after the last, UTC")
    stable_weeks: int = Field(9, ge=2, description="full weeks of steady demand before a commitment is advised")
    stable_change: ExactDecimal = Field(
        Decimal("0.20"), description="largest week-over-week change that counts as steady"
    )
    minimum_saving: ExactDecimal = Field(Decimal(1), description="findings below this amount are left out")


class Settings(_Frozen):
    """The whole file."""

    currency: str = Field(
        "USD", pattern=r"^[A-Z]{3}$", description="currency of the report; amounts are never converted"
    )
    tags: TagSettings = Field(default_factory=TagSettings)
    teams: tuple[TeamSettings, ...] = ()
    prices: PriceSettings = Field(default_factory=PriceSettings)
    metrics: tuple[dict[str, Any], ...] = ()
    targets: tuple[TargetSettings, ...] = ()
    overspend: OverspendSettings = Field(default_factory=OverspendSettings)


def load_settings(path: Path | None = None) -> Settings:
    """Settings from ``path``; from ``./outlay.toml`` if ``path`` is None and that exists; else the defaults."""
    chosen = path or Path("outlay.toml")
    if path is None and not chosen.exists():
        return Settings()
    try:
        content = tomllib.loads(chosen.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}.", where=str(chosen), hint="Check --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not valid TOML: {error}.", where=str(chosen)) from None
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(error, content), where=str(chosen)) from None
    tokens = tuple(chosen.parent / path for path in settings.prices.tokens)
    return settings.model_copy(update={"prices": PriceSettings(tokens=tokens)}) if tokens else settings


def _explain(error: ValidationError, content: dict[str, Any]) -> str:
    sentences = []
    for fault in error.errors():
        *parents, last = [str(part) for part in fault["loc"]] or ["?"]
        key = ".".join([*parents, last])
        if fault["type"] == "extra_forbidden" and key in NOT_YET:
            sentences.append(
                f"'{key}' is not supported by this version yet ({__version__}). Take that section out of the file."
            )
        elif fault["type"] == "extra_forbidden":
            sentences.append(f"unknown key '{key}'. {nearest(last, _known_keys(parents))}")
        else:
            sentences.append(f"'{key}': {fault['msg']}.")
    return " ".join(sentences)


def _known_keys(parents: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in parents:
        if part.isdigit():
            continue
        inner = model.model_fields[part].annotation
        candidates = [inner, *getattr(inner, "__args__", ())]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
