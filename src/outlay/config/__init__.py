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

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from outlay import __version__
from outlay.config.base import ExactDecimal, Frozen, Share, Values
from outlay.config.gateway import CacheSettings, GatewaySettings, QuotaSettings, UpstreamSettings
from outlay.config.routing import RouteSettings
from outlay.errors import ConfigError, nearest

__all__ = [
    "MOST_MISSING_HOURS",
    "NOT_YET",
    "AllocationSettings",
    "AllocationWhen",
    "CacheSettings",
    "CommitmentSettings",
    "GatewaySettings",
    "GuardrailSettings",
    "OverspendSettings",
    "PoolSettings",
    "PriceSettings",
    "QuotaSettings",
    "RouteSettings",
    "ScenarioSettings",
    "Settings",
    "TagSettings",
    "TargetSettings",
    "TeamSettings",
    "UpstreamSettings",
    "load_settings",
]

NOT_YET = ("budgets",)
"""Sections of the practice that a later version reads. Ignoring a budget in silence would be worse than refusing it."""
MOST_MISSING_HOURS = 42
"""Most hours that a week may lack and still count: a quarter. The mean of less is no week's."""


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


class TagSettings(Frozen):
    """``[tags]``: the allocation tags that become columns of the ledger, and what bills call them."""

    since: date | None = Field(None, description="first day from which the tags are required; no back-fill")
    required: Annotated[tuple[str, ...], AfterValidator(_apart)] = Field(
        ("model", "team", "use_case", "environment"), description="allocation tags"
    )
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="other keys that mean a tag")


class TeamSettings(Frozen):
    """``[[teams]]``: who answers for a team's spend."""

    id: str
    engineering_lead: str | None = None
    finance: str | None = None


class AllocationWhen(Frozen):
    """``when`` of ``[[allocations]]``: what a row must say. All keys that are given; of a list, any one value."""

    api_key: Values = Field((), description="id or name of the API key")
    project: Values = Field((), description="project, workspace or deployment at the provider")
    account: Values = Field((), description="billing account or organisation; of runs, what they were charged to")
    sub_account: Values = Field((), description="AWS account, Azure subscription, Google Cloud project")
    resource: Values = Field((), description="ResourceId of a bill's row")
    provider: Values = Field((), description="provider, in any spelling")
    service: Values = Field((), description="the provider's service, or the product that called")
    model: Values = Field((), description="the provider's model id; of calls the model that answered")
    region: Values = Field((), description="region")
    user: Values = Field((), description="who called, or who ran it")
    host: Values = Field((), description="host or node of a GPU")
    namespace: Values = Field((), description="Kubernetes namespace, or Slurm account")
    holder: Values = Field((), description="pod, job or process that held a GPU")
    experiment: Values = Field((), description="experiment, job group or partition of a run")
    source: Values = Field((), description="whose bill or facts")

    @property
    def given(self) -> dict[str, tuple[str, ...]]:
        """The keys that are given, with their values."""
        return {name: getattr(self, name) for name in type(self).model_fields if getattr(self, name)}


class AllocationSettings(Frozen):
    """``[[allocations]]``: whose the rows are that carry no tag themselves. The first entry that fits, for each tag."""

    when: AllocationWhen = Field(description="what a row must say")
    set: dict[str, str] = Field(min_length=1, description='values of tags, e.g. { team = "search" }')

    @field_validator("when")
    @classmethod
    def _says_something(cls, when: AllocationWhen) -> AllocationWhen:
        if not when.given:
            raise ValueError('says nothing, so it would fit every row; give e.g. { api_key = "key_abc" }')
        return when

    @field_validator("set")
    @classmethod
    def _has_values(cls, tags: dict[str, str]) -> dict[str, str]:
        empty = [name for name, value in tags.items() if not value.strip()]
        if empty:
            raise ValueError(f"gives '{empty[0]}' no value")
        return tags


class PriceSettings(Frozen):
    """``[prices]``: the user's own prices, laid over list prices."""

    tokens: tuple[Path, ...] = Field((), description="token price files, the last one wins; relative to this file")
    gpus: tuple[Path, ...] = Field((), description="tables of GPU prices that plans read; relative to this file")


class TargetSettings(Frozen):
    """``[[targets]]``: what a KPI should be, for everything or for what ``where`` selects."""

    kpi: str = Field(description="id of a KPI")
    where: dict[str, str] = Field(
        default_factory=dict, description="dimension values that it holds for; everything unless given"
    )
    min: ExactDecimal | None = Field(None, description="least value that meets it")
    max: ExactDecimal | None = Field(None, description="largest value that meets it")


class OverspendSettings(Frozen):
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


class ScenarioSettings(Frozen):
    """``[[commitments.scenarios]]``: a change of regime that no history of weeks shows; an assumption of yours."""

    name: str
    factor: ExactDecimal = Field(gt=0, description="what the pool's demand is multiplied by from then on")
    per_year: ExactDecimal = Field(ge=0, description="how often a year it strikes a pool, on average")


class PoolSettings(Frozen):
    """``[[commitments.pools]]``: what the demand of a pool does not show."""

    pool: str = Field(description="the pool's name; '*' is every pool")
    workload: str | None = Field(None, description="training, inference, ...; else the last part of the pool's name")
    price_decline: Share | None = Field(
        None, description="share by which its on-demand price falls a month; else what dated prices tell"
    )
    successor: str | None = Field(None, description="the hardware that will do the same work")
    successor_from: date | None = Field(None, description="when it can be bought")
    successor_price: ExactDecimal | None = Field(
        None, ge=0, description="its price for the work of one GPU-hour of this pool, in the offers' currency"
    )
    successor_speed: ExactDecimal | None = Field(
        None, gt=0, description="work of its hour against one of this GPU's; divides its dated price"
    )

    @model_validator(mode="after")
    def _one_successor(self) -> PoolSettings:
        if self.successor_speed is not None and self.successor is None:
            raise ValueError("successor_speed needs successor, the GPU whose dated price it divides")
        if self.successor_speed is not None and self.successor_price is not None:
            raise ValueError("successor_price and successor_speed both price the successor's work; keep one")
        return self


class GuardrailSettings(Frozen):
    """``[commitments.guardrails]``: what no plan may pass, whatever it would save."""

    max_total: ExactDecimal | None = Field(None, description="most money that one plan may bind, over all terms")
    max_hourly: ExactDecimal | None = Field(None, description="most money that one plan may bind per hour")
    max_term_months: int = Field(36, ge=1, description="longest term")
    families: tuple[str, ...] = Field((), description="GPU families that may be committed to; all unless given")
    coverage_ceiling: Share = Field(Decimal("0.80"), description="most of a pool's demand that may be committed")
    cooldown_days: int = Field(7, ge=0, description="days between two purchases for a pool: bills lag by 1 to 2 days")
    spike: Share = Field(
        Decimal("0.20"), description="last 14 days above the last 90 by this share or more: no purchase on a spike"
    )
    valid_days: int = Field(7, ge=1, description="days after which a plan must be made again before it is bought")


class CommitmentSettings(Frozen):
    """``[commitments]``: when to commit, how much, and at what risk."""

    max_change: Share = Field(Decimal("0.20"), description="largest week-over-week change that counts as stable")
    recent_days: int = Field(30, ge=14, description="days in which that rule must hold before every purchase")
    history_days: int = Field(60, ge=14, description="days of production before a first commitment")
    long_history_days: int = Field(90, ge=14, description="days of production before one of more than a year")
    week_missing_hours: int = Field(
        0,
        ge=0,
        le=MOST_MISSING_HOURS,
        description="hours that a week may lack and still count; its mean is over the known ones",
    )
    coverage_cap: Share = Field(Decimal("0.70"), description="share of demand that is committed at most")
    ladder_months: int = Field(3, ge=1, le=24, description="monthly purchases that a recommendation is split into")
    max_loss_probability: Share = Field(
        Decimal("0.20"), description="largest probability of losing money over the term that is accepted"
    )
    cost_of_capital: Share = Field(Decimal(0), description="what money paid upfront would earn elsewhere, a year")
    offers: Path | None = Field(None, description="what is for sale, TOML or CSV; relative to this file")
    scenarios: tuple[ScenarioSettings, ...] | None = Field(
        None, description="changes of regime; unless given, three with one chance in ten a year each"
    )
    pools: tuple[PoolSettings, ...] = ()
    guardrails: GuardrailSettings = Field(default_factory=GuardrailSettings)


class Settings(Frozen):
    """The whole file."""

    currency: str = Field(
        "USD", pattern=r"^[A-Z]{3}$", description="currency of the report; amounts are never converted"
    )
    tags: TagSettings = Field(default_factory=TagSettings)
    teams: tuple[TeamSettings, ...] = ()
    allocations: tuple[AllocationSettings, ...] = ()
    prices: PriceSettings = Field(default_factory=PriceSettings)
    metrics: tuple[dict[str, Any], ...] = ()
    targets: tuple[TargetSettings, ...] = ()
    overspend: OverspendSettings = Field(default_factory=OverspendSettings)
    commitments: CommitmentSettings = Field(default_factory=CommitmentSettings)
    quotas: tuple[QuotaSettings, ...] = ()
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)

    @field_validator("allocations")
    @classmethod
    def _sets_tags(
        cls, allocations: tuple[AllocationSettings, ...], info: ValidationInfo
    ) -> tuple[AllocationSettings, ...]:
        known = info.data["tags"].required if "tags" in info.data else None
        for number, one in enumerate(allocations, 1):
            for name in one.set:
                if known is not None and name not in known:
                    raise ValueError(
                        f"entry {number} sets '{name}', which is no tag of [tags] required. {nearest(name, known)}"
                    )
        return allocations


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
    return _beside(settings, chosen.parent)


def _beside(settings: Settings, folder: Path) -> Settings:
    """Files that the settings name lie beside the settings' own."""
    changed: dict[str, Any] = {}
    if settings.prices.tokens or settings.prices.gpus:
        files = {"tokens": settings.prices.tokens, "gpus": settings.prices.gpus}
        beside = {name: tuple(folder / path for path in paths) for name, paths in files.items()}
        changed["prices"] = settings.prices.model_copy(update=beside)
    if settings.commitments.offers is not None:
        offers = folder / settings.commitments.offers
        changed["commitments"] = settings.commitments.model_copy(update={"offers": offers})
    return settings.model_copy(update=changed) if changed else settings


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
            said = fault["msg"].removeprefix("Value error, ")
            sentences.append(f"'{key}': {said}" + ("" if said.endswith(("?", ".")) else "."))
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
